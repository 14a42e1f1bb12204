//! Hash keys: which shard a partition key belongs to.

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

    /// Whether a record with these keys belongs to the shard. An explicit hash key that is no number
    /// counts as none.
    pub(super) fn holds(&self, partition_key: &[u8], explicit: Option<&[u8]>) -> bool {
        let explicit = explicit
            .and_then(|key| std::str::from_utf8(key).ok())
            .and_then(|key| key.parse().ok());
        let hash =
            explicit.unwrap_or_else(|| u128::from_be_bytes(Md5::digest(partition_key).into()));
        (self.first..=self.last).contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::HashRange;

    #[test]
    fn a_key_belongs_where_its_md5_lies_unless_it_says_otherwise() {
        // MD5 of "a" is 0cc175b9c0f1b6a831c399e269772661.
        let hash = "16955237001963240173058271559858726497";
        let only = HashRange::parse(hash, hash);
        assert!(only.holds(b"a", None));
        assert!(!only.holds(b"b", None));
        assert!(only.holds(b"b", Some(hash.as_bytes())));
        assert!(!only.holds(b"a", Some(b"1")));
        assert!(only.holds(b"a", Some(b"x")));
        let all = HashRange::parse("0", "340282366920938463463374607431768211455");
        assert!(all.holds(b"", None));
    }
}
