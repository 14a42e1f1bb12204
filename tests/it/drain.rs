//! SIGTERM: what was accepted is delivered before the process ends, or is safe where it lies.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::{Daemon, Site, free_port, wait_until};
use crate::support::http::{get, metric, post_records};
use crate::support::lake;
use crate::support::oracle::{self, Lake};
use crate::support::producer::{Load, Producer};
use crate::support::settings::{CLICKS, ToFolder};

#[test]
fn sigterm_amid_the_traffic_delivers_every_acknowledged_record_and_exits_0() {
    let site = Site::new(&CLICKS.settings());
    let ledger = site.path("ledger");
    let daemon = site.start();
    let load = Load {
        connections: 3,
        seed: 1,
        pause: Duration::ZERO,
        records: 100,
        pad: 100,
        narrow: false,
        joined: true,
    };
    let producer = Producer::start(site.address, "clicks", load, &ledger);
    wait_until("some thousands are acknowledged", || {
        producer.acknowledged() > 5000
    });
    daemon.drain();
    producer.finish();
    oracle::judge(&ledger, Lake::Folder(&site.path("lake")), None).unwrap();
}

#[test]
fn a_drain_leaves_nothing_for_the_next_process_to_deliver() {
    let site = Site::new(&CLICKS.settings());
    let daemon = site.start();
    let event = br#"{"event_type":"view","geo":{"region":"eu"}}"#;
    assert_eq!(
        post_records(site.address, "clicks", event).unwrap().status,
        200
    );
    daemon.drain();
    let delivered = lake::objects(&site.path("lake"), "data");
    assert_eq!(delivered.len(), 1);
    site.start().drain();
    assert_eq!(lake::objects(&site.path("lake"), "data"), delivered);
}

#[test]
fn a_drain_past_its_grace_exits_non_zero_and_says_what_it_was_waiting_for() {
    // A bucket that takes connections, and is still to answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = in_bucket(silent.local_addr().unwrap().port());
    let site = Site::new(&format!("shutdown_grace = \"1s\"\n{settings}"));
    let mut daemon = site.spawn(&[]);
    take_one(&mut daemon);
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(1), "{status}");
    let message = last_line(&site)["message"].to_string();
    for part in [
        "within shutdown_grace (1s)",
        "clicks: ",
        "safe in state_dir",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_drain_that_can_do_no_more_ends_at_once_and_says_which_verb_moves_the_rest() {
    // The grace is far beyond the patience of this test.
    let grace = "shutdown_grace = \"1h\"\n";
    let site = Site::new(&format!("{grace}{}", CLICKS.settings()));
    let mut daemon = site.start();
    let event = br#"{"event_type":"view","geo":{"region":"eu"}}"#;
    let reply = post_records(site.address, "clicks", event).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    // Once a checkpoint has it in a batch for one folder, it waits for that folder.
    let name = "firehose_checkpoint_seconds_count{stream=\"clicks\"}";
    daemon
        .until("there is a checkpoint", || metric(site.address, name) > 0.0)
        .unwrap();
    daemon.kill();
    let elsewhere = CLICKS.settings().replace("\"lake\"", "\"other\"");
    site.configure(&format!("{grace}{elsewhere}"));
    let mut daemon = site.spawn(&[]);
    let is_told = || {
        let reply = get(site.address, "/readyz");
        reply.is_ok_and(|reply| reply.text().contains("firehose state retarget clicks"))
    };
    daemon.until("/readyz names the verb", is_told).unwrap();
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(1), "{status}");
    let log = fs::read_to_string(site.log()).unwrap();
    let last = log.trim_end().lines().last().unwrap();
    assert!(
        last.contains("1 objects wait") && last.contains("firehose state retarget clicks"),
        "{last}"
    );
    site.command(&["state", "retarget", "clicks"]).done();
    site.start().drain();
    assert_eq!(lake::lines(&site.path("other"), "data"), [event.to_vec()]);
    assert!(lake::objects(&site.path("lake"), "data").is_empty());
}

#[test]
fn what_needs_a_person_ends_a_stop_at_once_and_the_last_line_says_what_is_left_as_json() {
    let site = Site::new(&format!("{FAR}{}", AT_ONCE.settings()));
    // A file where the lake should be: nothing can be published.
    fs::write(site.path("lake"), "").unwrap();
    let mut daemon = site.spawn(&[]);
    take_one(&mut daemon);
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(1), "{status}");
    let told = last_line(&site);
    assert_eq!(told["level"], "ERROR", "{told}");
    let message = told["message"].as_str().unwrap();
    for part in [
        "1 objects with 1 records cannot be delivered",
        "lake",
        "safe in state_dir",
    ] {
        assert!(message.contains(part), "{message}");
    }
    fs::remove_file(site.path("lake")).unwrap();
    site.start().drain();
    assert_eq!(lake::lines(&site.path("lake"), "data"), [EVENT.to_vec()]);
}

#[test]
fn a_bucket_that_never_answered_ends_a_stop_soon_is_named_and_is_told_of_once() {
    let port = free_port();
    let site = Site::new(&format!("{FAR}{}", in_bucket(port)));
    let mut daemon = site.spawn(&[]);
    take_one(&mut daemon);
    let cause = format!("no answer from http://127.0.0.1:{port}: Connection refused");
    let is_told = || {
        get(site.address, "/readyz")
            .unwrap()
            .text()
            .contains(&cause)
    };
    daemon.until("/readyz names the endpoint", is_told).unwrap();
    let told = get(site.address, "/readyz").unwrap().text();
    let advice = format!("`endpoint` of the destination says http://127.0.0.1:{port}");
    assert!(told.contains(&advice), "{told}");
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(1), "{status}");
    let message = last_line(&site)["message"].to_string();
    assert!(
        message.contains(&cause) && message.contains(&advice),
        "{message}"
    );
    let log = fs::read_to_string(site.log()).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("destination not ready"));
    assert_eq!(lines.count(), 1, "{log}");
}

/// A grace far beyond the patience of these tests.
const FAR: &str = "shutdown_grace = \"1h\"\n";
const AT_ONCE: ToFolder<'_> = ToFolder {
    interval: "0s",
    ..CLICKS
};
const EVENT: &[u8] = br#"{"event_type":"view","geo":{"region":"eu"}}"#;

/// The stream into a bucket behind this port.
fn in_bucket(port: u16) -> String {
    let bucket = format!(
        "type = \"s3\"\nbucket = \"lake\"\nregion = \"us-east-1\"\n\
         endpoint = \"http://127.0.0.1:{port}\"\n\
         access_key_id = \"any\"\nsecret_access_key = \"any\""
    );
    let folder = "type = \"folder\"\npath = \"lake\"";
    AT_ONCE.settings().replace(folder, &bucket)
}

/// Waits for the daemon to be there, and has it accept one record.
fn take_one(daemon: &mut Daemon) {
    daemon.alive();
    daemon.take("clicks", EVENT);
}

/// The last line of the log, which is JSON as all others are.
fn last_line(site: &Site) -> Value {
    let log = fs::read_to_string(site.log()).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut lines: Vec<Value> = log.lines().map(parse).collect();
    lines.pop().unwrap()
}
