//! Sealing: a batch's record set is fixed, its last bytes are encoded, and it is ready for the
//! checkpoint that lists it as an object.

use std::sync::Arc;

use uuid::Uuid;

use super::Pipeline;
use super::encode::{self, BlockBytes, Done, JOB_BYTES, JOB_WORKS, Piece, Run, Work};
use super::event::Event;
use super::log::names::Names;
use super::quarantine::Damaged;
use super::table::Entry;
use crate::batch::{Batch, Block};
use crate::checkpoint::Lane;
use crate::clock::Moment;
use crate::extent::Extent;
use crate::failpoint;
use crate::format::{RUN_BYTES, Shape};

impl Pipeline {
    /// How the objects of a batch are encoded.
    pub(super) fn shape(&self, id: Uuid) -> Option<Shape> {
        let format = self.table.get(id)?.target.format;
        self.outputs.format(format).map(|format| format.shape())
    }

    /// Fixes the record sets of all that is open.
    pub(super) fn seal_all(&mut self) {
        for id in self.table.open_ids() {
            self.seal(id);
        }
    }

    /// The same of data alone: it ends with the columns that it has begun with (C7).
    pub(super) fn seal_data(&mut self) {
        for id in self.table.open_ids() {
            let lane = self.table.get(id).map(|entry| entry.lane);
            if lane == Some(Lane::Data) {
                self.seal(id);
            }
        }
    }

    /// Fixes a batch's record set.
    pub(super) fn seal(&mut self, id: Uuid) {
        if self.table.seal(id) {
            failpoint::hit("seal");
            self.encode_sealed(id);
        }
    }

    /// A batch is full: it is sealed; where a checkpoint can name no open batch, with all others.
    pub(super) fn close(&mut self, id: Uuid) {
        match self.log.names() {
            Names::OpenBatches => self.seal(id),
            Names::Objects => self.gathering = true,
        }
    }

    /// The same if it is full: what was encoded may have become more than was thought.
    fn close_if_full(&mut self, id: Uuid) {
        if self.table.is_full(id) {
            self.close(id);
        }
    }

    /// Goes on with the batches that recovery has reloaded: some were being sealed, and those that
    /// the config would open otherwise now take no more records (C7).
    pub(super) fn resume_batches(&mut self) {
        let resumed: Vec<(Uuid, bool, bool)> = (self.table.entries())
            .map(|entry| {
                let is_current = self.outputs.is_current(
                    (entry.lane, &entry.identity),
                    &entry.target,
                    (entry.arrival_ms, entry.window),
                );
                (entry.batch.id, entry.sealing, is_current)
            })
            .collect();
        for (id, sealing, is_current) in resumed {
            if sealing {
                self.encode_sealed(id);
            } else if is_current {
                self.encode_filled(id);
            } else {
                self.seal(id);
            }
        }
    }

    /// Queues what can be encoded of an open batch: each full raw block, or all of them when they
    /// are worth a run.
    pub(super) fn encode_filled(&mut self, id: Uuid) {
        match self.shape(id) {
            Some(Shape::Blocks) => {
                let raw = self.take_raw(id).into_iter();
                let raw = raw.map(|serial| (id, Piece::Block(serial)));
                self.encode_queue.extend(raw);
            }
            Some(Shape::Runs) => {
                let is_run =
                    |entry: &Entry| !entry.batch.is_encoding() && entry.batch.raw().0 >= RUN_BYTES;
                if self.table.get(id).is_some_and(is_run) {
                    self.encode_run(id);
                }
            }
            Some(Shape::Whole) | None => {}
        }
    }

    /// Queues the raw blocks of an open batch as one run.
    pub(super) fn encode_run(&mut self, id: Uuid) {
        let serials = self.take_raw(id);
        self.encode_queue.push_back((id, Piece::Run(serials)));
    }

    fn take_raw(&mut self, id: Uuid) -> Vec<u32> {
        let taken = self.table.settle(id, |entry| entry.batch.take_raw());
        taken.unwrap_or_default()
    }

    /// Queues all that is not final of a sealed batch; after the run that is under way.
    fn encode_sealed(&mut self, id: Uuid) {
        let batch = self.table.get(id).map(|entry| &entry.batch);
        let (is_encoding, is_encoded) = batch.map_or((false, true), |batch| {
            (batch.is_encoding(), batch.is_encoded())
        });
        if self.shape(id) == Some(Shape::Blocks) {
            self.encode_filled(id);
        } else if !is_encoding && !is_encoded {
            self.encode_queue.push_back((id, Piece::Object));
        }
        self.finish_if_encoded(id);
    }

    /// Hands a sealed batch to the next checkpoint when its last byte is final and no request of its
    /// upload is under way.
    pub(super) fn finish_if_encoded(&mut self, id: Uuid) {
        let is_finished = |entry: &&Entry| entry.sealing && entry.batch.is_encoded();
        let Some(entry) = self.table.get(id).filter(is_finished) else {
            return;
        };
        if entry.batch.records == 0 {
            if self.give_up_upload(id) {
                return;
            }
            // Nothing fitted: there is no object, only the failed records elsewhere.
            if self.protocol.close(id) {
                let blocks = self.table.remove(id).map(|entry| entry.batch.blocks);
                let blocks = blocks.into_iter().flatten();
                let freed = blocks.flat_map(|block| block.extents);
                self.protocol.let_go(freed);
            }
            return;
        }
        let Some(format) = self.outputs.format(entry.target.format) else {
            return;
        };
        if self.protocol.seal(id) {
            self.table
                .change(id, |entry| entry.batch.end(|sums| format.end(sums)));
        }
    }

    /// Hands encoding work to the workers, a bounded number of jobs at a time.
    pub(super) fn dispatch_encoding(&mut self) {
        // On a full disk publishing comes first: it gives room, encoding takes some.
        if self.context.reserve.is_short() && self.waiting.moves() {
            return;
        }
        self.put_off_what_is_stuck();
        while self.encoding < 2 * self.context.workers.threads() && !self.encode_queue.is_empty() {
            let (works, hash) = self.next_works();
            if works.is_empty() {
                continue;
            }
            self.encoding += 1;
            let (pool, spool) = (Arc::clone(&self.context.encoders), Arc::clone(&self.spool));
            let (events, now_ms) = (self.events.clone(), self.context.clock.now_ms());
            let fields = Arc::clone(self.context.status.counted_fields());
            let job = self
                .context
                .workers
                .run(move || encode::run(works, hash, &pool, &spool, &fields, now_ms));
            tokio::spawn(async move {
                let panicked = |_| Err(std::io::Error::other("the job panicked"));
                let _ = events.send(Event::Encoded(job.await.unwrap_or_else(panicked)));
            });
        }
    }

    /// Takes works of one format from the queue, one job's worth.
    fn next_works(&mut self) -> (Vec<Work>, u64) {
        let (mut works, mut bytes, mut hash) = (Vec::new(), 0, None);
        while let Some((id, _)) = self.encode_queue.front() {
            let wanted = self.table.get(*id).map(|entry| entry.target.format);
            let mixed = hash.is_some() && wanted.is_some() && hash != wanted;
            if works.len() >= JOB_WORKS || bytes >= JOB_BYTES || mixed {
                break;
            }
            let prepared = self.encode_queue.pop_front();
            let prepared = prepared.and_then(|(id, piece)| self.prepare(id, piece));
            if let Some((work, size)) = prepared {
                works.push(work);
                bytes += size;
                hash = wanted;
            }
        }
        (works, hash.unwrap_or_default())
    }

    fn prepare(&self, id: Uuid, piece: Piece) -> Option<(Work, usize)> {
        let entry = self.table.get(id)?;
        let blocks = &entry.batch.blocks;
        let format = self.outputs.format(entry.target.format)?;
        let sources = |wanted: &dyn Fn(&Block) -> bool| -> Vec<BlockBytes> {
            let wanted = blocks.iter().filter(|block| wanted(block));
            wanted.map(BlockBytes::of).collect()
        };
        let encoded = blocks.iter().filter(|block| block.encoded);
        let start = encoded.map(Block::len).sum();
        let size = |sources: &[BlockBytes]| sources.iter().map(BlockBytes::len).sum();
        Some(match piece {
            Piece::Block(serial) => {
                let index = blocks.iter().position(|block| block.serial == serial)?;
                let source = BlockBytes::of(&blocks[index]);
                let (first, size) = (index == 0, source.len());
                let work = Work::Block {
                    id,
                    serial,
                    first,
                    source,
                    format,
                };
                (work, size)
            }
            Piece::Run(serials) => {
                let sources = sources(&|block| serials.contains(&block.serial));
                let size = size(&sources);
                let work = Work::Run {
                    id,
                    serials,
                    start,
                    sources,
                    format,
                };
                (work, size)
            }
            Piece::Object => {
                let sources_of_raw = sources(&|block| !block.encoded && !block.footer);
                let size = size(&sources_of_raw);
                let work = Work::Object {
                    id,
                    start,
                    runs: runs(blocks),
                    sources: sources_of_raw,
                    format,
                };
                (work, size)
            }
        })
    }

    /// Takes over final bytes, and the records that did not fit, in one turn: one checkpoint
    /// holds both.
    pub(super) fn apply_encoded(&mut self, done: Done) {
        match done {
            Done::Block {
                id,
                serial,
                encoded,
                raw_sum,
                damaged,
            } => {
                self.replace(id, Vec::new(), &damaged, |batch, gone| {
                    batch.replace(serial, encoded, raw_sum, gone)
                });
                self.close_if_full(id);
                self.finish_if_encoded(id);
            }
            Done::Run {
                id,
                serials,
                extents,
                footer,
                failed,
                damaged,
            } => {
                self.replace(id, failed, &damaged, |batch, gone| {
                    batch.replace_run(&serials, extents, footer, gone)
                });
                failpoint::hit("row-groups");
                if self.table.get(id).is_some_and(|entry| entry.sealing) {
                    self.encode_sealed(id);
                } else {
                    self.encode_filled(id);
                    self.close_if_full(id);
                }
            }
            Done::Object {
                id,
                is_empty,
                extents,
                failed,
                damaged,
            } => {
                self.replace(id, failed, &damaged, |batch, _| {
                    if is_empty {
                        batch.records = 0;
                    }
                    batch.finish(extents)
                });
                self.finish_if_encoded(id);
            }
        }
    }

    /// Gives a batch its final bytes; records that did not fit go elsewhere, and damaged ones have gone.
    fn replace(
        &mut self,
        id: Uuid,
        failed: Vec<encode::FailedLines>,
        damaged: &[Damaged],
        replace: impl FnOnce(&mut Batch, u64) -> Vec<Extent>,
    ) {
        let misfits: u64 = failed.iter().map(|lines| lines.records).sum();
        let object = self.table.get(id).map(|entry| entry.target.location());
        let gone = misfits + self.note_damaged(object.as_deref(), damaged);
        let since = self.table.get(id).map(|entry| entry.waits_since);
        for lines in failed {
            self.apply_failed(lines, since);
        }
        let freed = self.table.encode(id, |entry| {
            entry.batch.records = entry.batch.records.saturating_sub(gone);
            replace(&mut entry.batch, gone)
        });
        self.protocol.let_go(freed.unwrap_or_default());
    }

    fn apply_failed(&mut self, lines: encode::FailedLines, since: Option<Moment>) {
        let since = since.unwrap_or_else(|| self.context.clock.moment());
        let lane = Lane::Error(lines.output_type);
        let id = self.open_lane(lane, lines.arrival_ms, since);
        self.note_failed(id, &lines.tally);
        self.table.touch(id, self.context.clock.moment());
        self.table.change(id, |entry| {
            entry.waits_since = entry.waits_since.min(since);
            for (extent, records) in lines.extents {
                entry.batch.push_spooled(true, vec![extent]);
                entry.batch.count(records);
            }
            entry.batch.records += lines.records;
            entry.batch.bytes += lines.bytes;
        });
        // A growing block in front of the lines is frozen now.
        self.encode_filled(id);
        self.close_if_full(id);
    }
}

/// The runs of row groups among the blocks of a batch.
fn runs(blocks: &[Block]) -> Vec<Run> {
    let (mut runs, mut extents, mut records) = (Vec::new(), Vec::new(), 0);
    for block in blocks {
        if block.footer {
            runs.push(Run {
                footer: BlockBytes::of(block),
                extents: std::mem::take(&mut extents),
                records: std::mem::take(&mut records),
            });
        } else if block.encoded {
            extents.extend(&block.extents);
            records += block.records;
        }
    }
    runs
}
