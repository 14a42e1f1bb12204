//! When a lease has expired: its heartbeat has not moved for a failover time, by the observer's own
//! monotonic clock. No two clocks are ever compared. Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::item::LeaseItem;
use crate::shard::ShardId;

/// So many failover times without a heartbeat, and a lease is taken whatever the balance says.
const VERY_OLD: u32 = 3;

/// How old the last sign of life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    /// Its owner may be alive.
    Alive,
    /// It has no owner, or one that gives no sign of life.
    Free,
    /// It is free, and nobody has taken it for long.
    VeryOld,
}

/// What was seen of each lease.
#[derive(Debug, Default)]
pub(super) struct LeaseWatch {
    seen: BTreeMap<ShardId, LeaseSighting>,
}

#[derive(Debug)]
struct LeaseSighting {
    counter: u64,
    owner: Option<String>,
    since: Instant,
}

impl LeaseWatch {
    /// Takes over what a scan has found, and says how old each lease is, in the same order.
    pub(super) fn look(
        &mut self,
        items: &[LeaseItem],
        failover: Duration,
        now: Instant,
    ) -> Vec<Age> {
        let mut before = std::mem::take(&mut self.seen);
        let age = |item: &LeaseItem| {
            let same =
                |seen: &LeaseSighting| seen.counter == item.counter && seen.owner == item.owner;
            let seen = before.remove(&item.shard).filter(same);
            let seen = seen.unwrap_or_else(|| LeaseSighting {
                counter: item.counter,
                owner: item.owner.clone(),
                since: now,
            });
            let still = now.saturating_duration_since(seen.since);
            self.seen.insert(ShardId::clone(&item.shard), seen);
            match &item.owner {
                Some(_) if still <= failover => Age::Alive,
                _ if still > failover * VERY_OLD => Age::VeryOld,
                _ => Age::Free,
            }
        };
        items.iter().map(age).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::item::tests::lease;

    const FAILOVER: Duration = Duration::from_secs(10);

    #[test]
    fn a_lease_expires_when_its_heartbeat_stands_still_on_the_observers_clock() {
        let begin = Instant::now();
        let mut watch = LeaseWatch::default();
        let mut look = |owner: Option<&str>, counter, after_secs| {
            let item = LeaseItem {
                owner: owner.map(Into::into),
                counter,
                ..lease("a")
            };
            let now = begin + Duration::from_secs(after_secs);
            watch.look(&[item], FAILOVER, now)[0]
        };
        assert_eq!(look(Some("w"), 1, 0), Age::Alive);
        assert_eq!(look(Some("w"), 1, 10), Age::Alive);
        assert_eq!(look(Some("w"), 1, 11), Age::Free);
        assert_eq!(look(Some("w"), 2, 12), Age::Alive);
        assert_eq!(look(Some("w"), 2, 43), Age::VeryOld);
        assert_eq!(look(Some("v"), 2, 44), Age::Alive);
        assert_eq!(look(None, 3, 45), Age::Free);
        assert_eq!(look(None, 3, 76), Age::VeryOld);
    }

    #[test]
    fn what_was_deleted_and_made_anew_is_new() {
        let begin = Instant::now();
        let mut watch = LeaseWatch::default();
        let item = LeaseItem {
            owner: Some("w".into()),
            ..lease("a")
        };
        watch.look(std::slice::from_ref(&item), FAILOVER, begin);
        watch.look(&[], FAILOVER, begin + FAILOVER);
        let later = begin + FAILOVER * 2;
        assert_eq!(watch.look(&[item], FAILOVER, later), [Age::Alive]);
    }
}
