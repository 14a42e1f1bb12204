//! Errors that stop a delivery stream, and how errors are told to people.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use crate::disk;

/// What went wrong beneath: an error of its own, or a sentence.
type BoxedError = Box<dyn Error + Send + Sync>;

/// What ends a stream's run. [`with_causes`] tells all of it.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The state's outcome is unknown (a failed fsync or commit): recover from what is durable.
    #[error("{action}")]
    State {
        /// What was being done.
        action: &'static str,
        /// What went wrong.
        #[source]
        cause: BoxedError,
    },
    /// The disk is full. As [`StreamError::State`], and the reserve is given up first (C8).
    #[error("{action}")]
    DiskFull {
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        #[source]
        cause: BoxedError,
    },
    /// Going on could lose or double records: a person must decide (C4, C6). Texts, and no source: the two are shown
    /// apart for as long as the stream stands still, in its status, to its producers and in the log.
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
    pub fn of_disk(action: &'static str, error: io::Error) -> Self {
        Self::of_state(action, disk::is_full(&error), error)
    }

    /// The same of an error of which it is known whether the disk was full.
    pub fn of_state(action: &'static str, is_full: bool, cause: impl Into<BoxedError>) -> Self {
        let cause = cause.into();
        if is_full {
            Self::DiskFull { action, cause }
        } else {
            Self::State { action, cause }
        }
    }
}

/// An error and its causes in one sentence. What has the text of its cause in its own has no source.
pub fn with_causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(told, ": {cause}");
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
    #[error("open the journal")]
    struct NotOpened(#[from] io::Error);

    #[test]
    fn the_end_of_a_run_keeps_its_cause() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let ended = StreamError::of_disk("open the spool", denied());
        assert_eq!(with_causes(&ended), format!("open the spool: {}", denied()));
        let cause = ended.source().and_then(|cause| cause.downcast_ref());
        assert_eq!(cause.map(io::Error::kind), Some(denied().kind()));
    }

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
