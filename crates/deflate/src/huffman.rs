//! Huffman codes of a block, and how its header describes them (RFC 1951, 3.2.2 to 3.2.7).

use super::bits::Bits;
use super::symbols::{self, DISTANCES, END, LENGTH_MAX, LITERALS, Symbols};

/// Longest code of a literal or length: four of them and a broken byte fit a word. The format
/// allows one bit more.
const LITERAL_BITS: usize = 14;
/// Longest code of a distance.
const DISTANCE_BITS: usize = 15;
/// Longest code of a code's length.
const LENGTH_BITS: usize = 7;
/// Code lengths, and three ways to repeat them.
const LENGTH_SYMBOLS: usize = 19;
/// The order in which a header gives the lengths of their own codes.
const LENGTH_ORDER: [usize; LENGTH_SYMBOLS] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
/// A table's entry: the code in the lower bits, its length above.
const COUNT_AT: u32 = 24;

/// The codes of a block.
pub(super) struct Codes {
    /// Bits of each symbol's code; 0: it has none.
    literals: [u8; LITERALS],
    distances: [u8; DISTANCES],
    /// `None`: the fixed codes (RFC 1951, 3.2.6).
    header: Option<CodeDescription>,
}

/// How a block's header describes its codes.
struct CodeDescription {
    /// Symbols whose codes are described.
    literals: usize,
    distances: usize,
    /// Lengths in short: symbol, extra bits and their number.
    lengths: Vec<(u8, u8, u8)>,
    /// Bits of the codes for those.
    codes: [u8; LENGTH_SYMBOLS],
    /// How many of `codes` are described.
    count: usize,
}

impl Codes {
    /// The best codes for symbols that occur so often.
    pub(super) fn best(literals: &[u32; LITERALS], distances: &[u32; DISTANCES]) -> Self {
        let literals = lengths(literals, LITERAL_BITS);
        let distances = lengths(distances, DISTANCE_BITS);
        let header = Some(CodeDescription::of(&literals, &distances));
        Self {
            literals,
            distances,
            header,
        }
    }

    /// The fixed codes (RFC 1951, 3.2.6).
    pub(super) fn fixed() -> Self {
        let mut literals = [8; LITERALS];
        literals[144..256].fill(9);
        literals[256..280].fill(7);
        Self {
            literals,
            distances: [5; DISTANCES],
            header: None,
        }
    }

    /// Bits of a block whose symbols occur so often.
    pub(super) fn cost(&self, literals: &[u32; LITERALS], distances: &[u32; DISTANCES]) -> u64 {
        let literals = literals.iter().zip(&self.literals).enumerate();
        let literals = literals.map(|(symbol, (count, bits))| {
            u64::from(*count) * u64::from(bits + symbols::of_length(symbol).1)
        });
        let distances = distances.iter().zip(&self.distances).enumerate();
        let distances = distances.map(|(symbol, (count, bits))| {
            u64::from(*count) * u64::from(bits + symbols::of_distance(symbol).1)
        });
        let header = self.header.as_ref().map_or(0, CodeDescription::cost);
        3 + header + literals.chain(distances).sum::<u64>()
    }

    /// Begins a block.
    pub(super) fn write_header(&self, bits: &mut Bits<'_>) {
        let kind = if self.header.is_some() { 2 } else { 1 };
        bits.put(kind << 1, 3);
        if let Some(header) = &self.header {
            header.write(bits);
        }
        bits.flush();
    }

    /// Tables to write the block by.
    pub(super) fn tables(&self, symbols: &Symbols) -> CodeTables {
        let literals = codes(&self.literals);
        let distances = codes(&self.distances);
        let mut lengths = [0; LENGTH_MAX + 1];
        for (length, bits_of) in (0_u16..).zip(&mut lengths).skip(3) {
            let symbol = symbols.length(usize::from(length));
            let (base, extra) = symbols::of_length(symbol);
            let bits = u32::from(self.literals[symbol]);
            let code = literals[symbol] | u32::from(length - base) << bits;
            *bits_of = entry(code, bits + u32::from(extra));
        }
        let mut tables = CodeTables {
            literals: [0; END],
            lengths,
            distances: [DistanceCode::default(); DISTANCES],
            end: entry(literals[END], u32::from(self.literals[END])),
        };
        let known = literals.iter().zip(&self.literals);
        for (bits_of, (code, bits)) in tables.literals.iter_mut().zip(known) {
            *bits_of = entry(*code, u32::from(*bits));
        }
        for (symbol, distance) in tables.distances.iter_mut().enumerate() {
            let (base, extra) = symbols::of_distance(symbol);
            *distance = DistanceCode {
                code: distances[symbol],
                bits: self.distances[symbol],
                extra,
                base,
            };
        }
        tables
    }
}

impl CodeDescription {
    fn of(literals: &[u8; LITERALS], distances: &[u8; DISTANCES]) -> Self {
        let used = |lengths: &[u8], min: usize| {
            let last = lengths.iter().rposition(|bits| *bits > 0);
            last.map_or(min, |last| min.max(last + 1))
        };
        let (of_literals, of_distances) = (used(literals, END + 1), used(distances, 1));
        let mut lengths = [0; LITERALS + DISTANCES];
        lengths[..of_literals].copy_from_slice(&literals[..of_literals]);
        let all = of_literals + of_distances;
        lengths[of_literals..all].copy_from_slice(&distances[..of_distances]);
        let lengths = in_short(&lengths[..all]);
        let mut counts = [0; LENGTH_SYMBOLS];
        for (symbol, ..) in &lengths {
            counts[usize::from(*symbol)] += 1;
        }
        let codes = self::lengths(&counts, LENGTH_BITS);
        let last = LENGTH_ORDER.iter().rposition(|symbol| codes[*symbol] > 0);
        Self {
            literals: of_literals,
            distances: of_distances,
            lengths,
            codes,
            count: last.map_or(4, |last| 4.max(last + 1)),
        }
    }

    fn cost(&self) -> u64 {
        let lengths = self.lengths.iter();
        let lengths =
            lengths.map(|(symbol, _, count)| u64::from(self.codes[usize::from(*symbol)] + count));
        5 + 5 + 4 + 3 * self.count as u64 + lengths.sum::<u64>()
    }

    fn write(&self, bits: &mut Bits<'_>) {
        bits.put(self.literals as u64 - 257, 5);
        bits.put(self.distances as u64 - 1, 5);
        bits.put(self.count as u64 - 4, 4);
        bits.flush();
        for symbol in &LENGTH_ORDER[..self.count] {
            bits.put(u64::from(self.codes[*symbol]), 3);
            bits.flush();
        }
        let codes = codes(&self.codes);
        for (symbol, extra, count) in &self.lengths {
            let symbol = usize::from(*symbol);
            let length = u32::from(self.codes[symbol]);
            bits.put(u64::from(codes[symbol]), length);
            bits.put(u64::from(*extra), u32::from(*count));
            bits.flush();
        }
    }
}

/// Code lengths with repetitions in short: symbol, extra bits and their number.
fn in_short(lengths: &[u8]) -> Vec<(u8, u8, u8)> {
    let mut short = Vec::with_capacity(lengths.len());
    for run in lengths.chunk_by(|a, b| a == b) {
        let (length, mut left) = (run[0], run.len());
        if length > 0 {
            short.push((length, 0, 0));
            left -= 1;
        }
        while left >= 3 {
            let (symbol, min, max, bits) = match (length, left) {
                (0, 11..) => (18, 11, 138, 7),
                (0, _) => (17, 3, 10, 3),
                _ => (16, 3, 6, 2),
            };
            let count = left.min(max);
            let extra = u8::try_from(count - min).expect("at most 127");
            short.push((symbol, extra, bits));
            left -= count;
        }
        short.extend(std::iter::repeat_n((length, 0, 0), left));
    }
    short
}

/// Lengths of the best codes, of at most `max` bits, for symbols with these counts. At least two symbols get a
/// code, because some readers require it.
fn lengths<const N: usize>(counts: &[u32; N], max: usize) -> [u8; N] {
    let mut lengths = [0; N];
    let used = (0..N).filter(|symbol| counts[*symbol] > 0);
    let mut used: Vec<(u32, usize)> = used.map(|symbol| (counts[symbol], symbol)).collect();
    if used.len() < 2 {
        let only = used.first().map_or(0, |(_, symbol)| *symbol);
        lengths[only] = 1;
        lengths[usize::from(only == 0)] = 1;
        return lengths;
    }
    used.sort_unstable();
    let mut of_length = [0_u32; 16];
    for depth in depths(&used) {
        of_length[depth.min(max)] += 1;
    }
    // Cutting what is too long leaves too many codes: each step makes room for one.
    let taken = (1..=max).map(|length| u64::from(of_length[length]) << (max - length));
    let too_many = taken.sum::<u64>() - (1 << max);
    for _ in 0..too_many {
        let shorter = (1..max).rev().find(|length| of_length[*length] > 0);
        let shorter = shorter.expect("there are codes enough");
        of_length[max] -= 1;
        of_length[shorter] -= 1;
        of_length[shorter + 1] += 2;
    }
    let by_length = (1_u8..16).zip(&of_length[1..]).rev();
    let by_length = by_length.flat_map(|(bits, count)| (0..*count).map(move |_| bits));
    for ((_, symbol), bits) in used.iter().zip(by_length) {
        lengths[*symbol] = bits;
    }
    lengths
}

/// How deep each of the symbols, rarest first, stands in a Huffman tree.
fn depths(used: &[(u32, usize)]) -> Vec<usize> {
    let leaves = used.len();
    let nodes = 2 * leaves - 1;
    let mut weights: Vec<u64> = used.iter().map(|(count, _)| u64::from(*count)).collect();
    let mut parents = vec![0; nodes];
    // Both leaves and the nodes made of them are in order already.
    let (mut leaf, mut inner) = (0, leaves);
    for node in leaves..nodes {
        let mut weight = 0;
        for _ in 0..2 {
            let take_leaf = leaf < leaves && (inner >= node || weights[leaf] <= weights[inner]);
            let next = if take_leaf { &mut leaf } else { &mut inner };
            weight += weights[*next];
            parents[*next] = node;
            *next += 1;
        }
        weights.push(weight);
    }
    let mut depths = vec![0; nodes];
    for node in (0..nodes - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    depths.truncate(leaves);
    depths
}

/// The codes of these lengths, their first bit lowest.
fn codes<const N: usize>(lengths: &[u8; N]) -> [u32; N] {
    let mut next = [0_u32; 17];
    for length in lengths.iter().filter(|length| **length > 0) {
        next[usize::from(*length) + 1] += 1;
    }
    for length in 1..17 {
        next[length] = (next[length - 1] + next[length]) << 1;
    }
    let mut codes = [0; N];
    for (code, length) in codes.iter_mut().zip(lengths) {
        if *length > 0 {
            let next = &mut next[usize::from(*length)];
            *code = next.reverse_bits() >> (32 - u32::from(*length));
            *next += 1;
        }
    }
    codes
}

const fn entry(code: u32, bits: u32) -> u32 {
    code | bits << COUNT_AT
}

/// Code and extra bits of a distance's symbol.
#[derive(Clone, Copy, Debug, Default)]
struct DistanceCode {
    code: u32,
    bits: u8,
    extra: u8,
    base: u16,
}

/// Everything that may stand in a block, as bits.
pub(super) struct CodeTables {
    literals: [u32; END],
    /// By length.
    lengths: [u32; LENGTH_MAX + 1],
    /// By symbol.
    distances: [DistanceCode; DISTANCES],
    end: u32,
}

impl CodeTables {
    #[inline]
    fn put(entry: u32, bits: &mut Bits<'_>) {
        bits.put(u64::from(entry & ((1 << COUNT_AT) - 1)), entry >> COUNT_AT);
    }

    /// Writes literals.
    #[inline]
    pub(super) fn literals(&self, literals: &[u8], bits: &mut Bits<'_>) {
        let mut fours = literals.chunks_exact(4);
        for four in fours.by_ref() {
            for literal in four {
                Self::put(self.literals[usize::from(*literal)], bits);
            }
            bits.flush();
        }
        for literal in fours.remainder() {
            Self::put(self.literals[usize::from(*literal)], bits);
        }
        bits.flush();
    }

    /// Writes a match: at most 47 bits.
    #[inline]
    pub(super) fn repeat(
        &self,
        length: u16,
        distance: u16,
        symbols: &Symbols,
        bits: &mut Bits<'_>,
    ) {
        Self::put(self.lengths[usize::from(length)], bits);
        let code = self.distances[symbols.distance(usize::from(distance))];
        let word = u64::from(code.code) | u64::from(distance - code.base) << code.bits;
        bits.put(word, u32::from(code.bits + code.extra));
        bits.flush();
    }

    /// Ends the block.
    pub(super) fn end(&self, bits: &mut Bits<'_>) {
        Self::put(self.end, bits);
        bits.flush();
    }
}
