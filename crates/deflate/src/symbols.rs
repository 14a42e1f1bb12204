//! The symbols of lengths and distances (RFC 1951, 3.2.5).

/// Literals, the end of a block, and lengths; the last two are never used but have codes.
pub(super) const LITERALS: usize = 288;
/// Distances.
pub(super) const DISTANCES: usize = 30;
/// The symbol that ends a block.
pub(super) const END: usize = 256;
/// The longest match.
pub(super) const LENGTH_MAX: usize = 258;
/// The farthest match.
pub(super) const DISTANCE_MAX: usize = 32 << 10;

/// Symbols of lengths follow those of literals and the end.
const FIRST_LENGTH: usize = END + 1;
/// The shortest length of each symbol, from 257 on.
const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_EXTRA: [u8; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
/// The smallest distance of each symbol.
const DISTANCE_BASE: [u16; DISTANCES] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA: [u8; DISTANCES] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
];

/// Tables from values to symbols.
#[derive(Debug)]
pub(super) struct Symbols {
    /// By length.
    lengths: [u8; LENGTH_MAX + 1],
    /// By distance less one: up to 256 each, then in steps of 128.
    distances: [u8; 512],
}

impl Symbols {
    pub(super) fn new() -> Self {
        let mut symbols = Self {
            lengths: [0; LENGTH_MAX + 1],
            distances: [0; 512],
        };
        for (symbol, base) in (0..).zip(LENGTH_BASE) {
            symbols.lengths[usize::from(base)..].fill(symbol);
        }
        for (symbol, base) in (0..).zip(DISTANCE_BASE) {
            symbols.distances[slot(usize::from(base))..].fill(symbol);
        }
        symbols
    }

    /// The symbol of a length.
    #[inline]
    pub(super) fn length(&self, length: usize) -> usize {
        FIRST_LENGTH + usize::from(self.lengths[length])
    }

    /// The symbol of a distance.
    #[inline]
    pub(super) fn distance(&self, distance: usize) -> usize {
        usize::from(self.distances[slot(distance)])
    }
}

/// Where the symbol of a distance stands in its table.
#[inline]
const fn slot(distance: usize) -> usize {
    let less_one = distance - 1;
    if less_one < 256 {
        less_one
    } else {
        256 + (less_one >> 7)
    }
}

/// Shortest length and number of extra bits of a length's symbol; of others, nothing.
pub(super) fn of_length(symbol: usize) -> (u16, u8) {
    let found = symbol.checked_sub(FIRST_LENGTH).and_then(|index| {
        let base = LENGTH_BASE.get(index)?;
        Some((*base, LENGTH_EXTRA[index]))
    });
    found.unwrap_or_default()
}

/// Smallest distance and number of extra bits of a distance's symbol.
pub(super) fn of_distance(symbol: usize) -> (u16, u8) {
    (DISTANCE_BASE[symbol], DISTANCE_EXTRA[symbol])
}
