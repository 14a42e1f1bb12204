//! No partition cliff: as many partitions as records have keys, in bounded memory, and one object
//! for each.
//!
//! By hand: `FIREHOSE_PARTITIONS=100000 cargo test --test it partitions`.

use crate::support::daemon::Site;
use crate::support::http::Connection;
use crate::support::lake;
use crate::support::settings::{CLICKS, ToFolder};

const KEYS: ToFolder<'_> = ToFolder {
    stream: "keys",
    query: "{key: .key}",
    prefix: "data/key=!{partitionKeyFromQuery:key}/",
    ..CLICKS
};

#[test]
fn every_partition_becomes_one_object_in_one_interval_and_memory_stays_bounded() {
    let partitions =
        std::env::var("FIREHOSE_PARTITIONS").map_or(20_000, |text| text.parse::<usize>().unwrap());
    each_becomes_one_object(partitions, 256, &KEYS.settings());
}

#[test]
fn a_busy_stream_takes_the_memory_that_an_idle_one_leaves() {
    // Half of what there is for batches, 12 MiB, would not hold the index of the partitions: some
    // would be sealed early.
    let idle = "
[stream.idle.source]
type = \"direct-put\"

[stream.idle.destination]
type = \"folder\"
path = \"idle\"
";
    each_becomes_one_object(20_000, 96, &(KEYS.settings() + idle));
}

/// Pages of the program itself that a build for tests has in memory beyond those of a release: 50 MiB after a first object
/// (`RssFile`), where a release has 20 after its start. They grow with each feature.
const PROGRAM_MIB: u64 = 16;

/// Sends two records for each partition, the second ones after all of the first, and drains.
fn each_becomes_one_object(partitions: usize, memory_limit_mib: u64, streams: &str) {
    let site = Site::new(&format!(
        "memory_limit = \"{memory_limit_mib}MiB\"\nshutdown_grace = \"600s\"\n{streams}"
    ));
    let daemon = site.start();
    let mut connection = Connection::open(site.address).unwrap();
    // Two rounds, so that every partition is met again after all the others.
    for round in 0..2 {
        for keys in (0..partitions).collect::<Vec<_>>().chunks(1000) {
            let mut body = String::new();
            for key in keys {
                body.push_str(&event(&format!("k{key}"), round));
            }
            let reply = connection
                .request("POST", "/streams/keys/records", &[], body.as_bytes())
                .unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    let peak = daemon.drain_measured();
    let objects = lake::objects(&site.path("lake"), "");
    assert_eq!(objects.len(), partitions, "one object for each partition");
    for object in objects {
        let dir = object
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let key = dir.strip_prefix("key=").unwrap();
        let text = std::fs::read_to_string(&object).unwrap();
        let expected = [0, 1].map(|round| event(key, round));
        assert_eq!(text, expected.concat());
    }
    assert!(
        peak < (2 * memory_limit_mib + PROGRAM_MIB) * 1024 * 1024,
        "{} MiB resident at memory_limit = {memory_limit_mib} MiB",
        peak / 1024 / 1024
    );
}

/// One record and its line feed.
fn event(key: &str, round: u32) -> String {
    format!(
        "{{\"key\":\"{key}\",\"round\":{round},\"pad\":\"{:300}\"}}\n",
        ""
    )
}
