//! Records and chunks: the unit of work is a chunk (about 1 MiB of records in one arena).

use bytes::Bytes;

use crate::position::{Position, Sequence};

/// The largest record that Direct PUT accepts, in bytes (Firehose: 1,000 KiB).
pub const RECORD_BYTES_MAX: usize = 1_024_000;

/// One record, borrowed from its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The bytes as the producer sent them.
    pub data: &'a [u8],
    /// When the record was accepted, in milliseconds since the Unix epoch.
    pub arrival_ms: i64,
    /// Where the record stands in its shard.
    pub position: Position,
}

/// Records of one shard, in order, in one arena.
#[derive(Debug, Default, Clone)]
pub struct Chunk {
    arena: Bytes,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
    arrival_ms: i64,
    position: Position,
}

impl Span {
    fn new(start: usize, len: usize, arrival_ms: i64, sequence: Sequence) -> Self {
        Self {
            start: u32::try_from(start).expect("a chunk is far below 4 GiB"),
            len: u32::try_from(len).expect("a record is far below 4 GiB"),
            arrival_ms,
            position: Position {
                sequence,
                sub_sequence: 0,
            },
        }
    }
}

/// A chunk that is being put together from copies.
#[derive(Debug)]
pub struct ChunkBuilder {
    arena: Vec<u8>,
    spans: Vec<Span>,
}

impl ChunkBuilder {
    /// An empty chunk with room for `bytes` of record data. A chunk holds less than 4 GiB.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            arena: Vec::with_capacity(bytes),
            spans: Vec::new(),
        }
    }

    /// Appends a record; `sequence` must be greater than that of the record before.
    pub fn push(&mut self, data: &[u8], arrival_ms: i64, sequence: Sequence) {
        let start = self.arena.len();
        self.arena.extend_from_slice(data);
        self.spans
            .push(Span::new(start, data.len(), arrival_ms, sequence));
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of record data.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// The chunk.
    pub fn finish(self) -> Chunk {
        Chunk {
            arena: self.arena.into(),
            spans: self.spans,
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
            spans.push(Span::new(start, end - start, arrival_ms, first.plus(index)));
            start = end;
        }
        Self { arena, spans }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of record data.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Position of the last record.
    pub fn last_position(&self) -> Option<Position> {
        self.spans.last().map(|span| span.position)
    }

    /// The record at `index`, which must be below [`Chunk::len`].
    pub fn record(&self, index: usize) -> Record<'_> {
        self.at(&self.spans[index])
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.spans.iter().map(|span| self.at(span))
    }

    fn at(&self, span: &Span) -> Record<'_> {
        Record {
            data: &self.arena[span.start as usize..(span.start + span.len) as usize],
            arrival_ms: span.arrival_ms,
            position: span.position,
        }
    }
}
