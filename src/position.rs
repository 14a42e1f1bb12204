//! Where a record stands in its shard: a total order that survives restarts.

use serde::{Deserialize, Serialize};

/// Bits of a journal sequence number that count records; the bits above hold the epoch.
///
/// 2^44 records an epoch (more than half a year at a million a second) and 2^20 epochs.
const COUNTER_BITS: u32 = 44;

/// A sequence number in one shard. In our own journal it is `epoch << 44 | counter`, so that a
/// recovery, which starts a new epoch, can never hand out a number twice.
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

    /// The number `count` records further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

/// Total order inside a shard: the sequence number, then the index inside an aggregated record.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The record's sequence number.
    pub sequence: Sequence,
    /// Index inside an aggregated record; 0 for ordinary records.
    pub sub_sequence: u32,
}

#[cfg(test)]
mod tests {
    use super::Sequence;

    #[test]
    fn a_later_epoch_is_greater_than_every_number_of_an_earlier_one() {
        let last = Sequence::first_of(7).plus((1 << 44) - 1);
        assert_eq!(last.epoch(), 7);
        assert!(Sequence::first_of(8) > last);
    }
}
