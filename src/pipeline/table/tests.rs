//! When batches are due, and how old the oldest record is said to be, whatever the wall clock does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::config::{Align, BufferingSettings};
use crate::partition::Zone;
use crate::pipeline::log::names::Names;
use crate::pipeline::windows::LaneWindows;

const INTERVAL: Duration = Duration::from_secs(3);
const DAY_MS: i64 = 86_400_000;
/// Some day of 2026.
const NOW_MS: i64 = 1_796_000_000_000;

fn table() -> BatchTable {
    table_of(
        BufferingSettings::new(1 << 20, INTERVAL),
        Names::OpenBatches,
    )
}

fn table_of(buffering: BufferingSettings, names: Names) -> BatchTable {
    BatchTable::new(triggers(buffering, names))
}

fn triggers(buffering: BufferingSettings, names: Names) -> Triggers {
    Triggers {
        data: buffering,
        backup: buffering,
        windows: LaneWindows::of(buffering, Some(buffering), &Zone::utc()),
        lateness: None,
        names,
    }
}

/// A table of a stream whose events may be late by so much.
fn table_with_watermark(lateness: Duration) -> BatchTable {
    let buffering = BufferingSettings::new(1 << 20, INTERVAL);
    BatchTable::new(Triggers {
        lateness: Some(lateness),
        ..triggers(buffering, Names::OpenBatches)
    })
}

fn row(opened_ms: i64, sealing: bool) -> OpenBatch {
    OpenBatch {
        id: Uuid::new_v4(),
        lane: Lane::Data,
        identity: Uuid::new_v4().to_string(),
        target: Target {
            store: "folder:lake".into(),
            key: "a".into(),
            format: 0,
            is_late: false,
        },
        opened_ms,
        arrival_ms: opened_ms,
        window: None,
        partition_ends: None,
        encoded_from: 0,
        records: 1,
        bytes: 1,
        sealing,
        blocks: Vec::new(),
        upload_id: None,
    }
}

/// How long it takes from now on until all are due.
fn all_due_after(table: &mut BatchTable, clock: &Clock, batches: usize) -> Duration {
    let (begin, mut due) = (clock.moment(), 0);
    loop {
        while let Some(id) = table.next_due(clock.moment()) {
            assert!(table.seal(id));
            due += 1;
        }
        if due == batches {
            return begin.until(clock.moment());
        }
        clock.advance(Duration::from_millis(100));
        assert!(
            begin.until(clock.moment()) <= 2 * INTERVAL,
            "{due} of {batches} are due"
        );
    }
}

#[test]
fn after_a_restart_nothing_waits_longer_than_its_interval_whatever_the_clock_says() {
    let ages_ms = [0, 1_000, 2_900, 3_000, DAY_MS];
    for step_ms in [0, -40_000, -DAY_MS, DAY_MS, -NOW_MS] {
        let clock = Clock::manual(NOW_MS);
        let rows: Vec<_> = ages_ms
            .iter()
            .map(|age_ms| row(NOW_MS - age_ms, false))
            .collect();
        clock.set(NOW_MS + step_ms);
        let mut table = table();
        table.reload(rows, &clock);
        let took = all_due_after(&mut table, &clock, ages_ms.len());
        assert!(took <= INTERVAL, "clock set by {step_ms} ms: {took:?}");
        if step_ms == 0 {
            assert_eq!(
                took, INTERVAL,
                "the youngest has all of its interval before it"
            );
        }
    }
}

#[test]
fn in_a_running_process_a_batch_is_due_by_the_time_that_has_passed() {
    for step_ms in [-40_000, -DAY_MS, DAY_MS] {
        let (clock, mut table) = (Clock::manual(NOW_MS), table());
        table.reload(vec![row(NOW_MS, false)], &clock);
        clock.advance(Duration::from_secs(1));
        clock.set(NOW_MS + step_ms);
        let took = all_due_after(&mut table, &clock, 1);
        assert_eq!(took, Duration::from_secs(2), "clock set by {step_ms} ms");
    }
}

#[test]
fn the_oldest_record_is_told_while_anything_waits_and_batches_being_sealed_count() {
    let (clock, mut table) = (Clock::manual(NOW_MS), table());
    let age = |table: &BatchTable| {
        table
            .waits_since()
            .map(|since| since.until(clock.moment()).as_secs())
    };
    assert_eq!(age(&table), None);
    let (old, young) = (row(NOW_MS - 9_000, false), row(NOW_MS - 1_000, false));
    let (old_id, young_id) = (old.id, young.id);
    table.reload(vec![young, old], &clock);
    assert_eq!(age(&table), Some(9));
    clock.set(0);
    assert_eq!(age(&table), Some(9));
    assert_eq!(table.next_due(clock.moment()), Some(old_id));
    table.seal(old_id);
    assert_eq!(age(&table), Some(9), "it is sealed, not published");
    table.remove(old_id);
    assert_eq!(age(&table), Some(1));
    table.remove(young_id);
    assert_eq!(age(&table), None);
    let clock = Clock::manual(NOW_MS - DAY_MS);
    table.reload(vec![row(NOW_MS, true)], &clock);
    clock.advance(Duration::from_secs(5));
    let since = table.waits_since().unwrap();
    assert_eq!(
        since.until(clock.moment()),
        Duration::from_secs(5),
        "since the restart"
    );
}

/// Opens a batch, as the first record of a partition does.
fn open(table: &mut BatchTable, clock: &Clock, identity: &str, arrival_ms: i64) -> Uuid {
    let row = OpenBatch {
        identity: identity.to_owned(),
        arrival_ms,
        window: table.triggers.windows.find(Lane::Data, arrival_ms),
        ..row(clock.now_ms(), false)
    };
    let id = row.id;
    table.reload(vec![row], clock);
    id
}

/// What is due by now, sealed.
fn seal_due(table: &mut BatchTable, clock: &Clock) -> BTreeSet<Uuid> {
    let mut sealed = BTreeSet::new();
    while let Some(id) = table.next_due(clock.moment()) {
        assert!(table.seal(id));
        sealed.insert(id);
    }
    sealed
}

#[test]
fn what_gets_nothing_more_is_closed_before_its_interval_and_what_does_at_its_interval() {
    let buffering = BufferingSettings {
        close_after: Some(Duration::from_secs(2)),
        ..BufferingSettings::new(1 << 20, Duration::from_secs(7))
    };
    for names in [Names::OpenBatches, Names::Objects] {
        let (clock, mut table) = (Clock::manual(NOW_MS), table_of(buffering, names));
        let busy = open(&mut table, &clock, "busy", NOW_MS);
        let quiet = open(&mut table, &clock, "quiet", NOW_MS);
        for second in 1..=7 {
            clock.advance(Duration::from_secs(1));
            let due = match (names, second) {
                // A checkpoint takes all or nothing: one partition that is silent closes not all others.
                (Names::OpenBatches, 2) => BTreeSet::from([quiet]),
                (Names::OpenBatches, 7) => BTreeSet::from([busy]),
                (Names::Objects, 7) => BTreeSet::from([busy, quiet]),
                _ => BTreeSet::new(),
            };
            assert_eq!(seal_due(&mut table, &clock), due, "{names:?}, {second} s");
            table.touch(busy, clock.moment());
        }
        let [one, other] = ["one", "other"].map(|of| open(&mut table, &clock, of, NOW_MS));
        clock.advance(Duration::from_secs(2));
        let due = seal_due(&mut table, &clock);
        assert_eq!(
            due,
            BTreeSet::from([one, other]),
            "{names:?}: all are silent"
        );
        assert_eq!(table.open_partitions(), 0);
    }
}

#[test]
fn what_is_due_is_named_until_it_is_sealed() {
    let (clock, mut table) = (Clock::manual(NOW_MS), table());
    let id = open(&mut table, &clock, "a", NOW_MS);
    clock.advance(INTERVAL);
    // A checkpoint that takes all that is open may have to wait for the one before.
    for _ in 0..3 {
        assert_eq!(table.next_due(clock.moment()), Some(id));
    }
    assert!(table.seal(id));
    assert_eq!(table.next_due(clock.moment()), None);
}

#[test]
fn partitions_of_two_windows_are_found_each_by_its_own_and_count_once() {
    let buffering = BufferingSettings {
        align: Align::Clock,
        ..BufferingSettings::new(1 << 20, INTERVAL)
    };
    let (clock, mut table) = (
        Clock::manual(NOW_MS),
        table_of(buffering, Names::OpenBatches),
    );
    let arrivals = [0, 3_000, -3_000].map(|by_ms| NOW_MS + by_ms);
    let ids = arrivals.map(|arrival_ms| open(&mut table, &clock, "a", arrival_ms));
    assert_eq!(table.open_partitions(), 1);
    for gone in 0..ids.len() {
        for (at, arrival_ms) in arrivals.into_iter().enumerate() {
            let window = table.triggers.windows.find(Lane::Data, arrival_ms);
            let found = table.find(Lane::Data, "a", window);
            assert_eq!(found, (at >= gone).then_some(ids[at]), "{at} after {gone}");
        }
        assert!(table.is_open("a"));
        assert!(table.seal(ids[gone]) && !table.seal(ids[gone]));
    }
    assert!(!table.is_open("a"));
    assert_eq!(table.open_partitions(), 0);
}

/// Opens a batch of a partition that ends then by the time of events.
fn open_until(table: &mut BatchTable, clock: &Clock, partition_ends: Option<i64>) -> Uuid {
    let row = OpenBatch {
        partition_ends,
        ..row(clock.now_ms(), false)
    };
    let id = row.id;
    table.reload(vec![row], clock);
    id
}

#[test]
fn a_batch_is_due_when_events_are_by_their_lateness_past_the_end_of_its_partition() {
    let (clock, mut table) = (
        Clock::manual(NOW_MS),
        table_with_watermark(Duration::from_mins(10)),
    );
    let hour = open_until(&mut table, &clock, Some(3600));
    let day = open_until(&mut table, &clock, Some(86_400));
    let late = open_until(&mut table, &clock, None);
    let due = |table: &mut BatchTable, event| {
        table.learn_event(Some(event));
        seal_due(table, &clock)
    };
    assert!(due(&mut table, 4199).is_empty());
    assert!(!table.is_over(3600));
    assert_eq!(due(&mut table, 4200), BTreeSet::from([hour]));
    assert!(table.is_over(3600) && !table.is_over(3601));
    // It never falls.
    assert!(due(&mut table, 0).is_empty());
    assert!(table.is_over(3600));
    assert_eq!(table.newest_event(), Some(4200));
    assert_eq!(due(&mut table, 1_000_000), BTreeSet::from([day]));
    assert!(!table.is_over(i64::MAX), "it has no end");
    clock.advance(INTERVAL);
    assert_eq!(seal_due(&mut table, &clock), BTreeSet::from([late]));
}

#[test]
fn partitions_end_by_events_after_a_restart_and_where_the_newest_is_known_at_once() {
    let clock = Clock::manual(NOW_MS);
    for known in [None, Some(4200)] {
        let mut table = table_with_watermark(Duration::from_mins(10));
        table.learn_event(known);
        let id = open_until(&mut table, &clock, Some(3600));
        let over = BTreeSet::from([id]);
        if known.is_none() {
            assert!(seal_due(&mut table, &clock).is_empty());
            table.learn_event(Some(5000));
        }
        assert_eq!(seal_due(&mut table, &clock), over);
    }
    // A stream that has no watermark any more.
    let mut table = table();
    table.learn_event(Some(5000));
    open_until(&mut table, &clock, Some(3600));
    assert!(seal_due(&mut table, &clock).is_empty());
    assert_eq!(table.newest_event(), None);
}

#[test]
fn a_part_of_a_second_of_lateness_counts_as_a_whole_one_and_silence_or_size_end_a_batch_before() {
    let mut table = table_with_watermark(Duration::from_millis(1500));
    table.learn_event(Some(101));
    assert!(table.is_over(99) && !table.is_over(100));
    let clock = Clock::manual(NOW_MS);
    let id = open_until(&mut table, &clock, Some(200));
    assert!(table.seal(id));
    table.learn_event(Some(1000));
    assert_eq!(table.next_due(clock.moment()), None, "it is sealed already");
    let id = open_until(&mut table, &clock, Some(2000));
    assert!(table.remove(id).is_some());
    table.learn_event(Some(10_000));
    assert_eq!(table.next_due(clock.moment()), None, "it is gone");
}

proptest! {
    /// Records come late or early, the clock is set, and processes restart.
    #[test]
    fn by_the_clock_no_batch_takes_of_two_windows_and_each_ends_when_a_window_has(
        every_ms in select(&[1_000, 60_000, 3_600_000][..]),
        steps in vec((0..90_000_u64, select(&[0, 0, 0, -100, -5_000, -7_200_000, 2_000][..]), select(&[0, 0, 0, 0, 0, -40_000, -DAY_MS, DAY_MS][..]), 0..20_u8), 1..60),
    ) {
        let buffering = BufferingSettings {
            align: Align::Clock,
            ..BufferingSettings::new(1 << 20, Duration::from_millis(every_ms))
        };
        let every = i64::try_from(every_ms).unwrap();
        let lag = (every / 60).min(5_000);
        let new = || table_of(buffering, Names::OpenBatches);
        let (clock, mut table) = (Clock::manual(NOW_MS), new());
        let mut was_set = false;
        // What has come to each batch, and since when it waits here.
        let mut held: BTreeMap<Uuid, (Vec<i64>, Moment)> = BTreeMap::new();
        for (pass_ms, late_ms, set_ms, restart) in steps {
            let pass_ms = pass_ms * every_ms / 60_000;
            for _ in 0..10 {
                clock.advance(Duration::from_millis(pass_ms / 10));
                for id in seal_due(&mut table, &clock) {
                    let (arrivals, since) = held.remove(&id).unwrap();
                    let starts: BTreeSet<_> = arrivals.iter().map(|at| at.div_euclid(every)).collect();
                    prop_assert_eq!(starts.len(), 1, "{:?}", arrivals);
                    let waited = since.until(clock.moment());
                    let most = Duration::from_millis(every_ms + every_ms / 60 + pass_ms / 10);
                    prop_assert!(waited <= most, "{waited:?}");
                    let ago = (clock.now_ms() - lag).rem_euclid(every);
                    prop_assert!(was_set || ago <= i64::try_from(pass_ms / 10).unwrap(), "{ago} ms ago");
                }
            }
            clock.set(clock.now_ms() + set_ms);
            // A source whose clock is ahead is the same as ours set back.
            was_set |= set_ms != 0 || late_ms > 0;
            if restart == 0 {
                let rows = table.entries().filter(|entry| !entry.sealing).map(|entry| OpenBatch {
                    id: entry.batch.id,
                    arrival_ms: entry.arrival_ms,
                    window: entry.window,
                    identity: entry.identity.to_string(),
                    ..row(entry.batch.opened_ms, false)
                });
                let rows = rows.collect();
                table = new();
                table.reload(rows, &clock);
                for (_, since) in held.values_mut() {
                    // By the wall clock it may be younger than it is.
                    *since = clock.moment();
                }
            }
            let arrival_ms = clock.now_ms() + late_ms;
            let window = table.triggers.windows.find(Lane::Data, arrival_ms);
            let id = table.find(Lane::Data, "a", window);
            let id = id.unwrap_or_else(|| open(&mut table, &clock, "a", arrival_ms));
            held.entry(id).or_insert_with(|| (Vec::new(), clock.moment())).0.push(arrival_ms);
        }
    }
}
