//! Uploads of batches that still fill, and what may become of them.

use std::fs;
use std::ops::Range;
use std::path::Path;

use firehose::checkpoint::{CheckpointStore, Commit, STORE};
use firehose::disk::HostDisk;

use crate::support::daemon::Site;
use crate::support::http::post_records;
use crate::support::servers::{Bucket, Weed};

/// Bytes of a record: nine of them are more than one part of an upload.
const RECORD: usize = 1_000_000;

#[test]
fn an_upload_that_vanishes_while_its_batch_fills_is_begun_anew() {
    let bucket = Weed::shared().bucket();
    let site = Site::new(&settings(&bucket));
    let mut daemon = site.start();
    let mut sent = send(&site, 0..9);
    let has_part = || bucket.parts() == 1;
    daemon.until("a part has arrived", has_part).unwrap();
    let lost = bucket.uploads();
    bucket.abort_uploads();
    sent.extend(send(&site, 9..18));
    let has_parts = || {
        let (parts, uploads) = (bucket.parts(), bucket.uploads());
        let is_so = parts == 2 && uploads != lost;
        if !is_so {
            println!("{parts} parts of {uploads:?}, of which {lost:?} is lost");
            // A step that a busy store has failed is taken again with a later checkpoint, which needs something new.
            sent.extend(send_small(&site));
        }
        is_so
    };
    daemon.until("both parts have arrived", has_parts).unwrap();

    daemon.drain();
    holds_one_object(&bucket, &sent);
}

#[test]
fn what_waits_for_another_bucket_moves_whole_and_its_upload_is_given_up() {
    let [old, new] = [(); 2].map(|()| Weed::shared().bucket());
    let site = Site::new(&settings(&old));
    let mut daemon = site.start();
    let sent = send(&site, 0..9);
    // A part goes when a checkpoint names the upload.
    let has_part = || old.parts() == 1;
    daemon.until("a part has arrived", has_part).unwrap();
    daemon.kill();

    site.configure(&settings(&new));
    let told = site.command(&["state", "retarget", "clicks"]).done();
    assert!(told.contains("1 open batches"), "{told}");
    assert_eq!(old.uploads(), [""; 0]);

    site.start().drain();
    assert_eq!(objects(&old), [""; 0]);
    holds_one_object(&new, &sent);
}

#[test]
fn discarded_state_gives_up_its_uploads_or_names_those_it_cannot_reach() {
    let bucket = Weed::shared().bucket();
    let site = Site::new(&settings(&bucket));
    let mut daemon = site.start();
    send(&site, 0..9);
    let has_part = || bucket.parts() == 1;
    daemon.until("a part has arrived", has_part).unwrap();
    daemon.kill();

    // Without the stream, the config does not say how to reach the bucket.
    let named = settings(&bucket);
    site.configure(&named.replace("stream.clicks", "stream.other"));
    let discard = ["state", "discard", "clicks", "--yes"];
    let told = site.command(&discard).done();
    let [upload] = &bucket.uploads()[..] else {
        panic!("not one upload: {:?}", bucket.uploads())
    };
    let left = format!("upload {upload} of s3://{}/data/", bucket.name);
    assert!(
        told.contains(&left) && told.contains("stays behind"),
        "{told}"
    );

    let (_, aside) = told.trim_end().rsplit_once("set aside as ").unwrap();
    fs::rename(site.path(aside), site.path("state/clicks")).unwrap();
    site.configure(&named);
    site.command(&["state", "discard", "clicks"]).refused(2);
    assert_eq!(bucket.uploads().len(), 1);
    let told = site.command(&discard).done();
    assert!(!told.contains("stays behind"), "{told}");
    assert_eq!(bucket.uploads(), [""; 0]);
}

#[test]
fn a_batch_of_which_nothing_is_left_gives_up_its_upload() {
    let bucket = Weed::shared().bucket();
    let site = Site::new(&settings(&bucket));
    let mut daemon = site.start();
    send(&site, 0..9);
    let has_part = || bucket.parts() == 1;
    daemon.until("a part has arrived", has_part).unwrap();
    daemon.kill();
    let lost = bucket.uploads();
    assert_eq!(lost.len(), 1);
    // As it is when the disk has damaged all that was in it.
    let disk = HostDisk::new(site.path("state/clicks")).unwrap();
    let (store, mut found) = CheckpointStore::open(&disk, Path::new(STORE), 0).unwrap();
    let mut row = found.open.remove(0);
    assert!(row.upload_id.is_some());
    (row.records, row.sealing) = (0, true);
    row.blocks.clear();
    let commit = Commit {
        open: vec![row],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    drop(store);
    let mut daemon = site.start();
    let is_aborted = || !bucket.uploads().contains(&lost[0]);
    daemon.until("its upload is aborted", is_aborted).unwrap();
    daemon.drain();
    assert_eq!(bucket.uploads(), [""; 0]);
}

/// Sends one record a request; returns them as they must lie in the object.
fn send(site: &Site, numbers: Range<u32>) -> Vec<u8> {
    let mut sent = Vec::new();
    for n in numbers {
        let record = format!("{{\"n\":{n},\"pad\":\"{}\"}}\n", "x".repeat(RECORD));
        let reply = post_records(site.address, "clicks", record.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        sent.extend_from_slice(record.as_bytes());
    }
    sent
}

/// Sends a record that makes no part full; returns it as it must lie in the object.
fn send_small(site: &Site) -> &'static [u8] {
    let record = b"{\"n\":0}\n";
    let reply = post_records(site.address, "clicks", record).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    record
}

fn holds_one_object(bucket: &Bucket, bytes: &[u8]) {
    let [key] = &objects(bucket)[..] else {
        panic!("not one object: {:?}", bucket.keys())
    };
    assert!(bucket.get(key).unwrap().bytes == bytes, "the bytes differ");
    assert_eq!(bucket.uploads(), [""; 0]);
}

fn objects(bucket: &Bucket) -> Vec<String> {
    let mut keys = bucket.keys();
    keys.retain(|key| key.starts_with("data/"));
    keys
}

fn settings(bucket: &Bucket) -> String {
    format!(
        r#"
state_dir = "state"

[stream.clicks.source]
type = "direct-put"

[stream.clicks.buffering]
size = "64MiB"
interval = "900s"

[stream.clicks.format]
type = "json"
compression = "none"

[stream.clicks.destination]
{}
prefix = "data/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
"#,
        bucket.table(&bucket.endpoint)
    )
}
