//! What gives room when memory or spool is short.

use super::Pipeline;
use super::log::names::Names;
use super::table::Entry;
use crate::batch::Batch;
use crate::format::Shape;

/// Batches sealed early at a time, when there is no room: at least so many…
const EARLY_SEALS_MIN: usize = 8;
/// …or one in so many of those that are open.
const EARLY_SEALS_PART: usize = 8;
/// For so many ticks memory is short before batches are sealed for it: in between, each of the other
/// streams has found it short, too, and has given up what it can spare.
const TIGHT_TICKS: u32 = 2;
/// Raw bytes that are worth a run of their own when memory or disk is short.
const SHORT_RUN_BYTES: u64 = 16 << 20;

impl Pipeline {
    /// Once a tick: what others take since the last checkpoint may leave less than is held.
    pub(super) fn mind_the_memory(&mut self) {
        if self.table.memory() < self.context.memory.limit() {
            self.tight = 0;
        } else {
            self.tight += 1;
            // What a later checkpoint makes sheddable, it sheds.
            if self.tight == 1 {
                self.give_up_memory();
            }
        }
    }

    /// Short of memory, the largest batch becomes row groups, if that is worth it; otherwise what
    /// the spool holds is dropped.
    pub(super) fn give_up_memory(&mut self) {
        let enough = self.context.memory.limit() / 4 * 3;
        if self.table.memory() > enough {
            self.encode_largest(|batch| batch.raw().1 as u64);
        }
        // Blocks that grow on are needed next, so they go last.
        for growing in [false, true] {
            if self.table.memory() > enough {
                self.table.shed(growing);
            }
        }
    }

    /// When there is no room to read on and nothing is on its way out, only encoding and sealing give
    /// room; of what goes to a store that takes nothing, sealing gives none.
    pub(super) fn seal_early(&mut self) {
        let idle = !self.waiting.moves()
            && self.encode_queue.is_empty()
            && self.encoding == 0
            && !self.protocol.has_sealed()
            && self.table.unspooled() == 0
            && self.writing_since.is_none();
        let is_one_by_one = self.log.names() == Names::OpenBatches;
        if !idle
            || !is_one_by_one
            || !self.is_short()
            || self.has_room()
            || self.encode_largest(|batch| batch.raw().0)
        {
            return;
        }
        let count = EARLY_SEALS_MIN.max(self.table.len() / EARLY_SEALS_PART);
        let gives_room = |entry: &Entry| self.waiting.takes(&entry.target.store);
        for id in self.table.largest(count, gives_room) {
            self.context.status.metrics().sealed_early.add(1);
            self.seal(id);
        }
    }

    /// Whether there is no room, and none will come by itself.
    pub(super) fn is_short(&self) -> bool {
        self.tight >= TIGHT_TICKS || self.is_spool_full()
    }

    /// Encodes the raw blocks of the open batch with the largest `size`, if it is worth it. False:
    /// there is none.
    fn encode_largest(&mut self, size: impl Fn(&Batch) -> u64) -> bool {
        let largest = self.table.largest_by(|entry| {
            let format = self.outputs.format(entry.target.format)?;
            let size = size(&entry.batch);
            let is_worth_it = format.shape() == Shape::Runs
                && size >= SHORT_RUN_BYTES
                && !entry.batch.is_encoding();
            is_worth_it.then_some(size)
        });
        if let Some(id) = largest {
            self.encode_run(id);
        }
        largest.is_some()
    }
}
