//! Hash keys: which shard a partition key belongs to.

use firehose_kpl::Key;
use md5::{Digest as _, Md5};

/// The hash keys of a shard, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashRange {
    pub(super) first: u128,
    pub(super) last: u128,
}

/// Every hash key.
pub(super) const EVERYTHING: HashRange = HashRange {
    first: 0,
    last: u128::MAX,
};

impl HashRange {
    /// The range that Kinesis names by two decimals; everything, where it names none.
    pub(super) fn parse(first: &str, last: &str) -> Self {
        Self {
            first: first.parse().unwrap_or(0),
            last: last.parse().unwrap_or(u128::MAX),
        }
    }

    fn holds(&self, hash: u128) -> bool {
        (self.first..=self.last).contains(&hash)
    }
}

/// Which keys of one aggregate belong to a shard, as the Kinesis Client Library has it, which drops an aggregate of
/// which one does not.
///
/// Whoever wrote the aggregate chose how long its keys are and how many records name each of them, so each key is
/// looked at once: all of them together are no longer than the aggregate.
#[derive(Debug)]
pub(super) struct AggregateKeys {
    range: HashRange,
    partition_keys: Vec<Option<bool>>,
    hash_keys: Vec<Option<bool>>,
    looked_at: usize,
}

impl AggregateKeys {
    /// The keys of an aggregate that came from the shard of that range.
    pub(super) const fn of(range: HashRange) -> Self {
        Self {
            range,
            partition_keys: Vec::new(),
            hash_keys: Vec::new(),
            looked_at: 0,
        }
    }

    /// Whether a record with these keys belongs to the shard: by its explicit hash key, where it has one, or else by
    /// the MD5 of its partition key. A hash key that is no number of 128 bits belongs to no shard.
    pub(super) fn belong(&mut self, partition_key: Key<'_>, explicit: Option<Key<'_>>) -> bool {
        let (verdicts, key) = match explicit {
            None => (&mut self.partition_keys, partition_key),
            Some(key) => (&mut self.hash_keys, key),
        };
        if verdicts.len() <= key.index {
            verdicts.resize(key.index + 1, None);
        }
        *verdicts[key.index].get_or_insert_with(|| {
            self.looked_at += key.text.len();
            let hash = match explicit {
                None => Some(u128::from_be_bytes(Md5::digest(key.text).into())),
                Some(_) => number(key.text),
            };
            hash.is_some_and(|hash| self.range.holds(hash))
        })
    }

    /// Bytes of all keys that were hashed or read.
    pub(super) const fn looked_at(&self) -> usize {
        self.looked_at
    }
}

fn number(hash_key: &[u8]) -> Option<u128> {
    std::str::from_utf8(hash_key).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use firehose_kpl::Key;

    use super::{AggregateKeys, HashRange};

    fn belongs(range: HashRange, partition_key: &[u8], explicit: Option<&[u8]>) -> bool {
        let key = |text| Key { index: 0, text };
        AggregateKeys::of(range).belong(key(partition_key), explicit.map(key))
    }

    #[test]
    fn a_key_belongs_where_its_md5_lies_unless_it_says_otherwise() {
        // MD5 of "a" is 0cc175b9c0f1b6a831c399e269772661.
        let hash = "16955237001963240173058271559858726497";
        let only = HashRange::parse(hash, hash);
        assert!(belongs(only, b"a", None));
        assert!(!belongs(only, b"b", None));
        assert!(belongs(only, b"b", Some(hash.as_bytes())));
        assert!(!belongs(only, b"a", Some(b"1")));
        let all = HashRange::parse("0", "340282366920938463463374607431768211455");
        assert!(belongs(all, b"", None));
    }

    #[test]
    fn an_explicit_key_that_is_no_hash_key_belongs_to_no_shard() {
        let beyond = b"340282366920938463463374607431768211456";
        let long = [b'9'; 1000];
        for explicit in [&b"x"[..], b"", b"-1", b"\xFF", beyond, &long] {
            assert!(!belongs(super::EVERYTHING, b"a", Some(explicit)));
        }
    }

    #[test]
    fn however_many_records_name_a_key_it_is_looked_at_once() {
        let long = vec![b'0'; 1 << 20];
        let key = |index| Key { index, text: &long };
        let mut keys = AggregateKeys::of(super::EVERYTHING);
        for record in 0..10_000 {
            assert!(keys.belong(key(record % 2), None));
            assert!(keys.belong(key(0), Some(key(record % 2))));
        }
        assert_eq!(keys.looked_at(), 4 * long.len());
    }
}
