//! A source's life as a pipeline sees it, held to what is so at any time: the order of events, and of positions.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::World;
use crate::clock::Clock;
use crate::error::StreamError;
use crate::position::MissingRange;
use crate::record::Chunk;
use crate::shard::{JOURNAL, ShardId, ShardState};
use crate::source::{Context, Known, Opened, Read, Room, SourceEvent};
use crate::telemetry::{Metrics, SourceHealth};

/// A guard against waiting for ever, see [`awaited`]: far above what anything here takes. Nothing else goes by time.
const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes that a reader is asked for: a few records of most tests.
const CHUNK_BYTES: usize = 3_000;

/// A source from an opening to its stop, with what a pipeline knows of it.
pub(crate) struct Life {
    pub(crate) opened: Opened,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<SourceHealth>,
    pub(crate) room: Room,
    /// What the checkpoint store has.
    pub(crate) known: Known,
    /// The same behind each record that was given.
    pub(super) after: Vec<Known>,
    /// The numbers of the records that were given.
    pub(crate) given: Vec<usize>,
    /// What was told to be lost.
    pub(crate) lost: Vec<MissingRange>,
    pub(super) ended: Vec<ShardId>,
    /// Something has come.
    has_read: bool,
}

impl Life {
    pub(super) fn begin(world: &impl World, known: Known) -> Result<Self, StreamError> {
        let metrics = Arc::new(Metrics::new().unwrap());
        let health = Arc::<SourceHealth>::default();
        let room = Room::new(world.source().room_bytes());
        let context = Context {
            stream: "clicks".to_owned(),
            clock: Clock::system(),
            disk: world.disk(),
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            room: room.clone(),
        };
        let opened = world.open(known.clone(), context)?;
        assert!(opened.epoch > known.epoch, "each opening has a new epoch");
        Ok(Self {
            known: Known {
                epoch: opened.epoch,
                ..known
            },
            lost: opened.lost.clone(),
            opened,
            metrics,
            health,
            room,
            after: Vec::new(),
            given: Vec::new(),
            ended: Vec::new(),
            has_read: false,
        })
    }

    pub(super) fn first(world: &impl World) -> Self {
        let known = Known {
            incarnation: Uuid::from_u128(7),
            shards: world.found(),
            ..Known::default()
        };
        Self::begin(world, known).unwrap()
    }

    pub(super) async fn next(&mut self) -> Result<Option<Read>, StreamError> {
        let what = format!("what it gives after {:?}", self.given);
        awaited(&what, self.opened.reader.next(CHUNK_BYTES)).await
    }

    /// Applies what has come, as the pipeline does; the chunk, for who wants to keep it.
    pub(super) fn apply(&mut self, read: Read) -> Chunk {
        let Read { lost, chunk, event } = read;
        let is_first = !std::mem::replace(&mut self.has_read, true);
        self.lost.extend(lost);
        for record in chunk.iter() {
            let shard = ShardId::from(record.shard);
            let is_found = self.known.shards.contains_key(&shard);
            assert!(is_found || &*shard == JOURNAL, "{shard} was not found");
            assert!(!self.ended.contains(&shard), "{shard} has ended");
            let state = self.known.shards.entry(shard).or_default();
            assert!(state.position < Some(record.position), "positions rise");
            state.position = Some(record.position);
            self.given.push(number(record.data));
            self.after.push(self.known.clone());
        }
        match event {
            None => {}
            Some(SourceEvent::Named(name)) => {
                let is_new = is_first && self.known.source.is_none();
                assert!(is_new, "the name comes first, and once");
                self.known.source = Some(name);
            }
            Some(SourceEvent::Found(found)) => self.known.shards.extend(found),
            Some(SourceEvent::Until(shard, until_ms)) => {
                self.state(&shard).until_ms = Some(until_ms);
            }
            Some(SourceEvent::Ended(shard)) => {
                self.state(&shard).ended = true;
                self.ended.push(shard);
            }
            Some(SourceEvent::Forgotten(shards)) => {
                for shard in shards {
                    assert!(self.known.shards.remove(&shard).unwrap().ended, "{shard}");
                }
            }
        }
        chunk
    }

    fn state(&mut self, shard: &ShardId) -> &mut ShardState {
        self.known.shards.get_mut(shard).expect("it was found")
    }

    /// Reads until so many records have been given.
    pub(super) async fn read(&mut self, records: usize) {
        while self.given.len() < records {
            let read = self.next().await.unwrap().expect("it is not stopped");
            self.apply(read);
        }
    }

    /// Reads until something is so, whether anything is given or not; what is given, for who wants to keep it.
    pub(super) async fn until(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> Vec<Chunk> {
        let mut given = Vec::new();
        let reading = async {
            while !is_so(self) {
                // Who asks and does not wait for the answer loses nothing by it.
                let read = tokio::select! {
                    biased;
                    read = self.opened.reader.next(CHUNK_BYTES) => read,
                    () = tokio::task::yield_now() => continue,
                };
                let read = read.unwrap().expect("it is not stopped");
                given.push(self.apply(read));
            }
        };
        awaited(what, reading).await;
        given
    }

    /// All that is known is durable.
    pub(super) fn release(&self) {
        let shards: Vec<_> = self.known.shards.clone().into_iter().collect();
        self.opened.handle.release(&shards).unwrap();
    }

    /// Stops, and reads what is left. What a later opening is to know.
    pub(super) async fn end(&mut self) -> Known {
        self.opened.handle.stop();
        assert!(self.opened.handle.is_stopping());
        while let Some(read) = self.next().await.unwrap() {
            self.apply(read);
        }
        awaited("its rest", self.opened.handle.stopped()).await;
        self.known.clone()
    }
}

/// What the future gives, which is said to be `what` where it never comes.
pub(super) async fn awaited<T>(what: &str, future: impl Future<Output = T>) -> T {
    let given = tokio::time::timeout(PATIENCE, future).await;
    given.unwrap_or_else(|_| panic!("never comes: {what}"))
}

fn number(record: &[u8]) -> usize {
    let number: [u8; 8] = record[..8].try_into().unwrap();
    usize::try_from(u64::from_le_bytes(number)).unwrap()
}
