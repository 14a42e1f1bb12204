//! Checkpoints on this machine: one transaction of the checkpoint store each. What changed is spooled and synced
//! before it.

#![expect(clippy::disallowed_methods, reason = "checkpoints are measured")]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::super::claim::Claim;
use super::super::commit::{self, DraftBatch};
use super::super::outputs::Outputs;
use super::super::recovery::state::store_error;
use super::super::table::BatchTable;
use super::names::Names;
use super::{CheckpointLog, DiskJob, Due, Outcome, PipelineState, Recovered, Settled, Standing};
use crate::checkpoint::{CheckpointStore, Commit, StoreReceipt};
use crate::error::StreamError;
use crate::extent::Extent;
use crate::protocol::{Draft, Protocol};
use crate::spool::Spool;

/// A checkpoint is taken at least this often while something changes.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// The checkpoint store of one stream, as one recovery has opened it.
pub struct LocalLog {
    store: Arc<CheckpointStore>,
    /// Names this state folder for good.
    incarnation: Uuid,
    /// The epoch of this recovery.
    epoch: u32,
    created_ms: i64,
    /// When the last checkpoint was begun.
    begun: Instant,
}

impl LocalLog {
    pub(in crate::pipeline) fn new(
        store: CheckpointStore,
        incarnation: Uuid,
        epoch: u32,
        created_ms: i64,
    ) -> Self {
        Self {
            store: Arc::new(store),
            incarnation,
            epoch,
            created_ms,
            begun: Instant::now(),
        }
    }

    /// When the state folder was created, in ms since the Unix epoch.
    pub const fn created_ms(&self) -> i64 {
        self.created_ms
    }

    /// What is claimed at the destination for this recovery.
    pub(in crate::pipeline) fn claim(&self, outputs: &Outputs, stream: &str, now_ms: i64) -> Claim {
        Claim::new(
            outputs.marker_head(),
            self.incarnation,
            self.epoch,
            stream,
            now_ms,
        )
    }

    /// Makes a change durable that a person has asked for, of a stream that does not run.
    pub(in crate::pipeline) fn change<'a>(
        &self,
        stream: &str,
        commit: &'a Commit,
    ) -> Result<StoreReceipt<'a>, StreamError> {
        let committed = self.store.commit(commit);
        committed.map_err(|error| store_error(stream, "change the state", error))
    }
}

impl CheckpointLog for LocalLog {
    fn names(&self) -> Names {
        Names::OpenBatches
    }

    fn recovered(&mut self, outputs: &Outputs, stream: &str, now_ms: i64) -> Recovered {
        Recovered::ToBeClaimed(self.claim(outputs, stream, now_ms))
    }

    fn is_due(&self, _standing: &Standing<'_>) -> Due {
        Due::No
    }

    /// Begins a checkpoint when one is due: at once when something waits for it, within a second
    /// otherwise.
    fn begin(&mut self, now: PipelineState<'_>) -> Result<Option<DiskJob>, StreamError> {
        let urgent = now.protocol.is_urgent() || now.is_last || now.is_unspooled_much;
        let due = urgent || self.begun.elapsed() >= CHECKPOINT_EVERY;
        if now.is_writing || !due || !now.has_changes {
            return Ok(None);
        }
        let Some(draft) = now.protocol.draft() else {
            return Ok(None);
        };
        let mut draft = draft.with_newest_event(now.table.newest_event());
        self.begun = Instant::now();
        let batches = changed_batches(&mut draft, now.table, now.protocol, now.spool, now.dead_max);
        let (spool, source) = (Arc::clone(now.spool), Arc::clone(now.source));
        let store = Arc::clone(&self.store);
        let unsaved = now.outputs.formats.take_unsaved();
        let places = now.telling.take_changes();
        Ok(Some(Box::new(move || {
            commit::commit(draft, batches, &spool, &store, &*source, unsaved, &places)
        })))
    }

    fn settle(&mut self, outcome: Outcome) -> Settled {
        let Outcome::Written { durable, .. } = outcome else {
            return Settled::default();
        };
        Settled {
            took: durable.is_some().then(|| self.begun.elapsed()),
            durable,
            mended: self.store.take_mended(),
            ..Settled::default()
        }
    }
}

/// The rows of all batches that have changed since they were last asked for; the draft takes them in. With them go bytes
/// in files of the spool that hold little else, when there is much that nothing names.
fn changed_batches(
    draft: &mut Draft,
    table: &mut BatchTable,
    protocol: &Protocol,
    spool: &Spool,
    dead_max: u64,
) -> Vec<DraftBatch> {
    let sparse = spool.sparse_files(dead_max);
    let moved = |extent: &Extent| sparse.contains(&extent.file);
    if !sparse.is_empty() {
        table.mark(|entry| {
            let blocks = entry.batch.blocks.iter();
            let lasting = blocks.filter(|block| entry.outlasts(block));
            lasting.flat_map(|block| &block.extents).any(&moved)
        });
    }
    let dirty = table.take_dirty().into_iter();
    let entries = dirty.filter_map(|id| table.get(id));
    let rows = entries.map(|entry| {
        let upload_id = protocol.take_in(draft, entry.batch.id);
        DraftBatch::of(entry, upload_id, &moved)
    });
    rows.collect()
}
