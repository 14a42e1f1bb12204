//! When the next step of an upload of a batch that fills is tried.

#![expect(
    clippy::disallowed_methods,
    reason = "what failed is tried again after a while"
)]

use tokio::time::Instant;

use crate::destination::PublishError;
use crate::protocol::Filled;
use crate::retry;

/// When the next step of an upload is tried.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Pace {
    /// Failures in a row.
    failures: u32,
    /// Nothing is tried before, after a failure.
    not_before: Option<Instant>,
}

impl Pace {
    pub(in crate::pipeline) fn is_due(&self) -> bool {
        self.not_before.is_none_or(|at| at <= Instant::now())
    }

    pub(in crate::pipeline) fn learn(&mut self, result: &Result<Filled, PublishError>) {
        let Err(error) = result else {
            *self = Self::default();
            return;
        };
        let max = if error.may_pass() {
            retry::TRANSIENT_MAX
        } else {
            retry::PERMANENT_MAX
        };
        self.failures += 1;
        self.not_before = Some(Instant::now() + retry::delay(self.failures, max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_waits_and_what_arrives_does_not() {
        let mut pace = Pace::default();
        assert!(pace.is_due());
        pace.learn(&Err(PublishError::Transient("slow".into())));
        assert!(!pace.is_due());
        pace.learn(&Ok(Filled::Sent(3)));
        assert!(pace.is_due());
    }
}
