//! How checkpoints are made: put together, durable, heard of.

use super::world::{Steps, World, told};
use super::*;
use crate::checkpoint::StoreReceipt;
use crate::coordination::{LeaseCheckpoint, LeaseReceipt};

/// What the store of checkpoints holds, or the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(super) shards: BTreeMap<ShardId, ShardState>,
    pub(super) open: BTreeMap<Uuid, OpenBatch>,
    pub(super) sealed: BTreeMap<Uuid, SealedObject>,
}

/// A checkpoint, whoever keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Writing {
    Local(Transaction),
    Shared(SharedTransaction),
}

impl Store {
    fn commit(&mut self, commit: &Commit) {
        self.shards.extend(commit.shards.iter().cloned());
        for id in commit.closed.iter().chain(&commit.published) {
            self.open.remove(id);
            self.sealed.remove(id);
        }
        let open = commit.open.iter().map(|row| (row.id, row.clone()));
        self.open.extend(open);
        let sealed = commit.sealed.iter().map(|row| (row.id, row.clone()));
        self.sealed.extend(sealed);
    }

    pub(super) fn frontier(&self) -> u64 {
        frontier(self.shards.iter())
    }

    /// What the item of a lease says of this.
    fn written(&self) -> LeaseCheckpoint {
        let state = self.shards.values().next().cloned().unwrap_or_default();
        LeaseCheckpoint {
            body: None,
            position: state.position,
            ended: state.ended,
            waiting: self.sealed.len(),
            until_ms: state.until_ms,
        }
    }
}

fn frontier<'a>(mut shards: impl Iterator<Item = (&'a ShardId, &'a ShardState)>) -> u64 {
    let position = shards.next().and_then(|(_, state)| state.position);
    let sequence = position.and_then(|position| position.sequence.narrow());
    sequence.map_or(0, |sequence| sequence.0)
}

impl Writing {
    const fn commit(&self) -> &Commit {
        match self {
            Self::Local(transaction) => transaction.commit(),
            Self::Shared(transaction) => transaction.commit(),
        }
    }

    /// It is durable, in this store.
    fn durable(self, store: &Store) -> Result<Durable, String> {
        let durable = match self {
            Self::Local(transaction) => {
                transaction.stored(|commit| Ok(StoreReceipt::of_a_model(commit)))
            }
            Self::Shared(transaction) => {
                transaction.leased(LeaseReceipt::of_a_model(&store.written()))
            }
        };
        durable.map_err(|error| told(&error))
    }
}

impl World {
    /// A checkpoint is begun; its store has it; the process hears of it.
    pub(super) fn checkpoint(&self, broken: Broken, next: &mut Vec<Self>) -> Steps {
        let mut world = self.clone();
        if let Some(writing) = world.writing.take() {
            world.store.commit(writing.commit());
            world.written = Some(writing);
        } else if let Some(written) = world.written.take() {
            let durable = written.durable(&world.store)?;
            world.free_and_release(&durable);
            if broken != Broken::PublishBeforeCheckpoint {
                world.hear(durable)?;
            }
        } else if self.odds.shared {
            return self.hand_over(broken, next);
        } else {
            let rows = world.batches.iter().map(|batch| OpenBatch {
                upload_id: world.protocol.upload(batch.id),
                ..batch.clone()
            });
            let mut rows: Vec<OpenBatch> = rows.collect();
            let is_news = world.protocol.has_changes()
                || world.protocol.frees()
                || !rows.iter().eq(self.store.open.values());
            if !is_news {
                return Ok(());
            }
            if broken == Broken::LeaveRowOut {
                world.protocol.spooled = Spooled::default();
                let is_half = |row: &OpenBatch| row.blocks.iter().any(|block| block.encoded);
                rows.retain(|row| row.sealing || !is_half(row));
            }
            let mut draft = world.protocol.draft().ok_or("STOPPED: no draft")?;
            for row in &rows {
                let upload_id = world.protocol.take_in(&mut draft, row.id);
                assert_eq!(upload_id, row.upload_id);
            }
            let transaction = draft.transaction(rows).map_err(|error| told(&error))?;
            let early = Writing::Local(transaction.clone()).durable(&world.store)?;
            match broken {
                Broken::PublishBeforeCheckpoint => world.hear(early)?,
                Broken::ReleaseBeforeCheckpoint => world.release(&early),
                Broken::FreeBeforeCheckpoint => world.freed.extend(early.freed()),
                _ => {}
            }
            world.writing = Some(Writing::Local(transaction));
        }
        next.push(world);
        Ok(())
    }

    fn free_and_release(&mut self, durable: &Durable) {
        self.freed.extend(durable.freed());
        self.release(durable);
    }

    fn release(&mut self, durable: &Durable) {
        let shards = durable.released().iter();
        let up_to = frontier(shards.map(|(shard, state)| (shard, state)));
        self.released = self.released.max(up_to);
    }

    fn hear(&mut self, durable: Durable) -> Steps {
        let allowed = self
            .protocol
            .durable(durable)
            .map_err(|error| told(&error))?;
        self.batches
            .retain(|batch| !allowed.listed.contains(&batch.id));
        self.named = allowed.named;
        Ok(())
    }
}
