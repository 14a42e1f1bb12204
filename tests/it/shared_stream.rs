//! A stream that may be shared, read by one daemon or two: no state of their machines counts, only what the
//! lease table and the bucket have.

use std::fs;

use crate::kinesis::{deliver_all, deliver_until, settings};
use crate::support::daemon::Site;
use crate::support::dynamodb::{Dynalite, LeaseTable};
use crate::support::event::SCHEMA;
use crate::support::http::{get, metric};
use crate::support::kinesis::{Kinesalite, Stream};
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::{Bucket, Weed};
use crate::support::small_disk::SmallDisk;
use crate::transforms::{self, HOSTILE, SPLIT};

const FIRST: &str = "shardId-000000000000";
const SECOND: &str = "shardId-000000000001";

/// What a shared stream is made of.
struct Servers {
    stream: Stream,
    table: LeaseTable,
    bucket: Bucket,
}

impl Servers {
    fn new(shards: u32) -> Self {
        Self {
            stream: Kinesalite::shared().stream(shards),
            table: Dynalite::shared().table(),
            bucket: Weed::shared().bucket(),
        }
    }

    fn settings(&self, store: &str) -> String {
        let Self { stream, table, .. } = self;
        let (kinesis, leases) = (stream.table(&stream.endpoint), table.lines(&table.endpoint));
        let source = format!("{kinesis}\n{leases}\nfailover = \"2s\"");
        settings(&source, &self.bucket.table(store))
    }
}

fn checkpoints(site: &Site) -> f64 {
    metric(
        site.address,
        "firehose_shared_checkpoints_total{stream=\"clicks\"}",
    )
}

#[test]
fn a_restart_goes_on_from_the_lease_table_and_loses_and_doubles_nothing() {
    let servers = Servers::new(2);
    let Servers {
        stream,
        table,
        bucket,
    } = &servers;
    let site = Site::new(&servers.settings(&bucket.endpoint));
    let producer = stream.produce(&site.path("ledger"), 1, 2, "0.05");
    for _ in 0..2 {
        let mut daemon = site.start();
        let are_made = || checkpoints(&site) > 5.0;
        daemon.until("checkpoints are made", are_made).unwrap();
        daemon.drain();
        for shard in [FIRST, SECOND] {
            let is = |name| table.attribute(shard, name);
            assert_eq!(is("leaseOwner"), "", "given back");
            assert_eq!(is("firehoseWaiting"), "0", "all is published");
            assert!(is("checkpoint").starts_with("49"), "{}", table.items());
        }
        assert_eq!(bucket.uploads(), [""; 0]);
        // Nothing that the next one needs is on this machine.
        fs::remove_dir_all(site.path("state")).unwrap();
    }
    let daemon = site.start();
    stream.split(1);
    producer.finish();
    deliver_all(&site, daemon, bucket.lake());
    let items = table.items();
    let ended = items.as_object().unwrap().values();
    let ended = ended.filter(|item| item["checkpoint"] == "SHARD_END");
    assert_eq!(ended.count(), 1, "{items}");
}

#[test]
fn parquet_of_a_shared_stream_survives_the_death_of_its_daemon() {
    let servers = Servers::new(2);
    let json = "type = \"json\"\ncompression = \"gzip\"";
    let parquet = format!("type = \"parquet\"\nschema = \"{SCHEMA}\"");
    let settings = servers.settings(&servers.bucket.endpoint);
    let site = Site::new(&settings.replace(json, &parquet));
    let producer = servers.stream.produce(&site.path("ledger"), 1, 2, "0.05");
    for made in [2.0, 9.0, 5.0] {
        let mut daemon = site.start();
        let are_made = || checkpoints(&site) > made;
        daemon.until("checkpoints are made", are_made).unwrap();
        daemon.kill();
    }
    producer.finish();
    deliver_all(&site, site.start(), servers.bucket.lake());
}

#[test]
fn what_cannot_be_published_in_time_is_left_to_the_next_holder() {
    let servers = Servers::new(1);
    let proxy = Proxy::start(Weed::shared().address(), 1, &[]);
    let settings = servers.settings(&proxy.endpoint());
    let site = Site::new(&settings.replace("\"100s\"", "\"6s\""));
    servers.stream.put(b"{\"id\":\"k0x1z\"}");
    let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", "shared-committed:1")]);
    daemon.wait_for_failpoint();
    // Uploads can be neither begun nor completed.
    for _ in 0..10_000 {
        proxy.next("POST", Fault::SlowDown);
    }
    let mut daemon = site.spawn(&[]);
    let is_tried = || proxy.counts().contains_key(&Fault::SlowDown);
    daemon.until("publishing is tried", is_tried).unwrap();
    daemon.drain();
    assert_eq!(servers.table.attribute(FIRST, "leaseOwner"), "");
    assert_eq!(servers.table.attribute(FIRST, "firehoseWaiting"), "2");
    assert_eq!(servers.bucket.uploads().len(), 2);
    proxy.calm();
    let mut daemon = site.start();
    let is_published = || servers.table.attribute(FIRST, "firehoseWaiting") == "0";
    daemon.until("all is published", is_published).unwrap();
    daemon.drain();
    assert_eq!(servers.bucket.uploads(), [""; 0]);
}

/// The heir of a dead daemon's leases makes something else of the same records.
#[test]
fn what_a_module_makes_of_a_record_is_delivered_once_though_its_daemon_dies() {
    let servers = Servers::new(2);
    let Servers {
        stream,
        table,
        bucket,
    } = &servers;
    let proxy = Proxy::start(Weed::shared().address(), 1, &[]);
    let lay = |store: &str| {
        let module = "\n[[stream.clicks.transform]]\nmodule = \"split.wasm\"\ntimeout = \"20ms\"\n";
        let site = Site::new(&(servers.settings(store) + module));
        transforms::build(&site, "split.wasm", SPLIT);
        site
    };
    let (victim, heir) = (lay(&proxy.endpoint()), lay(&bucket.endpoint));
    let ledger = heir.path("ledger");
    let producer = stream.produce_alone(&ledger, 1, 2, "0.05");
    // It can prepare objects, but complete none.
    proxy.refuse("POST", "uploadId=");
    let mut dying = victim.start();
    let holds = |site: &Site| metric(site.address, "firehose_leases{stream=\"clicks\"}");
    dying
        .until("it holds both shards", || holds(&victim) > 1.0)
        .unwrap();
    let owner = table.attribute(FIRST, "leaseOwner");
    let mut living = heir.start();
    living
        .until("it has taken one of them", || holds(&heir) > 0.0)
        .unwrap();
    let owes = || {
        let items = table.items();
        let mut items = items.as_object().unwrap().values();
        items.any(|item| item["leaseOwner"] == *owner && item["firehoseWaiting"] != "0")
    };
    dying.until("objects of it wait", owes).unwrap();
    dying.kill();
    living
        .until("the dead one's shard is taken", || holds(&heir) > 1.0)
        .unwrap();
    proxy.calm();
    let mut back = victim.start();
    back.until("it has a shard again", || holds(&victim) > 0.0)
        .unwrap();
    producer.finish();
    back.drain();
    let judge = || {
        let lake = tempfile::tempdir().unwrap();
        bucket.download(lake.path());
        transforms::judge(&ledger, lake.path())
    };
    let summary = deliver_until(living, &["backup lost: ", "outputs lost: "], judge);
    for fate in ["dropped", "passed", "split"] {
        assert!(summary[fate].as_u64() > Some(0), "{fate}: {summary}");
    }
    let traps = summary["failed"]["Transform.Trap"].as_u64();
    assert!(traps > Some(0), "{summary}");
    assert_eq!(table.attribute(FIRST, "firehoseWaiting"), "0");
    assert_eq!(table.attribute(SECOND, "firehoseWaiting"), "0");
}

#[test]
fn what_one_machine_has_read_alone_is_shown_and_delivered_before_the_stream_is_shared() {
    let servers = Servers::new(1);
    let Servers { stream, bucket, .. } = &servers;
    let proxy = Proxy::start(Weed::shared().address(), 1, &[]);
    let store = bucket.table(&proxy.endpoint());
    let site = Site::new(&settings(&stream.table(&stream.endpoint), &store));
    stream.put(b"{\"id\":\"k0x1z\"}");
    proxy.refuse("PUT", "/raw/");
    let mut daemon = site.start();
    let is_refused = || proxy.counts().contains_key(&Fault::SlowDown);
    daemon.until("the backup is refused", is_refused).unwrap();
    daemon.kill();
    site.configure(&servers.settings(&bucket.endpoint));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let told = || get(site.address, "/readyz").unwrap().text();
    let is_told = || told().contains("from when this machine read it alone");
    daemon.until("it has stopped loudly", is_told).unwrap();
    assert!(told().contains("firehose state drain clicks"), "{}", told());
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(1));
    let listed = site.command(&["state", "list"]).done();
    for told in ["read it alone: the config shares it", "waiting objects"] {
        assert!(listed.contains(told), "{listed}");
    }
    site.command(&["state", "drain", "clicks"]).done();
    let keys = bucket.keys();
    let copies = keys.iter().filter(|key| key.starts_with("raw/"));
    assert_eq!(copies.count(), 1, "{keys:#?}");
    site.command(&["state", "discard", "clicks", "--yes"])
        .done();
    site.start().drain();
}

#[test]
fn a_full_disk_keeps_a_shared_stream_waiting_and_loses_nothing_of_it() {
    let servers = Servers::new(1);
    let Servers { stream, bucket, .. } = &servers;
    let mut site = Site::new(&servers.settings(&bucket.endpoint));
    let disk = SmallDisk::mount(&site.path("state"), 16 << 20);
    site.enter(&disk);
    let mut daemon = site.start();
    let filler = disk.fill();
    let producer = stream.produce(&site.path("ledger"), 1, 2, "0.05");
    let told = || get(site.address, "/readyz").unwrap().text();
    let is_told = || told().contains("No space left on device");
    daemon.until("the cause is told", is_told).unwrap();
    fs::remove_file(filler).unwrap();
    daemon.ready().unwrap();
    producer.finish();
    deliver_all(&site, daemon, bucket.lake());
}

#[test]
fn a_machine_with_a_full_disk_leaves_the_shards_to_one_that_is_well() {
    let servers = Servers::new(2);
    let Servers { stream, bucket, .. } = &servers;
    let settings = servers.settings(&bucket.endpoint);
    let (mut sick, well) = (Site::new(&settings), Site::new(&settings));
    let disk = SmallDisk::mount(&sick.path("state"), 16 << 20);
    sick.enter(&disk);
    let mut failing = sick.start();
    disk.fill();
    let producer = stream.produce(&well.path("ledger"), 1, 2, "0.05");
    let told = || get(sick.address, "/readyz").unwrap().text();
    let is_told = || told().contains("No space left on device");
    failing.until("the cause is told", is_told).unwrap();
    // Nobody else is there.
    let taken = || {
        metric(
            sick.address,
            "firehose_leases_taken_total{stream=\"clicks\"}",
        )
    };
    failing.until("it tries again", || taken() > 2.0).unwrap();
    let mut daemon = well.spawn(&[]);
    daemon.alive();
    let holds_all = || {
        assert!(is_told(), "{}", told());
        metric(well.address, "firehose_leases{stream=\"clicks\"}") > 1.0
    };
    daemon.until("it holds all shards", holds_all).unwrap();
    let before = taken();
    failing
        .until("it tries once more", || taken() > before)
        .unwrap();
    daemon
        .until("it holds all shards again", holds_all)
        .unwrap();
    producer.finish();
    deliver_all(&well, daemon, bucket.lake());
}

#[test]
fn a_shard_of_which_all_is_dropped_is_not_read_again() {
    let servers = Servers::new(1);
    let settings = servers.settings(&servers.bucket.endpoint);
    let (settings, _) = settings.split_once("[stream.clicks.backup]").unwrap();
    let module = "[[stream.clicks.transform]]\nmodule = \"hostile.wasm\"\n";
    let site = Site::new(&format!("{settings}{module}"));
    transforms::build(&site, "hostile.wasm", HOSTILE);
    let put = servers.stream.put(b"drop");
    let mut daemon = site.start();
    let dropped = "firehose_dropped_records_total{stream=\"clicks\"}";
    let is_dropped = || metric(site.address, dropped) > 0.0;
    daemon.until("the record is dropped", is_dropped).unwrap();
    daemon.drain();
    let position = servers.table.attribute(FIRST, "checkpoint");
    assert_eq!(position, put["SequenceNumber"]);
    assert_eq!(servers.table.attribute(FIRST, "firehoseWaiting"), "0");
    let is_object = |key: &&String| !key.contains(".firehose/");
    let keys = servers.bucket.keys();
    assert_eq!(keys.iter().find(is_object), None, "{keys:#?}");
}
