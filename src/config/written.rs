//! The file as typed, table by table, into settings. Every read that fails is reported where it
//! stands and reading goes on, so that all faults are seen at once.

pub mod access;
mod buffering;
mod catalog;
pub mod coordination;
mod destination;
mod format;
mod http;
mod parse;
mod source;
mod stream;
mod transform;
mod watermark;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::diagnostic::Diagnostic;
use super::path::located;
use super::spans::{SpanMap, StageField};
use super::table::Table;
use super::text::TextOrigin;
use super::{Clash, Config, HttpKey, HttpSettings, StreamSettings};

/// One kibibyte.
const KIB: u64 = 1 << 10;
/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// One gibibyte.
pub const GIB: u64 = 1 << 30;
/// One tebibyte.
pub const TIB: u64 = 1 << 40;

const DEFAULT_MEMORY_LIMIT: u64 = 512 * MIB;
const DEFAULT_GRACE: Duration = Duration::from_secs(30);
const DEFAULT_STALLED_AFTER: Duration = Duration::from_secs(30);

/// The file in `state_dir` that one process holds; each stream has a directory beside it.
const LOCK: &str = "lock";

/// Where the state is when the file does not say.
const DEFAULT_STATE_DIR: &str = "data/state";

/// Reads the top level. Settings of a table that has faults are left out or made up, as `spans`
/// then says.
pub(super) fn config(mut root: Table<'_>, base: &Path, spans: &mut SpanMap) -> Config {
    let file = PathBuf::from(&root.file.source.path);
    let state_dir = state_dir(&mut root, base, spans);
    let memory_limit = root.size("memory_limit", 64 * MIB..=64 * TIB);
    let hour = Duration::from_hours(1);
    let grace = root.duration("shutdown_grace", Duration::from_secs(1)..=hour);
    let stalled_after = root.duration("stalled_after", Duration::from_secs(1)..=hour);
    let place = root.place_of("http");
    let http = root.table("http");
    let http = http.map_or_else(HttpSettings::default, |table| http::read(table, base));
    let streams = streams(&mut root, base, spans);
    http::doubt_streams(&root, &place, &http.keys, &streams);
    root.finish();
    Config {
        file,
        state_dir,
        memory_limit: memory_limit.map_or(DEFAULT_MEMORY_LIMIT, |limit| limit.value),
        http,
        shutdown_grace: grace.map_or(DEFAULT_GRACE, |grace| grace.value),
        stalled_after: stalled_after.map_or(DEFAULT_STALLED_AFTER, |after| after.value),
        streams,
    }
}

/// Where the daemon listens, and nothing else.
pub(super) fn listen(mut root: Table<'_>) -> SocketAddr {
    let http = root.table("http");
    http.map_or(HttpSettings::default().listen, http::listen)
}

/// The keys of the listener, and nothing else.
pub(super) fn keys(mut root: Table<'_>, base: &Path) -> Vec<HttpKey> {
    let http = root.table("http");
    http.map_or_else(Vec::new, |mut table| http::keys(&mut table, base))
}

fn state_dir(root: &mut Table<'_>, base: &Path, spans: &mut SpanMap) -> PathBuf {
    let (stream, field) = ("", StageField::StateDir);
    if root.has("state_dir") {
        let place = root.place_of("state_dir");
        spans.keep_origin(stream, field, TextOrigin::at(place));
        return located(root, "state_dir", base, stream, field, spans).unwrap_or_default();
    }
    let _ = root.string("state_dir");
    spans.keep_table(stream, field, root);
    spans.keep_relative(stream, field, Path::new(DEFAULT_STATE_DIR));
    base.join(DEFAULT_STATE_DIR)
}

fn streams(
    root: &mut Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> BTreeMap<String, StreamSettings> {
    let file = root.file;
    let table = root.table("stream");
    // A value that is no table is reported already.
    let is_wrong = root.has("stream") && table.is_none();
    let tables: Vec<_> = table.into_iter().flat_map(Table::tables).collect();
    if tables.is_empty() && !is_wrong {
        let help = "a delivery stream is a set of tables such as [stream.clicks.source] and \
                    [stream.clicks.destination]";
        let fault = Diagnostic::fault(root.place(), "the file names no delivery stream");
        file.report(fault.help(help));
    }
    let mut streams = BTreeMap::new();
    for (name, place, table) in tables {
        if !is_stream_name(name) || name == LOCK {
            let help = match name {
                LOCK => "`state_dir` has a file of that name: choose another one",
                _ => "allowed: 1 to 64 of letters, digits, `_`, `.` and `-`",
            };
            let message = format!("\"{name}\" cannot be the name of a delivery stream");
            file.report(Diagnostic::fault(place.clone(), message).help(help));
        }
        let Some(table) = table else { continue };
        let settings = stream::read(name, table, base, spans);
        if let Some((other, Clash { what, help })) = clash(&settings, &streams) {
            let message = format!("[stream.{name}] and [stream.{other}] {what}");
            file.report(Diagnostic::fault(place, message).help(help));
        }
        streams.insert(name.to_owned(), settings);
    }
    streams
}

/// The first of `others` that `stream` would keep from reading its records, and how.
fn clash<'s>(
    stream: &StreamSettings,
    others: &'s BTreeMap<String, StreamSettings>,
) -> Option<(&'s str, Clash)> {
    others
        .values()
        .find_map(|other| Some((other.name.as_str(), stream.source.clash(&*other.source)?)))
}

/// Firehose's rule for names; `.` and `..` would not do as directories.
fn is_stream_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}
