//! An answer of Kinesis, cut into chunks: aggregates are taken apart, and what was given before is
//! left out.

use std::sync::Arc;

use firehose_kpl::Content;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::hash::{AggregateKeys, HashRange};
use super::metrics::KinesisMetrics;
use super::{Halt, ShardRead};
use crate::error::StreamError;
use crate::position::{Position, SequenceNumber};
use crate::record::ChunkBuilder;
use crate::shard::ShardId;
use crate::source::{Read, RoomShare, SourceEvent};

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// Records of a chunk, so that empty ones are bounded too.
const CHUNK_RECORDS: usize = CHUNK_BYTES / 64;
/// Bytes of a partition key: Kinesis takes 256 characters, each of four bytes at most. An aggregate may hold a longer
/// one, and name it for each of its records.
pub(super) const PARTITION_KEY_BYTES_MAX: usize = 256 * 4;

/// What one request gave.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) records: Vec<KinesisRecord>,
    /// The iterator of what comes next; `None`: the shard is closed, and this was the last.
    pub(super) next: Option<String>,
    /// How far behind the end of the shard this is, in ms, as Kinesis says.
    pub(super) behind_ms: Option<i64>,
}

/// One Kinesis record: a producer's record, or an aggregate of many.
#[derive(Debug, Clone)]
pub(super) struct KinesisRecord {
    pub(super) sequence: String,
    pub(super) partition_key: String,
    /// In ms since the Unix epoch; `None`: Kinesis did not say.
    pub(super) arrival_ms: Option<i64>,
    pub(super) data: Vec<u8>,
}

impl Page {
    /// By which time, in ms, all had arrived that is in this page or came before it, where that is known;
    /// not later than it is. `asked_ms`: Kinesis made the page then or later. One that was pushed may be old, so that
    /// its lag is trusted only where the last record does not tell.
    pub(super) fn until_ms(&self, asked_ms: i64) -> Option<i64> {
        let behind_ms = self.behind_ms?;
        let asked_ms = asked_ms.saturating_sub(behind_ms);
        let last_ms = self.records.last().and_then(|last| last.arrival_ms);
        Some(match last_ms {
            None => asked_ms,
            Some(last_ms) if behind_ms > 0 => last_ms,
            Some(last_ms) => last_ms.max(asked_ms),
        })
    }

    /// Bytes as Kinesis counts them towards its limits.
    pub(super) fn bytes(&self) -> u64 {
        self.records
            .iter()
            .map(|record| (record.data.len() + record.partition_key.len()) as u64)
            .sum()
    }
}

/// Gives the records of one shard on.
pub(super) struct Emitter {
    shard: ShardId,
    range: HashRange,
    /// The last position that was given: what is not beyond it has been given before.
    given: Option<Position>,
    builder: ChunkBuilder,
    /// Of the page that is given.
    room: Option<Arc<OwnedSemaphorePermit>>,
    metrics: KinesisMetrics,
    out: mpsc::Sender<ShardRead>,
}

impl Emitter {
    pub(super) fn new(
        shard: &ShardId,
        range: HashRange,
        given: Option<Position>,
        metrics: &KinesisMetrics,
        out: &mpsc::Sender<ShardRead>,
    ) -> Self {
        Self {
            shard: ShardId::clone(shard),
            range,
            given,
            builder: ChunkBuilder::of_shard(ShardId::clone(shard)),
            room: None,
            metrics: metrics.clone(),
            out: out.clone(),
        }
    }

    /// The last position that was given.
    pub(super) const fn given(&self) -> Option<Position> {
        self.given
    }

    /// The chunks that are given next hold this.
    pub(super) fn hold(&mut self, room: RoomShare) {
        self.room = Some(room.shared());
    }

    /// All of the page has been given.
    pub(super) fn let_go(&mut self) {
        self.room = None;
    }

    /// Gives all records of a page. Waits for as long as nobody takes them.
    pub(super) async fn give(
        &mut self,
        records: &[KinesisRecord],
        now_ms: i64,
    ) -> Result<(), Halt> {
        for record in records {
            self.give_one(record, now_ms).await?;
        }
        Ok(())
    }

    async fn give_one(&mut self, record: &KinesisRecord, now_ms: i64) -> Result<(), Halt> {
        let sequence = read_sequence(&record.sequence, &self.shard)?;
        let arrival_ms = record.arrival_ms.unwrap_or(now_ms);
        let at = |sub_sequence| Position {
            sequence,
            sub_sequence,
        };
        match firehose_kpl::parse(&record.data) {
            Content::Aggregate(aggregate) => {
                self.metrics.aggregates.add(1);
                let mut keys = AggregateKeys::of(self.range);
                for (sub_sequence, sub) in (0..).zip(aggregate.records()) {
                    let key = sub.partition_key;
                    let is_new = self
                        .push(at(sub_sequence), arrival_ms, key.text, sub.data)
                        .await?;
                    if is_new && !keys.belong(key, sub.hash_key) {
                        self.metrics.foreign_records.add(1);
                    }
                }
                let looked_at = keys.looked_at();
                debug_assert!(looked_at <= record.data.len(), "each key is looked at once");
            }
            content => {
                let key = record.partition_key.as_bytes();
                let is_new = self.push(at(0), arrival_ms, key, &record.data).await?;
                if is_new && matches!(content, Content::Broken) {
                    self.metrics.broken_aggregates.add(1);
                }
            }
        }
        Ok(())
    }

    /// True: it had not been given before. A partition key that Kinesis would not take is left out.
    async fn push(
        &mut self,
        position: Position,
        arrival_ms: i64,
        partition_key: &[u8],
        data: &[u8],
    ) -> Result<bool, Halt> {
        if Some(position) <= self.given {
            return Ok(false);
        }
        let is_key = partition_key.len() <= PARTITION_KEY_BYTES_MAX;
        let partition_key = if is_key { partition_key } else { &[] };
        let bytes = self.builder.bytes() + partition_key.len() + data.len();
        let full = bytes > CHUNK_BYTES || self.builder.len() >= CHUNK_RECORDS;
        if full && !self.builder.is_empty() {
            self.flush(None).await?;
        }
        self.builder
            .push_at(data, arrival_ms, position, partition_key);
        self.given = Some(position);
        Ok(true)
    }

    /// Gives what is left, and what has become known with it.
    pub(super) async fn flush(&mut self, event: Option<SourceEvent>) -> Result<(), Halt> {
        if self.builder.is_empty() && event.is_none() {
            return Ok(());
        }
        let fresh = ChunkBuilder::of_shard(ShardId::clone(&self.shard));
        let chunk = std::mem::replace(&mut self.builder, fresh).finish();
        let chunk = chunk.in_room(self.room.clone());
        let read = Read {
            chunk,
            event,
            ..Read::default()
        };
        self.out.send(Ok(read)).await.map_err(|_| Halt::Closed)
    }
}

/// A number beyond ours would break the order of all that comes after it.
pub(super) fn read_sequence(text: &str, shard: &str) -> Result<SequenceNumber, Halt> {
    text.parse().map_err(|error| {
        Halt::Failed(StreamError::LoudStop {
            cause: format!("shard {shard} has a record with sequence number {text:?}: {error}"),
            advice: "what answers at the source's `endpoint` counts otherwise than Kinesis does"
                .to_owned(),
        })
    })
}

#[cfg(test)]
mod tests;
