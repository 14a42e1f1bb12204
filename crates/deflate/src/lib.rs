//! Data compressed into runs of blocks (RFC 1951), as fast as they can be made at a fair ratio. Several runs,
//! one after the other, are one stream.
//!
//! An encoder of our own, because this is where half the time of a gzip stream goes. It looks where
//! the next six bytes stood last, takes what repeats from there, and writes the block with the best
//! Huffman codes for it (RFC 1951). Records repeat names and words of the records before them, long
//! enough to be found by six bytes, and the nearest is as good as any: to look at more places, and for
//! fewer bytes, as libdeflate does at its lowest level, took a third more time and gave a worse ratio.

mod bits;
mod huffman;
mod symbols;

use bits::Bits;
use huffman::Codes;
use symbols::{DISTANCE_MAX, LENGTH_MAX, Symbols};

/// Bytes of a block, which has Huffman codes of its own, at most.
const BLOCK_BYTES: usize = 512 << 10;
/// The table of places has two to this many of them: 64 KiB, which fits a core's second cache
/// beside the data.
const TABLE_BITS: u32 = 15;
/// Bytes that are looked up. Shorter ones are found in more places that are not worth it.
const LOOKED_UP: u32 = 6;
/// A match is at least so long.
const LENGTH_MIN: usize = 4;
/// No match begins in the last bytes of a block, so that words can be read without a look at its end.
const TAIL: usize = 12;
/// After so many places in vain, one more is left out at each step: what does not repeat is passed
/// over quickly.
const PATIENCE: usize = 64;
/// Longest stored block (RFC 1951, 3.2.4).
const STORED_MAX: usize = u16::MAX as usize;

/// An empty stored block, after the three bits of its kind: what follows begins with a byte.
const TO_A_BYTE: [u8; 4] = [0, 0, 0xff, 0xff];
/// What ends a stream: a last block without a byte, in the fixed codes.
pub const LAST_BLOCK: [u8; 2] = [3, 0];

/// Literals, and what repeats after them.
#[derive(Clone, Copy, Debug)]
struct BackReference {
    literals: u32,
    length: u16,
    distance: u16,
}

/// A compressor, used again from run to run.
#[derive(Debug)]
pub struct Deflater {
    symbols: Symbols,
    /// Where the bytes of each hash stood last, modulo 64 Ki.
    places: Box<[u16; 1 << TABLE_BITS]>,
    matches: Vec<BackReference>,
    /// How often each symbol occurs in the block.
    literals: [u32; symbols::LITERALS],
    distances: [u32; symbols::DISTANCES],
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflater {
    /// A compressor that has compressed nothing yet.
    pub fn new() -> Self {
        let places = vec![0; 1 << TABLE_BITS].try_into();
        Self {
            symbols: Symbols::new(),
            places: places.expect("as many as asked for"),
            matches: Vec::new(),
            literals: [0; symbols::LITERALS],
            distances: [0; symbols::DISTANCES],
        }
    }

    /// Appends `data` as a run of compressed blocks. The run refers to nothing before it, ends with a whole
    /// byte, and [`LAST_BLOCK`] is to follow the last run of a stream.
    pub fn run(&mut self, data: &[u8], out: &mut Vec<u8>) {
        // What stood in the data before must not decide what becomes of this one.
        self.places.fill(0);
        let mut bits = Bits::new(out);
        for start in (0..data.len()).step_by(BLOCK_BYTES) {
            let end = data.len().min(start + BLOCK_BYTES);
            self.block(data, start, end, &mut bits);
        }
        bits.make_room(0);
        bits.put(0, 3);
        bits.flush();
        bits.align();
        bits.bytes(&TO_A_BYTE);
    }

    /// Writes `data[start..end]` in the shortest of the three ways.
    fn block(&mut self, data: &[u8], start: usize, end: usize, bits: &mut Bits<'_>) {
        self.find(data, start, end);
        self.literals[symbols::END] = 1;
        let best = Codes::best(&self.literals, &self.distances);
        let fixed = Codes::fixed();
        let [best_cost, fixed_cost] =
            [&best, &fixed].map(|codes| codes.cost(&self.literals, &self.distances));
        let cost = best_cost.min(fixed_cost);
        if stored_bits(end - start) <= cost {
            store(&data[start..end], bits);
            return;
        }
        let codes = if fixed_cost <= best_cost { fixed } else { best };
        bits.make_room(usize::try_from(cost / 8).unwrap_or(usize::MAX));
        codes.write_header(bits);
        self.write(&data[start..end], &codes, bits);
    }

    /// Finds what repeats in `data[start..end]`, and counts the symbols.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "places are kept modulo 64 Ki, lengths and distances are bounded by the format"
    )]
    fn find(&mut self, data: &[u8], start: usize, end: usize) {
        self.matches.clear();
        self.literals.fill(0);
        self.distances.fill(0);
        let limit = end.saturating_sub(TAIL);
        let (mut at, mut anchor, mut vain) = (start, start, 0);
        while at < limit {
            let word = word(data, at);
            let place = &mut self.places[hash(word)];
            // A stale place is no harm: what counts is what stands there.
            let distance = usize::from((at as u16).wrapping_sub(*place));
            *place = at as u16;
            let known = distance.wrapping_sub(1) < DISTANCE_MAX && distance <= at;
            let length = if known {
                common(data, at, at - distance, end, word)
            } else {
                0
            };
            if length < LENGTH_MIN {
                at += 1 + vain / PATIENCE;
                vain += 1;
                continue;
            }
            vain = 0;
            let here = data[anchor..at].iter().rev();
            let there = data[..at - distance].iter().rev();
            let back = here.zip(there).take(LENGTH_MAX - length);
            let back = back.take_while(|(here, there)| here == there).count();
            let (from, length) = (at - back, length + back);
            for literal in &data[anchor..from] {
                self.literals[usize::from(*literal)] += 1;
            }
            self.literals[self.symbols.length(length)] += 1;
            self.distances[self.symbols.distance(distance)] += 1;
            self.matches.push(BackReference {
                literals: (from - anchor) as u32,
                length: length as u16,
                distance: distance as u16,
            });
            if at + 1 < limit {
                // One more place of the match is enough: the next record will look for it here.
                self.places[hash(self::word(data, at + 1))] = (at + 1) as u16;
            }
            at = from + length;
            anchor = at;
        }
        for literal in &data[anchor..end] {
            self.literals[usize::from(*literal)] += 1;
        }
    }

    fn write(&self, block: &[u8], codes: &Codes, bits: &mut Bits<'_>) {
        let tables = codes.tables(&self.symbols);
        let mut rest = block;
        for found in &self.matches {
            let (literals, after) = rest.split_at(found.literals as usize);
            tables.literals(literals, bits);
            tables.repeat(found.length, found.distance, &self.symbols, bits);
            rest = &after[usize::from(found.length)..];
        }
        tables.literals(rest, bits);
        tables.end(bits);
    }
}

/// The bytes from `at` on.
#[inline]
fn word(data: &[u8], at: usize) -> u64 {
    let bytes = data[at..].first_chunk().expect("far enough from the end");
    u64::from_le_bytes(*bytes)
}

#[inline]
fn hash(word: u64) -> usize {
    let looked_up = word << (64 - 8 * LOOKED_UP);
    // The upper bits depend on all bytes.
    (looked_up.wrapping_mul(0x9E37_79B1_85EB_CA87) >> (64 - TABLE_BITS)) as usize
}

/// How many bytes from `at`, where `here` stands, are the same as those from `there` on; up to
/// `end`, and to the longest match.
#[inline]
fn common(data: &[u8], at: usize, there: usize, end: usize, here: u64) -> usize {
    let differ = here ^ word(data, there);
    if differ != 0 {
        return differ.trailing_zeros() as usize / 8;
    }
    let max = (end - at).min(LENGTH_MAX);
    let mut length = 8;
    while length + 8 <= max {
        let differ = word(data, at + length) ^ word(data, there + length);
        if differ != 0 {
            return length + differ.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    while length < max && data[at + length] == data[there + length] {
        length += 1;
    }
    length
}

/// The most bits that so many bytes take when they are stored as they are.
const fn stored_bits(bytes: usize) -> u64 {
    let blocks = bytes.div_ceil(STORED_MAX) as u64;
    blocks * (3 + 7 + 32) + bytes as u64 * 8
}

fn store(data: &[u8], bits: &mut Bits<'_>) {
    for block in data.chunks(STORED_MAX) {
        bits.make_room(8);
        bits.put(0, 3);
        bits.flush();
        bits.align();
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        bits.bytes(&length.to_le_bytes());
        bits.bytes(&(!length).to_le_bytes());
        bits.bytes(block);
    }
}

#[cfg(test)]
mod tests;
