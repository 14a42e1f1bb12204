//! Sealing: a batch's record set is fixed, its last bytes are encoded, and it is ready for the
//! checkpoint that lists it as an object.

use std::sync::Arc;

use uuid::Uuid;

use super::Pipeline;
use super::encode::{self, Done, JOB_BYTES, JOB_WORKS, Source, Work};
use super::event::Event;
use crate::checkpoint::Lane;
use crate::failpoint;
use crate::format::Shape;

/// Batches sealed early at a time, when there is no room: at least so many…
const EARLY_SEALS_MIN: usize = 8;
/// …or one in so many of those that are open.
const EARLY_SEALS_PART: usize = 8;

impl Pipeline {
    /// How the objects of a batch are encoded.
    pub(super) fn shape(&self, id: Uuid) -> Option<Shape> {
        let format = self.table.get(id)?.target.format;
        self.outputs
            .format(format)
            .map(crate::format::Format::shape)
    }

    /// Fixes a batch's record set.
    pub(super) fn seal(&mut self, id: Uuid) {
        if self.table.seal(id) {
            failpoint::hit("seal");
            self.encode_sealed(id);
        }
    }

    /// Goes on with the batches that recovery has reloaded: some were being sealed, and those of
    /// formats that the config no longer names take no more records (C7).
    pub(super) fn resume_batches(&mut self) {
        for (id, lane, sealing, format) in self.table.summaries() {
            if sealing {
                self.encode_sealed(id);
            } else if format != self.outputs.lane_format(lane) {
                self.seal(id);
            } else if self.shape(id) == Some(Shape::Blocks) {
                self.encode_raw(id);
            }
        }
    }

    /// Queues the full raw blocks of a batch whose blocks are encoded one by one.
    pub(super) fn encode_raw(&mut self, id: Uuid) {
        let raw = self
            .table
            .settle(id, |entry| entry.batch.take_raw())
            .unwrap_or_default();
        self.encode_queue
            .extend(raw.into_iter().map(|serial| (id, Some(serial))));
    }

    fn encode_sealed(&mut self, id: Uuid) {
        if self.shape(id) == Some(Shape::Whole) {
            self.encode_queue.push_back((id, None));
        } else {
            self.encode_raw(id);
            self.finish_if_encoded(id);
        }
    }

    /// Hands a sealed batch to the next checkpoint when its last byte is final and no request of its
    /// upload is under way.
    pub(super) fn finish_if_encoded(&mut self, id: Uuid) {
        let finished = self
            .table
            .get(id)
            .filter(|entry| entry.sealing && entry.batch.is_encoded() && !entry.upload.busy);
        match finished.map(|entry| entry.batch.records) {
            None => {}
            // Nothing fitted: there is no object, only the failed records elsewhere.
            Some(0) => {
                self.table.remove(id);
                self.pending.closed.push(id);
            }
            Some(_) => {
                self.table.change(id, |_| ());
                self.pending.sealed.push(id);
            }
        }
    }

    /// When there is no room to read on and nothing is on its way out, only sealing gives room.
    pub(super) fn seal_early(&mut self) {
        let idle = self.waiting.is_empty()
            && self.encode_queue.is_empty()
            && self.encoding == 0
            && self.filling == 0
            && self.pending.sealed.is_empty()
            && self.table.unspooled() == 0
            && !self.checkpointing;
        if !idle || self.has_room() {
            return;
        }
        let count = EARLY_SEALS_MIN.max(self.table.len() / EARLY_SEALS_PART);
        for id in self.table.largest(count) {
            self.around.status.metrics().sealed_early.add(1);
            self.seal(id);
        }
    }

    /// Hands encoding work to the workers, a bounded number of jobs at a time.
    pub(super) fn dispatch_encoding(&mut self) {
        // On a full disk publishing comes first: it gives room, encoding takes some.
        if self.around.reserve.is_short() && self.waiting.len() > self.waiting.stranded() {
            return;
        }
        while self.encoding < 2 * self.around.workers.threads() && !self.encode_queue.is_empty() {
            let (works, hash) = self.next_works();
            if works.is_empty() {
                continue;
            }
            self.encoding += 1;
            let (pool, spool) = (Arc::clone(&self.encoders), Arc::clone(&self.spool));
            let (events, now_ms) = (self.events.clone(), self.around.clock.now_ms());
            let job = self
                .around
                .workers
                .run(move || encode::run(works, hash, &pool, &spool, now_ms));
            tokio::spawn(async move {
                let panicked = |_| Err(std::io::Error::other("the job panicked"));
                let _ = events.send(Event::Encoded(job.await.unwrap_or_else(panicked)));
            });
        }
    }

    /// Takes works of one format from the queue, one job's worth.
    fn next_works(&mut self) -> (Vec<Work>, u64) {
        let (mut works, mut bytes, mut hash) = (Vec::new(), 0, None);
        while let Some((id, serial)) = self.encode_queue.front().copied() {
            let wanted = self.table.get(id).map(|entry| entry.target.format);
            let mixed = hash.is_some() && wanted.is_some() && hash != wanted;
            if works.len() >= JOB_WORKS || bytes >= JOB_BYTES || mixed {
                break;
            }
            self.encode_queue.pop_front();
            if let Some((work, size)) = self.prepare(id, serial) {
                works.push(work);
                bytes += size;
                hash = wanted;
            }
        }
        (works, hash.unwrap_or_default())
    }

    fn prepare(&self, id: Uuid, serial: Option<u32>) -> Option<(Work, usize)> {
        let entry = self.table.get(id)?;
        let blocks = &entry.batch.blocks;
        let format = self.outputs.format(entry.target.format)?.clone();
        let Some(serial) = serial else {
            let sources: Vec<Source> = blocks.iter().map(Source::of).collect();
            let size = sources.iter().map(Source::len).sum();
            return Some((
                Work::Object {
                    id,
                    sources,
                    format,
                },
                size,
            ));
        };
        let index = blocks.iter().position(|block| block.serial == serial)?;
        let source = Source::of(&blocks[index]);
        let size = source.len();
        Some((
            Work::Block {
                id,
                serial,
                first: index == 0,
                source,
                format,
            },
            size,
        ))
    }

    /// Takes over final bytes, and the records that did not fit, in one turn: one checkpoint
    /// holds both.
    pub(super) fn apply_encoded(&mut self, done: Done) {
        let (id, freed) = match done {
            Done::Block {
                id,
                serial,
                encoded,
            } => (
                id,
                self.table
                    .change(id, |entry| entry.batch.replace(serial, encoded)),
            ),
            Done::Object {
                id,
                extents,
                records,
                failed,
            } => {
                for lines in failed {
                    self.apply_failed(lines);
                }
                let freed = self.table.change(id, |entry| {
                    entry.batch.records = records;
                    entry.batch.replace_all(extents)
                });
                (id, freed)
            }
        };
        self.pending.freed.extend(freed.unwrap_or_default());
        self.finish_if_encoded(id);
    }

    fn apply_failed(&mut self, lines: encode::FailedLines) {
        let id = self.open_lane(Lane::Error(lines.output_type), lines.arrival_ms);
        self.around.status.failed(lines.output_type, lines.records);
        self.table.change(id, |entry| {
            entry.batch.push_spooled(true, lines.extents);
            entry.batch.records += lines.records;
            entry.batch.bytes += lines.bytes;
        });
        // A growing block in front of the lines is frozen now.
        self.encode_raw(id);
        if self.table.is_full(id) {
            self.seal(id);
        }
    }
}
