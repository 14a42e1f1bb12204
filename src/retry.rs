//! The back-off schedule: exponential, capped, jittered. Pure; the caller sleeps.

use std::time::Duration;

/// First delay of a schedule.
const FIRST: Duration = Duration::from_millis(100);
/// Largest delay while an error may pass by itself.
pub const TRANSIENT_MAX: Duration = Duration::from_secs(10);
/// Largest delay while an error needs a person.
pub const PERMANENT_MAX: Duration = Duration::from_secs(30);

/// Delay before retry number `attempt` (1 is the first retry): it doubles each time up to `max`,
/// less a random part of up to a half, so that many clients spread out.
pub fn delay(attempt: u32, max: Duration) -> Duration {
    longest(attempt, max).mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// The longest that [`delay`] may be.
pub fn longest(attempt: u32, max: Duration) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    doubled.min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_stay_there() {
        for attempt in 1..100 {
            let ceiling = longest(attempt, TRANSIENT_MAX);
            let delay = delay(attempt, TRANSIENT_MAX);
            assert!(
                delay <= ceiling && delay >= ceiling / 2,
                "attempt {attempt}: {delay:?}"
            );
        }
    }
}
