//! The task of a shared stream: keeps the table up to the stream, takes leases, has them renewed, and
//! at a stop waits until all have been given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::balance::{self, Candidate};
use super::decisions::{Taking, Took};
use super::error::LeaseError;
use super::item::LeaseItem;
use super::lease::{Lease, Signals};
use super::renewal::{self, EPSILON};
use super::rest::Fitness;
use super::resumed::Resumed;
use super::sync;
use super::table::{LeaseTable, Scanned};
use super::watch::{Age, LeaseWatch};
use super::writes::Holder;
use crate::aws::RequestError;
use crate::clock::Clock;
use crate::config::{CoordinationSettings, StartSettings};
use crate::error::with_causes;
use crate::retry;
use crate::shard::{ShardId, ShardLister};
use crate::telemetry::{CoordinationMetrics, SourceHealth};

/// How often shards are listed when nothing asks for it.
const LIST_EVERY: Duration = Duration::from_mins(1);
/// The part of the source's health that is the lease table's.
const TABLE: &str = "lease table";
/// The part of the source's health that is the list of shards.
const SHARDS: &str = "shards";

/// What sharing a stream needs of the process.
#[derive(Clone)]
pub struct LeaseContext {
    /// The delivery stream, for messages.
    pub stream: String,
    /// What a stream of the source is called: `Kinesis stream`.
    pub noun: &'static str,
    /// Where reading begins when the table holds nothing of the stream.
    pub start: StartSettings,
    /// Time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: CoordinationMetrics,
    /// Told what keeps leases from being taken.
    pub health: Arc<SourceHealth>,
    /// Asks the stream for its shards.
    pub shards: Arc<dyn ShardLister>,
}

/// What has happened to a lease.
#[derive(Debug)]
pub enum LeaseEvent {
    /// A lease was taken. Its shard is to be read from what [`Lease::resumed`] says, until the shard's
    /// end, [`Lease::lost`] or [`Lease::wanted_back`]; then the lease is released, or dropped where it
    /// is lost. It is not taken again before.
    Taken(Arc<Lease>),
}

/// Shares the stream until `stop`, then asks for all leases and waits until they are released or
/// dropped. They are renewed all the while.
pub async fn run(
    settings: CoordinationSettings,
    context: LeaseContext,
    stop: CancellationToken,
    events: mpsc::Sender<LeaseEvent>,
) {
    let worker = settings.worker.clone().unwrap_or_else(drawn_name);
    tracing::info!(
        stream = context.stream,
        worker,
        table = settings.table,
        "sharing the stream with the workers of its lease table"
    );
    let fitness = Fitness::new(settings.failover, Arc::clone(&context.health));
    let mut task = LeaseTask {
        settings,
        context,
        worker,
        table: None,
        watch: LeaseWatch::default(),
        fitness: Arc::new(fitness),
        listed: None,
        next_listing: Instant::now(),
        held: BTreeMap::new(),
        renewals: JoinSet::new(),
        random: fastrand::Rng::new(),
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = task.work(&events) => {}
    }
    task.give_back().await;
}

/// Everything that the lease table holds of shards, by shard.
pub async fn list(settings: &CoordinationSettings) -> Result<Scanned, LeaseError> {
    let mut scanned = LeaseTable::connect(settings).await?.scan().await?;
    let by_shard = |one: &LeaseItem, other: &LeaseItem| one.shard.cmp(&other.shard);
    scanned.items.sort_by(by_shard);
    scanned.unreadable.sort();
    Ok(scanned)
}

/// A name that no other process has.
pub fn drawn_name() -> String {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), Uuid::new_v4())
}

struct LeaseTask {
    settings: CoordinationSettings,
    context: LeaseContext,
    worker: String,
    /// Once it has been found ready.
    table: Option<LeaseTable>,
    watch: LeaseWatch,
    fitness: Arc<Fitness>,
    /// The shards of the last listing.
    listed: Option<BTreeSet<ShardId>>,
    next_listing: Instant,
    held: BTreeMap<ShardId, Signals>,
    /// One for each lease that is held; ends when it is over.
    renewals: JoinSet<ShardId>,
    random: fastrand::Rng,
}

impl LeaseTask {
    async fn work(&mut self, events: &mpsc::Sender<LeaseEvent>) {
        let every = self.settings.failover + EPSILON;
        let (mut next, mut attempt) = (Instant::now(), 0);
        loop {
            self.count();
            tokio::select! {
                Some(over) = self.renewals.join_next() => {
                    // Its children may be there by now, or it is to be taken anew.
                    self.forget(over);
                    self.next_listing = Instant::now();
                    next = next.min(Instant::now() + every / 10);
                }
                () = sleep_until(next) => match self.round(events).await {
                    Ok(()) => {
                        attempt = 0;
                        next = Instant::now() + every;
                    }
                    Err(error) => {
                        attempt += 1;
                        self.tell(TABLE, with_causes(&error));
                        let most = match error {
                            LeaseError::Permanent(_) => retry::PERMANENT_MAX,
                            _ => retry::TRANSIENT_MAX,
                        };
                        next = Instant::now() + retry::delay(attempt, most);
                    }
                },
            }
        }
    }

    /// Asks for all leases, and waits for them.
    async fn give_back(&mut self) {
        for signals in self.held.values() {
            signals.wanted_back.cancel();
        }
        while let Some(over) = self.renewals.join_next().await {
            self.forget(over);
            self.count();
        }
    }

    fn forget(&mut self, over: Result<ShardId, tokio::task::JoinError>) {
        match over {
            Ok(shard) => drop(self.held.remove(&shard)),
            Err(panic) => tracing::error!(cause = %panic, "the renewal of a lease has failed"),
        }
    }

    fn count(&self) {
        let held = self.held.values();
        let held = held.filter(|signals| !signals.lost.is_cancelled());
        self.context.metrics.held.set(held.count());
    }

    /// Tells what is wrong with a part, and that it is tried again.
    fn tell(&self, part: &str, cause: String) {
        let stream = &self.context.stream;
        if let Some(unsaid) = self.context.health.repeats().due("sharing", &cause) {
            tracing::warn!(stream, cause, unsaid, "the stream cannot be shared");
        }
        self.context.health.failing(part, cause);
    }

    /// Looks at the whole table and takes what is this worker's to take.
    async fn round(&mut self, events: &mpsc::Sender<LeaseEvent>) -> Result<(), LeaseError> {
        let table = self.ready_table().await?;
        let mut scanned = table.scan().await;
        if let Ok(found) = &scanned
            && Instant::now() >= self.next_listing
            && self.sync(&table, &found.items).await?
        {
            scanned = table.scan().await;
        }
        if let Err(LeaseError::NoTable(cause)) = scanned {
            // A new one would know nothing of what is delivered.
            return Err(LeaseError::Permanent(cause.advised(
                "the lease table has gone while it was used: restore it, or restart all daemons, and reading \
                 begins again at `start`",
            )));
        }
        let scanned = scanned?;
        match scanned.unreadable.first() {
            Some(fault) => self.tell(TABLE, format!("{}: {fault}: mend the item", table.named())),
            None => self.context.health.well(TABLE),
        }
        let chosen = self.choose(&scanned.items);
        if chosen.is_empty() {
            let held = self.held.values();
            self.fitness
                .has_its_share(held.map(|signals| signals.begun));
        }
        for item in chosen {
            if let Some(lease) = self.take(&table, &item).await? {
                let _ = events.send(LeaseEvent::Taken(Arc::new(lease))).await;
            }
        }
        Ok(())
    }

    /// The table, made where it is missing. It may take a while to become ready.
    async fn ready_table(&mut self) -> Result<LeaseTable, LeaseError> {
        if let Some(table) = &self.table {
            return Ok(table.clone());
        }
        let table = LeaseTable::connect(&self.settings).await?;
        match table.is_ready().await {
            Ok(true) => {}
            Ok(false) => {
                let cause = format!("{} is not ready yet", table.named());
                return Err(LeaseError::Transient(cause.into()));
            }
            Err(LeaseError::NoTable(_)) => {
                tracing::info!(table = table.name, "creating the lease table");
                table.create().await?;
                let cause = format!("{} is being created", table.named());
                return Err(LeaseError::Transient(cause.into()));
            }
            Err(error) => return Err(error),
        }
        self.table = Some(table.clone());
        Ok(table)
    }

    /// Brings the table up to the stream; whether anything was changed. Where the stream does not
    /// answer, leases of shards that are known are taken all the same.
    async fn sync(&mut self, table: &LeaseTable, items: &[LeaseItem]) -> Result<bool, LeaseError> {
        let listing = match self.context.shards.list().await {
            Ok(listing) => listing,
            Err(cause) => {
                self.tell(SHARDS, cause);
                self.next_listing = Instant::now() + retry::TRANSIENT_MAX;
                return Ok(false);
            }
        };
        let source = (listing.source.arn.clone(), listing.source.created_ms);
        let mut streams = items.iter().filter_map(|item| item.stream.as_ref());
        if let Some((arn, created_ms)) = streams.find(|stream| **stream != source) {
            self.listed = None;
            let cause = RequestError::from(format!(
                "{} is of stream {arn} created at {created_ms} ms, but the source is {} created at {} ms: \
                 positions in one mean nothing in the other",
                table.named(),
                source.0,
                source.1
            ));
            return Err(LeaseError::Permanent(cause.advised(
                "name another table with `lease_table`, or delete this one if what it holds is done",
            )));
        }
        if items.is_empty() {
            let (stream, noun) = (&self.context.stream, self.context.noun);
            tracing::warn!(
                stream,
                source = source.0,
                start = ?self.context.start,
                "the lease table knows no position in this {noun}: reading begins at `start`"
            );
        }
        let now_ms = self.context.clock.now_ms();
        let ages = self.ages(items);
        let plan = sync::plan(items, &ages, &listing, self.context.start, now_ms);
        let has_changed = !plan.add.is_empty() || !plan.delete.is_empty();
        for lease in &plan.add {
            unless_refused(table.add(lease, &listing.source).await)?;
        }
        for item in &plan.delete {
            unless_refused(table.delete(item).await)?;
        }
        self.listed = Some(listing.shards.into_iter().map(|shard| shard.id).collect());
        self.next_listing = Instant::now() + LIST_EVERY;
        self.context.health.well(SHARDS);
        Ok(has_changed)
    }

    /// How old each lease is.
    fn ages(&mut self, items: &[LeaseItem]) -> Vec<Age> {
        let now = Instant::now().into_std();
        self.watch.look(items, self.settings.failover, now)
    }

    /// The leases to take now.
    fn choose(&mut self, items: &[LeaseItem]) -> Vec<LeaseItem> {
        let ages = self.ages(items);
        let ages: BTreeMap<&str, _> = items.iter().map(|item| &*item.shard).zip(ages).collect();
        let Some(listed) = &self.listed else {
            return Vec::new();
        };
        let open = sync::open(items, listed);
        let candidates: Vec<Candidate<'_>> = open
            .iter()
            .map(|item| Candidate {
                shard: &item.shard,
                owner: item.owner.as_deref(),
                age: ages[&*item.shard],
                is_held: self.held.contains_key(&item.shard),
            })
            .collect();
        let mut chosen = balance::choose(&self.worker, &candidates, &mut self.random);
        balance::restrain(&mut chosen, self.fitness.appetite(), |shard| {
            ages[&**shard] == Age::VeryOld
        });
        let item = |shard| open.iter().find(|item| item.shard == shard);
        chosen
            .into_iter()
            .filter_map(|shard| item(shard).map(|item| (*item).clone()))
            .collect()
    }

    /// Takes a lease, unless somebody else was faster, and has it renewed from now on.
    async fn take(
        &mut self,
        table: &LeaseTable,
        seen: &LeaseItem,
    ) -> Result<Option<Lease>, LeaseError> {
        let asked = Instant::now();
        let taking = Taking::new(self.worker.clone(), Uuid::new_v4().to_string());
        let now_ms = self.context.clock.now_ms();
        let answer = table.take(seen, &taking, now_ms).await;
        let taken = match taking.replied(answer.into()) {
            Took::Yes(taken) => Some(taken),
            Took::No => None,
            Took::Ask => taking.found(table.get(&seen.shard).await?),
        };
        let Some(taken) = taken else {
            return Ok(None);
        };
        let Some(tenure) = taking.tenure(&taken) else {
            return Ok(None);
        };
        let (stream, shard) = (&self.context.stream, &taken.item().shard);
        let fence = tenure.fence();
        let before = seen.owner.as_deref().unwrap_or("nobody");
        tracing::info!(stream, shard = &**shard, fence, before, "took the lease");
        self.context.metrics.taken.add(1);
        let holder = Holder {
            table: table.clone(),
            shard: ShardId::clone(shard),
            tenure,
        };
        let metrics = self.context.metrics.clone();
        let resumed = Resumed::of(&taken, self.context.start);
        let fitness = Arc::clone(&self.fitness);
        let lease = Lease::new(holder.clone(), &taken, resumed, metrics, fitness);
        let (signals, failover) = (lease.signals(), self.settings.failover);
        self.held.insert(ShardId::clone(shard), signals.clone());
        let lost = self.context.metrics.lost.clone();
        self.renewals.spawn(async move {
            let shard = ShardId::clone(&holder.shard);
            renewal::renew(holder, signals.clone(), failover, asked).await;
            if signals.lost.is_cancelled() {
                lost.add(1);
            }
            signals.over.cancelled().await;
            shard
        });
        self.count();
        Ok(Some(lease))
    }
}

fn unless_refused(done: Result<(), LeaseError>) -> Result<(), LeaseError> {
    match done {
        // Another worker was faster.
        Err(LeaseError::Refused(_)) => Ok(()),
        done => done,
    }
}
