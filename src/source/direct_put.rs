//! What the Direct PUT front ends (HTTP today) hand over: batches of records to be accepted.

use std::future::Future;
use std::pin::Pin;

use crate::buffer::Buffer;
use crate::position::Sequence;

/// Records of one request, in one arena, to be accepted together.
#[derive(Debug, Default, Clone)]
pub struct PutBatch {
    /// The records' bytes, one after the other.
    pub data: Buffer,
    /// Where each record ends in `data`.
    pub ends: Vec<u32>,
}

impl PutBatch {
    /// Appends a record.
    pub fn push(&mut self, record: &[u8]) {
        self.data.extend_from_slice(record);
        self.ends
            .push(u32::try_from(self.data.len()).expect("a request is far below 4 GiB"));
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// Proof that a batch is durable: only the journal makes one, after its fsync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Sequence number of the batch's first record; the others follow one by one.
    pub first: Sequence,
    /// Number of records.
    pub count: usize,
}

/// Why a batch was not accepted. The producer may send it again; nothing of it will be delivered
/// unless it does.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// `journal_limit` is reached: the destination does not keep up or is down.
    #[error("the journal of stream {stream} is full ({limit} bytes): delivery is behind")]
    JournalFull {
        /// The stream.
        stream: String,
        /// Its `journal_limit`.
        limit: u64,
    },
    /// The disk failed or is full.
    #[error("the journal of stream {stream} cannot be written: {cause}")]
    Disk {
        /// The stream.
        stream: String,
        /// What the operating system said.
        cause: String,
    },
    /// The stream is starting, or recovers.
    #[error("stream {stream} takes no records now: {cause}")]
    Unready {
        /// The stream.
        stream: String,
        /// What it is at.
        cause: String,
    },
    /// The stream has stopped loudly.
    #[error(
        "stream {stream} has stopped, and takes no records until a person has seen to it: {cause}"
    )]
    Stopped {
        /// The stream.
        stream: String,
        /// What was found.
        cause: String,
    },
    /// The daemon is stopping.
    #[error("stream {stream} is stopping")]
    Stopping {
        /// The stream.
        stream: String,
    },
}

/// The future of an append.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<Accepted, Refused>> + Send + 'a>>;

/// The door of one delivery stream for Direct PUT.
pub trait Intake: Send + Sync {
    /// Accepts a batch: resolves after its bytes are fsynced. Dropping the future does not take
    /// the batch back. Empty batches are accepted without a write.
    fn append(&self, batch: PutBatch) -> Appending<'_>;

    /// Is told why a producer was turned away before its batch could be read.
    fn turned_away(&self, why: &str) {
        let _ = why;
    }
}
