//! The closed list of things that happen to a pipeline from outside its own turn.

use uuid::Uuid;

use super::commit::{CheckpointError, Committed};
use super::encode::Done;
use super::log::SharedCheckpoint;
use super::mend::Mended;
use super::moving::Copied;
use crate::coordination::Lost;
use crate::destination::{Conditional, Destination, PublishError};
use crate::error::StreamError;
use crate::protocol::Filled;

/// Something that has happened. Each job sends one, and jobs are bounded in number, so that the
/// queue of events is bounded too.
#[derive(Debug)]
pub(super) enum Event {
    /// Encoding work has ended.
    Encoded(std::io::Result<Vec<Done>>),
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
    Mended(Uuid, Box<std::io::Result<Mended>>),
    /// Objects whose bytes were copied elsewhere in the spool.
    Moved(std::io::Result<Vec<Copied>>),
    /// A step of the upload of a batch that still fills has ended.
    Filled(Uuid, Result<Filled, PublishError>),
    /// A shared checkpoint is durable, or the lease is lost.
    SharedCheckpoint(Box<Result<SharedCheckpoint, Lost>>),
    /// A shared checkpoint could not be made yet; it goes on.
    CheckpointDelayed(PublishError),
    /// The back-off of an object is over.
    RetryDue(Uuid),
    /// So many bytes are free on a disk that is short of room.
    Room(u64),
    /// The stream cannot go on.
    Failed(StreamError),
}
