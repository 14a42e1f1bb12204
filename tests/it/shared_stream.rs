//! A stream that may be shared, read by one daemon: no state of its machine counts, only what the lease
//! table and the bucket have.

use std::fs;

use crate::kinesis::{deliver_all, settings};
use crate::support::daemon::Site;
use crate::support::dynamodb::{Dynalite, LeaseTable};
use crate::support::event::SCHEMA;
use crate::support::http::metric;
use crate::support::kinesis::{Kinesalite, Stream};
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::{Bucket, Weed};

const FIRST: &str = "shardId-000000000000";
const SECOND: &str = "shardId-000000000001";

/// What a shared stream is made of.
struct Servers {
    stream: Stream,
    table: LeaseTable,
    bucket: Bucket,
}

impl Servers {
    fn new(shards: u32) -> Self {
        Self {
            stream: Kinesalite::shared().stream(shards),
            table: Dynalite::shared().table(),
            bucket: Weed::shared().bucket(),
        }
    }

    fn settings(&self, store: &str) -> String {
        let Self { stream, table, .. } = self;
        let (kinesis, leases) = (stream.table(&stream.endpoint), table.lines(&table.endpoint));
        let source = format!("{kinesis}\n{leases}\nfailover = \"2s\"");
        settings(&source, &self.bucket.table(store))
    }
}

fn checkpoints(site: &Site) -> f64 {
    metric(
        site.address,
        "firehose_shared_checkpoints_total{stream=\"clicks\"}",
    )
}

#[test]
fn a_restart_goes_on_from_the_lease_table_and_loses_and_doubles_nothing() {
    let servers = Servers::new(2);
    let Servers {
        stream,
        table,
        bucket,
    } = &servers;
    let site = Site::new(&servers.settings(&bucket.endpoint));
    let producer = stream.produce(&site.path("ledger"), 1, 2, "0.05");
    for _ in 0..2 {
        let mut daemon = site.start();
        let are_made = || checkpoints(&site) > 5.0;
        daemon.until("checkpoints are made", are_made).unwrap();
        daemon.drain();
        for shard in [FIRST, SECOND] {
            let is = |name| table.attribute(shard, name);
            assert_eq!(is("leaseOwner"), "", "given back");
            assert_eq!(is("firehoseWaiting"), "0", "all is published");
            assert!(is("checkpoint").starts_with("49"), "{}", table.items());
        }
        assert_eq!(bucket.uploads(), [""; 0]);
        // Nothing that the next one needs is on this machine.
        fs::remove_dir_all(site.path("state")).unwrap();
    }
    let daemon = site.start();
    stream.split(1);
    producer.finish();
    deliver_all(&site, daemon, bucket.lake());
    let items = table.items();
    let ended = items.as_object().unwrap().values();
    let ended = ended.filter(|item| item["checkpoint"] == "SHARD_END");
    assert_eq!(ended.count(), 1, "{items}");
}

#[test]
fn parquet_of_a_shared_stream_survives_the_death_of_its_daemon() {
    let servers = Servers::new(2);
    let json = "type = \"json\"\ncompression = \"gzip\"";
    let parquet = format!("type = \"parquet\"\nschema = \"{SCHEMA}\"");
    let settings = servers.settings(&servers.bucket.endpoint);
    let site = Site::new(&settings.replace(json, &parquet));
    let producer = servers.stream.produce(&site.path("ledger"), 1, 2, "0.05");
    for made in [2.0, 9.0, 5.0] {
        let mut daemon = site.start();
        let are_made = || checkpoints(&site) > made;
        daemon.until("checkpoints are made", are_made).unwrap();
        daemon.kill();
    }
    producer.finish();
    deliver_all(&site, site.start(), servers.bucket.lake());
}

#[test]
fn what_cannot_be_published_in_time_is_left_to_the_next_holder() {
    let servers = Servers::new(1);
    let proxy = Proxy::start(Weed::shared().address(), 1, &[]);
    let settings = servers.settings(&proxy.endpoint());
    let site = Site::new(&settings.replace("\"100s\"", "\"6s\""));
    servers.stream.put(b"{\"id\":\"k0x1z\"}");
    let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", "shared-committed:1")]);
    daemon.wait_for_failpoint();
    // Uploads can be neither begun nor completed.
    for _ in 0..10_000 {
        proxy.next("POST", Fault::SlowDown);
    }
    let mut daemon = site.spawn(&[]);
    let is_tried = || proxy.counts().contains_key(&Fault::SlowDown);
    daemon.until("publishing is tried", is_tried).unwrap();
    daemon.drain();
    assert_eq!(servers.table.attribute(FIRST, "leaseOwner"), "");
    assert_eq!(servers.table.attribute(FIRST, "firehoseWaiting"), "2");
    assert_eq!(servers.bucket.uploads().len(), 2);
    proxy.calm();
    let mut daemon = site.start();
    let is_published = || servers.table.attribute(FIRST, "firehoseWaiting") == "0";
    daemon.until("all is published", is_published).unwrap();
    daemon.drain();
    assert_eq!(servers.bucket.uploads(), [""; 0]);
}
