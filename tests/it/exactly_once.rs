//! The promise itself: a daemon that is killed again and again over one growing data set delivers
//! every acknowledged record exactly once, by the producer's ledger and a foreign reader.
//!
//! By hand: `FIREHOSE_KILLS=500 cargo test --test it exactly_once -- --nocapture` (kills a
//! campaign; `FIREHOSE_SEED` repeats the choices of one that failed).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::support::daemon::{Site, was_killed};
use crate::support::event::{ERROR_PREFIX, PREFIX, QUERY};
use crate::support::oracle::{self, Lake};
use crate::support::producer::{Load, Producer};

/// Rows of the life-of-a-record table where every process can be killed, and how often a process
/// passes there at least while records flow.
const EVERYWHERE: &[(&str, u32)] = &[
    ("apply", 5),
    ("checkpoint-after-commit", 5),
    ("checkpoint-before-commit", 5),
    ("journal-after-fsync", 20),
    ("journal-after-write", 20),
    ("journal-before-write", 20),
    ("journal-new-segment", 1),
    ("journal-release", 1),
    ("publish-before-put", 5),
    ("published-after-record", 3),
    ("published-before-record", 3),
    ("recovery-claimed", 1),
    ("recovery-start", 1),
    ("seal", 5),
    ("spool-after-fsync", 5),
    ("spool-after-write", 5),
    ("spool-before-write", 5),
];
const FOLDER_ONLY: &[(&str, u32)] = &[("publish-after-link", 5)];

#[test]
fn a_folder_holds_every_acknowledged_record_once_whatever_was_killed() {
    let site = Site::new(&format!(
        r#"
state_dir = "state"

[stream.clicks.source]
type = "direct-put"

[stream.clicks.partitioning]
query = '{QUERY}'

[stream.clicks.buffering]
size = "256KiB"
interval = "1s"

[stream.clicks.format]
type = "json"
compression = "gzip"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "{PREFIX}"
error_prefix = "{ERROR_PREFIX}"

[stream.clicks.backup]
prefix = "raw/"
"#
    ));
    let mut campaign = Campaign::new(&site, &[EVERYWHERE, FOLDER_ONLY], 34);
    let ledger = site.path("ledger");
    let load = Load {
        connections: 3,
        seed: campaign.seed,
        pause: Duration::from_millis(5),
        records: 60,
        pad: 400,
    };
    let producer = Producer::start(site.address, "clicks", load, &ledger);
    campaign.run();
    let daemon = site.start();
    producer.finish();
    daemon.drain();
    let summary = oracle::judge(&ledger, Lake::Folder(&site.path("lake")), Some("raw/"));
    let summary = summary.unwrap_or_else(|findings| panic!("seed {}: {findings}", campaign.seed));
    campaign.report(&summary);
}

/// A series of kills over one site.
struct Campaign<'a> {
    site: &'a Site,
    seed: u64,
    random: fastrand::Rng,
    plan: Vec<Kill>,
    hits: BTreeMap<&'static str, u32>,
    at_random: u32,
}

#[derive(Clone, Copy, Debug)]
enum Kill {
    /// At the n-th passing of a failpoint.
    Failpoint(&'static str, u32),
    /// By SIGKILL, some time after the start.
    After(Duration),
}

impl<'a> Campaign<'a> {
    /// Plans at least one kill at each failpoint, the others by lot, in random order.
    fn new(site: &'a Site, failpoints: &[&[(&'static str, u32)]], kills: usize) -> Self {
        let number = |name| {
            std::env::var(name)
                .ok()
                .map(|text| text.parse::<u64>().unwrap())
        };
        let seed = number("FIREHOSE_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
        let kills = number("FIREHOSE_KILLS").map_or(kills, |kills| usize::try_from(kills).unwrap());
        let mut random = fastrand::Rng::with_seed(seed);
        let failpoints = failpoints.concat();
        let mut plan: Vec<Kill> = Vec::new();
        for &(name, passes) in &failpoints {
            plan.push(Kill::Failpoint(name, random.u32(1..=passes)));
        }
        while plan.len() < kills {
            plan.push(if random.bool() {
                let (name, passes) = failpoints[random.usize(..failpoints.len())];
                Kill::Failpoint(name, random.u32(1..=passes))
            } else {
                Kill::After(Duration::from_millis(random.u64(0..4000)))
            });
        }
        random.shuffle(&mut plan);
        let hits = failpoints.iter().map(|(name, _)| (*name, 0)).collect();
        Self {
            site,
            seed,
            random,
            plan,
            hits,
            at_random: 0,
        }
    }

    fn run(&mut self) {
        for (number, kill) in std::mem::take(&mut self.plan).into_iter().enumerate() {
            match kill {
                Kill::Failpoint(name, count) => self.kill_at(name, count),
                Kill::After(time) => self.kill_after(time),
            }
            if self.random.u32(..10) == 0 {
                say(&format!("seed {}: {} kills", self.seed, number + 1));
            }
        }
    }

    fn kill_at(&mut self, name: &'static str, count: u32) {
        let log = self.site.path("kills");
        let at = format!("{name}:{count}");
        let mut daemon = self.site.spawn(&[
            ("FIREHOSE_KILL_AT", &at),
            ("FIREHOSE_KILL_LOG", log.to_str().unwrap()),
        ]);
        let begun = Instant::now();
        let status = daemon.wait();
        assert!(
            was_killed(status),
            "seed {}: {at}: the daemon ended by itself: {status}",
            self.seed
        );
        let killed_at = fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(killed_at.trim_end(), name, "seed {}: {at}", self.seed);
        fs::remove_file(&log).unwrap();
        *self.hits.get_mut(name).unwrap() += 1;
        let took = begun.elapsed();
        if took > Duration::from_secs(20) {
            say(&format!(
                "seed {}: {at} was passed only after {took:?}",
                self.seed
            ));
        }
    }

    fn kill_after(&mut self, time: Duration) {
        let mut daemon = self.site.spawn(&[]);
        let begun = Instant::now();
        if let Err(status) = daemon.until("it is time to kill", || begun.elapsed() >= time) {
            panic!("seed {}: the daemon ended by itself: {status}", self.seed);
        }
        daemon.kill();
        self.at_random += 1;
    }

    /// Prints hits per row of the life-of-a-record table; fails if one is zero.
    fn report(&self, summary: &serde_json::Value) {
        let mut text = format!(
            "seed {}: {} kills at random times",
            self.seed, self.at_random
        );
        for (name, hits) in &self.hits {
            text.push_str(&format!("\n{hits:6} {name}"));
        }
        say(&format!("{text}\n{summary}"));
        assert!(
            self.hits.values().all(|hits| *hits > 0),
            "a row was never hit"
        );
    }
}

/// Prints past the test harness, so that the figures are seen when the test passes too.
fn say(text: &str) {
    std::io::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .unwrap();
}
