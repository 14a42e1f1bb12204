//! Checkpoints: what one takes in, and what is allowed when it is durable. What types can hold they hold: what a
//! checkpoint allows comes out of [`Durable`], and that is made of a [`Transaction`] and the receipt that its store gives
//! for this very one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use uuid::Uuid;

use super::objects::{Object, Stands};
use super::{Changes, Named, Protocol, must};
use crate::checkpoint::{Commit, OpenBatch, SealedObject, StoreReceipt};
use crate::error::StreamError;
use crate::extent::Extent;
use crate::schema::SchemaVersion;
use crate::shard::{ShardId, ShardState};

/// A checkpoint, put together. It counts for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Draft {
    changes: Changes,
    sealed: BTreeSet<Uuid>,
    /// Those of them that are objects already.
    again: Vec<Uuid>,
    closed: Vec<Uuid>,
    objects: Vec<SealedObject>,
    published: Vec<Uuid>,
    refused: BTreeSet<Uuid>,
    freed: Vec<Extent>,
    /// Batches and objects of which the checkpoint before names bytes that this one frees.
    had: BTreeSet<Uuid>,
    /// The time of the newest event, of which nothing here depends.
    newest_event: Option<i64>,
    /// Changed batches that go with it, and what each was opened with where a checkpoint has named it.
    batches: BTreeMap<Uuid, Option<OpenedWith>>,
}

/// A checkpoint, for its store. Where that fails the outcome is unknown, and the stream recovers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    commit: Commit,
    /// So many of its objects are new; the others have a new row.
    new: usize,
    freed: Vec<Extent>,
    /// All bytes of its new objects are at the destination, and nowhere else when it is durable.
    is_prepared: bool,
}

/// A checkpoint that is durable. There is one of each: it can be neither copied nor made up.
#[derive(Debug)]
pub struct Durable(Transaction);

/// A sum of what is fixed when a batch opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpenedWith(u64);

/// What a durable checkpoint allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Batches that are objects now, to be sent.
    pub listed: Vec<Uuid>,
    /// Objects of which the row had changed, to be sent.
    pub updated: Vec<Uuid>,
    /// Objects that were published, and are forgotten.
    pub recorded: Vec<Uuid>,
    /// Open batches of which parts may be sent.
    pub named: Vec<Named>,
}

impl Protocol {
    /// Whether a checkpoint would hold anything new beside changed batches.
    pub fn has_changes(&self) -> bool {
        self.frontiers.has_changes() || !self.closed.is_empty() || self.has_changed_objects()
    }

    /// Whether something waits for the next checkpoint.
    pub fn is_urgent(&self) -> bool {
        self.frontiers.is_urgent() || self.has_sealed() || self.has_changed_objects()
    }

    fn has_changed_objects(&self) -> bool {
        !self.changed.is_empty() || !self.published.is_empty()
    }

    /// Puts a checkpoint together of all that has happened; one is made at a time. The rows of changed batches,
    /// as they are at this moment, go with it.
    pub fn draft(&mut self) -> Option<Draft> {
        if self.making.is_some() {
            return None;
        }
        let sealed = std::mem::take(&mut self.sealed);
        self.making = Some(sealed.clone());
        let again = sealed.iter().copied();
        let again = again.filter(|id| self.objects.contains_key(id)).collect();
        let changed = std::mem::take(&mut self.changed).into_iter();
        let objects = changed.filter_map(|id| {
            let object = self.objects.get_mut(&id)?;
            object.stands = Stands::Naming;
            Some(object.row.clone())
        });
        Some(Draft {
            objects: objects.collect(),
            sealed,
            again,
            changes: self.frontiers.take(),
            closed: std::mem::take(&mut self.closed),
            published: self.unlisted(),
            refused: std::mem::take(&mut self.refused),
            had: (self.dead.iter())
                .filter_map(|extent| self.spooled.owner(extent))
                .collect(),
            freed: std::mem::take(&mut self.dead),
            newest_event: None,
            batches: BTreeMap::new(),
        })
    }

    /// A changed batch goes with the checkpoint: by its upload, if it has one, which its row is to name.
    pub fn take_in(&self, draft: &mut Draft, id: Uuid) -> Option<String> {
        draft.batches.insert(id, self.opened.get(&id).copied());
        self.upload(id)
    }

    /// Takes over that a checkpoint is durable.
    pub fn durable(&mut self, Durable(durable): Durable) -> Result<Allowed, StreamError> {
        let Transaction {
            commit,
            new,
            is_prepared,
            ..
        } = durable;
        let mut rows = commit.sealed.into_iter();
        let mut allowed = Allowed::default();
        let making = self.making.take().unwrap_or_default();
        for id in &commit.closed {
            self.spooled.forget(*id);
            self.opened.remove(id);
        }
        for row in rows.by_ref().take(new) {
            let is_ours = making.contains(&row.id) && !self.objects.contains_key(&row.id);
            must("C1: a batch becomes one object", is_ours, || {
                row.target.location()
            })?;
            self.uploads.remove(&row.id);
            self.spooled.set(row.id, &row.extents);
            allowed.listed.push(row.id);
            let gone = is_prepared.then_some(0);
            self.objects.insert(row.id, Object::listed(row, gone));
        }
        for row in rows {
            let object = self.stands(row.id, Stands::Naming)?;
            must(
                "C1: what is sent is what is listed",
                object.row == row,
                || row.target.location(),
            )?;
            object.stands = Stands::Listed;
            self.spooled.set(row.id, &row.extents);
            allowed.updated.push(row.id);
        }
        for id in commit.published {
            self.spooled.forget(id);
            self.forget(id)?;
            allowed.recorded.push(id);
        }
        for row in &commit.open {
            self.named(row);
        }
        let open = commit.open.into_iter().filter(|row| row.final_len() > 0);
        allowed.named = open.map(Named::by_a_durable_checkpoint).collect();
        Ok(allowed)
    }

    /// A durable checkpoint names an open batch as this row has it.
    pub(super) fn named(&mut self, row: &OpenBatch) {
        let extents = row.blocks.iter().flat_map(|block| &block.extents);
        self.spooled.set(row.id, extents);
        self.opened.insert(row.id, OpenedWith::of(row));
    }
}

impl OpenedWith {
    fn of(row: &OpenBatch) -> Self {
        let mut sum = DefaultHasher::new();
        let fixed = (row.lane, row.opened_ms, row.window);
        (fixed, &row.identity, &row.target).hash(&mut sum);
        Self(sum.finish())
    }
}

impl Draft {
    /// The same with the time of the newest event that is applied.
    #[must_use]
    pub const fn with_newest_event(mut self, newest_event: Option<i64>) -> Self {
        self.newest_event = newest_event;
        self
    }

    /// The checkpoint with the rows of changed batches, whose bytes lie in the spool, synced. Those that are
    /// sealed become objects.
    pub fn transaction(mut self, rows: Vec<OpenBatch>) -> Result<Transaction, StreamError> {
        must(
            "C1: a batch becomes one object",
            self.again.is_empty(),
            || format!("batches {:?} are objects already", self.again),
        )?;
        let mut commit = Commit {
            shards: self.changes.shards,
            forgotten: self.changes.forgotten,
            source: self.changes.source,
            missing: self.changes.missing,
            closed: self.closed,
            published: self.published,
            newest_event: self.newest_event,
            ..Commit::default()
        };
        for row in rows {
            self.refused.remove(&row.id);
            let before = self.batches.remove(&row.id);
            must(
                "C7: a batch ends with what it was opened with",
                before.is_some_and(|before| before.is_none_or(|of| of == OpenedWith::of(&row))),
                || row.target.location(),
            )?;
            if self.sealed.remove(&row.id) {
                must_be_final(&row)?;
                commit.closed.push(row.id);
                commit.sealed.push(row.into_object());
            } else {
                commit.open.push(row);
            }
        }
        must(
            "C1: a batch whose bytes are final becomes an object",
            self.sealed.is_empty(),
            || format!("batches {:?} have no row", self.sealed),
        )?;
        must(
            "C2: what a checkpoint has passed is in the batches that it names",
            self.batches.is_empty(),
            || format!("batches {:?} have no row", self.batches.keys()),
        )?;
        must(
            "C5: an object is forgotten when what its store has refused of it stands elsewhere",
            self.refused.is_empty(),
            || format!("batches {:?} are not named", self.refused),
        )?;
        let new = commit.sealed.len();
        commit.sealed.extend(self.objects);
        must_not_name(&commit, &self.freed, self.had)?;
        Ok(Transaction {
            commit,
            new,
            freed: self.freed,
            is_prepared: false,
        })
    }
}

/// Nothing that `commit` frees is named when it is durable: neither by a row of its own, nor by one of before that it
/// leaves as it is. Those `had` such bytes.
fn must_not_name(
    commit: &Commit,
    freed: &[Extent],
    mut had: BTreeSet<Uuid>,
) -> Result<(), StreamError> {
    let freed: HashSet<&Extent> = freed.iter().collect();
    let open = commit.open.iter().flat_map(|row| &row.blocks);
    let open = open.flat_map(|block| &block.extents);
    let mut named = open.chain(commit.sealed.iter().flat_map(|row| &row.extents));
    let both = named.find(|extent| freed.contains(extent));
    let rule = "C3: a checkpoint does not name what it frees";
    must(rule, both.is_none(), || format!("{both:?}"))?;
    if !had.is_empty() {
        let rows = commit.open.iter().map(|row| row.id);
        let rows = rows.chain(commit.sealed.iter().map(|row| row.id));
        let gone = commit.closed.iter().chain(&commit.published).copied();
        for id in rows.chain(gone) {
            had.remove(&id);
        }
    }
    must(rule, had.is_empty(), || {
        format!("the rows of {had:?} stay as they are")
    })
}

/// An object is made of bytes that never change any more.
pub(super) fn must_be_final(row: &OpenBatch) -> Result<(), StreamError> {
    must(
        "C1: an object is listed in its final bytes",
        row.is_final(),
        || row.target.location(),
    )
}

impl Transaction {
    /// Of a shared stream: its new objects are at the destination.
    pub(super) fn of_prepared(commit: Commit, freed: Vec<Extent>) -> Self {
        Self {
            new: commit.sealed.len(),
            commit,
            freed,
            is_prepared: true,
        }
    }

    /// The same with formats that its batches name, by hash, and versions of columns that were learned.
    #[must_use]
    pub fn with_formats(
        mut self,
        formats: Vec<(u64, String)>,
        schemas: Vec<SchemaVersion>,
    ) -> Self {
        self.commit.formats = formats;
        self.commit.schemas = schemas;
        self
    }

    /// What the store is to make durable.
    pub const fn commit(&self) -> &Commit {
        &self.commit
    }

    /// Has the store make it durable, which gives a receipt for it.
    pub fn stored<E>(
        self,
        commit: impl for<'a> FnOnce(&'a Commit) -> Result<StoreReceipt<'a>, E>,
    ) -> Result<Durable, E> {
        commit(&self.commit)?;
        Ok(Durable(self))
    }

    /// Its lease has given a receipt for it.
    pub(super) const fn of_lease(self) -> Durable {
        Durable(self)
    }
}

impl Durable {
    /// Bytes that it does not name, and that nothing reads.
    pub fn freed(&self) -> &[Extent] {
        &self.0.freed
    }

    /// Shards that have got on: what lies behind may go.
    pub fn released(&self) -> &[(ShardId, ShardState)] {
        &self.0.commit.shards
    }
}
