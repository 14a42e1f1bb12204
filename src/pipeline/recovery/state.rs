//! What a recovery hands over, and how its errors are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::StreamContext;
use super::super::outputs::Outputs;
use crate::checkpoint::{OpenBatch, SealedObject, StoreError, UntoldPlace};
use crate::disk::Disk;
use crate::error::{StreamError, put_back_export_or_discard, put_back_or_discard, with_causes};
use crate::position::MissingRange;
use crate::shard::{ShardId, ShardState};
use crate::source::{Context, Handle, Reader, UnreadRecords};
use crate::spool::{Spool, SpoolError};
use crate::telemetry::StreamMetrics;

/// What a stream has on disk, opened.
pub struct RecoveredState<L> {
    /// The source: told how far it is durable.
    pub source: Arc<dyn Handle>,
    /// Reads on just after the frontiers.
    pub reader: Box<dyn Reader>,
    /// The spool, cut back to what the checkpoint names.
    pub spool: Arc<Spool>,
    /// Where checkpoints go.
    pub log: L,
    /// What the stream writes, with the formats that its batches still name.
    pub outputs: Arc<Outputs>,
    /// How far the last checkpoint has each shard.
    pub shards: BTreeMap<ShardId, ShardState>,
    /// The time of the newest event that it has, where that was ever asked for.
    pub newest_event: Option<i64>,
    /// Its open batches.
    pub open: Vec<OpenBatch>,
    /// Its objects to be published.
    pub sealed: Vec<SealedObject>,
    /// Places of published objects that the catalog is to be told of.
    pub untold: Vec<UntoldPlace>,
    /// What the source has accepted before.
    pub unread: Option<UnreadRecords>,
}

/// Counts the records that a range of the source has lost, or the range itself where nobody knows whether it held any.
pub(in crate::pipeline) fn count_lost(metrics: &StreamMetrics, range: MissingRange) {
    match range.records() {
        0 => metrics.journal_doubtful.add(1),
        records => metrics.journal_lost.add(records),
    }
}

/// What a stream's source needs of the process. `disk` is the stream's own directory.
pub(in crate::pipeline) fn source_context(
    stream: &str,
    disk: &Arc<dyn Disk>,
    context: &StreamContext,
) -> Context {
    Context {
        stream: stream.to_owned(),
        clock: context.clock.clone(),
        disk: Arc::clone(disk),
        metrics: Arc::clone(&context.metrics),
        health: Arc::clone(context.status.source()),
        room: context.read_room.clone(),
    }
}

/// A store that another version has written needs that version, and a damaged one needs a person; other faults may pass.
pub(in crate::pipeline) fn store_error(
    stream: &str,
    action: &'static str,
    error: StoreError,
) -> StreamError {
    match error {
        StoreError::Version { .. } => StreamError::LoudStop {
            cause: with_causes(&error),
            advice: "run the version of the daemon that wrote it; stopped by SIGTERM it delivers what is \
                     open, and a later version can go on from there"
                .to_owned(),
        },
        StoreError::Row { .. } | StoreError::Damaged(_) => StreamError::LoudStop {
            cause: with_causes(&error),
            advice: put_back_export_or_discard(stream),
        },
        StoreError::Database(_) => StreamError::of_state(action, false, error),
        StoreError::Full(_) => StreamError::of_state(action, true, error),
    }
}

pub(in crate::pipeline) fn spool_error(stream: &str, error: SpoolError) -> StreamError {
    match error {
        SpoolError::Io(error) => StreamError::of_disk("open the spool", error),
        missing @ SpoolError::Missing { .. } => StreamError::LoudStop {
            cause: missing.to_string(),
            advice: put_back_or_discard(stream),
        },
    }
}
