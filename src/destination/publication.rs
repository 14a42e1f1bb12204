//! What is published, and what may come of it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The bytes of a sealed object.
pub trait Body: Send + Sync {
    /// Exactly `len` verified bytes from `offset`. Readers go through the object in order, in
    /// pieces of their own choosing, and start again from zero for another attempt. It may
    /// block. `InvalidData` says that the bytes are damaged, here and not only on their way.
    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes>;
}

/// A sealed object, or the final head of one that still fills, as a durable checkpoint lists it.
#[derive(Clone)]
pub struct Publication {
    /// The batch's random id: how we know an object of ours again.
    pub object_id: Uuid,
    /// The object's whole key, or its path below the folder.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// CRC-64/NVME of the whole object, as the checkpoint keeps it.
    pub crc64nvme: u64,
    /// Size and CRC-64/NVME of what the object was before it lost damaged bytes: an earlier attempt may
    /// have published it so, or be about to. Whatever has one of these sums is the object, too.
    pub was: Vec<(u64, u64)>,
    /// The `Content-Type` of the object.
    pub content_type: &'static str,
    /// The `Content-Encoding` of the object, where it has one.
    pub content_encoding: Option<&'static str>,
    /// The name of the columns that it has, where they were learned.
    pub schema: Option<Arc<str>>,
    /// The multipart upload that carries the object; already named by a durable checkpoint.
    pub upload_id: Option<String>,
    /// All parts of that upload, where [`Uploads::prepare`](super::Uploads::prepare) has sent them: it is only to be
    /// completed, and no byte is read again.
    pub parts: Option<Arc<[SentPart]>>,
    /// The object's bytes.
    pub body: Arc<dyn Body>,
}

/// A part of an upload as it has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentPart {
    /// What the store calls it.
    pub tag: Option<String>,
    /// Length in bytes.
    pub len: u64,
    /// CRC-64/NVME of its bytes.
    pub crc64: u64,
}

impl Publication {
    /// The object's next bytes from `offset`, at most `max` of them.
    pub fn piece(&self, offset: u64, max: usize) -> Result<Bytes, PublishError> {
        let len = usize::try_from(self.size.saturating_sub(offset))
            .unwrap_or(max)
            .min(max);
        match self.body.read(offset, len) {
            Ok(piece) if piece.len() == len => Ok(piece),
            Ok(_) => Err(self.damaged()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(self.damaged()),
            Err(error) => Err(PublishError::Transient(format!(
                "reading object {}: {error}",
                self.key
            ))),
        }
    }

    /// The spool no longer holds what the checkpoint names.
    pub fn damaged(&self) -> PublishError {
        PublishError::Damaged(format!(
            "the spooled bytes of {} are not the checkpointed ones",
            self.key
        ))
    }

    /// The sizes and checksums by which the object is known: as it is, and as it was.
    pub fn sums(&self) -> impl Iterator<Item = (u64, u64)> {
        [(self.size, self.crc64nvme)]
            .into_iter()
            .chain(self.was.iter().copied())
    }
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Publication")
            .field("object_id", &self.object_id)
            .field("key", &self.key)
            .field("size", &self.size)
            .field("upload_id", &self.upload_id)
            .finish_non_exhaustive()
    }
}

/// Why an object was not published. Texts, and no sources: an object keeps what was last said of it for as long as it
/// waits, and what is said is shown whole beside what a person can do, in the status and in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It may pass by itself: another attempt, with the ordinary back-off.
    #[error("{0}")]
    Transient(String),
    /// No answer came. It may pass by itself, as above, or whoever should answer is elsewhere.
    #[error("{cause} ({advice})")]
    Unreachable {
        /// What was asked, and of whom.
        cause: String,
        /// What to look at.
        advice: String,
    },
    /// It needs a person; attempts go on slowly, so that mending the cause is enough.
    #[error("{cause} ({advice})")]
    Permanent {
        /// What was refused, and by whom.
        cause: String,
        /// Which setting or permission to look at.
        advice: String,
    },
    /// The object's bytes are damaged here, and the destination does not hold it: it can only be published
    /// without them.
    #[error("{0}; a running daemon sets aside what is damaged, and publishes the rest")]
    Damaged(String),
    /// The multipart upload is no more and the key holds no object of ours: forget the upload in
    /// a checkpoint, then send the object anew.
    #[error("the multipart upload has vanished")]
    UploadGone,
    /// The object is visible but for these of its records, which the store refuses for good. It says so of every
    /// attempt, for as long as it is asked to publish the object.
    #[error("the store took it but for {} of its records{}", .0.len(), first_of(.0))]
    Partly(Vec<RefusedRecord>),
    /// The key holds something else: the stream stops, nothing is overwritten.
    #[error("{cause} ({advice})")]
    Foreign {
        /// Whose it is, as far as the destination tells.
        whose: Whose,
        /// What was found under the key.
        cause: String,
        /// What a person can do.
        advice: String,
    },
}

/// A record that a store has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// What the object has of it.
    pub data: Bytes,
    /// The store's code, in a word.
    pub code: String,
    /// Why, in one sentence.
    pub message: String,
}

fn first_of(refused: &[RefusedRecord]) -> String {
    let first = refused.first();
    first.map_or_else(String::new, |first| {
        format!(
            ": the first was refused with {}: {}",
            first.code, first.message
        )
    })
}

impl PublishError {
    /// Whether it may pass by itself.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Transient(_) | Self::Unreachable { .. })
    }
}

/// Whose it is what a key holds in place of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// It has the object's own id, and other bytes: the object was published, and has changed since.
    Ours,
    /// It has the id of another object.
    Anothers,
    /// Nothing tells: it may be the object, rewritten by a reader or by damage, or never have been.
    Unknown,
}

impl Whose {
    /// What a person can do about it.
    pub fn advice(self) -> String {
        let advice = match self {
            Self::Ours => {
                "it has our id: the object was published, and its bytes have changed since. Compare the two: \
                 where what is there will do, stop the daemon and run `firehose state discard STREAM --object \
                 KEY --yes`, which moves ours aside; where not, move it away, and ours is sent again"
            }
            Self::Anothers => {
                "nothing was overwritten; find out who wrote it and move it away, or stop the daemon and run \
                 `firehose state retry STREAM --object KEY`, which gives ours a new key"
            }
            Self::Unknown => {
                "nothing was overwritten; find out whether it is ours, rewritten since: then stop the daemon and \
                 run `firehose state discard STREAM --object KEY --yes`, which moves ours aside. If it never was, \
                 move it away, or run `firehose state retry STREAM --object KEY --new-key` in place of that"
            }
        };
        advice.to_owned()
    }
}

/// Whether a store honours `If-None-Match: *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditional {
    /// An object that exists is never overwritten.
    Yes,
    /// The store overwrites all the same: keys still never repeat, but a foreign object under the
    /// same key would be lost.
    No,
}
