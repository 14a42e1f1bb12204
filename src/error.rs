//! Errors that stop a delivery stream, and how errors are told to people.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use crate::disk;

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
    /// The disk is full. As [`StreamError::State`], and the reserve is given up first (design C8).
    #[error("{action}: {cause}")]
    DiskFull {
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
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

impl StreamError {
    /// What a failing disk means to a stream: it recovers from what is durable.
    pub fn of_disk(action: &'static str, error: &io::Error) -> Self {
        Self::of_state(action, disk::is_full(error), error.to_string())
    }

    /// The same where the error itself is gone: whether the disk was full, and what was said.
    pub fn of_state(action: &'static str, full: bool, cause: String) -> Self {
        if full {
            Self::DiskFull { action, cause }
        } else {
            Self::State { action, cause }
        }
    }
}

/// An error and its causes in one sentence. A cause that stands in the text of its error already is not repeated.
pub fn with_causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !told.contains(&text) {
            let _ = write!(told, ": {text}");
        }
        source = cause.source();
    }
    told
}

/// What a person can do about checkpoints of which no copy is the newest for sure.
pub fn put_back_export_or_discard(stream: &str) -> String {
    format!(
        "what was published since the last one that can be read is not known here: {}; `firehose state \
         export {stream} DIR` writes all that can be read of journal and spool to files before, and to \
         objects.jsonl the list of what the destination holds of it: what is in none of these objects is \
         to be sent again",
        put_back_or_discard(stream)
    )
}

/// What a person can do about state that is damaged or not whole.
pub fn put_back_or_discard(stream: &str) -> String {
    format!(
        "put the stream's folder under state_dir back as it was, or stop the daemon and run \
         `firehose state discard {stream} --yes`: what is not delivered is set aside undelivered"
    )
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("open the journal: {0}")]
    struct NotOpened(#[from] io::Error);

    #[test]
    fn each_cause_is_told_once() {
        let denied = || NotOpened::from(io::Error::other("access denied"));
        assert_eq!(with_causes(&denied()), "open the journal: access denied");
        let starting = Err::<(), _>(denied()).context("start clicks").unwrap_err();
        assert_eq!(
            with_causes(starting.as_ref()),
            "start clicks: open the journal: access denied"
        );
    }
}
