//! What `state list` says of streams that several daemons share: the lease table knows it all, whoever
//! runs.

use std::io::Write;

use super::super::shown::plural;
use super::{CommandError, runtime, shards};
use crate::config::{Config, CoordinationSettings, StreamSettings};
use crate::coordination::{self, Scanned};
use crate::error::with_causes;

/// A stream that several daemons share, and how.
fn shared(config: &Config) -> impl Iterator<Item = (&StreamSettings, &CoordinationSettings)> {
    let streams = config.streams.values();
    streams.filter_map(|stream| Some((stream, stream.source.coordination()?)))
}

/// What the table counts that waits.
fn what_waits(stream: &StreamSettings) -> (&'static str, &'static str) {
    match &stream.catalog {
        None => ("objects wait to be published", "objects wait"),
        Some(_) => (
            "objects or their partitions wait to be published, or told to the catalog",
            "objects or partitions wait",
        ),
    }
}

/// One line for each stream, and one for each of its leases.
pub(super) fn list(config: &Config, now_ms: i64, out: &mut dyn Write) -> Result<(), CommandError> {
    for (stream, settings) in shared(config) {
        let (name, (waiting_all, waiting_one)) = (&stream.name, what_waits(stream));
        writeln!(out, "{name} (shared by lease table {})", settings.table)?;
        let Scanned { items, unreadable } = match runtime()?.block_on(coordination::list(settings))
        {
            Ok(scanned) => scanned,
            Err(error) => {
                writeln!(out, "   cannot be read: {}", with_causes(&error))?;
                continue;
            }
        };
        let ended = items.iter().filter(|item| item.has_ended()).count();
        let waiting: usize = items.iter().map(|item| item.waiting).sum();
        writeln!(
            out,
            "   {}, {ended} read to the end; {waiting} {waiting_all}",
            plural(items.len() as u64, "shard"),
        )?;
        writeln!(
            out,
            "   open partitions are in no table: the status page of each daemon counts its own"
        )?;
        for item in items {
            let owner = item.owner.as_deref().unwrap_or("nobody");
            write!(out, "   {} of {owner}: ", item.shard)?;
            shards::write_state(&item.state(), now_ms, out)?;
            if item.waiting > 0 {
                write!(out, ", {} {waiting_one}", item.waiting)?;
            }
            writeln!(out)?;
        }
        for fault in unreadable {
            writeln!(out, "   {fault}: mend the item")?;
        }
    }
    Ok(())
}

/// Whether all streams of the config are such: nothing of them need be under `state_dir`.
pub(super) fn are_all(config: &Config) -> bool {
    shared(config).count() == config.streams.len()
}
