//! Records and chunks: the unit of work is a chunk (about 1 MiB of records in one arena).

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::buffer::Buffer;
use crate::position::{Position, Sequence};
use crate::shard::{JOURNAL, ShardId};

/// The largest record that Direct PUT accepts, in bytes (Firehose: 1,000 KiB).
pub const RECORD_BYTES_MAX: usize = 1_024_000;

/// Most records of one request, by lines or JSON: one for each 128 bytes of the largest body; where records
/// are taken apart, their texts count. A record that fails becomes a row of some 300 bytes whatever it holds,
/// so this bounds what a body can come to.
pub const REQUEST_RECORDS_MAX: usize = 131_072;

/// One record, borrowed from its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The bytes as the producer sent them.
    pub data: &'a [u8],
    /// When the record was accepted, in milliseconds since the Unix epoch.
    pub arrival_ms: i64,
    /// The shard it came from.
    pub shard: &'a str,
    /// Where the record stands in its shard.
    pub position: Position,
    /// The producer's partition key; empty where the source has none. UTF-8, unless a producer that
    /// aggregates has written something else.
    pub partition_key: &'a [u8],
    /// For what transforms made of a source record: which of its outputs this is, from 0.
    pub output: Option<u32>,
    /// For one of several JSON texts that were one record, or one output: which, from 0.
    pub text: Option<u32>,
    /// Partition keys that transforms set: name and value.
    pub keys: &'a [(String, String)],
}

impl<'a> Record<'a> {
    /// A record as Direct PUT has it.
    pub const fn new(data: &'a [u8], arrival_ms: i64, position: Position) -> Self {
        Self {
            data,
            arrival_ms,
            shard: JOURNAL,
            position,
            partition_key: &[],
            output: None,
            text: None,
            keys: &[],
        }
    }
}

/// Records of one shard, in order, in one arena.
#[derive(Debug, Default, Clone)]
pub struct Chunk {
    /// `None`: the journal.
    shard: Option<ShardId>,
    /// The records' data, each behind its partition key.
    arena: Bytes,
    spans: Vec<RecordSpan>,
    keys: Vec<Vec<(String, String)>>,
    /// Memory that it is counted in.
    room: Option<Arc<OwnedSemaphorePermit>>,
}

#[derive(Debug, Clone, Copy)]
struct RecordSpan {
    start: u32,
    len: u32,
    arrival_ms: i64,
    position: Position,
    /// Which output of the transforms, plus one; 0 is none. So below.
    output: u32,
    /// Which JSON text of the record.
    text: u32,
    /// Index of its keys.
    keys: u32,
    /// Bytes of the producer's partition key, right before the data.
    partition_key: u16,
}

impl RecordSpan {
    fn new(start: usize, len: usize, arrival_ms: i64, position: Position) -> Self {
        Self {
            start: u32::try_from(start).expect("a chunk is far below 4 GiB"),
            len: u32::try_from(len).expect("a record is far below 4 GiB"),
            arrival_ms,
            position,
            output: 0,
            text: 0,
            keys: 0,
            partition_key: 0,
        }
    }

    /// Its data in pieces that end there.
    fn pieces(self, ends: &[usize]) -> impl Iterator<Item = Self> {
        let mut before = 0;
        (1..).zip(ends).map(move |(text, &end)| {
            let start = std::mem::replace(&mut before, end);
            let place = self.start as usize + start;
            let mut piece = Self::new(place, end - start, self.arrival_ms, self.position);
            (piece.output, piece.text, piece.keys) = (self.output, text, self.keys);
            if start == 0 {
                piece.partition_key = self.partition_key;
            }
            piece
        })
    }

    /// Where its bytes begin, those of the partition key too.
    const fn begin(&self) -> usize {
        self.start as usize - self.partition_key as usize
    }
}

/// A chunk that is being put together from copies.
#[derive(Debug)]
pub struct ChunkBuilder {
    shard: Option<ShardId>,
    arena: Buffer,
    spans: Vec<RecordSpan>,
    keys: Vec<Vec<(String, String)>>,
}

impl ChunkBuilder {
    /// An empty chunk with room for `records` records of `bytes` bytes together. A chunk holds less
    /// than 4 GiB.
    pub fn with_room(records: usize, bytes: usize) -> Self {
        Self {
            shard: None,
            arena: Buffer::with_room(bytes),
            spans: Vec::with_capacity(records),
            keys: Vec::new(),
        }
    }

    /// An empty chunk for records of another shard than the journal.
    pub fn of_shard(shard: ShardId) -> Self {
        Self {
            shard: Some(shard),
            ..Self::with_room(0, 0)
        }
    }

    /// Appends a record of the journal; `sequence` must be greater than that of the record before.
    pub fn push(&mut self, data: &[u8], arrival_ms: i64, sequence: Sequence) {
        self.push_at(data, arrival_ms, Position::of(sequence), &[]);
    }

    /// Appends a record; `position` must be greater than that of the record before. `partition_key` is
    /// empty where the source has none; one of more than 64 KiB is left out: no source has one.
    pub fn push_at(
        &mut self,
        data: &[u8],
        arrival_ms: i64,
        position: Position,
        partition_key: &[u8],
    ) {
        let span = self.place(data, arrival_ms, position, partition_key);
        self.spans.push(span);
    }

    fn place(
        &mut self,
        data: &[u8],
        arrival_ms: i64,
        position: Position,
        partition_key: &[u8],
    ) -> RecordSpan {
        let key_len = u16::try_from(partition_key.len()).unwrap_or(0);
        self.arena
            .extend_from_slice(&partition_key[..usize::from(key_len)]);
        let mut span = RecordSpan::new(self.arena.len(), data.len(), arrival_ms, position);
        span.partition_key = key_len;
        self.arena.extend_from_slice(data);
        span
    }

    /// Appends what a transform made of `source`, its output number `output`, with the keys that
    /// `source` had and those that the transform set, which come last.
    pub fn push_output(
        &mut self,
        source: &Record<'_>,
        output: u32,
        data: &[u8],
        set: Vec<(String, String)>,
    ) {
        if self.shard.is_none() && source.shard != JOURNAL {
            self.shard = Some(Arc::from(source.shard));
        }
        let mut span = self.place(
            data,
            source.arrival_ms,
            source.position,
            source.partition_key,
        );
        span.output = output.saturating_add(1);
        if !source.keys.is_empty() || !set.is_empty() {
            let mut keys = source.keys.to_vec();
            keys.retain(|(name, _)| !set.iter().any(|(new, _)| new == name));
            keys.extend(set);
            self.keys.push(keys);
            span.keys = u32::try_from(self.keys.len()).expect("fewer keys than records");
        }
        self.spans.push(span);
    }

    /// Keeps the first `records` records only.
    pub fn truncate(&mut self, records: usize) {
        if let Some(span) = self.spans.get(records) {
            self.arena.truncate(span.begin());
            self.spans.truncate(records);
            let kept = self.spans.iter().map(|span| span.keys).max();
            self.keys.truncate(kept.unwrap_or(0) as usize);
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of record data and partition keys.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// The chunk.
    pub fn finish(self) -> Chunk {
        Chunk {
            shard: self.shard,
            arena: Bytes::from_owner(self.arena),
            spans: self.spans,
            keys: self.keys,
            room: None,
        }
    }
}

impl Chunk {
    /// The records that lie one after the other in `arena` and end at `ends` (rising), taken over
    /// without a copy. They arrived together and are numbered one by one from `first` on.
    pub fn adopt(
        arena: Bytes,
        ends: impl ExactSizeIterator<Item = usize>,
        arrival_ms: i64,
        first: Sequence,
    ) -> Self {
        let mut spans = Vec::with_capacity(ends.len());
        let mut start = 0;
        for (index, end) in (0..).zip(ends) {
            let position = Position::of(first.plus(index));
            spans.push(RecordSpan::new(start, end - start, arrival_ms, position));
            start = end;
        }
        Self {
            shard: None,
            arena,
            spans,
            keys: Vec::new(),
            room: None,
        }
    }

    /// Some of its records.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        Self {
            shard: self.shard.clone(),
            arena: self.arena.clone(),
            spans: self.spans[range].to_vec(),
            keys: self.keys.clone(),
            room: self.room.clone(),
        }
    }

    /// The chunk with every record in pieces for which `cut` appends ends to its second argument:
    /// rising, the last one the record's. Nothing is copied, and where nothing is cut it is the chunk
    /// itself. The pieces are numbered as the record's texts; only the first one keeps the producer's
    /// partition key, which nobody asks for behind the transforms.
    pub fn cut(self: Arc<Self>, mut cut: impl FnMut(&[u8], &mut Vec<usize>)) -> Arc<Self> {
        let (mut spans, mut ends) = (Vec::new(), Vec::new());
        for (index, span) in self.spans.iter().enumerate() {
            cut(self.data(span), &mut ends);
            if ends.is_empty() {
                if !spans.is_empty() {
                    spans.push(*span);
                }
                continue;
            }
            if spans.is_empty() {
                spans.reserve(self.spans.len() + ends.len());
                spans.extend_from_slice(&self.spans[..index]);
            }
            spans.extend(span.pieces(&ends));
            ends.clear();
        }
        if spans.is_empty() {
            return self;
        }
        Arc::new(Self {
            shard: self.shard.clone(),
            arena: self.arena.clone(),
            spans,
            keys: self.keys.clone(),
            room: self.room.clone(),
        })
    }

    /// Keeps `room` taken until the last clone of the chunk is gone.
    #[must_use]
    pub fn in_room(mut self, room: Option<Arc<OwnedSemaphorePermit>>) -> Self {
        self.room = room;
        self
    }

    /// The shard that its records came from.
    pub fn shard(&self) -> &str {
        self.shard.as_deref().unwrap_or(JOURNAL)
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of record data and partition keys.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Position of the last record.
    pub fn last_position(&self) -> Option<Position> {
        self.spans.last().map(|span| span.position)
    }

    /// Whether the record at `index` is of the same source record as the one before it.
    pub fn goes_on(&self, index: usize) -> bool {
        let position = |index: usize| Some(self.spans.get(index)?.position);
        index > 0 && position(index).is_some() && position(index) == position(index - 1)
    }

    /// The record at `index`, which must be below [`Chunk::len`].
    pub fn record(&self, index: usize) -> Record<'_> {
        self.at(&self.spans[index])
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.iter_from(0)
    }

    /// The records from index `start` on, which is at most [`Chunk::len`], in order.
    pub fn iter_from(&self, start: usize) -> impl ExactSizeIterator<Item = Record<'_>> + Clone {
        self.spans[start..].iter().map(|span| self.at(span))
    }

    fn data(&self, span: &RecordSpan) -> &[u8] {
        &self.arena[span.start as usize..(span.start + span.len) as usize]
    }

    fn at(&self, span: &RecordSpan) -> Record<'_> {
        Record {
            data: self.data(span),
            arrival_ms: span.arrival_ms,
            shard: self.shard(),
            position: span.position,
            partition_key: &self.arena[span.begin()..span.start as usize],
            output: span.output.checked_sub(1),
            text: span.text.checked_sub(1),
            keys: match span.keys {
                0 => &[],
                index => &self.keys[index as usize - 1],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_record_keep_all_that_is_known_of_it() {
        let mut builder = ChunkBuilder::with_room(0, 0);
        let position = Position::of(Sequence(7));
        let source = Record {
            partition_key: b"key",
            ..Record::new(b"", 5, position)
        };
        for (output, data) in (0..).zip(["whole", "a|bc|", "d|", "end"]) {
            let keys = vec![("n".to_owned(), data.to_owned())];
            builder.push_output(&source, output, data.as_bytes(), keys);
        }
        let chunk = Arc::new(builder.finish());
        let cut = Arc::clone(&chunk).cut(|data, ends| {
            let bars = (1..=data.len()).filter(|&end| data[end - 1] == b'|');
            ends.extend(bars);
        });
        let found: Vec<_> = cut
            .iter()
            .map(|record| {
                assert_eq!((record.arrival_ms, record.position), (5, position));
                let data = std::str::from_utf8(record.data).unwrap();
                (data, record.output, record.text, &*record.keys[0].1)
            })
            .collect();
        let expected = [
            ("whole", Some(0), None, "whole"),
            ("a|", Some(1), Some(0), "a|bc|"),
            ("bc|", Some(1), Some(1), "a|bc|"),
            ("d|", Some(2), Some(0), "d|"),
            ("end", Some(3), None, "end"),
        ];
        assert_eq!(found, expected);
        assert_eq!(cut.record(1).partition_key, b"key");
        assert!(cut.record(2).partition_key.is_empty());
        assert_eq!((chunk.len(), chunk.record(1).data), (4, &b"a|bc|"[..]));
        assert_eq!(
            std::mem::size_of::<RecordSpan>(),
            64,
            "one per record in memory"
        );
    }

    #[test]
    fn a_chunk_of_which_nothing_is_cut_is_the_same_one() {
        let mut builder = ChunkBuilder::with_room(0, 0);
        builder.push(b"{}", 5, Sequence(7));
        let chunk = Arc::new(builder.finish());
        assert!(Arc::ptr_eq(&chunk, &Arc::clone(&chunk).cut(|_, _| ())));
    }
}
