//! Both copies of the checkpoints are damaged: what a person learns of what is delivered, and that what is
//! missing can be sent again with nothing twice.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use firehose::checkpoint::{MIRROR, STORE};
use serde_json::Value;

use super::alarms::{CLICKS, Clicks, gauge, put};
use crate::support::campaign::say;
use crate::support::daemon::{Daemon, Site};
use crate::support::lake;
use crate::support::servers::{Bucket, Weed};

/// Records come to data, error and backup objects.
const ALL_LANES: Clicks<'_> = Clicks {
    transform: "format = { not_json = \"fail\" }\nbackup = { prefix = \"backup/\" }\n",
    ..CLICKS
};
const EXPORT: [&str; 4] = ["state", "export", "clicks", "saved"];
/// Objects of somebody else's that a listing has before ours: more than a page.
const FOREIGN: u32 = 1100;

/// Settings into which `transform` is put as keys of the stream.
fn settings(of: Clicks<'_>) -> String {
    let settings = Clicks {
        transform: "",
        ..of
    }
    .settings();
    settings.replace(
        "spool_limit = \"64MiB\"\n",
        &format!("spool_limit = \"64MiB\"\n{}", of.transform),
    )
}

/// A daemon delivers these records, and ends.
fn deliver(site: &Site, records: &[&str]) {
    let daemon = site.start();
    for record in records {
        assert_eq!(put(site, format!("{record}\n").as_bytes()), 200);
    }
    daemon.drain();
}

fn damage_both_copies(site: &Site) {
    for copy in [STORE, MIRROR] {
        fs::write(site.path("state/clicks").join(copy), "rubbish").unwrap();
    }
}

/// What is listed, by key; and the folder of the export is gone again.
fn listed(site: &Site) -> Vec<Value> {
    let text = fs::read_to_string(site.path("saved/objects.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut listed: Vec<Value> = lines.collect();
    listed.sort_by_key(|object| key(object).to_owned());
    fs::remove_dir_all(site.path("saved")).unwrap();
    listed
}

fn key(object: &Value) -> &str {
    object["key"].as_str().unwrap()
}

fn keys(listed: &[Value]) -> BTreeSet<String> {
    listed.iter().map(|object| key(object).to_owned()).collect()
}

/// The objects in a lake, by key.
fn objects(lake: &Path) -> BTreeSet<String> {
    let objects = lake::objects(lake, "").into_iter();
    let keys = objects.map(|path| path.strip_prefix(lake).unwrap().to_owned());
    keys.map(|key| key.into_os_string().into_string().unwrap())
        .collect()
}

#[test]
fn an_export_lists_what_the_folder_holds_of_the_state_and_nothing_else() {
    let site = Site::new(&settings(ALL_LANES));
    let lake = site.path("lake");
    // An earlier state of the stream, of the day before yesterday.
    deliver(&site, &["{\"n\":1}"]);
    site.command(&["state", "discard", "clicks", "--yes"])
        .done();
    let earlier = objects(&lake);
    assert_eq!(earlier.len(), 2, "data and backup: {earlier:?}");
    let then = SystemTime::now() - Duration::from_hours(48);
    for key in &earlier {
        let file = File::options().write(true).open(lake.join(key)).unwrap();
        file.set_modified(then).unwrap();
    }
    deliver(&site, &["{\"n\":2}", "not JSON"]);
    let all = objects(&lake);
    let own: BTreeSet<String> = all.difference(&earlier).cloned().collect();
    let places = ["data/", "backup/", "errors/format-conversion-failed/"];
    for place in places {
        assert!(own.iter().any(|key| key.starts_with(place)), "{own:?}");
    }
    // Of others: another stream's name, no name of ours, and what lies behind a link.
    let name = own.iter().next().unwrap().rsplit('/').next().unwrap();
    fs::create_dir(site.path("elsewhere")).unwrap();
    for theirs in [
        lake.join("data").join(format!("more-{name}")),
        lake.join("data/clicks-1.json"),
        site.path("elsewhere").join(name),
    ] {
        fs::write(theirs, "theirs").unwrap();
    }
    symlink(site.path("elsewhere"), lake.join("data/link")).unwrap();
    let theirs = site.path("elsewhere").join(name);
    symlink(theirs, lake.join("data").join(name.replace("-1-2", "-1-1"))).unwrap();
    damage_both_copies(&site);

    let told = site.command(&EXPORT).done();
    assert!(told.contains("from a day before"), "{told}");
    let found = listed(&site);
    assert_eq!(keys(&found), own, "{told}");
    for object in &found {
        let there = fs::metadata(lake.join(key(object))).unwrap();
        assert_eq!(object["size"], there.len(), "{object}");
        let modified = there.modified().unwrap();
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let ms = u64::try_from(since.as_millis()).unwrap();
        assert_eq!(object["lastModified"], ms, "{object}");
    }

    // Without the marker, and without the journal, it is not known what is of which state.
    let claims = lake.join("errors/.firehose");
    fs::rename(&claims, site.path("claims")).unwrap();
    let told = site.command(&EXPORT).done();
    assert!(told.contains("marker of when this state"), "{told}");
    assert_eq!(keys(&listed(&site)), all, "{told}");
    fs::rename(site.path("claims"), claims).unwrap();
    let journal = site.path("state/clicks/journal");
    fs::rename(&journal, site.path("journal")).unwrap();
    let told = site.command(&EXPORT).done();
    assert!(told.contains("no journal tells"), "{told}");
    assert_eq!(keys(&listed(&site)), all, "{told}");
    fs::rename(site.path("journal"), journal).unwrap();

    // Of a stream that is not in the config only the state can be told.
    site.configure(&settings(ALL_LANES).replace("stream.clicks", "stream.others"));
    let told = site.command(&EXPORT).done();
    assert!(told.contains("does not name the stream"), "{told}");
    assert!(!site.path("saved/objects.jsonl").exists());
    fs::remove_dir_all(site.path("saved")).unwrap();
    site.configure(&settings(ALL_LANES));

    // The folder is not there.
    fs::rename(&lake, site.path("away")).unwrap();
    let told = site.command(&EXPORT).refused(1);
    assert!(told.contains("all else is exported"), "{told}");
    assert!(site.path("saved/journal.jsonl").exists(), "{told}");
    assert!(!site.path("saved/objects.jsonl").exists(), "{told}");
    assert!(!lake.exists(), "it is not made");
    let (own, all) = (own.len(), all.len());
    say(&format!(
        "exports: {own} objects of the state among {all} of the stream"
    ));
}

/// The settings with a bucket for the folder.
fn into(bucket: &Bucket, endpoint: &str) -> String {
    let folder = "type = \"folder\"\npath = \"lake\"";
    let settings = settings(ALL_LANES);
    assert!(settings.contains(folder), "{settings}");
    settings.replace(folder, &bucket.table(endpoint))
}

/// What `docs/src/state.md` says to do, step by step.
#[test]
fn what_a_bucket_lacks_is_found_and_sent_again_and_nothing_is_twice() {
    let bucket = Weed::shared().bucket();
    bucket.put_many("data/0-theirs-", FOREIGN);
    let site = Site::new(&into(&bucket, &bucket.endpoint));
    let mut daemon = site.start();
    assert_eq!(put(&site, b"{\"n\":1}\nnot JSON\n"), 200);
    delivers(&site, &mut daemon);
    daemon.terminate();
    // Accepted, and in no object: no batch is closed before the kill.
    let held_back = into(&bucket, &bucket.endpoint).replace("\"0s\"", "\"900s\"");
    site.configure(&held_back);
    let daemon = site.start();
    assert_eq!(put(&site, b"{\"n\":2}\nnor this\n"), 200);
    daemon.kill();
    damage_both_copies(&site);
    site.configure(&into(&bucket, &bucket.endpoint));

    site.command(&EXPORT).done();
    let records = fs::read_to_string(site.path("saved/journal.jsonl")).unwrap();
    let records: BTreeSet<Vec<u8>> = records.lines().map(raw_data).collect();
    let objects = listed(&site);
    for object in &objects {
        let bytes = bucket.get(key(object)).unwrap().bytes;
        assert_eq!(object["size"], bytes.len(), "{object}");
    }
    let found: Vec<&str> = objects.iter().map(key).collect();
    let places: BTreeSet<_> = found.iter().map(|key| key.split('/').next()).collect();
    let lanes = ["backup", "data", "errors"].map(Some);
    assert_eq!(places, lanes.into());
    let delivered: BTreeSet<_> = delivered(&bucket, &found).into_iter().collect();
    let missing: Vec<&[u8]> = records.difference(&delivered).map(Vec::as_slice).collect();
    assert_eq!(missing, [&b"nor this"[..], b"{\"n\":2}"]);

    site.command(&["state", "discard", "clicks", "--yes"])
        .done();
    let mut daemon = site.start();
    assert_eq!(put(&site, &missing.join(&b'\n')), 200);
    delivers(&site, &mut daemon);
    daemon.drain();
    let keys = bucket.keys();
    let keys = keys.iter().map(String::as_str);
    let keys = keys.filter(|key| !key.contains("theirs-") && !key.contains(".firehose/"));
    let all = self::delivered(&bucket, &keys.collect::<Vec<_>>());
    let each = [&b"nor this"[..], b"not JSON", b"{\"n\":1}", b"{\"n\":2}"];
    assert_eq!(all, each, "each once");
    say(&format!(
        "exports: {} objects found among {FOREIGN} others, {} of {} records missing and sent again",
        objects.len(),
        missing.len(),
        records.len()
    ));
}

#[test]
fn a_bucket_that_cannot_be_reached_leaves_the_rest_of_an_export() {
    let bucket = Weed::shared().bucket();
    let site = Site::new(&into(&bucket, &bucket.endpoint));
    deliver(&site, &["{\"n\":1}"]);
    damage_both_copies(&site);
    for (settings, why) in [
        (into(&bucket, "http://127.0.0.1:1"), "127.0.0.1:1"),
        (
            into(&bucket, &bucket.endpoint).replace(&bucket.name, "no-such-bucket"),
            "create the bucket",
        ),
    ] {
        site.configure(&settings);
        let told = site.command(&EXPORT).refused(1);
        assert!(told.contains(why), "{told}");
        assert!(told.contains("all else is exported"), "{told}");
        let records = fs::read_to_string(site.path("saved/journal.jsonl")).unwrap();
        assert_eq!(records.lines().count(), 1, "{told}");
        assert!(!site.path("saved/objects.jsonl").exists(), "{told}");
        fs::remove_dir_all(site.path("saved")).unwrap();
    }
}

/// The records in these objects of data and errors, in order.
fn delivered(bucket: &Bucket, keys: &[&str]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for key in keys {
        let text = String::from_utf8(bucket.get(key).unwrap().bytes).unwrap();
        match key.split('/').next().unwrap() {
            "data" => records.extend(text.lines().map(|line| line.as_bytes().to_vec())),
            "errors" => records.extend(text.lines().map(raw_data)),
            _ => {}
        }
    }
    records.sort();
    records
}

fn raw_data(line: &str) -> Vec<u8> {
    let line: Value = serde_json::from_str(line).unwrap();
    let data = line["rawData"].as_str().unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(data)
        .unwrap()
}

/// Waits until nothing is left to be published.
fn delivers(site: &Site, daemon: &mut Daemon) {
    let is_over = || {
        gauge(site, "firehose_read_records_total") >= 2.0
            && gauge(site, "firehose_oldest_unpublished_seconds") <= 0.0
    };
    daemon.until("all is delivered", is_over).unwrap();
}
