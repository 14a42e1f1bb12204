//! Where windows begin and end, whatever the zone does to its clock.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn windows(every_ms: i64, zone: &str) -> Windows {
    Windows {
        every_ms,
        zone: Zone::find(Some(zone)).unwrap(),
    }
}

fn at(text: &str) -> i64 {
    firehose_calendar::timestamp::from_text(text.as_bytes()).unwrap() / 1000
}

fn window(start: &str, end: &str) -> Window {
    Window {
        start_ms: at(start),
        end_ms: at(end),
    }
}

#[test]
fn windows_end_where_the_clock_of_the_zone_shows_multiples_of_the_interval() {
    for (hours, zone, time, start, end) in [
        (
            1,
            "UTC",
            "2026-11-22T10:59:59.999Z",
            "2026-11-22T10:00:00Z",
            "2026-11-22T11:00:00Z",
        ),
        (
            1,
            "UTC",
            "2026-11-22T11:00:00Z",
            "2026-11-22T11:00:00Z",
            "2026-11-22T12:00:00Z",
        ),
        (
            1,
            "Asia/Kathmandu",
            "2026-11-22T10:20:00Z",
            "2026-11-22T10:15:00Z",
            "2026-11-22T11:15:00Z",
        ),
        (
            6,
            "Europe/Berlin",
            "2026-07-01T10:00:00Z",
            "2026-07-01T10:00:00Z",
            "2026-07-01T16:00:00Z",
        ),
        (
            24,
            "Asia/Tokyo",
            "2026-11-22T10:00:00Z",
            "2026-11-21T15:00:00Z",
            "2026-11-22T15:00:00Z",
        ),
        // 7 hours do not divide a day: the fourth window ends at midnight.
        (
            7,
            "UTC",
            "2026-11-22T22:00:00Z",
            "2026-11-22T21:00:00Z",
            "2026-11-23T00:00:00Z",
        ),
        // Berlin's clock goes from 2 to 3, and from 3 back to 2.
        (
            6,
            "Europe/Berlin",
            "2026-03-29T00:30:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T01:00:00Z",
        ),
        (
            6,
            "Europe/Berlin",
            "2026-03-29T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T04:00:00Z",
        ),
        (
            1,
            "Europe/Berlin",
            "2026-10-25T00:59:59Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
        ),
        (
            1,
            "Europe/Berlin",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z",
        ),
        (
            6,
            "Europe/Berlin",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T05:00:00Z",
        ),
        // Lord Howe's clock moves by half an hour.
        (
            1,
            "Australia/Lord_Howe",
            "2026-04-04T14:45:00Z",
            "2026-04-04T14:00:00Z",
            "2026-04-04T15:00:00Z",
        ),
        (
            1,
            "Australia/Lord_Howe",
            "2026-04-04T15:15:00Z",
            "2026-04-04T15:00:00Z",
            "2026-04-04T15:30:00Z",
        ),
    ] {
        let found = windows(hours * HOUR_MS, zone).find(at(time));
        assert_eq!(
            found,
            window(start, end),
            "{time} in {zone}, every {hours} h"
        );
    }
}

#[test]
fn a_batch_waits_for_its_window_to_end_or_for_that_in_which_it_is_read() {
    let hourly = windows(HOUR_MS, "UTC");
    let ten = window("2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z");
    for (opened, wanted) in [
        ("2026-11-22T10:00:00Z", "2026-11-22T11:00:05Z"),
        ("2026-11-22T10:59:59Z", "2026-11-22T11:00:05Z"),
        // It had arrived just before.
        ("2026-11-22T11:00:04.999Z", "2026-11-22T11:00:05Z"),
        // It had long been waiting.
        ("2026-11-22T11:00:05Z", "2026-11-22T12:00:05Z"),
        ("2026-11-24T08:30:00Z", "2026-11-24T09:00:05Z"),
        // The clock of the source is ahead of ours.
        ("2026-11-22T09:59:58Z", "2026-11-22T11:00:03Z"),
        // Ours was set back.
        ("2026-11-21T10:30:00Z", "2026-11-21T11:30:05Z"),
    ] {
        let waited = i64::try_from(hourly.wait(at(opened), ten).as_millis()).unwrap();
        assert_eq!(at(opened) + waited, at(wanted), "opened at {opened}");
    }
}

proptest! {
    #[test]
    fn every_time_has_one_window_which_is_no_longer_than_the_interval_and_ends_at_a_multiple(
        zone in select(&["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Beirut", "America/Havana", "Pacific/Apia", "Africa/Monrovia"][..]),
        every_ms in prop_oneof![select(&[1_000, 60_000, 300_000, 900_000, HOUR_MS, 6 * HOUR_MS, DAY_MS][..]), 1_000..=DAY_MS],
        at_ms in prop_oneof![0_i64..2_000_000_000_000, any::<i64>()],
        opened_by_ms in -2 * DAY_MS..2 * DAY_MS,
    ) {
        let windows = windows(every_ms, zone);
        let found = windows.find(at_ms);
        let Window { start_ms, end_ms } = found;
        prop_assert!(start_ms < end_ms && end_ms - start_ms <= every_ms, "{found:?}");
        if TIMES_MS.contains(&at_ms) {
            prop_assert!(found.holds(at_ms), "{found:?}");
        }
        for inside in [start_ms, start_ms + (end_ms - start_ms) / 2, end_ms - 1] {
            prop_assert_eq!(windows.find(inside), found, "{}", inside);
        }
        // Where nothing is set between, its edges are multiples.
        let offset = |at_ms: i64| windows.zone.offset_seconds(at_ms.div_euclid(1000)) * 1000;
        let shift_ms = offset(end_ms - 1);
        let of_day = (end_ms + shift_ms).rem_euclid(DAY_MS);
        prop_assert!(of_day % every_ms == 0 || offset(end_ms) != shift_ms, "{found:?}");

        let opened_ms = end_ms.saturating_add(opened_by_ms);
        let waited = i64::try_from(windows.wait(opened_ms, found).as_millis()).unwrap();
        let lag_ms = (every_ms / LAG_PART).min(LAG_MAX_MS);
        prop_assert!(waited <= every_ms + lag_ms);
        let ends_ms = opened_ms + waited - lag_ms;
        if (0..2_000_000_000_000).contains(&opened_ms) && waited < every_ms + lag_ms {
            prop_assert!(waited > 0);
            prop_assert_eq!(windows.find(ends_ms).start_ms, ends_ms, "it ends where a window does");
        }
    }
}
