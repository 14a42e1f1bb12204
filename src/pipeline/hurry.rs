//! A stop has begun: whoever waits for another attempt makes it now, once.

#![expect(clippy::disallowed_methods, reason = "a wait that a stop cuts short")]

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Cuts waits short. Of those that were cloned from one, all are told together, and each heeds it once.
#[derive(Clone, Debug, Default)]
pub(super) struct Hurry {
    begun: CancellationToken,
    /// This one has been told.
    is_over: bool,
}

impl Hurry {
    /// Tells all that wait, or will.
    pub(super) fn begin(&self) {
        self.begun.cancel();
    }

    /// Waits so long, or until told; once told, the next pauses are whole again.
    pub(super) async fn pause(&mut self, pause: Duration) {
        if self.is_over {
            return tokio::time::sleep(pause).await;
        }
        let told = tokio::time::timeout(pause, self.begun.cancelled()).await;
        self.is_over = told.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use super::*;

    const PAUSE: Duration = Duration::from_hours(1);

    fn is_over(waiting: Pin<&mut impl Future>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        waiting.poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn everybody_who_waits_is_told_and_heeds_it_once() {
        let hurry = Hurry::default();
        let (mut one, mut other, mut late) = (hurry.clone(), hurry.clone(), hurry.clone());
        {
            let (mut first, mut second) = (pin!(one.pause(PAUSE)), pin!(other.pause(PAUSE)));
            assert!(!is_over(first.as_mut()) && !is_over(second.as_mut()));
            hurry.begin();
            assert!(is_over(first.as_mut()) && is_over(second.as_mut()));
        }
        assert!(is_over(pin!(late.pause(PAUSE))), "it was at an attempt");
        for mut again in [one, other, late] {
            assert!(!is_over(pin!(again.pause(PAUSE))));
        }
    }
}
