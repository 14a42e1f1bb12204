//! Records and chunks: the unit of work is a chunk (about 1 MiB of records in one arena).

use bytes::Bytes;

use crate::buffer::Buffer;
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
    /// For what transforms made of a source record: which of its outputs this is, from 0.
    pub output: Option<u32>,
    /// Partition keys that transforms set: name and value.
    pub keys: &'a [(String, String)],
}

impl<'a> Record<'a> {
    /// A record as a source has it.
    pub const fn new(data: &'a [u8], arrival_ms: i64, position: Position) -> Self {
        Self {
            data,
            arrival_ms,
            position,
            output: None,
            keys: &[],
        }
    }
}

/// Records of one shard, in order, in one arena.
#[derive(Debug, Default, Clone)]
pub struct Chunk {
    arena: Bytes,
    spans: Vec<Span>,
    keys: Vec<Vec<(String, String)>>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
    arrival_ms: i64,
    position: Position,
    /// Of what transforms made.
    output: Option<u32>,
    /// Index of its keys, plus one; 0 is none.
    keys: u32,
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
            output: None,
            keys: 0,
        }
    }
}

/// A chunk that is being put together from copies.
#[derive(Debug)]
pub struct ChunkBuilder {
    arena: Buffer,
    spans: Vec<Span>,
    keys: Vec<Vec<(String, String)>>,
}

impl ChunkBuilder {
    /// An empty chunk with room for `records` records of `bytes` bytes together. A chunk holds less
    /// than 4 GiB.
    pub fn with_room(records: usize, bytes: usize) -> Self {
        Self {
            arena: Buffer::with_room(bytes),
            spans: Vec::with_capacity(records),
            keys: Vec::new(),
        }
    }

    /// Appends a record; `sequence` must be greater than that of the record before.
    pub fn push(&mut self, data: &[u8], arrival_ms: i64, sequence: Sequence) {
        let start = self.arena.len();
        self.arena.extend_from_slice(data);
        self.spans
            .push(Span::new(start, data.len(), arrival_ms, sequence));
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
        let start = self.arena.len();
        self.arena.extend_from_slice(data);
        let mut span = Span::new(
            start,
            data.len(),
            source.arrival_ms,
            source.position.sequence,
        );
        span.position = source.position;
        span.output = Some(output);
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
            self.arena.truncate(span.start as usize);
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

    /// Bytes of record data.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// The chunk.
    pub fn finish(self) -> Chunk {
        Chunk {
            arena: Bytes::from_owner(self.arena),
            spans: self.spans,
            keys: self.keys,
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
        Self {
            arena,
            spans,
            keys: Vec::new(),
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
        self.iter_from(0)
    }

    /// The records from index `start` on, which is at most [`Chunk::len`], in order.
    pub fn iter_from(&self, start: usize) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.spans[start..].iter().map(|span| self.at(span))
    }

    fn at(&self, span: &Span) -> Record<'_> {
        Record {
            data: &self.arena[span.start as usize..(span.start + span.len) as usize],
            arrival_ms: span.arrival_ms,
            position: span.position,
            output: span.output,
            keys: match span.keys {
                0 => &[],
                index => &self.keys[index as usize - 1],
            },
        }
    }
}
