//! From the file on disk to validated settings, or to everything that is wrong with it.

use std::cell::RefCell;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::Config;
use super::depth;
use super::diagnostic::{Diagnostic, Diagnostics, Place, Source};
use super::document::json_object;
use super::spans::SpanMap;
use super::table::{File, Table};
use super::written;
use crate::json::BOM;

/// Bytes of a config file: far more than any has, and a bound on what a wrong path can cost.
const FILE_MAX: u64 = 1 << 20;
/// Syntax faults shown: the first is the true one, the next ones often follow from it.
const SYNTAX_MAX: usize = 3;

/// Settings without faults, and what is needed to speak about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What is doubtful but no fault.
    pub warnings: Diagnostics,
    /// Where queries, prefixes and schemas stand in the file.
    pub spans: SpanMap,
}

/// Reads and validates the config file at `path`. `env` gives the environment's variables.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Diagnostics> {
    parse(text_of(path)?, path, env)
}

/// Where the daemon of the config file at `path` listens. Nothing else of the file is judged.
pub fn listen(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<SocketAddr, Diagnostics> {
    let (listen, _) = read(text_of(path)?, path, env, written::listen)?;
    Ok(listen)
}

fn text_of(path: &Path) -> Result<String, Diagnostics> {
    read_bounded(path, FILE_MAX).map_err(|cause| {
        let message = format!("{} cannot be read: {cause}", path.display());
        let help = "name another file with --config FILE";
        Diagnostic::placeless(message).help(help).into()
    })
}

/// Validates the text of a config file that stands at `path` (relative files start at its
/// folder).
pub fn parse(
    text: impl Into<String>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Diagnostics> {
    let base = path.parent().unwrap_or(Path::new(""));
    let mut spans = SpanMap::default();
    let (config, warnings) = read(text, path, env, |root| {
        written::config(root, base, &mut spans)
    })?;
    Ok(Loaded {
        config,
        warnings,
        spans,
    })
}

/// The text of a TOML file that stands at `path` and holds values of the user's own, as the text of a
/// JSON object: what a `[config]` table comes to.
pub fn parse_object(
    text: impl Into<String>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Diagnostics> {
    let (object, found) = read(text, path, env, json_object)?;
    object.ok_or(found)
}

/// Reads a TOML file; what `read` finds beside its result are warnings.
fn read<T>(
    text: impl Into<String>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    read: impl FnOnce(Table<'_>) -> T,
) -> Result<(T, Diagnostics), Diagnostics> {
    let source = Arc::new(Source {
        path: path.display().to_string(),
        text: text.into(),
    });
    if let Some(at) = depth::too_deep(&source.text) {
        let place = Place { source, at };
        return Err(Diagnostic::fault(place, "a key of too many parts").into());
    }
    let tree = match DeTable::parse_recoverable(&source.text) {
        (tree, faults) if faults.is_empty() => tree,
        (_, faults) => return Err(syntax(&source, &faults)),
    };
    let file = File {
        source: Arc::clone(&source),
        env,
        found: RefCell::default(),
    };
    let result = read(Table::root(&file, tree.get_ref()));
    let mut found = Diagnostics::default();
    found.extend(file.found.into_inner());
    if found.has_faults() {
        return Err(found);
    }
    Ok((result, found))
}

fn syntax(source: &Arc<Source>, faults: &[toml::de::Error]) -> Diagnostics {
    let mut found = Diagnostics::default();
    for fault in faults.iter().take(SYNTAX_MAX) {
        let at = fault.span().unwrap_or(0..0);
        // The parser's words for nothing at all after `=` speak of quotes.
        let message = match fault.message() {
            unquoted if unquoted.starts_with("string values") && at.is_empty() => "missing value",
            message => message,
        };
        let place = Place {
            source: Arc::clone(source),
            at,
        };
        found.push(Diagnostic::fault(place, format!("not TOML: {message}")));
    }
    found
}

/// The text of a file of at most `max` bytes, without a byte order mark at its head; the error is a
/// sentence's end.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|cause| cause.to_string())?;
    let mut bytes = Vec::new();
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| cause.to_string())?;
    if bytes.len() as u64 > max {
        return Err(format!("it is larger than {max} bytes"));
    }
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    String::from_utf8(bytes).map_err(|fault| {
        let valid = &fault.as_bytes()[..fault.utf8_error().valid_up_to()];
        let line = 1 + memchr::memchr_iter(b'\n', valid).count();
        format!("line {line} is not UTF-8")
    })
}
