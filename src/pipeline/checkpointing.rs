//! When the pipeline takes a step towards a checkpoint, and what it lends the log for it.

#![expect(clippy::disallowed_methods, reason = "writes are measured")]

use std::io;

use tokio::time::Instant;

use super::Pipeline;
use super::event::Event;
use super::log::names::Names;
use super::log::{DiskJob, PipelineState};
use super::moving;
use crate::error::StreamError;

impl Pipeline {
    /// Whether a checkpoint would hold anything new.
    pub(super) fn has_changes(&self) -> bool {
        // An open batch that no checkpoint can name is no change.
        let is_dirty = self.table.is_dirty() && self.log.names() == Names::OpenBatches;
        let has_columns =
            self.log.names() == Names::OpenBatches && self.outputs.formats.is_unsaved();
        let has_places = self.telling.has_changes();
        is_dirty
            || has_columns
            || has_places
            || self.protocol.has_changes()
            || (self.protocol.frees() && self.is_spool_full())
    }

    /// Whether so much is in memory alone that it should go to the spool.
    pub(super) fn is_unspooled_much(&self) -> bool {
        self.table.unspooled() >= (self.context.memory.limit() / 8 * 3) as u64
    }

    /// Lets the log take its next step towards a checkpoint.
    pub(super) fn begin_checkpoint(&mut self) -> Result<(), StreamError> {
        let was_gathering = self.gathering;
        let now = PipelineState {
            is_writing: self.writing_since.is_some(),
            is_encoding: self.encoding > 0,
            is_last: self.ending,
            has_changes: self.has_changes(),
            is_unspooled_much: self.is_unspooled_much(),
            is_spool_full: self.is_spool_full(),
            dead_max: if self.context.reserve.is_short() {
                // What is moved takes room before it gives any.
                moving::DEAD_MAX
            } else {
                moving::dead_max(self.is_spool_full())
            },
            protocol: &mut self.protocol,
            table: &mut self.table,
            waiting: &self.waiting,
            telling: &mut self.telling,
            spool: &self.spool,
            source: &self.source,
            outputs: &self.outputs,
            events: &self.events,
            at_once: &self.stopping.at_once,
            gathering: &mut self.gathering,
        };
        let job = self.log.begin(now)?;
        if was_gathering && !self.gathering {
            self.all_sealed = false;
        }
        if let Some(job) = job {
            self.write(job);
        }
        Ok(())
    }

    /// Runs a job on the disk, the only one at a time; what comes of it is an event.
    fn write(&mut self, job: DiskJob) {
        self.writing_since = Some(Instant::now());
        let events = self.events.clone();
        tokio::spawn(async move {
            let result = tokio::task::spawn_blocking(job)
                .await
                .unwrap_or_else(|panic| Err(io::Error::other(panic).into()));
            let _ = events.send(Event::Checkpointed(Box::new(result)));
        });
    }
}
