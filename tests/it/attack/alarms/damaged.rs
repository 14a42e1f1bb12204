//! Damage on the disk, and what others have done to the destination or the config.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use firehose::checkpoint::{CheckpointStore, STORE};
use firehose::clock::Clock;
use firehose::disk::{Disk, HostDisk};
use firehose::source::direct_put::journal::{Journal, JournalCheckpoint, JournalSettings};
use firehose::source::{Intake as _, PutBatch};

use super::{CLICKS, Clicks, OLDEST, block, gauge, judge, left_behind, put, wait_for_object};
use crate::support::daemon::Site;
use crate::support::lake;
use crate::support::servers::Weed;

/// Writes a journal as the daemon does, of one record a frame, for a stream that has read nothing of it.
fn lay_journal(site: &Site, records: &[&str]) {
    let disk: Arc<dyn Disk> = Arc::new(HostDisk::new(site.path("state/clicks")).unwrap());
    let (store, found) = CheckpointStore::open(&*disk, Path::new(STORE), 0).unwrap();
    let settings = JournalSettings {
        stream: "clicks".to_owned(),
        dir: "journal".into(),
        limit: 1 << 20,
        segment_bytes: 128 << 10,
        idle: Duration::from_hours(1),
    };
    let known = JournalCheckpoint {
        incarnation: found.incarnation,
        epoch: found.epoch,
        frontier: None,
    };
    let opened = Journal::open(disk, Clock::system(), settings, known).unwrap();
    store.begin_epoch(opened.epoch, &[], &[]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for record in records {
        let mut batch = PutBatch::default();
        batch.push(record.as_bytes());
        runtime.block_on(opened.journal.append(batch)).unwrap();
    }
    opened.journal.stop();
    runtime.block_on(opened.journal.stopped());
}

/// Changes the first byte of this text in the journal's segment.
fn rot(site: &Site, text: &str) {
    let path = site.path("state/clicks/journal");
    let path = fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    let found = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes());
    bytes[found.unwrap()] ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn records_that_the_disk_has_damaged() {
    let site = CLICKS.site();
    let records: Vec<String> = (0..20)
        .map(|n| format!("{{\"n\":\"number {n:02}\"}}"))
        .collect();
    lay_journal(
        &site,
        &records.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    rot(&site, "number 07");
    let mut daemon = site.start();
    let what = "The disk has damaged records in the journal";
    judge(what, &site, &mut daemon, "clicks", || {});
    let lost = gauge(&site, "firehose_journal_lost_records_total");
    assert!((0.5..1.5).contains(&lost), "{lost}");
    let is_over = || gauge(&site, OLDEST) <= 0.0;
    daemon.until("nothing waits any more", is_over).unwrap();
    daemon.drain();
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 19);
    let listed = site.command(&["state", "list"]).done();
    assert!(
        listed.contains("lost to damage in the journal: 1 records, "),
        "{listed}"
    );
}

/// The end of the journal is damaged, and no whole frame stands behind it.
#[test]
fn lost_is_not_said_where_nothing_is() {
    let site = CLICKS.site();
    lay_journal(&site, &["{\"n\":\"number 1\"}"]);
    let path = site.path("state/clicks/journal");
    let path = fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    // Both copies of the header, which the frames do not need.
    (bytes[40], bytes[2048 + 40]) = (!bytes[40], !bytes[2048 + 40]);
    fs::write(&path, bytes).unwrap();
    let mut daemon = site.start();
    let is_there = || lake::lines(&site.path("lake"), "data").len() == 1;
    daemon.until("the record is delivered", is_there).unwrap();
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(log.contains("no record is lost"), "{log}");
    assert!(!log.contains("are lost"), "{log}");
    assert!(gauge(&site, "firehose_journal_lost_records_total") <= 0.0);
    daemon.drain();
}

#[test]
fn a_stream_that_the_config_does_not_name() {
    let site = CLICKS.site();
    left_behind(&site);
    site.configure(&CLICKS.settings().replace("stream.clicks", "stream.others"));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let what = "The config does not name a stream that holds records";
    judge(what, &site, &mut daemon, "clicks", || {});
}

#[test]
fn another_folder_than_objects_wait_for() {
    let site = CLICKS.site();
    left_behind(&site);
    site.configure(
        &Clicks {
            lake: "other",
            ..CLICKS
        }
        .settings(),
    );
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let what = "The config names another bucket or folder than objects wait for";
    judge(what, &site, &mut daemon, "clicks", || {});
    // What is published elsewhere is no reason to be green.
    assert_eq!(put(&site, b"{\"n\":2}\n"), 200);
    let is_there = || lake::lines(&site.path("other"), "data").len() == 1;
    daemon
        .until("the other record is delivered", is_there)
        .unwrap();
    judge(what, &site, &mut daemon, "clicks", || {});
}

#[test]
fn a_stream_that_fails_for_some_objects_stays_red_while_others_are_published() {
    let settings = CLICKS.settings().replace(
        "prefix = \"data/\"",
        "prefix = \"!{partitionKeyFromQuery:k}/\"",
    );
    let partitioning = "\n[stream.clicks.partitioning]\nquery = '{k: .k}'\n";
    let site = Site::new(&format!("{settings}{partitioning}"));
    block(&site);
    let mut daemon = site.start();
    assert_eq!(put(&site, b"{\"k\":\"data\"}\n"), 200);
    judge(
        "The destination refuses an object",
        &site,
        &mut daemon,
        "clicks",
        || {},
    );
    for n in 1..=5 {
        assert_eq!(put(&site, b"{\"k\":\"good\"}\n"), 200);
        let is_there = || lake::lines(&site.path("lake"), "good").len() == n;
        daemon.until("a good one is published", is_there).unwrap();
        let (_, missing) = super::look(&super::table()[0], &site, "clicks");
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

#[test]
fn a_kinesis_stream_that_cannot_be_read() {
    let settings = r#"
[stream.clicks.source]
type = "kinesis"
stream = "clicks"
region = "eu-central-1"
endpoint = "http://127.0.0.1:1"
access_key_id = "any"
secret_access_key = "any"

[stream.clicks.destination]
type = "folder"
path = "lake"
"#;
    let site = Site::new(settings);
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    judge(
        "The Kinesis stream cannot be read",
        &site,
        &mut daemon,
        "clicks",
        || {},
    );
}

#[test]
fn a_lease_table_that_cannot_be_reached() {
    let bucket = Weed::shared().bucket();
    let settings = format!(
        r#"
[stream.clicks.source]
type = "kinesis"
stream = "clicks"
region = "us-east-1"
endpoint = "http://127.0.0.1:1"
access_key_id = "any"
secret_access_key = "any"
coordination = "dynamodb"
dynamodb_endpoint = "http://127.0.0.1:1"

[stream.clicks.destination]
{}
"#,
        bucket.table(&bucket.endpoint)
    );
    let site = Site::new(&settings);
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let what = "The lease table of a shared stream cannot be reached";
    judge(what, &site, &mut daemon, "clicks", || {});
}

/// An object that waits is as old after the restart, and of a stream that has stopped since.
#[test]
fn the_age_of_what_waits_grows_on_through_a_restart_and_a_stop() {
    let site = CLICKS.site();
    block(&site);
    let mut daemon = site.start();
    wait_for_object(&site, &mut daemon);
    let is_old = || gauge(&site, OLDEST) > 1.0;
    daemon.until("a second has passed", is_old).unwrap();
    let before = gauge(&site, OLDEST);
    daemon.kill();
    super::empty(&site.path("state/clicks/journal"));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let what = "State is missing, damaged or not whole";
    judge(what, &site, &mut daemon, "clicks", || {});
    let after = gauge(&site, OLDEST);
    assert!(after > before, "{before} s before, {after} s after");
}
