//! A Kinesis data stream as the source: every shard is polled by a loop of its own, and all loops hand
//! their records to one reader.
//!
//! Kinesis keeps the records; what is read and not in a durable checkpoint is read again. So nothing is
//! on disk here: positions are in the checkpoint store, and memory is bounded by the room that answers
//! take until they are in batches. When the pipeline takes nothing, nobody asks Kinesis for more.
//!
//! Where several machines share a stream, each reads the shards that it holds a lease on, one by one.
//!
//! Reading order: `shards` (what may be read), `conduct` (who reads), `alone` (one shard only), `shard_reader`
//! (one shard's loop), `gap` (what it may have missed), `page` (records out of answers), `answer` (their memory).

#![expect(clippy::disallowed_methods, reason = "Kinesis is asked at a pace")]

mod alone;
mod answer;
mod client;
mod conduct;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod feed;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod gap;
mod hash;
mod lister;
mod metrics;
mod pace;
mod page;
mod retention;
mod settings;
mod shard_reader;
mod shards;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::error::StreamError;
use crate::shard::{ShardId, ShardState};
use crate::source::{Handle, Known, Next, Only, Read, Reader, Room, SourceEvent};
use crate::telemetry::SourceHealth;
use conduct::Conductor;
use metrics::KinesisMetrics;
pub use settings::{ConsumerSettings, KIND, KinesisSettings};

/// What reading needs of the process.
#[derive(Clone, Debug)]
struct ReaderContext {
    /// The delivery stream, for messages.
    stream: String,
    /// Time.
    clock: Clock,
    /// What is counted.
    metrics: KinesisMetrics,
    /// Told what keeps the stream from being read.
    health: Arc<SourceHealth>,
    /// Memory for what is read, until it is in batches.
    room: Room,
}

/// The end that is told how far the stream is durable. Cheap to clone.
#[derive(Clone, Debug)]
struct Kinesis {
    ended: mpsc::UnboundedSender<ShardId>,
    stop: CancellationToken,
}

/// The end that gives records.
struct KinesisReader {
    state: ConductorState,
    health: Arc<SourceHealth>,
    stop: CancellationToken,
    /// Where one shard is read: which, and whether all of it has been given.
    only: Option<ShardId>,
    is_over: bool,
}

enum ConductorState {
    Idle(Box<Conductor>),
    Running {
        reads: mpsc::Receiver<ShardRead>,
        _conductor: AbortOnDropHandle<()>,
    },
    Ended,
}

/// What goes from the loops to the reader.
type ShardRead = Result<Read, StreamError>;

/// Why a loop cannot go on.
#[derive(Debug)]
enum Halt {
    /// Nobody reads any more.
    Closed,
    /// Nor can the stream.
    Failed(StreamError),
}

/// A stream that goes on where `known` has it. Nothing is asked of Kinesis before the first read.
fn open(
    settings: KinesisSettings,
    known: Known,
    context: ReaderContext,
) -> (Kinesis, KinesisReader) {
    opened(settings, known, None, context)
}

/// One shard that goes on where it was; the reader ends when all of it has been given. Which shards
/// there are, and which may be read, is for others to say.
fn open_shard(
    settings: KinesisSettings,
    only: Only,
    context: ReaderContext,
) -> (Kinesis, KinesisReader) {
    let known = Known {
        source: only.source.clone(),
        shards: BTreeMap::new(),
        ..Known::default()
    };
    opened(settings, known, Some(only), context)
}

fn opened(
    settings: KinesisSettings,
    known: Known,
    only: Option<Only>,
    context: ReaderContext,
) -> (Kinesis, KinesisReader) {
    // One message for each shard that ends.
    let (ended, durable) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let health = Arc::clone(&context.health);
    let shard = only.as_ref().map(|only| ShardId::clone(&only.shard));
    let has_ended = only.as_ref().is_some_and(|only| only.state.ended);
    let conductor = Conductor::new(settings, known, only, context, durable);
    let reader = KinesisReader {
        state: if has_ended {
            ConductorState::Ended
        } else {
            ConductorState::Idle(Box::new(conductor))
        },
        health,
        stop: stop.clone(),
        only: shard,
        is_over: false,
    };
    reader.clear_health();
    (Kinesis { ended, stop }, reader)
}

impl Handle for Kinesis {
    fn release(&self, shards: &[(ShardId, ShardState)]) -> io::Result<()> {
        for (shard, state) in shards {
            if state.ended {
                // This fails only where reading has stopped.
                let _ = self.ended.send(ShardId::clone(shard));
            }
        }
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn stop(&self) {
        self.stop.cancel();
    }
}

impl Reader for KinesisReader {
    /// Gives what any shard has; how much that is was for Kinesis to say.
    fn next(&mut self, _: usize) -> Next<'_> {
        Box::pin(self.next())
    }
}

impl KinesisReader {
    /// What comes next; `None` once it has been stopped.
    async fn next(&mut self) -> Result<Option<Read>, StreamError> {
        if let ConductorState::Idle(_) = &self.state
            && !self.stop.is_cancelled()
            && let ConductorState::Idle(conductor) =
                std::mem::replace(&mut self.state, ConductorState::Ended)
        {
            // Loops wait for their turn to hand over: a queue would only hold more.
            let (sender, reads) = mpsc::channel(1);
            let conducting = tokio::spawn(conductor.run(sender));
            self.state = ConductorState::Running {
                reads,
                _conductor: AbortOnDropHandle::new(conducting),
            };
        }
        let ConductorState::Running { reads, .. } = &mut self.state else {
            self.clear_health();
            return Ok(None);
        };
        let read = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            read = reads.recv() => Some(read),
        };
        match read {
            Some(Some(read)) => {
                let is_end = |read: &Read| matches!(read.event, Some(SourceEvent::Ended(_)));
                self.is_over |= self.only.is_some() && read.as_ref().is_ok_and(is_end);
                read.map(Some)
            }
            Some(None) if !self.is_over => Err(StreamError::State {
                action: "read from Kinesis",
                cause: "reading has ended by itself".into(),
            }),
            Some(None) | None => {
                self.state = ConductorState::Ended;
                self.clear_health();
                Ok(None)
            }
        }
    }

    /// What was said of the part that is read here holds no longer.
    fn clear_health(&self) {
        match &self.only {
            Some(shard) => self.health.well(shard),
            None => self.health.clear(),
        }
    }
}

impl Drop for KinesisReader {
    fn drop(&mut self) {
        // Whoever shares the health reads on.
        if self.only.is_some() {
            self.state = ConductorState::Ended;
            self.clear_health();
        }
    }
}

#[cfg(test)]
mod tests;
