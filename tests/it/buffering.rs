//! What ends an object beside its size and its age: the clock, silence, and settings that have changed.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::daemon::{Daemon, Site};
use crate::support::http::{metric, post_records};
use crate::support::lake;

const DAY_MS: u128 = 86_400_000;

fn settings(buffering: &str) -> String {
    format!(
        r#"
[stream.clicks.source]
type = "direct-put"

[stream.clicks.buffering]
{buffering}

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/second=!{{timestamp:ss}}/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
"#
    )
}

fn put(site: &Site, record: &str) {
    let reply = post_records(site.address, "clicks", record.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn now_ms() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis()
}

/// Waits until a checkpoint has what was sent so far.
fn until_durable(site: &Site, daemon: &mut Daemon) {
    let checkpoints = "firehose_checkpoint_seconds_count{stream=\"clicks\"}";
    let before = metric(site.address, checkpoints);
    let is_durable = || metric(site.address, checkpoints) > before;
    daemon.until("a checkpoint has it", is_durable).unwrap();
}

/// Sets the daemon's clock to so long before midnight, or after it.
fn set_clock(site: &Site, to_midnight: Duration) -> String {
    let step = site.path("clock-step");
    let add = 2 * DAY_MS - now_ms() % DAY_MS - to_midnight.as_millis();
    fs::write(&step, add.to_string()).unwrap();
    step.to_str().unwrap().to_owned()
}

#[test]
fn by_the_clock_no_object_holds_what_arrived_in_two_intervals() {
    const INTERVAL_MS: u128 = 2_000;
    let site = Site::new(&settings("interval = \"2s\"\nalign = \"clock\""));
    let mut daemon = site.start();
    let lake = site.path("lake");
    // Each record arrived between these.
    let mut sent = BTreeMap::new();
    let has_some = || {
        let (number, before) = (sent.len(), now_ms());
        put(&site, &format!("{number}"));
        sent.insert(number, (before, now_ms()));
        lake::objects(&lake, "data").len() >= 4
    };
    daemon.until("there are some objects", has_some).unwrap();
    daemon.drain();
    let mut found = 0;
    for object in lake::objects(&lake, "data") {
        let text = fs::read_to_string(&object).unwrap();
        let arrivals: Vec<(u128, u128)> = text
            .lines()
            .map(|line| sent[&line.parse().unwrap()])
            .collect();
        let (first, last) = arrivals[0];
        let holds_all = |interval: &u128| {
            let mut arrivals = arrivals.iter();
            arrivals.all(|(before, after)| {
                before / INTERVAL_MS <= *interval && *interval <= after / INTERVAL_MS
            })
        };
        let interval = (first / INTERVAL_MS..=last / INTERVAL_MS).find(holds_all);
        let interval = interval.unwrap_or_else(|| panic!("{}: {arrivals:?}", object.display()));
        // The prefix says the second of the first arrival.
        let folder = object
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let second: u128 = folder.strip_prefix("second=").unwrap().parse().unwrap();
        assert_eq!(second / 2, interval % 30, "{}", object.display());
        found += arrivals.len();
    }
    assert_eq!(found, sent.len(), "each is there once");
}

#[test]
fn a_day_by_the_clock_ends_at_midnight_even_if_the_clock_is_set_back_before() {
    for set_back in [false, true] {
        let site = Site::new(&settings("interval = \"24h\"\nalign = \"clock\""));
        let step = set_clock(&site, Duration::from_secs(2));
        let mut daemon = site.spawn(&[("FIREHOSE_CLOCK_STEP", &step)]);
        daemon.ready().unwrap();
        put(&site, "1");
        until_durable(&site, &mut daemon);
        if set_back {
            let add: i128 = fs::read_to_string(&step).unwrap().parse().unwrap();
            fs::write(&step, (add - 86_400_000).to_string()).unwrap();
        }
        let is_delivered = || lake::lines(&site.path("lake"), "data") == [b"1"];
        daemon.until("it is delivered", is_delivered).unwrap();
        daemon.drain();
    }
}

#[test]
fn what_gets_nothing_more_is_delivered_before_its_interval_has_passed() {
    let site = Site::new(&settings("interval = \"24h\"\nclose_after = \"1s\""));
    let mut daemon = site.start();
    put(&site, "1");
    let is_delivered = || lake::lines(&site.path("lake"), "data") == [b"1"];
    daemon.until("it is delivered", is_delivered).unwrap();
    daemon.drain();
}

#[test]
fn a_batch_goes_on_after_a_restart_in_its_interval_and_ends_where_the_intervals_have_changed() {
    let aligned = settings("interval = \"24h\"\nalign = \"clock\"");
    let site = Site::new(&settings("interval = \"24h\""));
    let step = set_clock(&site, Duration::from_hours(12));
    let environment = [("FIREHOSE_CLOCK_STEP", &*step)];
    let lake = site.path("lake");
    let start = |text: &str| {
        site.configure(text);
        let mut daemon = site.spawn(&environment);
        daemon.ready().unwrap();
        daemon
    };
    let mut daemon = start(&settings("interval = \"24h\""));
    put(&site, "1");
    until_durable(&site, &mut daemon);
    daemon.kill();
    // It may hold what arrived on two days.
    let mut daemon = start(&aligned);
    let is_delivered = || lake::objects(&lake, "data").len() == 1;
    daemon.until("the first has ended", is_delivered).unwrap();
    put(&site, "2");
    until_durable(&site, &mut daemon);
    daemon.kill();
    let mut daemon = start(&aligned);
    put(&site, "3");
    until_durable(&site, &mut daemon);
    daemon.kill();
    let mut daemon = start(&aligned.replace("24h", "12h"));
    let is_delivered = || lake::objects(&lake, "data").len() == 2;
    daemon.until("the second has ended", is_delivered).unwrap();
    daemon.drain();
    let objects = lake::objects(&lake, "data").into_iter();
    let mut texts: Vec<String> = objects
        .map(|object| fs::read_to_string(object).unwrap())
        .collect();
    texts.sort();
    assert_eq!(texts, ["1\n", "2\n3\n"]);
}

#[test]
fn where_it_is_the_object_that_has_the_size_it_does_in_every_shape() {
    const SIZE: u64 = 64 << 10;
    for format in [
        "type = \"json\"\ncompression = \"gzip\"",
        "type = \"parquet\"\nschema = \"n bigint, text string\"",
        "type = \"csv\"\ncompression = \"gzip\"\nschema = \"n bigint, text string\"",
    ] {
        let buffering = format!("size = {SIZE}\nsize_of = \"object\"\ninterval = \"24h\"");
        let format = format!("{buffering}\n\n[stream.clicks.format]\n{format}");
        let site = Site::new(&settings(&format));
        let mut daemon = site.start();
        let mut random = fastrand::Rng::with_seed(7);
        let mut sent = 0;
        let lake = site.path("lake");
        let lens = || -> Vec<u64> {
            let objects = lake::objects(&lake, "data").into_iter();
            objects
                .map(|object| fs::metadata(object).unwrap().len())
                .collect()
        };
        let is_of_size = |len: &u64| *len * 3 >= SIZE * 2;
        let has_some = || {
            let body: String = (0..1_000).map(|_| record(&mut random)).collect();
            put(&site, &body);
            sent += body.len() as u64;
            lens().into_iter().filter(is_of_size).count() >= 4
        };
        daemon.until("objects have their size", has_some).unwrap();
        daemon.drain();
        let lens = lens();
        assert!(
            lens.iter().all(|len| *len * 2 <= SIZE * 3),
            "{format}: {lens:?}"
        );
        // What that says: an object holds far more of records.
        let all: u64 = lens.iter().sum();
        assert!(sent > 3 * all, "{format}: {sent} bytes became {all}");
    }
}

/// Some words of few, which compress to a fraction.
fn record(random: &mut fastrand::Rng) -> String {
    const WORDS: [&str; 8] = [
        "delivery",
        "stream",
        "partition",
        "checkpoint",
        "frontier",
        "journal",
        "spooling",
        "interval",
    ];
    let words = (0..20).map(|_| WORDS[random.usize(..WORDS.len())]);
    let text = words.collect::<Vec<_>>().join(" ");
    format!("{{\"n\":{},\"text\":\"{text}\"}}\n", random.u16(..))
}
