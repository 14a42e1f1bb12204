//! Errors that stop a delivery stream.

/// What ends a stream's run.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The state's outcome is unknown (a failed fsync or commit): recover from what is durable.
    #[error("{action}: {cause}")]
    State {
        /// What was being done.
        action: &'static str,
        /// What went wrong.
        cause: String,
    },
    /// Going on could lose or double records: a person must decide (design C4, C6).
    #[error("{cause} ({advice})")]
    LoudStop {
        /// What was found.
        cause: String,
        /// What a person can do.
        advice: String,
    },
}
