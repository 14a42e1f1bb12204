//! Splits and merges under load, while the daemon is killed and while it is down.

use super::{FAILPOINTS, FOLDER, deliver_all, settings};
use crate::support::campaign::Campaign;
use crate::support::daemon::Site;
use crate::support::http::metric;
use crate::support::kinesis::Kinesalite;
use crate::support::oracle::Lake;
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::Weed;

/// What network and service do to a hundred requests.
const FAULTS: &[(Fault, usize)] = &[
    (Fault::InternalError, 3),
    (Fault::SlowDown, 2),
    (Fault::Throttled, 6),
    (Fault::ResetBefore, 2),
    (Fault::ResetAfter, 2),
    (Fault::ExpiredIterator, 2),
];

#[test]
fn a_stream_that_is_resharded_while_the_daemon_is_killed_is_delivered_once() {
    let server = Kinesalite::shared();
    let stream = server.stream(2);
    let site = Site::new("");
    let mut campaign = Campaign::new(&site, &[FAILPOINTS], 14);
    let proxy = Proxy::start(server.address(), campaign.seed, FAULTS);
    site.configure(&settings(&stream.table(&proxy.endpoint()), FOLDER));
    let producer = stream.produce(&site.path("ledger"), campaign.seed, 2, "0.05");
    let mut seed = campaign.seed;
    campaign.run_between(|number| {
        // While nobody reads; the next daemon finds what is left of the closed shards.
        seed += 1;
        if number % 3 < 2 {
            stream.split(seed);
        } else {
            stream.merge(seed);
        }
    });
    let mut daemon = site.start();
    stream.split(seed);
    stream.merge(seed);
    let is_read = || {
        metric(
            site.address,
            "firehose_kinesis_records_total{stream=\"clicks\"}",
        ) > 50.0
    };
    daemon.until("some records are read", is_read).unwrap();
    producer.finish();
    proxy.calm();
    let summary = deliver_all(&site, daemon, Lake::Folder(&site.path("lake")));
    campaign.report(&summary);
}

#[test]
fn s3_that_stalls_while_the_stream_is_resharded_holds_every_record_once() {
    let bucket = Weed::shared().bucket();
    let server = Kinesalite::start();
    let stream = server.stream(1);
    let site = Site::new("");
    let mix = [(Fault::SlowDown, 30), (Fault::ResetAfter, 10)];
    let proxy = Proxy::start(Weed::shared().address(), 1, &mix);
    let store = bucket.table(&proxy.endpoint());
    site.configure(&settings(&stream.table(&stream.endpoint), &store));
    let producer = stream.produce(&site.path("ledger"), 1, 2, "0.05");
    let daemon = site.spawn(&[]);
    stream.split(1);
    stream.split(2);
    // The server crashes, too: iterators and connections are gone.
    server.restart();
    stream.merge(3);
    producer.finish();
    proxy.calm();
    deliver_all(&site, daemon, bucket.lake());
}
