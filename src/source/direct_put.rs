//! Direct PUT: producers put records into a source of our own, whose log is the journal.

pub mod journal;
mod local;
mod settings;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::disk;
use crate::error::StreamError;
use crate::position::Sequence;
use crate::shard::{JOURNAL, Pending, ShardId, ShardState};
use crate::source::{Context, Handle, Intake, Known, Next, Opened, Read, Reader};
use journal::{Journal, JournalError, JournalReader, JournalSettings};
pub use settings::{DirectPut, KIND};

/// A segment is at most this large…
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// …and at most this part of the journal's limit.
const SEGMENTS_MIN: u64 = 8;
/// After so long without an append the journal's durable end is recorded.
const JOURNAL_IDLE: Duration = Duration::from_millis(200);
/// Where the journal is.
const DIR: &str = "journal";

/// Bytes of a segment of a journal with that limit.
fn segment_bytes(journal_limit: u64) -> u64 {
    SEGMENT_BYTES_MAX.min(journal_limit / SEGMENTS_MIN)
}

/// Opens the journal.
fn open(journal_limit: u64, known: &Known, context: Context) -> Result<Opened, StreamError> {
    let settings = JournalSettings {
        stream: context.stream,
        dir: DIR.into(),
        limit: journal_limit,
        segment_bytes: segment_bytes(journal_limit),
        idle: JOURNAL_IDLE,
    };
    let opened = Journal::open(context.disk, context.clock, settings, of_journal(known))?;
    Ok(Opened {
        handle: Arc::new(opened.journal),
        reader: Box::new(opened.reader),
        epoch: opened.epoch,
        lost: opened.missing,
        doubtful: opened.doubtful,
        unread: opened.unread,
    })
}

/// What the journal must know of what the checkpoint store knows.
fn of_journal(known: &Known) -> journal::JournalCheckpoint {
    journal::JournalCheckpoint {
        incarnation: known.incarnation,
        epoch: known.epoch,
        frontier: known.shards.get(JOURNAL).and_then(frontier),
    }
}

fn frontier(state: &ShardState) -> Option<Sequence> {
    state.position?.sequence.narrow()
}

impl Handle for Journal {
    fn release(&self, shards: &[(ShardId, ShardState)]) -> io::Result<()> {
        let own = shards.iter().find(|(shard, _)| &**shard == JOURNAL);
        match own.and_then(|(_, state)| frontier(state)) {
            Some(frontier) => self.release(frontier),
            None => Ok(()),
        }
    }

    fn stop(&self) {
        self.stop();
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping()
    }

    fn stopped(&self) -> Pending<'_, ()> {
        Box::pin(self.stopped())
    }

    fn intake(&self) -> Option<Arc<dyn Intake>> {
        Some(Arc::new(self.clone()))
    }

    fn next_sequence(&self) -> Option<Sequence> {
        Some(self.next_sequence())
    }

    fn disk_bytes(&self) -> u64 {
        self.bytes()
    }

    fn drop_spares(&self) {
        self.drop_spares();
    }
}

impl Reader for JournalReader {
    fn next(&mut self, max_bytes: usize) -> Next<'_> {
        Box::pin(async move {
            let Some(chunk) = self.next(max_bytes).await? else {
                return Ok(None);
            };
            Ok(Some(Read {
                lost: self.take_missing(),
                chunk,
                event: None,
            }))
        })
    }
}

impl From<JournalError> for StreamError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::LoudStop { cause, advice } => Self::LoudStop { cause, advice },
            JournalError::Io { ref source, .. } => {
                let is_full = disk::is_full(source);
                Self::of_state("use the journal", is_full, error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
