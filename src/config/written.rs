//! The file as typed, table by table, into settings. Every read that fails is reported where it
//! stands and reading goes on, so that all faults are seen at once.

mod access;
mod coordination;
mod destination;
mod format;
mod source;
mod stream;
mod transform;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::diagnostic::Diagnostic;
use super::spans::SpanMap;
use super::table::Table;
use super::{Config, ConsumerSettings, HttpSettings, KinesisSettings, StreamSettings};

/// One kibibyte, mebibyte, gibibyte, tebibyte.
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Bounds of `connections`.
const CONNECTIONS: std::ops::RangeInclusive<u64> = 8..=65_536;
const DEFAULT_MEMORY_LIMIT: u64 = 512 * MIB;
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// Reads the top level. Settings of a table that has faults are left out or made up: whoever
/// calls this uses them only when nothing was reported.
pub(super) fn config(mut root: Table<'_>, base: &Path, spans: &mut SpanMap) -> Config {
    let state_dir = path(&mut root, "state_dir").unwrap_or_else(|| "data/state".into());
    let memory_limit = root.size("memory_limit", 64 * MIB..=64 * TIB);
    let hour = Duration::from_hours(1);
    let grace = root.duration("shutdown_grace", Duration::from_secs(1)..=hour);
    let http = root.table("http").map_or_else(HttpSettings::default, http);
    let streams = streams(&mut root, base, spans);
    root.finish();
    Config {
        state_dir,
        memory_limit: memory_limit.map_or(DEFAULT_MEMORY_LIMIT, |limit| limit.value),
        http,
        shutdown_grace: grace.map_or(DEFAULT_GRACE, |grace| grace.value),
        streams,
    }
}

fn http(mut table: Table<'_>) -> HttpSettings {
    let default = HttpSettings::default();
    let listen = table.address("listen").unwrap_or(default.listen);
    let connections = table.integer("connections", CONNECTIONS);
    table.finish();
    let connections = connections.and_then(|number| usize::try_from(number.value).ok());
    HttpSettings {
        listen,
        connections: connections.unwrap_or(default.connections),
    }
}

fn streams(
    root: &mut Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> BTreeMap<String, StreamSettings> {
    let file = root.file;
    let present = root.has("stream");
    let Some(tables) = root.table("stream") else {
        if !present {
            let help = "a delivery stream is a set of tables such as [stream.clicks.source] and \
                        [stream.clicks.destination]";
            file.report(Diagnostic::placeless("the file names no delivery stream").help(help));
        }
        return BTreeMap::new();
    };
    let mut streams = BTreeMap::new();
    for (name, place, table) in tables.tables() {
        if !is_stream_name(name) {
            let help = "allowed: 1 to 64 of letters, digits, `_`, `.` and `-`";
            let message = format!("\"{name}\" cannot be the name of a delivery stream");
            file.report(Diagnostic::fault(place.clone(), message).help(help));
        }
        let settings = table.and_then(|table| stream::read(name, table, base, spans));
        let Some(settings) = settings else { continue };
        if let Some((other, clash, help)) = clash(&settings, &streams) {
            let message = format!("[stream.{name}] and [stream.{other}] {clash}");
            file.report(Diagnostic::fault(place, message).help(help));
        }
        streams.insert(name.to_owned(), settings);
    }
    streams
}

/// Which of `others` `stream` would keep from its records: its name, why, and what to do.
fn clash<'s>(
    stream: &StreamSettings,
    others: &'s BTreeMap<String, StreamSettings>,
) -> Option<(&'s str, &'static str, &'static str)> {
    let kinesis = stream.source.kinesis()?;
    let of_one_table = (
        "have the same lease table, so that each would read only some of the shards",
        "give each a `lease_table` of its own",
    );
    let of_one_consumer = (
        "are the same consumer of one Kinesis stream, so that each would take the shards over from the \
         other",
        "give each a `consumer_name` of its own",
    );
    others.values().find_map(|other| {
        let clash = match other.source.kinesis()? {
            other if have_one_table(kinesis, other) => of_one_table,
            other if are_one_consumer(kinesis, other) => of_one_consumer,
            _ => return None,
        };
        Some((other.name.as_str(), clash.0, clash.1))
    })
}

fn have_one_table(one: &KinesisSettings, other: &KinesisSettings) -> bool {
    match (&one.coordination, &other.coordination) {
        (Some(one), Some(other)) => one.table == other.table && one.access == other.access,
        _ => false,
    }
}

fn are_one_consumer(one: &KinesisSettings, other: &KinesisSettings) -> bool {
    one.consumer != ConsumerSettings::Polling
        && one.consumer == other.consumer
        && one.stream == other.stream
        && one.access == other.access
}

/// Firehose's rule for names; `.` and `..` would not do as directories.
fn is_stream_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

/// A path on this machine.
fn path(table: &mut Table<'_>, key: &'static str) -> Option<PathBuf> {
    /// Linux' own limit.
    const PATH_MAX: usize = 4096;
    table.name_text(key, PATH_MAX).map(PathBuf::from)
}
