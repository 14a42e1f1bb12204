//! How often a shard may be asked: Kinesis allows five requests and 2 MiB a second, for all who read
//! it by polling.

use std::time::Duration;

use tokio::time::Instant;

/// Between two requests while there is more to read.
const BEHIND: Duration = Duration::from_millis(250);
/// Between two requests at the end of the shard.
const AT_THE_END: Duration = Duration::from_secs(1);
/// Bytes a second.
const RATE: u64 = 2 << 20;

/// When the next request may be made, after one that was begun and answered then, and gave so many
/// bytes. These are paid for from the answer on: Kinesis counts from when it had the request, which is
/// some time between the two.
pub(super) fn not_before(
    begun: Instant,
    answered: Instant,
    bytes: u64,
    is_behind: bool,
) -> Instant {
    let least = if is_behind { BEHIND } else { AT_THE_END };
    let ms = bytes.saturating_mul(1000) / RATE;
    (begun + least).max(answered + Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_answer_is_paid_for_in_time() {
        let begun = Instant::now();
        let answered = begun + Duration::from_millis(100);
        let next = |bytes, is_behind| not_before(begun, answered, bytes, is_behind);
        assert_eq!(next(0, false), begun + AT_THE_END);
        assert_eq!(next(100, true), begun + BEHIND);
        assert_eq!(next(10 << 20, true), answered + Duration::from_secs(5));
        // Never more than five a second.
        assert!(BEHIND >= Duration::from_millis(200));
    }
}
