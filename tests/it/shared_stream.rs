//! A stream that may be shared, read by one daemon: no state of its machine counts, only what the lease
//! table and the bucket have.

use std::fs;

use crate::kinesis::{deliver_all, settings};
use crate::support::daemon::Site;
use crate::support::dynamodb::Dynalite;
use crate::support::http::metric;
use crate::support::kinesis::Kinesalite;
use crate::support::servers::Weed;

#[test]
fn a_restart_goes_on_from_the_lease_table_and_loses_and_doubles_nothing() {
    let (stream, table) = (Kinesalite::shared().stream(2), Dynalite::shared().table());
    let bucket = Weed::shared().bucket();
    let source = format!(
        "{}\n{}\nfailover = \"2s\"",
        stream.table(&stream.endpoint),
        table.lines(&table.endpoint)
    );
    let site = Site::new(&settings(&source, &bucket.table(&bucket.endpoint)));
    let producer = stream.produce(&site.path("ledger"), 1, 2, "0.05");
    for _ in 0..2 {
        let mut daemon = site.start();
        let checkpoints = || {
            let name = "firehose_shared_checkpoints_total{stream=\"clicks\"}";
            metric(site.address, name) > 5.0
        };
        daemon.until("checkpoints are made", checkpoints).unwrap();
        daemon.drain();
        for shard in ["shardId-000000000000", "shardId-000000000001"] {
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
