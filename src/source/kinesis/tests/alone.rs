//! One shard alone, as a machine reads it that holds the lease on it.

use super::fan_out::consumer;
use super::*;
use crate::record::Chunk;

impl Reading {
    fn alone(fake: &Fake, only: Only) -> Self {
        let shards = [(ShardId::clone(&only.shard), only.state.clone())].into();
        let settings = fake.settings(StartSettings::TrimHorizon);
        let room = Room::new(ANSWER_BYTES_MAX);
        Self::opened(shards, room, |context| open_shard(settings, only, context))
    }

    /// Reads to the end.
    async fn read_all(&mut self, shard: &str) {
        while !self.shards[shard].ended {
            let event = self.step().await.unwrap();
            assert!(!matches!(event, Some(SourceEvent::Found(_))), "{event:?}");
        }
        let end = tokio::time::timeout(PATIENCE, self.reader.next()).await;
        assert!(end.expect("it ends").unwrap().is_none());
    }
}

fn only(shard: &str, state: ShardState) -> Only {
    Only {
        shard: shard.into(),
        state,
        source: None,
    }
}

#[tokio::test]
async fn nothing_but_the_shard_is_read_and_reading_ends_with_it() {
    let now = now_ms();
    let fake = Fake::start(vec![
        FakeShard::new("a", &[]).with(now, &[b"a1", b"a2"]).closed(),
        FakeShard::new("b", &["a"]).with(now, &[b"b1"]).closed(),
        FakeShard::new("c", &["b"]).with(now, &[b"c1"]),
    ])
    .await;
    for (shard, wanted) in [("b", vec!["b1"]), ("a", vec!["a1", "a2"])] {
        let mut reading = Reading::alone(&fake, only(shard, ShardState::default()));
        reading
            .health
            .failing("another", "of another reader".into());
        reading.read_all(shard).await;
        assert_eq!(reading.texts(), wanted);
        assert_eq!(reading.named, Some(fake.world().name()));
        assert_eq!(reading.metrics.fresh_starts.get(), 0);
        let others = reading.health.stall();
        assert_eq!(others.as_deref(), Some("of another reader"));
    }
}

#[tokio::test]
async fn it_goes_on_after_its_position_through_faults_and_stops_when_told() {
    let now = now_ms();
    let shard = FakeShard::new("a", &[]).with(now, &[b"1", b"2", b"3", b"4"]);
    let fake = Fake::start(vec![shard]).await;
    fake.world().faults.extend([
        ("DescribeStreamSummary", "LimitExceededException"),
        ("ListShards", "LimitExceededException"),
        ("GetRecords", "ExpiredIteratorException"),
    ]);
    let mut reading = Reading::alone(&fake, only("a", at("2", now)));
    reading.until(|reading| reading.given.len() == 2).await;
    assert_eq!(reading.texts(), ["3", "4"]);
    assert_eq!(reading.metrics.retention_gaps.get(), 0);
    reading.kinesis.stop();
    assert!(reading.reader.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_shard_that_the_stream_has_forgotten_is_a_gap_and_its_end() {
    let fake = Fake::start(vec![FakeShard::new("b", &[])]).await;
    let mut reading = Reading::alone(&fake, only("a", at("2", now_ms())));
    reading.read_all("a").await;
    assert_eq!(reading.texts(), [""; 0]);
    assert_eq!(reading.metrics.retention_gaps.get(), 1);
}

#[tokio::test]
async fn what_keeps_a_shard_from_being_read_is_told_until_nobody_reads_it() {
    let fake = Fake::start(vec![FakeShard::new("a", &[])]).await;
    let faults = std::iter::repeat_n(("ListShards", "AccessDeniedException"), 1000);
    fake.world().faults.extend(faults);
    let mut reading = Reading::alone(&fake, only("a", ShardState::default()));
    reading.until_told("Denied").await;
    let health = Arc::clone(&reading.health);
    drop(reading);
    assert_eq!(health.stall(), None);
}

#[tokio::test]
async fn a_stream_that_was_made_anew_is_a_loud_stop() {
    let fake = Fake::start(vec![FakeShard::new("a", &[])]).await;
    let mut source = fake.world().name();
    source.created_ms -= 1;
    let only = Only {
        source: Some(source),
        ..only("a", ShardState::default())
    };
    let stopped = Reading::alone(&fake, only).step().await;
    assert!(matches!(stopped, Err(StreamError::LoudStop { .. })));
}

#[tokio::test]
async fn room_is_taken_until_the_last_chunk_of_an_answer_is_gone() {
    let record = vec![b'x'; 1 << 20];
    let closed = |id: &str| {
        let records: [&[u8]; 3] = [&record; 3];
        FakeShard::new(id, &[]).with(now_ms(), &records).closed()
    };
    for consumer in [ConsumerSettings::Polling, consumer()] {
        // A subscription tells of the end by naming the children.
        let child = FakeShard::new("c", &["a", "b"]);
        let fake = Fake::start(vec![closed("a"), closed("b"), child]).await;
        // One answer is kept, and there is room for another.
        let all = 2 * ANSWER_BYTES_MAX;
        let room = Room::new(all);
        let mut kept = Vec::new();
        for shard in ["a", "b"] {
            let settings = KinesisSettings {
                consumer: consumer.clone(),
                ..fake.settings(StartSettings::TrimHorizon)
            };
            let only = only(shard, ShardState::default());
            let open = |context| open_shard(settings, only, context);
            let mut reading = Reading::opened(BTreeMap::new(), room.clone(), open);
            while let Some(read) = reading.reader.next().await.unwrap() {
                kept.extend((!read.chunk.is_empty()).then_some(read.chunk));
            }
            let held: usize = kept.iter().map(Chunk::bytes).sum();
            let taken = all - room.free();
            assert!(taken >= held as u64 * 2, "{taken} for {held}");
            kept.truncate(1);
            assert!(room.free() < all, "one of them is there");
            kept.clear();
            assert_eq!(room.free(), all);
        }
    }
}
