//! Uploads of batches that still fill, and what may become of them.

use std::ops::Range;
use std::process::Command;

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
    let has_parts = || bucket.parts() == 2;
    daemon.until("both parts have arrived", has_parts).unwrap();
    assert_ne!(bucket.uploads(), lost);

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
    let retarget = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["state", "retarget", "clicks", "--config", "firehose.toml"])
        .current_dir(site.path(""))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&retarget.stdout);
    assert!(retarget.status.success(), "{retarget:?}");
    assert!(told.contains("1 open batches"), "{told}");
    assert_eq!(old.uploads(), [""; 0]);

    site.start().drain();
    assert_eq!(objects(&old), [""; 0]);
    holds_one_object(&new, &sent);
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
type = "s3"
bucket = "{}"
region = "us-east-1"
endpoint = "{}"
access_key_id = "{}"
secret_access_key = "{}"
prefix = "data/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
"#,
        bucket.name, bucket.endpoint, bucket.access_key_id, bucket.secret_access_key
    )
}
