//! Reading as a whole, against a strict server.

mod alone;
mod fan_out;
mod gaps;
mod promises;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::answer::ANSWER_BYTES_MAX;
use super::fake::{Fake, FakeShard, RETENTION_MS};
use super::*;
use crate::config::StartSettings;
use crate::position::Position;
use crate::shard::SourceName;
use crate::telemetry::Metrics;

/// A guard against waiting for ever: far above what anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

struct Reading {
    kinesis: Kinesis,
    reader: KinesisReader,
    metrics: KinesisMetrics,
    health: Arc<SourceHealth>,
    /// It stands still until it is moved; that of the server does not.
    clock: Clock,
    /// What has been given: shard, sequence number, data.
    given: Vec<(String, String, Vec<u8>)>,
    /// As a checkpoint would have them.
    shards: BTreeMap<ShardId, ShardState>,
    named: Option<SourceName>,
}

impl Reading {
    fn of(fake: &Fake, start: StartSettings, known: Known, answers: u64) -> Self {
        Self::with(fake.settings(start), known, answers)
    }

    fn with(settings: KinesisSettings, known: Known, answers: u64) -> Self {
        let shards = known.shards.clone();
        let room = Room::new(answers * ANSWER_BYTES_MAX);
        Self::opened(shards, room, |context| open(settings, known, context))
    }

    fn opened(
        shards: BTreeMap<ShardId, ShardState>,
        room: Room,
        open: impl FnOnce(ReaderContext) -> (Kinesis, KinesisReader),
    ) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let clock = Clock::manual(now_ms());
        let context = ReaderContext {
            stream: "clicks".into(),
            clock: clock.clone(),
            metrics: KinesisMetrics::new(&metrics, "clicks"),
            health: Arc::default(),
            room,
        };
        let (metrics, health) = (context.metrics.clone(), Arc::clone(&context.health));
        let (kinesis, reader) = open(context);
        Self {
            kinesis,
            reader,
            metrics,
            health,
            clock,
            given: Vec::new(),
            shards,
            named: None,
        }
    }

    fn fresh(fake: &Fake) -> Self {
        Self::of(fake, StartSettings::TrimHorizon, Known::default(), 4)
    }

    /// Takes one thing, makes it durable, and gives the event that came with it.
    async fn step(&mut self) -> Result<Option<SourceEvent>, StreamError> {
        let next = tokio::time::timeout(PATIENCE, self.reader.next()).await;
        let Read { chunk, event, .. } = next.expect("something comes")?.expect("not stopped");
        for record in chunk.iter() {
            let state = self
                .shards
                .get_mut(record.shard)
                .expect("found before read");
            assert!(state.position < Some(record.position), "in order, and once");
            state.position = Some(record.position);
            let sequence = record.position.sequence.to_string();
            let data = record.data.to_vec();
            self.given.push((record.shard.to_owned(), sequence, data));
        }
        match event.clone() {
            Some(SourceEvent::Named(name)) => self.named = Some(name),
            Some(SourceEvent::Found(found)) => self.shards.extend(found),
            Some(SourceEvent::Until(shard, until_ms)) => {
                self.shards.get_mut(&shard).unwrap().until_ms = Some(until_ms);
            }
            Some(SourceEvent::Ended(shard)) => {
                let state = self.shards.get_mut(&shard).unwrap();
                state.ended = true;
                self.kinesis.release(&[(shard, state.clone())]).unwrap();
            }
            Some(SourceEvent::Forgotten(shards)) => {
                for shard in shards {
                    self.shards.remove(&shard);
                }
            }
            None => {}
        }
        Ok(event)
    }

    async fn until(&mut self, mut is_enough: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !is_enough(self) {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.given.len());
            self.step().await.unwrap();
        }
    }

    /// Reads, of which nothing comes, until it is told why.
    async fn until_told(&mut self, why: &str) {
        let health = Arc::clone(&self.health);
        let is_told = async {
            while !health.stall().is_some_and(|told| told.contains(why)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = is_told => {}
            () = async { while self.step().await.is_ok() {} } => panic!("it cannot be read"),
        }
    }

    /// What a later process knows.
    fn known(&self) -> Known {
        Known {
            source: self.named.clone(),
            shards: self.shards.clone(),
            ..Known::default()
        }
    }

    fn texts(&self) -> Vec<&str> {
        let texts = self.given.iter();
        texts
            .map(|(_, _, data)| std::str::from_utf8(data).unwrap())
            .collect()
    }
}

fn at(sequence: &str, until_ms: i64) -> ShardState {
    ShardState {
        position: Some(Position {
            sequence: sequence.parse().unwrap(),
            sub_sequence: 0,
        }),
        until_ms: Some(until_ms),
        ..ShardState::default()
    }
}

fn now_ms() -> i64 {
    Clock::system().now_ms()
}

#[tokio::test]
async fn the_limits_of_a_shard_are_kept_and_records_of_ten_mebibytes_come_through() {
    let large = vec![b'x'; 10 << 20];
    let shard = FakeShard::new("one", &[]).with(now_ms(), &[b"a", &large, b"b", b"c"]);
    let fake = Fake::start(vec![shard]).await;
    let mut reading = Reading::fresh(&fake);
    reading.until(|reading| reading.given.len() == 4).await;
    assert_eq!(reading.given[1].2, large);
    assert_eq!(fake.world().violations, 0);
    assert_eq!(reading.metrics.throttles.get(), 0);
    assert_eq!(reading.metrics.bytes.get(), (10 << 20) + 3 + 4 * 3);
}

#[tokio::test]
async fn no_child_is_read_before_the_durable_end_of_both_its_parents() {
    // More than one page of a listing; the child was there before anybody looked.
    let now = now_ms();
    let shards = vec![
        FakeShard::new("a", &[]).with(now, &[b"a1", b"a2"]).closed(),
        FakeShard::new("b", &[]).with(now, &[b"b1"]).closed(),
        FakeShard::new("c", &["a", "b"])
            .with(now, &[b"c1"])
            .closed(),
        FakeShard::new("d", &["c"]).with(now, &[b"d1"]),
        FakeShard::new("e", &["c"]).with(now, &[b"e1"]),
    ];
    let fake = Fake::start(shards).await;
    let mut reading = Reading::fresh(&fake);
    reading.until(|reading| reading.given.len() == 6).await;
    let texts = reading.texts();
    let place = |text: &str| texts.iter().position(|found| *found == text).unwrap();
    assert!(place("c1") > place("a2").max(place("b1")));
    assert!(place("d1").min(place("e1")) > place("c1"));
    assert!(reading.shards["c"].ended && !reading.shards["d"].ended);
    // A split while it is read; the parents are forgotten by the stream in the end.
    {
        let mut world = fake.world();
        world.shards[3].is_closed = true;
        world
            .shards
            .push(FakeShard::new("f", &["d"]).with(now, &[b"f1"]));
        world.shards.drain(..3);
        // Iterators name shards by their index.
        world.generation += 1;
    }
    reading.until(|reading| reading.given.len() == 7).await;
    assert_eq!(reading.given[6].2, b"f1");
    let is_forgotten = |reading: &Reading| !reading.shards.contains_key("c");
    reading.until(is_forgotten).await;
    assert_eq!(reading.metrics.retention_gaps.get(), 0);
}

#[tokio::test]
async fn faults_of_every_request_and_expired_iterators_lose_and_double_nothing() {
    let now = now_ms();
    let shard = FakeShard::new("one", &[]).with(now, &[b"1", b"2"]);
    let fake = Fake::start(vec![shard]).await;
    fake.world().faults.extend([
        ("DescribeStreamSummary", "LimitExceededException"),
        ("ListShards", "LimitExceededException"),
        ("ListShards", "ResourceInUseException"),
        ("GetShardIterator", "ProvisionedThroughputExceededException"),
        ("GetShardIterator", "InternalFailure"),
        ("GetRecords", "ProvisionedThroughputExceededException"),
        ("GetRecords", "ExpiredIteratorException"),
        ("GetRecords", "KMSThrottlingException"),
    ]);
    let mut reading = Reading::fresh(&fake);
    reading.until(|reading| reading.given.len() == 2).await;
    {
        let mut world = fake.world();
        world.generation += 1;
        let shard = world.shards[0].clone().with(now, &[b"3"]);
        world.shards[0] = shard;
    }
    reading.until(|reading| reading.given.len() == 3).await;
    assert_eq!(reading.texts(), ["1", "2", "3"]);
    assert_eq!(reading.metrics.throttles.get(), 3);
    assert!(reading.metrics.expired_iterators.get() >= 2);
    assert_eq!(reading.metrics.retention_gaps.get(), 0);
    assert_eq!(reading.health.stall(), None);
}

#[tokio::test]
async fn a_later_process_reads_on_behind_what_is_durable_and_latest_stays_where_it_was() {
    let now = now_ms();
    let old = FakeShard::new("one", &[]).with(now - 60_000, &[b"old"]);
    let fake = Fake::start(vec![old]).await;
    let mut reading = Reading::of(&fake, StartSettings::Latest, Known::default(), 1);
    reading.until(|reading| !reading.shards.is_empty()).await;
    let known = reading.known();
    drop(reading);
    let grow = |data: &[u8]| {
        let mut world = fake.world();
        let shard = world.shards[0].clone().with(now_ms() + 1, &[data]);
        world.shards[0] = shard;
    };
    grow(b"first");
    let mut reading = Reading::of(&fake, StartSettings::Latest, known, 1);
    reading.until(|reading| reading.given.len() == 1).await;
    assert_eq!(reading.metrics.fresh_starts.get(), 0);
    let mut known = reading.known();
    drop(reading);
    known.source = Some(fake.world().name());
    grow(b"second");
    let mut reading = Reading::of(&fake, StartSettings::Latest, known, 1);
    reading.until(|reading| reading.given.len() == 1).await;
    assert_eq!(reading.texts(), ["second"]);
}

#[tokio::test]
async fn what_fails_again_and_again_is_told_whatever_it_is_and_no_more_when_it_has_passed() {
    for (code, count) in [
        ("ProvisionedThroughputExceededException", 3),
        ("ExpiredIteratorException", 3),
        ("InvalidArgumentException", 3),
        ("ResourceInUseException", 3),
        ("AccessDeniedException", 1),
    ] {
        let fake = Fake::start(vec![FakeShard::new("one", &[]).with(0, &[b"1"])]).await;
        // Of these it is told of the last, and of no other.
        let faults = std::iter::repeat_n(("GetRecords", code), count);
        fake.world().faults.extend(faults);
        let mut reading = Reading::fresh(&fake);
        reading.until_told(code).await;
        assert_eq!(fake.world().faults.len(), 0, "{code}");
        assert_eq!(reading.metrics.requests.get(), count as u64, "{code}");
        reading.until(|reading| reading.given.len() == 1).await;
        assert_eq!(reading.health.stall(), None, "{code}");
    }
}

#[tokio::test]
async fn how_far_behind_a_shard_is_read_is_told_and_kept() {
    let now = now_ms();
    let large = vec![b'x'; 9 << 20];
    let shard = FakeShard::new("one", &[]).with(now - 90_000, &[&large, &large]);
    let fake = Fake::start(vec![shard]).await;
    let mut reading = Reading::fresh(&fake);
    reading.until(|reading| reading.given.len() == 1).await;
    let until_ms = |reading: &Reading| reading.shards["one"].until_ms;
    reading.until(|reading| until_ms(reading).is_some()).await;
    let first = until_ms(&reading).unwrap();
    assert!(
        (now - 91_000..=now - 60_000).contains(&first),
        "{}",
        now - first
    );
    reading
        .until(|reading| until_ms(reading).unwrap() > now - 1000)
        .await;
}

#[tokio::test]
async fn when_nothing_is_taken_nothing_more_is_asked_for() {
    let large = vec![b'x'; 2500 << 10];
    let records: Vec<&[u8]> = vec![&large; 3];
    let shards = (0..10)
        .map(|number| FakeShard::new(&format!("shard-{number:02}"), &[]).with(now_ms(), &records));
    let fake = Fake::start(shards.collect()).await;
    let known = Known::default();
    let mut reading = Reading::of(&fake, StartSettings::TrimHorizon, known, 2);
    reading.until(|reading| reading.given.len() == 1).await;
    // Two answers are held, and there is no room for another before one of them is taken whole.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert!(fake.world().answered <= 2);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    reading.until(|reading| reading.given.len() == 30).await;
    assert_eq!(fake.world().violations, 0);
}

#[tokio::test]
async fn a_stream_made_anew_under_the_same_name_is_a_loud_stop_even_while_it_is_read() {
    let now = now_ms();
    let fake = Fake::start(vec![FakeShard::new("one", &[]).with(now, &[b"1"])]).await;
    let mut reading = Reading::fresh(&fake);
    reading.until(|reading| reading.given.len() == 1).await;
    {
        let mut world = fake.world();
        world.created_s += 1;
        world.generation += 1;
        let faults = [("GetShardIterator", "InvalidArgumentException"); 9];
        world.faults.extend(faults);
    }
    let stopped = loop {
        if let Err(error) = reading.step().await {
            break error;
        }
    };
    let StreamError::LoudStop { cause, advice } = stopped else {
        panic!("{stopped}");
    };
    assert!(
        cause.contains("positions in one mean nothing in the other"),
        "{cause}"
    );
    assert!(advice.contains("firehose state discard clicks"), "{advice}");
}

#[tokio::test]
async fn a_reader_that_is_stopped_ends_and_asks_for_nothing() {
    let fake = Fake::start(vec![FakeShard::new("one", &[]).with(0, &[b"1"])]).await;
    let mut reading = Reading::fresh(&fake);
    reading.kinesis.stop();
    assert!(reading.reader.next().await.unwrap().is_none());
    assert_eq!(fake.world().answered, 0);
    let mut reading = Reading::fresh(&fake);
    reading.until(|reading| reading.given.len() == 1).await;
    reading.kinesis.stop();
    assert!(reading.reader.next().await.unwrap().is_none());
    assert_eq!(reading.health.stall(), None);
}
