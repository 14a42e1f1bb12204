//! One delivery stream: the only owner of its state.
//!
//! The loop waits for one event, applies it, and restores its invariants: what is due is sealed,
//! what is full is encoded, what changed is checkpointed, what a checkpoint lists is published.
//! Work that takes CPU or I/O is handed out and comes back as an event; nothing else touches the
//! state.

mod commit;
mod encode;
mod event;
mod outputs;
mod publish;
mod recover;
mod route;
mod router;
mod table;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use uuid::Uuid;

use crate::batch::Batch;
use crate::checkpoint::{Lane, SealedObject, Store};
use crate::clock::Clock;
use crate::destination::{Conditional, Destination};
use crate::error::StreamError;
use crate::extent::Extent;
use crate::failpoint;
use crate::failure::{ErrorOutputType, Failure};
use crate::format::Shape;
use crate::journal::Journal;
use crate::position::Position;
use crate::spool::Spool;
use crate::telemetry::{StreamMetrics, StreamState};

use commit::{CheckpointError, Committed, Draft, DraftBatch};
use encode::{Done, EncoderPool, Source, Work};
pub use event::Event;
pub use outputs::{Outputs, lane_name, store_name};
use publish::{Setback, Waiting};
pub use recover::{StreamHome, open_home};
pub use route::{Group, Routed, route};
use table::{Entry, Table, Triggers};

/// A checkpoint is taken at least this often while something changes.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// How often the loop looks at the time when nothing else happens.
const TICK: Duration = Duration::from_millis(100);
/// One encoding job takes about so many raw bytes…
const JOB_BYTES: usize = 1 << 20;
/// …or so many small batches.
const JOB_WORKS: usize = 256;
/// Spool room that reading leaves to encoding, sealing and checkpoints.
const SPOOL_RESERVE: u64 = 32 << 20;
/// Batches sealed early at a time, when the spool is full.
const EARLY_SEALS: usize = 8;

/// What a pipeline is made of; see [`open_home`] for where it comes from.
#[derive(Debug)]
pub struct Parts {
    /// The stream's name.
    pub name: String,
    /// Time.
    pub clock: Clock,
    /// Compiled outputs.
    pub outputs: Arc<Outputs>,
    /// When batches are full.
    pub triggers: (crate::config::BufferingSettings, crate::config::BufferingSettings),
    /// Firehose's limit on open partitions, where wanted.
    pub partition_limit: Option<u64>,
    /// Bound on the spool's bytes.
    pub spool_limit: u64,
    /// Bytes of memory this stream's blocks may take.
    pub memory_limit: usize,
    /// CPU jobs at a time, over all streams.
    pub workers: Arc<Semaphore>,
    /// Counters and the stream's state for the outside.
    pub metrics: Arc<StreamMetrics>,
}

/// The running pipeline of one delivery stream.
#[derive(Debug)]
pub struct Pipeline {
    parts: Parts,
    journal: Journal,
    spool: Arc<Spool>,
    store: Arc<Store>,
    table: Table,
    waiting: Waiting,
    encoders: Arc<EncoderPool>,
    destination: Option<Destination>,
    events: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,
    /// Everything up to it is in the table or beyond.
    frontier: Option<Position>,
    /// The frontier of the last checkpoint that was begun.
    checkpointed: Option<Position>,
    /// Blocks and batches to be encoded, oldest first.
    encode_queue: std::collections::VecDeque<(Uuid, Option<u32>)>,
    encoding: usize,
    /// Batches whose bytes are all final, for the next checkpoint.
    sealed: Vec<Uuid>,
    closed: Vec<Uuid>,
    objects: Vec<SealedObject>,
    published: Vec<Uuid>,
    freed: Vec<Extent>,
    checkpointing: bool,
    last_checkpoint: Instant,
    /// The source has ended: seal everything, publish, stop.
    ending: bool,
}

impl Pipeline {
    /// Runs until the source has ended and everything is published, or until an error. On an error
    /// nothing durable is lost: open the home again.
    pub async fn run(mut self, routed: mpsc::Receiver<Result<Routed, StreamError>>) -> Result<(), StreamError> {
        let result = self.turn(routed).await;
        // Jobs still under way write only what no checkpoint names yet, or repeat what one names.
        while self.checkpointing || self.encoding > 0 || self.waiting.is_busy() {
            match self.inbox.recv().await {
                Some(Event::Checkpointed(_)) => self.checkpointing = false,
                Some(Event::Encoded(_)) => self.encoding -= 1,
                Some(Event::Sent { .. }) => self.waiting.landed(),
                Some(_) => {}
                None => break,
            }
        }
        result
    }

    async fn turn(&mut self, mut routed: mpsc::Receiver<Result<Routed, StreamError>>) -> Result<(), StreamError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.restore_invariants()?;
            if self.is_done() {
                return Ok(());
            }
            let may_read = !self.ending && self.has_room();
            tokio::select! {
                biased;
                Some(event) = self.inbox.recv() => self.apply_event(event)?,
                chunk = routed.recv(), if may_read => match chunk {
                    Some(chunk) => self.apply_chunk(&chunk?),
                    None => self.end(),
                },
                _ = tick.tick() => self.report(),
            }
        }
    }

    /// The sender of this pipeline's events.
    pub fn events(&self) -> mpsc::UnboundedSender<Event> {
        self.events.clone()
    }

    // === Applying records

    fn apply_chunk(&mut self, routed: &Routed) {
        for group in &routed.groups {
            self.apply_group(routed, group);
        }
        self.frontier = Some(routed.frontier);
        failpoint::hit("apply");
    }

    fn apply_group(&mut self, routed: &Routed, group: &Group) {
        let identity = routed.identity(group);
        let id = match self.table.find(group.lane, identity) {
            Some(id) => id,
            None if group.lane == Lane::Data && self.is_over_partition_limit() => {
                return self.refuse_partition(routed, group);
            }
            None => self.open(group.lane, identity, group.arrival_ms),
        };
        if let Lane::Error(output_type) = group.lane {
            self.parts.metrics.failed(output_type, group.records);
        }
        self.append(id, routed.staged(group), group.records, group.bytes);
    }

    fn append(&mut self, id: Uuid, staged: &[u8], records: u64, bytes: u64) {
        let filled =
            self.table.change(id, |entry| entry.batch.append(staged, records, bytes)).flatten();
        if self.table.is_full(id) {
            self.seal(id);
        } else if let Some(serial) = filled && self.shape(id) == Some(Shape::Blocks) {
            self.encode_queue.push_back((id, Some(serial)));
        }
    }

    fn open(&mut self, lane: Lane, identity: &str, arrival_ms: i64) -> Uuid {
        let id = Uuid::new_v4();
        self.table.insert(Entry {
            batch: Batch::open(id, self.parts.clock.now_ms()),
            lane,
            identity: identity.into(),
            target: self.parts.outputs.target(lane, identity, arrival_ms, id),
            arrival_ms,
            sealing: false,
            dirty: false,
        });
        id
    }

    fn is_over_partition_limit(&self) -> bool {
        let open = self.table.open_partitions() as u64;
        self.parts.partition_limit.is_some_and(|limit| open >= limit)
    }

    /// Firehose's way with a partition too many: its records go to the error prefix.
    fn refuse_partition(&mut self, routed: &Routed, group: &Group) {
        let limit = self.parts.partition_limit.unwrap_or_default();
        let failure = Failure::new(
            ErrorOutputType::ActivePartitionExceeded,
            "DynamicPartitioning.ActivePartitionsLimitExceeded",
            format!("{limit} partitions are open, which is the stream's max_open_partitions"),
        );
        let lane = Lane::Error(failure.output_type);
        let id = self.table.find(lane, "");
        let id = id.unwrap_or_else(|| self.open(lane, "", group.arrival_ms));
        let (mut lines, now_ms) = (Vec::new(), self.parts.clock.now_ms());
        for record in routed.records_of(group) {
            failure.write_line(&record, 1, now_ms, &mut lines);
        }
        self.parts.metrics.failed(failure.output_type, group.records);
        self.append(id, &lines, group.records, group.bytes);
    }

    /// Whether another chunk may be applied: memory, encoders and spool have room.
    fn has_room(&self) -> bool {
        let limit = self.parts.memory_limit;
        let spool = self.spool.bytes() + self.table.unspooled() + SPOOL_RESERVE;
        self.table.memory() < limit
            && self.table.unspooled() < (limit / 2) as u64
            && self.encode_queue.len() < 4 * JOB_WORKS
            && spool < self.parts.spool_limit
    }

    fn end(&mut self) {
        self.ending = true;
        for id in self.table.open_ids() {
            self.seal(id);
        }
    }

    // === Events

    fn apply_event(&mut self, event: Event) -> Result<(), StreamError> {
        match event {
            Event::Encoded(done) => {
                self.encoding -= 1;
                for done in done.map_err(|error| state_error("encode a batch", &error))? {
                    self.apply_encoded(done);
                }
            }
            Event::Checkpointed(result) => {
                self.checkpointing = false;
                self.apply_checkpoint((*result).map_err(checkpoint_error)?);
            }
            Event::Claimed { destination, conditional } => self.claim(destination, conditional),
            Event::ClaimStalled(cause) => {
                self.parts.metrics.set_state(StreamState::Stalled { cause });
            }
            Event::Sent { begun, published } => {
                self.waiting.landed();
                for (id, upload) in begun {
                    match upload {
                        Ok(upload_id) => self.objects.extend(self.waiting.set_upload(id, Some(upload_id))),
                        Err(error) => self.set_back(id, error)?,
                    }
                }
                for (id, result) in published {
                    match result {
                        Ok(()) => self.apply_published(id),
                        Err(error) => self.set_back(id, error)?,
                    }
                }
            }
            Event::RetryDue(id) => self.waiting.retry(id),
            Event::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn claim(&mut self, destination: Destination, conditional: Conditional) {
        if conditional == Conditional::No {
            tracing::warn!(
                stream = self.parts.name,
                destination = destination.describe(),
                "the store ignores If-None-Match: a foreign object under one of our keys would be \
                 overwritten; our own keys still never repeat"
            );
        }
        failpoint::hit("recovery-claimed");
        self.parts.metrics.set_state(StreamState::Running);
        self.destination = Some(destination);
    }

    fn apply_encoded(&mut self, done: Done) {
        match done {
            Done::Block { id, serial, encoded } => {
                let freed = self.table.change(id, |entry| entry.batch.replace(serial, encoded));
                self.freed.extend(freed.unwrap_or_default());
                self.finish_if_encoded(id);
            }
            Done::Object { id, extents, records, failed } => {
                for lines in failed {
                    let lane = Lane::Error(lines.output_type);
                    let error_id = self.table.find(lane, "");
                    let error_id =
                        error_id.unwrap_or_else(|| self.open(lane, "", lines.arrival_ms));
                    self.parts.metrics.failed(lines.output_type, lines.records);
                    self.table.change(error_id, |entry| {
                        entry.batch.push_spooled(true, lines.extents);
                        entry.batch.records += lines.records;
                        entry.batch.bytes += lines.bytes;
                    });
                    // While stopping, nothing else would seal what opens now.
                    if self.ending || self.table.is_full(error_id) {
                        self.seal(error_id);
                    }
                }
                let freed = self.table.change(id, |entry| {
                    entry.batch.records = records;
                    entry.batch.replace_all(extents)
                });
                self.freed.extend(freed.unwrap_or_default());
                self.finish_if_encoded(id);
            }
        }
    }

    fn apply_checkpoint(&mut self, committed: Committed) {
        self.freed.extend(commit::settle(&mut self.table, &committed));
        for sealed in committed.sealed {
            self.table.remove(sealed.id);
            self.waiting.add(sealed, self.parts.outputs.store());
        }
        for id in committed.published {
            failpoint::hit("published-after-record");
            if let Some(sealed) = self.waiting.remove(id) {
                self.freed.extend(sealed.extents);
            }
        }
        for object in committed.updated {
            self.waiting.retry(object);
        }
        if self.table.memory() > self.parts.memory_limit / 2 {
            self.table.shed();
        }
        self.parts.metrics.checkpointed(self.last_checkpoint.elapsed());
    }

    fn apply_published(&mut self, id: Uuid) {
        failpoint::hit("published-before-record");
        if let Some(sealed) = self.waiting.publish(id) {
            self.parts.metrics.delivered(sealed, self.parts.clock.now_ms());
            self.published.push(id);
        }
        self.parts.metrics.clear_stall();
    }

    fn set_back(&mut self, id: Uuid, error: crate::destination::PublishError) -> Result<(), StreamError> {
        match self.waiting.set_back(id, error, &self.events) {
            Setback::Retry(cause) => self.parts.metrics.publish_retried(&cause),
            Setback::Stalled(cause) => {
                self.parts.metrics.publish_retried(&cause);
                self.parts.metrics.set_state(StreamState::Stalled { cause });
            }
            Setback::ForgetUpload => self.objects.extend(self.waiting.set_upload(id, None)),
            Setback::Stop { cause, advice } => return Err(StreamError::LoudStop { cause, advice }),
        }
        Ok(())
    }

    // === Invariants

    fn restore_invariants(&mut self) -> Result<(), StreamError> {
        let now_ms = self.parts.clock.now_ms();
        while let Some(id) = self.table.next_due(now_ms) {
            self.seal(id);
        }
        self.seal_early();
        self.dispatch_encoding();
        self.begin_checkpoint();
        if let Some(destination) = &self.destination {
            self.waiting.dispatch(destination, &self.parts.outputs, &self.spool, &self.events);
        }
        Ok(())
    }

    fn shape(&self, id: Uuid) -> Option<Shape> {
        let entry = self.table.get(id)?;
        self.parts.outputs.format(entry.target.format).map(|format| format.shape())
    }

    fn seal(&mut self, id: Uuid) {
        if !self.table.seal(id) {
            return;
        }
        failpoint::hit("seal");
        self.encode_sealed(id);
    }

    /// Queues what a sealed batch still needs before its bytes are final.
    fn encode_sealed(&mut self, id: Uuid) {
        match self.shape(id) {
            Some(Shape::Whole) => self.encode_queue.push_back((id, None)),
            _ => {
                let Some(entry) = self.table.get(id) else { return };
                let raw = entry.batch.blocks.iter().filter(|block| !block.encoded);
                let queued: std::collections::HashSet<u32> = self
                    .encode_queue
                    .iter()
                    .filter_map(|(queued, serial)| serial.filter(|_| *queued == id))
                    .collect();
                let serials: Vec<u32> = raw
                    .filter(|block| !block.is_empty() && !block.is_encoding())
                    .map(|block| block.serial)
                    .filter(|serial| !queued.contains(serial))
                    .collect();
                self.encode_queue.extend(serials.into_iter().map(|serial| (id, Some(serial))));
                self.finish_if_encoded(id);
            }
        }
    }

    fn finish_if_encoded(&mut self, id: Uuid) {
        let Some(entry) = self.table.get(id) else { return };
        if !entry.sealing || !entry.batch.is_encoded() {
            return;
        }
        if entry.batch.records == 0 {
            // Nothing fitted: there is no object, only the failed records elsewhere.
            self.table.remove(id);
            self.closed.push(id);
        } else {
            self.sealed.push(id);
        }
    }

    /// When reading has stopped for want of room and nothing waits to be published, only sealing
    /// gives room back.
    fn seal_early(&mut self) {
        let full = self.spool.bytes() + self.table.unspooled() + SPOOL_RESERVE
            >= self.parts.spool_limit;
        let idle = self.waiting.is_empty()
            && self.encode_queue.is_empty()
            && self.encoding == 0
            && self.sealed.is_empty()
            && !self.checkpointing;
        if full && idle {
            for id in self.table.largest(EARLY_SEALS) {
                self.parts.metrics.sealed_early();
                self.seal(id);
            }
        }
    }

    fn dispatch_encoding(&mut self) {
        while self.encoding <= self.parts.workers.available_permits() && !self.encode_queue.is_empty() {
            let (works, hash) = self.next_works();
            if works.is_empty() {
                continue;
            }
            self.encoding += 1;
            let (pool, spool) = (Arc::clone(&self.encoders), Arc::clone(&self.spool));
            let (workers, events) = (Arc::clone(&self.parts.workers), self.events.clone());
            let now_ms = self.parts.clock.now_ms();
            tokio::spawn(async move {
                let permit = workers.acquire_owned().await;
                let job = tokio::task::spawn_blocking(move || {
                    let _permit = permit;
                    encode::run(works, hash, &pool, &spool, now_ms)
                });
                let done = job.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
                let _ = events.send(Event::Encoded(done));
            });
        }
    }

    /// Takes works of one format from the queue, up to one job's worth.
    fn next_works(&mut self) -> (Vec<Work>, u64) {
        let (mut works, mut bytes, mut hash) = (Vec::new(), 0, None);
        while let Some((id, serial)) = self.encode_queue.front().copied() {
            let Some(entry) = self.table.get(id) else {
                self.encode_queue.pop_front();
                continue;
            };
            let format_hash = entry.target.format;
            if works.len() >= JOB_WORKS || bytes >= JOB_BYTES || hash.is_some_and(|hash| hash != format_hash) {
                break;
            }
            self.encode_queue.pop_front();
            let Some(format) = self.parts.outputs.format(format_hash).cloned() else { continue };
            hash = Some(format_hash);
            let work = match serial {
                Some(serial) => {
                    let Some(first) = entry.batch.blocks.iter().position(|block| block.serial == serial)
                    else {
                        continue;
                    };
                    let source = Source::of(&entry.batch.blocks[first]);
                    bytes += source.len();
                    Work::Block { id, serial, first: first == 0, source, format }
                }
                None => {
                    let sources: Vec<Source> = entry.batch.blocks.iter().map(Source::of).collect();
                    bytes += sources.iter().map(Source::len).sum::<usize>();
                    Work::Object { id, sources, format }
                }
            };
            if let Some(serial) = serial {
                self.table.settle(id, |entry| entry.batch.mark_encoding(serial));
            }
            works.push(work);
        }
        (works, hash.unwrap_or_default())
    }

    fn begin_checkpoint(&mut self) {
        let changed = self.table.is_dirty()
            || self.frontier != self.checkpointed
            || !self.closed.is_empty()
            || !self.published.is_empty();
        let urgent = !self.sealed.is_empty()
            || !self.objects.is_empty()
            || !self.published.is_empty()
            || self.ending
            || self.table.unspooled() >= (self.parts.memory_limit / 4) as u64;
        let due = self.last_checkpoint.elapsed() >= CHECKPOINT_EVERY;
        if self.checkpointing || !(changed && (urgent || due) || !self.objects.is_empty()) {
            return;
        }
        let draft = self.draft();
        let updated = draft.objects.iter().map(|object| object.id).collect();
        self.checkpointing = true;
        self.last_checkpoint = Instant::now();
        let (spool, store) = (Arc::clone(&self.spool), Arc::clone(&self.store));
        let (journal, events) = (self.journal.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let result = commit::commit(draft, updated, &spool, &store, &journal);
            let _ = events.send(Event::Checkpointed(Box::new(result)));
        });
    }

    fn draft(&mut self) -> Draft {
        let sparse = if self.spool.bytes() > 2 * self.spool.live_bytes() + 4 * SPOOL_RESERVE {
            self.spool.sparse_files()
        } else {
            std::collections::BTreeSet::new()
        };
        let moved = |extent: &Extent| sparse.contains(&extent.file);
        if !sparse.is_empty() {
            self.table.mark(|entry| {
                entry.batch.blocks.iter().flat_map(|block| &block.extents).any(moved)
            });
        }
        let sealed: std::collections::HashSet<Uuid> = self.sealed.drain(..).collect();
        let dirty = self.table.take_dirty();
        let batches = dirty
            .into_iter()
            .filter_map(|id| self.table.get(id))
            .map(|entry| DraftBatch::of(entry, sealed.contains(&entry.batch.id), &moved))
            .collect();
        self.checkpointed = self.frontier;
        Draft {
            frontier: self.frontier,
            batches,
            closed: std::mem::take(&mut self.closed),
            objects: std::mem::take(&mut self.objects),
            published: std::mem::take(&mut self.published),
            freed: std::mem::take(&mut self.freed),
        }
    }

    fn is_done(&self) -> bool {
        self.ending
            && self.table.len() == 0
            && self.waiting.is_empty()
            && !self.checkpointing
            && !self.waiting.is_busy()
            && self.frontier == self.checkpointed
            && self.closed.is_empty()
            && self.published.is_empty()
    }

    fn report(&self) {
        let oldest = [self.table.oldest_arrival_ms(), self.waiting.oldest_arrival_ms()];
        self.parts.metrics.observe(&crate::telemetry::Observation {
            open_partitions: self.table.open_partitions() as u64,
            waiting_objects: self.waiting.len() as u64,
            stranded_objects: self.waiting.stranded() as u64,
            journal_bytes: self.journal.bytes(),
            spool_bytes: self.spool.bytes(),
            memory_bytes: self.table.memory() as u64,
            frontier: self.frontier,
            oldest_arrival_ms: oldest.into_iter().flatten().min(),
        });
    }
}

fn checkpoint_error(error: CheckpointError) -> StreamError {
    match error {
        CheckpointError::Io(error) => state_error("write a checkpoint", &error),
        CheckpointError::Store(error) => {
            StreamError::State { action: "write a checkpoint", cause: error.to_string() }
        }
    }
}

/// Damage needs a person; everything else is settled by recovering from what is durable.
fn state_error(action: &'static str, error: &std::io::Error) -> StreamError {
    if error.kind() == std::io::ErrorKind::InvalidData {
        return StreamError::LoudStop {
            cause: format!("{action}: {error}"),
            advice: "the disk under state_dir has damaged spooled records: see to the disk".into(),
        };
    }
    StreamError::State { action, cause: error.to_string() }
}
