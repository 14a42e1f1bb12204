//! Records and chunks: the unit of work is a chunk (about 1 MiB of records in one arena).

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
    arena: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
    arrival_ms: i64,
    position: Position,
}

impl Chunk {
    /// An empty chunk with room for `bytes` of record data. A chunk holds less than 4 GiB.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            arena: Vec::with_capacity(bytes),
            spans: Vec::new(),
        }
    }

    /// Appends a record; `sequence` must be greater than that of the record before.
    pub fn push(&mut self, data: &[u8], arrival_ms: i64, sequence: Sequence) {
        let start = u32::try_from(self.arena.len()).expect("a chunk is far below 4 GiB");
        let len = u32::try_from(data.len()).expect("a record is far below 4 GiB");
        self.arena.extend_from_slice(data);
        let position = Position {
            sequence,
            sub_sequence: 0,
        };
        self.spans.push(Span {
            start,
            len,
            arrival_ms,
            position,
        });
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

    /// Bytes of memory held, for the budget.
    pub fn memory(&self) -> usize {
        self.arena.capacity() + self.spans.capacity() * size_of::<Span>()
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
