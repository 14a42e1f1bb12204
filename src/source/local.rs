//! What a source keeps under a stream's directory, read without opening the stream: by `state`, and by the daemon
//! for streams that do not run.

use std::error::Error;
use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::Known;
use crate::disk::Disk;
use crate::position::Sequence;

/// Why the records cannot be looked at.
pub type LocalError = Box<dyn Error + Send + Sync>;

/// Takes a record: sequence number, arrival in ms, bytes.
pub type TakeRecord<'a> = dyn FnMut(Sequence, i64, &[u8]) -> io::Result<()> + 'a;

/// The records that a kind of source keeps on this machine's disk. Nothing here changes a byte of them.
pub trait LocalRecords: Sync {
    /// Its directory in the stream's; also what it is called in messages.
    fn dir(&self) -> &'static str;

    /// Looks at the records of `stream`. `enough` records beyond the frontier end the search.
    fn peek(
        &self,
        disk: &Arc<dyn Disk>,
        stream: &str,
        known: &Known,
        enough: u64,
    ) -> Result<LocalBacklog, LocalError>;

    /// Gives `take` each record, delivered or not, once, without a checkpoint. What cannot be read is told, and is no
    /// reason to stop: an error is one of `take`.
    fn salvage(&self, disk: &dyn Disk, take: &mut TakeRecord<'_>) -> io::Result<Salvaged>;

    /// The incarnation of the state that it is of; `None`: it does not tell.
    fn incarnation(&self, disk: &dyn Disk) -> io::Result<Option<Uuid>>;
}

/// What a stream's directory holds of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalBacklog {
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Records beyond the frontier: accepted, and not applied to any batch.
    pub records: u64,
    /// Bytes of what they are in.
    pub bytes: u64,
    /// When the oldest of them was accepted, in ms.
    pub oldest_ms: Option<i64>,
}

/// Records that were accepted before a source was opened, and that are not applied to any batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadRecords {
    /// When the oldest of them was accepted, in ms.
    pub oldest_ms: i64,
    /// One past the last of them.
    pub next: Sequence,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// Records that were given.
    pub records: u64,
    /// What cannot be read, each in words.
    pub gaps: Vec<String>,
}
