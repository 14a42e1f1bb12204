//! Where the config puts state and objects: looked at, nothing is touched.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::config::{Config, Diagnostic, Diagnostics, Severity, SpanMap, StageField};
use crate::daemon::holdings::{self, Holdings};

/// What a folder destination always has, once it has been written to.
const WRITTEN_TO: &str = ".firehose-tmp";

/// A place that the config names.
struct ConfiguredPath<'c> {
    /// The stream whose it is; none for `state_dir`.
    stream: &'c str,
    field: StageField,
    key: &'static str,
    path: &'c Path,
}

/// `state_dir`, and the folders that objects go to.
fn named<'c>(config: &'c Config, spans: &SpanMap) -> Vec<ConfiguredPath<'c>> {
    let state_dir = ConfiguredPath {
        stream: "",
        field: StageField::StateDir,
        key: "state_dir",
        path: &config.state_dir,
    };
    let folders = config.streams.values().flat_map(|stream| {
        let destination = &stream.destination;
        let stores = [
            (StageField::Store, Some(&destination.store)),
            (StageField::ErrorStore, destination.errors.as_ref()),
            (StageField::BackupStore, destination.backup.as_ref()),
        ];
        stores.into_iter().filter_map(|(field, store)| {
            Some(ConfiguredPath {
                stream: &stream.name,
                field,
                key: "path",
                path: store?.folder()?,
            })
        })
    });
    let is_read = |named: &ConfiguredPath<'_>| !spans.is_unread(named.stream, named.field);
    let all = std::iter::once(state_dir).chain(folders);
    all.filter(is_read).collect()
}

impl ConfiguredPath<'_> {
    fn fault(&self, spans: &SpanMap, message: String, help: String) -> Diagnostic {
        match spans.place(self.stream, self.field, None) {
            Some(place) => Diagnostic::fault(place, message),
            None => Diagnostic::placeless(message),
        }
        .help(help)
    }
}

/// Whether the state can be written, as far as can be told without doing so; with `and_objects` the
/// folders of destinations, too.
pub(super) fn unwritable(config: &Config, spans: &SpanMap, and_objects: bool) -> Diagnostics {
    let mut found = Diagnostics::default();
    for named in named(config, spans) {
        let is_state = named.field == StageField::StateDir;
        if !is_state && !and_objects {
            continue;
        }
        let mut places = vec![named.path.to_owned()];
        if is_state {
            places.push(named.path.join("lock"));
            places.extend(config.streams.keys().map(|stream| named.path.join(stream)));
        } else {
            places.push(named.path.join(WRITTEN_TO));
        }
        let refused = places.iter().find_map(|place| refusal(place, named.path));
        if let Some((at, cause)) = refused {
            let message = format!(
                "`{}` cannot be written to: {}: {cause}",
                named.key,
                at.display()
            );
            let user = rustix::process::geteuid().as_raw();
            let help = format!(
                "name another place, or let the daemon's user write there; this is the user with the \
                 number {user}"
            );
            found.push(named.fault(spans, message, help));
        }
    }
    found
}

/// What keeps this process from writing to `path`, which is created where it is missing: the nearest
/// that exists, and why. `dir` is to be a directory.
fn refusal(path: &Path, dir: &Path) -> Option<(PathBuf, io::Error)> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for existing in whole.ancestors() {
        let refused = |error: io::Error| Some((existing.to_owned(), error));
        match fs::metadata(existing) {
            // A symbolic link that leads to nothing is in the way.
            Err(error) if existing.is_symlink() => return refused(error),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return refused(error),
            Ok(metadata) => {
                let must_be_dir = existing != whole || path == dir;
                if must_be_dir && !metadata.is_dir() {
                    return refused(io::ErrorKind::NotADirectory.into());
                }
                let mut wanted = Access::WRITE_OK;
                if metadata.is_dir() {
                    wanted |= Access::EXEC_OK;
                }
                let allowed = accessat(CWD, existing, wanted, AtFlags::EACCESS);
                return allowed.err().and_then(|error| refused(error.into()));
            }
        }
    }
    None
}

/// Faults where something lies at the place that a relative path meant when those began at the working
/// directory: what follows would begin empty, or be split.
pub(super) fn left_behind(config: &Config, spans: &SpanMap) -> Diagnostics {
    let mut found = Diagnostics::default();
    let mut is_anothers = false;
    for named in named(config, spans) {
        let written = spans.relative(named.stream, named.field);
        let Some(before) = written.filter(|written| *written != named.path) else {
            continue;
        };
        let before = std::path::absolute(before).unwrap_or_else(|_| before.to_owned());
        let judged = match named.field {
            // Another process runs on it: state and objects there are that one's.
            StageField::StateDir if is_in_use(&before) => {
                is_anothers = true;
                None
            }
            StageField::StateDir => left_state(&named, &before),
            _ if is_anothers => None,
            _ => left_objects(&named, &before),
        };
        let Some((severity, message)) = judged else {
            continue;
        };
        let (key, before, now) = (named.key, before.display(), named.path.display());
        let help = format!(
            "relative paths begin at the folder of the config file, not where firehose is started: \
             write {key} = \"{before}\" to go on there, or {key} = \"{now}\" if that is not of this \
             config; or move it"
        );
        let mut diagnostic = named.fault(spans, message, help);
        diagnostic.severity = severity;
        found.push(diagnostic);
    }
    found
}

fn left_state(named: &ConfiguredPath<'_>, before: &Path) -> Option<(Severity, String)> {
    let streams = streams_in(before);
    if streams.is_empty() {
        return None;
    }
    let (now, old) = (named.path.display(), before.display());
    if streams_in(named.path).is_empty() {
        let message =
            format!("`state_dir` is {now}, which holds no state yet, but there is state in {old}");
        return Some((Severity::Fault, message));
    }
    let held = streams.iter().map(|stream| Holdings::read(stream, 1).ok());
    let held: Vec<Option<Holdings>> = held.collect();
    let is_delivered = |held: &Option<Holdings>| held.as_ref().is_some_and(Holdings::is_delivered);
    Some(if held.iter().all(is_delivered) {
        let mut told = held.iter().flatten();
        let beside = told.find_map(|held| held.beside.told());
        let but = beside.map_or_else(String::new, |beside| format!(" but {beside}"));
        let message = format!(
            "`state_dir` is {now}; there is state in {old} too, which holds nothing undelivered{but}"
        );
        (Severity::Warning, message)
    } else {
        let message = format!(
            "`state_dir` is {now}, and there is state in {old} too, which holds undelivered records"
        );
        (Severity::Fault, message)
    })
}

fn left_objects(named: &ConfiguredPath<'_>, before: &Path) -> Option<(Severity, String)> {
    let is_written_to = |dir: &Path| dir.join(WRITTEN_TO).is_dir();
    (is_written_to(before) && !is_written_to(named.path)).then(|| {
        let (now, old) = (named.path.display(), before.display());
        let message = format!(
            "`path` is {now}, which firehose has not written to yet, but there are objects in {old}"
        );
        (Severity::Fault, message)
    })
}

/// Directories of streams in a state folder.
fn streams_in(state_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state_dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let is_set_aside = |path: &PathBuf| path.to_string_lossy().contains(holdings::SET_ASIDE);
    paths
        .filter(|path| !is_set_aside(path) && holdings::has_state(path).unwrap_or(false))
        .collect()
}

/// Whether a daemon has the state folder: then it is that daemon's.
fn is_in_use(state_dir: &Path) -> bool {
    let lock = File::open(state_dir.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}
