//! An answer of Kinesis, cut into chunks: aggregates are taken apart, and what was given before is
//! left out.

use std::sync::Arc;

use firehose_kpl::Content;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::hash::HashRange;
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
    /// not later than it is. A page that was pushed may be old when it is taken, so that its lag is
    /// trusted only where the last record does not tell.
    pub(super) fn until_ms(&self, asked_ms: i64) -> Option<i64> {
        let behind_ms = self.behind_ms?;
        let last = self.records.last().and_then(|last| last.arrival_ms);
        let until_ms = last.filter(|_| behind_ms > 0);
        Some(until_ms.unwrap_or_else(|| asked_ms.saturating_sub(behind_ms)))
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
        match firehose_kpl::look(&record.data) {
            Content::Aggregate(aggregate) => {
                self.metrics.aggregates.add(1);
                // A library sorts its records by key or not: at least runs are hashed once.
                let mut last: Option<(&[u8], bool)> = None;
                for (sub_sequence, sub) in (0..).zip(aggregate.records()) {
                    let known =
                        last.filter(|(key, _)| sub.hash_key.is_none() && *key == sub.partition_key);
                    let is_ours = known.map_or_else(
                        || self.range.holds(sub.partition_key, sub.hash_key),
                        |(_, is_ours)| is_ours,
                    );
                    last = sub
                        .hash_key
                        .is_none()
                        .then_some((sub.partition_key, is_ours));
                    let is_new = self
                        .push(at(sub_sequence), arrival_ms, sub.partition_key, sub.data)
                        .await?;
                    if is_new && !is_ours {
                        self.metrics.foreign_records.add(1);
                    }
                }
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

    /// True: it had not been given before.
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
