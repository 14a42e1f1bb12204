//! Objects that cannot be published, and keys that are hard to publish: none may hold up a stream for good.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use firehose::config::StoreSettings;
use firehose::destination::{Destination, Publication};
use uuid::Uuid;

use super::alarms::{CLICKS, Clicks, gauge, judge, left_behind, plant, put, waiting};
use crate::destination::object;
use crate::support::campaign::say;
use crate::support::daemon::{Daemon, Site, was_killed};
use crate::support::http::post_records;
use crate::support::lake;
use crate::support::servers::{Bucket, Weed};

/// The bytes that were moved aside.
fn aside(site: &Site) -> Vec<PathBuf> {
    lake::objects(&site.path("state/clicks"), "discarded")
        .into_iter()
        .filter(|path| path.extension().is_none_or(|it| it != "json"))
        .collect()
}

#[test]
fn an_object_is_moved_aside_without_a_byte_lost_and_put_back() {
    let site = CLICKS.site();
    left_behind(&site);
    let key = waiting(&site);
    let discard = ["state", "discard", "clicks", "--object", &key];
    let told = site.command(&discard).refused(2);
    assert!(
        told.contains("holds 1 records") && told.contains("nothing was done"),
        "{told}"
    );
    assert_eq!(waiting(&site), key);
    let told = site.command(&[&discard[..], &["--yes"]].concat()).done();
    let kept = aside(&site);
    assert_eq!(kept.len(), 1, "{told}");
    assert!(told.contains(kept[0].to_str().unwrap()), "{told}");
    assert_eq!(fs::read(&kept[0]).unwrap(), b"{\"n\":1}\n");

    // The stream goes on without it.
    fs::remove_file(site.path("lake/data")).unwrap();
    let mut daemon = site.start();
    assert_eq!(put(&site, b"{\"n\":2}\n"), 200);
    let is_there = || lake::lines(&site.path("lake"), "data") == [b"{\"n\":2}"];
    daemon
        .until("the next record is delivered", is_there)
        .unwrap();
    daemon.drain();

    let told = site.follow(&told, "retry").done();
    assert!(told.contains("is back in the state"), "{told}");
    assert!(site.path("lake").join(&key).exists(), "{told}");
    let mut lines = lake::lines(&site.path("lake"), "data");
    lines.sort();
    assert_eq!(lines, [b"{\"n\":1}", b"{\"n\":2}"]);
    assert_eq!(aside(&site), [""; 0].map(PathBuf::from), "it is back");
    let again = ["state", "retry", "clicks", "--object", &key];
    site.command(&again).refused(2);
    site.start().drain();
    say("keys: an object moved aside and put back");
}

#[test]
fn what_the_disk_has_left_of_an_object_is_moved_aside_too() {
    let site = CLICKS.site();
    left_behind(&site);
    let key = waiting(&site);
    let spool = site.path("state/clicks/spool");
    for file in fs::read_dir(spool).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        for byte in &mut bytes {
            *byte ^= 0x20;
        }
        fs::write(path, bytes).unwrap();
    }
    fs::remove_file(site.path("lake/data")).unwrap();
    let told = site
        .command(&["state", "discard", "clicks", "--object", &key, "--yes"])
        .done();
    assert!(told.contains("its bytes are not what they were"), "{told}");
    assert_eq!(
        fs::read(&aside(&site)[0]).unwrap().len(),
        b"{\"n\":1}\n".len()
    );
    let retry = ["state", "retry", "clicks", "--object", &key];
    // It comes back as it is; nothing of it can be delivered.
    let told = site.command(&retry).refused(1);
    assert!(
        told.contains("is back in the state") && told.contains("sets aside what is damaged"),
        "{told}"
    );
    let mut daemon = site.start();
    let is_aside = || gauge(&site, "firehose_quarantined_records_total") >= 1.0;
    daemon.until("its block is set aside", is_aside).unwrap();
    let is_over = || gauge(&site, "firehose_sealed_waiting") <= 0.0;
    daemon.until("nothing waits", is_over).unwrap();
    daemon.drain();
}

#[test]
fn an_object_of_which_the_key_is_taken_gets_another_one_and_is_there_once() {
    let site = CLICKS.site();
    left_behind(&site);
    let key = waiting(&site);
    plant(&site, &key);
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let what = "Something else is under an object's key";
    judge(what, &site, &mut daemon, "clicks", || {});
    daemon.terminate();
    // A file has no id: a person must look first.
    let retry = ["state", "retry", "clicks", "--object", &key];
    let told = site.command(&retry[..3]).refused(1);
    assert!(
        told.contains("--new-key") && told.contains("still wait"),
        "{told}"
    );
    let told = site.command(&[&retry[..], &["--new-key"]].concat()).done();
    assert!(
        told.contains(&format!("something else is under {key}")),
        "{told}"
    );
    assert!(told.contains("1 of 1 objects are published"), "{told}");
    let mut lines = lake::lines(&site.path("lake"), "data");
    lines.sort();
    assert_eq!(lines, [&b"theirs"[..], b"{\"n\":1}"]);
    site.start().drain();
    assert_eq!(lake::objects(&site.path("lake"), "data").len(), 2);
}

#[test]
fn what_is_not_there_or_cannot_be_reached_changes_nothing() {
    let site = CLICKS.site();
    left_behind(&site);
    let key = waiting(&site);
    let told = site.command(&["state", "retry", "clicks"]).refused(1);
    assert!(
        told.contains("Not a directory") && told.contains("still wait"),
        "{told}"
    );
    assert_eq!(waiting(&site), key);
    site.configure(
        &Clicks {
            lake: "other",
            ..CLICKS
        }
        .settings(),
    );
    let told = site
        .command(&["state", "retry", "clicks", "--object", &key])
        .refused(2);
    assert!(told.contains("waits for folder:"), "{told}");
    assert_eq!(waiting(&site), key);
    // A stream that the config does not name.
    site.configure(&CLICKS.settings().replace("stream.clicks", "stream.others"));
    let discard = ["state", "discard", "clicks", "--object", &key, "--yes"];
    site.command(&discard).done();
    assert_eq!(aside(&site).len(), 1);
    site.start().drain();
}

pub fn bucket_settings(bucket: &Bucket, interval: &str) -> String {
    let settings = CLICKS.settings();
    let settings = settings.replace("size = \"1MiB\"", "size = \"20MiB\"");
    let settings = settings.replace("interval = \"0s\"", &format!("interval = \"{interval}\""));
    let folder = "type = \"folder\"\npath = \"lake\"";
    assert!(settings.contains(folder));
    settings.replace(folder, &bucket.table(&bucket.endpoint))
}

#[test]
fn in_a_bucket_a_taken_key_gives_way_too_with_an_upload_and_without() {
    for (megabytes, interval, failpoint) in [
        (0, "0s", "publish-before-put:1"),
        (20, "1h", "upload-after-part:1"),
    ] {
        let bucket = Weed::shared().bucket();
        let site = Site::new(&bucket_settings(&bucket, interval));
        let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", failpoint)]);
        daemon.alive();
        let records = put_megabytes_until_killed(&site, &mut daemon, megabytes);
        let key = waiting(&site);
        let retry = ["state", "retry", "clicks", "--object", &key];
        let told = if megabytes == 0 {
            // Without an id, as a reader that rewrites may leave it.
            bucket.put(&key, b"theirs");
            let told = site.command(&retry).refused(1);
            assert!(told.contains("--new-key"), "{told}");
            site.command(&[&retry[..], &["--new-key"]].concat()).done()
        } else {
            plant_in(&bucket, Uuid::new_v4(), &key, b"theirs");
            site.command(&retry).done()
        };
        assert!(
            told.contains(&format!("something else is under {key}")),
            "{told}"
        );
        assert_eq!(bucket.get(&key).unwrap().bytes, b"theirs");
        site.start().drain();
        let keys = bucket.keys();
        let ours = keys
            .iter()
            .filter(|it| it.starts_with("data/") && **it != key);
        let lines: usize = ours
            .map(|key| bucket.get(key).unwrap().bytes)
            .map(|bytes| bytes.split(|byte| *byte == b'\n').count() - 1)
            .sum();
        assert_eq!(lines, records, "{keys:#?}");
        assert_eq!(bucket.uploads(), [""; 0], "{told}");
    }
}

/// Writes an object under a key as a daemon does, with this id.
fn plant_in(bucket: &Bucket, object_id: Uuid, key: &str, bytes: &'static [u8]) {
    let one = Publication {
        object_id,
        ..object(key, bytes)
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = StoreSettings::from(bucket.settings());
    let sent = runtime.block_on(async {
        let to = Destination::connect(&settings).await.unwrap();
        to.publish(&[one]).await.pop().unwrap()
    });
    sent.unwrap();
}

/// The id in a key.
fn id_of(key: &str) -> Uuid {
    let name = key.rsplit('/').next().unwrap();
    name[name.len() - 36..].parse().unwrap()
}

/// Killed between publishing and its record; what was published changes before the next start. No verb makes a
/// second object of it.
#[test]
fn what_was_published_and_has_changed_since_gets_no_second_key() {
    let bucket = Weed::shared().bucket();
    let site = Site::new(&bucket_settings(&bucket, "0s"));
    let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", "publish-before-put:1")]);
    daemon.alive();
    assert_eq!(put_until_killed(&site, &mut daemon), 1);
    let key = waiting(&site);
    plant_in(&bucket, id_of(&key), &key, b"changed since\n");
    let retry = ["state", "retry", "clicks", "--object", &key];
    for flag in [&[][..], &["--new-key"]] {
        let told = site.command(&[&retry[..], flag].concat()).refused(1);
        assert!(told.contains("it has our id"), "{told}");
        let data = bucket.keys();
        let data = data.iter().filter(|it| it.starts_with("data/"));
        assert_eq!(data.collect::<Vec<_>>(), [&key], "{told}");
    }
    assert_eq!(waiting(&site), key);
    // What the advice says, to the end.
    site.command(&["state", "discard", "clicks", "--object", &key, "--yes"])
        .done();
    site.start().drain();
    assert_eq!(bucket.get(&key).unwrap().bytes, b"changed since\n");

    let site = CLICKS.site();
    let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", "publish-after-link:1")]);
    daemon.alive();
    assert_eq!(put_until_killed(&site, &mut daemon), 1);
    let key = waiting(&site);
    let published = site.path("lake").join(&key);
    let mut bytes = fs::read(&published).unwrap();
    bytes[0] ^= 1;
    fs::write(&published, bytes).unwrap();
    let told = site.command(&["state", "retry", "clicks"]).refused(1);
    assert!(told.contains("find out whether it is ours"), "{told}");
    assert_eq!(lake::objects(&site.path("lake"), "data"), [published]);
    assert_eq!(waiting(&site), key);
    say("keys: 2 objects that changed after publishing, 0 second objects");
}

/// Sends so many MiB of records, but one at least, by which the daemon dies at its failpoint; the number of those
/// that were accepted.
pub fn put_megabytes_until_killed(site: &Site, daemon: &mut Daemon, megabytes: usize) -> usize {
    let record = format!("{{\"pad\":\"{}\"}}\n", "x".repeat(1 << 19));
    let body = record.repeat(if megabytes == 0 { 1 } else { 4 });
    let mut records = 0;
    let is_killed = daemon.until("it is killed", || {
        if records * (1 << 19) <= megabytes << 20
            && let Ok(reply) = post_records(site.address, "clicks", body.as_bytes())
            && reply.status == 200
        {
            records += body.len() / record.len();
        }
        false
    });
    assert!(was_killed(is_killed.unwrap_err()));
    records
}

/// Sends one record, by which the daemon dies at its failpoint; the number of those that were accepted.
pub fn put_until_killed(site: &Site, daemon: &mut Daemon) -> usize {
    let mut accepted = 0;
    let is_killed = daemon.until("it is killed", || {
        // Before the stream has started it is refused.
        if accepted == 0 {
            let reply = post_records(site.address, "clicks", b"{\"n\":1}\n");
            accepted = reply.map_or(0, |reply| usize::from(reply.status == 200));
        }
        false
    });
    assert!(was_killed(is_killed.unwrap_err()));
    accepted
}

/// Keys as prefixes and values make them, at the edges of what is taken, and some that are not. None is below
/// another: a store that keeps them as files has a file or a folder under a name. Nor has any a part of more
/// than a file name's 255 bytes, which S3 itself takes.
fn odd_keys() -> BTreeSet<String> {
    let mut random = fastrand::Rng::with_seed(9);
    let parts = [
        "a",
        "k=v",
        "%2F",
        "é€𝄞",
        "a b",
        "+",
        "~!@#$&*()'\";:,?<>[]{}|^`",
        ".hidden",
        "x.",
        "..x",
        "=",
        "%",
        "-",
    ];
    let mut keys: Vec<String> = ["/a//b", "//a", "/./b", "/../b", "/.", "/.."]
        .map(str::to_owned)
        .into();
    while keys.len() < 80 {
        let count = random.usize(1..6);
        let names = (0..count).map(|_| {
            let name = *random.choice(&parts).unwrap();
            name.repeat(random.usize(1..4))
        });
        keys.push(names.collect::<Vec<_>>().join("/"));
    }
    // With the three bytes of its number the last one is too long.
    for bytes in [1020, 1021, 1022] {
        let deep = format!("/{}", "ab/".repeat(400));
        keys.push(deep[..bytes - 1].to_owned() + "z");
        let wide = "/".to_owned() + &("é".repeat(127) + "/").repeat(3);
        keys.push(wide.clone() + &"y".repeat(bytes - wide.len()));
    }
    keys.push("y".repeat(251));
    let numbered = keys.into_iter().enumerate();
    numbered
        .map(|(number, key)| format!("n{number:02}{key}"))
        .collect()
}

#[tokio::test]
async fn what_a_bucket_is_said_to_take_it_takes_by_that_name() {
    let bucket = Weed::shared().bucket();
    let settings = StoreSettings::from(bucket.settings());
    let keys = settings.keys();
    let to = Destination::connect(&settings).await.unwrap();
    let (mut taken, mut refused) = (BTreeSet::new(), 0);
    let mut odd = Vec::new();
    for key in odd_keys() {
        // No object is given one of these.
        if keys.take(&key).is_err() {
            refused += 1;
            continue;
        }
        let sent = to.publish(&[object(&key, key.clone().into_bytes())]).await;
        match &sent[0] {
            Ok(()) => {
                taken.insert(key);
            }
            Err(error) => odd.push(format!("{key:?}: {error}")),
        }
    }
    assert!(odd.is_empty(), "{odd:#?}");
    // This store takes a part without a name, and leaves it out; S3 itself keeps it.
    let named = |keys: Vec<String>| -> BTreeSet<String> {
        keys.iter().map(|key| key.replace("//", "/")).collect()
    };
    let (found, taken) = (named(bucket.keys()), named(taken.into_iter().collect()));
    let missing: Vec<_> = taken.difference(&found).collect();
    let strange: Vec<_> = found.difference(&taken).collect();
    assert!(
        missing.is_empty() && strange.is_empty(),
        "{missing:#?} {strange:#?}"
    );
    assert!(
        refused >= 5 && taken.len() > 70,
        "{} and {refused}",
        taken.len()
    );
    say(&format!(
        "keys: {} taken by a bucket, {refused} refused before",
        taken.len()
    ));
}
