//! One flipped bit, found by what the checksum says and put right.
//!
//! A CRC is linear: the difference between two checksums depends only on the bits that are wrong, not on the others.
//! For one wrong bit it is a power of x, which tells how far from the end that bit stands.

use super::POLYNOMIAL;

/// Makes `bytes` sum to `crc64` again if one flipped bit is all that is wrong with them: the number of that
/// bit, eight a byte from the lowest on. Otherwise they stay as they are.
///
/// Worse damage is taken for one bit when its sum happens to be that of one: of 2^64 sums there are as many
/// such as the bytes have bits, so for a block of 256 KiB once in 2^43.
pub(crate) fn put_right(bytes: &mut [u8], crc64: u64) -> Option<u64> {
    let (at, mask) = find(crc_fast::crc64_nvme(bytes) ^ crc64, bytes.len())?;
    bytes[at] ^= mask;
    if crc_fast::crc64_nvme(bytes) != crc64 {
        bytes[at] ^= mask;
        return None;
    }
    Some(at as u64 * 8 + u64::from(mask.trailing_zeros()))
}

/// The bit whose flip changes the checksum of `len` bytes by `syndrome`.
fn find(syndrome: u64, len: usize) -> Option<(usize, u8)> {
    // A bit of the last byte is one of the powers x^64 to x^71, each byte before it x^8 more. So all is
    // divided by x^8 until one of x^0 to x^7 is left, which are the bits of the highest byte.
    let mut rest = (0..8).fold(syndrome, |rest, _| divide(rest));
    for at in (0..len).rev() {
        let [mask, others @ ..] = rest.to_be_bytes();
        if mask.is_power_of_two() && others == [0; 7] {
            return Some((at, mask));
        }
        rest = divide(rest);
    }
    None
}

/// The quotient by x^8, modulo the polynomial.
const fn divide(product: u64) -> u64 {
    (product << 8) ^ QUOTIENTS[product.to_be_bytes()[0] as usize]
}

/// The quotients of x^0 to x^7 and their sums by x^8.
const QUOTIENTS: [u64; 256] = {
    let mut quotients = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut rest, mut bit) = ((byte as u64) << 56, 0);
        while bit < 8 {
            // What has no factor x gets it from the polynomial, whose highest term is beyond the 64 bits.
            let odd = (rest >> 63).wrapping_neg();
            rest = ((rest ^ (POLYNOMIAL & odd)) << 1) | (odd & 1);
            bit += 1;
        }
        quotients[byte] = rest;
        byte += 1;
    }
    quotients
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::put_right;

    #[test]
    fn each_bit_of_a_small_extent_is_put_right() {
        for len in 1..40_usize {
            let whole: Vec<u8> = (0..len)
                .map(|at| (at * 37 + len).to_le_bytes()[0])
                .collect();
            for bit in 0..len * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let found = put_right(&mut bytes, crc_fast::crc64_nvme(&whole));
                assert_eq!(
                    (found, &bytes),
                    (Some(bit as u64), &whole),
                    "{bit} of {len} bytes"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bit_of_an_extent_is_put_right(
            (whole, bit) in prop::collection::vec(any::<u8>(), 1..5000)
                .prop_flat_map(|bytes| { let bits = bytes.len() * 8; (Just(bytes), 0..bits) }),
        ) {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = put_right(&mut bytes, crc_fast::crc64_nvme(&whole));
            prop_assert_eq!(found, Some(bit as u64));
            prop_assert_eq!(bytes, whole);
        }

        #[test]
        fn worse_damage_is_left_as_it_is(
            whole in prop::collection::vec(any::<u8>(), 2..5000),
            bits in prop::collection::btree_set(0..16_usize, 2..9),
            hole in 0..5000_usize,
            len in 2..600_usize,
            gone in any::<bool>(),
        ) {
            let mut bytes = whole.clone();
            if gone {
                let at = hole % bytes.len();
                let end = bytes.len().min(at + len);
                bytes[at..end].fill(0);
            } else {
                for bit in bits {
                    // Spread over all of it.
                    let bit = bit * (bytes.len() * 8 / 16);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
            let differs = bytes.iter().zip(&whole).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
            prop_assume!(differs > 1);
            let damaged = bytes.clone();
            prop_assert_eq!(put_right(&mut bytes, crc_fast::crc64_nvme(&whole)), None);
            prop_assert_eq!(bytes, damaged);
        }
    }

    #[test]
    fn two_flips_in_a_large_extent_do_not_look_like_one() {
        let mut random = fastrand::Rng::with_seed(3);
        let whole = vec![0x5a; 1 << 18];
        let crc64 = crc_fast::crc64_nvme(&whole);
        for _ in 0..20 {
            let mut bytes = whole.clone();
            for at in [random.usize(..1 << 17), random.usize(1 << 17..1 << 18)] {
                bytes[at] ^= 1 << random.u8(..8);
            }
            assert_eq!(put_right(&mut bytes, crc64), None);
        }
    }
}
