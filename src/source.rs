//! The port of sources: what a place that records come from must do, whichever it is. What it must say of itself before
//! it is opened is asked by the config (`src/config/source.rs`).
//!
//! A source is a folder here and two entries: its `pub mod` below, and its kind in
//! [`SOURCES`](crate::registry::SOURCES). It is, from the config file on:
//!
//! - a [`SourceKind`], the word of `type` in `[stream.X.source]`: reads the rest of that table into
//! - a [`SourceSpec`], its settings: they describe it;
//! - a [`SourceEntry`], the same as the former, which takes settings of its own for
//! - a [`Source`], one configured source: opens into
//! - a [`Reader`], which gives records, and a [`Handle`], which is told how far they are durable.
//!
//! Where producers put records into it, the handle has an [`Intake`]. Where it keeps records under `state_dir`, the
//! kind has [`LocalRecords`]. Where several daemons may share its shards, the source is [`Shareable`]. A source has neither
//! unless it says so.
//!
//! Nothing outside a source's folder names it. What all sources must keep is in `source/promises.rs`, and in words in
//! `docs/src/design/ports.md`.

mod intake;
mod local;
#[cfg(test)]
pub(crate) mod promises;
mod room;
#[cfg(test)]
mod tests;

pub mod direct_put;
pub mod kinesis;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{SourceKind, SourceSpec, StartSettings};
use crate::disk::Disk;
use crate::error::StreamError;
use crate::position::{MissingRange, Sequence};
use crate::record::Chunk;
use crate::shard::{Pending, ShardId, ShardLister, ShardState, SourceName};
use crate::telemetry::{Metrics, SourceHealth};
pub use intake::{Accepted, Appending, Intake, PutBatch, Refused, are_too_many_texts};
pub use local::{LocalBacklog, LocalError, LocalRecords, Salvaged, TakeRecord, UnreadRecords};
pub use room::{Room, RoomShare};

pub use crate::config::SourceSettings;

/// A kind of source, and the way in. Each is an entry of [`SOURCES`](crate::registry::SOURCES).
pub trait SourceEntry: SourceKind {
    /// The source that has these settings; `None`: they are of another kind. [`SourceSettings::get`] with the settings'
    /// type does it.
    fn source<'a>(&self, settings: &'a SourceSettings) -> Option<&'a dyn Source>;

    /// What it keeps under a stream's directory, if it does.
    fn local(&self) -> Option<&'static dyn LocalRecords> {
        None
    }
}

/// A configured source. Cheap: nothing is opened or asked before [`Source::open`].
pub trait Source: SourceSpec {
    /// Its shards, where [`SourceSpec::coordination`] says that several daemons share them.
    fn shared(&self) -> Option<&dyn Shareable> {
        None
    }

    /// Opens it where `known` has it. May block on the disk, and asks nothing of a network: a service that does not
    /// answer is for the [`Reader`] to wait for, and to tell [`Context::health`] of. Repeatable: it may die at any
    /// point and begin again.
    fn open(&self, known: Known, context: Context) -> Result<Opened, StreamError>;
}

/// A source whose shards several daemons share by leases: each lease has a reader of its own.
pub trait Shareable: Send + Sync {
    /// Where reading begins when the table holds nothing of the source.
    fn start(&self) -> StartSettings;

    /// Asks for the shards. Nothing is asked before its first use.
    fn lister(&self) -> Arc<dyn ShardLister>;

    /// How long the source keeps records, in ms. The error is a sentence for a person.
    fn retention_ms(&self) -> Pending<'_, Result<i64, String>>;

    /// Opens one shard; its reader ends when all of it has been given, at once where its state says that. Which shards
    /// there are, and which may be read, is for the leases to say.
    fn open_shard(&self, only: Only, context: Context) -> Opened;
}

/// What the checkpoint store knows, handed in at opening.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Drawn when the state was created.
    pub incarnation: Uuid,
    /// The largest epoch that the store names; 0: none was ever begun.
    pub epoch: u32,
    /// What the source was called that these shards are of. One that is called otherwise now is a loud stop:
    /// positions in one mean nothing in the other.
    pub source: Option<SourceName>,
    /// How far each shard has been applied.
    pub shards: BTreeMap<ShardId, ShardState>,
}

/// The one shard that is to be read.
#[derive(Clone, Debug)]
pub struct Only {
    /// Which shard.
    pub shard: ShardId,
    /// How far it has been applied.
    pub state: ShardState,
    /// What its stream was called then.
    pub source: Option<SourceName>,
}

/// What a source needs of the process around it.
#[derive(Clone)]
pub struct Context {
    /// The delivery stream, for messages.
    pub stream: String,
    /// Time.
    pub clock: Clock,
    /// The stream's own directory.
    pub disk: Arc<dyn Disk>,
    /// Where it registers what it counts.
    pub metrics: Arc<Metrics>,
    /// Told what keeps it from being read, by shard, for as long as that lasts: [`SourceHealth::failing`], and
    /// [`SourceHealth::well`] once it can be read.
    pub health: Arc<SourceHealth>,
    /// Memory for what is read, until it is in batches: [`SourceSpec::room_bytes`] or more.
    pub room: Room,
}

/// An opened source.
pub struct Opened {
    /// The end that is told.
    pub handle: Arc<dyn Handle>,
    /// The end that gives: from just behind the positions in [`Known::shards`].
    pub reader: Box<dyn Reader>,
    /// The epoch of this opening: above [`Known::epoch`], and any that the source itself knows of.
    pub epoch: u32,
    /// Records beyond the frontier that are known to be lost, first to last; they are not told again.
    pub lost: Vec<MissingRange>,
    /// Places of which nobody can tell whether records are lost there.
    pub doubtful: u64,
    /// What was accepted before and is not applied, where that is known.
    pub unread: Option<UnreadRecords>,
}

impl Opened {
    /// A source that keeps nothing on this machine's disk.
    pub fn new(handle: Arc<dyn Handle>, reader: Box<dyn Reader>, known_epoch: u32) -> Self {
        Self {
            handle,
            reader,
            epoch: known_epoch + 1,
            lost: Vec::new(),
            doubtful: 0,
            unread: None,
        }
    }
}

/// The end of a source that gives.
pub trait Reader: Send + Sync {
    /// What comes next, of about `max_bytes` where that is for the reader to choose; waits while there is nothing.
    /// `None`: it was stopped, and all that was accepted before has been given. Dropping the future loses nothing.
    ///
    /// Its thread is shared: what blocks for long goes to one of its own. What passes is waited out here, and told to
    /// [`Context::health`]. An error ends the stream's run: it recovers
    /// from its last checkpoint and opens the source anew, or stops loudly where the error says so.
    fn next(&mut self, max_bytes: usize) -> Next<'_>;
}

/// What a reader gives once it is there.
pub type Next<'a> = Pending<'a, Result<Option<Read>, StreamError>>;

/// The end of a source that is told. All of it may be called at any time, by several tasks.
pub trait Handle: Send + Sync {
    /// These shards are durable as they stand here: what lies behind may go, and what waited for the end of one may be
    /// read. Blocks on the disk, shortly.
    fn release(&self, shards: &[(ShardId, ShardState)]) -> io::Result<()>;

    /// Takes no more: the reader ends after what was accepted. Where records stay in the source, it ends at once.
    fn stop(&self);

    /// Whether it was told to stop.
    fn is_stopping(&self) -> bool;

    /// Waits until nothing is written on its behalf any more: only then may the source be opened again.
    fn stopped(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Where producers put records into it.
    fn intake(&self) -> Option<Arc<dyn Intake>> {
        None
    }

    /// The sequence number that the next accepted record gets, where records are accepted here.
    fn next_sequence(&self) -> Option<Sequence> {
        None
    }

    /// Bytes of it on this machine's disk.
    fn disk_bytes(&self) -> u64 {
        0
    }

    /// Gives up disk space that is only kept for later: the disk is full.
    fn drop_spares(&self) {}
}

/// What a source gives next. It is applied wholly, and in the order in which it is given.
#[derive(Debug, Default)]
pub struct Read {
    /// Ranges before the chunk that turned out to be lost: they are recorded with the chunk's checkpoint, by their
    /// numbers and no shard. For a source of one shard with 64-bit numbers: one with several counts what it has lost in a
    /// metric of its own.
    pub lost: Vec<MissingRange>,
    /// Records of one shard, in the order of their positions; none where there is only an event.
    pub chunk: Chunk,
    /// What else has become known. It holds once the chunk is applied.
    pub event: Option<SourceEvent>,
}

/// What becomes known of a source beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceEvent {
    /// What the source is called: told once, before anything else.
    Named(SourceName),
    /// Shards that were not known: nothing of them has been given. Their parents are kept and shown; to hold children
    /// back until their parents are released as `ended` is the source's.
    Found(Vec<(ShardId, ShardState)>),
    /// All of the shard that had arrived by then, in ms, has been given.
    Until(ShardId, i64),
    /// All of the shard has been given; no more will come.
    Ended(ShardId),
    /// Ended shards that the source itself has forgotten.
    Forgotten(Vec<ShardId>),
}
