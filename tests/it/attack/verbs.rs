//! The verbs of `firehose state` over what a kill has left between publishing and its record: none makes a second
//! copy of a record, nor says of one that it is not delivered.

use std::fs;

use firehose::config::StoreSettings;
use firehose::destination::{Destination, S3Settings};

use super::alarms::{CLICKS, Clicks, left_behind, waiting};
use super::keys::{bucket_settings, put_megabytes_until_killed, put_until_killed};
use crate::destination::object;
use crate::support::campaign::say;
use crate::support::daemon::Site;
use crate::support::lake;
use crate::support::proxy::Proxy;
use crate::support::servers::{Bucket, Weed};

/// The same site with another folder.
const ELSEWHERE: Clicks<'_> = Clicks {
    lake: "other",
    ..CLICKS
};

/// A site on which the only object is published, and the state does not know.
fn unrecorded() -> (Site, String) {
    let site = CLICKS.site();
    let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", "published-before-record:1")]);
    daemon.alive();
    put_until_killed(&site, &mut daemon);
    let key = waiting(&site);
    assert!(site.path("lake").join(&key).exists());
    (site, key)
}

/// The lines of both folders.
fn all_lines(site: &Site) -> usize {
    let lakes = ["lake", "other"].into_iter();
    lakes
        .map(|it| lake::lines(&site.path(it), "data").len())
        .sum()
}

#[test]
fn what_was_published_and_not_recorded_goes_to_no_other_folder() {
    let (site, _) = unrecorded();
    site.configure(&ELSEWHERE.settings());
    let retarget = ["state", "retarget", "clicks"];
    // As long as the folder is away nobody knows.
    fs::rename(site.path("lake"), site.path("away")).unwrap();
    let told = site.command(&retarget).refused(2);
    assert!(
        told.contains("may be published already") && told.contains("--unasked"),
        "{told}"
    );
    fs::rename(site.path("away"), site.path("lake")).unwrap();
    let told = site.command(&retarget).done();
    assert!(
        told.contains("1 objects are published already") && told.contains("0 sealed objects go"),
        "{told}"
    );
    site.start().drain();
    assert_eq!(all_lines(&site), 1, "{told}");
    say("verbs: 1 record published and not recorded, once after a change of folder");
}

#[test]
fn what_was_published_and_not_recorded_is_recorded_when_it_is_discarded() {
    let (site, key) = unrecorded();
    let discard = ["state", "discard", "clicks", "--object", &key, "--yes"];
    fs::rename(site.path("lake"), site.path("away")).unwrap();
    let told = site.command(&discard).refused(2);
    assert!(told.contains("--unasked"), "{told}");
    assert_eq!(waiting(&site), key);
    fs::rename(site.path("away"), site.path("lake")).unwrap();
    let told = site.command(&discard).done();
    assert!(told.contains("is published already"), "{told}");
    assert!(!site.path("state/clicks/discarded").exists(), "{told}");
    site.start().drain();
    assert_eq!(all_lines(&site), 1, "{told}");
}

/// A killed `discard` has left the object in the state, and its own file, which says that it is moving: what `retarget`
/// records as published is not moved aside.
#[test]
fn what_retarget_records_as_published_is_not_taken_for_moved_aside() {
    let (site, key) = unrecorded();
    fs::rename(site.path("lake"), site.path("away")).unwrap();
    let discard = ["state", "discard", "clicks", "--object", &key, "--yes"];
    let unasked = [&discard[..], &["--unasked"]].concat();
    site.command_killed_at("checkpoint-before-commit:1", &unasked);
    fs::rename(site.path("away"), site.path("lake")).unwrap();
    site.configure(&ELSEWHERE.settings());
    let told = site.command(&["state", "retarget", "clicks"]).done();
    assert!(told.contains("1 objects are published already"), "{told}");
    let listed = site.command(&["state", "list"]).done();
    assert!(!listed.contains("moved aside"), "{listed}");
    site.start().drain();
    assert_eq!(all_lines(&site), 1, "{listed}");
}

#[test]
fn what_was_published_and_not_recorded_goes_to_no_other_bucket() {
    let [old, new] = [(); 2].map(|()| Weed::shared().bucket());
    for is_large in [false, true] {
        let interval = if is_large { "1h" } else { "0s" };
        let site = Site::new(&bucket_settings(&old, interval));
        let failpoint = if is_large {
            "upload-after-complete:1"
        } else {
            "publish-after-put:1"
        };
        let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", failpoint)]);
        daemon.alive();
        if is_large {
            put_megabytes_until_killed(&site, &mut daemon, 20);
        } else {
            put_until_killed(&site, &mut daemon);
        }
        let key = waiting(&site);
        assert!(old.keys().contains(&key), "{key}");
        site.configure(&bucket_settings(&new, interval));
        let told = site.command(&["state", "retarget", "clicks"]).done();
        assert!(told.contains("1 objects are published already"), "{told}");
        site.start().drain();
        assert!(!new.keys().contains(&key), "{told}");
    }
}

/// What completes it may be on its way still: that its object is not there says nothing before it is aborted.
#[test]
fn an_object_whose_upload_cannot_be_aborted_goes_nowhere_unasked() {
    let [old, new] = [(); 2].map(|()| Weed::shared().bucket());
    let proxy = Proxy::start(Weed::shared().address(), 1, &[]);
    let settings = |bucket: &Bucket| {
        bucket_settings(bucket, "1h").replace(&bucket.endpoint, &proxy.endpoint())
    };
    let site = Site::new(&settings(&old));
    let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", "upload-after-part:1")]);
    daemon.alive();
    put_megabytes_until_killed(&site, &mut daemon, 20);
    let key = waiting(&site);
    let discard = ["state", "discard", "clicks", "--object", &key, "--yes"];
    let retarget = ["state", "retarget", "clicks"];
    proxy.refuse("DELETE", "uploadId=");
    let told = site.command(&discard).refused(2);
    assert!(
        told.contains("may still complete") && told.contains("--unasked"),
        "{told}"
    );
    site.configure(&settings(&new));
    let told = site.command(&retarget).refused(2);
    assert!(
        told.contains("may still complete") && told.contains("--unasked"),
        "{told}"
    );
    assert_eq!(waiting(&site), key);
    assert_eq!(old.uploads().len(), 1);
    proxy.calm();
    let told = site.command(&retarget).done();
    assert!(told.contains("1 sealed objects go"), "{told}");
    assert_eq!(old.uploads(), [""; 0]);
    site.start().drain();
    assert!(new.keys().contains(&key) && !old.keys().contains(&key));
}

/// A HEAD does not tell a missing bucket from a missing object.
#[tokio::test]
async fn a_bucket_that_is_not_there_does_not_say_that_an_object_is_not() {
    let bucket = Weed::shared().bucket();
    let settings = |name: &str| {
        StoreSettings::from(S3Settings {
            bucket: name.to_owned(),
            ..bucket.settings()
        })
    };
    let one = object("data/one", &b"bytes"[..]);
    let there = Destination::reopen(&settings(&bucket.name)).await.unwrap();
    assert_eq!(there.holds(&one).await, Ok(false));
    there.publish(std::slice::from_ref(&one)).await[0]
        .clone()
        .unwrap();
    assert_eq!(there.holds(&one).await, Ok(true));
    let nowhere = Destination::reopen(&settings("no-such-bucket")).await;
    let answer = nowhere.unwrap().holds(&one).await;
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn what_was_moved_aside_is_told_wherever_a_state_is_said_to_hold_nothing() {
    let site = CLICKS.site();
    left_behind(&site);
    let key = waiting(&site);
    let object = ["state", "discard", "clicks", "--object", &key, "--yes"];
    site.command(&object).done();
    fs::remove_file(site.path("lake/data")).unwrap();
    let aside = "nothing undelivered but 1 objects that were moved aside (1 records)";
    let listed = site.command(&["state", "list"]).done();
    let place = format!("moved aside, not delivered: {key}, 1 records, in ");
    assert!(
        listed.contains(aside) && listed.contains(&place),
        "{listed}"
    );
    let drained = site.command(&["state", "drain", "clicks"]).done();
    assert!(drained.contains(aside), "{drained}");

    // The config does not name it any more; its heir has begun with as little.
    let renamed = CLICKS.settings().replace("stream.clicks", "stream.heir");
    site.configure(&renamed);
    site.start().drain();
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(
        log.contains("lies beside its state") && log.contains(aside),
        "{log}"
    );
    assert!(!log.contains("may be removed"), "{log}");
    let discard = ["state", "discard", "clicks"];
    let told = site.command(&discard).refused(2);
    assert!(told.contains(aside), "{told}");
    fs::rename(site.path("state/clicks"), site.path("state/old")).unwrap();
    fs::rename(site.path("state/heir"), site.path("state/begun")).unwrap();
    fs::rename(site.path("state/old"), site.path("state/heir")).unwrap();
    let told = site.command(&["state", "adopt", "begun", "heir"]).done();
    assert!(told.contains(aside), "{told}");
}

/// The key has what a shell would take apart.
#[test]
fn the_command_that_puts_an_object_back_works_as_it_stands() {
    let settings = CLICKS.settings();
    let odd = settings.replace("prefix = \"data/\"", "prefix = \"data/it's here/\"");
    assert_ne!(odd, settings);
    let site = Site::new(&odd);
    left_behind(&site);
    let key = waiting(&site);
    assert!(key.starts_with("data/it's here/"), "{key}");
    let discard = ["state", "discard", "clicks", "--object", &key, "--yes"];
    site.command(&discard).done();
    fs::remove_file(site.path("lake/data")).unwrap();
    let listed = site.command(&["state", "list"]).done();
    site.follow(&listed, "retry").done();
    assert!(site.path("lake").join(&key).exists(), "{listed}");
}

#[test]
fn an_object_that_waits_for_another_folder_is_told_so() {
    let site = CLICKS.site();
    left_behind(&site);
    let key = waiting(&site);
    let discard = ["state", "discard", "clicks", "--object", &key, "--yes"];
    site.command(&discard).done();
    site.configure(&ELSEWHERE.settings());
    for _ in 0..2 {
        let retry = ["state", "retry", "clicks", "--object", &key];
        let told = site.command(&retry).refused(2);
        assert!(
            told.contains("waits for folder:") && told.contains("state retarget clicks"),
            "{told}"
        );
    }
}

/// The bucket's owner, or a rule of it, has aborted the upload that the state names.
#[test]
fn an_upload_that_has_vanished_is_begun_anew_by_retry() {
    let bucket = Weed::shared().bucket();
    let site = Site::new(&bucket_settings(&bucket, "1h"));
    let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", "upload-after-part:1")]);
    daemon.alive();
    let records = put_megabytes_until_killed(&site, &mut daemon, 20);
    let key = waiting(&site);
    bucket.abort_uploads();
    let told = site.command(&["state", "retry", "clicks"]).done();
    assert!(told.contains("1 of 1 objects are published"), "{told}");
    let bytes = bucket.get(&key).unwrap().bytes;
    let lines = memchr::memchr_iter(b'\n', &bytes).count();
    site.start().drain();
    let keys = bucket.keys().into_iter();
    let others: Vec<String> = keys
        .filter(|it| it.starts_with("data/") && *it != key)
        .collect();
    let rest: usize = others
        .iter()
        .map(|key| bucket.get(key).unwrap().bytes)
        .map(|bytes| memchr::memchr_iter(b'\n', &bytes).count())
        .sum();
    assert_eq!(lines + rest, records, "{key} and {others:?}");
    assert_eq!(bucket.uploads(), [""; 0]);
}

/// As a version may have fixed it that made such keys: the store is the judge.
#[tokio::test]
async fn a_key_that_would_not_be_given_now_is_still_sent_to_its_bucket() {
    let bucket = Weed::shared().bucket();
    let settings = StoreSettings::from(bucket.settings());
    let key = "data/./one";
    assert!(settings.keys().take(key).is_err());
    let to = Destination::connect(&settings).await.unwrap();
    let sent = to.publish(&[object(key, &b"bytes"[..])]).await;
    let answer = format!("{sent:?}");
    assert!(!answer.contains("cannot be used"), "{answer}");
    say(&format!("verbs: a bucket's answer to {key}: {answer}"));
}

/// The verbs die on either side of their transaction, the daemon runs, a reader takes away what it finds, and
/// whatever is still moved aside is put back: the object comes once.
#[test]
fn an_object_that_a_killed_verb_was_moving_comes_once() {
    let mut kills = 0;
    for side in ["checkpoint-before-commit:1", "checkpoint-after-commit:1"] {
        for is_returning in [false, true] {
            let site = CLICKS.site();
            left_behind(&site);
            let key = waiting(&site);
            let discard = ["state", "discard", "clicks", "--object", &key, "--yes"];
            let retry = ["state", "retry", "clicks", "--object", &key];
            fs::remove_file(site.path("lake/data")).unwrap();
            if is_returning {
                site.command(&discard).done();
                site.command_killed_at(side, &retry);
            } else {
                site.command_killed_at(side, &discard);
            }
            site.start().drain();
            let before = lake::objects(&site.path("lake"), "data").len();
            let _ = fs::rename(site.path("lake/data"), site.path("taken"));
            // Refused where it is not moved aside any more.
            let told = format!("{:?}", site.command(&retry));
            site.start().drain();
            let after = lake::objects(&site.path("lake"), "data").len();
            assert_eq!(
                before + after,
                1,
                "{side}, returning: {is_returning}: {told}"
            );
            kills += 1;
        }
    }
    say(&format!("verbs: {kills} killed verbs, each object once"));
}
