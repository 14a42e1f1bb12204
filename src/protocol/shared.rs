//! Checkpoints of a shared stream. No checkpoint names the spool of this machine or a batch that is open: one says how
//! far the source is applied when nothing is open, and lists objects whose bytes are all at the destination (C9).
//!
//! Batches whose bytes are final are written to the spool ([`Spilling`]) and gathered as objects. [`HandOver`] is the
//! next checkpoint with all of them. It becomes a [`SharedTransaction`] when uploads hold their bytes, and is [`Durable`]
//! when the lease has taken it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::checkpoints::{Durable, Transaction, must_be_final};
use super::{Changes, Protocol, must};
use crate::checkpoint::{Commit, OpenBatch, SealedObject};
use crate::coordination::LeaseReceipt;
use crate::error::StreamError;
use crate::extent::Extent;

/// Batches whose bytes are all final, on their way to the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spilling(BTreeSet<Uuid>);

/// A shared checkpoint, put together. It counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HandOver {
    changes: Changes,
    /// What it adds to the list.
    objects: Vec<SealedObject>,
    /// What it lists as the one before did.
    kept: BTreeSet<Uuid>,
    published: Vec<Uuid>,
    /// So many places wait beside the list to be told to a catalog.
    untold: usize,
}

/// A shared checkpoint, for its lease. Where that is lost the outcome is for whoever takes it to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedTransaction {
    transaction: Transaction,
    /// So many objects are on its list, and places wait to be told.
    waiting: usize,
}

impl Protocol {
    /// Batches whose bytes are all final, to be written to the spool.
    pub fn spill(&mut self) -> Spilling {
        // What ended without an object was never named.
        self.closed.clear();
        let sealed = std::mem::take(&mut self.sealed);
        self.spilling.extend(&sealed);
        Spilling(sealed)
    }

    /// An object lies in the spool; the next checkpoint that hands over lists it.
    pub fn gather(&mut self, row: SealedObject) -> Result<(), StreamError> {
        let was_sealed = self.spilling.remove(&row.id);
        must("C9: what is listed was sealed", was_sealed, || {
            row.target.location()
        })?;
        self.spooled.set(row.id, &row.extents);
        self.gathered.insert(row.id, row);
        Ok(())
    }

    /// Puts a checkpoint together that says how far the source is applied, beside which so many batches are `open`:
    /// there must be none, and none whose object is not gathered yet (C9). `None`: one is being made.
    pub fn hand_over(&mut self, open: usize) -> Result<Option<HandOver>, StreamError> {
        if self.making.is_some() {
            return Ok(None);
        }
        let is_all = open == 0 && self.sealed.is_empty() && self.spilling.is_empty();
        must(
            "C9: what a shared checkpoint has passed is in its objects",
            is_all,
            || format!("{open} batches are open"),
        )?;
        let objects = std::mem::take(&mut self.gathered);
        let changes = self.frontiers.take();
        self.listing(changes, objects).map(Some)
    }

    /// Puts one together that says nothing new but what is visible by now. `None`: one is being made.
    pub fn unlist(&mut self) -> Result<Option<HandOver>, StreamError> {
        if self.making.is_some() {
            return Ok(None);
        }
        self.listing(Changes::default(), BTreeMap::new()).map(Some)
    }

    fn listing(
        &mut self,
        changes: Changes,
        objects: BTreeMap<Uuid, SealedObject>,
    ) -> Result<HandOver, StreamError> {
        must(
            "C5: what a store has refused is in the checkpoint that forgets its object",
            self.refused.is_empty(),
            || format!("batches {:?} cannot be named", self.refused),
        )?;
        self.making = Some(objects.keys().copied().collect());
        let published = self.unlisted();
        Ok(HandOver {
            changes,
            objects: objects.into_values().collect(),
            kept: self.unpublished().map(|object| object.id).collect(),
            published,
            untold: 0,
        })
    }

    /// A checkpoint that would say what the one before has said is not made.
    pub fn withdraw(&mut self, nothing_new: HandOver) -> Result<(), StreamError> {
        must(
            "C9: what is gathered is handed over",
            nothing_new.objects.is_empty(),
            || format!("{} objects", nothing_new.objects.len()),
        )?;
        self.making = None;
        self.list_again(nothing_new.published);
        Ok(())
    }

    /// Bytes that were let go and that the spool gives back at once, unless a job may be reading them.
    pub fn free_unnamed(&mut self, is_read: bool) -> Result<Vec<Extent>, StreamError> {
        let freed = if is_read { 0..0 } else { 0..self.dead.len() };
        let freed: Vec<Extent> = self.dead.drain(freed).collect();
        let gathered = freed.iter().find_map(|extent| self.spooled.owner(extent));
        must(
            "C3: what is freed is of no object that is not at the destination",
            gathered.is_none(),
            || format!("{gathered:?}"),
        )?;
        Ok(freed)
    }
}

impl Spilling {
    /// Which batches these are.
    pub fn batches(&self) -> impl Iterator<Item = Uuid> {
        self.0.iter().copied()
    }

    /// The objects that they make, found among the rows of batches whose bytes lie in the spool.
    pub fn objects(
        self,
        rows: impl IntoIterator<Item = OpenBatch>,
    ) -> Result<Vec<SealedObject>, StreamError> {
        let (mut left, mut objects) = (self.0, Vec::new());
        for row in rows {
            if left.remove(&row.id) {
                must_be_final(&row)?;
                objects.push(row.into_object());
            }
        }
        must(
            "C9: every sealed batch becomes an object",
            left.is_empty(),
            || format!("batches {left:?} are not spooled"),
        )?;
        Ok(objects)
    }
}

impl HandOver {
    /// What it says of the source beside what the checkpoint before has said.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Objects that it adds to the list, to be brought to the destination.
    pub fn objects(&self) -> &[SealedObject] {
        &self.objects
    }

    /// The same with so many places of published objects that a catalog is still to be told of: its shard is not done
    /// before they are.
    #[must_use]
    pub const fn with_untold(mut self, places: usize) -> Self {
        self.untold = places;
        self
    }

    /// The checkpoint with its whole list. Of what is new on it all bytes are at the destination, in uploads.
    pub fn transaction(
        self,
        list: impl IntoIterator<Item = SealedObject>,
    ) -> Result<SharedTransaction, StreamError> {
        let (mut kept, mut waiting) = (self.kept, self.untold);
        let objects = self.objects.into_iter();
        let mut gathered: BTreeMap<Uuid, SealedObject> =
            objects.map(|object| (object.id, object)).collect();
        let (mut sealed, mut freed) = (Vec::new(), Vec::new());
        for row in list {
            waiting += 1;
            if kept.remove(&row.id) {
                continue;
            }
            let object = gathered.remove(&row.id);
            let is_prepared = object.is_some_and(|object| {
                freed.extend(&object.extents);
                let prepared = SealedObject {
                    upload_id: row.upload_id.clone(),
                    extents: Vec::new(),
                    ..object
                };
                row == prepared && row.upload_id.is_some()
            });
            must(
                "C9: a shared checkpoint lists objects that are at the destination",
                is_prepared,
                || row.target.location(),
            )?;
            sealed.push(row);
        }
        must(
            "C9: an object is on the list until it is visible",
            kept.is_empty() && gathered.is_empty(),
            || format!("{kept:?} and {gathered:?} are not listed"),
        )?;
        let commit = Commit {
            shards: self.changes.shards,
            forgotten: self.changes.forgotten,
            source: self.changes.source,
            missing: self.changes.missing,
            sealed,
            published: self.published,
            ..Commit::default()
        };
        Ok(SharedTransaction {
            transaction: Transaction::of_prepared(commit, freed),
            waiting,
        })
    }
}

impl SharedTransaction {
    /// What it changes.
    pub const fn commit(&self) -> &Commit {
        self.transaction.commit()
    }

    /// The lease has taken it.
    pub fn leased(self, receipt: LeaseReceipt<'_>) -> Result<Durable, StreamError> {
        let written = receipt.written();
        let said = (written.position, written.ended, written.until_ms);
        let mut shards = self.commit().shards.iter();
        let is_same = shards.all(|(_, of)| (of.position, of.ended, of.until_ms) == said);
        must(
            "C9: the lease says what its checkpoint says",
            is_same && written.waiting == self.waiting,
            || format!("{written:?} of {:?}", self.commit().shards),
        )?;
        Ok(self.transaction.of_lease())
    }
}
