//! What has been tried again and again, and met an error each time.

use crate::clock::Moment;
use crate::destination::PublishError;

/// Why something was tried in vain, and since when it is.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct LastingError {
    /// The first attempt in vain.
    pub since: Moment,
    /// What the last one has met.
    pub error: PublishError,
}

impl LastingError {
    /// What another attempt has met, after these.
    pub(in crate::pipeline) fn again(
        before: Option<Self>,
        error: PublishError,
        now: Moment,
    ) -> Self {
        Self {
            since: before.map_or(now, |before| before.since),
            error,
        }
    }

    /// Whether it will not pass by itself.
    pub(in crate::pipeline) const fn needs_a_person(&self) -> bool {
        matches!(self.error, PublishError::Permanent { .. })
    }
}
