//! A piece of the spool, as checkpoints name it.

mod flip;

use serde::{Deserialize, Serialize};

pub(crate) use flip::put_right;

/// Where some bytes lie in the spool, and what they sum to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(u32, u64, u32, u64)", into = "(u32, u64, u32, u64)")]
pub struct Extent {
    /// Number of the spool file.
    pub file: u32,
    /// Offset in the file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u32,
    /// CRC-64/NVME of the bytes.
    pub crc64: u64,
}

impl From<(u32, u64, u32, u64)> for Extent {
    fn from((file, offset, len, crc64): (u32, u64, u32, u64)) -> Self {
        Self {
            file,
            offset,
            len,
            crc64,
        }
    }
}

impl From<Extent> for (u32, u64, u32, u64) {
    fn from(extent: Extent) -> Self {
        (extent.file, extent.offset, extent.len, extent.crc64)
    }
}

/// Size and CRC-64/NVME of the concatenation of `extents`.
pub fn sum(extents: &[Extent]) -> (u64, u64) {
    extents.iter().fold((0, 0), |(size, crc64), extent| {
        let len = u64::from(extent.len);
        (size + len, combine(crc64, extent.crc64, len))
    })
}

/// The polynomial of CRC-64/NVME without its highest term, lowest bit first: x^0 is bit 63.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

/// x^(8 * 2^n) modulo the polynomial, for n from 0 to 63.
const POWERS: [u64; 64] = {
    let mut powers = [1 << 55; 64]; // x^8
    let mut n = 1;
    while n < 64 {
        powers[n] = multiply(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The CRC-64/NVME of two texts one after the other, from theirs and the length of the second.
///
/// Appending n bytes multiplies what came before by x^8n; initial and final inversion cancel out
/// (zlib's `crc32_combine` says why). A table of squares makes that a handful of products.
pub fn combine(first: u64, second: u64, second_len: u64) -> u64 {
    let mut shifted = first;
    let mut rest = second_len;
    while rest != 0 {
        shifted = multiply(shifted, POWERS[rest.trailing_zeros() as usize]);
        rest &= rest - 1;
    }
    shifted ^ second
}

/// The product of two polynomials over GF(2), modulo the CRC's.
const fn multiply(a: u64, mut b: u64) -> u64 {
    let mut product = 0;
    let mut bit = 1 << 63;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        bit >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_of_parts_are_the_sum_of_the_whole(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        ) {
            let extents: Vec<Extent> = parts
                .iter()
                .map(|part| Extent {
                    file: 0,
                    offset: 0,
                    len: u32::try_from(part.len()).unwrap(),
                    crc64: crc_fast::crc64_nvme(part),
                })
                .collect();
            let whole = parts.concat();
            prop_assert_eq!(sum(&extents), (whole.len() as u64, crc_fast::crc64_nvme(&whole)));
        }

        #[test]
        fn combining_is_what_the_library_does(first: u64, second: u64, len in 0..1_u64 << 40) {
            let theirs = crc_fast::checksum_combine(
                crc_fast::CrcAlgorithm::Crc64Nvme, first, second, len,
            );
            prop_assert_eq!(combine(first, second, len), theirs);
        }
    }
}
