//! Lanes with a store of their own: each goes there and nowhere else, and none waits for another's.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::daemon::{Daemon, Site};
use crate::support::http::{get, metric, post_records};
use crate::support::lake;
use crate::support::proxy::Proxy;
use crate::support::servers::{Bucket, Weed};

/// An endpoint where nobody answers.
const NOBODY: &str = "http://127.0.0.1:1";

/// A stream by key, with what its lanes' own tables hold.
fn settings(errors: &str, backup: &str) -> String {
    format!(
        r#"
state_dir = "state"

[stream.clicks.source]
type = "direct-put"

[stream.clicks.partitioning]
query = '{{k: .k}}'

[stream.clicks.buffering]
interval = "0s"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/k=!{{partitionKeyFromQuery:k}}/"
error_prefix = "errors/!{{firehose:error-output-type}}/"

[stream.clicks.backup]
prefix = "raw/"
format.type = "raw"
format.delimiter = "newline"

{backup}

{errors}
"#
    )
}

fn folder(lane: &str) -> String {
    format!("[stream.clicks.{lane}.destination]\ntype = \"folder\"\npath = \"of-{lane}\"")
}

/// A lane's own bucket, reached at `endpoint`.
fn at(lane: &str, bucket: &Bucket, endpoint: &str) -> String {
    let table = bucket.table(endpoint);
    format!("[stream.clicks.{lane}.destination]\n{table}")
}

/// Two records with a key, and one that has none. A stream that starts takes nothing yet.
fn send(daemon: &mut Daemon) {
    let body = b"{\"k\":\"a\",\"n\":1}\n{\"n\":2}\n{\"k\":\"a\",\"n\":3}\n";
    daemon.take("clicks", body);
}

fn delivered(site: &Site, objects: f64, daemon: &mut Daemon) {
    let name = "firehose_delivered_objects_total{stream=\"clicks\"}";
    let told = format!("{objects} objects are published");
    let is_there = || metric(site.address, name) >= objects;
    daemon.until(&told, is_there).unwrap();
}

/// So many objects wait to be published.
fn waiting(site: &Site, objects: f64, daemon: &mut Daemon) {
    let name = "firehose_sealed_waiting{stream=\"clicks\"}";
    let told = format!("{objects} objects wait");
    let are_there = || (metric(site.address, name) - objects).abs() < 0.5;
    daemon.until(&told, are_there).unwrap();
}

/// A file where a folder of objects was to be: none is taken there.
fn block(site: &Site, folder: &str) -> PathBuf {
    let path = site.path(folder);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "").unwrap();
    path
}

/// Markers of claims: at each store that something is published to.
fn claims(store: &Path) -> usize {
    let incarnations = fs::read_dir(store.join("errors/.firehose"));
    incarnations.map_or(0, Iterator::count)
}

#[test]
fn each_lane_goes_to_its_own_store_and_each_store_is_claimed() {
    let site = Site::new(&settings(&folder("errors"), &folder("backup")));
    let checked = site.command(&["check"]).done();
    for told in [
        "lake/data/k=…",
        "backup: raw under ",
        "of-backup/raw/…",
        "errors: under ",
        "of-errors/errors/…",
    ] {
        assert!(checked.contains(told), "{told}: {checked}");
    }
    let mut daemon = site.start();
    send(&mut daemon);
    delivered(&site, 3.0, &mut daemon);
    daemon.drain();
    let stores = ["lake", "of-errors", "of-backup"].map(|store| site.path(store));
    let objects = |prefix: &str| {
        stores
            .each_ref()
            .map(|store| lake::objects(store, prefix).len())
    };
    assert_eq!(objects("data"), [1, 0, 0]);
    assert_eq!(objects("errors"), [0, 1, 0]);
    assert_eq!(objects("raw"), [0, 0, 1]);
    assert_eq!(lake::failed_records(&stores[1], "errors"), [b"{\"n\":2}"]);
    assert_eq!(lake::lines(&stores[2], "raw").len(), 3);
    for store in &stores {
        assert_eq!(claims(store), 1, "{}", store.display());
    }
    // What is there of it is found at each.
    let listed_at = |list: &str| {
        let lines = fs::read_to_string(site.path(list)).unwrap();
        let lines = lines.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["store"].as_str().unwrap().to_owned()
        });
        lines.collect::<Vec<String>>()
    };
    let named = stores
        .each_ref()
        .map(|store| format!("folder:{}", store.display()));
    site.command(&["state", "export", "clicks", "exported"])
        .done();
    assert_eq!(listed_at("exported/objects.jsonl"), named);
    // One that is not there keeps none of the others back.
    fs::rename(&stores[0], site.path("away")).unwrap();
    let told = site
        .command(&["state", "export", "clicks", "again"])
        .refused(1);
    assert!(
        told.contains(&named[0]) && told.contains("all else is exported"),
        "{told}"
    );
    assert_eq!(listed_at("again/objects.jsonl.unfinished"), named[1..]);
}

#[test]
fn a_store_of_errors_that_does_not_answer_keeps_no_data_back_and_is_named() {
    let bucket = Weed::shared().bucket();
    let errors = |endpoint: &str| settings(&at("errors", &bucket, endpoint), &folder("backup"));
    let site = Site::new(&errors(NOBODY));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    send(&mut daemon);
    // Data and backup.
    delivered(&site, 2.0, &mut daemon);
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 2);
    let is_named = || {
        let ready = get(site.address, "/readyz").unwrap();
        assert_eq!(ready.status, 503, "{}", ready.text());
        ready.text().contains(&bucket.name)
    };
    daemon.until("/readyz names the store", is_named).unwrap();
    // A stop leaves what is for that store, and says so.
    daemon.signal(Signal::TERM);
    daemon.wait();
    let log = fs::read_to_string(site.log()).unwrap();
    let left = "1 objects with 1 records cannot be delivered";
    assert!(log.contains(left) && log.contains(&bucket.name), "{log}");
    let listed = site.command(&["state", "list"]).done();
    assert!(
        listed.contains(&format!("s3://{}", bucket.name)),
        "{listed}"
    );
    // It goes there once it answers.
    site.configure(&errors(&bucket.endpoint));
    site.start().drain();
    let keys = bucket.keys();
    let failed = |key: &&String| key.starts_with("errors/") && !key.contains("/.firehose/");
    assert_eq!(keys.iter().filter(failed).count(), 1, "{keys:?}");
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 2);
}

#[test]
fn what_waits_for_a_store_that_its_lane_has_no_more_is_sent_to_the_one_that_it_has() {
    let bucket = Weed::shared().bucket();
    let gone = at("errors", &bucket, NOBODY);
    let site = Site::new(&settings(&gone, &folder("backup")));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    send(&mut daemon);
    delivered(&site, 2.0, &mut daemon);
    daemon.kill();
    site.configure(&settings(&folder("errors"), &folder("backup")));
    let stranded = site.command(&["state", "drain", "clicks"]).refused(1);
    let told = format!(
        "wait for another destination than folder:{}",
        site.path("lake").display()
    );
    assert!(
        stranded.contains(&told) && stranded.contains(&format!("s3://{}", bucket.name)),
        "{stranded}"
    );
    let moved = site
        .command(&["state", "retarget", "clicks", "--unasked"])
        .done();
    assert!(moved.contains("1 sealed objects go to"), "{moved}");
    site.command(&["state", "drain", "clicks"]).done();
    let failed = lake::failed_records(&site.path("of-errors"), "errors");
    assert_eq!(failed, [b"{\"n\":2}"]);
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 2);
}

#[test]
fn what_is_tried_again_goes_where_it_can_though_another_store_is_down() {
    let bucket = Weed::shared().bucket();
    let down = at("errors", &bucket, NOBODY);
    let site = Site::new(&settings(&down, &folder("backup")));
    let blocked = block(&site, "lake/data");
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    send(&mut daemon);
    // That of the backup.
    delivered(&site, 1.0, &mut daemon);
    waiting(&site, 2.0, &mut daemon);
    daemon.kill();
    fs::remove_file(blocked).unwrap();
    let told = site.command(&["state", "retry", "clicks"]).refused(1);
    for part in ["1 of 2 objects are published", "is not published: ", NOBODY] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 2);
}

#[test]
fn of_two_stores_that_do_not_answer_each_is_named_and_neither_keeps_data_back() {
    let [errors, backup] = [(); 2].map(|()| Weed::shared().bucket());
    let site = Site::new(&settings(
        &at("errors", &errors, NOBODY),
        &at("backup", &backup, NOBODY),
    ));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    send(&mut daemon);
    delivered(&site, 1.0, &mut daemon);
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 2);
    let names = [&errors.name, &backup.name];
    let are_named = || {
        let told = get(site.address, "/readyz").unwrap().text();
        let log = fs::read_to_string(site.log()).unwrap();
        let lines = log
            .lines()
            .filter(|line| line.contains("destination not ready"));
        let is_named = |name: &&String| {
            told.contains(name.as_str()) && lines.clone().any(|line| line.contains(name.as_str()))
        };
        names.iter().all(is_named)
    };
    daemon.until("both are named", are_named).unwrap();
    waiting(&site, 2.0, &mut daemon);
    daemon.signal(Signal::TERM);
    daemon.wait();
    let log = fs::read_to_string(site.log()).unwrap();
    let last = log.trim_end().lines().last().unwrap();
    let left = last.matches("1 objects with ").count();
    assert!(
        left == 2 && names.iter().all(|name| last.contains(name.as_str())),
        "{last}"
    );
    // They go there once the stores answer.
    site.configure(&settings(
        &at("errors", &errors, &errors.endpoint),
        &at("backup", &backup, &backup.endpoint),
    ));
    site.start().drain();
    let has = |bucket: &Bucket, head: &str| {
        let keys = bucket.keys().into_iter();
        let mut objects = keys.filter(|key| key.starts_with(head) && !key.contains("/.firehose/"));
        objects.next().is_some()
    };
    assert!(has(&errors, "errors/") && has(&backup, "raw/"));
}

#[test]
fn a_store_that_goes_down_after_its_claim_keeps_no_data_back_and_is_named() {
    let bucket = Weed::shared().bucket();
    let proxy = Proxy::start(Weed::shared().address(), 1, &[]);
    let patience = "stalled_after = \"1s\"\n";
    let errors = |endpoint: &str| {
        patience.to_owned() + &settings(&at("errors", &bucket, endpoint), &folder("backup"))
    };
    let site = Site::new(&errors(&proxy.endpoint()));
    let mut daemon = site.start();
    let endpoint = proxy.endpoint();
    drop(proxy);
    send(&mut daemon);
    delivered(&site, 2.0, &mut daemon);
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 2);
    let is_named = || {
        get(site.address, "/readyz")
            .unwrap()
            .text()
            .contains(&endpoint)
    };
    daemon.until("/readyz names the store", is_named).unwrap();
    waiting(&site, 1.0, &mut daemon);
    // Data goes on for as long as that lasts.
    send(&mut daemon);
    delivered(&site, 4.0, &mut daemon);
    daemon.kill();
    site.configure(&errors(&bucket.endpoint));
    site.start().drain();
    let keys = bucket.keys();
    let failed = |key: &&String| key.starts_with("errors/") && !key.contains("/.firehose/");
    assert_eq!(keys.iter().filter(failed).count(), 2, "{keys:?}");
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 4);
}

#[test]
fn a_store_that_refuses_after_its_claim_keeps_no_data_back_and_is_told_at_a_stop() {
    let site = Site::new(&settings(&folder("errors"), &folder("backup")));
    let mut daemon = site.start();
    let blocked = block(&site, "of-errors/errors");
    send(&mut daemon);
    delivered(&site, 2.0, &mut daemon);
    let is_named = || {
        let told = get(site.address, "/readyz").unwrap().text();
        told.contains(blocked.to_str().unwrap())
    };
    daemon.until("/readyz names the store", is_named).unwrap();
    send(&mut daemon);
    delivered(&site, 4.0, &mut daemon);
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(1), "{status}");
    let log = fs::read_to_string(site.log()).unwrap();
    let last = log.trim_end().lines().last().unwrap();
    let left = "2 objects with 2 records cannot be delivered";
    assert!(last.contains(left) && last.contains("of-errors"), "{last}");
    fs::remove_file(&blocked).unwrap();
    site.start().drain();
    let failed = lake::failed_records(&site.path("of-errors"), "errors");
    assert_eq!(failed, [b"{\"n\":2}"; 2]);
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 4);
}

/// What waits for the store fills the spool, so that the source is not read to its end.
#[test]
fn a_store_that_is_down_until_the_spool_is_full_keeps_no_stop_and_no_drain_waiting() {
    const FULL: f64 = 32.0 * 1024.0 * 1024.0;
    let bucket = Weed::shared().bucket();
    let limited = |errors: &str| {
        let limit = "[stream.clicks]\nspool_limit = \"64MiB\"\n";
        settings(errors, &folder("backup")) + limit
    };
    let far = "shutdown_grace = \"1h\"\n";
    let site = Site::new(&(far.to_owned() + &limited(&at("errors", &bucket, NOBODY))));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    send(&mut daemon);
    let failing = format!("{{\"pad\":\"{}\"}}\n", "x".repeat(10_000)).repeat(100);
    let put = |body: &[u8]| {
        let reply = post_records(site.address, "clicks", body).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let name = "firehose_spool_bytes{stream=\"clicks\"}";
    let is_full = || {
        put(failing.as_bytes());
        metric(site.address, name) >= FULL
    };
    daemon.until("the spool is full", is_full).unwrap();
    put(b"{\"k\":\"a\",\"n\":4}\n");
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(1), "{status}");
    // Then no table names it any more.
    site.configure(&limited(&folder("errors")));
    let told = site.command(&["state", "drain", "clicks"]).refused(1);
    assert!(told.contains("wait for another destination than"), "{told}");
    let retarget = ["state", "retarget", "clicks", "--unasked"];
    site.command(&retarget).done();
    site.command(&["state", "drain", "clicks"]).done();
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 3);
}
