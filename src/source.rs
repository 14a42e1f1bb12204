//! The port of sources: what a place that records come from must do and say, whichever it is.
//!
//! A source is a folder here and a line in [`SOURCES`]. It is, from the config file on:
//!
//! - a [`Kind`], the word of `type` in `[stream.X.source]`: reads the rest of that table into
//! - a [`Source`], one configured source: describes itself, and opens into
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
mod settings;

pub mod direct_put;
pub mod kinesis;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{CoordinationSettings, StartSettings, Table};
use crate::disk::Disk;
use crate::error::StreamError;
use crate::position::{MissingRange, Sequence};
use crate::record::Chunk;
use crate::shard::{Pending, ShardId, ShardLister, ShardState, SourceName};
use crate::telemetry::{Metrics, SourceHealth};
pub use intake::{Accepted, Appending, Intake, PutBatch, Refused, are_too_many_texts};
pub use local::{LocalBacklog, LocalError, LocalRecords, Salvaged, TakeRecord, UnreadRecords};
pub use room::{Room, RoomShare};
pub use settings::{SourceSettings, is_same};

/// All kinds of sources, in the order in which messages name them: the one place where each is registered.
pub const SOURCES: &[&dyn Kind] = &[&direct_put::KIND, &kinesis::KIND];

/// A kind of source: what `type` in `[stream.X.source]` names.
pub trait Kind: fmt::Debug + Sync {
    /// The word of `type`, such as `kinesis`; also what `/streams/NAME` shows.
    fn word(&self) -> &'static str;

    /// The keys of its table beside `type`, in sets: in the table of another kind they are told to be only for this
    /// one.
    fn keys(&self) -> &'static [&'static [&'static str]];

    /// Reads its table, `type` apart. Every fault is reported to the table, and reading goes on, so that one hides no
    /// other; `None`: something that is needed has a fault. `stream` is the delivery stream's name; paths start at
    /// `base`.
    fn read(&self, table: &mut Table<'_>, stream: &str, base: &Path) -> Option<SourceSettings>;

    /// What a stream of it is called in messages: `Kinesis stream`; or, where records are put into it, how: `Direct
    /// PUT`.
    fn noun(&self) -> &'static str;

    /// Whether a stream of that name is of this kind, by the form of the name: a state that no config names any more
    /// tells no more of its source. No two kinds own one name. A kind without names owns none.
    fn owns(&self, name: &SourceName) -> bool;

    /// The source that a state is of, to deliver what the state holds: its positions fit, and it is stopped before it
    /// reads. `name` is owned by this kind, or the state has none, and `local_bytes` of records of this
    /// kind.
    fn of_state(&self, name: Option<&SourceName>, local_bytes: u64) -> SourceSettings;

    /// What it keeps under a stream's directory, if it does.
    fn local(&self) -> Option<&'static dyn LocalRecords> {
        None
    }
}

/// A configured source. Cheap: nothing is opened or asked before [`Source::open`].
pub trait Source: Any + fmt::Debug + Send + Sync + 'static {
    /// What kind it is of.
    fn kind(&self) -> &'static dyn Kind;

    /// Whether the settings are the same: [`is_same`] with the type itself does it.
    fn is_same(&self, other: &dyn Source) -> bool;

    /// In `check`'s line of the stream: `kinesis clicks`.
    fn summary(&self) -> String;

    /// What a stream with it does, as a sentence's end: `reads the Kinesis stream clicks`.
    fn does(&self) -> String;

    /// The source as Firehose's API describes it.
    fn aws(&self, asked: &Asked<'_>) -> AwsSource;

    /// What it reads, where that is another stream than the state is of; the name is of this kind. For a later
    /// stream under the same name see [`Known::source`].
    fn other_than(&self, name: &SourceName) -> Option<String> {
        let _ = name;
        None
    }

    /// Where producers find that they must put their records, as a sentence's end; `None`: they put them here, and
    /// [`Handle::intake`] takes them.
    fn put_elsewhere(&self) -> Option<&'static str>;

    /// Bytes that it may take on this machine's disk.
    fn disk_limit(&self) -> u64 {
        0
    }

    /// Part of the disk that is kept back so that it opens on a full one, in bytes.
    fn disk_reserve(&self) -> u64 {
        0
    }

    /// The least memory that reading takes, in bytes: what is taken at once of [`Context::room`]. 0: it is not read
    /// ahead of the pipeline.
    fn room_bytes(&self) -> u64 {
        0
    }

    /// How it would keep another stream of the config from its records, if it would.
    fn clash(&self, other: &dyn Source) -> Option<Clash> {
        let _ = other;
        None
    }

    /// How several daemons share it, where the config says so.
    fn shared(&self) -> Option<&dyn Shareable> {
        None
    }

    /// The same, read by this machine alone; `None`: so it is.
    fn alone(&self) -> Option<SourceSettings> {
        None
    }

    /// Opens it where `known` has it. May block on the disk, and asks nothing of a network: a service that does not
    /// answer is for the [`Reader`] to wait for, and to tell [`Context::health`] of. Repeatable: it may die at any
    /// point and begin again.
    fn open(&self, known: Known, context: Context) -> Result<Opened, StreamError>;
}

/// A source whose shards several daemons share by leases: each lease has a reader of its own.
pub trait Shareable: Send + Sync {
    /// The lease table.
    fn coordination(&self) -> &CoordinationSettings;

    /// Where reading begins when the table holds nothing of the source.
    fn start(&self) -> StartSettings;

    /// Asks for the shards. Nothing is asked before its first use.
    fn lister(&self) -> Arc<dyn ShardLister>;

    /// How long the source keeps records, in ms. The error is a sentence for a person.
    fn retention_ms(&self) -> Pending<'_, Result<i64, String>>;

    /// Opens one shard; its reader ends when all of it has been given. Which shards there are, and which may be read,
    /// is for the leases to say.
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
    /// Told what keeps it from being read, by shard, for as long as that lasts.
    pub health: Arc<SourceHealth>,
    /// Memory for what is read, until it is in batches: [`Source::room_bytes`] or more.
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
    /// What passes is waited out here, and told to [`Context::health`]. An error ends the stream's run: it recovers
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
    /// Ranges before the chunk that turned out to be lost: they are recorded with the chunk's checkpoint.
    pub lost: Vec<MissingRange>,
    /// Records of one shard, in the order of their positions; none where there is only news.
    pub chunk: Chunk,
    /// What else has become known. It holds once the chunk is applied.
    pub event: Option<SourceEvent>,
}

/// What becomes known of a source beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceEvent {
    /// What the source is called: told once, before anything else.
    Named(SourceName),
    /// Shards that were not known: nothing of them has been given.
    Found(Vec<(ShardId, ShardState)>),
    /// All of the shard that had arrived by then, in ms, has been given.
    Until(ShardId, i64),
    /// All of the shard has been given; no more will come.
    Ended(ShardId),
    /// Ended shards that the source itself has forgotten.
    Forgotten(Vec<ShardId>),
}

/// What a description of a stream in Firehose's API is made with.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The account of all ARNs.
    pub account: &'a str,
    /// The role that Firehose would read with.
    pub role: &'a str,
    /// When the stream was created, in ms.
    pub created_ms: i64,
}

/// A source in the words of Firehose's API.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsSource {
    /// `DeliveryStreamType`.
    pub stream_type: &'static str,
    /// `Source`, if there is one.
    pub source: Option<Value>,
}

/// How one stream would keep another one from its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clash {
    /// What is wrong, behind the names of both.
    pub what: &'static str,
    /// What to do.
    pub help: &'static str,
}

/// The kind that owns a name in a state; `None`: this version knows none.
pub fn kind_of(name: &SourceName) -> Option<&'static dyn Kind> {
    SOURCES.iter().copied().find(|kind| kind.owns(name))
}

/// All kinds that keep records under a stream's directory, each with what it keeps.
pub fn locals() -> impl Iterator<Item = (&'static dyn Kind, &'static dyn LocalRecords)> {
    SOURCES
        .iter()
        .filter_map(|kind| Some((*kind, kind.local()?)))
}
