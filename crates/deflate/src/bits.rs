//! Bits behind each other, the lowest first (RFC 1951, 3.1.1).

/// Bytes of room that a flush wants, although it keeps fewer.
const WORD: usize = 8;

/// Writes bits behind what a buffer holds.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    out: &'a mut Vec<u8>,
    /// Bytes written.
    at: usize,
    word: u64,
    /// Bits in the word.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let at = out.len();
        Self {
            out,
            at,
            word: 0,
            count: 0,
        }
    }

    /// Makes room for so many bytes, those of a block.
    pub(super) fn make_room(&mut self, bytes: usize) {
        let wanted = self.at + bytes + 2 * WORD;
        if self.out.len() < wanted {
            self.out.resize(wanted, 0);
        }
    }

    /// Adds the lowest `count` bits. At most 63 may gather before a flush, which shifts the word by all its
    /// whole bytes.
    #[inline]
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        self.word |= bits << self.count;
        self.count += count;
        debug_assert!(self.count < 64);
    }

    /// Writes whole bytes out; fewer than 8 bits stay.
    #[inline]
    pub(super) fn flush(&mut self) {
        let room = self.out[self.at..].first_chunk_mut::<WORD>();
        *room.expect("room was made") = self.word.to_le_bytes();
        let whole = self.count & !7;
        self.at += whole as usize / 8;
        self.word >>= whole;
        self.count -= whole;
    }

    /// Fills the last byte with zeros, after a flush.
    pub(super) fn align(&mut self) {
        if self.count > 0 {
            self.count = 8;
            self.flush();
        }
    }

    /// Adds bytes, after an alignment; the room behind them is gone.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.truncate(self.at);
        self.out.extend_from_slice(bytes);
        self.at = self.out.len();
    }
}
