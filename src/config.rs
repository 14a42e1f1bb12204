//! `firehose.toml` after validation: types that cannot be wrong. Reading and diagnosing the file
//! as typed is `config/written.rs` and its neighbours.

mod bounded;
mod catalog;
mod columns;
mod depth;
mod diagnostic;
mod document;
mod format;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod keys;
mod load;
mod parse;
mod path;
mod quantity;
mod registry;
mod source;
mod spans;
mod store;
mod table;
mod text;
mod transform;
mod words;
mod written;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use catalog::{CatalogKind, CatalogSettings, CatalogSpec, CatalogTable};
pub use columns::glue::GlueTable;
pub use columns::read::ColumnNames;
pub use columns::{
    ColumnRules, ColumnSettings, Deserializer, MILLIS, Misfit, Misfits, NameRules, NumberUnit,
    Sample, TimeRules, UnknownFields,
};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, SourceFile, SourceSpan};
pub use format::{
    FormatKind, FormatSettings, FormatSpec, FormatTable, Parameters, Reading, Storage,
    StorageClasses, keys as format_keys,
};
pub use keys::{Action, Grant, HttpKey};
pub use load::{ConfigDraft, LoadedConfig, draft, keys as http_keys, listen, parse, parse_object};
pub use parse::{ParserKind, ParserSettings, ParserSpec};
pub use quantity::{display_duration, display_size, parse_duration, parse_size};
pub use registry::Registry;
pub use source::{Asked, AwsSource, Clash, SourceKind, SourceSettings, SourceSpec, StreamType};
pub use spans::{SpanMap, StageField};
pub use store::{Keys, OneMachine, StoreKind, StoreSettings, StoreSpec, StoreTable};
pub use table::{Located, Table};
pub use text::{Text, TextOrigin};
pub use transform::{CompileLimits, Isolation, TRANSFORMS_MAX, TransformSettings};
pub use words::choose;
pub use written::{GIB, MIB, TIB, access, coordination};

use zeroize::Zeroize as _;

use crate::printable::shell_word;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Journal, spool and checkpoints live here, one directory per stream.
    pub state_dir: PathBuf,
    /// Bytes of records, blocks, encoders and indexes in memory, shared by all streams.
    pub memory_limit: u64,
    /// The HTTP listener.
    pub http: HttpSettings,
    /// How long a stop may take before the process exits non-zero.
    pub shutdown_grace: Duration,
    /// What may pass by itself and holds a stream up for longer is an alarm: `/readyz` is red.
    pub stalled_after: Duration,
    /// The delivery streams by name.
    pub streams: BTreeMap<String, StreamSettings>,
}

impl Config {
    /// A command line of `firehose` for a POSIX shell, which reads this config from whichever folder it is run in. The
    /// words of `verb` must be quoted for a shell already (see [`shell_word`]).
    pub fn command(&self, verb: &str) -> String {
        if self.file == Path::new("firehose.toml") {
            return format!("firehose {verb}");
        }
        let file = std::path::absolute(&self.file);
        let file = file.as_ref().unwrap_or(&self.file);
        let file = file.to_string_lossy();
        format!("firehose {verb} --config {}", shell_word(&file))
    }
}

/// The HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Direct PUT API, health, metrics and status page.
    pub listen: SocketAddr,
    /// Connections open at once.
    pub connections: usize,
    /// Names by which it may be asked for, beyond those that no page can take: in lower case, `*.` before one
    /// that stands for all names below it; `*` alone for all.
    pub hosts: Vec<String>,
    /// Who may come in; nobody is asked where there are none.
    pub keys: Vec<HttpKey>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4585)),
            connections: 1024,
            hosts: Vec::new(),
            keys: Vec::new(),
        }
    }
}

/// One delivery stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// The stream's name: `[a-zA-Z0-9_.-]{1,64}`.
    pub name: String,
    /// Where records come from.
    pub source: SourceSettings,
    /// What makes JSON of records that are none, before anything else; `None`: they are as they came.
    pub parser: Option<ParserSettings>,
    /// What changes records on their way, in this order.
    pub transforms: Vec<TransformSettings>,
    /// Whether a record that is several JSON texts becomes as many records, behind the transforms.
    pub deaggregate: bool,
    /// Dynamic partitioning; the defaults when the table is missing.
    pub partitioning: PartitioningSettings,
    /// When a batch is full.
    pub buffering: BufferingSettings,
    /// By how much an event may be late, where a partition is sealed when the time of events has passed it.
    pub watermark: Option<Duration>,
    /// What the objects look like inside.
    pub format: FormatSettings,
    /// Whether a record that is no JSON text fails, in place of being carried as it came: for formats that expect some.
    pub only_json: bool,
    /// Where the objects go.
    pub destination: DestinationSettings,
    /// The optional copy of every source record.
    pub backup: Option<BackupSettings>,
    /// Which table is told of the partitions that the objects of data lie in, if any is.
    pub catalog: Option<CatalogSettings>,
    /// Bound on the bytes of open and sealed batches on disk.
    pub spool_limit: u64,
}

impl StreamSettings {
    /// Whether a record that comes in and is no JSON is sure to fail.
    pub fn needs_json(&self) -> bool {
        let keys = self.partitioning.query.is_some() || self.partitioning.event_time.is_some();
        let looks = keys || self.only_json || self.format.reads_json();
        looks && self.transforms.is_empty() && self.parser.is_none()
    }

    /// Whether a record that is several JSON texts becomes as many records: where that is asked for, and the
    /// prefix or the format looks into records.
    pub fn takes_apart(&self) -> bool {
        let by_record = ["!{partitionKeyFrom", "!{eventTime:"];
        let prefix = self.destination.prefix.as_deref().unwrap_or_default();
        let keys = by_record.iter().any(|begin| prefix.contains(begin));
        let format = self.only_json || self.format.separates();
        self.deaggregate && (keys || format)
    }
}

/// How several daemons share the shards of a stream: by leases in a `DynamoDB` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinationSettings {
    /// The lease table; KCL's application name.
    pub table: String,
    /// This process among the workers; drawn at the start when missing.
    pub worker: Option<String>,
    /// How long a lease is held without being renewed.
    pub failover: Duration,
    /// How `DynamoDB` is reached.
    pub access: AwsAccess,
}

/// Where reading of a stream begins for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartSettings {
    /// At the oldest record that the stream keeps.
    TrimHorizon,
    /// At what comes after the first start.
    Latest,
    /// At what arrived at this time or later, in milliseconds since the Unix epoch.
    Time(i64),
}

/// How an AWS service, or one that speaks its protocol, is reached.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AwsAccess {
    /// Region; the SDK's own search when missing.
    pub region: Option<String>,
    /// Endpoint of a compatible service; AWS when missing.
    pub endpoint: Option<String>,
    /// Named profile for credentials.
    pub profile: Option<String>,
    /// Access key id; the SDK's own search when missing.
    pub access_key_id: Option<String>,
    /// Secret access key, from the file or from `secret_access_key_file`.
    pub secret_access_key: Option<Secret>,
}

/// How records are sorted into partitions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PartitioningSettings {
    /// A jq query that returns one object of keys.
    pub query: Option<String>,
    /// A jq path to the event's time, for `!{eventTime:…}`.
    pub event_time: Option<String>,
    /// IANA time zone for `!{timestamp:…}` and `!{eventTime:…}`; UTC when missing.
    pub time_zone: Option<String>,
    /// Whether values in keys are percent-escaped.
    pub key_values: KeyValues,
    /// Firehose's limit on open partitions, for those who want it.
    pub partition_limit: Option<u64>,
}

/// How key values are put into object keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyValues {
    /// Percent-escaped as Hive does.
    #[default]
    Escaped,
    /// As they are, slashes included; `..` and control bytes fail the record.
    AsIs,
}

/// When a batch is full: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferingSettings {
    /// Bytes, of what `size_of` says.
    pub size: u64,
    /// What has that size.
    pub size_of: SizeOf,
    /// Age of the batch; zero delivers within a second.
    pub interval: Duration,
    /// What intervals are counted from.
    pub align: Align,
    /// How long nothing more may come to a batch.
    pub close_after: Option<Duration>,
}

impl BufferingSettings {
    /// Full at so many bytes and at such an age, and at nothing else.
    pub const fn new(size: u64, interval: Duration) -> Self {
        Self {
            size,
            size_of: SizeOf::Records,
            interval,
            align: Align::Record,
            close_after: None,
        }
    }
}

/// What the size of a batch is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SizeOf {
    /// Bytes of records before compression.
    #[default]
    Records,
    /// Bytes of the object, as far as they can be told before its end.
    Object,
}

/// What the intervals of batches are counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// Each from the first record of its batch.
    #[default]
    Record,
    /// All from midnight, by the clock of the stream's time zone.
    Clock,
}

/// Where the objects go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationSettings {
    /// The store of data, and of the lanes that have none of their own.
    pub store: StoreSettings,
    /// The store of error objects, where it is another.
    pub errors: Option<StoreSettings>,
    /// The store of backup objects, where it is another.
    pub backup: Option<StoreSettings>,
    /// Prefix expression of data objects; `None` means Firehose's default.
    pub prefix: Option<String>,
    /// Prefix expression of records whose partition was sealed by the watermark; `None`: that of their partition.
    pub late_prefix: Option<String>,
    /// Prefix expression of error objects; `None` means Firehose's default.
    pub error_prefix: Option<String>,
}

impl DestinationSettings {
    /// The store of error objects.
    pub fn error_store(&self) -> &StoreSettings {
        self.errors.as_ref().unwrap_or(&self.store)
    }

    /// The store of backup objects.
    pub fn backup_store(&self) -> &StoreSettings {
        self.backup.as_ref().unwrap_or(&self.store)
    }

    /// Each store once, that of data first. No two have one name.
    pub fn stores(&self) -> Vec<&StoreSettings> {
        let mut stores = vec![&self.store];
        for store in [self.error_store(), self.backup_store()] {
            if stores.iter().all(|other| other.name() != store.name()) {
                stores.push(store);
            }
        }
        stores
    }
}

/// A secret: never printed, and gone from memory when it is dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// The optional copy of every source record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSettings {
    /// Prefix expression (no partition keys); `None` means Firehose's default.
    pub prefix: Option<String>,
    /// Format of the backup objects: one that carries records as they came.
    pub format: FormatSettings,
    /// When a backup batch is full.
    pub buffering: BufferingSettings,
}

#[cfg(test)]
mod tests;
