//! The port of checkpoints: where a pipeline makes durable how far it is.
//!
//! Two logs stand behind it: `local` writes to the checkpoint store on this machine, `shared` hands a shard over by a
//! lease. The pipeline asks a log what it needs to know and never which one it is. What a checkpoint may take in, and
//! what a durable one allows, is for [`Protocol`] to say, whichever log makes it.
//!
//! What logs differ in is what a checkpoint of theirs can name ([`Names`]); the rest follows from it:
//!
//! | | open batches | objects only |
//! |---|---|---|
//! | a batch is full or old enough | it is sealed | all are: the pipeline gathers, and applies nothing more until all is encoded |
//! | memory or spool is short | the largest batches are sealed | the same as when one is full |
//! | the spool | holds what is nowhere else: damage stops the stream, a full disk takes the reserve | is scratch: what is lost is read again from the source |
//!
//! The suite of promises that both must keep is in `log/tests.rs`.

mod local;
pub(super) mod names;
pub(super) mod shared;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::agreement::SchemaAgreement;
use super::claim::Claim;
use super::event::{CheckpointError, Committed, Event};
use super::hurry::Hurry;
use super::outputs::Outputs;
use super::table::BatchTable;
use super::telling::Telling;
use super::waiting::Waiting;
use super::waiting::lasting::LastingError;
use crate::clock::Moment;
use crate::coordination::Lost;
use crate::destination::{Destination, PublishError};
use crate::error::StreamError;
use crate::protocol::{Durable, Frontiers, Protocol};
use crate::shard::Pending;
use crate::source::Handle;
use crate::spool::Spool;
pub use local::LocalLog;
use names::Names;
use shared::body::SharedCheckpoint;
pub use shared::{
    Body, LeaseLog, Listed, SCRATCH, SharedLog, SharedPlace, Taken, agreed_versions,
    connect_shared, open_shared, scratch,
};

/// Where a pipeline makes durable how far it is.
pub(super) trait CheckpointLog: Send {
    /// What its checkpoints can name.
    fn names(&self) -> Names;

    /// What the pipeline begins with; asked once, before anything else.
    fn recovered(&mut self, outputs: &Outputs, stream: &str, now_ms: i64) -> Recovered;

    /// Whether a checkpoint is due that takes in all that is open. Never where open batches can be named: those are
    /// sealed one by one, and [`begin`](Self::begin) knows when.
    fn is_due(&self, standing: &Standing<'_>) -> Due;

    /// Takes the next step towards a checkpoint, if one is due: at most one is made at a time. What is to be done on
    /// the disk is returned, and its outcome comes back by [`settle`](Self::settle), as that of all else does that
    /// was begun.
    fn begin(&mut self, now: PipelineState<'_>) -> Result<Option<DiskJob>, StreamError>;

    /// Takes over what has come of what was begun.
    fn settle(&mut self, outcome: Outcome) -> Settled;

    /// Whether nothing is under way, and all that was sealed is in a durable checkpoint.
    fn is_settled(&self) -> bool {
        true
    }

    /// Sealed objects that no durable checkpoint lists, outside the pipeline's table: how many, and since when the
    /// record waits that has waited longest.
    fn unlisted(&self) -> (u64, Option<Moment>) {
        (0, None)
    }

    /// What keeps a checkpoint from being made, while it is tried again.
    fn lasting_error(&self) -> Option<&LastingError> {
        None
    }

    /// What others have a say in who write elsewhere: the columns, where they are learned. `None`: nobody has.
    fn agreement(&self) -> Option<Arc<SchemaAgreement>> {
        None
    }

    /// Cancelled when the pipeline must leave everything as it is: somebody else goes on. A log that nobody else
    /// writes never is.
    fn abandoned(&self) -> CancellationToken {
        CancellationToken::new()
    }

    /// Leaves what cannot be delivered to somebody else, by [`abandoned`](Self::abandoned). False: there is nobody,
    /// and it stays here until the next start.
    fn leave(&self) -> bool {
        false
    }

    /// Ends what is under way, and tidies up for a moment.
    fn wind_down(&mut self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A log, whichever it is.
pub struct Log(Box<dyn CheckpointLog>);

/// What a pipeline begins with.
pub(super) enum Recovered {
    /// The destination has not been asked yet: this epoch is to be claimed there first.
    ToBeClaimed(Claim),
    /// Nobody else writes there.
    Claimed {
        /// The destination.
        destination: Destination,
        /// What the last checkpoint lists of it.
        listed: Vec<Listed>,
    },
}

/// How a pipeline stands, when its log is asked whether a checkpoint is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing<'a> {
    /// How far the source is applied, and what of it no checkpoint has.
    pub(super) frontiers: &'a Frontiers,
    /// Batches that are open or being sealed.
    pub(super) open: usize,
    /// A batch is as old as it may become.
    pub(super) is_batch_due: bool,
    /// There is no room to read on, and none will come by itself.
    pub(super) is_short: bool,
    /// The source has ended.
    pub(super) is_last: bool,
}

/// Whether a checkpoint of all that is open is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is not.
    No,
    /// It is.
    Yes,
    /// Only because there is no room.
    ForRoom,
}

/// What a log may use to begin: the state of its pipeline, as it is at this moment.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts, none of which says another"
)]
pub(super) struct PipelineState<'a> {
    pub(super) protocol: &'a mut Protocol,
    pub(super) table: &'a mut BatchTable,
    pub(super) waiting: &'a Waiting,
    /// Whose changes are taken in with the publications that they come of.
    pub(super) telling: &'a mut Telling,
    pub(super) spool: &'a Arc<Spool>,
    pub(super) source: &'a Arc<dyn Handle>,
    pub(super) outputs: &'a Arc<Outputs>,
    pub(super) events: &'a UnboundedSender<Event>,
    /// Cuts waits for another attempt short, when a stop begins.
    pub(super) at_once: &'a Hurry,
    /// All that is open is being sealed, and nothing more is applied. A checkpoint that takes it in ends that.
    pub(super) gathering: &'a mut bool,
    /// A job on the disk is under way: there is one at a time.
    pub(super) is_writing: bool,
    /// Blocks are being encoded, and read for it.
    pub(super) is_encoding: bool,
    /// The source has ended.
    pub(super) is_last: bool,
    /// A checkpoint would hold something new.
    pub(super) has_changes: bool,
    /// So much is in memory alone that it should go to the spool.
    pub(super) is_unspooled_much: bool,
    /// The spool has come up to its limit.
    pub(super) is_spool_full: bool,
    /// See [`super::moving`].
    pub(super) dead_max: u64,
}

/// Something to be done on the disk.
pub(super) type DiskJob = Box<dyn FnOnce() -> Result<Committed, CheckpointError> + Send>;

/// What has come of what a log has begun.
pub(super) enum Outcome {
    /// A job on the disk has ended well.
    Written {
        /// The checkpoint that it has made durable, if it was for one.
        durable: Option<Durable>,
        /// Objects in their final bytes that no checkpoint lists yet, and since when their first records wait.
        gathered: Vec<(Uuid, Moment)>,
    },
    /// A checkpoint is durable that others may go on from, or somebody else does.
    Shared(Result<SharedCheckpoint, Lost>),
    /// It could not be made by then; it goes on.
    Delayed(PublishError, Moment),
}

/// What a pipeline takes over from its log.
#[derive(Default)]
pub(super) struct Settled {
    /// The protocol's checkpoint is durable.
    pub(super) durable: Option<Durable>,
    /// Objects that are new on its list, where all their bytes are at the destination; since when their first records
    /// wait, where that is known.
    pub(super) listed: HashMap<Uuid, (Listed, Option<Moment>)>,
    /// A checkpoint is durable, and took so long.
    pub(super) took: Option<Duration>,
    /// Copies of the log itself that were damaged, and are mended.
    pub(super) mended: u64,
}

impl Log {
    pub(super) fn into_inner(self) -> Box<dyn CheckpointLog> {
        self.0
    }
}

impl From<LocalLog> for Log {
    fn from(log: LocalLog) -> Self {
        Self(Box::new(log))
    }
}

impl From<SharedLog> for Log {
    fn from(log: SharedLog) -> Self {
        Self(Box::new(log))
    }
}
