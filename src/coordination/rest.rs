//! A machine that cannot do a holder's work (its disk is full, say) leaves the shards to the others for
//! a while, longer each time it fails. Whoever is alone goes on all the same: a worker that rests still
//! takes what nobody has wanted for long (`leases`). When to take, and how many at a time, is all that
//! this decides.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::SourceHealth;

/// The longest rest that failures add up to, or four failover times where they are more.
const LONGEST: Duration = Duration::from_mins(1);
/// The part of the source's health that is this machine's.
const MACHINE: &str = "machine";

/// Whether this machine can do a holder's work, as its tenures tell.
#[derive(Debug)]
pub(super) struct Fitness {
    failover: Duration,
    health: Arc<SourceHealth>,
    rest: Mutex<Rest>,
}

impl Fitness {
    pub(super) fn new(failover: Duration, health: Arc<SourceHealth>) -> Self {
        Self {
            failover,
            health,
            rest: Mutex::default(),
        }
    }

    /// A tenure that was begun at that time has failed, and nothing but this machine is to blame. Returns how long the
    /// machine rests.
    pub(super) fn failed(&self, begun: Instant, cause: String) -> Duration {
        let rest = self.rest().failed(begun, self.failover, Instant::now());
        self.health.failing(MACHINE, cause);
        rest
    }

    /// A tenure that was begun at that time has made a checkpoint of more than was read before.
    pub(super) fn went_well(&self, begun: Instant) {
        let mut rest = self.rest();
        if rest.is_trial(begun) {
            *rest = Rest::default();
            self.health.well(MACHINE);
        }
    }

    /// How many leases that others have or want may be taken at a time. After a failure it is one, until a
    /// tenure has gone well: a machine that is still sick is to hold up no more than that.
    pub(super) fn appetite(&self) -> usize {
        let rest = self.rest();
        match rest.failures {
            0 => usize::MAX,
            _ if rest.is_on(Instant::now()) => 0,
            _ => 1,
        }
    }

    /// There is nothing to take, beside the tenures that were begun at these times. Unless one of them is
    /// still to show how the machine is, nobody waits for it to be well.
    pub(super) fn has_its_share(&self, begun: impl IntoIterator<Item = Instant>) {
        let rest = self.rest();
        let mut begun = begun.into_iter();
        if !rest.is_on(Instant::now()) && !begun.any(|begun| rest.is_trial(begun)) {
            self.health.well(MACHINE);
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to rest. Pure: time is an argument.
#[derive(Debug, Default)]
struct Rest {
    /// Failures since a tenure has gone well.
    failures: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Rest {
    /// Counts a failure, and says how long the rest is.
    fn failed(&mut self, begun: Instant, failover: Duration, now: Instant) -> Duration {
        let mut rest = Duration::ZERO;
        // What was begun before the last failure has failed for the same reason.
        if self.failures == 0 || self.is_trial(begun) {
            if self.failures > 0 {
                // A trial may take as long as a batch fills: a sick machine is to hold a shard up no
                // longer than it leaves it alone.
                rest = now.saturating_duration_since(begun);
            }
            self.failures += 1;
        }
        let doublings = (self.failures - 1).min(16);
        let doubled = failover.saturating_mul(1 << doublings);
        rest = rest.max(doubled.min(LONGEST.max(failover * 4)));
        self.last = Some(now);
        self.until = self.until.max(Some(now + rest));
        rest
    }

    /// Whether a tenure that was begun then tells how the machine is after its last failure.
    fn is_trial(&self, begun: Instant) -> bool {
        self.last.is_some_and(|last| begun > last)
    }

    fn is_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILOVER: Duration = secs(10);

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_rest_doubles_with_each_trial_that_fails_up_to_a_minute() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        assert!(!rest.is_on(now));
        for expected in [10, 20, 40, 60, 60] {
            let begun = now;
            now += secs(1);
            assert_eq!(rest.failed(begun, FAILOVER, now), secs(expected));
            // A second shard fails with it.
            now += secs(1);
            assert_eq!(rest.failed(begun, FAILOVER, now), secs(expected));
            now += secs(expected - 1);
            assert!(rest.is_on(now));
            now += secs(1);
            assert!(!rest.is_on(now));
            now += secs(1);
        }
        let mut rest = Rest::default();
        for expected in [1, 2, 4, 4].map(|times| secs(600) * times) {
            let begun = now + secs(2999);
            now += secs(3000);
            assert_eq!(rest.failed(begun, secs(600), now), expected);
        }
    }

    #[test]
    fn a_shard_is_held_up_no_longer_than_it_is_left_alone() {
        let (mut rest, begin) = (Rest::default(), Instant::now());
        let mut fails = |begun, now| {
            let (begun, now) = (begin + secs(begun), begin + secs(now));
            rest.failed(begun, FAILOVER, now)
        };
        // It was well for an hour, so that the first failure says little.
        assert_eq!(fails(0, 3600), FAILOVER);
        assert_eq!(fails(3610, 4510), secs(900));
    }

    #[test]
    fn only_a_tenure_that_was_begun_after_the_failure_shows_that_the_machine_is_well() {
        let health = Arc::new(SourceHealth::default());
        let fitness = Fitness::new(FAILOVER, Arc::clone(&health));
        let before = Instant::now();
        fitness.went_well(before);
        fitness.failed(before, "the disk is full".to_owned());
        fitness.went_well(before);
        fitness.has_its_share([before]);
        assert_eq!(fitness.appetite(), 0);
        assert_eq!(health.stall().unwrap(), "the disk is full");
        fitness.went_well(before + secs(1));
        assert_eq!(fitness.appetite(), usize::MAX);
        assert_eq!(health.stall(), None);
    }

    #[test]
    fn a_machine_of_which_nothing_is_wanted_counts_as_well() {
        let health = Arc::new(SourceHealth::default());
        let fitness = Fitness::new(Duration::ZERO, Arc::clone(&health));
        let before = Instant::now();
        assert_eq!(fitness.appetite(), usize::MAX);
        fitness.failed(before, "the disk is full".to_owned());
        assert_eq!(fitness.appetite(), 1, "the rest is over");
        fitness.has_its_share([before, before + secs(1)]);
        assert!(health.stall().is_some(), "one is still to show it");
        fitness.has_its_share([before]);
        assert_eq!(health.stall(), None);
    }
}
