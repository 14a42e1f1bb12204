//! The promises that every log keeps, put to each of them: whole pipelines between a strict Kinesis and a bucket, one
//! after the other, with nothing kept from one to the next but what the log itself keeps.

pub(super) mod bucket;
pub(super) mod world;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::shared::{LeaseLog, Taken, connect_shared, open_shared};
use crate::checkpoint::{CheckpointStore, STORE};
use crate::clock::Clock;
use crate::config::{Align, StartSettings};
use crate::coordination::{KclCheckpoint, LeaseCheckpoint, LeaseReceipt, Lost, Resumed};
use crate::disk::{Disk, DiskOperation, TornDisk};
use crate::error::StreamError;
use crate::pipeline::{Log, RecoveredState, open, run};
use crate::position::Position;
use crate::shard::{Pending, ShardStart};
use crate::source::Handle;
use crate::source::kinesis::fake::FakeShard;
use crate::telemetry::{StreamState, StreamStatus as _};
use world::{World, assert_delivered, records, shard};

const PATIENCE: Duration = Duration::from_mins(1);
/// Of batches, so that there are many checkpoints.
const INTERVAL: Duration = Duration::from_millis(20);
const SEEDS: u64 = 4;
const DEATHS: usize = 4;
/// Records that come between two of them.
const MORE: usize = 15;

/// What is left of one process for the next.
trait Kept: Default {
    /// Whether somebody else delivers what a stop leaves: else it is a loud one.
    const IS_LEFT_TO_OTHERS: bool;

    /// Opens it, and runs a pipeline on it.
    async fn begin(&mut self, world: &World, interval: Duration) -> Result<Life, StreamError>;

    /// The process is no more; what it has not made durable is lost.
    fn die(&mut self, seed: u64);

    /// Where the next process has its spool.
    fn disk(&self) -> &TornDisk;

    /// Up to where the last durable checkpoint has the shard.
    fn applied(&self) -> Option<Position>;
}

/// A running pipeline.
struct Life {
    source: Arc<dyn Handle>,
    running: JoinHandle<Result<(), StreamError>>,
}

impl Life {
    fn of(
        recovered: RecoveredState<impl Into<Log> + Send + 'static>,
        world: &World,
        disk: &Arc<dyn Disk>,
        interval: Duration,
    ) -> Self {
        let source = Arc::clone(&recovered.source);
        let (settings, context) = (world.settings(interval), world.context(disk));
        let running = tokio::spawn(run(recovered, Arc::new(settings), context));
        Self { source, running }
    }

    async fn end(self) -> Result<(), StreamError> {
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        ended.expect("it ends").unwrap()
    }

    /// Ends when all of these records are visible.
    async fn deliver(self, world: &World, records: &[String]) {
        until(|| visible(world) >= records.len() || self.running.is_finished()).await;
        self.source.stop();
        self.end().await.unwrap();
        assert_delivered(&world.bucket, records);
    }
}

/// A checkpoint store on a disk that forgets what was not synced.
struct StateDir(TornDisk);

impl Default for StateDir {
    fn default() -> Self {
        Self(TornDisk::new(1))
    }
}

impl Kept for StateDir {
    const IS_LEFT_TO_OTHERS: bool = false;

    async fn begin(&mut self, world: &World, interval: Duration) -> Result<Life, StreamError> {
        let disk: Arc<dyn Disk> = Arc::new(self.0.clone());
        let (settings, context) = (world.settings(interval), world.context(&disk));
        let recovered = open(&settings, &disk, &context)?;
        Ok(Life::of(recovered, world, &disk, interval))
    }

    fn die(&mut self, seed: u64) {
        self.0 = self.0.crash(seed);
    }

    fn disk(&self) -> &TornDisk {
        &self.0
    }

    fn applied(&self) -> Option<Position> {
        let found = CheckpointStore::peek(&self.0, Path::new(STORE)).unwrap();
        found.shards.get("one").and_then(|state| state.position)
    }
}

/// The item of a lease. The disk is another one for each process.
struct LeaseItem {
    last: Arc<Mutex<(u64, LeaseCheckpoint)>>,
    abandoned: CancellationToken,
    disk: TornDisk,
}

impl Default for LeaseItem {
    fn default() -> Self {
        Self {
            last: Arc::default(),
            abandoned: CancellationToken::new(),
            disk: TornDisk::new(1),
        }
    }
}

/// What one process may write of it: nothing, once the next has taken the lease.
#[derive(Debug)]
struct Holder {
    last: Arc<Mutex<(u64, LeaseCheckpoint)>>,
    fence: u64,
}

impl LeaseLog for Holder {
    fn commit<'a>(
        &'a self,
        written: &'a LeaseCheckpoint,
    ) -> Pending<'a, Result<LeaseReceipt<'a>, Lost>> {
        let mut last = self.last.lock().unwrap();
        let shard = "one".into();
        let committed = if last.0 == self.fence {
            last.1 = written.clone();
            Ok(LeaseReceipt::of_a_model(written))
        } else {
            Err(Lost { shard })
        };
        Box::pin(std::future::ready(committed))
    }
}

impl Kept for LeaseItem {
    const IS_LEFT_TO_OTHERS: bool = true;

    async fn begin(&mut self, world: &World, interval: Duration) -> Result<Life, StreamError> {
        let (fence, body) = {
            let mut last = self.last.lock().unwrap();
            last.0 += 1;
            (last.0, last.1.body.clone())
        };
        self.abandoned = CancellationToken::new();
        let taken = Taken {
            lease: Arc::new(Holder {
                last: Arc::clone(&self.last),
                fence,
            }),
            shard: "one".into(),
            resumed: Resumed {
                body,
                checkpoint: KclCheckpoint::TrimHorizon,
                start: ShardStart::TrimHorizon,
                parents: Vec::new(),
            },
            table: "table".into(),
            failover: Duration::from_millis(10),
            abandoned: self.abandoned.clone(),
        };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let settings = Arc::new(world.settings(interval));
        let context = world.context(&disk);
        let kinesis = world.fake.settings(StartSettings::TrimHorizon);
        let place = connect_shared(&settings, "table", &context).await?;
        let opened = open_shared(
            &settings,
            &kinesis,
            Arc::clone(&disk),
            &context,
            place,
            taken,
        );
        Ok(Life::of(opened.await?, world, &disk, interval))
    }

    fn die(&mut self, seed: u64) {
        self.abandoned.cancel();
        self.disk = TornDisk::new(seed);
    }

    fn disk(&self) -> &TornDisk {
        &self.disk
    }

    fn applied(&self) -> Option<Position> {
        self.last.lock().unwrap().1.position
    }
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.expect("it comes true");
}

/// How many records are visible, as data or as errors.
fn visible(world: &World) -> usize {
    let held = world.bucket.held();
    let errors = held.keys("errors/").into_iter();
    let errors = errors.filter(|key| !key.contains(".firehose"));
    let errors: usize = errors.map(|key| held.lines(&key).len()).sum();
    held.lines("data/").len() + errors
}

fn append(world: &World, records: &[String]) {
    let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    let mut stream = world.fake.world();
    let longer = stream.shards[0].clone();
    stream.shards[0] = longer.with(Clock::system().now_ms(), &records);
}

/// Whatever dies at whatever request, every record becomes visible once, and none before a durable checkpoint has
/// passed it.
async fn every_record_is_visible_once<K: Kept>(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let records = records(MORE * (DEATHS + 1));
    let mut coming = records.chunks(MORE);
    let mut open = shard(coming.next().unwrap());
    open.is_closed = false;
    let world = World::new(open).await;
    let mut kept = K::default();
    for more in coming {
        let life = kept.begin(&world, INTERVAL).await.unwrap();
        let asked = || world.bucket.held().asked.len();
        let last = asked() + random.usize(1..9);
        let all = visible(&world) + MORE;
        until(|| asked() >= last || visible(&world) >= all).await;
        kept.die(random.u64(..));
        life.running.abort();
        let passed = kept.applied().map_or(0, |position| {
            let sequence = position.sequence.to_string();
            sequence.parse::<usize>().unwrap()
        });
        for line in world.bucket.held().lines("data/") {
            // The first has number 1 in the shard.
            let number = 1 + records.iter().position(|record| *record == line).unwrap();
            assert!(
                number <= passed,
                "{number} is visible, {passed} are applied"
            );
        }
        append(&world, more);
    }
    world.fake.world().shards[0].is_closed = true;
    let last = kept.begin(&world, INTERVAL).await.unwrap();
    last.deliver(&world, &records).await;
}

async fn more_than_fits_into_memory_is_delivered<K: Kept>() {
    let pad = "x".repeat(3000);
    let record = |id: usize| format!(r#"{{"k":"{}","id":"{id:04}","pad":"{pad}"}}"#, id % 3);
    let records: Vec<String> = (0..2500).map(record).collect();
    let world = World::new(shard(&records)).await;
    let mut kept = K::default();
    let life = kept.begin(&world, Duration::from_secs(2)).await.unwrap();
    life.deliver(&world, &records).await;
}

/// A pipeline that has its destination, and an open shard without records.
async fn idle<K: Kept>(kept: &mut K, interval: Duration) -> (World, Life) {
    let mut empty = shard(&[]);
    empty.is_closed = false;
    let world = World::new(empty).await;
    let life = kept.begin(&world, interval).await.unwrap();
    until(|| world.status.snapshot().state == StreamState::Running).await;
    (world, life)
}

/// What arrived in two intervals of the clock is in objects of their own, errors too.
async fn no_object_holds_what_arrived_in_two_intervals<K: Kept>() {
    const HOUR_MS: i64 = 3_600_000;
    let records = records(20);
    let bytes: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    let (before, after) = bytes.split_at(10);
    let now_ms = Clock::system().now_ms();
    let shard = FakeShard::new("one", &[]).with(now_ms - HOUR_MS, before);
    let mut world = World::new(shard.with(now_ms, after).closed()).await;
    world.align = Align::Clock;
    let mut kept = K::default();
    let life = kept.begin(&world, Duration::from_hours(1)).await.unwrap();
    until(|| world.status.snapshot().records_in == 20).await;
    life.source.stop();
    life.end().await.unwrap();
    assert_delivered(&world.bucket, &records);
    let held = world.bucket.held();
    let is_late = |line: &String| records[10..].contains(line);
    let objects = held.keys("data/");
    assert_eq!(objects.len(), 8, "of four partitions: {objects:?}");
    for object in objects {
        let lines = held.lines(&object);
        let late = lines.iter().filter(|line| is_late(line)).count();
        assert!(late == 0 || late == lines.len(), "{object}: {lines:?}");
    }
    let errors = held.keys("errors/").into_iter();
    let errors = errors.filter(|key| !key.contains(".firehose"));
    let lines: Vec<usize> = errors.map(|key| held.lines(&key).len()).collect();
    assert_eq!(lines, [2, 2]);
}

/// An hour is delivered when events have passed it, and whoever goes on knows that it is over.
async fn what_events_have_passed_is_visible_and_stays_over<K: Kept>() {
    let mut empty = shard(&[]);
    empty.is_closed = false;
    let mut world = World::new(empty).await;
    world.watermark = Some(Duration::from_mins(10));
    let record = |second: u32| format!(r#"{{"k":"0","t":{second}}}"#);
    let mut kept = K::default();
    let life = kept.begin(&world, Duration::from_hours(1)).await.unwrap();
    append(&world, &[record(36_000), record(40_199)]);
    until(|| world.status.snapshot().records_in == 2).await;
    assert_eq!(visible(&world), 0, "by a second it is not over");
    append(&world, &[record(40_200)]);
    let hour = || world.bucket.held().lines("data/0/t=197000110/");
    until(|| !hour().is_empty()).await;
    assert_eq!(hour(), [record(36_000)]);
    let is_third = |position: Position| position.sequence.to_string() == "3";
    until(|| kept.applied().is_some_and(is_third)).await;
    kept.die(1);
    life.running.abort();
    append(&world, &[record(36_001)]);
    let life = kept.begin(&world, Duration::from_hours(1)).await.unwrap();
    until(|| world.status.metrics().late_records.get() == 1).await;
    life.source.stop();
    life.end().await.unwrap();
    assert_eq!(world.bucket.held().lines("late/"), [record(36_001)]);
    let others = world.bucket.held().lines("data/0/t=197000111/");
    assert_eq!(others, [record(40_199), record(40_200)]);
    assert_eq!(hour().len(), 1);
}

/// While the bucket takes nothing, nothing is visible, and it is tried again; then all is delivered.
async fn a_bucket_that_takes_nothing_for_now_is_waited_for<K: Kept>() {
    let (records, mut kept) = (records(10), K::default());
    let (world, life) = idle(&mut kept, INTERVAL).await;
    let refused = ["PUT".to_owned(), "POST".to_owned()];
    world.bucket.held().refused.extend(refused);
    append(&world, &records);
    until(|| world.status.metrics().publish_retries.get() >= 2).await;
    assert_eq!(visible(&world), 0);
    world.bucket.held().refused.clear();
    life.deliver(&world, &records).await;
}

/// A stop ends also where a person must see to the bucket; what was not delivered is, by a later process.
async fn a_stop_ends_and_what_is_left_is_delivered_later<K: Kept>() {
    let (records, mut kept) = (records(10), K::default());
    let (world, life) = idle(&mut kept, Duration::ZERO).await;
    world.bucket.held().denied.insert("PUT".into());
    append(&world, &records);
    until(|| world.status.metrics().publish_retries.get() > 0).await;
    life.source.stop();
    let ended = life.end().await;
    let is_as_said = match &ended {
        Ok(()) => K::IS_LEFT_TO_OTHERS,
        Err(error) => !K::IS_LEFT_TO_OTHERS && matches!(error, StreamError::LoudStop { .. }),
    };
    assert!(is_as_said, "{ended:?}");
    assert_eq!(visible(&world), 0);
    world.bucket.held().denied.clear();
    let life = kept.begin(&world, INTERVAL).await.unwrap();
    life.deliver(&world, &records).await;
}

/// A disk that fails ends the pipeline, and the next goes on from what is durable.
async fn after_a_fault_of_the_disk_all_is_delivered<K: Kept>() {
    let (records, mut failed) = (records(30), 0);
    for (operation, nth) in [
        (DiskOperation::Write, 1),
        (DiskOperation::Write, 2),
        (DiskOperation::Sync, 1),
        (DiskOperation::Sync, 3),
    ] {
        let world = World::new(shard(&records)).await;
        let mut kept = K::default();
        let life = kept.begin(&world, INTERVAL).await.unwrap();
        kept.disk().fail(operation, nth, std::io::ErrorKind::Other);
        until(|| visible(&world) >= records.len() || life.running.is_finished()).await;
        life.source.stop();
        let ended = life.end().await;
        let may_recover = matches!(ended, Ok(()) | Err(StreamError::State { .. }));
        assert!(may_recover, "{operation:?} {nth}: {ended:?}");
        failed += u32::from(ended.is_err());
        kept.disk().mend();
        let life = kept.begin(&world, INTERVAL).await.unwrap();
        life.deliver(&world, &records).await;
    }
    assert!(failed > 0, "no fault has ended a pipeline");
}

/// Puts each promise to one log.
macro_rules! promises {
    ($log:ident, $kept:ty) => {
        mod $log {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn every_record_is_visible_once() {
                let mut seeds = tokio::task::JoinSet::new();
                for seed in 0..SEEDS {
                    seeds.spawn(super::every_record_is_visible_once::<$kept>(seed));
                }
                seeds.join_all().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn more_than_fits_into_memory_is_delivered() {
                super::more_than_fits_into_memory_is_delivered::<$kept>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn no_object_holds_what_arrived_in_two_intervals() {
                super::no_object_holds_what_arrived_in_two_intervals::<$kept>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_events_have_passed_is_visible_and_stays_over() {
                super::what_events_have_passed_is_visible_and_stays_over::<$kept>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_bucket_that_takes_nothing_for_now_is_waited_for() {
                super::a_bucket_that_takes_nothing_for_now_is_waited_for::<$kept>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_stop_ends_and_what_is_left_is_delivered_later() {
                super::a_stop_ends_and_what_is_left_is_delivered_later::<$kept>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn after_a_fault_of_the_disk_all_is_delivered() {
                super::after_a_fault_of_the_disk_all_is_delivered::<$kept>().await;
            }
        }
    };
}

promises!(local, StateDir);
promises!(shared, LeaseItem);
