//! Bytes of memory that all streams share: a minimum for each, the rest for whoever needs it.
//!
//! A minimum that is not used is kept free, so that no stream ever waits for another to give
//! something back before it can work at all; what lies beyond the minima is never kept for anybody.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One in so many bytes of an equal share are a share's own, the others are for all.
const MINIMUM_PART: usize = 4;

/// The budget. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget(Arc<BudgetPool>);

#[derive(Debug)]
struct BudgetPool {
    total: usize,
    minimum: usize,
    /// What all shares hold, each counted with its minimum at least.
    claimed: AtomicUsize,
}

/// The part of one stream, or of one of its pipelines. It has one owner, who says what it holds;
/// dropping it gives all back.
#[derive(Debug)]
pub struct Share {
    whole: Arc<Whole>,
    held: AtomicUsize,
    is_part: bool,
}

/// What the pipelines of one stream share.
#[derive(Debug)]
struct Whole {
    account: Arc<BudgetPool>,
    /// What they hold together.
    held: Mutex<usize>,
    parts: AtomicUsize,
}

impl Budget {
    /// A budget of `total` bytes for so many shares; of more where not each could have `floor` bytes.
    pub fn new(total: usize, shares: usize, floor: usize) -> Self {
        let shares = shares.max(1);
        Self(Arc::new(BudgetPool {
            total: total.max(floor * shares),
            minimum: floor.max(total / shares / MINIMUM_PART),
            claimed: AtomicUsize::new(0),
        }))
    }

    /// One of the shares.
    pub fn share(&self) -> Share {
        let account = Arc::clone(&self.0);
        account
            .claimed
            .fetch_add(account.minimum, Ordering::Relaxed);
        Share {
            whole: Arc::new(Whole {
                account,
                held: Mutex::new(0),
                parts: AtomicUsize::new(0),
            }),
            held: AtomicUsize::new(0),
            is_part: false,
        }
    }
}

impl Share {
    /// A part of the share, for one of several pipelines of a stream: they have its limit together, and
    /// each has a minimum.
    #[must_use]
    pub fn part(&self) -> Self {
        self.whole.parts.fetch_add(1, Ordering::Relaxed);
        Self {
            whole: Arc::clone(&self.whole),
            held: AtomicUsize::new(0),
            is_part: true,
        }
    }

    /// In how many parts the share is, one at least.
    pub fn parts(&self) -> usize {
        self.whole.parts.load(Ordering::Relaxed).max(1)
    }

    /// Bytes that the owner may hold just now: what the others leave, its minimum at least.
    pub fn limit(&self) -> usize {
        let account = &self.whole.account;
        let held = *self.whole.lock();
        let own = account.minimum.max(held);
        let others = account.claimed.load(Ordering::Relaxed).saturating_sub(own);
        let limit = account.minimum.max(account.total.saturating_sub(others));
        let siblings = held.saturating_sub(self.held.load(Ordering::Relaxed));
        let minimum = match self.parts() {
            1 => limit,
            parts => limit / parts / MINIMUM_PART,
        };
        minimum.max(limit.saturating_sub(siblings))
    }

    /// Bytes that the owner holds.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Says how many bytes the owner holds.
    pub fn hold(&self, bytes: usize) {
        let BudgetPool {
            minimum, claimed, ..
        } = &*self.whole.account;
        let mut held = self.whole.lock();
        let before = (*held).max(*minimum);
        *held = *held + bytes - self.held.swap(bytes, Ordering::Relaxed);
        let after = (*held).max(*minimum);
        // What is added comes before what is taken away, so that it is never below zero.
        claimed.fetch_add(after, Ordering::Relaxed);
        claimed.fetch_sub(before, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
        if self.is_part {
            self.whole.parts.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Whole {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        let account = &self.account;
        account
            .claimed
            .fetch_sub(account.minimum, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that come in one go.
    const CHUNK: usize = 10;

    fn shares(budget: &Budget, count: usize) -> Vec<Share> {
        std::iter::repeat_with(|| budget.share())
            .take(count)
            .collect()
    }

    fn held(share: &Share) -> usize {
        share.held.load(Ordering::Relaxed)
    }

    /// As a stream does: it takes a chunk while it holds less than its limit.
    fn grow(share: &Share, bytes: usize) {
        if held(share) < share.limit() {
            share.hold(held(share) + bytes);
        }
    }

    proptest! {
        #[test]
        fn the_total_is_kept_and_each_may_always_have_its_minimum(
            total in 0_usize..2000,
            floor in 1_usize..50,
            count in 1_usize..9,
            steps in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0..=CHUNK), 0..600),
        ) {
            let budget = Budget::new(total, count, floor);
            let shares = shares(&budget, count);
            let BudgetPool { total, minimum, .. } = *budget.0;
            prop_assert!(minimum * count <= total && minimum >= floor);
            for (index, grows, bytes) in steps {
                let share = &shares[index.index(count)];
                if grows {
                    grow(share, bytes);
                } else {
                    share.hold(held(share) / 2);
                }
                // A chunk each is all that may come on top.
                let sum: usize = shares.iter().map(held).sum();
                prop_assert!(sum < total + CHUNK * count);
                prop_assert!(shares.iter().all(|share| share.limit() >= minimum));
            }
            drop(shares);
            prop_assert_eq!(budget.0.claimed.load(Ordering::Relaxed), 0);
        }

        #[test]
        fn one_busy_share_gets_all_that_the_minima_leave(total in 0_usize..2000, count in 1_usize..9) {
            let budget = Budget::new(total, count, 1);
            let shares = shares(&budget, count);
            let BudgetPool { total, minimum, .. } = *budget.0;
            for _ in 0..total {
                grow(&shares[0], 1);
            }
            prop_assert_eq!(held(&shares[0]), total - minimum * (count - 1));
            // Three quarters of everything at least, whatever the number of idle ones.
            prop_assert!(minimum == 1 || held(&shares[0]) * 4 >= total * 3);
            for idle in &shares[1..] {
                for _ in 0..minimum {
                    grow(idle, 1);
                }
                prop_assert_eq!(held(idle), minimum);
            }
        }

        #[test]
        fn shares_that_keep_to_three_quarters_of_their_limits_become_equal(
            count in 2_usize..6,
            greedy in 0_usize..6,
        ) {
            // A stream sheds down to that at each checkpoint.
            let total = 1 << 20;
            let budget = Budget::new(total, count, 1);
            let shares = shares(&budget, count);
            let greedy = &shares[greedy % count];
            greedy.hold(greedy.limit());
            for _ in 0..200 {
                for share in &shares {
                    share.hold(share.limit() / 4 * 3);
                }
            }
            let (least, most) = (shares.iter().map(held).min(), shares.iter().map(held).max());
            let (least, most) = (least.unwrap_or(0), most.unwrap_or(0));
            prop_assert!(most - least <= total / 100, "{least} to {most}");
            prop_assert!(least * count >= total / 2);
        }
    }

    #[test]
    fn parts_of_a_share_have_its_limit_together_and_a_minimum_each() {
        let budget = Budget::new(1000, 2, 10);
        let shares = shares(&budget, 2);
        let whole = shares[0].limit();
        let parts = [shares[0].part(), shares[0].part()];
        assert_eq!(shares[0].parts(), 2);
        parts[0].hold(whole);
        assert_eq!(parts[0].limit(), whole);
        assert_eq!(parts[1].limit(), whole / 2 / MINIMUM_PART);
        parts[0].hold(100);
        assert_eq!(parts[1].limit(), whole - 100);
        assert_eq!(shares[1].limit(), 1000 - budget.0.minimum.max(100));
        drop(parts);
        assert_eq!((shares[0].parts(), shares[0].limit()), (1, whole));
        drop(shares);
        assert_eq!(budget.0.claimed.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn shares_of_several_threads_leave_nothing_behind() {
        let budget = Budget::new(1000, 4, 10);
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let share = budget.share();
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    for _ in 0..10_000 {
                        share.hold(random.usize(0..300));
                    }
                });
            }
        });
        assert_eq!(budget.0.claimed.load(Ordering::Relaxed), 0);
    }
}
