//! The state of one delivery stream as `/readyz`, `/metrics`, `/streams/NAME` and the status page show it.

use super::drift::FieldDrift;
use super::failures::KnownFailure;
use super::fields::FieldCount;
use crate::failure::ErrorOutputType;
use crate::schema::SchemaVersion;

/// Gives the state of one delivery stream; the pipeline implements it.
pub trait StreamStatus: Send + Sync {
    /// The state now. Called for each scrape and probe: cheap, never waits for I/O.
    fn snapshot(&self) -> StatusSnapshot;

    /// Why records failed since the process began.
    fn failures(&self) -> Vec<KnownFailure>;

    /// The versions of the columns that were learned, oldest first; none where none are.
    fn schema(&self) -> Vec<SchemaVersion> {
        Vec::new()
    }

    /// Which fields and columns did not find each other since the process began.
    fn fields(&self) -> Vec<FieldCount>;

    /// Which of them a sample of its records shows to have lost each other, now or before.
    fn drift(&self) -> Vec<FieldDrift> {
        Vec::new()
    }
}

/// Whether a delivery stream does its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StreamState {
    /// Records flow, or would if there were any. Passing errors are retried meanwhile.
    #[default]
    Running,
    /// Publishing fails for a reason that needs a person, and is retried slowly: it goes on by
    /// itself once the cause is gone.
    Stalled {
        /// What fails and how, e.g. `bucket lake: access denied (403) to PutObject`.
        cause: String,
    },
    /// The stream has stopped so as not to lose or double records (a loud stop).
    Stopped {
        /// What was found.
        cause: String,
        /// What a person can do.
        advice: String,
    },
}

impl StreamState {
    /// Whether `/readyz` is green as far as this stream is concerned.
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Running)
    }

    /// One word for the state.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stalled { .. } => "stalled",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// What is wrong, if anything is.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Running => None,
            Self::Stalled { cause } | Self::Stopped { cause, .. } => Some(cause),
        }
    }

    /// What a person can do, where that is known.
    pub fn advice(&self) -> Option<&str> {
        match self {
            Self::Running | Self::Stalled { .. } => None,
            Self::Stopped { advice, .. } => Some(advice),
        }
    }
}

/// A delivery stream at one moment. Counts start at zero with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSnapshot {
    /// Whether it does its work.
    pub state: StreamState,
    /// When counting began, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Partitions with an open batch.
    pub open_partitions: u64,
    /// Sealed objects that wait to be published.
    pub sealed_waiting: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// Age of the oldest accepted record that is not yet in a published object; `None` if all are.
    pub oldest_unpublished_age_ms: Option<u64>,
    /// What has ended by this second since 1970 is over; of several shards the one that is furthest behind. `None`: nothing
    /// ends by the time of events, or no event was read.
    pub watermark: Option<i64>,
    /// When the last checkpoint became durable, in milliseconds since the Unix epoch.
    pub last_checkpoint_ms: Option<i64>,
    /// Records read from the source.
    pub records_in: u64,
    /// Records in published data objects.
    pub records_delivered: u64,
    /// Records sent to the error prefix, by type, in the order of [`ErrorOutputType::ALL`].
    pub records_failed: [u64; ErrorOutputType::ALL.len()],
    /// The version of the columns in force that were learned or read of a table; 0 where there are none.
    pub schema_version: u32,
    /// The table whose columns they are, where they are one's.
    pub table: Option<TableAccount>,
    /// The object published last.
    pub last_object: Option<LastObject>,
    /// How what it tells its catalog stands, where it has one.
    pub catalog: Option<CatalogStanding>,
}

/// What a stream tells its catalog, at one moment. Counts start at zero with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogStanding {
    /// The table.
    pub name: String,
    /// Partitions that wait to be told.
    pub waiting: u64,
    /// Since when the oldest of them waits, in milliseconds since the Unix epoch.
    pub waiting_since_ms: Option<i64>,
    /// Partitions that it knows since it was told.
    pub told: u64,
    /// Partitions that it is not told of: places that are no partition of the table, partitions that it refuses, and
    /// those that are not remembered since too many wait.
    pub left_out: u64,
    /// Why the last one of them was.
    pub why_left_out: Option<String>,
    /// Why it is not told now.
    pub error: Option<String>,
    /// Why the columns of the table are not brought up to those of the stream now.
    pub columns_error: Option<String>,
    /// Columns that have other types in the table than in objects, some of them.
    pub conflicts: Vec<String>,
    /// How many those are.
    pub conflicting: u64,
}

impl CatalogStanding {
    /// Adds how it stands with another pipeline of the stream.
    pub fn add(&mut self, other: &Self) {
        self.waiting += other.waiting;
        let since = [self.waiting_since_ms, other.waiting_since_ms];
        self.waiting_since_ms = since.into_iter().flatten().min();
        self.told += other.told;
        self.left_out += other.left_out;
        for (own, other) in [
            (&mut self.why_left_out, &other.why_left_out),
            (&mut self.error, &other.error),
            (&mut self.columns_error, &other.columns_error),
        ] {
            *own = own.take().or_else(|| other.clone());
        }
        // They have one table.
        for conflict in &other.conflicts {
            if !self.conflicts.contains(conflict) {
                self.conflicts.push(conflict.clone());
            }
        }
        self.conflicting = self.conflicting.max(other.conflicting);
    }
}

/// How a table of the Glue Data Catalog is read, whose columns the stream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableAccount {
    /// What tells it from others: `web.hits`.
    pub name: String,
    /// When it was last read since the process began, in milliseconds since the Unix epoch.
    pub read_ms: Option<i64>,
    /// Why it could not be read, or its columns not be taken, the last time; those before it are in force.
    pub error: Option<String>,
}

/// A published object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastObject {
    /// Its key.
    pub key: String,
    /// Records in it.
    pub records: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it became visible, in milliseconds since the Unix epoch.
    pub published_ms: i64,
}
