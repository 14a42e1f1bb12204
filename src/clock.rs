//! Time, handed in: the system's clocks, or ones that a test moves.
//!
//! There are two. Wall time is what people read: it names objects, dates arrivals, and is written to
//! disk; somebody may set it at any time, forwards or back. Steady time only passes: whatever waits
//! inside the process waits by it.

#![expect(clippy::disallowed_methods, reason = "this is where time comes from")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where steady time begins.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The clocks of a process.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<Manual>>);

/// Clocks that stand still until they are moved, in ms.
#[derive(Debug)]
struct Manual {
    wall: AtomicI64,
    steady: AtomicI64,
}

/// A point in steady time. It means nothing to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Clock {
    /// The system's clocks.
    pub const fn system() -> Self {
        Self(None)
    }

    /// Clocks that stand still until [`Clock::advance`] or [`Clock::set`] moves them.
    pub fn manual(now_ms: i64) -> Self {
        Self(Some(Arc::new(Manual {
            wall: AtomicI64::new(now_ms),
            steady: AtomicI64::new(0),
        })))
    }

    /// Lets time pass on manual clocks; the system's ignore it.
    pub fn advance(&self, by: Duration) {
        if let Some(manual) = &self.0 {
            manual.wall.fetch_add(ms(by), Ordering::SeqCst);
            manual.steady.fetch_add(ms(by), Ordering::SeqCst);
        }
    }

    /// Sets a manual wall clock, as an administrator does: no time passes. The system's ignores it.
    pub fn set(&self, now_ms: i64) {
        if let Some(manual) = &self.0 {
            manual.wall.store(now_ms, Ordering::SeqCst);
        }
    }

    /// Now, in milliseconds since the Unix epoch. A clock set before 1970 reads 0.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Some(manual) => manual.wall.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, ms)
                .saturating_add(stepped::by_ms()),
        }
    }

    /// Now, in steady time.
    pub fn moment(&self) -> Moment {
        Moment(match &self.0 {
            Some(manual) => manual.steady.load(Ordering::SeqCst),
            None => ms(BEGIN.elapsed()),
        })
    }

    /// The moment when the wall clock showed `wall_ms`, as far as it can tell now. What it has yet to show, because it
    /// was set back, is taken for now.
    pub fn moment_of(&self, wall_ms: i64) -> Moment {
        let age_ms = self.now_ms().saturating_sub(wall_ms).max(0);
        Moment(self.moment().0.saturating_sub(age_ms))
    }
}

impl Moment {
    /// How much later `later` is; zero where it is earlier.
    pub fn until(self, later: Self) -> Duration {
        let passed_ms = later.0.saturating_sub(self.0);
        Duration::from_millis(u64::try_from(passed_ms).unwrap_or(0))
    }

    /// The moment so long after.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(ms(by)))
    }

    /// The moment so long before.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(ms(by)))
    }
}

/// A wall time in ms, in words for people: RFC 3339 in UTC, or the bare number of ms where no calendar reaches.
pub fn utc(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A wall clock that tests set under a running process: `FIREHOSE_CLOCK_STEP` names a file with the
/// milliseconds that are added. It is there in test builds only.
#[cfg(feature = "failpoints")]
mod stepped {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    static STEP: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("FIREHOSE_CLOCK_STEP").map(PathBuf::from));

    pub(super) fn by_ms() -> i64 {
        let Some(path) = &*STEP else { return 0 };
        let step = std::fs::read_to_string(path).unwrap_or_default();
        step.trim().parse().unwrap_or(0)
    }
}

/// Nothing in ordinary builds.
#[cfg(not(feature = "failpoints"))]
mod stepped {
    pub(super) const fn by_ms() -> i64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_wall_clock_moves_no_moment() {
        let clock = Clock::manual(1_000_000);
        let begin = clock.moment();
        for wall_ms in [960_000, 1_086_400_000, 0, i64::MIN, i64::MAX] {
            clock.set(wall_ms);
            assert_eq!(begin.until(clock.moment()), Duration::ZERO, "{wall_ms}");
        }
        clock.set(5_000);
        clock.advance(Duration::from_secs(3));
        assert_eq!(clock.now_ms(), 8_000);
        assert_eq!(begin.until(clock.moment()), Duration::from_secs(3));
        assert_eq!(clock.moment().until(begin), Duration::ZERO);
    }

    #[test]
    fn what_the_wall_clock_has_yet_to_reach_is_now() {
        let clock = Clock::manual(1_000);
        let age = |wall_ms| clock.moment_of(wall_ms).until(clock.moment());
        assert_eq!(age(400), Duration::from_millis(600));
        assert_eq!(age(1_000), Duration::ZERO);
        assert_eq!(age(i64::MAX), Duration::ZERO);
        assert!(age(i64::MIN) > Duration::from_secs(1));
    }
}
