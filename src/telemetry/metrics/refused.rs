//! Requests that were not let in.

use std::collections::BTreeMap;
use std::fmt;

use metrics::{Counter, Label};

use super::Metrics;
use super::described::name;

/// Why: no key; a signature that cannot be read; a clock that is wrong; a key that nobody knows; a session token; a
/// signature or a secret that is not right; a key that is not for this.
const REASONS: [&str; 7] = [
    "missing",
    "incomplete",
    "skewed",
    "unknown-key",
    "session-token",
    "mismatch",
    "forbidden",
];

/// Counts requests that were not let in, by reason.
pub struct RefusedRequests(BTreeMap<&'static str, Counter>);

impl RefusedRequests {
    /// All at zero.
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |reason| {
            let labels = vec![Label::from_static_parts("reason", reason)];
            (reason, metrics.counter(name::REFUSED_REQUESTS, labels))
        };
        Self(REASONS.map(counter).into())
    }

    /// Counts one.
    pub fn count(&self, reason: &str) {
        let counter = self.0.get(reason);
        debug_assert!(counter.is_some(), "{reason} is none of the reasons");
        if let Some(counter) = counter {
            counter.increment(1);
        }
    }
}

impl fmt::Debug for RefusedRequests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RefusedRequests")
    }
}
