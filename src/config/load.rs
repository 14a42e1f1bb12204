//! From the file on disk to validated settings, or to everything that is wrong with it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::bounded::read_bounded;
use super::depth;
use super::diagnostic::{Diagnostic, Diagnostics, SourceFile, SourceSpan};
use super::document::json_object;
use super::format::FormatSettings;
use super::registry::Registry;
use super::spans::SpanMap;
use super::table::{FileContext, Table};
use super::written;
use super::{Config, HttpKey};

/// Bytes of a config file: far more than any has, and a bound on what a wrong path can cost.
const FILE_MAX: u64 = 1 << 20;
/// Syntax faults shown: the first is the true one, the next ones often follow from it.
const SYNTAX_MAX: usize = 3;
/// The parser's words for a key or a table that was there before.
const DUPLICATE: &str = "duplicate key";

/// For a table in which no key names a source, a parser, a store, a format or a catalog.
const NOTHING: &Registry = &Registry {
    sources: Vec::new(),
    parsers: Vec::new(),
    stores: Vec::new(),
    formats: Vec::new(),
    catalogs: Vec::new(),
    absent_formats: &[],
    stream_format: FormatSettings::unread,
    backup_format: FormatSettings::unread,
};

/// What a file comes to, faults or not: parts that have faults are left out or made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigDraft {
    /// The settings; [`SpanMap::is_unread`] tells which are made up.
    pub config: Config,
    /// What was found so far.
    pub found: Diagnostics,
    /// Where queries, prefixes and schemas stand in the file.
    pub spans: SpanMap,
}

impl ConfigDraft {
    /// The settings, if nothing that was found is a fault.
    pub fn sound(self) -> Result<LoadedConfig, Diagnostics> {
        let Self {
            config,
            found,
            spans,
        } = self;
        if found.has_faults() {
            return Err(found);
        }
        Ok(LoadedConfig {
            config,
            warnings: found,
            spans,
        })
    }
}

/// Settings without faults, and what is needed to speak about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedConfig {
    /// The settings.
    pub config: Config,
    /// What is doubtful but no fault.
    pub warnings: Diagnostics,
    /// Where queries, prefixes and schemas stand in the file.
    pub spans: SpanMap,
}

/// Reads the config file at `path`, as far as it can be read. `env` gives the environment's variables, `registry` is
/// what the file can name.
pub fn draft(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    registry: &Registry,
) -> Result<ConfigDraft, Diagnostics> {
    parse_draft(text_of(path)?, path, env, registry)
}

/// Where the daemon of the config file at `path` listens. Nothing else of the file is judged.
pub fn listen(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<SocketAddr, Diagnostics> {
    let (listen, found) = read(text_of(path)?, path, env, NOTHING, written::listen)?;
    if found.has_faults() {
        return Err(found);
    }
    Ok(listen)
}

/// The keys of the listener in the config file at `path`, as far as they can be read here: their secrets may be in an
/// environment, or in files, that are the daemon's alone.
pub fn keys(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Vec<HttpKey> {
    let base = folder_of(path);
    let read = text_of(path)
        .and_then(|text| read(text, path, env, NOTHING, |root| written::keys(root, &base)));
    read.map_or_else(|_| Vec::new(), |(keys, _)| keys)
}

fn text_of(path: &Path) -> Result<String, Diagnostics> {
    read_bounded(path, FILE_MAX).map_err(|cause| {
        let message = format!("{} cannot be read: {cause}", path.display());
        let help = "name another file with --config FILE";
        Diagnostic::placeless(message).help(help).into()
    })
}

/// Validates the text of a config file that stands at `path`: relative paths in it start at its
/// folder.
pub fn parse(
    text: impl Into<String>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    registry: &Registry,
) -> Result<LoadedConfig, Diagnostics> {
    parse_draft(text, path, env, registry)?.sound()
}

fn parse_draft(
    text: impl Into<String>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    registry: &Registry,
) -> Result<ConfigDraft, Diagnostics> {
    let (base, mut spans) = (folder_of(path), SpanMap::default());
    let (config, found) = read(text, path, env, registry, |root| {
        written::config(root, &base, &mut spans)
    })?;
    Ok(ConfigDraft {
        config,
        found,
        spans,
    })
}

/// The folder of a file, however the file is named: nothing where that is the working directory, so
/// that paths in it are shown as they are written.
fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let Some(parent) = parent else {
        return PathBuf::new();
    };
    match (parent.canonicalize(), Path::new(".").canonicalize()) {
        (Ok(folder), Ok(here)) if folder == here => PathBuf::new(),
        (Ok(folder), _) => folder,
        (Err(_), _) => parent.to_owned(),
    }
}

/// The text of a TOML file that stands at `path` and holds values of the user's own, as the text of a
/// JSON object: what a `[config]` table comes to.
pub fn parse_object(
    text: impl Into<String>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Diagnostics> {
    let (object, found) = read(text, path, env, NOTHING, json_object)?;
    if found.has_faults() {
        return Err(found);
    }
    object.ok_or(found)
}

/// Reads a TOML file: what `read` makes of it, and what it finds. The error: it is not TOML.
fn read<T>(
    text: impl Into<String>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    registry: &Registry,
    read: impl FnOnce(Table<'_>) -> T,
) -> Result<(T, Diagnostics), Diagnostics> {
    let source = Arc::new(SourceFile {
        path: path.display().to_string(),
        text: text.into(),
    });
    if let Some(at) = depth::too_deep(&source.text) {
        let place = SourceSpan { source, at };
        return Err(Diagnostic::fault(place, "a key of too many parts").into());
    }
    let (tree, faults) = DeTable::parse_recoverable(&source.text);
    // After a duplicate key the rest is still read.
    let is_readable = faults.iter().all(|fault| fault.message() == DUPLICATE);
    if !is_readable {
        return Err(syntax(&source, faults.iter().take(SYNTAX_MAX)));
    }
    let mut found = syntax(&source, faults.iter());
    let file = FileContext {
        source: Arc::clone(&source),
        env,
        registry,
        found: RefCell::default(),
    };
    let result = read(Table::root(&file, tree.get_ref()));
    found.extend(file.found.into_inner());
    Ok((result, found))
}

fn syntax<'f>(
    source: &Arc<SourceFile>,
    faults: impl Iterator<Item = &'f toml::de::Error>,
) -> Diagnostics {
    let mut found = Diagnostics::default();
    for fault in faults {
        let at = fault.span().unwrap_or(0..0);
        // The parser's words for nothing at all after `=` speak of quotes.
        let message = match fault.message() {
            unquoted if unquoted.starts_with("string values") && at.is_empty() => "missing value",
            message => message,
        };
        let place = SourceSpan {
            source: Arc::clone(source),
            at,
        };
        let fault = Diagnostic::fault(place, format!("not TOML: {message}"));
        found.push(match message {
            DUPLICATE => fault.help("remove one of the two"),
            _ => fault.help("the rest of the file is judged once this is mended"),
        });
    }
    found
}
