//! A bucket that the config names no more while a batch waits for it.

use std::process::Command;

use crate::support::daemon::Site;
use crate::support::http::post_records;
use crate::support::servers::{Bucket, Weed};

/// Requests, and the length of the one record in each: more than one part of an upload.
const REQUESTS: usize = 11;
const RECORD: usize = 1_000_000;

#[test]
fn what_waits_for_another_bucket_moves_whole_and_its_upload_is_given_up() {
    let [old, new] = [(); 2].map(|()| Weed::shared().bucket());
    let site = Site::new(&settings(&old));
    let mut daemon = site.start();
    let mut sent = Vec::new();
    for n in 0..REQUESTS {
        let record = format!("{{\"n\":{n},\"pad\":\"{}\"}}\n", "x".repeat(RECORD));
        let reply = post_records(site.address, "clicks", record.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        sent.extend_from_slice(record.as_bytes());
    }
    // A part goes when a checkpoint names the upload.
    let has_part = || old.parts() > 0;
    daemon
        .until("a part has arrived while the batch fills", has_part)
        .unwrap();
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
    let [key] = &objects(&new)[..] else {
        panic!("not one object: {:?}", new.keys())
    };
    assert!(new.get(key).unwrap().bytes == sent, "the bytes differ");
    assert_eq!(new.uploads(), [""; 0]);
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
