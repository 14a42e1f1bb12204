//! What a person sees of a stream from Kinesis.

use std::fs;

use serde_json::Value;

use super::lines;
use crate::support::daemon::Site;
use crate::support::http::{get, metric, post_records, put_record};
use crate::support::kinesis::Kinesalite;
use crate::support::lake;

/// Answers a record that begins with `o` by a part of its origin.
const ORIGIN: &str = include_str!("../../../src/transform/tests/guest.wat");

#[test]
fn aggregates_become_their_records_and_positions_are_kept_and_shown() {
    let stream = Kinesalite::shared().stream(1);
    let site = Site::new(&lines(&stream.table(&stream.endpoint)));
    stream.put(b"plain");
    stream.aggregate("one\ntwo\nthree");
    stream.put(b"\xF3\x89\x9A\xC2 is no aggregate");
    let mut daemon = site.start();
    let count = |name: &str| {
        let name = format!("firehose_kinesis_{name}{{stream=\"clicks\"}}");
        metric(site.address, &name).to_string()
    };
    let lake = site.path("lake");
    let is_there = || lake::lines(&lake, "data").len() == 5;
    daemon.until("all is delivered", is_there).unwrap();
    assert_eq!(count("aggregates_total"), "1");
    assert_eq!(count("broken_aggregates_total"), "1");
    assert_eq!(count("records_total"), "3");
    assert_eq!(count("fresh_starts_total"), "1");
    assert_eq!(count("open_shards"), "1");
    daemon.drain();
    let shown = site.command(&["state", "list"]).done();
    assert!(
        shown.contains(&format!("stream/{}", stream.name)),
        "{shown}"
    );
    assert!(shown.contains("shardId-000000000000: 49"), "{shown}");
    assert!(shown.contains("ago)"), "{shown}");
    // The next process reads on behind the position.
    stream.put(b"later");
    let mut daemon = site.start();
    let later = || lake::lines(&lake, "data").len() == 6;
    daemon.until("what came later is delivered", later).unwrap();
    assert_eq!(count("fresh_starts_total"), "0");
    daemon.drain();
    let mut delivered = lake::lines(&lake, "data");
    delivered.sort();
    let mut expected: Vec<&[u8]> = vec![b"plain", b"one", b"two", b"three", b"later"];
    expected.push(b"\xF3\x89\x9A\xC2 is no aggregate");
    expected.sort_unstable();
    assert_eq!(delivered, expected);
}

#[test]
fn latest_begins_at_the_first_start_and_not_at_later_ones() {
    let stream = Kinesalite::shared().stream(1);
    let table = stream.table(&stream.endpoint);
    let site = Site::new(&lines(&format!("{table}\nstart = \"latest\"")));
    stream.put(b"before");
    let mut daemon = site.start();
    let asked = || {
        metric(
            site.address,
            "firehose_kinesis_requests_total{stream=\"clicks\"}",
        ) > 0.0
    };
    daemon.until("the shard is read", asked).unwrap();
    daemon.drain();
    // Nothing was read, so that there is no position; but the start is kept.
    stream.put(b"while it was down");
    let mut daemon = site.start();
    let lake = site.path("lake");
    let is_there = || !lake::lines(&lake, "data").is_empty();
    daemon.until("it is delivered", is_there).unwrap();
    daemon.drain();
    assert_eq!(lake::lines(&lake, "data"), [b"while it was down"]);
}

#[test]
fn a_stream_from_kinesis_takes_no_puts_and_describes_itself() {
    let stream = Kinesalite::shared().stream(1);
    let site = Site::new(&lines(&stream.table(&stream.endpoint)));
    let daemon = site.start();
    let reply = put_record(site.address, "clicks", b"x").unwrap();
    assert_eq!(reply.status, 400);
    let told = reply.text();
    assert!(told.contains("InvalidArgumentException"), "{told}");
    assert!(
        told.contains("not permitted on KinesisStreamAsSource"),
        "{told}"
    );
    let reply = post_records(site.address, "clicks", b"x").unwrap();
    assert_eq!(reply.status, 400);
    assert!(
        reply.text().contains("reads from Kinesis"),
        "{}",
        reply.text()
    );
    let described = describe(&site);
    assert_eq!(described["DeliveryStreamType"], "KinesisStreamAsSource");
    let source = &described["Source"]["KinesisStreamSourceDescription"];
    let arn = source["KinesisStreamARN"].as_str().unwrap();
    assert!(arn.ends_with(&format!("stream/{}", stream.name)), "{arn}");
    assert_eq!(get(site.address, "/readyz").unwrap().status, 200);
    daemon.drain();
}

fn describe(site: &Site) -> Value {
    use crate::support::http::Connection;
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "Firehose_20150804.DescribeDeliveryStream"),
    ];
    let body = br#"{"DeliveryStreamName":"clicks"}"#;
    let mut connection = Connection::open(site.address).unwrap();
    let reply = connection.request("POST", "/", &headers, body).unwrap();
    let reply: Value = serde_json::from_slice(&reply.body).unwrap();
    reply["DeliveryStreamDescription"].clone()
}

#[test]
fn a_module_sees_shard_sequence_number_and_partition_key() {
    let stream = Kinesalite::shared().stream(1);
    let transform = "[[stream.clicks.transform]]\nmodule = \"origin.wasm\"\n";
    let table = stream.table(&stream.endpoint);
    let site = Site::new(&format!("{}\n{transform}", lines(&table)));
    let wasm = wat::parse_str(ORIGIN).unwrap();
    fs::write(site.path("origin.wasm"), wasm).unwrap();
    stream.put(b"oo");
    let put = stream.put(b"ooo");
    stream.put(b"ooooo");
    stream.aggregate("x\nooooo");
    let mut daemon = site.start();
    let lake = site.path("lake");
    let is_there = || lake::lines(&lake, "data").len() == 5;
    daemon.until("it is delivered", is_there).unwrap();
    daemon.drain();
    let sequence = put["SequenceNumber"].as_str().unwrap();
    let expected = ["shardId-000000000000", sequence, "key", "x", "key-1"];
    assert_eq!(lake::lines(&lake, "data"), expected.map(str::as_bytes));
}

#[test]
fn what_an_orphan_of_kinesis_holds_is_delivered_like_another_stream() {
    let stream = Kinesalite::shared().stream(1);
    let site = Site::new("");
    let patient = |settings: &str| settings.replace("interval = \"0s\"", "interval = \"900s\"");
    site.configure(&patient(&lines(&stream.table(&stream.endpoint))));
    stream.put(b"open when it ended");
    let mut daemon = site.start();
    let is_open = || metric(site.address, "firehose_open_partitions{stream=\"clicks\"}") > 0.0;
    daemon.until("it is in a batch", is_open).unwrap();
    let checkpoints = "firehose_checkpoint_seconds_count{stream=\"clicks\"}";
    // One may have been on its way already; the next one has it.
    let enough = metric(site.address, checkpoints) + 2.0;
    let is_kept = || {
        stream.put(b"and another");
        metric(site.address, checkpoints) >= enough
    };
    daemon.until("a checkpoint has it", is_kept).unwrap();
    daemon.kill();
    let other = lines("type = \"direct-put\"").replace("stream.clicks", "stream.other");
    site.configure(&other);
    let told = site.command(&["state", "drain", "clicks", "--like", "other"]);
    let told = told.done();
    assert!(told.contains("holds nothing undelivered"), "{told}");
    let delivered = lake::lines(&site.path("lake"), "data");
    assert_eq!(delivered.first().unwrap(), b"open when it ended");
}

#[test]
fn aggregates_within_aggregates_are_taken_apart_in_the_order_of_firehose() {
    let stream = Kinesalite::shared().stream(1);
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/transforms/deaggregate.wasm");
    let transform = format!(
        "[[stream.clicks.transform]]\nmodule = \"{module}\"\n\
         [stream.clicks.transform.config]\ntype = \"json\"\n"
    );
    let table = stream.table(&stream.endpoint);
    let site = Site::new(&format!("{}\n{transform}", lines(&table)));
    stream.aggregate("{\"n\":1}{\"n\":2}\n{\"n\":3} {\"n\":4}\n[5]");
    let mut daemon = site.start();
    let lake = site.path("lake");
    let is_there = || {
        let data = lake::lines(&lake, "data").len();
        data == 4 && !lake::objects(&lake, "errors").is_empty()
    };
    daemon.until("it is delivered", is_there).unwrap();
    daemon.drain();
    let expected = [1, 2, 3, 4].map(|n| format!("{{\"n\":{n}}}").into_bytes());
    assert_eq!(lake::lines(&lake, "data"), expected);
    let failed = lake::lines(&lake, "errors/processing-failed");
    let failed: Value = serde_json::from_slice(&failed[0]).unwrap();
    assert_eq!(failed["subSequenceNumber"], 2, "{failed}");
    assert_eq!(failed["rawData"], "WzVd", "{failed}");
}
