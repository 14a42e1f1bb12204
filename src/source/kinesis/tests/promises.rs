//! Kinesis behind the port, as a strict server stands for it, in each way in which it is read.

use std::marker::PhantomData;
use std::ops::Range;

use super::fan_out::consumer;
use super::*;
use crate::disk::{Disk, TornDisk};
use crate::source::promises::{self, Ending, Lane, Life, World};
use crate::source::{Context, Opened, Shareable as _, Source as _, SourceSettings};

/// The shard that is there at first.
const FIRST: &str = "one";
/// The one beside it.
const SECOND: &str = "beside";

struct Strict<W> {
    fake: Fake,
    way: PhantomData<W>,
}

/// How it is read.
trait Way {
    /// Whether all shards are read.
    const IS_WIDE: bool = true;

    const CONSUMER: fn() -> ConsumerSettings = || ConsumerSettings::Polling;

    /// Which shards whoever opens it knows of.
    fn found() -> BTreeMap<ShardId, ShardState> {
        BTreeMap::new()
    }

    fn open(
        settings: &KinesisSettings,
        known: Known,
        context: Context,
    ) -> Result<Opened, StreamError> {
        settings.open(known, context)
    }

    /// Answers that were given: there is room for one.
    fn held(fake: &Fake, _: &Life) -> (u64, u64) {
        (fake.world().answered as u64, 1)
    }
}

/// All shards, by polling.
struct Polled;

impl Way for Polled {}

/// All shards, by a registered consumer.
struct Pushed;

impl Way for Pushed {
    const CONSUMER: fn() -> ConsumerSettings = consumer;

    /// Records of events that have room: there is some for one event, and another one waits for it.
    fn held(_: &Fake, life: &Life) -> (u64, u64) {
        let page = life.metrics.render();
        let head = "firehose_kinesis_records_total{stream=\"clicks\"} ";
        let counted = page.lines().find_map(|line| line.strip_prefix(head));
        (counted.map_or(0, |records| records.parse().unwrap()), 2)
    }
}

/// One shard, as whoever has the lease on it reads.
struct Leased;

impl Way for Leased {
    const IS_WIDE: bool = false;

    fn found() -> BTreeMap<ShardId, ShardState> {
        [(FIRST.into(), ShardState::default())].into()
    }

    fn open(
        settings: &KinesisSettings,
        known: Known,
        context: Context,
    ) -> Result<Opened, StreamError> {
        let only = Only {
            shard: FIRST.into(),
            state: known.shards[FIRST].clone(),
            source: known.source,
        };
        Ok(Opened {
            // As the lease counts.
            epoch: known.epoch + 1,
            ..settings.open_shard(only, context)
        })
    }
}

impl<W: Way> Strict<W> {
    fn settings(&self) -> KinesisSettings {
        KinesisSettings {
            consumer: W::CONSUMER(),
            ..self.fake.settings(StartSettings::TrimHorizon)
        }
    }
}

impl<W: Way> World for Strict<W> {
    async fn new() -> Self {
        let fake = Fake::start(vec![FakeShard::new(FIRST, &[])]).await;
        let way = PhantomData;
        Self { fake, way }
    }

    fn widen(&self) -> bool {
        if W::IS_WIDE {
            let mut world = self.fake.world();
            world.shards.push(FakeShard::new(SECOND, &[]));
        }
        W::IS_WIDE
    }

    fn source(&self) -> SourceSettings {
        self.settings().into()
    }

    fn open(&self, known: Known, context: Context) -> Result<Opened, StreamError> {
        // The subscriptions of the life before are longer ago than the service minds.
        for shard in &mut self.fake.world().shards {
            shard.subscribed_at = None;
        }
        W::open(&self.settings(), known, context)
    }

    fn found(&self) -> BTreeMap<ShardId, ShardState> {
        W::found()
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(TornDisk::new(0))
    }

    /// To the shard of the lane that is open.
    async fn put(&self, _: &Opened, lane: Lane, records: &[Vec<u8>]) -> bool {
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let mut world = self.fake.world();
        let mut shards = world.shards.iter_mut().rev();
        let shard = shards.find(|shard| (shard.id == SECOND) == (lane == Lane::Second));
        let shard = shard.expect("it is there");
        *shard = shard.clone().with(now_ms(), &records);
        true
    }

    fn fail(&self) -> bool {
        self.fake.world().is_down = true;
        true
    }

    fn mend(&self) {
        self.fake.world().is_down = false;
    }

    /// The stream forgets all up to them, which is longer ago than it keeps records.
    fn lose(&self, records: Range<usize>, known: &mut Known) {
        self.fake.world().shards[0].forgotten = records.end;
        for state in known.shards.values_mut() {
            state.until_ms = Some(now_ms() - RETENTION_MS - 60_000);
        }
    }

    fn is_told(&self, life: &Life) -> bool {
        let counted = "firehose_kinesis_retention_gaps_total{stream=\"clicks\"} 1\n";
        life.metrics.render().contains(counted)
    }

    fn estrange(&self, known: &mut Known) {
        known.source.as_mut().unwrap().created_ms -= 1;
    }

    fn held(&self, life: &Life) -> (u64, u64) {
        W::held(&self.fake, life)
    }

    fn large(&self) -> usize {
        4 << 20
    }
}

impl<W: Way> Ending for Strict<W> {
    fn end_shard(&self) {
        let mut world = self.fake.world();
        world.shards[0].is_closed = true;
        world.shards.push(FakeShard::new("two", &[FIRST]));
    }
}

mod polled {
    use super::*;

    promises::all!(Strict<Polled>);
    promises::ends!(Strict<Polled>);
}

mod pushed {
    use super::*;

    promises::all!(Strict<Pushed>);
    promises::ends!(Strict<Pushed>);
}

/// What follows a shard is for the leases to say.
mod leased {
    use super::*;

    promises::all!(Strict<Leased>);
}
