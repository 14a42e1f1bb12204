//! What goes wrong with the source itself: said in one sentence, tried again, and over by itself.

use super::lines;
use crate::support::daemon::Site;
use crate::support::http::{get, metric};
use crate::support::kinesis::Kinesalite;
use crate::support::lake;

#[test]
fn a_stream_that_is_not_there_is_named_and_read_once_it_is() {
    let stream = Kinesalite::shared().name();
    Kinesalite::shared().stream(1);
    let site = Site::new(&lines(&stream.table(&stream.endpoint)));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let told = || get(site.address, "/readyz").unwrap();
    let is_told = || {
        told()
            .text()
            .contains("check `stream`, `region` and `endpoint`")
    };
    daemon.until("the cause is told", is_told).unwrap();
    assert_eq!(told().status, 503);
    assert!(told().text().contains(&stream.name), "{}", told().text());
    stream.create(1);
    stream.put(b"x");
    daemon.ready().unwrap();
    let lake = site.path("lake");
    let is_there = || lake::lines(&lake, "data").len() == 1;
    daemon.until("it is delivered", is_there).unwrap();
    daemon.drain();
}

#[test]
fn an_endpoint_where_nobody_answers_is_a_stall_and_not_an_end() {
    let stream = Kinesalite::shared().name();
    let nowhere = format!("http://127.0.0.1:{}", crate::support::daemon::free_port());
    let site = Site::new(&lines(&stream.table(&nowhere)));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let is_told = || {
        let told = get(site.address, "/readyz").unwrap();
        told.status == 503
            && told
                .text()
                .contains("DescribeStreamSummary of Kinesis stream")
    };
    daemon.until("the cause is told", is_told).unwrap();
    daemon.drain();
}

#[test]
fn another_stream_under_the_same_name_is_a_loud_stop() {
    let stream = Kinesalite::shared().stream(1);
    let site = Site::new(&lines(&stream.table(&stream.endpoint)));
    stream.put(b"x");
    let mut daemon = site.start();
    let lake = site.path("lake");
    let is_there = || lake::lines(&lake, "data").len() == 1;
    daemon.until("it is delivered", is_there).unwrap();
    daemon.drain();
    stream.delete();
    stream.create(1);
    stream.put(b"of another stream");
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let is_stopped = || {
        let told = get(site.address, "/readyz").unwrap().text();
        told.contains("\"stopped\"") && told.contains("positions in one mean nothing in the other")
    };
    daemon.until("it has stopped", is_stopped).unwrap();
    assert_eq!(lake::lines(&lake, "data").len(), 1);
    daemon.terminate();
    // Nor may the state become that of Direct PUT.
    site.configure(&lines("type = \"direct-put\""));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let is_stopped = || {
        let told = get(site.address, "/readyz").unwrap().text();
        told.contains("is of another source")
    };
    daemon.until("it has stopped", is_stopped).unwrap();
    daemon.terminate();
    site.command(&["state", "discard", "clicks", "--yes"])
        .done();
    site.configure(&lines(&stream.table(&stream.endpoint)));
    let mut daemon = site.start();
    let is_there = || lake::lines(&lake, "data").len() == 2;
    daemon
        .until("the other stream is delivered", is_there)
        .unwrap();
    daemon.drain();
}

#[test]
fn a_destination_that_takes_nothing_stops_the_requests_for_more() {
    // 64 MiB of spool, half of which reading may use.
    let stream = Kinesalite::shared().stream(1);
    let site = Site::new("");
    let limited = lines(&stream.table(&stream.endpoint)).replace(
        "[stream.clicks.source]",
        "[stream.clicks]\nspool_limit = \"64MiB\"\n[stream.clicks.source]",
    );
    site.configure(&limited);
    // A file where the lake should be: nothing can be published.
    std::fs::write(site.path("lake"), "").unwrap();
    let record = vec![b'x'; 1 << 20];
    for _ in 0..40 {
        stream.put(&record);
    }
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let count = |name: &str| {
        metric(
            site.address,
            &format!("firehose_{name}{{stream=\"clicks\"}}"),
        )
    };
    let is_full = || count("read_records_total") >= 10.0;
    daemon.until("the spool is full", is_full).unwrap();
    let requests = || count("kinesis_requests_total").to_string();
    let (mut before, mut looked) = (String::new(), std::time::Instant::now());
    let is_quiet = || {
        if looked.elapsed() < std::time::Duration::from_secs(8) {
            return false;
        }
        looked = std::time::Instant::now();
        let now = requests();
        std::mem::replace(&mut before, now.clone()) == now
    };
    daemon
        .until("nothing is asked for any more", is_quiet)
        .unwrap();
    assert!(count("read_records_total") < 40.0);
    std::fs::remove_file(site.path("lake")).unwrap();
    let lake = site.path("lake");
    let is_there = || lake::lines(&lake, "data").len() == 40;
    daemon.until("all is delivered", is_there).unwrap();
    daemon.drain();
}
