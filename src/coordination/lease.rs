//! A lease that is held: its checkpoints, and letting go of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::decisions::{Chain, Item as _, Reply, Taken, Write, WriteOutcome};
use super::error::LeaseError;
use super::item::{LeaseCheckpoint, LeaseItem, TableTerms};
use super::rest::Fitness;
use super::resumed::Resumed;
use super::writes::Holder;
use crate::error::with_causes;
use crate::retry;
use crate::shard::ShardId;
use crate::telemetry::CoordinationMetrics;

/// Somebody else holds the lease by now, or may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease of {shard} is lost")]
pub struct Lost {
    /// The shard.
    pub shard: ShardId,
}

/// The lease's item names this checkpoint: its conditional write has returned, or a consistent read has found it there.
/// What a durable checkpoint allows is had for nothing else.
#[derive(Debug)]
pub struct LeaseReceipt<'a>(&'a LeaseCheckpoint);

impl<'a> LeaseReceipt<'a> {
    /// What is durable.
    pub const fn written(self) -> &'a LeaseCheckpoint {
        self.0
    }
}

#[cfg(test)]
impl<'a> LeaseReceipt<'a> {
    /// The same of a lease that is a model.
    pub const fn of_a_model(written: &'a LeaseCheckpoint) -> Self {
        Self(written)
    }
}

/// The lease of a shard. It is renewed until it is released, lost or dropped.
#[derive(Debug)]
pub struct Lease {
    holder: Holder,
    resumed: Resumed,
    chain: Mutex<Chain<TableTerms>>,
    lost: CancellationToken,
    wanted_back: CancellationToken,
    over: CancellationToken,
    metrics: CoordinationMetrics,
    fitness: Arc<Fitness>,
    begun: Instant,
}

/// The tokens of a lease, for whoever renews it.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    /// The lease is lost.
    pub(super) lost: CancellationToken,
    /// It is asked for.
    pub(super) wanted_back: CancellationToken,
    /// Nobody needs it any more.
    pub(super) over: CancellationToken,
    /// When it was taken.
    pub(super) begun: Instant,
}

impl Lease {
    /// The lease that a take has returned.
    pub(super) fn new(
        holder: Holder,
        taken: &Taken<LeaseItem>,
        resumed: Resumed,
        metrics: CoordinationMetrics,
        fitness: Arc<Fitness>,
    ) -> Self {
        Self {
            chain: Mutex::new(Chain::of(holder.tenure.clone(), taken)),
            holder,
            resumed,
            lost: CancellationToken::new(),
            wanted_back: CancellationToken::new(),
            over: CancellationToken::new(),
            metrics,
            fitness,
            begun: Instant::now(),
        }
    }

    /// The shard.
    pub const fn shard(&self) -> &ShardId {
        &self.holder.shard
    }

    /// What to go on from, as the taking write returned it.
    pub const fn resumed(&self) -> &Resumed {
        &self.resumed
    }

    /// Cancelled when the lease is known to be lost, or was not renewed in time: nothing may be written
    /// or published any more that no checkpoint lists, and nothing aborted.
    pub const fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Cancelled when the lease is to be handed over: read no more, write a checkpoint of what is
    /// applied, publish, write one with an empty list, release.
    pub const fn wanted_back(&self) -> &CancellationToken {
        &self.wanted_back
    }

    pub(super) fn signals(&self) -> Signals {
        Signals {
            lost: self.lost.clone(),
            wanted_back: self.wanted_back.clone(),
            over: self.over.clone(),
            begun: self.begun,
        }
    }

    /// Makes a checkpoint durable, whose body and parts are at the destination. Tries and asks until it
    /// knows. Once it has returned, nothing will ever name the preceding body again.
    ///
    /// Whoever drops the future gives the lease up: what became of the checkpoint is then for the next
    /// holder to find, and nothing else is written.
    pub async fn commit<'a>(&self, written: &'a LeaseCheckpoint) -> Result<LeaseReceipt<'a>, Lost> {
        let mut chain = self.chain.lock().await;
        let is_further = written.goes_beyond(chain.last());
        let Some(write) = chain.begin(written.clone()) else {
            return Err(self.lose("a checkpoint before was given up"));
        };
        let mut attempt = 0;
        loop {
            let trying = self.try_commit(&mut chain, &write);
            let settled = tokio::select! {
                biased;
                () = self.lost.cancelled() => WriteOutcome::Lost,
                settled = trying => settled,
            };
            match settled {
                WriteOutcome::Durable => break,
                WriteOutcome::Lost => return Err(self.lose("another worker has taken it")),
                WriteOutcome::NotYet => {
                    attempt += 1;
                    let pause = retry::delay(attempt, retry::TRANSIENT_MAX);
                    tokio::select! {
                        () = self.lost.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
        // A checkpoint that only forgets what is published says nothing of this machine.
        if is_further {
            self.fitness.went_well(self.begun);
        }
        self.metrics.checkpoints.add(1);
        Ok(LeaseReceipt(written))
    }

    async fn try_commit(
        &self,
        chain: &mut Chain<TableTerms>,
        write: &Write<TableTerms>,
    ) -> WriteOutcome {
        let answer = self.holder.write(write).await;
        if let Err(error) = &answer
            && !matches!(error, LeaseError::Refused(_))
        {
            self.tell("write a checkpoint to", error);
        }
        if chain.replied(&Reply::from(answer)) {
            return WriteOutcome::Durable;
        }
        match self.holder.table.get(self.shard()).await {
            Ok(item) => chain.found(item.map(|item| item.facts()).as_ref()),
            Err(error) => {
                self.tell("read", &error);
                WriteOutcome::NotYet
            }
        }
    }

    /// This machine cannot do the holder's work, though another might: its worker leaves leases to others
    /// for the time that is returned, longer with each failure until one of its tenures goes well.
    pub fn failed(&self, cause: String) -> Duration {
        self.fitness.failed(self.begun, cause)
    }

    /// Lets go, so that another worker may take the lease at once. Nothing is to be done with it
    /// afterwards. Where the table does not answer, the lease expires instead.
    pub async fn release(&self) {
        // Kept until it has ended: a checkpoint that lands meanwhile would have it refused.
        let chain = self.chain.lock().await;
        let release = chain.release();
        for attempt in 1.. {
            let released = tokio::select! {
                biased;
                () = self.lost.cancelled() => break,
                released = self.holder.write(&release) => released,
            };
            match released {
                Ok(_) | Err(LeaseError::Refused(_) | LeaseError::NoTable(_)) => break,
                Err(error) => {
                    self.tell("release", &error);
                    let pause = retry::delay(attempt, retry::TRANSIENT_MAX);
                    tokio::time::sleep(pause).await;
                }
            }
        }
        self.over.cancel();
    }

    fn lose(&self, cause: &str) -> Lost {
        if !self.lost.is_cancelled() {
            tracing::warn!(shard = &*self.holder.shard, cause, "the lease is lost");
            self.lost.cancel();
        }
        Lost {
            shard: ShardId::clone(&self.holder.shard),
        }
    }

    fn tell(&self, action: &'static str, error: &LeaseError) {
        let (shard, cause) = (&*self.holder.shard, with_causes(error));
        if let Some(unsaid) = self.holder.table.repeats.due_alike(action, &cause) {
            tracing::warn!(
                shard,
                cause,
                unsaid,
                "cannot {action} the lease, trying again"
            );
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.over.cancel();
    }
}
