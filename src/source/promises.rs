//! What every source must keep, whichever it is, as one suite. A source joins by a [`World`] in its own tests, one
//! for each way in which it is read, and [`all`]`!(World)`; where its shards end, also by [`Ending`] and
//! [`ends`]`!(World)`.
//! What is peculiar to one it tests by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Context, Known, Opened, Read, Room, SourceEvent, SourceSettings};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::StreamError;
use crate::position::MissingRange;
use crate::record::Chunk;
use crate::registry;
use crate::shard::{JOURNAL, ShardId, ShardState};
use crate::telemetry::{Metrics, SourceHealth};

/// A guard against waiting for ever: far above what anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// For so long nothing may happen that must not.
const QUIET: Duration = Duration::from_secs(1);
/// Records of most tests.
const RECORDS: usize = 9;
/// Bytes that a reader is asked for: a few records of most tests.
const CHUNK_BYTES: usize = 3_000;

/// Where a source reads: a stand-in for its service, or its disk. Records are put one by one, in order, and of
/// [`record`]'s making.
pub(crate) trait World: Sized {
    /// Without a record.
    async fn new() -> Self;

    /// The source as the config has it.
    fn source(&self) -> SourceSettings;

    /// Opens the source as whoever reads in this way does.
    fn open(&self, known: Known, context: Context) -> Result<Opened, StreamError> {
        registry::source(&self.source()).open(known, context)
    }

    /// The shards that are known before the first opening.
    fn found(&self) -> BTreeMap<ShardId, ShardState> {
        BTreeMap::new()
    }

    /// The stream's own directory.
    fn disk(&self) -> Arc<dyn Disk>;

    /// Puts records where the open source reads or takes them; true: all were taken. It stops at the first that was
    /// not.
    async fn put(&self, opened: &Opened, records: &[Vec<u8>]) -> bool;

    /// Loses the records of these numbers for good. The source is closed, `known` has what lies before them, and may
    /// be made to look as old as it takes.
    fn lose(&self, records: std::ops::Range<usize>, known: &mut Known);

    /// Whether `life` was told of the loss.
    fn is_told(&self, life: &Life) -> bool;

    /// Makes `known` that of another stream, or of another state.
    fn estrange(&self, known: &mut Known);

    /// How much the source holds that nobody has taken, and its bound, in a unit of its own. Asked while what was
    /// given first is kept.
    fn held(&self, life: &Life) -> (u64, u64);

    /// A record that comes to a good part of that bound: eight are beyond it.
    fn large(&self) -> usize;
}

/// Where shards end, and children of theirs follow.
pub(crate) trait Ending: World {
    /// Ends the shard that records are put to, so that those that follow go to a child of it.
    fn end_shard(&self);
}

/// A source from an opening to its stop, with what a pipeline knows of it.
pub(crate) struct Life {
    pub(crate) opened: Opened,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) room: Room,
    /// What the checkpoint store has.
    pub(crate) known: Known,
    /// The same behind each record that was given.
    after: Vec<Known>,
    /// The numbers of the records that were given.
    pub(crate) given: Vec<usize>,
    /// What was told to be lost.
    pub(crate) lost: Vec<MissingRange>,
    ended: Vec<ShardId>,
    /// Something has come.
    has_read: bool,
}

/// Record number `number` of that many bytes.
pub(crate) fn record(number: usize, bytes: usize) -> Vec<u8> {
    let mut record = vec![7; bytes];
    record[..8].copy_from_slice(&(number as u64).to_le_bytes());
    record
}

fn records(numbers: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    numbers.map(|number| record(number, 1_000)).collect()
}

fn number(record: &[u8]) -> usize {
    let number: [u8; 8] = record[..8].try_into().unwrap();
    usize::try_from(u64::from_le_bytes(number)).unwrap()
}

impl Life {
    fn begin(world: &impl World, known: Known) -> Result<Self, StreamError> {
        let metrics = Arc::new(Metrics::new().unwrap());
        let room = Room::new(world.source().room_bytes());
        let context = Context {
            stream: "clicks".to_owned(),
            clock: Clock::system(),
            disk: world.disk(),
            metrics: Arc::clone(&metrics),
            health: Arc::<SourceHealth>::default(),
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
            room,
            after: Vec::new(),
            given: Vec::new(),
            ended: Vec::new(),
            has_read: false,
        })
    }

    fn first(world: &impl World) -> Self {
        let known = Known {
            incarnation: Uuid::from_u128(7),
            shards: world.found(),
            ..Known::default()
        };
        Self::begin(world, known).unwrap()
    }

    async fn next(&mut self) -> Result<Option<Read>, StreamError> {
        let next = self.opened.reader.next(CHUNK_BYTES);
        let next = tokio::time::timeout(PATIENCE, next).await;
        next.expect("something comes")
    }

    /// Applies what has come, as the pipeline does; the chunk, for who wants to keep it.
    fn apply(&mut self, read: Read) -> Chunk {
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
    async fn read(&mut self, records: usize) {
        while self.given.len() < records {
            let read = self.next().await.unwrap().expect("it is not stopped");
            self.apply(read);
        }
    }

    /// All that is known is durable.
    fn release(&self) {
        let shards: Vec<_> = self.known.shards.clone().into_iter().collect();
        self.opened.handle.release(&shards).unwrap();
    }

    /// Stops, and reads what is left. What a later opening is to know.
    async fn end(&mut self) -> Known {
        self.opened.handle.stop();
        assert!(self.opened.handle.is_stopping());
        while let Some(read) = self.next().await.unwrap() {
            self.apply(read);
        }
        let stopped = tokio::time::timeout(PATIENCE, self.opened.handle.stopped());
        stopped.await.expect("it comes to rest");
        self.known.clone()
    }
}

/// A source opened at any position that it has given goes on with the next record.
pub(crate) async fn goes_on_anywhere<W: World>() {
    let world = W::new().await;
    let mut life = Life::first(&world);
    assert!(world.put(&life.opened, &records(0..RECORDS)).await);
    life.read(RECORDS).await;
    let (after, mut epoch) = (life.after.clone(), life.end().await.epoch);
    assert_eq!(life.given, (0..RECORDS).collect::<Vec<_>>());
    drop(life);
    for (number, known) in after.into_iter().enumerate() {
        let mut life = Life::begin(&world, Known { epoch, ..known }).unwrap();
        life.read(RECORDS - number - 1).await;
        epoch = life.end().await.epoch;
        let rest: Vec<_> = (number + 1..RECORDS).collect();
        assert_eq!(life.given, rest, "after record {number}");
        assert!(life.lost.is_empty(), "{:?}", life.lost);
    }
}

/// What is released does not come again, and new records follow what was given before.
pub(crate) async fn goes_on_behind_what_is_released<W: World>() {
    let world = W::new().await;
    let (mut life, mut sent) = (Life::first(&world), 0);
    for _ in 0..3 {
        assert!(world.put(&life.opened, &records(sent..sent + 4)).await);
        life.read(4).await;
        life.release();
        let known = life.end().await;
        assert_eq!(life.given, (sent..sent + 4).collect::<Vec<_>>());
        sent += 4;
        drop(life);
        life = Life::begin(&world, known).unwrap();
    }
    life.end().await;
    assert!(life.given.is_empty(), "{:?}", life.given);
}

/// Who asks and does not wait for the answer loses nothing by it.
pub(crate) async fn loses_nothing_that_was_not_waited_for<W: World>() {
    let world = W::new().await;
    let mut life = Life::first(&world);
    assert!(world.put(&life.opened, &records(0..RECORDS)).await);
    let begun = Instant::now();
    while life.given.len() < RECORDS {
        assert!(begun.elapsed() < PATIENCE, "{:?}", life.given);
        let asked_once = tokio::select! {
            biased;
            read = life.opened.reader.next(CHUNK_BYTES) => Some(read),
            () = std::future::ready(()) => None,
        };
        if let Some(read) = asked_once {
            life.apply(read.unwrap().expect("it is not stopped"));
        }
        tokio::task::yield_now().await;
    }
    life.end().await;
    assert_eq!(life.given, (0..RECORDS).collect::<Vec<_>>());
}

/// Records that are gone cost themselves alone, and that is told.
pub(crate) async fn tells_of_a_gap<W: World>() {
    let world = W::new().await;
    let mut life = Life::first(&world);
    assert!(world.put(&life.opened, &records(0..RECORDS)).await);
    life.read(RECORDS).await;
    let (mut known, epoch) = (life.after[1].clone(), life.end().await.epoch);
    assert!(!world.is_told(&life), "nothing is lost yet");
    drop(life);
    known.epoch = epoch;
    world.lose(2..5, &mut known);
    let mut life = Life::begin(&world, known).unwrap();
    life.read(RECORDS - 5).await;
    life.end().await;
    assert_eq!(life.given, (5..RECORDS).collect::<Vec<_>>());
    assert!(world.is_told(&life), "three are lost");
}

/// What is known of another stream, or of another state, is a loud stop before any record.
pub(crate) async fn stops_loudly_at_what_is_not_its_own<W: World>() {
    let world = W::new().await;
    let mut life = Life::first(&world);
    assert!(world.put(&life.opened, &records(0..RECORDS)).await);
    life.read(RECORDS).await;
    let mut known = life.end().await;
    drop(life);
    world.estrange(&mut known);
    let stopped = match Life::begin(&world, known) {
        Err(error) => error,
        Ok(mut life) => loop {
            match life.next().await {
                Err(error) => break error,
                Ok(read) => assert!(read.expect("it is not stopped").chunk.is_empty()),
            }
        },
    };
    assert!(matches!(stopped, StreamError::LoudStop { .. }), "{stopped}");
}

/// While nobody takes what it has it takes no more than its bound, and goes on when somebody does.
pub(crate) async fn holds_no_more_than_its_bound<W: World>() {
    let world = W::new().await;
    let mut life = Life::first(&world);
    let (mut sent, mut is_full) = (0, false);
    while sent < 8 && !is_full {
        is_full = !world
            .put(&life.opened, &[record(sent, world.large())])
            .await;
        sent += usize::from(!is_full);
    }
    // One is kept, as in a batch that takes no more.
    let kept = loop {
        let read = life.next().await.unwrap().expect("it is not stopped");
        let chunk = life.apply(read);
        if !chunk.is_empty() {
            break chunk;
        }
    };
    let begun = Instant::now();
    while begun.elapsed() < QUIET {
        let (held, bound) = world.held(&life);
        assert!(held <= bound, "{held} of {bound}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(kept);
    life.read(sent).await;
    life.release();
    let more = record(sent, world.large());
    let begun = Instant::now();
    while !world.put(&life.opened, std::slice::from_ref(&more)).await {
        assert!(begun.elapsed() < PATIENCE, "what is released makes room");
        tokio::task::yield_now().await;
    }
    life.read(sent + 1).await;
    life.end().await;
    assert_eq!(life.given, (0..=sent).collect::<Vec<_>>());
    let all = world.source().room_bytes();
    let begun = Instant::now();
    while life.room.free() != all {
        // What read it ends by itself.
        assert!(begun.elapsed() < PATIENCE, "all memory is given back");
        tokio::task::yield_now().await;
    }
}

/// The end of a shard comes once, behind its records; what follows it comes when the end is durable, and not before.
pub(crate) async fn ends_a_shard_before_its_children<W: Ending>() {
    let world = W::new().await;
    let mut life = Life::first(&world);
    assert!(world.put(&life.opened, &records(0..4)).await);
    world.end_shard();
    assert!(world.put(&life.opened, &records(4..RECORDS)).await);
    while life.ended.is_empty() {
        let read = life.next().await.unwrap().expect("it is not stopped");
        life.apply(read);
    }
    assert_eq!(life.given, [0, 1, 2, 3]);
    let begun = Instant::now();
    while begun.elapsed() < QUIET {
        let next = tokio::time::timeout(Duration::from_millis(50), life.opened.reader.next(1));
        if let Ok(read) = next.await {
            life.apply(read.unwrap().expect("it is not stopped"));
        }
        assert_eq!(life.given.len(), 4, "the end is not durable yet");
    }
    life.release();
    life.read(RECORDS).await;
    assert_eq!(life.given, (0..RECORDS).collect::<Vec<_>>());
    let counted: BTreeSet<_> = life.ended.iter().collect();
    assert_eq!(counted.len(), life.ended.len(), "{:?}", life.ended);
    life.end().await;
}

/// Holds a source to all promises that each must keep: one test each.
macro_rules! all {
    ($world:ty) => {
        $crate::source::promises::each!($world:
            goes_on_anywhere
            goes_on_behind_what_is_released
            loses_nothing_that_was_not_waited_for
            tells_of_a_gap
            stops_loudly_at_what_is_not_its_own
            holds_no_more_than_its_bound
        );
    };
}

/// The same where shards end.
macro_rules! ends {
    ($world:ty) => {
        $crate::source::promises::each!($world: ends_a_shard_before_its_children);
    };
}

macro_rules! each {
    ($world:ty: $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                $crate::source::promises::$promise::<$world>().await;
            }
        )*
    };
}

pub(crate) use {all, each, ends};
