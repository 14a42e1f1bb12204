//! What the config knows of sources: the reader of a source's table asks the kind that its `type` names for the rest, and
//! what was read tells what others ask of a source before it is opened. No source is known here by name: they stand in
//! the [`Registry`](super::Registry) that the reader is given.

use std::any::Any;
use std::fmt::{self, Debug};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::store::is_same;
use super::{CoordinationSettings, Table};
use crate::shard::SourceName;

/// A kind of source, as a config names it.
pub trait SourceKind: Debug + Sync {
    /// The word of it as `type` in `[stream.X.source]`, such as `kinesis`; also what `/streams/NAME` shows.
    fn word(&self) -> &'static str;

    /// The keys of its table beside `type`, in sets: in the table of another kind they are told to be only for this
    /// one.
    fn keys(&self) -> &'static [&'static [&'static str]];

    /// Reads its table, `type` apart. Every fault is reported to the table, and reading goes on, so that one hides no
    /// other; `None`: something that is needed has a fault. `stream` is the delivery stream's name; paths start at
    /// `base`, which may be relative to the working directory.
    fn read(&self, table: &mut Table<'_>, stream: &str, base: &Path) -> Option<SourceSettings>;

    /// What a stream of it is called in messages: `Kinesis stream`; or, where records are put into it, how: `Direct
    /// PUT`.
    fn noun(&self) -> &'static str;

    /// Whether a stream of that name is of this kind, by the form of the name: a state that no config names any more
    /// tells no more of its source. No two kinds own one name. A kind without names owns none.
    fn owns(&self, name: &SourceName) -> bool;

    /// The source that a state is of, to deliver what the state holds: its positions fit, and it is stopped before it
    /// reads. Either this kind owns `name`, or the state has no name and holds `local_bytes` of this kind's records.
    fn of_state(&self, name: Option<&SourceName>, local_bytes: u64) -> SourceSettings;
}

/// What the settings of a source tell of it. Nothing of it asks the source.
pub trait SourceSpec: Any + Debug + Send + Sync + 'static {
    /// What kind it is of.
    fn kind(&self) -> &'static dyn SourceKind;

    /// In `check`'s line of the stream: `kinesis clicks`.
    fn summary(&self) -> String;

    /// What a stream with it does, as a sentence's end: `reads the Kinesis stream clicks`.
    fn does(&self) -> String;

    /// The source as Firehose's API describes it.
    fn aws(&self, asked: &Asked<'_>) -> AwsSource;

    /// What it reads, where that is another stream than the state is of; the name is of this kind. That another
    /// stream has the same name by now is only found out when the source is opened.
    fn other_than(&self, name: &SourceName) -> Option<String> {
        let _ = name;
        None
    }

    /// Where producers find that they must put their records, as a sentence's end; `None`: they put them here.
    fn put_elsewhere(&self) -> Option<&'static str>;

    /// Bytes that it may take on this machine's disk.
    fn disk_limit(&self) -> u64 {
        0
    }

    /// Part of the disk that is kept back so that it opens on a full one, in bytes.
    fn disk_reserve(&self) -> u64 {
        0
    }

    /// The least memory that reading takes, in bytes: what is taken at once of the room for it. 0: it is not read ahead of
    /// the pipeline.
    fn room_bytes(&self) -> u64 {
        0
    }

    /// How it would keep another stream of the config from its records, if it would.
    fn clash(&self, other: &dyn SourceSpec) -> Option<Clash> {
        let _ = other;
        None
    }

    /// The name of the stream that it reads, the same on every machine; `None`: records are put into it here.
    fn stream(&self) -> Option<&str> {
        None
    }

    /// How several daemons share it, where the config says so.
    fn coordination(&self) -> Option<&CoordinationSettings> {
        None
    }

    /// The same, read by this machine alone; `None`: so it is.
    fn alone(&self) -> Option<SourceSettings> {
        None
    }
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
    pub stream_type: StreamType,
    /// `Source`, if there is one.
    pub source: Option<Value>,
}

/// The types of streams that Firehose's API knows, by what comes closest to the source: clients ask for those of a
/// type, and take no other word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamType {
    /// Records are put into it by producers, or have no other home that the API has a word for.
    Put,
    /// A stream that keeps its records in shards.
    Stream,
    /// A topic of a broker.
    Topic,
    /// The tables of a database.
    Database,
}

impl StreamType {
    /// All of them, as the API lists them.
    pub const ALL: [Self; 4] = [Self::Put, Self::Stream, Self::Topic, Self::Database];

    /// The API's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Put => "DirectPut",
            Self::Stream => "KinesisStreamAsSource",
            Self::Topic => "MSKAsSource",
            Self::Database => "DatabaseAsSource",
        }
    }
}

/// How one stream would keep another one from its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clash {
    /// What is wrong, behind the names of both.
    pub what: &'static str,
    /// What to do.
    pub help: &'static str,
}

/// The settings of a source. Cheap to clone.
#[derive(Clone)]
pub struct SourceSettings {
    spec: Arc<dyn SourceSpec>,
    is_same: fn(&dyn Any, &dyn Any) -> bool,
}

impl SourceSettings {
    /// The settings as the source's own type.
    pub fn get<T: SourceSpec>(&self) -> Option<&T> {
        let spec: &dyn Any = &*self.spec;
        spec.downcast_ref()
    }

    /// Whether several daemons share the stream.
    pub fn is_shared(&self) -> bool {
        self.spec.coordination().is_some()
    }
}

impl<T: SourceSpec + PartialEq> From<T> for SourceSettings {
    fn from(spec: T) -> Self {
        Self {
            spec: Arc::new(spec),
            is_same: is_same::<T>,
        }
    }
}

impl Deref for SourceSettings {
    type Target = dyn SourceSpec;

    fn deref(&self) -> &Self::Target {
        &*self.spec
    }
}

impl PartialEq for SourceSettings {
    fn eq(&self, other: &Self) -> bool {
        (self.is_same)(&*self.spec, &*other.spec)
    }
}

impl Eq for SourceSettings {}

impl Debug for SourceSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(formatter)
    }
}
