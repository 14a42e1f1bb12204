//! What every source must keep, whichever it is, as one suite. A source joins by a [`World`] in its own tests, one
//! for each way in which it is read, and [`all`]`!(World)`; where its shards end, also by [`Ending`] and
//! [`ends`]`!(World)`.
//! What is peculiar to one it tests by itself.

mod life;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

pub(crate) use self::life::Life;
use self::life::awaited;
use super::{Context, Known, Opened, SourceSettings};
use crate::disk::Disk;
use crate::error::StreamError;
use crate::registry;
use crate::shard::{ShardId, ShardState};

/// Records of most tests.
const RECORDS: usize = 9;
/// Where a source reads: a stand-in for its service, or its disk. Records are put one by one, in order, and of
/// [`record`]'s making: arbitrary bytes, which it must be able to put, in text if need be.
pub(crate) trait World: Sized {
    /// Without a record, and with one shard that they are put to.
    async fn new() -> Self;

    /// Lays a second shard beside the first, before the source is opened. False: whoever reads in this way reads one
    /// shard alone.
    fn widen(&self) -> bool;

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

    /// The stream's own directory. One that keeps nothing there has `TornDisk::new(0)`.
    fn disk(&self) -> Arc<dyn Disk>;

    /// Puts records where the open source reads or takes them; true: all were taken. It stops at the first that was
    /// not. Where it was not widened it has the first lane alone.
    async fn put(&self, opened: &Opened, lane: Lane, records: &[Vec<u8>]) -> bool;

    /// From now on nothing can be read, for a reason that may pass, until it is mended; also before the source is
    /// opened. False: this world has no such faults, since they cannot be, or since they end the stream's run.
    fn fail(&self) -> bool;

    /// That has passed.
    fn mend(&self);

    /// Loses the records of these numbers for good, of the first lane. The source is closed, `known` has what lies before
    /// them, and may be made to look as old as it takes.
    fn lose(&self, records: Range<usize>, known: &mut Known);

    /// Whether `life` was told of the loss.
    fn is_told(&self, life: &Life) -> bool;

    /// Makes `known` that of another stream, or of another state.
    fn estrange(&self, known: &mut Known);

    /// How much the source holds, and its bound, in a unit of its own. Asked while all that was given is kept.
    fn held(&self, life: &Life) -> (u64, u64);

    /// A record that comes to a good part of that bound: eight are beyond it.
    fn large(&self) -> usize;
}

/// Which shard records are put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The first, or, where it has ended, what follows it.
    First,
    /// The one beside it.
    Second,
}

/// Where shards end, and children of theirs follow. There are several, so it can be widened.
pub(crate) trait Ending: World {
    /// Ends the shard of the first lane, so that records that follow go to a child of it.
    fn end_shard(&self);
}

/// Record number `number` of that many bytes.
pub(crate) fn record(number: usize, bytes: usize) -> Vec<u8> {
    let mut record = vec![7; bytes];
    record[..8].copy_from_slice(&(number as u64).to_le_bytes());
    record
}

fn records(numbers: Range<usize>) -> Vec<Vec<u8>> {
    numbers.map(|number| record(number, 1_000)).collect()
}

/// A source opened at any position that it has given goes on with the next record.
pub(crate) async fn goes_on_anywhere<W: World>() {
    let world = W::new().await;
    let mut life = Life::first(&world);
    assert!(
        world
            .put(&life.opened, Lane::First, &records(0..RECORDS))
            .await
    );
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
        assert!(
            world
                .put(&life.opened, Lane::First, &records(sent..sent + 4))
                .await
        );
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
    assert!(
        world
            .put(&life.opened, Lane::First, &records(0..RECORDS))
            .await
    );
    let all = |life: &Life| life.given.len() >= RECORDS;
    life.until("all records", all).await;
    life.end().await;
    assert_eq!(life.given, (0..RECORDS).collect::<Vec<_>>());
}

/// Records that are gone cost themselves alone, and that is told.
pub(crate) async fn tells_of_a_gap<W: World>() {
    let world = W::new().await;
    let mut life = Life::first(&world);
    assert!(
        world
            .put(&life.opened, Lane::First, &records(0..RECORDS))
            .await
    );
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
    assert!(
        world
            .put(&life.opened, Lane::First, &records(0..RECORDS))
            .await
    );
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
        let large = record(sent, world.large());
        is_full = !world.put(&life.opened, Lane::First, &[large]).await;
        sent += usize::from(!is_full);
    }
    // All that there is room for is kept, as in batches that take no more. What reads ahead comes to wait for more room,
    // and who waits has what was left of it.
    let reads_ahead = life.room.total() > 0;
    let holds_no_more = |life: &Life| {
        let (held, bound) = world.held(life);
        assert!(held <= bound, "{held} of {bound}");
        !life.given.is_empty() && (!reads_ahead || life.room.free() == 0)
    };
    let kept = life.until("it waits for room", holds_no_more).await;
    drop(kept);
    life.read(sent).await;
    life.release();
    let more = [record(sent, world.large())];
    let putting = async {
        while !world.put(&life.opened, Lane::First, &more).await {
            tokio::task::yield_now().await;
        }
    };
    awaited("room by what is released", putting).await;
    life.read(sent + 1).await;
    life.end().await;
    assert_eq!(life.given, (0..=sent).collect::<Vec<_>>());
    // What read it ends by itself.
    let given_back = async {
        while life.room.free() != life.room.total() {
            tokio::task::yield_now().await;
        }
    };
    awaited("all memory, given back", given_back).await;
}

/// Each shard is read while there is something in it, whatever the others have, and goes on where it was.
pub(crate) async fn reads_its_shards_side_by_side<W: World>() {
    let world = W::new().await;
    let is_wide = world.widen();
    let mut life = Life::first(&world);
    for number in 0..RECORDS {
        let lane = match number % 2 {
            1 if is_wide => Lane::Second,
            _ => Lane::First,
        };
        assert!(
            world
                .put(&life.opened, lane, &records(number..number + 1))
                .await
        );
        life.read(number + 1).await;
        assert_eq!(life.given, (0..=number).collect::<Vec<_>>(), "{lane:?}");
    }
    let (after, mut epoch) = (life.after.clone(), life.end().await.epoch);
    let positions = life.known.shards.values().map(|state| state.position);
    let shards = positions.flatten().count();
    assert_eq!(shards, 1 + usize::from(is_wide), "as the world says");
    drop(life);
    for (number, known) in after.into_iter().enumerate().filter(|_| is_wide) {
        let mut life = Life::begin(&world, Known { epoch, ..known }).unwrap();
        life.read(RECORDS - number - 1).await;
        epoch = life.end().await.epoch;
        life.given.sort_unstable();
        let rest: Vec<_> = (number + 1..RECORDS).collect();
        assert_eq!(life.given, rest, "after record {number}");
    }
}

/// What keeps it from being read is waited for, and told for as long as it lasts: before anything was read, and amid it.
pub(crate) async fn waits_for_faults_to_pass<W: World>() {
    let world = W::new().await;
    if !world.fail() {
        return;
    }
    let (mut life, mut sent) = (Life::first(&world), 0);
    for _ in 0..2 {
        world.fail();
        assert!(
            world
                .put(&life.opened, Lane::First, &records(sent..sent + 4))
                .await
        );
        let is_told = |life: &Life| {
            assert_eq!(life.given.len(), sent, "it cannot be read");
            life.health.stall().is_some()
        };
        life.until("the fault is told", is_told).await;
        world.mend();
        sent += 4;
        life.read(sent).await;
        let is_well = |life: &Life| life.health.stall().is_none();
        life.until("it is told to be well again", is_well).await;
    }
    life.end().await;
    assert_eq!(life.given, (0..sent).collect::<Vec<_>>());
    assert!(life.lost.is_empty(), "{:?}", life.lost);
}

/// The end of a shard comes once, behind its records; what follows it comes when the end is durable, and not before.
pub(crate) async fn ends_a_shard_before_its_children<W: Ending>() {
    const OTHERS: Range<usize> = RECORDS..RECORDS + 5;
    let world = W::new().await;
    assert!(world.widen(), "where shards end there are several");
    let mut life = Life::first(&world);
    assert!(world.put(&life.opened, Lane::First, &records(0..4)).await);
    world.end_shard();
    assert!(
        world
            .put(&life.opened, Lane::First, &records(4..RECORDS))
            .await
    );
    let has_ended = |life: &Life| !life.ended.is_empty();
    life.until("the end of the shard", has_ended).await;
    assert_eq!(life.given, [0, 1, 2, 3]);
    // The other shard is read again and again meanwhile.
    for (round, other) in OTHERS.enumerate() {
        assert!(
            world
                .put(&life.opened, Lane::Second, &records(other..other + 1))
                .await
        );
        life.read(4 + round + 1).await;
        assert_eq!(
            life.given[4..],
            (RECORDS..=other).collect::<Vec<_>>(),
            "the end is not durable yet"
        );
    }
    life.release();
    life.read(OTHERS.end).await;
    let first: Vec<_> = life
        .given
        .iter()
        .copied()
        .filter(|number| *number < RECORDS)
        .collect();
    assert_eq!(first, (0..RECORDS).collect::<Vec<_>>());
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
            reads_its_shards_side_by_side
            waits_for_faults_to_pass
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
