//! The open and sealing batches of one stream.

use std::collections::{HashMap, HashSet, VecDeque};

use uuid::Uuid;

use super::filling::Pace;
use crate::batch::{Batch, Block};
use crate::checkpoint::{Lane, OpenBatch, Target};
use crate::clock::{Clock, Moment};
use crate::config::BufferingSettings;

/// Bytes of memory that an entry takes beside its blocks, for the budget (measured: identity, key,
/// two maps and the queue).
const ENTRY_BYTES: usize = 640;

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
    /// When it opened.
    pub opened: Moment,
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

/// When batches of a lane are full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Triggers {
    /// For data and error batches.
    pub data: BufferingSettings,
    /// For backup batches.
    pub backup: BufferingSettings,
}

impl Triggers {
    fn of(&self, lane: Lane) -> BufferingSettings {
        if lane == Lane::Backup {
            self.backup
        } else {
            self.data
        }
    }
}

/// All batches of a stream that are not durably sealed yet.
#[derive(Debug)]
pub(super) struct BatchTable {
    entries: HashMap<Uuid, Entry, foldhash::fast::RandomState>,
    /// Open data batches by partition.
    data: HashMap<Box<str>, Uuid, foldhash::fast::RandomState>,
    /// Open backup and error batches.
    others: HashMap<Lane, Uuid>,
    /// Ids in the order of opening: data and errors, then backup. Sealed ones are passed over.
    opened: [VecDeque<Uuid>; 2],
    /// Batches that take no more records.
    sealing: HashSet<Uuid>,
    dirty: Vec<Uuid>,
    triggers: Triggers,
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
            opened: [VecDeque::new(), VecDeque::new()],
            sealing: HashSet::new(),
            dirty: Vec::new(),
            triggers,
            memory: 0,
            unspooled: 0,
        }
    }

    /// The open batch of a partition.
    pub(super) fn find(&self, lane: Lane, identity: &str) -> Option<Uuid> {
        match lane {
            Lane::Data => self.data.get(identity).copied(),
            _ => self.others.get(&lane).copied(),
        }
    }

    /// Adds a batch; an open one is found by its partition from now on.
    pub(super) fn insert(&mut self, entry: Entry) {
        let id = entry.batch.id;
        if entry.sealing {
            self.sealing.insert(id);
        } else {
            match entry.lane {
                Lane::Data => self.data.insert(entry.identity.clone(), id),
                lane => self.others.insert(lane, id),
            };
        }
        self.opened[usize::from(entry.lane == Lane::Backup)].push_back(id);
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
            self.insert(Entry {
                batch,
                lane: row.lane,
                identity: row.identity.into(),
                target: row.target,
                arrival_ms: row.arrival_ms,
                opened: clock.moment_of(row.opened_ms),
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

    /// Closes a batch for records: its record set is fixed. False if it was closed before.
    pub(super) fn seal(&mut self, id: Uuid) -> bool {
        let sealed = self.change(id, |entry| {
            let first = !entry.sealing;
            entry.sealing = true;
            entry.batch.freeze();
            first.then(|| (entry.lane, entry.identity.clone()))
        });
        let Some(Some((lane, identity))) = sealed else {
            return false;
        };
        self.sealing.insert(id);
        match lane {
            Lane::Data => self.data.remove(&identity),
            _ => self.others.remove(&lane),
        };
        true
    }

    /// Takes a batch out for good.
    pub(super) fn remove(&mut self, id: Uuid) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.sealing.remove(&id);
        self.memory -= entry.batch.memory() + ENTRY_BYTES;
        self.unspooled -= entry.batch.unspooled();
        Some(entry)
    }

    /// A batch by its id.
    pub(super) fn get(&self, id: Uuid) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// The next open batch whose interval has passed.
    pub(super) fn next_due(&mut self, now: Moment) -> Option<Uuid> {
        for (queue, buffering) in self
            .opened
            .iter_mut()
            .zip([self.triggers.data, self.triggers.backup])
        {
            while let Some(id) = queue.front().copied() {
                match self.entries.get(&id) {
                    Some(entry) if !entry.sealing => {
                        if entry.opened.until(now) < buffering.interval {
                            break;
                        }
                        queue.pop_front();
                        return Some(id);
                    }
                    _ => queue.pop_front(),
                };
            }
        }
        None
    }

    /// Whether a batch has reached its size.
    pub(super) fn is_full(&self, id: Uuid) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| entry.batch.bytes >= self.triggers.of(entry.lane).size)
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
        let open = (self.opened.iter()).filter_map(|queue| {
            let mut entries = queue.iter().filter_map(|id| self.entries.get(id));
            entries.find(|entry| !entry.sealing)
        });
        let sealing = (self.sealing.iter()).filter_map(|id| self.entries.get(id));
        open.chain(sealing).map(|entry| entry.waits_since).min()
    }
}

#[cfg(test)]
mod tests;
