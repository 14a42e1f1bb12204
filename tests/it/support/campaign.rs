//! Kills a daemon again and again: at each row of the life-of-a-record table, and at random times.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::daemon::{Site, was_killed};

/// Failpoints, and how often a process passes each at least while records flow.
pub type Failpoints = &'static [(&'static str, u32)];

/// A series of kills over one site.
pub struct Campaign<'a> {
    site: &'a Site,
    /// What all choices follow.
    pub seed: u64,
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
    pub fn new(site: &'a Site, failpoints: &[Failpoints], kills: usize) -> Self {
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

    pub fn run(&mut self) {
        self.run_between(|_| {});
    }

    /// The same, with something done after each kill, while no daemon runs.
    pub fn run_between(&mut self, mut between: impl FnMut(usize)) {
        for (number, kill) in std::mem::take(&mut self.plan).into_iter().enumerate() {
            match kill {
                Kill::Failpoint(name, count) => self.kill_at(name, count),
                Kill::After(time) => self.kill_after(time),
            }
            between(number);
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
        let status = daemon.wait_for_failpoint();
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
    pub fn report(&self, summary: &serde_json::Value) {
        let (seed, at_random) = (self.seed, self.at_random);
        say(&format!("seed {seed}: {at_random} kills at random times"));
        for (name, hits) in &self.hits {
            say(&format!("{hits:6} {name}"));
        }
        say(&summary.to_string());
        assert!(
            self.hits.values().all(|hits| *hits > 0),
            "a row was never hit"
        );
    }
}

/// Prints past the test harness, so that the figures are seen when the test passes too.
pub fn say(text: &str) {
    std::io::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .unwrap();
}
