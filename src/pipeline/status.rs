//! What the outside sees of a pipeline: its state, gauges and counters.

#![expect(clippy::disallowed_methods, reason = "failures are told at a pace")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use crate::checkpoint::{Lane, SealedObject};
use crate::clock::{Clock, Moment};
use crate::schema::SchemaVersion;
use crate::telemetry::{
    CatalogStanding, Failures, FieldCount, FieldCounts, FieldDrift, FieldDrifts, KnownFailure,
    LastObject, Notice, Refusals, Repeats, SourceHealth, StatusSnapshot, StreamMetrics,
    StreamState, StreamStatus, TableAccount, Tally,
};

/// The state of one stream, written by its pipeline and read by everybody.
#[derive(Debug)]
pub struct Status {
    metrics: StreamMetrics,
    clock: Clock,
    inner: Mutex<Inner>,
    /// What holds a stream up for longer is an alarm.
    patience: Duration,
    source: Arc<SourceHealth>,
    refusals: Arc<Refusals>,
    failures: Arc<Failures>,
    fields: Arc<FieldCounts>,
    drift: Arc<FieldDrifts>,
    landed: broadcast::Sender<Landed>,
    repeats: Arc<Repeats>,
    /// What has been told to the catalog, where there is one.
    told: Arc<Mutex<Option<CatalogStanding>>>,
    /// The versions of the columns that were learned, oldest first.
    schema: Mutex<Vec<SchemaVersion>>,
    /// Those of the stream's pipelines, where it has several.
    parts: Mutex<Vec<Weak<Self>>>,
}

/// An object that has just become visible.
#[derive(Clone, Debug)]
pub struct Landed {
    /// Its key.
    pub key: String,
    /// Records in it.
    pub records: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Since the arrival of its first record.
    pub age: Duration,
}

/// Landed objects that a slow listener may fall behind.
const LANDED_MAX: usize = 1024;

#[derive(Clone, Debug, Default)]
struct Inner {
    snapshot: StatusSnapshot,
    waits_since: Option<Moment>,
    /// Set while the disk is full.
    shortage: Option<&'static str>,
    /// Why what is sealed does not become visible.
    publishing: Option<String>,
    /// Why records are not read on, though some wait.
    standstill: Option<String>,
}

/// What holds a stream up for longer than this is an alarm, where the config does not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gauges of a running pipeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation {
    /// Partitions with an open batch.
    pub open_partitions: u64,
    /// Sealed objects that wait to be published.
    pub waiting: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// Since when the oldest record waits that was accepted and is not published.
    pub waits_since: Option<Moment>,
    /// The second since 1970 that the watermark has reached.
    pub watermark: Option<i64>,
}

impl Status {
    /// A stream that starts. It is ready when it has recovered and its destination is open.
    pub fn new(metrics: StreamMetrics, clock: Clock) -> Self {
        let landed = broadcast::Sender::new(LANDED_MAX);
        let status = Self {
            metrics,
            inner: Mutex::default(),
            patience: PATIENCE,
            source: Arc::default(),
            refusals: Arc::new(Refusals::new(clock.clone())),
            clock,
            failures: Arc::default(),
            fields: Arc::default(),
            drift: Arc::default(),
            landed,
            repeats: Arc::default(),
            told: Arc::default(),
            schema: Mutex::default(),
            parts: Mutex::default(),
        };
        status.set_state(StreamState::Stalled {
            cause: "starting".into(),
        });
        status.lock().snapshot.since_ms = status.clock.now_ms();
        status
    }

    /// The same with another bound on what may hold the stream up before that is an alarm.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The state of one of several pipelines of the stream, for as long as it is held. What they count
    /// and hold adds up; the stream is as well as the worst of them.
    pub fn part(&self) -> Arc<Self> {
        let part = Arc::new(Self {
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            inner: Mutex::default(),
            patience: self.patience,
            source: Arc::clone(&self.source),
            refusals: Arc::clone(&self.refusals),
            failures: Arc::clone(&self.failures),
            fields: Arc::clone(&self.fields),
            drift: Arc::clone(&self.drift),
            landed: self.landed.clone(),
            repeats: Arc::clone(&self.repeats),
            told: Arc::clone(&self.told),
            schema: Mutex::default(),
            parts: Mutex::default(),
        });
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|part| part.strong_count() > 0);
        parts.push(Arc::downgrade(&part));
        part
    }

    /// The stream's counters.
    pub const fn metrics(&self) -> &StreamMetrics {
        &self.metrics
    }

    /// What the log has been told lately of the stream.
    pub fn repeats(&self) -> &Repeats {
        &self.repeats
    }

    /// Whether the source can be read.
    pub const fn source(&self) -> &Arc<SourceHealth> {
        &self.source
    }

    /// What producers are told.
    pub const fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// What holds the stream up for longer is an alarm.
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// Tells of every object that is published from now on.
    pub fn landed(&self) -> broadcast::Receiver<Landed> {
        self.landed.subscribe()
    }

    /// Tells what columns there are.
    pub fn set_schema(&self, versions: Vec<SchemaVersion>) {
        let version = versions.last().map_or(0, |newest| newest.version);
        *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = versions;
        self.lock().snapshot.schema_version = version;
    }

    /// Tells how the table is read whose columns they are.
    pub fn set_table(&self, table: TableAccount) {
        self.lock().snapshot.table = Some(table);
    }

    /// Tells how what is told to the catalog stands; what is counted of it is told by
    /// [`count_catalog`](Self::count_catalog).
    pub fn set_catalog(&self, standing: CatalogStanding) {
        let name = &standing.name;
        self.count_catalog(|counts| {
            if counts.name != *name {
                counts.name.clone_from(name);
            }
        });
        self.lock().snapshot.catalog = Some(standing);
    }

    /// Counts something of what is told to the catalog, for as long as the process lives.
    pub fn count_catalog(&self, count: impl FnOnce(&mut CatalogStanding)) {
        let mut counts = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        count(counts.get_or_insert_default());
    }

    /// Changes the stream's state.
    pub fn set_state(&self, state: StreamState) {
        self.lock().snapshot.state = state;
    }

    /// Sets what is said while the disk is full; `None`: it has room.
    pub fn set_shortage(&self, shortage: Option<&'static str>) {
        self.lock().shortage = shortage;
    }

    /// Sets why objects do not become visible, and why records are not read on; `None`: they do, and are.
    /// Tells of each whether it is over now.
    pub fn set_held_up(
        &self,
        publishing: Option<String>,
        standstill: Option<String>,
    ) -> (bool, bool) {
        let mut inner = self.lock();
        let over = (
            inner.publishing.is_some() && publishing.is_none(),
            inner.standstill.is_some() && standstill.is_none(),
        );
        (inner.publishing, inner.standstill) = (publishing, standstill);
        over
    }

    /// Counts records that go to the error prefix, in the batch that becomes `object`.
    pub fn failed(&self, tally: &Tally, object: &str) {
        for failed in tally.iter() {
            let counter = self.metrics.failed_records(failed.kind.output_type);
            counter.add(failed.records);
        }
        self.failures.add(tally, object, self.clock.now_ms());
    }

    /// What counts fields and columns that do not find each other.
    pub const fn counted_fields(&self) -> &Arc<FieldCounts> {
        &self.fields
    }

    /// What tells of those that have lost each other.
    pub const fn drifts(&self) -> &Arc<FieldDrifts> {
        &self.drift
    }

    /// The failures that the log is to hear of now; at the end, all that it has not heard of.
    pub fn untold_failures(&self, is_end: bool) -> Vec<Notice> {
        if is_end {
            self.failures.rest(Instant::now())
        } else {
            self.failures.due(Instant::now())
        }
    }

    /// Counts a published object, whose first record waited since then.
    pub fn delivered(&self, object: &SealedObject, refused: u64, since: Moment) {
        self.metrics.delivered_objects.add(1);
        if object.lane == Lane::Data {
            let records = object.records.saturating_sub(refused);
            self.metrics.delivered_records.add(records);
            self.metrics.delivered_bytes.add(object.size);
        }
        let published_ms = self.clock.now_ms();
        self.lock().snapshot.last_object = Some(LastObject {
            key: object.target.key.clone(),
            records: object.records,
            bytes: object.size,
            published_ms,
        });
        if self.landed.receiver_count() > 0 {
            // Whoever listened may have just gone.
            let _ = self.landed.send(Landed {
                key: object.target.key.clone(),
                records: object.records,
                bytes: object.size,
                age: since.until(self.clock.moment()),
            });
        }
    }

    /// Notes a durable checkpoint.
    pub fn checkpointed(&self, took: Duration) {
        self.metrics.checkpoint.record(took);
        self.lock().snapshot.last_checkpoint_ms = Some(self.clock.now_ms());
    }

    /// Takes over the gauges.
    pub fn observe(&self, observation: Observation) {
        let mut inner = self.lock();
        inner.snapshot.open_partitions = observation.open_partitions;
        inner.snapshot.sealed_waiting = observation.waiting;
        inner.snapshot.journal_bytes = observation.journal_bytes;
        inner.snapshot.spool_bytes = observation.spool_bytes;
        inner.snapshot.watermark = observation.watermark;
        inner.waits_since = observation.waits_since;
    }

    /// What has stopped leaves records unread: they count as waiting from now on, where no older one is
    /// known.
    pub fn holds_something(&self) {
        let now = self.clock.moment();
        self.lock().waits_since.get_or_insert(now);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Adds what another pipeline of the stream has.
    fn add(&mut self, part: &Self) {
        let (all, one) = (&mut self.snapshot, &part.snapshot);
        all.open_partitions += one.open_partitions;
        all.sealed_waiting += one.sealed_waiting;
        all.journal_bytes += one.journal_bytes;
        all.spool_bytes += one.spool_bytes;
        let watermarks = [all.watermark, one.watermark];
        all.watermark = watermarks.into_iter().flatten().min();
        all.last_checkpoint_ms = all.last_checkpoint_ms.max(one.last_checkpoint_ms);
        match (&mut all.catalog, &one.catalog) {
            (Some(all), Some(one)) => all.add(one),
            (all, one) => *all = all.take().or_else(|| one.clone()),
        }
        let published_ms = |object: &LastObject| object.published_ms;
        if one.last_object.as_ref().map(published_ms) > all.last_object.as_ref().map(published_ms) {
            all.last_object.clone_from(&one.last_object);
        }
        all.state = match (&all.state, &one.state) {
            (stopped @ StreamState::Stopped { .. }, _)
            | (_, stopped @ StreamState::Stopped { .. }) => stopped.clone(),
            (stalled @ StreamState::Stalled { .. }, _) => stalled.clone(),
            (StreamState::Running, other) => other.clone(),
        };
        let oldest = [self.waits_since, part.waits_since];
        self.waits_since = oldest.into_iter().flatten().min();
        self.shortage = self.shortage.or(part.shortage);
        let (publishing, standstill) = (&part.publishing, &part.standstill);
        self.publishing = self.publishing.take().or_else(|| publishing.clone());
        self.standstill = self.standstill.take().or_else(|| standstill.clone());
    }
}

impl StreamStatus for Status {
    fn schema(&self) -> Vec<SchemaVersion> {
        let versions = self.schema.lock().unwrap_or_else(PoisonError::into_inner);
        versions.clone()
    }

    fn snapshot(&self) -> StatusSnapshot {
        let mut inner = self.lock().clone();
        for part in &*self.parts.lock().unwrap_or_else(PoisonError::into_inner) {
            if let Some(part) = part.upgrade() {
                inner.add(&part.lock());
            }
        }
        let now = self.clock.moment();
        let age = |since: Moment| u64::try_from(since.until(now).as_millis()).unwrap_or(u64::MAX);
        // What cannot be read waits where it is, whoever knows of it.
        let unread = self.source.stalled_for();
        let unread_ms = unread.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let oldest_ms = inner.waits_since.map(age).max(unread_ms);
        let own = match &inner.snapshot.state {
            StreamState::Stalled { cause } => Some(cause.clone()),
            _ => None,
        };
        let shortage = inner.shortage.map(str::to_owned);
        let (publishing, standstill) = (inner.publishing, inner.standstill);
        let refusing = self.refusals.stall(self.patience);
        let reading = self.source.stall();
        let causes = [shortage, own, publishing, standstill, refusing, reading];
        let causes: Vec<String> = causes.into_iter().flatten().collect();
        let state = match &inner.snapshot.state {
            StreamState::Running | StreamState::Stalled { .. } if !causes.is_empty() => {
                StreamState::Stalled {
                    cause: causes.join("; "),
                }
            }
            state => state.clone(),
        };
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut catalog = told.clone();
        if let (Some(all), Some(now)) = (&mut catalog, inner.snapshot.catalog.take()) {
            all.add(&now);
        }
        StatusSnapshot {
            state,
            catalog,
            oldest_unpublished_age_ms: oldest_ms,
            records_in: self.metrics.read_records.get(),
            records_delivered: self.metrics.delivered_records.get(),
            records_failed: self.metrics.failed_totals(),
            ..inner.snapshot
        }
    }

    fn failures(&self) -> Vec<KnownFailure> {
        self.failures.known()
    }

    fn fields(&self) -> Vec<FieldCount> {
        self.fields.known()
    }

    fn drift(&self) -> Vec<FieldDrift> {
        self.drift.known()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    fn observation(waiting: u64, waits_since: Option<Moment>) -> Observation {
        Observation {
            open_partitions: 1,
            waiting,
            journal_bytes: 0,
            spool_bytes: 10,
            waits_since,
            watermark: Some(1_577_836_800 + i64::try_from(waiting).unwrap()),
        }
    }

    #[test]
    fn a_stream_of_several_pipelines_is_their_sum_and_as_well_as_the_worst() {
        let metrics = Metrics::new().unwrap();
        let clock = Clock::manual(1000);
        let stream = Status::new(StreamMetrics::new(&metrics, "clicks"), clock.clone());
        stream.set_state(StreamState::Running);
        let (one, two) = (stream.part(), stream.part());
        one.observe(observation(2, Some(clock.moment_of(400))));
        two.observe(observation(3, Some(clock.moment_of(300))));
        two.metrics().read_records.add(7);
        for (part, waiting, since_ms) in [(&one, 2, Some(7)), (&two, 3, Some(5))] {
            part.set_catalog(CatalogStanding {
                name: "lake.clicks".to_owned(),
                waiting,
                waiting_since_ms: since_ms,
                conflicts: vec!["size".to_owned()],
                conflicting: 1,
                ..CatalogStanding::default()
            });
            part.count_catalog(|counts| counts.told += 4);
        }
        let snapshot = stream.snapshot();
        let catalog = snapshot.catalog.unwrap();
        assert_eq!((catalog.waiting, catalog.waiting_since_ms), (5, Some(5)));
        assert_eq!((catalog.told, catalog.conflicting), (8, 1));
        assert_eq!(catalog.conflicts, ["size"], "of one table");
        assert_eq!((snapshot.open_partitions, snapshot.sealed_waiting), (2, 5));
        assert_eq!(snapshot.spool_bytes, 20);
        assert_eq!(snapshot.watermark, Some(1_577_836_802), "of the last shard");
        assert_eq!(snapshot.oldest_unpublished_age_ms, Some(700));
        clock.set(-86_400_000);
        clock.advance(Duration::from_secs(1));
        let age_ms = stream.snapshot().oldest_unpublished_age_ms;
        assert_eq!(age_ms, Some(1700), "whatever the wall clock says");
        assert_eq!(
            (snapshot.state, snapshot.records_in),
            (StreamState::Running, 7)
        );
        let cause = "slow".to_owned();
        two.set_state(StreamState::Stalled { cause });
        assert_eq!(stream.snapshot().state.cause(), Some("slow"));
        let (cause, advice) = ("broken".to_owned(), String::new());
        one.set_state(StreamState::Stopped { cause, advice });
        assert_eq!(stream.snapshot().state.cause(), Some("broken"));
        drop((one, two));
        let snapshot = stream.snapshot();
        assert_eq!(
            (snapshot.state, snapshot.spool_bytes),
            (StreamState::Running, 0)
        );
    }
}
