//! A disk that is really full: producers are refused, nothing accepted is lost, and the service
//! goes on by itself when there is room.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::{Daemon, Site, wait_until};
use crate::support::event::{ERROR_PREFIX, PREFIX, QUERY};
use crate::support::http::{get, metric, put_record};
use crate::support::oracle::{self, Lake};
use crate::support::producer::{Load, Producer};
use crate::support::small_disk::SmallDisk;
use crate::transforms::{HOSTILE, build};

/// What `/readyz` and refused producers are told.
const CAUSE: &str = "the disk under state_dir is full";
/// Large records: the disk is full soon.
const LOAD: Load = Load {
    connections: 3,
    seed: 5,
    pause: Duration::ZERO,
    records: 40,
    pad: 40_000,
    narrow: false,
    joined: true,
};

#[test]
fn a_full_disk_and_a_kill_on_it_lose_nothing_and_the_service_resumes() {
    // The spool has no limit to speak of: checkpoints find the disk full.
    let (site, disk) = site_on_a_disk_of(96 << 20, "256MiB", "48MiB");
    // A file where the lake should be: nothing can be published, so the disk fills.
    fs::write(site.path("lake"), "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let ledger = site.path("ledger");
    let producer = Producer::start(site.address, "clicks", LOAD, &ledger);
    says_full(&site, &mut daemon);
    let filler = disk.fill();
    is_refused(&site, &mut daemon);

    daemon.kill();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    is_refused(&site, &mut daemon);
    let reply = get(site.address, "/readyz").unwrap();
    assert_eq!(reply.status, 503, "{}", reply.text());

    let before = producer.acknowledged();
    fs::remove_file(filler).unwrap();
    fs::remove_file(site.path("lake")).unwrap();
    daemon.ready().unwrap();
    wait_until("producers are served again", || {
        producer.acknowledged() > before
    });
    producer.finish();
    daemon.drain();
    oracle::judge(&ledger, Lake::Folder(&site.path("lake")), None).unwrap();
}

#[test]
fn on_a_disk_that_stays_full_the_reserve_publishes_what_waits_and_room_comes_back() {
    // Reading stops at half of the spool's limit: the journal finds the disk full.
    let (site, disk) = site_on_a_disk_of(160 << 20, "64MiB", "128MiB");
    fs::write(site.path("lake"), "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let ledger = site.path("ledger");
    let producer = Producer::start(site.address, "clicks", LOAD, &ledger);
    wait_until("the journal has taken all room but the reserve", || {
        disk.room() < 64 << 10
    });
    let filler = disk.fill();
    daemon.kill();

    let mut daemon = site.spawn(&[]);
    daemon.alive();
    says_full(&site, &mut daemon);
    is_refused(&site, &mut daemon);

    let before = producer.acknowledged();
    fs::remove_file(site.path("lake")).unwrap();
    daemon.ready().unwrap();
    wait_until("producers are served again", || {
        producer.acknowledged() > before
    });
    assert!(filler.exists(), "nobody made room but the stream itself");
    producer.finish();
    daemon.drain();
    oracle::judge(&ledger, Lake::Folder(&site.path("lake")), None).unwrap();
}

#[test]
fn on_a_disk_that_is_full_after_an_upgrade_the_reserve_is_for_the_modules_first() {
    const MODULE: &str = "[[stream.clicks.transform]]\nmodule = \"pass.wasm\"\n";
    let settings = settings("64MiB", "128MiB") + MODULE;
    let (site, disk) = site_of(&settings, 160 << 20);
    build(&site, "pass.wasm", HOSTILE);
    fs::write(site.path("lake"), "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let ledger = site.path("ledger");
    let producer = Producer::start(site.address, "clicks", LOAD, &ledger);
    wait_until("the journal has taken all room but the reserve", || {
        disk.room() < 64 << 10
    });
    daemon.kill();
    // What another version has compiled is of no use to the next.
    fs::remove_dir_all(disk.path("compiled~")).unwrap();
    let filler = disk.fill();
    fs::remove_file(site.path("lake")).unwrap();

    let before = producer.acknowledged();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    wait_until("producers are served again", || {
        producer.acknowledged() > before
    });
    assert!(filler.exists(), "nobody made room but the stream itself");
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(log.contains("No space left on device"), "there was room");
    producer.finish();
    daemon.drain();
    oracle::judge(&ledger, Lake::Folder(&site.path("lake")), None).unwrap();
}

/// Backup objects go to a store that nobody has reached.
#[test]
fn on_a_disk_that_stays_full_a_store_that_is_down_keeps_no_data_back() {
    const BACKUP: &str = "[stream.clicks.backup]\nprefix = \"raw/\"\n\
                          [stream.clicks.backup.destination]\ntype = \"folder\"\npath = \"apart\"\n";
    let settings = settings("64MiB", "128MiB") + BACKUP;
    let (site, disk) = site_of(&settings, 160 << 20);
    fs::write(site.path("apart"), "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let ledger = site.path("ledger");
    let producer = Producer::start(site.address, "clicks", LOAD, &ledger);
    wait_until("the journal has taken all room but the reserve", || {
        disk.room() < 64 << 10
    });
    let filler = disk.fill();
    daemon.kill();

    // All that was read is in the lake, or waits for the store that is down.
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    says_full(&site, &mut daemon);
    let name = "firehose_delivered_records_total{stream=\"clicks\"}";
    let is_delivered = || metric(site.address, name) > 0.0;
    daemon.until("data is delivered", is_delivered).unwrap();

    let before = producer.acknowledged();
    fs::remove_file(site.path("apart")).unwrap();
    daemon.ready().unwrap();
    wait_until("producers are served again", || {
        producer.acknowledged() > before
    });
    assert!(filler.exists(), "nobody made room but the stream itself");
    producer.finish();
    daemon.drain();
    oracle::judge(&ledger, Lake::Folder(&site.path("lake")), None).unwrap();
}

fn site_on_a_disk_of(bytes: u64, spool: &str, journal: &str) -> (Site, SmallDisk) {
    site_of(&settings(spool, journal), bytes)
}

fn site_of(settings: &str, bytes: u64) -> (Site, SmallDisk) {
    let mut site = Site::new(settings);
    let disk = SmallDisk::mount(&site.path("state"), bytes);
    site.enter(&disk);
    (site, disk)
}

fn says_full(site: &Site, daemon: &mut Daemon) {
    let is_told = || {
        let reply = get(site.address, "/readyz").unwrap();
        reply.status == 503 && reply.text().contains(CAUSE)
    };
    daemon
        .until("/readyz says that the disk is full", is_told)
        .unwrap();
}

/// Refused in Firehose's shape, with the cause as soon as the stream knows it.
fn is_refused(site: &Site, daemon: &mut Daemon) {
    let is_told = || {
        let reply = put_record(site.address, "clicks", b"{}").unwrap();
        assert_eq!(reply.status, 500, "{}", reply.text());
        let error: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(error["__type"], "ServiceUnavailableException", "{error}");
        let message = error["message"].as_str().unwrap();
        message.contains(CAUSE) || message.contains("No space left")
    };
    daemon
        .until("producers are told the cause", is_told)
        .unwrap();
}

fn settings(spool: &str, journal: &str) -> String {
    format!(
        r#"
state_dir = "state"
shutdown_grace = "100s"

[stream.clicks]
spool_limit = "{spool}"

[stream.clicks.source]
type = "direct-put"
journal_limit = "{journal}"

[stream.clicks.partitioning]
query = '{QUERY}'

[stream.clicks.buffering]
size = "1MiB"
interval = "1s"

[stream.clicks.format]
type = "json"
compression = "none"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "{PREFIX}"
error_prefix = "{ERROR_PREFIX}"
"#
    )
}
