//! How far the time of events has come, and what is over by it.

use std::time::Duration;

/// An event that is further ahead of its arrival, in seconds, tells nothing of the time: a single one by
/// a clock that is set wrongly would make all others late.
pub(in crate::pipeline) const AHEAD_MAX: i64 = 300;

/// The time of the newest event that was applied, less the time by which others may be late. It never falls.
#[derive(Debug)]
pub(super) struct Watermark {
    /// In seconds; `None`: nobody minds events.
    lateness: Option<i64>,
    /// Second since 1970.
    newest: Option<i64>,
}

impl Watermark {
    /// One that has seen no event.
    pub(super) fn new(lateness: Option<Duration>) -> Self {
        // Events are told by the second: one that may be late by a part of it may be by all of it.
        let seconds = lateness.map(|lateness| {
            let begun = u64::from(lateness.subsec_nanos() > 0);
            i64::try_from(lateness.as_secs() + begun).unwrap_or(i64::MAX)
        });
        Self {
            lateness: seconds,
            newest: None,
        }
    }

    /// There was an event then.
    pub(super) fn learn(&mut self, event: Option<i64>) {
        if self.lateness.is_some() {
            self.newest = self.newest.max(event);
        }
    }

    /// When the newest event was.
    pub(super) const fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// The second up to which all is over.
    pub(super) fn second(&self) -> Option<i64> {
        Some(self.newest?.saturating_sub(self.lateness?))
    }

    /// Whether what ends then is over: no event that is still in time belongs to it.
    pub(super) fn has_passed(&self, end: i64) -> bool {
        self.second().is_some_and(|second| end <= second)
    }
}
