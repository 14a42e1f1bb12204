//! The closed list of things that happen to a pipeline from outside its own turn, and what they bring.

use std::io;

use uuid::Uuid;

use super::agreement::Heard;
use super::encode::Done;
use super::followed::Told;
use super::log::shared::body::SharedCheckpoint;
use super::quarantine::Damaged;
use crate::aws::glue::TableError;
use crate::catalog::{self, CatalogError};
use crate::checkpoint::{SealedObject, StoreError};
use crate::coordination::Lost;
use crate::destination::{Conditional, Destination, PublishError};
use crate::error::StreamError;
use crate::extent::Extent;
use crate::protocol::{Durable, Filled};

/// Something that has happened. Each job sends one, and jobs are bounded in number, so that the
/// queue of events is bounded too.
#[derive(Debug)]
pub(super) enum Event {
    /// Encoding work has ended.
    Encoded(io::Result<Vec<Done>>),
    /// A checkpoint has ended.
    Checkpointed(Box<Result<Committed, CheckpointError>>),
    /// A store is open, and this epoch is ours there.
    Claimed {
        /// Its name.
        store: String,
        /// The destination.
        destination: Destination,
        /// Whether it refuses to overwrite.
        conditional: Conditional,
    },
    /// Claiming at a store does not succeed; it goes on.
    ClaimStalled(String, PublishError),
    /// A group of publications has ended.
    Sent {
        /// Where they went.
        store: String,
        /// Multipart uploads that were begun, to be named by a checkpoint.
        begun: Vec<(Uuid, Result<String, PublishError>)>,
        /// Objects that were sent.
        published: Vec<(Uuid, Result<(), PublishError>)>,
    },
    /// A damaged object was looked at: what it is without its damaged bytes.
    Mended(Uuid, Box<io::Result<Mended>>),
    /// Objects whose bytes were copied elsewhere in the spool.
    Moved(io::Result<Vec<Copied>>),
    /// A step of the upload of a batch that still fills has ended.
    Filled(Uuid, Result<Filled, PublishError>),
    /// A shared checkpoint is durable, or the lease is lost.
    SharedCheckpoint(Box<Result<SharedCheckpoint, Lost>>),
    /// A shared checkpoint could not be made yet; it goes on.
    CheckpointDelayed(PublishError),
    /// Daemons have agreed on columns, and the newest are as wide as they need be. The error says why there are none.
    Agreed(Result<(), String>),
    /// They could not be agreed on yet; it goes on.
    AgreementDelayed(PublishError),
    /// The catalog was told of a group of places.
    Told(Vec<String>, Result<catalog::Told, CatalogError>),
    /// The back-off of an object is over.
    RetryDue(Uuid),
    /// So many bytes are free on a disk that is short of room.
    Room(u64),
    /// The catalog was asked for the table whose columns data has.
    Table(Box<Result<Told, TableError>>),
    /// The same where daemons that share the stream agree on what it says.
    Heard(Box<Heard>),
    /// The stream cannot go on.
    Failed(StreamError),
}

/// What a job on the disk has done.
#[derive(Debug, Default)]
pub(super) struct Committed {
    /// What was written: batch, block, extents kept before it, where it lies.
    pub written: Vec<Written>,
    /// A checkpoint that is durable.
    pub durable: Option<Durable>,
    /// Objects for a shared checkpoint.
    pub spilled: Vec<SealedObject>,
}

/// A batch, one of its blocks, so many extents kept before it, and where it was written.
pub(super) type Written = (Uuid, u32, usize, Extent);

/// Why a checkpoint has no known outcome.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointError {
    /// Spool or source failed.
    #[error("write a checkpoint")]
    Io(#[from] io::Error),
    /// The checkpoint store failed.
    #[error("write a checkpoint")]
    Store(#[from] StoreError),
    /// It would break a rule, and was not made.
    #[error(transparent)]
    Rule(#[from] StreamError),
}

/// What an object is without its damaged bytes.
#[derive(Debug)]
pub(super) struct Mended {
    /// Its row; without extents where nothing of it is left.
    pub(super) object: SealedObject,
    /// It does not consist of what it did.
    pub(super) is_other: bool,
    /// What was set aside.
    pub(super) damaged: Vec<Damaged>,
}

/// Where the bytes of an object lie: copies, in files that hold little else, of what they lay in.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) id: Uuid,
    pub(super) extents: Vec<Extent>,
    /// Some of it is damaged, and stays where it is.
    pub(super) is_damaged: bool,
}
