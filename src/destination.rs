//! Where sealed objects become visible: a folder or an S3-compatible bucket.
//!
//! Publishing is idempotent (design C4, C5): an object that is already there is told from
//! somebody else's by its object id, size and CRC-64/NVME, and nothing is ever overwritten.

mod folder;
mod keys;
mod listing;
mod s3;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::StoreSettings;

pub use folder::Folder;
pub use keys::Keys;
pub use listing::{Found, ListError, list};
pub use s3::S3;

/// A place that objects are published to. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A directory of the local file system.
    Folder(Folder),
    /// An S3-compatible bucket.
    S3(S3),
}

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
    /// Size and CRC-64/NVME of what the object was before it lost damaged bytes: an attempt of then may
    /// have published it, or be about to. What is so is the object, too.
    pub was: Vec<(u64, u64)>,
    /// The `Content-Type` of the object.
    pub content_type: &'static str,
    /// The `Content-Encoding` of the object, where it has one.
    pub content_encoding: Option<&'static str>,
    /// The multipart upload that carries the object; already named by a durable checkpoint.
    pub upload_id: Option<String>,
    /// All parts of that upload, where [`Destination::prepare`] has sent them: it is only to be
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
    fn piece(&self, offset: u64, max: usize) -> Result<Bytes, PublishError> {
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
    fn damaged(&self) -> PublishError {
        PublishError::Damaged(format!(
            "the spooled bytes of {} are not the checkpointed ones",
            self.key
        ))
    }

    /// The sizes and checksums by which the object is known: as it is, and as it was.
    fn sums(&self) -> impl Iterator<Item = (u64, u64)> {
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

/// Why an object was not published.
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
    fn advice(self) -> String {
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

impl Destination {
    /// Opens the destination; a folder is created where it is missing, a bucket is not asked yet.
    pub async fn connect(settings: &StoreSettings) -> Result<Self, PublishError> {
        match settings {
            StoreSettings::Folder { path } => Folder::open(path.clone()).await.map(Self::Folder),
            StoreSettings::S3(settings) => S3::connect(settings).await.map(Self::S3),
        }
    }

    /// Opens a destination that objects were published to before, and makes nothing: a folder that is not there, or
    /// that none was ever published to, is an error.
    pub async fn reopen(settings: &StoreSettings) -> Result<Self, PublishError> {
        match settings {
            StoreSettings::Folder { path } => Folder::reopen(path.clone()).await.map(Self::Folder),
            StoreSettings::S3(_) => Self::connect(settings).await,
        }
    }

    /// The destination in a few words, for logs.
    pub fn describe(&self) -> String {
        match self {
            Self::Folder(folder) => folder.describe(),
            Self::S3(s3) => s3.describe(),
        }
    }

    /// How many objects one call of [`Destination::publish`] is meant for.
    pub const fn group_max(&self) -> usize {
        match self {
            Self::Folder(_) => folder::GROUP_MAX,
            Self::S3(_) => 1,
        }
    }

    /// How many calls of [`Destination::publish`] are useful at the same time.
    pub const fn in_flight_max(&self) -> usize {
        match self {
            Self::Folder(_) => folder::IN_FLIGHT_MAX,
            Self::S3(_) => s3::IN_FLIGHT_MAX,
        }
    }

    /// Whether an object of `size` bytes goes as a multipart upload, whose id must be durable
    /// before [`Destination::publish`].
    pub const fn needs_upload(&self, size: u64) -> bool {
        match self {
            Self::Folder(_) => false,
            Self::S3(_) => S3::needs_upload(size),
        }
    }

    /// Starts the multipart upload of an object that needs one.
    pub async fn begin_upload(&self, publication: &Publication) -> Result<String, PublishError> {
        match self {
            Self::Folder(_) => Err(PublishError::Permanent {
                cause: format!("{}: folders know no multipart uploads", publication.key),
                advice: "this is a defect of firehose: please report it".into(),
            }),
            Self::S3(s3) => s3.begin_upload(publication).await,
        }
    }

    /// How many parts of an upload are full when the first `size` bytes of an object are final. Part
    /// boundaries depend on the number of the part alone. 0 for a folder: it knows no parts.
    pub fn full_parts(&self, size: u64) -> u32 {
        match self {
            Self::Folder(_) => 0,
            Self::S3(_) => S3::full_parts(size),
        }
    }

    /// Sends the full parts beyond number `after` of an object whose head is final while its end is
    /// not; `head` has the size and checksum of that head. Those that have arrived are not sent
    /// again.
    pub async fn send_full_parts(
        &self,
        head: &Publication,
        after: u32,
    ) -> Result<(), PublishError> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::S3(s3) => s3.send_full_parts(head, after).await,
        }
    }

    /// Brings all bytes of an object to the destination, as an upload that anybody may complete who
    /// knows the parts, and that is invisible until then. The upload belongs to this process alone
    /// until a checkpoint lists it. After an error it may be called again, and goes on where it was.
    pub async fn prepare(&self, object: &mut Publication) -> Result<Vec<SentPart>, PublishError> {
        match self {
            Self::Folder(_) => Err(no_shared_folder(&object.key)),
            Self::S3(s3) => s3.prepare(object).await,
        }
    }

    /// Days after which a rule of the bucket gives up uploads that nobody has completed; `None`: there
    /// is none, or the bucket does not tell.
    pub async fn gives_up_uploads_after(&self) -> Option<i32> {
        match self {
            Self::Folder(_) => None,
            Self::S3(s3) => s3.gives_up_uploads_after().await,
        }
    }

    /// Writes the body of a shared checkpoint, under a key that nobody else has.
    pub async fn put_body(&self, key: &str, body: Bytes) -> Result<(), PublishError> {
        match self {
            Self::Folder(_) => Err(no_shared_folder(key)),
            Self::S3(s3) => s3.put_body(key, body).await,
        }
    }

    /// Reads the body of a shared checkpoint; `None` when there is none.
    pub async fn read_body(&self, key: &str) -> Result<Option<Bytes>, PublishError> {
        match self {
            Self::Folder(_) => Err(no_shared_folder(key)),
            Self::S3(s3) => s3.read_body(key).await,
        }
    }

    /// Removes the body of a shared checkpoint; one that is gone already is fine.
    pub async fn remove_body(&self, key: &str) -> Result<(), PublishError> {
        match self {
            Self::Folder(_) => Err(no_shared_folder(key)),
            Self::S3(s3) => s3.remove_body(key).await,
        }
    }

    /// Makes objects visible and durable; one result for each, in order. May be repeated for
    /// objects whose outcome is unknown: one that is there already is well, damaged here or not.
    pub async fn publish(&self, group: &[Publication]) -> Vec<Result<(), PublishError>> {
        match self {
            Self::Folder(folder) => folder.publish(group).await,
            Self::S3(s3) => s3.publish(group).await,
        }
    }

    /// Whether the destination holds this object already; its bytes are not needed. Something else under its
    /// key is [`PublishError::Foreign`].
    pub async fn holds(&self, object: &Publication) -> Result<bool, PublishError> {
        match self {
            Self::Folder(folder) => folder.holds(object).await,
            Self::S3(s3) => s3.holds(object).await,
        }
    }

    /// Creates a marker object if the key is free, durably. `Ok(true)`: the key holds `body`, put
    /// there now or by an attempt whose reply was lost, so `body` must tell its writer apart.
    /// `Ok(false)`: somebody else's marker is there.
    pub async fn claim(&self, key: &str, body: &[u8]) -> Result<bool, PublishError> {
        match self {
            Self::Folder(folder) => folder.claim(key, body).await,
            Self::S3(s3) => s3.claim(key, body).await,
        }
    }

    /// Clears what attempts of dead processes left behind, except for the objects in `named`,
    /// which will be published again.
    pub async fn recover(&self, named: &HashSet<Uuid>) -> Result<(), PublishError> {
        match self {
            Self::Folder(folder) => folder.recover(named).await,
            Self::S3(_) => Ok(()),
        }
    }

    /// Gives up a multipart upload of ours; one that is gone already is fine.
    pub async fn abort_upload(&self, key: &str, upload_id: &str) -> Result<(), PublishError> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::S3(s3) => s3.abort_upload(key, upload_id).await,
        }
    }

    /// Whether the store keeps objects from being overwritten. A bucket is asked by putting a small
    /// marker under `key` twice, which stays there; where it lacks conditional writes, it is from
    /// now on asked for an object before each is put.
    pub async fn probe(&self, key: &str) -> Result<Conditional, PublishError> {
        match self {
            Self::Folder(_) => Ok(Conditional::Yes),
            Self::S3(s3) => s3.probe(key).await,
        }
    }

    /// How often the destination was asked to make bytes or names durable (fsync, syncfs). Zero
    /// for a bucket.
    pub fn syncs(&self) -> u64 {
        match self {
            Self::Folder(folder) => folder.syncs(),
            Self::S3(_) => 0,
        }
    }
}

/// The config has refused it, so this is for the types' sake.
fn no_shared_folder(key: &str) -> PublishError {
    PublishError::Permanent {
        cause: format!("{key}: several machines cannot share a folder"),
        advice: "set a destination of type = \"s3\", or remove `coordination`".into(),
    }
}
