//! What gzip wants to know at an object's end of the bytes before compression (RFC 1952, 2.3.1).

use crc_fast::{CrcAlgorithm, checksum, checksum_combine};
use serde::{Deserialize, Serialize};

/// CRC-32 and length of raw bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(u32, u64)", into = "(u32, u64)")]
pub struct RawSum {
    /// CRC-32 (ISO-HDLC).
    pub crc32: u32,
    /// Length in bytes.
    pub len: u64,
}

impl RawSum {
    /// Of these bytes.
    pub fn of(raw: &[u8]) -> Self {
        Self {
            crc32: crc32(checksum(CrcAlgorithm::Crc32IsoHdlc, raw)),
            len: raw.len() as u64,
        }
    }

    /// Of both texts, one after the other.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        let [first, second] = [self, next].map(|sum| u64::from(sum.crc32));
        let both = checksum_combine(CrcAlgorithm::Crc32IsoHdlc, first, second, next.len);
        Self {
            crc32: crc32(both),
            len: self.len + next.len,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "32 bits are all it has")]
const fn crc32(sum: u64) -> u32 {
    sum as u32
}

impl From<(u32, u64)> for RawSum {
    fn from((crc32, len): (u32, u64)) -> Self {
        Self { crc32, len }
    }
}

impl From<RawSum> for (u32, u64) {
    fn from(sum: RawSum) -> Self {
        (sum.crc32, sum.len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RawSum;

    proptest! {
        #[test]
        fn sums_of_parts_are_the_sum_of_the_whole(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        ) {
            let sums = parts.iter().map(|part| RawSum::of(part));
            let whole = sums.fold(RawSum::default(), RawSum::and);
            prop_assert_eq!(whole, RawSum::of(&parts.concat()));
        }
    }
}
