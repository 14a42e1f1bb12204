//! When to try again what failed for a reason that passes.

#![expect(
    clippy::disallowed_methods,
    reason = "what failed is tried again after a while"
)]

use std::time::{Duration, Instant};

use crate::retry;

/// The longest pause, unless a try took longer.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// Tries that failed one after the other. After each comes a pause, longer each time and never shorter
/// than the try was, so that trying takes half a core at most.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// A try that took so long has failed.
    pub(super) fn failed(&mut self, took: Duration) {
        self.failures += 1;
        let pause = retry::delay(self.failures, PAUSE_MAX).max(took);
        self.not_before = Instant::now().checked_add(pause);
    }

    /// Whether the pause is over.
    pub(super) fn is_due(&self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_are_no_shorter_than_the_try() {
        let mut again = Backoff::default();
        assert!(again.is_due());
        again.failed(Duration::ZERO);
        let due_after = |again: &Backoff, pause| again.is_due_at(Instant::now() + pause);
        assert!(!due_after(&again, Duration::ZERO));
        assert!(due_after(&again, Duration::from_secs(1)));
        for _ in 0..20 {
            again.failed(Duration::ZERO);
        }
        assert!(!due_after(&again, PAUSE_MAX / 4));
        assert!(due_after(&again, PAUSE_MAX));
        again.failed(PAUSE_MAX * 3);
        assert!(!due_after(&again, PAUSE_MAX * 2));
        assert!(due_after(&again, PAUSE_MAX * 3));
    }
}
