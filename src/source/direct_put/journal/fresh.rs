//! Appends that were just made durable, kept in memory for a reader that keeps up: it need not read
//! them back. Bounded; a reader that falls behind finds everything on disk.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::position::Sequence;

/// Bytes of records kept for the reader.
const KEPT_BYTES: usize = 4 << 20;
/// Appends kept for the reader, which bounds what small ones cost beside their bytes.
const KEPT_APPENDS: usize = 8 << 10;

/// One durable append.
#[derive(Clone, Debug)]
pub(super) struct FreshFrame {
    /// The segment that holds it.
    pub(super) number: u64,
    /// Where its frame starts there.
    pub(super) offset: u64,
    /// Where the next frame starts.
    pub(super) end: u64,
    /// Its first record; the others follow one by one.
    pub(super) first: Sequence,
    pub(super) arrival_ms: i64,
    /// Where each record ends in `data`.
    pub(super) ends: Vec<u32>,
    pub(super) data: Bytes,
}

impl FreshFrame {
    /// One past the last sequence number.
    pub(super) const fn next(&self) -> Sequence {
        self.first.plus(self.ends.len() as u64)
    }
}

/// The newest durable appends, in the order of the journal.
#[derive(Debug, Default)]
pub(super) struct FreshFrames {
    frames: VecDeque<FreshFrame>,
    bytes: usize,
}

impl FreshFrames {
    /// Keeps an append, and gives up the oldest where the room ends.
    pub(super) fn push(&mut self, frame: FreshFrame) {
        self.bytes += frame.data.len();
        self.frames.push_back(frame);
        while self.bytes > KEPT_BYTES || self.frames.len() > KEPT_APPENDS {
            self.pop();
        }
    }

    /// Takes out the append whose frame starts at `offset` of segment `number`, if it is kept, and
    /// gives up everything before it.
    pub(super) fn take(&mut self, number: u64, offset: u64) -> Option<FreshFrame> {
        while let Some(front) = self.frames.front() {
            match (front.number, front.offset).cmp(&(number, offset)) {
                std::cmp::Ordering::Less => self.pop(),
                std::cmp::Ordering::Equal => return self.pop(),
                std::cmp::Ordering::Greater => return None,
            };
        }
        None
    }

    fn pop(&mut self) -> Option<FreshFrame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.data.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64, offset: u64, bytes: usize) -> FreshFrame {
        FreshFrame {
            number,
            offset,
            end: offset + bytes as u64,
            first: Sequence(offset),
            arrival_ms: 0,
            ends: vec![u32::try_from(bytes).unwrap()],
            data: vec![0; bytes].into(),
        }
    }

    #[test]
    fn a_reader_gets_what_starts_where_it_stands_and_nothing_else() {
        let mut fresh = FreshFrames::default();
        for (number, offset) in [(1, 4096), (1, 8192), (2, 4096)] {
            fresh.push(frame(number, offset, 10));
        }
        assert!(fresh.take(1, 64).is_none(), "it is older than what is kept");
        assert!(fresh.take(1, 5000).is_none(), "no frame starts there");
        let taken = fresh.take(1, 8192).unwrap();
        assert_eq!((taken.number, taken.offset), (1, 8192));
        assert!(fresh.take(1, 4096).is_none(), "the reader has passed it");
        assert!(fresh.take(2, 4096).is_some());
        assert_eq!((fresh.frames.len(), fresh.bytes), (0, 0));
    }

    #[test]
    fn the_newest_are_kept_and_their_bytes_are_bounded() {
        let mut fresh = FreshFrames::default();
        for offset in 0..20 {
            fresh.push(frame(1, offset, KEPT_BYTES / 4));
        }
        assert_eq!(fresh.frames.len(), 4);
        assert!(fresh.take(1, 15).is_none());
        assert!(fresh.take(1, 16).is_some());
        fresh.push(frame(1, 20, 2 * KEPT_BYTES));
        assert_eq!((fresh.frames.len(), fresh.bytes), (0, 0));
    }
}
