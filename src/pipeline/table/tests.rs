//! When batches are due, and how old the oldest record is said to be, whatever the wall clock does.

use std::time::Duration;

use super::*;

const INTERVAL: Duration = Duration::from_secs(3);
const DAY_MS: i64 = 86_400_000;
/// Some day of 2026.
const NOW_MS: i64 = 1_796_000_000_000;

fn table() -> BatchTable {
    let buffering = BufferingSettings {
        size: 1 << 20,
        interval: INTERVAL,
    };
    BatchTable::new(Triggers {
        data: buffering,
        backup: buffering,
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
        },
        opened_ms,
        arrival_ms: opened_ms,
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
        while table.next_due(clock.moment()).is_some() {
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
