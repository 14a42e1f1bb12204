//! The journal: the durable log behind Direct PUT, our embedded stream.
//!
//! Appends of many requests share one fsync (group commit); only fsynced records are read;
//! segments behind the released frontier go. Rule C6.
//!
//! Reading order: `segment` and `frame` (what is on disk), `writer`, `reader`, `recovery`.

mod birth;
mod damage;
mod frame;
mod fresh;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod group;
mod peek;
mod queue;
mod reader;
mod recovery;
mod salvage;
mod segment;
mod shared;
mod survey;
mod walk;
mod window;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::position::{MissingRange, Sequence};
use crate::source::{Accepted, Appending, Intake, PutBatch, Refused, UnreadRecords};
pub use peek::peek;
pub use reader::JournalReader;
pub use salvage::{incarnation, salvage};

use queue::Request;
use recovery::RecoveredJournal;
use shared::Shared;
use writer::JournalWriter;

/// Epochs that fit above the counter of a sequence number.
const EPOCHS_MAX: u32 = 1 << 20;

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// The delivery stream, for messages.
    pub stream: String,
    /// Its directory, relative to the disk's root; nothing else may live there.
    pub dir: PathBuf,
    /// Bound on the bytes of all segments on disk. Only an opening (by the few bytes it brings
    /// over, and a header) and the segment that follows a failed fsync (by a header) may exceed it.
    pub limit: u64,
    /// Bytes of one segment; a larger batch gets a larger segment. Callers use the smaller of
    /// 64 MiB and an eighth of the limit.
    pub segment_bytes: u64,
    /// When nothing is appended for so long, the durable end is recorded: damage below it is told
    /// from a write that was broken off.
    pub idle: Duration,
}

/// What the checkpoint store knows, handed in at opening.
#[derive(Clone, Copy, Debug)]
pub struct JournalCheckpoint {
    /// Drawn when the checkpoint store was created; every segment carries it.
    pub incarnation: Uuid,
    /// The largest epoch that the checkpoint store names; 0: no journal was ever opened with it.
    pub epoch: u32,
    /// Every record up to it has been applied.
    pub frontier: Option<Sequence>,
}

/// An opened journal.
pub struct OpenedJournal {
    /// The door for appends.
    pub journal: Journal,
    /// The epoch that this opening began: 1 + the largest known anywhere.
    pub epoch: u32,
    /// Starts just after [`JournalCheckpoint::frontier`].
    pub reader: JournalReader,
    /// Ranges beyond the frontier that are damaged in the segment written last; ranges that are
    /// found later come from [`JournalReader::take_missing`].
    pub missing: Vec<MissingRange>,
    /// Places that are not whole and of which nothing tells what stood there: writes that were
    /// broken off before they were acknowledged, or damage.
    pub doubtful: u64,
    /// What was accepted before and lies beyond the frontier.
    pub unread: Option<UnreadRecords>,
}

/// Why a journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk said no.
    #[error("{action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Going on could lose or double records: a person must decide.
    #[error("{cause} ({advice})")]
    LoudStop {
        /// What was found.
        cause: String,
        /// What a person can do.
        advice: String,
    },
}

impl JournalError {
    fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// The durable log behind Direct PUT. Cheap to clone; when the last clone is dropped, it stops.
#[derive(Clone)]
pub struct Journal(Arc<JournalHandle>);

struct JournalHandle(Arc<Shared>);

impl Drop for JournalHandle {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl Journal {
    /// Opens the journal, or creates it where neither it nor the checkpoint store has a past, and
    /// begins a new epoch. Blocks on the disk.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Clock,
        settings: JournalSettings,
        known: JournalCheckpoint,
    ) -> Result<OpenedJournal, JournalError> {
        let dir = settings.dir.clone();
        let name = format!("journal-{}", settings.stream);
        let RecoveredJournal {
            shared,
            active,
            epoch,
            missing,
            doubtful,
        } = recovery::recover(disk, settings, known)?;
        // A fault of the disk is for the reader to meet, and to tell of.
        let unread = peek::unread(&shared, known.frontier).unwrap_or(None);
        let reader = JournalReader::new(Arc::clone(&shared), known.frontier, missing.clone());
        let writer = JournalWriter::new(Arc::clone(&shared), clock, active, epoch);
        std::thread::Builder::new()
            .name(name)
            .spawn(move || writer.run())
            .map_err(JournalError::io("starting the writer of", dir))?;
        let journal = Self(Arc::new(JournalHandle(shared)));
        Ok(OpenedJournal {
            journal,
            epoch,
            reader,
            missing,
            doubtful,
            unread,
        })
    }

    /// Lets go of what lies at or before `frontier`, which must be durable in the checkpoint
    /// store. Blocks on the disk, shortly.
    pub fn release(&self, frontier: Sequence) -> io::Result<()> {
        self.0.0.release(frontier)
    }

    /// Gives the files back that are kept to be written over: the disk is full. Blocks on the
    /// disk, shortly.
    pub fn drop_spares(&self) {
        self.0.0.drop_spares(&mut self.0.0.segments());
    }

    /// Bytes of all segments on disk.
    pub fn bytes(&self) -> u64 {
        self.0.0.segments().bytes()
    }

    /// The sequence number that the next accepted record gets.
    pub fn next_sequence(&self) -> Sequence {
        self.0.0.segments().next
    }

    /// Refuses appends from now on. What waits is finished; then the reader gives what is left,
    /// then `None`.
    pub fn stop(&self) {
        self.0.0.queue.close();
    }

    /// Whether appends are refused because it was stopped.
    pub fn is_stopping(&self) -> bool {
        self.0.0.queue.is_closed()
    }

    /// Resolves when a stopped journal has written its last byte. Only then may the same
    /// directory be opened again by this process.
    pub async fn stopped(&self) {
        let mut changed = self.0.0.changed.subscribe();
        while !self.0.0.segments().stopped {
            // The sender is ours: this cannot fail.
            let _ = changed.changed().await;
        }
    }
}

impl Intake for Journal {
    fn append(&self, batch: PutBatch) -> Appending<'_> {
        let shared = &self.0.0;
        Box::pin(async move {
            let stream = || shared.settings.stream.clone();
            if batch.is_empty() {
                return Ok(Accepted {
                    first: shared.segments().next,
                    count: 0,
                });
            }
            if !well_formed(&batch) {
                let cause = "record ends and bytes of the batch do not fit together".to_owned();
                return Err(Refused::Disk {
                    stream: stream(),
                    cause,
                });
            }
            let bytes = batch.data.len() + batch.ends.len() * 4;
            let Some(room) = shared.queue.room(bytes).await else {
                return Err(Refused::Stopping { stream: stream() });
            };
            let (reply, answer) = oneshot::channel();
            if !shared.queue.push(Request { batch, reply, room }) {
                return Err(Refused::Stopping { stream: stream() });
            }
            answer.await.unwrap_or_else(|_| {
                let cause = "its writer has ended unexpectedly".to_owned();
                Err(Refused::Disk {
                    stream: stream(),
                    cause,
                })
            })
        })
    }
}

/// Whether the record ends rise to exactly the end of the data.
fn well_formed(batch: &PutBatch) -> bool {
    batch.ends.is_sorted()
        && batch
            .ends
            .last()
            .is_some_and(|end| *end as usize == batch.data.len())
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
