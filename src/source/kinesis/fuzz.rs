//! A record as any producer may have put it into a stream, aggregates of whatever make among them.

use std::sync::Arc;

use firehose_kpl::{Content, parse};
use md5::{Digest as _, Md5};
use tokio::sync::mpsc;

use super::hash::HashRange;
use super::metrics::KinesisMetrics;
use super::page::{Emitter, KinesisRecord, PARTITION_KEY_BYTES_MAX};
use crate::position::{Position, Sequence};
use crate::record::Chunk;
use crate::telemetry::Metrics;

const KEY: &str = "key";
const SEQUENCE: Sequence = Sequence(7);
/// The lower half.
const RANGE: HashRange = HashRange {
    first: 0,
    last: u128::MAX / 2,
};

/// A Kinesis record, as it is, and as the message of an aggregate whose seal fits.
pub fn kpl(bytes: &[u8]) {
    let digest = Md5::digest(bytes);
    let sealed = [&[0xF3, 0x89, 0x9A, 0xC2], bytes, &digest].concat();
    for data in [bytes, &sealed] {
        judge(data);
    }
}

/// What is given of a record is what whoever looks at each part of it anew makes of it, and no more bytes than its
/// own and a key for each. (That its keys are looked at once is asserted where it is done.)
fn judge(data: &[u8]) {
    let metrics = Metrics::new().expect("metrics of their own");
    let metrics = KinesisMetrics::new(&Arc::new(metrics), "clicks");
    let chunks = give(data, &metrics);
    let mut given = chunks.iter().flat_map(Chunk::iter);
    let (mut foreign, mut records) = (0, 0);
    let mut expect = |key: &[u8], data: &[u8]| {
        let record = given.next().expect("a record for each");
        let position = Position {
            sequence: SEQUENCE.into(),
            sub_sequence: records,
        };
        assert_eq!(record.position, position, "one after the other");
        let is_key = key.len() <= PARTITION_KEY_BYTES_MAX;
        assert!(
            record.partition_key == if is_key { key } else { b"" },
            "its key"
        );
        assert!(record.data == data, "its data");
        records += 1;
    };
    let content = parse(data);
    match &content {
        Content::Aggregate(aggregate) => {
            for sub in aggregate.records() {
                expect(sub.partition_key.text, sub.data);
                let explicit = sub.hash_key.map(|key| key.text);
                foreign += u64::from(!is_ours(sub.partition_key.text, explicit));
            }
        }
        _ => expect(KEY.as_bytes(), data),
    }
    assert!(records > 0, "an aggregate without records");
    assert!(given.next().is_none(), "more than there are");
    assert_eq!(metrics.foreign_records.get(), foreign);
    let is_broken = matches!(content, Content::Broken);
    assert_eq!(metrics.broken_aggregates.get(), u64::from(is_broken));
    let bytes: usize = chunks.iter().map(Chunk::bytes).sum();
    let keys = records as usize * PARTITION_KEY_BYTES_MAX;
    assert!(bytes <= data.len() + keys, "{bytes} of {}", data.len());
}

/// The chunks that become of a record.
fn give(data: &[u8], metrics: &KinesisMetrics) -> Vec<Chunk> {
    let (out, mut reads) = mpsc::channel(1);
    let mut emitter = Emitter::new(&"shard".into(), RANGE, None, metrics, &out);
    drop(out);
    let record = KinesisRecord {
        sequence: SEQUENCE.0.to_string(),
        partition_key: KEY.to_owned(),
        arrival_ms: None,
        data: data.to_vec(),
    };
    let giving = async move {
        let given = emitter.give(&[record], 0).await;
        assert!(given.is_ok(), "somebody takes it: {given:?}");
        let flushed = emitter.flush(None).await;
        assert!(flushed.is_ok(), "somebody takes it: {flushed:?}");
    };
    let taking = async move {
        let mut chunks = Vec::new();
        while let Some(read) = reads.recv().await {
            chunks.push(read.expect("it was read").chunk);
        }
        chunks
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.build().expect("a runtime without anything");
    let ((), chunks) = runtime.block_on(async { tokio::join!(giving, taking) });
    chunks
}

fn is_ours(partition_key: &[u8], explicit: Option<&[u8]>) -> bool {
    let hash = match explicit {
        None => Some(u128::from_be_bytes(Md5::digest(partition_key).into())),
        Some(decimal) => std::str::from_utf8(decimal)
            .ok()
            .and_then(|decimal| decimal.parse().ok()),
    };
    hash.is_some_and(|hash| (RANGE.first..=RANGE.last).contains(&hash))
}
