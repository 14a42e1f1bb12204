//! Where a record stands in its shard: a total order that survives restarts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bits of a journal sequence number that count records; the bits above hold the epoch.
///
/// 2^44 records an epoch (more than half a year at a million a second) and 2^20 epochs.
const COUNTER_BITS: u32 = 44;

/// A sequence number of our own journal: `epoch << 44 | counter`, so that a recovery, which starts a
/// new epoch, can never hand out a number twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The first sequence number of `epoch`.
    pub const fn first_of(epoch: u32) -> Self {
        Self((epoch as u64) << COUNTER_BITS)
    }

    /// The epoch this number was handed out in.
    pub const fn epoch(self) -> u32 {
        (self.0 >> COUNTER_BITS) as u32
    }

    /// How many numbers its epoch has before it.
    pub const fn in_epoch(self) -> u64 {
        self.0 - Self::first_of(self.epoch()).0
    }

    /// The number `count` records further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

/// Sequence numbers whose records are lost to damage on disk, as far as the records around them
/// tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MissingRange {
    /// The first that is missing.
    pub first: Sequence,
    /// The last that is missing.
    pub last: Sequence,
}

impl MissingRange {
    /// What is missing from `first` on when the next record is `next`.
    pub fn between(first: Sequence, next: Sequence) -> Option<Self> {
        (first < next).then(|| Self {
            first,
            last: Sequence(next.0 - 1),
        })
    }

    /// How many records it has held for sure. Where an epoch ends inside it, nobody knows how many records that epoch
    /// had.
    pub const fn records(self) -> u64 {
        let next = self.last.plus(1);
        if next.epoch() == self.first.epoch() {
            next.0 - self.first.0
        } else {
            next.in_epoch()
        }
    }

    /// Whether it has held no more than [`MissingRange::records`].
    pub const fn is_exact(self) -> bool {
        self.last.plus(1).epoch() == self.first.epoch()
    }

    /// The part beyond `frontier`.
    pub fn after(self, frontier: Option<Sequence>) -> Option<Self> {
        let first = frontier.map_or(self.first, |frontier| self.first.max(frontier.plus(1)));
        (first <= self.last).then_some(Self { first, ..self })
    }
}

/// A record's number in one shard of any source, ordered as a number: 192 bits, of which Kinesis
/// uses 186 (56 decimal digits) and our own journal 64. Written and kept as a decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber([u64; 3]);

/// Decimal digits that a 64-bit piece holds in any case, and the power of ten behind them.
const DIGITS: usize = 19;
const TEN_TO_DIGITS: u64 = 10_u64.pow(19);

impl SequenceNumber {
    /// Its bytes, least significant first.
    pub fn to_le_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        for (piece, limb) in bytes.chunks_exact_mut(8).zip(self.0.iter().rev()) {
            piece.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// The number that [`SequenceNumber::to_le_bytes`] gave.
    pub fn from_le_bytes(bytes: [u8; 24]) -> Self {
        let mut limbs = [0; 3];
        for (limb, piece) in limbs.iter_mut().rev().zip(bytes.as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*piece);
        }
        Self(limbs)
    }

    /// The number in 64 bits, if it fits: that of our own journal does.
    pub const fn narrow(self) -> Option<Sequence> {
        match self.0 {
            [0, 0, number] => Some(Sequence(number)),
            _ => None,
        }
    }

    /// All its bits in 64: equal for equal numbers.
    pub const fn folded(self) -> u64 {
        self.0[0] ^ self.0[1] ^ self.0[2]
    }
}

impl From<Sequence> for SequenceNumber {
    fn from(Sequence(number): Sequence) -> Self {
        Self([0, 0, number])
    }
}

/// A text that is no sequence number of ours: not decimal, or beyond 192 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number of at most 192 bits")]
pub struct NotASequenceNumber;

impl FromStr for SequenceNumber {
    type Err = NotASequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut limbs = [0_u64; 3];
        if text.is_empty() {
            return Err(NotASequenceNumber);
        }
        for byte in text.bytes() {
            let mut carry = match byte {
                b'0'..=b'9' => u128::from(byte - b'0'),
                _ => return Err(NotASequenceNumber),
            };
            for limb in limbs.iter_mut().rev() {
                let shifted = u128::from(*limb) * 10 + carry;
                *limb = low(shifted);
                carry = shifted >> 64;
            }
            if carry > 0 {
                return Err(NotASequenceNumber);
            }
        }
        Ok(Self(limbs))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn low(wide: u128) -> u64 {
    wide as u64
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = self.0;
        let mut pieces = Vec::with_capacity(4);
        while limbs != [0; 3] {
            let mut rest = 0_u128;
            for limb in &mut limbs {
                let dividend = rest << 64 | u128::from(*limb);
                *limb = low(dividend / u128::from(TEN_TO_DIGITS));
                rest = dividend % u128::from(TEN_TO_DIGITS);
            }
            pieces.push(low(rest));
        }
        write!(formatter, "{}", pieces.pop().unwrap_or(0))?;
        for piece in pieces.iter().rev() {
            write!(formatter, "{piece:0DIGITS$}")?;
        }
        Ok(())
    }
}

impl Serialize for SequenceNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SequenceNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Total order inside a shard: the sequence number, then the index inside an aggregated record.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The record's sequence number.
    pub sequence: SequenceNumber,
    /// Index inside an aggregated record; 0 for ordinary records.
    pub sub_sequence: u32,
}

impl Position {
    /// The position of a record that is no part of another.
    pub fn of(sequence: Sequence) -> Self {
        Self {
            sequence: sequence.into(),
            sub_sequence: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NotASequenceNumber, Sequence, SequenceNumber};

    #[test]
    fn a_later_epoch_is_greater_than_every_number_of_an_earlier_one() {
        let last = Sequence::first_of(7).plus((1 << 44) - 1);
        assert_eq!(last.epoch(), 7);
        assert!(Sequence::first_of(8) > last);
    }

    #[test]
    fn numbers_as_kinesis_hands_them_out_are_read_and_ordered() {
        let first = "49590338271490256608559692538361571095921575989136588898";
        let later = "49590338271490256608559692540925702759324208523137515618";
        let number = |text: &str| text.parse::<SequenceNumber>().unwrap();
        assert_eq!(number(first).to_string(), first);
        assert!(number(first) < number(later));
        assert!(number("9") < number("10"));
        assert_eq!(number("0"), SequenceNumber::default());
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        for text in ["", "-1", "1a", " 1", &"9".repeat(58), &"9".repeat(129)] {
            assert_eq!(text.parse::<SequenceNumber>(), Err(NotASequenceNumber));
        }
        let largest = "6277101735386680763835789423207666416102355444464034512895";
        assert!(largest.parse::<SequenceNumber>().is_ok());
    }

    proptest! {
        #[test]
        fn decimals_and_bytes_give_the_number_back(limbs: [u64; 3], other: [u64; 3]) {
            let (number, other) = (SequenceNumber(limbs), SequenceNumber(other));
            prop_assert_eq!(number.to_string().parse(), Ok(number));
            prop_assert_eq!(SequenceNumber::from_le_bytes(number.to_le_bytes()), number);
            let (text, other_text) = (number.to_string(), other.to_string());
            let by_text = (text.len(), text).cmp(&(other_text.len(), other_text));
            prop_assert_eq!(number.cmp(&other), by_text);
        }
    }
}
