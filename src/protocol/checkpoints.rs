//! Checkpoints: what one takes in, and what is allowed when it is durable. What types can hold they hold: bytes to be
//! freed, records to be released, objects and rows come out of a checkpoint that its store has taken, and of no other.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::{Changes, Named, Object, Protocol, Stands, must};
use crate::checkpoint::{Commit, OpenBatch, SealedObject};
use crate::error::StreamError;
use crate::extent::Extent;
use crate::schema::SchemaVersion;
use crate::shard::{ShardId, ShardState};

/// A checkpoint, put together. It counts for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Draft {
    changes: Changes,
    sealed: BTreeSet<Uuid>,
    closed: Vec<Uuid>,
    objects: Vec<SealedObject>,
    published: Vec<Uuid>,
    refused: BTreeSet<Uuid>,
    freed: Vec<Extent>,
}

/// A checkpoint, for its store. Where that fails the outcome is unknown, and the stream recovers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction(Durable);

/// A checkpoint that is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Durable {
    commit: Commit,
    /// So many of its objects are new; the others have a new row.
    new: usize,
    freed: Vec<Extent>,
}

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
        let changed = std::mem::take(&mut self.changed).into_iter();
        let objects = changed.filter_map(|id| {
            let object = self.objects.get_mut(&id)?;
            object.stands = Stands::Naming;
            Some(object.row.clone())
        });
        Some(Draft {
            objects: objects.collect(),
            sealed,
            changes: self.frontiers.take(),
            closed: std::mem::take(&mut self.closed),
            published: self.unlist(),
            refused: std::mem::take(&mut self.refused),
            freed: std::mem::take(&mut self.dead),
        })
    }

    /// Takes over that a checkpoint is durable.
    pub fn durable(&mut self, durable: Durable) -> Result<Allowed, StreamError> {
        let Durable { commit, new, .. } = durable;
        let mut rows = commit.sealed.into_iter();
        let mut allowed = Allowed::default();
        let making = self.making.take().unwrap_or_default();
        for row in rows.by_ref().take(new) {
            let is_ours = making.contains(&row.id) && !self.objects.contains_key(&row.id);
            must("C1: a batch becomes one object", is_ours, || {
                row.target.location()
            })?;
            self.uploads.remove(&row.id);
            allowed.listed.push(row.id);
            self.objects.insert(row.id, Object::listed(row, None));
        }
        for row in rows {
            let object = self.stands(row.id, Stands::Naming)?;
            must(
                "C1: what is sent is what is listed",
                object.row == row,
                || row.target.location(),
            )?;
            object.stands = Stands::Listed;
            allowed.updated.push(row.id);
        }
        for id in commit.published {
            self.forget(id)?;
            allowed.recorded.push(id);
        }
        let open = commit.open.into_iter().filter(|row| row.final_len() > 0);
        allowed.named = open.map(Named::by_a_durable_checkpoint).collect();
        Ok(allowed)
    }

    /// What a shared checkpoint learns, of `open` batches that it does not list: nothing may be open (C9).
    pub fn hand_over(&mut self, open: usize) -> Result<Changes, StreamError> {
        must(
            "C9: what a shared checkpoint has passed is in its objects",
            open == 0,
            || format!("{open} batches are open"),
        )?;
        Ok(self.frontiers.take())
    }

    /// What the next checkpoint lists no more: what is visible.
    pub fn unlist(&mut self) -> Vec<Uuid> {
        let published = std::mem::take(&mut self.published);
        for id in &published {
            if let Some(object) = self.objects.get_mut(id) {
                object.stands = Stands::Recording;
            }
        }
        published
    }

    /// Batches whose bytes are all final; where no checkpoint names batches, nor the spool.
    pub fn spill(&mut self) -> BTreeSet<Uuid> {
        // What ended without an object was never named.
        self.closed.clear();
        std::mem::take(&mut self.sealed)
    }

    /// Bytes that may be freed at once, unless a job reads them; where no checkpoint names the spool.
    pub fn free_unnamed(&mut self, is_read: bool) -> Vec<Extent> {
        let freed = if is_read { 0..0 } else { 0..self.dead.len() };
        self.dead.drain(freed).collect()
    }
}

impl Draft {
    /// The checkpoint with the rows of changed batches, whose bytes lie in the spool, synced. Those that are
    /// sealed become objects.
    pub fn transaction(self, rows: Vec<OpenBatch>) -> Result<Transaction, StreamError> {
        let mut refused = self.refused;
        let mut commit = Commit {
            shards: self.changes.shards,
            forgotten: self.changes.forgotten,
            source: self.changes.source,
            missing: self.changes.missing,
            closed: self.closed,
            published: self.published,
            ..Commit::default()
        };
        for row in rows {
            refused.remove(&row.id);
            if self.sealed.contains(&row.id) {
                must(
                    "C1: an object is listed in its final bytes",
                    row.is_final(),
                    || row.target.location(),
                )?;
                commit.closed.push(row.id);
                commit.sealed.push(row.into_object());
            } else {
                commit.open.push(row);
            }
        }
        must(
            "C5: an object is forgotten when what its store has refused of it stands elsewhere",
            refused.is_empty(),
            || format!("batches {refused:?} are not named"),
        )?;
        let new = commit.sealed.len();
        commit.sealed.extend(self.objects);
        let freed: HashSet<&Extent> = self.freed.iter().collect();
        let open = commit.open.iter().flat_map(|row| &row.blocks);
        let open = open.flat_map(|block| &block.extents);
        let mut named = open.chain(commit.sealed.iter().flat_map(|row| &row.extents));
        let both = named.find(|extent| freed.contains(extent));
        must(
            "C3: a checkpoint does not name what it frees",
            both.is_none(),
            || format!("{both:?}"),
        )?;
        Ok(Transaction(Durable {
            commit,
            new,
            freed: self.freed,
        }))
    }
}

impl Transaction {
    /// The same with formats that its batches name, by hash, and versions of columns that were learned.
    #[must_use]
    pub fn with_formats(
        mut self,
        formats: Vec<(u64, String)>,
        schemas: Vec<SchemaVersion>,
    ) -> Self {
        self.0.commit.formats = formats;
        self.0.commit.schemas = schemas;
        self
    }

    /// What the store is to make durable.
    pub const fn commit(&self) -> &Commit {
        &self.0.commit
    }

    /// The store has made it durable.
    pub fn durable(self) -> Durable {
        self.0
    }
}

impl Durable {
    /// Bytes that it does not name, and that nothing reads.
    pub fn freed(&self) -> &[Extent] {
        &self.freed
    }

    /// Shards that have got on: what lies behind may go.
    pub fn released(&self) -> &[(ShardId, ShardState)] {
        &self.commit.shards
    }
}
