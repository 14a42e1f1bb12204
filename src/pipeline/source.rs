//! The two ends of a stream's source, whichever it is: one gives chunks, the other is told how far
//! they are durable.

use std::io;
use std::sync::Arc;

use super::Surroundings;
use crate::error::StreamError;
use crate::journal::{Journal, JournalReader, MissingRange};
use crate::shard::{JOURNAL, ShardId, ShardState};
use crate::source::Read;
use crate::source::kinesis::{Kinesis, KinesisReader, Means};
use crate::telemetry::KinesisMetrics;

/// The end that is told. Cheap to clone.
#[derive(Clone)]
pub enum Source {
    /// Direct PUT, through its journal.
    Journal(Journal),
    /// A Kinesis data stream.
    Kinesis(Kinesis),
}

/// The end that gives.
pub enum Reader {
    /// Direct PUT, through its journal.
    Journal(Box<JournalReader>),
    /// A Kinesis data stream.
    Kinesis(Box<KinesisReader>),
}

/// What reading from Kinesis needs of a stream's surroundings.
pub(super) fn means(stream: &str, around: &Surroundings) -> Means {
    Means {
        stream: stream.to_owned(),
        clock: around.clock.clone(),
        metrics: KinesisMetrics::new(&around.metrics, stream),
        health: Arc::clone(around.status.source()),
        room: around.read_room.clone(),
    }
}

impl Source {
    /// The journal, where producers put records into one.
    pub fn journal(&self) -> Option<&Journal> {
        match self {
            Self::Journal(journal) => Some(journal),
            Self::Kinesis(_) => None,
        }
    }

    /// These shards are durable as they stand here: what lies behind may go.
    pub(super) fn release(&self, shards: &[(ShardId, ShardState)]) -> io::Result<()> {
        match self {
            Self::Journal(journal) => {
                let journals = shards.iter().find(|(shard, _)| &**shard == JOURNAL);
                let position = journals.and_then(|(_, state)| state.position);
                match position.and_then(|position| position.sequence.in_journal()) {
                    Some(frontier) => journal.release(frontier),
                    None => Ok(()),
                }
            }
            Self::Kinesis(kinesis) => {
                kinesis.release(shards);
                Ok(())
            }
        }
    }

    /// Bytes of the source on this machine's disk.
    pub(super) fn bytes(&self) -> u64 {
        self.journal().map_or(0, Journal::bytes)
    }

    /// Gives up disk space that is only kept for later.
    pub(super) fn drop_spares(&self) {
        if let Some(journal) = self.journal() {
            journal.drop_spares();
        }
    }

    /// Takes no more records: the reader ends after those that were accepted.
    pub fn stop(&self) {
        match self {
            Self::Journal(journal) => journal.stop(),
            Self::Kinesis(kinesis) => kinesis.stop(),
        }
    }

    /// Whether it takes no more.
    pub(super) fn is_stopping(&self) -> bool {
        match self {
            Self::Journal(journal) => journal.is_stopping(),
            Self::Kinesis(kinesis) => kinesis.is_stopping(),
        }
    }

    /// Waits until nothing is written on the source's behalf any more.
    pub async fn stopped(&self) {
        if let Some(journal) = self.journal() {
            journal.stopped().await;
        }
    }
}

impl Reader {
    /// What comes next, of about `max_bytes` where that is for the reader to choose, and ranges of
    /// the journal before it that are lost to damage. `None`: the source has ended.
    pub(super) async fn next(
        &mut self,
        max_bytes: usize,
    ) -> Result<Option<(Read, Vec<MissingRange>)>, StreamError> {
        match self {
            Self::Journal(reader) => {
                let Some(chunk) = reader.next(max_bytes).await? else {
                    return Ok(None);
                };
                let read = Read { chunk, news: None };
                Ok(Some((read, reader.take_missing())))
            }
            Self::Kinesis(reader) => {
                let read = reader.next().await?;
                Ok(read.map(|read| (read, Vec::new())))
            }
        }
    }
}
