//! No partition cliff: as many partitions as records have keys, in bounded memory, and one object
//! for each.
//!
//! By hand: `FIREHOSE_PARTITIONS=100000 cargo test --test it partitions`.

use crate::support::daemon::Site;
use crate::support::http::Connection;
use crate::support::lake;
use crate::support::settings::{CLICKS, ToFolder};

const MEMORY_LIMIT_MIB: u64 = 256;

#[test]
fn every_partition_becomes_one_object_in_one_interval_and_memory_stays_bounded() {
    let partitions =
        std::env::var("FIREHOSE_PARTITIONS").map_or(20_000, |text| text.parse::<usize>().unwrap());
    let keys = ToFolder {
        stream: "keys",
        query: "{key: .key}",
        prefix: "data/key=!{partitionKeyFromQuery:key}/",
        ..CLICKS
    };
    let site = Site::new(&format!(
        "memory_limit = \"{MEMORY_LIMIT_MIB}MiB\"\nshutdown_grace = \"600s\"\n{}",
        keys.settings()
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
        peak < 2 * MEMORY_LIMIT_MIB * 1024 * 1024,
        "{} MiB resident at memory_limit = {MEMORY_LIMIT_MIB} MiB",
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
