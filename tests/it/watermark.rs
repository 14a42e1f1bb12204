//! Partitions that are sealed when the time of events has passed them, and what comes after that.

use std::collections::BTreeMap;

use crate::support::daemon::{Daemon, Site, was_killed};
use crate::support::http::{metric, post_records};
use crate::support::lake;

const READ: &str = "firehose_read_records_total{stream=\"clicks\"}";
const WATERMARK: &str = "firehose_watermark_timestamp_seconds{stream=\"clicks\"}";
const LATE: &str = "firehose_late_records_total{stream=\"clicks\"}";

fn settings(late_prefix: &str) -> String {
    format!(
        r#"
[stream.clicks.source]
type = "direct-put"

[stream.clicks.partitioning]
event_time = '.ts'

[stream.clicks.buffering]
interval = "24h"
watermark = "10m"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/!{{eventTime:yyyy-DDD'T'HH}}/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
{late_prefix}
"#
    )
}

const LATE_PREFIX: &str = "late_prefix = \"late/!{eventTime:HH}/\"";

/// A record of this number whose event was so many minutes after the 1st of January 2020.
fn record(number: u32, minute: u32) -> String {
    let second = 1_577_836_800 + u64::from(minute) * 60;
    format!("{{\"n\":{number},\"ts\":{second}}}")
}

/// How many records were late.
fn late(site: &Site) -> u64 {
    let found = metric(site.address, LATE).to_string();
    found.parse().unwrap()
}

/// Puts records one after the other, each when those before it are applied.
struct Puts<'s> {
    site: &'s Site,
    read: f64,
}

impl Puts<'_> {
    fn put(&mut self, daemon: &mut Daemon, record: &str) {
        let reply = post_records(self.site.address, "clicks", record.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.read += 1.0;
        let is_applied = || metric(self.site.address, READ) >= self.read;
        daemon.until("it is applied", is_applied).unwrap();
    }
}

/// Waits until a checkpoint has what was applied so far.
fn until_durable(site: &Site, daemon: &mut Daemon) {
    let checkpoints = "firehose_checkpoint_seconds_count{stream=\"clicks\"}";
    let before = metric(site.address, checkpoints);
    let is_durable = || metric(site.address, checkpoints) > before;
    daemon.until("a checkpoint has it", is_durable).unwrap();
}

/// The numbers of the records of each object below a prefix.
fn numbers(site: &Site, prefix: &str) -> Vec<Vec<u64>> {
    let objects = lake::objects(&site.path("lake"), prefix).into_iter();
    let mut objects: Vec<Vec<u64>> = objects
        .map(|object| {
            let text = std::fs::read_to_string(object).unwrap();
            let lines = text.lines().map(|line| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                record["n"].as_u64().unwrap()
            });
            lines.collect()
        })
        .collect();
    objects.sort();
    objects
}

#[test]
fn an_hour_is_sealed_when_events_have_passed_it_and_what_is_late_lies_elsewhere() {
    let site = Site::new(&settings(LATE_PREFIX));
    let mut daemon = site.start();
    let mut puts = Puts {
        site: &site,
        read: 0.0,
    };
    for (number, minute) in [(1, 600), (2, 659), (3, 669)] {
        puts.put(&mut daemon, &record(number, minute));
    }
    // An hour ahead of all clocks, which is no reason to seal.
    puts.put(&mut daemon, "{\"n\":4,\"ts\":\"2999-01-01T00:00:00Z\"}");
    puts.put(&mut daemon, &record(5, 600));
    assert_eq!(late(&site), 0);
    puts.put(&mut daemon, &record(6, 670));
    let is_delivered = || numbers(&site, "data/2020-001T10") == [[1, 2, 5]];
    daemon.until("ten o'clock is sealed", is_delivered).unwrap();
    // Eleven o'clock, by what came ten minutes later.
    let is_told = || (metric(site.address, WATERMARK) - 1_577_876_400.0).abs() < 1.0;
    daemon.until("how far it is, is said", is_told).unwrap();
    puts.put(&mut daemon, &record(7, 630));
    assert_eq!(late(&site), 1);
    until_durable(&site, &mut daemon);
    daemon.kill();

    // What has passed is not forgotten, and the batch that was open knows its end.
    let mut daemon = site.start();
    puts.read = 0.0;
    puts.put(&mut daemon, &record(8, 631));
    // The last checkpoint may have been begun before the late record was applied, which is read again then.
    assert!((1..=2).contains(&late(&site)), "of this process");
    assert_eq!(numbers(&site, "data/2020-001T11"), [[0; 0]; 0]);
    puts.put(&mut daemon, &record(9, 750));
    let is_delivered = || numbers(&site, "data/2020-001T11") == [[3, 6]];
    daemon.until("eleven is sealed", is_delivered).unwrap();
    assert_eq!(
        numbers(&site, "late"),
        [[0; 0]; 0],
        "it waits for its interval"
    );
    daemon.drain();
    assert_eq!(numbers(&site, "late/10"), [[7, 8]]);
    assert_eq!(numbers(&site, "data/2020-001T12"), [[9]]);
    assert_eq!(numbers(&site, "data/2999-001T00"), [[4]]);
    let mut all = [numbers(&site, "data"), numbers(&site, "late")]
        .concat()
        .concat();
    all.sort_unstable();
    assert_eq!(all, (1..=9).collect::<Vec<u64>>(), "each is there once");
}

#[test]
fn without_a_prefix_of_its_own_what_is_late_is_one_more_object_of_its_partition() {
    let site = Site::new(&settings(""));
    let mut daemon = site.start();
    let mut puts = Puts {
        site: &site,
        read: 0.0,
    };
    puts.put(&mut daemon, &record(1, 600));
    puts.put(&mut daemon, &record(2, 700));
    for (number, minute) in [(3, 601), (4, 650), (5, 602)] {
        puts.put(&mut daemon, &record(number, minute));
    }
    assert_eq!(late(&site), 3);
    daemon.drain();
    assert_eq!(numbers(&site, "data/2020-001T10"), [vec![1], vec![3, 4, 5]]);
    assert_eq!(numbers(&site, "data/2020-001T11"), [[2]]);
}

/// A key of the late prefix alone is none of the partition's, and what is late is of several partitions.
#[test]
fn records_stand_in_the_order_of_their_acceptance_in_time_and_late() {
    let late_prefix = "late_prefix = \"late/!{partitionKeyFromQuery:id}/\"";
    let with_key = settings(late_prefix).replace("event_time", "query = '{id}'\nevent_time");
    let site = Site::new(&with_key);
    let mut daemon = site.start();
    let mut puts = Puts {
        site: &site,
        read: 0.0,
    };
    let put_all = |records: &[(u32, u32, char)]| {
        let lines = records.iter().map(|(number, minute, id)| {
            let plain = record(*number, *minute);
            format!("{},\"id\":\"{id}\"}}\n", plain.trim_end_matches('}'))
        });
        let lines: String = lines.collect();
        let reply = post_records(site.address, "clicks", lines.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    put_all(&[(1, 600, 'a'), (2, 601, 'b'), (3, 602, 'a'), (4, 603, 'b')]);
    puts.read = 4.0;
    puts.put(
        &mut daemon,
        "{\"n\":5,\"ts\":\"2020-01-01T15:00:00Z\",\"id\":\"a\"}",
    );
    put_all(&[(6, 480, 'a'), (7, 540, 'a'), (8, 480, 'b'), (9, 480, 'a')]);
    daemon.drain();
    assert_eq!(numbers(&site, "data/2020-001T10"), [[1, 2, 3, 4]]);
    assert_eq!(numbers(&site, "late/a"), [[6, 7, 9]]);
    assert_eq!(numbers(&site, "late/b"), [[8]]);
}

/// Event times rise and fall back, and the daemon is killed wherever a batch is on its way.
#[test]
fn whatever_is_killed_each_acknowledged_record_is_in_its_hour_or_late_and_once() {
    let site = Site::new(&settings(LATE_PREFIX));
    // The minute of each record, and whether it was acknowledged.
    let mut sent: BTreeMap<u64, (u32, bool)> = BTreeMap::new();
    let mut number = 0;
    for kill in [
        "apply:7",
        "seal:1",
        "checkpoint-before-commit:3",
        "checkpoint-after-commit:2",
        "publish-before-put:1",
        "publish-after-put:1",
        "published-before-record:1",
        "apply:3",
        "seal:2",
    ] {
        let log = site.path("kills");
        let log = ("FIREHOSE_KILL_LOG", log.to_str().unwrap());
        let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", kill), log]);
        if daemon.ready().is_ok() {
            loop {
                number += 1;
                // Every fifth is of more than an hour before.
                let minute = 100 + 4 * number - if number % 5 == 0 { 75 } else { 0 };
                let put = post_records(site.address, "clicks", record(number, minute).as_bytes());
                let is_taken = put.is_ok_and(|reply| reply.status == 200);
                sent.insert(number.into(), (minute, is_taken));
                if !is_taken {
                    break;
                }
            }
        }
        assert!(was_killed(daemon.wait_for_failpoint()), "{kill}");
    }
    site.start().drain();
    let mut found: BTreeMap<u64, usize> = BTreeMap::new();
    let mut late_ones = 0;
    let mut places: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (number, (minute, _)) in &sent {
        let (day, hour) = (1 + minute / 1440, minute / 60 % 24);
        places
            .entry(format!("data/2020-{day:03}T{hour:02}"))
            .or_default()
            .push(*number);
        places
            .entry(format!("late/{hour:02}"))
            .or_default()
            .push(*number);
    }
    for (place, belong) in places {
        for one in numbers(&site, &place).concat() {
            assert!(belong.contains(&one), "{one} is in {place}");
            *found.entry(one).or_default() += 1;
            late_ones += usize::from(place.starts_with("late/"));
        }
    }
    assert_eq!(numbers(&site, "errors"), [[0; 0]; 0]);
    for (number, (_, is_taken)) in &sent {
        let times = found.remove(number).unwrap_or(0);
        assert!(
            times == 1 || (times == 0 && !is_taken),
            "{number}: {times} times"
        );
    }
    assert!(found.is_empty(), "{found:?}");
    assert!(late_ones > 0, "nothing was late");
}
