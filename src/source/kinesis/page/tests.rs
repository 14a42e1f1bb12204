//! Pages into chunks: nothing twice, nothing left out, nothing too large.

use std::sync::Arc;

use md5::{Digest as _, Md5};

use super::*;
use crate::record::Chunk;
use crate::telemetry::Metrics;

const SHARD: &str = "shardId-000000000000";

/// What came out: sequence number, sub-sequence number, partition key, data.
type Given = Vec<(String, u32, String, Vec<u8>)>;

struct Bench {
    emitter: Emitter,
    metrics: KinesisMetrics,
    reads: mpsc::Receiver<ShardRead>,
}

fn bench(given: Option<Position>) -> Bench {
    let metrics = KinesisMetrics::new(&Arc::new(Metrics::new().unwrap()), "clicks");
    let (out, reads) = mpsc::channel(1000);
    let range = HashRange {
        first: 0,
        last: u128::MAX / 2,
    };
    let emitter = Emitter::new(&SHARD.into(), range, given, &metrics, &out);
    Bench {
        emitter,
        metrics,
        reads,
    }
}

impl Bench {
    async fn chunks(&mut self, records: &[KinesisRecord]) -> Vec<Chunk> {
        self.emitter.give(records, 7).await.unwrap();
        self.emitter.flush(None).await.unwrap();
        let mut chunks = Vec::new();
        while let Ok(read) = self.reads.try_recv() {
            chunks.push(read.unwrap().chunk);
        }
        assert!(chunks.iter().all(|chunk| chunk.shard() == SHARD));
        chunks
    }

    async fn give(&mut self, records: &[KinesisRecord]) -> Given {
        let chunks = self.chunks(records).await;
        let records = chunks.iter().flat_map(Chunk::iter);
        records
            .map(|record| {
                let key = String::from_utf8(record.partition_key.to_vec()).unwrap();
                let Position {
                    sequence,
                    sub_sequence,
                } = record.position;
                (
                    sequence.to_string(),
                    sub_sequence,
                    key,
                    record.data.to_vec(),
                )
            })
            .collect()
    }
}

fn record(sequence: u64, data: &[u8]) -> KinesisRecord {
    KinesisRecord {
        sequence: format!("495{sequence:053}"),
        partition_key: "key".into(),
        arrival_ms: Some(5),
        data: data.to_vec(),
    }
}

/// An aggregate of small records, all of one key.
fn aggregate(key: &str, records: &[&str]) -> Vec<u8> {
    let mut message = vec![0x0A, u8::try_from(key.len()).unwrap()];
    message.extend_from_slice(key.as_bytes());
    for data in records {
        let len = u8::try_from(data.len()).unwrap();
        message.extend([0x1A, len + 4, 0x08, 0, 0x1A, len]);
        message.extend_from_slice(data.as_bytes());
    }
    let digest = Md5::digest(&message);
    [&[0xF3, 0x89, 0x9A, 0xC2], &*message, &digest].concat()
}

#[tokio::test]
async fn aggregates_are_taken_apart_and_what_was_given_before_is_left_out() {
    let page = [
        record(1, b"plain"),
        record(2, &aggregate("a", &["x", "y", "z"])),
        record(3, b"\xF3\x89\x9A\xC2 but no aggregate"),
    ];
    let all = bench(None).give(&page).await;
    let told: Vec<_> = all
        .iter()
        .map(|(sequence, sub, key, data)| (&sequence[55..], *sub, &**key, &data[..]))
        .collect();
    assert_eq!(
        told,
        [
            ("1", 0, "key", &b"plain"[..]),
            ("2", 0, "a", b"x"),
            ("2", 1, "a", b"y"),
            ("2", 2, "a", b"z"),
            ("3", 0, "key", b"\xF3\x89\x9A\xC2 but no aggregate"),
        ]
    );
    // Wherever a checkpoint stands, reading on from its record gives the rest.
    for (index, (sequence, sub_sequence, ..)) in all.iter().enumerate() {
        let position = Position {
            sequence: sequence.parse().unwrap(),
            sub_sequence: *sub_sequence,
        };
        let from = page.iter().position(|record| record.sequence == *sequence);
        let rest = bench(Some(position)).give(&page[from.unwrap()..]).await;
        assert_eq!(rest, all[index + 1..]);
    }
}

#[tokio::test]
async fn what_is_odd_is_counted_and_delivered() {
    let mut bench = bench(None);
    // MD5 of "a" begins with 0x0C, that of "b" with 0x92: beyond the shard's half.
    let page = [
        record(1, &aggregate("a", &["x"])),
        record(2, &aggregate("b", &["y", "z"])),
        record(3, b"\xF3\x89\x9A\xC2"),
    ];
    assert_eq!(bench.give(&page).await.len(), 4);
    assert_eq!(bench.metrics.aggregates.get(), 2);
    assert_eq!(bench.metrics.foreign_records.get(), 2);
    assert_eq!(bench.metrics.broken_aggregates.get(), 1);
}

#[tokio::test]
async fn chunks_are_bounded_in_bytes_and_in_records() {
    let mut bench = bench(None);
    let large = vec![b'x'; 10 << 20];
    let page = [record(1, b"small"), record(2, &large), record(3, b"small")];
    let sizes: Vec<usize> = bench.chunks(&page).await.iter().map(Chunk::len).collect();
    assert_eq!(sizes, [1, 1, 1]);
    let many = vec![""; 200_000];
    let page = [record(4, &aggregate("a", &many))];
    let chunks = bench.chunks(&page).await;
    assert_eq!(chunks.iter().map(Chunk::len).sum::<usize>(), many.len());
    assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_RECORDS));
    assert!(chunks.iter().all(|chunk| chunk.bytes() <= CHUNK_BYTES));
}

#[tokio::test]
async fn a_sequence_number_that_cannot_be_ordered_is_a_loud_stop() {
    let mut bench = bench(None);
    let mut odd = record(1, b"");
    odd.sequence = "9".repeat(100);
    let halted = bench.emitter.give(&[odd], 0).await;
    assert!(matches!(
        halted,
        Err(Halt::Failed(StreamError::LoudStop { .. }))
    ));
}
