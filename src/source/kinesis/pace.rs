//! How often a shard may be asked: Kinesis allows five requests and 2 MiB a second, for all who read
//! it by polling.

use std::time::Duration;

/// Between two requests while there is more to read.
const BEHIND: Duration = Duration::from_millis(250);
/// Between two requests at the end of the shard.
const AT_THE_END: Duration = Duration::from_secs(1);
/// Bytes a second.
const RATE: u64 = 2 << 20;

/// From one request, which gave so many bytes, to the next.
pub(super) fn pause(bytes: u64, is_behind: bool) -> Duration {
    let least = if is_behind { BEHIND } else { AT_THE_END };
    let ms = bytes.saturating_mul(1000) / RATE;
    least.max(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_answer_is_paid_for_in_time() {
        assert_eq!(pause(0, false), AT_THE_END);
        assert_eq!(pause(100, true), BEHIND);
        assert_eq!(pause(10 << 20, true), Duration::from_secs(5));
        // Never more than five a second.
        assert!(BEHIND >= Duration::from_millis(200));
    }
}
