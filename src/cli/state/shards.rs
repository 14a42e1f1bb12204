//! What `state list` says of a source: its shards, their positions, and how old those are.

use std::io::{self, Write};
use std::time::Duration;

use super::super::shown::plural;
use crate::clock::utc;
use crate::config::{display_duration, display_size};
use crate::daemon::holdings::Holdings;
use crate::shard::{JOURNAL, ShardStart, ShardState};

/// One line for Direct PUT; for Kinesis one for the stream and one for each shard.
pub(super) fn write(held: &Holdings, now_ms: i64, out: &mut dyn Write) -> io::Result<()> {
    let Some(source) = &held.source else {
        let shard = held.shards.get(JOURNAL);
        return writeln!(
            out,
            "   frontier {}, journal {} on disk",
            shard.map_or_else(|| "none".to_owned(), position),
            display_size(held.local.disk_bytes),
        );
    };
    let noun = held.kind.map_or("source", |kind| kind.noun());
    let ended = held.shards.values().filter(|state| state.ended).count();
    writeln!(
        out,
        "   {noun} {}, created {}: {}, {ended} read to the end",
        source.arn,
        utc(source.created_ms),
        plural(held.shards.len() as u64, "shard"),
    )?;
    for (shard, state) in &held.shards {
        write!(out, "   {shard}: ")?;
        write_state(state, now_ms, out)?;
        writeln!(out)?;
    }
    Ok(())
}

/// How far a shard has been read, without the end of the line.
pub(super) fn write_state(state: &ShardState, now_ms: i64, out: &mut dyn Write) -> io::Result<()> {
    match (state.position, state.ended) {
        (None, true) => write!(out, "ended")?,
        (Some(_), true) => write!(out, "{}, ended", position(state))?,
        (_, false) => write!(out, "{}", position(state))?,
    }
    if let Some(until_ms) = state.until_ms.filter(|_| !state.ended) {
        let lag = u64::try_from(now_ms - until_ms).unwrap_or(0) / 1000 * 1000;
        let lag = display_duration(Duration::from_millis(lag));
        write!(
            out,
            ", all applied that had come by {} ({lag} ago)",
            utc(until_ms)
        )?;
    }
    if !state.parents.is_empty() {
        write!(out, ", after {}", state.parents.join(" and "))?;
    }
    Ok(())
}

fn position(state: &ShardState) -> String {
    match (state.position, state.start) {
        (Some(position), _) if position.sub_sequence > 0 => {
            format!(
                "{}, record {} of the aggregate",
                position.sequence, position.sub_sequence
            )
        }
        (Some(position), _) => position.sequence.to_string(),
        (None, ShardStart::TrimHorizon) => "from the oldest record on".to_owned(),
        (None, ShardStart::Latest(ms) | ShardStart::Time(ms)) => format!("from {} on", utc(ms)),
    }
}
