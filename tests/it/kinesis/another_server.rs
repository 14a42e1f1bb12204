//! The same against a server by other hands, by polling and by enhanced fan-out.

use super::{FOLDER, deliver_all, settings};
use crate::support::daemon::Site;
use crate::support::http::metric;
use crate::support::kinesis::Stream;
use crate::support::kinesis_local::KinesisLocal;
use crate::support::oracle::Lake;

#[test]
fn another_server_is_read_by_polling_through_a_split_and_a_merge() {
    let server = KinesisLocal::start();
    let stream = server.stream("polling", 2);
    deliver(&stream, "polling", |stream, step| match step {
        0 => stream.split(1),
        _ => stream.merge(2),
    });
}

/// This server says nothing to a subscriber when a shard ends, so that none does here.
#[test]
fn another_server_pushes_by_fan_out_to_a_daemon_that_is_killed() {
    let server = KinesisLocal::start();
    let stream = server.stream("fan-out", 3);
    deliver(&stream, "enhanced-fan-out", |_, _| {});
}

/// Delivers a stream that a producer writes while the daemon is killed; `disturb` is called before and
/// after the kill.
fn deliver(stream: &Stream, consumer: &str, disturb: impl Fn(&Stream, u32)) {
    let table = stream.table(&stream.endpoint);
    let source = format!("{table}\nconsumer = \"{consumer}\"");
    let site = Site::new(&settings(&source, FOLDER));
    let producer = stream.produce(&site.path("ledger"), 7, 1, "0.2");
    let records = "firehose_kinesis_records_total{stream=\"clicks\"}";
    let is_read = || metric(site.address, records) > 20.0;
    let mut daemon = site.start();
    disturb(stream, 0);
    daemon.until("some records are read", is_read).unwrap();
    daemon.kill();
    disturb(stream, 1);
    let mut daemon = site.start();
    daemon.until("more records are read", is_read).unwrap();
    producer.finish();
    deliver_all(&site, daemon, Lake::Folder(&site.path("lake")));
}
