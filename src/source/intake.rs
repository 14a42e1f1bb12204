//! What front ends (HTTP today) hand over to a source that producers put records into: batches to be accepted.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use firehose_json as json;

use crate::buffer::Buffer;
use crate::position::Sequence;
use crate::record::REQUEST_RECORDS_MAX;

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

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let end = end as usize;
            &self.data[std::mem::replace(&mut start, end)..end]
        })
    }
}

/// Whether the batches of one request come to more records than it may have ([`REQUEST_RECORDS_MAX`]) in a
/// stream that takes apart what is several JSON texts.
pub fn are_too_many_texts(batches: &[PutBatch]) -> bool {
    // A text takes two bytes at least, but for the last one: `{}`, or `1` and its line end.
    let at_most = |batch: &PutBatch| batch.len() + batch.data.len() / 2;
    if batches.iter().map(at_most).sum::<usize>() <= REQUEST_RECORDS_MAX {
        return false;
    }
    let mut texts = 0;
    batches.iter().flat_map(PutBatch::records).any(|record| {
        texts += json::pieces(record);
        texts > REQUEST_RECORDS_MAX
    })
}

/// Proof that a batch is durable: only a source makes one, after its fsync.
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
    /// The source's limit is reached: the destination does not keep up or is down.
    #[error("the journal of stream {stream} is full ({limit} bytes): delivery is behind")]
    Full {
        /// The stream.
        stream: String,
        /// Its bytes on disk at most.
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

/// The door of one delivery stream for producers.
pub trait Intake: Send + Sync {
    /// Accepts a batch: resolves after its bytes are fsynced. Dropping the future does not take
    /// the batch back. Empty batches are accepted without a write.
    fn append(&self, batch: PutBatch) -> Appending<'_>;

    /// Is told why a producer was turned away before its batch could be read, and how long it had `waited`; whether
    /// that was one of this stream's may not be known.
    fn turned_away(&self, why: &str, waited: Duration, is_own: bool) {
        let _ = (why, waited, is_own);
    }

    /// Is told that somebody is let in again after such a producer, of whatever stream.
    fn let_in(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use firehose_json::TEXTS_MAX;

    fn batch(records: &[&str]) -> PutBatch {
        let mut batch = PutBatch::default();
        for record in records {
            batch.push(record.as_bytes());
        }
        batch
    }

    #[test]
    fn texts_of_all_batches_of_a_request_count_together() {
        let half = "{}".repeat(REQUEST_RECORDS_MAX / 2);
        let most = [batch(&[&half]), batch(&[&half])];
        assert!(!are_too_many_texts(&most));
        for more in ["", "{}", "no JSON", "{}{}"] {
            let [first, second] = most.clone();
            assert!(
                are_too_many_texts(&[first, batch(&[more]), second]),
                "{more}"
            );
        }
        let lines = "1\n".repeat(TEXTS_MAX);
        assert!(!are_too_many_texts(&[batch(&[&lines, &lines])]));
        assert!(are_too_many_texts(&[batch(&[&lines, "1\n2", &lines])]));
    }

    #[test]
    fn a_record_that_stays_whole_is_one() {
        let too_many = "{}".repeat(TEXTS_MAX + 1);
        let cut_short = "{}".repeat(TEXTS_MAX) + "{";
        let array = format!("[{}1]", "1,".repeat(400_000));
        for whole in [&*too_many, &cut_short, &array] {
            assert!(!are_too_many_texts(&[batch(&[whole; 16])]));
        }
        let one_each = vec!["{\"a\":{}, \"b\":1}"; REQUEST_RECORDS_MAX];
        assert!(!are_too_many_texts(&[batch(&one_each)]));
    }
}
