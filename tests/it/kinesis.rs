//! Kinesis as the source: the same promise as for Direct PUT, by a foreign producer's ledger and a
//! foreign reader, while shards are split and merged and everything that can die does.

mod another_server;
mod everyday;
mod faults;
mod resharding;

use std::time::Duration;

use crate::support::campaign::Failpoints;
use crate::support::daemon::{Daemon, PATIENCE, Site};
use crate::support::event::{ERROR_PREFIX, PREFIX, QUERY};
use crate::support::oracle::{self, Lake};

/// Rows of the life-of-a-record table that every stream from Kinesis passes.
const FAILPOINTS: Failpoints = &[
    ("apply", 5),
    ("checkpoint-after-commit", 5),
    ("checkpoint-before-commit", 5),
    ("publish-after-put", 3),
    ("published-before-record", 3),
    ("recovery-claimed", 1),
    ("seal", 3),
    ("spool-after-fsync", 3),
];

/// A stream of events as the oracle knows them, with a copy of all records.
pub fn settings(source: &str, store: &str) -> String {
    format!(
        r#"
state_dir = "state"
shutdown_grace = "100s"

[stream.clicks.source]
{source}

[stream.clicks.partitioning]
query = '{QUERY}'

[stream.clicks.buffering]
size = "256KiB"
interval = "1s"

[stream.clicks.format]
type = "json"
compression = "gzip"

[stream.clicks.destination]
{store}
prefix = "{PREFIX}"
error_prefix = "{ERROR_PREFIX}"

[stream.clicks.backup]
prefix = "raw/"
"#
    )
}

/// A stream that delivers each record as a line, within a second.
fn lines(source: &str) -> String {
    format!(
        r#"
[stream.clicks.source]
{source}

[stream.clicks.buffering]
size = "1MiB"
interval = "0s"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/"
error_prefix = "{ERROR_PREFIX}"
"#
    )
}

const FOLDER: &str = "type = \"folder\"\npath = \"lake\"";

/// Waits until everything that was acknowledged is delivered; then a drain must add nothing wrong.
pub fn deliver_all(site: &Site, daemon: Daemon, lake: Lake<'_>) -> serde_json::Value {
    let ledger = site.path("ledger");
    // What is being written to a folder lies outside of every prefix for a moment.
    let passing = [
        "lost: ",
        "backup differs: ",
        "object outside of every prefix: ",
    ];
    deliver_until(daemon, &passing, || {
        oracle::judge(&ledger, lake, Some("raw/"))
    })
}

/// The same for any judge. `passing`: how findings begin of what may only be on its way; all else is
/// wrong for good.
pub fn deliver_until(
    mut daemon: Daemon,
    passing: &[&str],
    judge: impl Fn() -> Result<serde_json::Value, String>,
) -> serde_json::Value {
    let is_passing = |line: &str| passing.iter().any(|head| line.starts_with(head));
    let begun = std::time::Instant::now();
    while let Err(findings) = judge() {
        let mut heads = heads(&findings);
        assert!(heads.all(is_passing), "{findings}");
        assert!(begun.elapsed() < PATIENCE, "still waiting: {findings}");
        let paused = std::time::Instant::now();
        let waited = || paused.elapsed() > Duration::from_millis(500);
        daemon.until("it is time to look again", waited).unwrap();
    }
    daemon.drain();
    judge().unwrap_or_else(|findings| panic!("{findings}"))
}

/// The lines that name what was found.
fn heads(findings: &str) -> impl Iterator<Item = &str> {
    let lines = findings.lines().skip(1);
    lines.filter(|line| !line.is_empty() && !line.starts_with([' ', '{']))
}
