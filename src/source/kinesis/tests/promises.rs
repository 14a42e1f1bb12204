//! Kinesis behind the port, as a strict server stands for it.

use std::ops::Range;

use super::*;
use crate::disk::{Disk, TornDisk};
use crate::source::promises::{self, Life, World};
use crate::source::{Opened, SourceSettings};

struct Strict {
    fake: Fake,
}

impl World for Strict {
    async fn new() -> Self {
        let fake = Fake::start(vec![FakeShard::new("one", &[])]).await;
        Self { fake }
    }

    fn source(&self) -> SourceSettings {
        self.fake.settings(StartSettings::TrimHorizon).into()
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(TornDisk::new(0))
    }

    /// To the shard that is open.
    async fn put(&self, _: &Opened, records: &[Vec<u8>]) -> bool {
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let mut world = self.fake.world();
        let shard = world.shards.last_mut().unwrap();
        *shard = shard.clone().with(now_ms(), &records);
        true
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

    fn end_shard(&self) -> bool {
        let mut world = self.fake.world();
        world.shards[0].is_closed = true;
        world.shards.push(FakeShard::new("two", &["one"]));
        true
    }

    /// Answers: there is room for one.
    fn held(&self, _: &Life) -> (u64, u64) {
        (self.fake.world().answered as u64, 1)
    }

    fn large(&self) -> usize {
        4 << 20
    }
}

promises::all!(Strict);
