//! A calm stream beside one whose queries take all they may. How long the calm one takes is held against
//! the same without it, and against the same beside processes that take as many cores: what the cores
//! cost everybody is no fault of a queue's, what it costs beyond is.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::queries::stream;
use crate::support::campaign::say;
use crate::support::daemon::{PATIENCE, Site, wait_until};
use crate::support::http::{Connection, metric, post_records};

/// Records that the calm stream gets in each phase, one after the other…
const CALM: usize = 300;
/// …and how long its producer rests between two.
const PAUSE: Duration = Duration::from_millis(3);
/// How often it is looked for what has become visible.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Rounds of which one has to be within the bound: what else the machine does comes and goes.
const ROUNDS: usize = 3;
/// By how much the calm stream may be slower beside the attack.
const BOUND: u32 = 2;
/// A query that reads far ahead behind each match.
const SLOW_QUERY: &str = r#"if .s then [.s|scan("[0-9]+(?:.*ms)?")]|length|tostring else "x" end"#;
/// Bytes of a record on which it burns all that it may, how many of them are in a request, and how many requests
/// are sent for each core: more than are worked through meanwhile.
const SLOW_BYTES: usize = 100_000;
const SLOW_RECORDS: usize = 2;
const SLOW_REQUESTS: usize = 15;

/// How long the calm stream takes.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// From a request to its answer, for all but one of a hundred.
    acknowledged: Duration,
    /// From the answer to the object, whose interval is none: for one half, and for all but one of a hundred.
    visible: [Duration; 2],
}

impl Pace {
    /// The worse of the two.
    fn or(self, other: Self) -> Self {
        let [half, most] = self.visible;
        let [other_half, other_most] = other.visible;
        Self {
            acknowledged: self.acknowledged.max(other.acknowledged),
            visible: [half.max(other_half), most.max(other_most)],
        }
    }

    fn is_within(self, bound: Self) -> bool {
        let mut visible = self.visible.iter().zip(bound.visible);
        self.acknowledged <= bound.acknowledged * BOUND
            && visible.all(|(took, bound)| *took <= bound * BOUND)
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (acknowledged, [half, most]) = (self.acknowledged, self.visible);
        write!(formatter, "{acknowledged:.0?}, {half:.0?} and {most:.0?}")
    }
}

/// What so many of a hundred do not take longer than.
fn percentile(mut times: Vec<Duration>, of_hundred: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * of_hundred / 100]
}

/// Sends the calm stream its records under the key `phase`, and waits until all of them are visible.
fn phase(site: &Site, phase: &str) -> Pace {
    let lake = site.path("calm-lake/data").join(phase);
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| watch(&lake));
        let mut connection = Connection::open(site.address).unwrap();
        let (mut took, mut answered) = (Vec::new(), Vec::new());
        for number in 0..CALM {
            let record = format!("{{\"k\":\"{phase}\",\"n\":{number}}}\n");
            let begun = Instant::now();
            let reply = connection.request("POST", "/streams/calm/records", &[], record.as_bytes());
            let reply = reply.unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
            took.push(begun.elapsed());
            answered.push(Instant::now());
            std::thread::sleep(PAUSE);
        }
        let seen = seen.join().unwrap();
        let visible = answered.iter().zip(seen);
        let visible = visible.map(|(answered, seen)| seen.saturating_duration_since(*answered));
        let visible: Vec<Duration> = visible.collect();
        Pace {
            acknowledged: percentile(took, 99),
            visible: [50, 99].map(|part| percentile(visible.clone(), part)),
        }
    })
}

/// When each of the records was first seen in an object below `lake`.
fn watch(lake: &Path) -> Vec<Instant> {
    let begun = Instant::now();
    let (mut known, mut seen) = (HashSet::new(), vec![None; CALM]);
    while seen.contains(&None) {
        assert!(
            begun.elapsed() < PATIENCE,
            "still waiting for the calm stream"
        );
        for object in fs::read_dir(lake).into_iter().flatten() {
            let object = object.unwrap();
            if !known.insert(object.file_name()) {
                continue;
            }
            let now = Some(Instant::now());
            for line in fs::read_to_string(object.path()).unwrap().lines() {
                let record: Value = serde_json::from_str(line).unwrap();
                let number = usize::try_from(record["n"].as_u64().unwrap()).unwrap();
                seen[number] = now;
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
    seen.into_iter().map(Option::unwrap).collect()
}

/// A process that does nothing but take a core.
struct Burner(Child);

impl Burner {
    fn start() -> Self {
        let mut command = Command::new("sh");
        Self(command.args(["-c", "while :; do :; done"]).spawn().unwrap())
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The calm stream alone, beside processes that take the cores, and beside the attack.
fn round(number: usize) -> [Pace; 3] {
    let slow = stream("slow", SLOW_QUERY, "0s");
    let calm = stream("calm", ".k|ascii_downcase", "0s");
    let site = Site::new(&[slow, calm].concat());
    let daemon = site.start();
    let quiet = phase(&site, "quiet");

    // As many as the attack has threads.
    let cores = available_parallelism().unwrap().get();
    let burners: Vec<Burner> = (0..cores).map(|_| Burner::start()).collect();
    let control = phase(&site, "control");
    drop(burners);

    let record = format!("{{\"s\":\"{}\"}}\n", "1 ".repeat(SLOW_BYTES / 2));
    let body = record.repeat(SLOW_RECORDS);
    let requests = cores * SLOW_REQUESTS;
    for _ in 0..requests {
        let reply = post_records(site.address, "slow", body.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let before = daemon.cpu_seconds();
    let begun = Instant::now();
    let attack = phase(&site, "attack");
    let taken = (daemon.cpu_seconds() - before) / begun.elapsed().as_secs_f64();
    let read = || metric(site.address, "firehose_read_records_total{stream=\"slow\"}");
    let sent = f64::from(u32::try_from(requests * SLOW_RECORDS).unwrap());
    assert!(read() < sent, "the attack was over before the calm stream");
    say(&format!(
        "fairness, round {number}: p99 of acknowledgement, median and p99 of freshness {quiet} alone, {control} beside \
         {cores} busy processes, {attack} beside queries that take {taken:.1} cores"
    ));
    if number == 0 {
        // It is not starved either.
        wait_until("the slow stream has got on", || read() > 0.0);
    }
    daemon.kill();
    [quiet, control, attack]
}

#[test]
fn a_stream_whose_queries_are_slow_does_not_delay_another() {
    let mut rounds = (0..ROUNDS).map(round);
    let is_fair = rounds.any(|[quiet, control, attack]| attack.is_within(quiet.or(control)));
    assert!(
        is_fair,
        "in none of {ROUNDS} rounds was the calm stream within {BOUND} times of what it takes without the \
         slow one"
    );
}
