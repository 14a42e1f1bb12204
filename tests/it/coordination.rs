//! One Kinesis stream shared by three daemons: killed in turn, standing still for longer than their
//! leases last, while foreign producers write, shards are split and merged, and requests to everything
//! fail. The judge is the same as for one daemon.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::catalog::{places_of, told};
use crate::kinesis::{deliver_until, settings};
use crate::support::campaign::{Failpoints, say};
use crate::support::daemon::{Daemon, Site, wait_until, was_killed};
use crate::support::dynamodb::{Dynalite, LeaseTable};
use crate::support::http::{self, metric};
use crate::support::kinesis::{Kinesalite, Stream};
use crate::support::kinesis_local::KinesisLocal;
use crate::support::moto::{GlueDatabase, Moto};
use crate::support::oracle;
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::{Bucket, Weed};

/// Rows of the life-of-a-record table that a shard's pipeline passes where its stream is shared, and
/// how often at least while records flow.
pub const FAILPOINTS: Failpoints = &[
    ("shared-committed", 3),
    ("shared-prepared", 3),
    ("shared-body-written", 3),
    ("publish-after-put", 3),
    ("published-before-record", 3),
    ("published-after-record", 3),
];

/// What network and services do to a hundred requests.
const STORE_FAULTS: &[(Fault, usize)] = &[
    (Fault::InternalError, 2),
    (Fault::SlowDown, 3),
    (Fault::ResetBefore, 2),
    (Fault::ResetAfter, 4),
];
const STREAM_FAULTS: &[(Fault, usize)] = &[
    (Fault::Throttled, 3),
    (Fault::ResetBefore, 2),
    (Fault::ResetAfter, 2),
    (Fault::ExpiredIterator, 1),
];
const TABLE_FAULTS: &[(Fault, usize)] = &[
    (Fault::Throttled, 3),
    (Fault::InternalError, 2),
    (Fault::ResetBefore, 2),
    (Fault::ResetAfter, 6),
];

const CATALOG_FAULTS: &[(Fault, usize)] = &[
    (Fault::InternalError, 10),
    (Fault::ResetBefore, 5),
    (Fault::ResetAfter, 10),
];

/// Machines that share a stream; each has a state folder of its own.
struct Fleet {
    settings: String,
    sites: Vec<Site>,
    running: Vec<Option<Daemon>>,
    stream: Stream,
    table: LeaseTable,
    bucket: Bucket,
    /// Where a catalog has its table, if one is told.
    database: Option<GlueDatabase>,
    /// To the bucket, to the table, and to stream and catalog where they have one.
    proxies: Vec<Proxy>,
}

impl Fleet {
    fn new(machines: usize, shards: u32, seed: u64, server: &Kinesalite) -> Self {
        let stream = server.stream(shards);
        let to_stream = Proxy::start(server.address(), seed, STREAM_FAULTS);
        let source = stream.table(&to_stream.endpoint());
        let mut fleet = Self::of(machines, stream, &source, seed);
        fleet.proxies.push(to_stream);
        fleet
    }

    /// Machines that share a stream which the lines of `source` name.
    fn of(machines: usize, stream: Stream, source: &str, seed: u64) -> Self {
        let (table, bucket) = (Dynalite::shared().table(), Weed::shared().bucket());
        let to_store = Proxy::start(Weed::shared().address(), seed, STORE_FAULTS);
        let to_table = Proxy::start(Dynalite::shared().address(), seed, TABLE_FAULTS);
        let leases = table.lines(&to_table.endpoint());
        let source = format!("{source}\n{leases}\nfailover = \"3s\"");
        let settings = settings(&source, &bucket.table(&to_store.endpoint()));
        let sites = (0..machines).map(|_| Site::new(&settings)).collect();
        Self {
            settings,
            sites,
            running: (0..machines).map(|_| None).collect(),
            stream,
            table,
            bucket,
            database: None,
            proxies: vec![to_store, to_table],
        }
    }

    /// The same with a catalog that is told where objects lie.
    fn telling_a_catalog(mut self, seed: u64) -> Self {
        let database = Moto::shared().database();
        let location = format!("s3://{}/data/", self.bucket.name);
        database.create("clicks", &location, &["event_type", "region"]);
        let to_catalog = Proxy::start(Moto::shared().address(), seed, CATALOG_FAULTS);
        let lines = database.lines("clicks", &to_catalog.endpoint());
        let settings = format!("{}\n[stream.clicks.catalog]\n{lines}\n", self.settings);
        for site in &self.sites {
            site.configure(&settings);
        }
        self.proxies.push(to_catalog);
        self.database = Some(database);
        self
    }

    /// What the catalog is still to be told, if there is one. Of a daemon that runs it is asked, too.
    fn untold(&self) -> Result<(), String> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        let is_data = |key: &str| key.starts_with("data/");
        let (places, told) = (places_of(&self.bucket, is_data), told(database));
        let mut untold = places.iter().filter(|place| !told.contains_key(*place));
        if let Some(place) = untold.next() {
            return Err(format!("the catalog:\nuntold: {place}"));
        }
        assert_eq!(told.len(), places.len(), "{told:#?}");
        let items = self.table.items();
        let waits = |item: &Value| {
            item["checkpoint"] == "SHARD_END" && item["firehoseWaiting"].as_u64() > Some(0)
        };
        let account = http::get(self.sites[0].address, "/streams/clicks").map(|reply| reply.text());
        let account = account.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
        let waiting = account["catalog"]["waiting"].as_u64().unwrap_or(0);
        if waiting > 0 || items.as_object().unwrap().values().any(waits) {
            return Err(format!("the catalog:\nuntold: {waiting} here, {items}"));
        }
        Ok(())
    }

    /// From now on every request passes.
    fn calm(&self) {
        self.proxies.iter().for_each(Proxy::calm);
    }

    fn start(&mut self, machine: usize) {
        self.running[machine] = Some(self.sites[machine].spawn(&[]));
    }

    /// Waits until a machine holds leases.
    fn until_it_holds(&mut self, machine: usize) {
        let site = &self.sites[machine];
        let daemon = self.running[machine].as_mut().unwrap();
        daemon.alive();
        let holds = || leases(site) > 0.0;
        daemon.until("it holds a lease", holds).unwrap();
    }

    /// SIGKILL, while it holds leases.
    fn kill(&mut self, machine: usize) {
        self.until_it_holds(machine);
        self.running[machine].take().unwrap().kill();
    }

    /// Starts a machine that dies at a failpoint, and waits for that.
    fn kill_at(&self, machine: usize, at: &str) {
        let mut daemon = self.sites[machine].spawn(&[("FIREHOSE_KILL_AT", at)]);
        let status = daemon.wait_for_failpoint();
        assert!(was_killed(status), "{at}: it ended by itself: {status}");
    }

    /// Has a machine stand still until the others have taken all that it held, and go on then.
    fn freeze(&mut self, machine: usize) {
        self.until_it_holds(machine);
        let owner = self.owner_at(machine);
        self.running[machine].as_ref().unwrap().signal(Signal::STOP);
        let table = &self.table;
        wait_until("others have taken its leases", || {
            !owners(table).contains(&owner)
        });
        self.running[machine].as_ref().unwrap().signal(Signal::CONT);
    }

    /// What a machine is called in the table: the log says it.
    fn owner_at(&self, machine: usize) -> String {
        let log = fs::read_to_string(self.sites[machine].log()).unwrap();
        let line = log
            .lines()
            .rfind(|line| line.contains("sharing the stream"));
        let line: Value = serde_json::from_str(line.unwrap()).unwrap();
        line["worker"].as_str().unwrap().to_owned()
    }

    /// All but the first leave in order; the first delivers what is left.
    fn finish(mut self) -> serde_json::Value {
        self.calm();
        for machine in 1..self.sites.len() {
            self.running[machine].take().unwrap().drain();
        }
        let daemon = self.running[0].take().unwrap();
        let ledger = self.sites[0].path("ledger");
        let judge = || {
            let summary = oracle::judge(&ledger, self.bucket.lake(), Some("raw/"))?;
            self.untold().map(|()| summary)
        };
        let passing = ["lost: ", "backup differs: ", "untold: "];
        let summary = deliver_until(daemon, &passing, judge);
        let items = self.table.items();
        for (shard, item) in items.as_object().unwrap() {
            assert_eq!(item["firehoseWaiting"], "0", "{shard}: {items}");
            // Who has died between the last checkpoint of an ended shard and letting go, stands there
            // until the item goes.
            let is_free = item.get("leaseOwner").is_none();
            assert!(
                is_free || item["checkpoint"] == "SHARD_END",
                "{shard}: {items}"
            );
        }
        summary
    }
}

fn leases(site: &Site) -> f64 {
    metric(site.address, "firehose_leases{stream=\"clicks\"}")
}

fn owners(table: &LeaseTable) -> Vec<String> {
    let items = table.items();
    let items = items.as_object().unwrap().values();
    // Nobody takes what is done: its lease keeps its owner for as long as it is there.
    let is_done = |item: &&Value| {
        let waiting = item["firehoseWaiting"].as_u64().unwrap_or(0);
        item["checkpoint"] == "SHARD_END" && waiting == 0
    };
    let owners = items.filter(|item| !is_done(item));
    let owners = owners.filter_map(|item| item["leaseOwner"].as_str());
    owners.map(str::to_owned).collect()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn three_daemons_that_are_killed_in_turn_deliver_every_record_once() {
    let seed = number("FIREHOSE_SEED", fastrand::u64(..1_000_000));
    let rounds = number("FIREHOSE_KILLS", 6);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut fleet = Fleet::new(3, 4, seed, Kinesalite::shared()).telling_a_catalog(seed);
    let ledger = fleet.sites[0].path("ledger");
    let producer = fleet.stream.produce(&ledger, seed, 2, "0.1");
    for machine in 0..3 {
        fleet.start(machine);
    }
    for round in 0..rounds {
        // So that in the long run each dies everywhere.
        let machine = usize::try_from((round + round / 6) % 3).unwrap();
        fleet.kill(machine);
        if round % 2 == 0 {
            fleet.stream.split(seed + round);
        } else {
            fleet.stream.merge(seed + round);
        }
        let point = usize::try_from(round).unwrap() % FAILPOINTS.len();
        let (name, passes) = FAILPOINTS[point];
        let at = format!("{name}:{}", random.u32(1..=passes));
        fleet.kill_at(machine, &at);
        fleet.start(machine);
        say(&format!(
            "seed {seed}: round {round}, killed at random and at {at}"
        ));
    }
    for machine in 0..3 {
        fleet.freeze(machine);
    }
    // The table is out of reach for longer than leases last; nobody holds any then.
    fleet.proxies[1].change(&[(Fault::InternalError, 100)]);
    for site in &fleet.sites {
        wait_until("it holds nothing", || leases(site) < 1.0);
    }
    fleet.proxies[1].change(TABLE_FAULTS);
    producer.finish();
    let summary = fleet.finish();
    say(&format!(
        "seed {seed}: {} kills, 3 zombies: {summary}",
        rounds * 2
    ));
}

#[test]
fn machines_that_come_and_leave_in_order_hand_the_shards_over() {
    let server = Kinesalite::start();
    let mut fleet = Fleet::new(2, 2, 1, &server);
    fleet.calm();
    let ledger = fleet.sites[0].path("ledger");
    fleet.start(0);
    fleet.until_it_holds(0);
    let producer = fleet.stream.produce(&ledger, 1, 2, "0.1");
    for round in 0..4 {
        let (leaving, coming) = (round % 2, (round + 1) % 2);
        fleet.start(coming);
        fleet.until_it_holds(coming);
        // The stream's server crashes, too.
        server.restart();
        fleet.running[leaving].take().unwrap().drain();
        fleet.until_it_holds(coming);
    }
    fleet.start(1);
    producer.finish();
    fleet.finish();
}

/// This server says nothing to a subscriber when a shard ends, so that none does here.
#[test]
fn shards_that_are_pushed_by_fan_out_are_shared_too() {
    let server = KinesisLocal::start();
    let stream = server.stream("shared", 3);
    let source = format!(
        "{}\nconsumer = \"enhanced-fan-out\"",
        stream.table(&stream.endpoint)
    );
    let mut fleet = Fleet::of(2, stream, &source, 1);
    let ledger = fleet.sites[0].path("ledger");
    let producer = fleet.stream.produce(&ledger, 7, 1, "0.2");
    fleet.start(0);
    fleet.until_it_holds(0);
    fleet.start(1);
    fleet.kill(1);
    fleet.start(1);
    fleet.until_it_holds(1);
    fleet.kill(0);
    fleet.start(0);
    producer.finish();
    fleet.finish();
}

#[test]
fn latest_means_what_comes_after_the_first_start_whoever_reads_it() {
    let stream = Kinesalite::shared().stream(1);
    stream.put(b"{\"id\":\"before\"}");
    stream.split(1);
    // Kinesis tells times apart by the second here.
    let second = || jiff::Timestamp::now().as_second();
    let put_in = second();
    wait_until("the second is over", || second() > put_in + 1);
    let source = format!("{}\nstart = \"latest\"", stream.table(&stream.endpoint));
    let mut fleet = Fleet::of(1, stream, &source, 1);
    fleet.calm();
    fleet.start(0);
    let table = &fleet.table;
    // The closed shard is at its end, so its children may be read.
    let is_ended = || table.attribute("shardId-000000000000", "checkpoint") == "SHARD_END";
    wait_until("the closed shard is done", is_ended);
    // It has read nothing yet, and dies.
    fleet.kill(0);
    fleet.stream.put(b"{\"id\":\"after\"}");
    fleet.start(0);
    let site = &fleet.sites[0];
    let daemon = fleet.running[0].as_mut().unwrap();
    daemon.alive();
    let delivered = || {
        metric(
            site.address,
            "firehose_delivered_objects_total{stream=\"clicks\"}",
        )
    };
    daemon
        .until("a record is delivered", || delivered() > 1.0)
        .unwrap();
    fleet.running[0].take().unwrap().drain();
    let backup = |key: &String| key.starts_with("raw/");
    let copies: Vec<_> = fleet.bucket.keys().into_iter().filter(backup).collect();
    assert_eq!(copies.len(), 1);
    let copy = fleet.bucket.get(&copies[0]).unwrap();
    assert_eq!(copy.bytes, b"{\"id\":\"after\"}\n");
}

#[test]
fn an_upload_that_the_bucket_has_lost_is_a_loud_stop_that_names_its_records() {
    let fleet = Fleet::new(1, 1, 1, Kinesalite::shared());
    fleet.calm();
    let site = &fleet.sites[0];
    fleet.stream.put(b"{\"id\":\"k0x1z\"}");
    fleet.kill_at(0, "shared-committed:1");
    assert_eq!(
        fleet
            .table
            .attribute("shardId-000000000000", "firehoseWaiting"),
        "2"
    );
    fleet.bucket.abort_uploads();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let told = || http::get(site.address, "/readyz").unwrap().text();
    let is_told = || told().contains("has vanished before it was completed: it held 1 records");
    daemon.until("it has stopped loudly", is_told).unwrap();
    let listed = site.command(&["state", "list"]).done();
    assert!(listed.contains("2 objects wait"), "{listed}");
    // Only a person gives it up; the daemon goes on by itself then.
    let discard = |key: &str, more: &[&str]| {
        site.command(&[&["state", "discard", "clicks", "--object", key], more].concat())
    };
    let refused = discard("nothing", &["--yes"]).refused(2);
    let keys = refused
        .split("there are: ")
        .nth(1)
        .unwrap()
        .trim()
        .split(", ");
    for key in keys {
        let refused = discard(key, &[]).refused(2);
        assert!(
            refused.contains("holds 1 records of shardId-000000000000, after"),
            "{refused}"
        );
        discard(key, &["--yes"]).done();
    }
    fleet.stream.put(b"{\"id\":\"k0x2z\"}");
    let delivered = || {
        metric(
            site.address,
            "firehose_delivered_objects_total{stream=\"clicks\"}",
        )
    };
    daemon
        .until("the next record is delivered", || delivered() > 1.0)
        .unwrap();
    daemon.drain();
    assert_eq!(
        fleet
            .table
            .attribute("shardId-000000000000", "firehoseWaiting"),
        "0"
    );
}

#[test]
fn a_shard_that_has_stopped_loudly_is_let_go_at_the_end() {
    let fleet = Fleet::new(1, 1, 1, Kinesalite::shared());
    fleet.calm();
    let site = &fleet.sites[0];
    fleet.stream.put(b"{\"id\":\"k0x1z\"}");
    fleet.kill_at(0, "shared-committed:1");
    fleet.bucket.abort_uploads();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let told = || http::get(site.address, "/readyz").unwrap().text();
    daemon
        .until("it has stopped loudly", || told().contains("\"stopped\""))
        .unwrap();
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        fleet.table.attribute("shardId-000000000000", "leaseOwner"),
        ""
    );
}
