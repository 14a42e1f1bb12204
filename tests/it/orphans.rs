//! State that the config no longer names: found, told loudly, and dealt with by `firehose state`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use firehose::checkpoint::{CheckpointStore, Commit, MIRROR, STORE};
use firehose::disk::HostDisk;
use firehose::position::Position;
use firehose::shard::{ShardState, SourceName};

use crate::support::daemon::{Daemon, Site};
use crate::support::http::{get, metric, post_records};
use crate::support::lake;

#[test]
fn an_orphan_with_records_is_a_loud_stop_by_name_until_it_is_drained() {
    let site = site_with_undelivered("old", &["old", "live"]);
    site.configure(&settings(&["live"]));
    let mut daemon = site.spawn(&[]);
    until_started(&site, &mut daemon);
    let reply = get(site.address, "/readyz").unwrap();
    assert_eq!(reply.status, 503);
    let told: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let orphan = &told["streams"]["old"];
    assert_eq!(orphan["state"], "stopped", "{told}");
    let advice = orphan["advice"].as_str().unwrap();
    for verb in [
        "drain old --like live",
        "adopt old live",
        "discard old --yes",
    ] {
        assert!(
            advice.contains(&format!("`firehose state {verb}`")),
            "{told}"
        );
    }
    let metrics = get(site.address, "/metrics").unwrap().text();
    assert!(
        metrics.contains("firehose_stream_ready{stream=\"old\"} 0"),
        "{metrics}"
    );
    // The other stream runs, and a drain of the daemon is clean.
    assert_eq!(told["streams"]["live"]["state"], "running", "{told}");
    let reply = post_records(site.address, "live", b"{\"n\":9}\n").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    daemon.drain();

    let before = files(&site.path("data/state"));
    let listed = site.command(&["state", "list"]).done();
    assert!(
        listed.contains("old (an orphan: the config does not name it)"),
        "{listed}"
    );
    assert!(
        listed.contains("live (in the config)\n   holds nothing"),
        "{listed}"
    );
    assert_eq!(files(&site.path("data/state")), before, "list only reads");
    let refused = site.command(&["state", "drain", "old"]).refused(2);
    assert!(refused.contains("--like"), "{refused}");
    let done = site
        .command(&["state", "drain", "old", "--like", "live"])
        .done();
    assert!(done.contains("holds nothing undelivered"), "{done}");
    assert_eq!(delivered(&site), ["{\"n\":1}", "{\"n\":2}", "{\"n\":9}"]);

    let daemon = site.start();
    daemon.drain();
    let done = site.command(&["state", "drain", "live"]).done();
    assert!(done.contains("0 objects"), "{done}");
    assert_eq!(delivered(&site), ["{\"n\":1}", "{\"n\":2}", "{\"n\":9}"]);
}

/// What the advice in `/readyz` says for an orphan works as it stands, when the daemon is stopped.
#[test]
fn a_renamed_stream_goes_on_when_the_advice_is_followed_to_the_letter() {
    for verb in ["adopt", "drain"] {
        let site = site_with_undelivered("old", &["old"]);
        site.configure(&settings(&["new"]));
        let mut daemon = site.spawn(&[]);
        until_started(&site, &mut daemon);
        let reply = get(site.address, "/readyz").unwrap();
        let told: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let advice = told["streams"]["old"]["advice"].as_str().unwrap();
        daemon.drain();
        let done = site.follow(advice, verb).done();
        assert!(done.contains("old"), "{done}");
        site.start().drain();
        assert_eq!(delivered(&site), ["{\"n\":1}", "{\"n\":2}"], "{verb}");
    }
}

/// A Kinesis stream under another name would be read again from its start; nothing need answer there.
#[test]
fn a_renamed_stream_of_kinesis_waits_until_it_has_the_position() {
    let settings = r#"
[stream.new]
spool_limit = "64MiB"

[stream.new.source]
type = "kinesis"
stream = "clicks"
region = "eu-central-1"
endpoint = "http://127.0.0.1:1"
access_key_id = "any"
secret_access_key = "any"

[stream.new.destination]
type = "folder"
path = "lake"
"#;
    let site = Site::new(settings);
    let state = site.path("data/state");
    let disk = HostDisk::new(state.join("old")).unwrap();
    let (store, _) = CheckpointStore::open(&disk, Path::new(STORE), 0).unwrap();
    let arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/clicks".to_owned();
    let read = ShardState {
        position: Some(Position::default()),
        ..ShardState::default()
    };
    let commit = Commit {
        shards: vec![("shardId-000000000000".into(), read)],
        source: Some(SourceName { arn, created_ms: 0 }),
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    drop(store);
    let mut daemon = site.spawn(&[]);
    until_started(&site, &mut daemon);
    let told = get(site.address, "/readyz").unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    let new = &told["streams"]["new"];
    assert_eq!(new["state"], "stopped", "{told}");
    daemon.terminate();
    let done = site.follow(new["advice"].as_str().unwrap(), "adopt").done();
    assert!(done.contains("new has the state of old"), "{done}");
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let told = get(site.address, "/readyz").unwrap().text();
    assert!(!told.contains("stopped"), "{told}");
    daemon.kill();
}

/// All pairs of an old state with and without records, and a new one that was never begun, is empty,
/// or has records.
#[test]
fn an_orphan_is_adopted_by_a_stream_without_records_and_by_no_other() {
    let olds = ["full1", "full2", "full3", "empty1", "empty2", "empty3"];
    let begun = ["begun2", "held3", "begun5", "held6"];
    let all: Vec<&str> = olds.iter().chain(&begun).copied().collect();
    let site = Site::new(&settings(&all));
    let daemon = site.start();
    for (n, stream) in ["full1", "full2", "full3", "held3", "held6"]
        .iter()
        .enumerate()
    {
        let reply = post_records(site.address, stream, format!("{{\"n\":{n}}}\n").as_bytes());
        assert_eq!(reply.unwrap().status, 200);
    }
    daemon.kill();
    let refused = site
        .command(&["state", "adopt", "full1", "begun2"])
        .refused(2);
    assert!(refused.contains("still names full1"), "{refused}");
    let news = ["never1", "begun2", "held3", "never4", "begun5", "held6"];
    site.configure(&settings(&news));
    let refused = site
        .command(&["state", "adopt", "full1", "lost"])
        .refused(2);
    assert!(refused.contains("no stream lost"), "{refused}");
    for (old, new) in olds.iter().zip(news) {
        let ended = site.command(&["state", "adopt", old, new]);
        if !new.starts_with("held") {
            let done = ended.done();
            assert_eq!(
                done.contains("set aside as"),
                new.starts_with("begun"),
                "{done}"
            );
            continue;
        }
        let refused = ended.refused(2);
        assert!(refused.contains(&format!("{new} holds ")), "{refused}");
        site.follow(&refused, "drain").done();
    }
    site.start().drain();
    let numbers = (0..5).map(|n| format!("{{\"n\":{n}}}"));
    assert_eq!(delivered(&site), numbers.collect::<Vec<_>>());
}

#[test]
fn state_is_discarded_only_when_asked_twice_and_is_set_aside() {
    let site = site_with_undelivered("old", &["old", "live"]);
    site.configure(&settings(&["live"]));
    let state = site.path("data/state");
    let refused = site.command(&["state", "discard", "old"]).refused(2);
    assert!(
        refused.contains("records (") && refused.contains("--yes"),
        "{refused}"
    );
    assert!(state.join("old").join(STORE).exists());
    let done = site.command(&["state", "discard", "old", "--yes"]).done();
    assert!(done.contains("set aside as"), "{done}");
    assert!(!state.join("old").exists());
    let aside = dirs(&state)
        .into_iter()
        .find(|name| name.starts_with("old"));
    assert!(aside.unwrap().starts_with("old.discarded-"));
    site.start().drain();
    assert_eq!(delivered(&site), [""; 0]);
    let done = site
        .command(&["state", "discard", "live", "--yes", "--delete"])
        .done();
    assert!(done.contains("deleted"), "{done}");
    assert!(!state.join("live").exists());
}

#[test]
fn damaged_state_can_be_listed_and_discarded() {
    let site = site_with_undelivered("old", &["old"]);
    for copy in [STORE, MIRROR] {
        fs::write(site.path("data/state/old").join(copy), "no database").unwrap();
    }
    let listed = site.command(&["state", "list"]).done();
    assert!(listed.contains("cannot be read"), "{listed}");
    site.command(&["state", "discard", "old", "--yes"]).done();
    site.start().drain();
}

/// A site on which a stream has accepted two records and was killed: one in a batch, one perhaps
/// only in the journal.
fn site_with_undelivered(stream: &str, streams: &[&str]) -> Site {
    let site = Site::new(&settings(streams));
    let mut daemon = site.start();
    let put = |record: &[u8]| {
        let reply = post_records(site.address, stream, record).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    put(b"{\"n\":1}\n");
    let name = format!("firehose_checkpoint_seconds_count{{stream=\"{stream}\"}}");
    daemon
        .until("the batch is in a checkpoint", || {
            metric(site.address, &name) > 0.0
        })
        .unwrap();
    put(b"{\"n\":2}\n");
    daemon.kill();
    site
}

fn until_started(site: &Site, daemon: &mut Daemon) {
    daemon.alive();
    let settled = || {
        let text = get(site.address, "/readyz").unwrap().text();
        !text.contains("starting")
    };
    daemon.until("the streams have started", settled).unwrap();
}

/// The lines of all data objects, in order.
fn delivered(site: &Site) -> Vec<String> {
    let mut lines: Vec<String> = lake::lines(&site.path("lake"), "data")
        .into_iter()
        .map(|line| String::from_utf8(line).unwrap())
        .collect();
    lines.sort();
    lines
}

/// Every file below a directory with its bytes; what `reserve` holds means nothing.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().unwrap() != "reserve" {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn dirs(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn settings(streams: &[&str]) -> String {
    let table = |stream: &&str| {
        format!(
            r#"
[stream.{stream}]
spool_limit = "64MiB"

[stream.{stream}.source]
type = "direct-put"
journal_limit = "8MiB"

[stream.{stream}.buffering]
interval = "900s"

[stream.{stream}.format]
type = "json"

[stream.{stream}.destination]
type = "folder"
path = "lake"
prefix = "data/{stream}/!{{timestamp:yyyy}}/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
"#
        )
    };
    streams.iter().map(table).collect()
}
