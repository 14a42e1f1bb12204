//! The open and sealing batches of one stream.

mod due;
pub(super) mod pace;
mod size;
pub(super) mod watermark;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use crate::batch::{Batch, Block};
use crate::checkpoint::{Lane, OpenBatch, Target, Window};
use crate::clock::{Clock, Moment};
use due::Dues;
pub(super) use due::Triggers;
use pace::Pace;
use size::Yields;
use watermark::Watermark;

/// Bytes of memory that an entry takes beside its blocks, for the budget (measured: identity, key,
/// two maps and two queues).
const ENTRY_BYTES: usize = 800;

/// A batch and what the pipeline knows about it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its bytes.
    pub batch: Batch,
    /// Which kind of output it collects.
    pub lane: Lane,
    /// Its partition.
    pub identity: Box<str>,
    /// Where it will be published, fixed when it opened.
    pub target: Target,
    /// Arrival of its first record, by the wall clock: for names.
    pub arrival_ms: i64,
    /// When what it takes has arrived, where that matters.
    pub window: Option<Window>,
    /// When its partition is over by the time of events, where it is sealed then.
    pub partition_ends: Option<i64>,
    /// When it is to be sealed at the latest.
    pub ends: Moment,
    /// When something came to it for the last time.
    pub touched: Moment,
    /// When it is looked at whether it is to be sealed.
    pub looked_at: Moment,
    /// Since when its first record waits.
    pub waits_since: Moment,
    /// Set when no record may be added any more.
    pub sealing: bool,
    /// When the next step of its multipart upload is tried.
    pub pace: Pace,
    /// Set while it is in the list of changed batches.
    pub dirty: bool,
}

impl Entry {
    /// Whether a block's bytes are worth moving to another file. Raw blocks of a sealed batch are
    /// not: they are being encoded, and nobody needs them afterwards.
    pub(super) fn outlasts(&self, block: &Block) -> bool {
        !self.sealing || block.encoded || block.footer
    }
}

/// The open batches of one partition, or lane: one, but where windows of arrival follow each other.
#[derive(Debug)]
struct OpenIds {
    first: Uuid,
    others: Vec<Uuid>,
}

impl OpenIds {
    const fn of(first: Uuid) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }

    fn ids(&self) -> impl Iterator<Item = Uuid> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    /// Takes one out. False: none is left, and this is to be thrown away.
    fn remove(&mut self, id: Uuid) -> bool {
        if self.first != id {
            self.others.retain(|other| *other != id);
            return true;
        }
        let next = self.others.pop();
        self.first = next.unwrap_or_default();
        next.is_some()
    }
}

/// All batches of a stream that are not durably sealed yet.
#[derive(Debug)]
pub(super) struct BatchTable {
    entries: HashMap<Uuid, Entry, foldhash::fast::RandomState>,
    /// Open data batches by partition.
    data: HashMap<Box<str>, OpenIds, foldhash::fast::RandomState>,
    /// Open backup and error batches.
    others: HashMap<Lane, OpenIds>,
    /// Ids in the order of opening. Sealed ones are passed over.
    opened: VecDeque<Uuid>,
    dues: Dues,
    /// How far the time of events has come.
    watermark: Watermark,
    /// Batches that take no more records.
    sealing: HashSet<Uuid>,
    dirty: Vec<Uuid>,
    triggers: Triggers,
    yields: Yields,
    memory: usize,
    unspooled: u64,
}

impl BatchTable {
    /// A table without batches.
    pub(super) fn new(triggers: Triggers) -> Self {
        Self {
            entries: HashMap::default(),
            data: HashMap::default(),
            others: HashMap::new(),
            opened: VecDeque::new(),
            dues: Dues::default(),
            watermark: Watermark::new(triggers.lateness),
            sealing: HashSet::new(),
            dirty: Vec::new(),
            triggers,
            yields: Yields::default(),
            memory: 0,
            unspooled: 0,
        }
    }

    /// The open batch of a partition that takes what arrived in this window.
    pub(super) fn find(&self, lane: Lane, identity: &str, window: Option<Window>) -> Option<Uuid> {
        let open = match lane {
            Lane::Data => self.data.get(identity),
            _ => self.others.get(&lane),
        };
        let takes = |id: &Uuid| self.get(*id).is_some_and(|entry| entry.window == window);
        open?.ids().find(takes)
    }

    /// Whether a batch of data is open of this partition.
    pub(super) fn is_open(&self, identity: &str) -> bool {
        self.data.contains_key(identity)
    }

    /// Events up to this second have been applied; a later one that was told before is still the newest.
    pub(super) fn learn_event(&mut self, newest: Option<i64>) {
        self.watermark.learn(newest);
    }

    /// The second of the newest event, for a checkpoint.
    pub(super) const fn newest_event(&self) -> Option<i64> {
        self.watermark.newest()
    }

    /// The second of the watermark; `None`: there is none yet.
    pub(super) fn watermark(&self) -> Option<i64> {
        self.watermark.second()
    }

    /// Whether a partition that ends then is over.
    pub(super) fn is_over(&self, partition_ends: i64) -> bool {
        self.watermark.has_passed(partition_ends)
    }

    /// How long a batch may stay open that opens when the wall clock shows `opened_ms`.
    pub(super) fn wait(&self, lane: Lane, window: Option<Window>, opened_ms: i64) -> Duration {
        self.triggers.wait(lane, window, opened_ms)
    }

    /// Adds a batch; an open one is found by its partition from now on.
    pub(super) fn insert(&mut self, mut entry: Entry) {
        let id = entry.batch.id;
        if entry.sealing {
            self.sealing.insert(id);
        } else {
            let open = match entry.lane {
                Lane::Data => self.data.get_mut(&entry.identity),
                lane => self.others.get_mut(&lane),
            };
            match (open, entry.lane) {
                (Some(open), _) => open.others.push(id),
                (None, Lane::Data) => {
                    self.data.insert(entry.identity.clone(), OpenIds::of(id));
                }
                (None, lane) => {
                    self.others.insert(lane, OpenIds::of(id));
                }
            }
            self.dues.add(&mut entry, &self.triggers);
            self.opened.push_back(id);
        }
        self.memory += entry.batch.memory() + ENTRY_BYTES;
        self.entries.insert(id, entry);
    }

    /// Adds the batches that a checkpoint names, oldest first. Their ages are what the wall clock makes of
    /// the rows, which it may have been set behind: none waits for longer than its interval from now on.
    pub(super) fn reload(&mut self, mut rows: Vec<OpenBatch>, clock: &Clock) {
        rows.sort_by_key(|row| row.opened_ms);
        for row in rows {
            let mut batch = Batch::open(row.id, row.opened_ms);
            for block in row.blocks {
                match block.raw_sum {
                    Some(raw_sum) => batch.push_summed(block.extents, raw_sum),
                    None if block.footer => batch.push_footer(block.extents),
                    None => batch.push_spooled(block.encoded, block.extents),
                }
                batch.count(block.records.unwrap_or_default());
            }
            if row.sealing {
                // Its record set is fixed: the last block, too, waits to be encoded.
                batch.freeze();
            }
            (batch.records, batch.bytes) = (row.records, row.bytes);
            batch.encoded_from = row.encoded_from;
            let wait = self.wait(row.lane, row.window, row.opened_ms);
            let ends = clock.moment_of(row.opened_ms).after(wait);
            self.insert(Entry {
                batch,
                lane: row.lane,
                identity: row.identity.into(),
                target: row.target,
                arrival_ms: row.arrival_ms,
                window: row.window,
                partition_ends: row.partition_ends,
                ends,
                // Nobody knows by now: silence counts from here on.
                touched: clock.moment(),
                looked_at: ends,
                waits_since: clock.moment_of(row.arrival_ms),
                sealing: row.sealing,
                pace: Pace::default(),
                dirty: false,
            });
        }
    }

    /// Changes a batch, keeps the accounts, and marks it for the next checkpoint.
    pub(super) fn change<T>(
        &mut self,
        id: Uuid,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let (marked, result) = self.settle(id, |entry| {
            (std::mem::replace(&mut entry.dirty, true), change(entry))
        })?;
        if !marked {
            self.dirty.push(id);
        }
        Some(result)
    }

    /// The same without marking: for what a checkpoint itself has changed.
    pub(super) fn settle<T>(
        &mut self,
        id: Uuid,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let entry = self.entries.get_mut(&id)?;
        let before = (entry.batch.memory(), entry.batch.unspooled());
        let result = change(entry);
        self.memory = self.memory + entry.batch.memory() - before.0;
        self.unspooled = self.unspooled + entry.batch.unspooled() - before.1;
        Some(result)
    }

    /// Something has come to a batch.
    pub(super) fn touch(&mut self, id: Uuid, now: Moment) {
        if self.triggers.mind_silence()
            && let Some(entry) = self.entries.get_mut(&id)
        {
            self.dues.touch(entry, now);
        }
    }

    /// Changes a batch whose bytes become final by that, or some of them.
    pub(super) fn encode<T>(
        &mut self,
        id: Uuid,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let (result, lane, made, of) = self.change(id, |entry| {
            let (made, staged) = entry.batch.lens();
            let result = change(entry);
            let after = entry.batch.lens();
            let of = staged.saturating_sub(after.1);
            entry.batch.encoded_from += of;
            (result, entry.lane, after.0.saturating_sub(made), of)
        })?;
        self.yields.learn(lane, made, of);
        Some(result)
    }

    /// Closes a batch for records: its record set is fixed. False if it was closed before.
    pub(super) fn seal(&mut self, id: Uuid) -> bool {
        let sealed = self.change(id, |entry| {
            entry.batch.freeze();
            !std::mem::replace(&mut entry.sealing, true)
        });
        let (Some(true), Some(entry)) = (sealed, self.entries.get(&id)) else {
            return false;
        };
        self.dues.remove(entry);
        self.sealing.insert(id);
        if entry.lane == Lane::Data {
            let open = self.data.get_mut(&entry.identity);
            if open.is_some_and(|open| !open.remove(id)) {
                self.data.remove(&entry.identity);
            }
        } else {
            let open = self.others.get_mut(&entry.lane);
            if open.is_some_and(|open| !open.remove(id)) {
                self.others.remove(&entry.lane);
            }
        }
        let is_open = |id: &mut Uuid| self.entries.get(id).is_some_and(|entry| !entry.sealing);
        while self.opened.pop_front_if(|id| !is_open(id)).is_some() {}
        true
    }

    /// Takes a batch out for good.
    pub(super) fn remove(&mut self, id: Uuid) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.sealing.remove(&id);
        self.dues.remove(&entry);
        self.memory -= entry.batch.memory() + ENTRY_BYTES;
        self.unspooled -= entry.batch.unspooled();
        Some(entry)
    }

    /// A batch by its id.
    pub(super) fn get(&self, id: Uuid) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// An open batch whose partition or interval is over, or to which nothing more has come for long enough.
    /// It is named again until it is sealed.
    pub(super) fn next_due(&mut self, now: Moment) -> Option<Uuid> {
        let over = self.dues.next_over(&self.watermark);
        if over.is_some() {
            return over;
        }
        while let Some(id) = self.dues.next(now) {
            let entry = self.entries.get_mut(&id)?;
            if self.dues.look(entry, &self.triggers, now) {
                return Some(id);
            }
        }
        None
    }

    /// Whether an open batch has reached its size.
    pub(super) fn is_full(&self, id: Uuid) -> bool {
        let open = self.get(id).filter(|entry| !entry.sealing);
        open.is_some_and(|entry| {
            let buffering = self.triggers.lane(entry.lane);
            self.yields.is_full(buffering, entry.lane, &entry.batch)
        })
    }

    /// The open batch with the largest `size` of those that have one.
    pub(super) fn largest_by<T: Ord>(&self, size: impl Fn(&Entry) -> Option<T>) -> Option<Uuid> {
        let open = self.entries.values().filter(|entry| !entry.sealing);
        let sizes = open.filter_map(|entry| Some((size(entry)?, entry.batch.id)));
        sizes.max().map(|(_, id)| id)
    }

    /// Open batches of which `wanted` is true, largest first: `count` of them.
    pub(super) fn largest(&self, count: usize, wanted: impl Fn(&Entry) -> bool) -> Vec<Uuid> {
        let wanted = |entry: &&Entry| !entry.sealing && wanted(entry);
        let open = self.entries.values().filter(wanted);
        let mut sizes: Vec<(u64, Uuid)> = open
            .map(|entry| (entry.batch.bytes, entry.batch.id))
            .collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.into_iter().take(count).map(|(_, id)| id).collect()
    }

    /// Every batch.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Ids of all open batches.
    pub(super) fn open_ids(&self) -> Vec<Uuid> {
        self.entries
            .values()
            .filter(|entry| !entry.sealing)
            .map(|entry| entry.batch.id)
            .collect()
    }

    /// Takes the list of batches that changed since the last call.
    pub(super) fn take_dirty(&mut self) -> Vec<Uuid> {
        let dirty = std::mem::take(&mut self.dirty);
        for id in &dirty {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.dirty = false;
            }
        }
        dirty
    }

    /// Marks the batches of which `wanted` is true.
    pub(super) fn mark(&mut self, wanted: impl Fn(&Entry) -> bool) {
        for (id, entry) in &mut self.entries {
            if !entry.dirty && wanted(entry) {
                entry.dirty = true;
                self.dirty.push(*id);
            }
        }
    }

    /// Drops from memory what the spool holds: full blocks, or those that grow on too.
    pub(super) fn shed(&mut self, growing: bool) {
        for entry in self.entries.values_mut() {
            let before = entry.batch.memory();
            entry.batch.shed(growing);
            self.memory = self.memory + entry.batch.memory() - before;
        }
    }

    /// Whether something changed since the last checkpoint was put together.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Bytes of memory held.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Bytes that are in no extent yet.
    pub(super) const fn unspooled(&self) -> u64 {
        self.unspooled
    }

    /// Number of batches, sealing ones included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no batch.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of open data batches.
    pub(super) fn open_partitions(&self) -> usize {
        self.data.len()
    }

    /// Since when the oldest record waits that is not durably sealed.
    pub(super) fn waits_since(&self) -> Option<Moment> {
        // Batches open in order of arrival, near enough for a gauge; sealing ones are few.
        let open = self.opened.iter().filter_map(|id| self.entries.get(id));
        let open = open.filter(|entry| !entry.sealing).take(1);
        let sealing = (self.sealing.iter()).filter_map(|id| self.entries.get(id));
        open.chain(sealing).map(|entry| entry.waits_since).min()
    }
}

#[cfg(test)]
mod tests;
