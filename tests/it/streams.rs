//! Streams do not stand in each other's way.

use std::fs;

use crate::support::daemon::Site;
use crate::support::http::{get, metric, post_records};
use crate::support::lake;

#[test]
fn a_broken_destination_turns_readyz_red_by_name_and_the_other_stream_delivers() {
    let site = Site::new(&["broken", "sound"].map(settings).concat());
    // A file where the lake of one stream should be: nothing can be published there.
    fs::write(site.path("broken-lake"), "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    for stream in ["broken", "sound"] {
        let reply = post_records(site.address, stream, b"{\"n\":1}\n{\"n\":2}\n").unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let sound = site.path("sound-lake");
    let delivered = || lake::objects(&sound, "data").len() == 1;
    daemon
        .until("the sound stream has delivered", delivered)
        .unwrap();
    let is_red = || {
        let reply = get(site.address, "/readyz").unwrap();
        reply.status == 503 && reply.text().contains("broken-lake")
    };
    daemon
        .until("/readyz is red and names the cause", is_red)
        .unwrap();
    let reply = get(site.address, "/readyz").unwrap().text();
    assert!(!reply.contains("sound-lake"), "{reply}");

    fs::remove_file(site.path("broken-lake")).unwrap();
    daemon.ready().unwrap();
    daemon.drain();
    for lake in ["broken-lake", "sound-lake"] {
        let lines = lake::lines(&site.path(lake), "data");
        assert_eq!(lines, [b"{\"n\":1}", b"{\"n\":2}"], "{lake}");
    }
}

#[test]
fn a_clock_that_is_set_back_a_day_delays_nothing_here_or_after_a_restart() {
    const DAY_BACK: &str = "-86400000";
    let settings = settings("timed").replace("interval = \"0s\"", "interval = \"2s\"");
    let site = Site::new(&settings);
    let step = site.path("clock-step");
    let clock = [("FIREHOSE_CLOCK_STEP", step.to_str().unwrap())];
    let (lake, oldest) = (
        site.path("timed-lake"),
        "firehose_oldest_unpublished_seconds{stream=\"timed\"}",
    );
    let put = |record: &[u8]| {
        let reply = post_records(site.address, "timed", record).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let mut daemon = site.spawn(&clock);
    daemon.ready().unwrap();
    put(b"{\"n\":1}");
    fs::write(&step, DAY_BACK).unwrap();
    let is_aging = || metric(site.address, oldest) > 0.5;
    daemon
        .until("the record is seen to wait", is_aging)
        .unwrap();
    let is_delivered = || lake::objects(&lake, "data").len() == 1;
    daemon.until("it is delivered", is_delivered).unwrap();

    fs::write(&step, "0").unwrap();
    put(b"{\"n\":2}");
    let checkpointed = "firehose_checkpoint_seconds_count{stream=\"timed\"}";
    let before = metric(site.address, checkpointed);
    let is_durable = || metric(site.address, checkpointed) > before;
    daemon
        .until("the open batch is in a checkpoint", is_durable)
        .unwrap();
    daemon.kill();
    fs::write(&step, DAY_BACK).unwrap();
    let mut daemon = site.spawn(&clock);
    daemon.ready().unwrap();
    let is_delivered = || lake::lines(&lake, "data").len() == 2;
    daemon
        .until("it is delivered after the restart", is_delivered)
        .unwrap();
    daemon.drain();
}

#[test]
fn a_second_daemon_is_told_who_has_its_state_and_what_listens_at_its_address() {
    let site = Site::new(&settings("first"));
    let mut first = site.start();
    let told = site.command(&["run"]).refused(1);
    assert!(
        told.contains("is in use by another firehose (process "),
        "{told}"
    );
    let elsewhere = format!("state_dir = \"elsewhere\"\n{}", settings("second"));
    site.configure(&elsewhere);
    let told = site.command(&["run"]).refused(1);
    let address = site.address;
    assert!(
        told.contains(&format!("cannot listen on {address}")),
        "{told}"
    );
    assert!(
        told.contains("another process, maybe another firehose"),
        "{told}"
    );
    for line in told.lines() {
        assert!(line.starts_with('{'), "the log is JSON: {line}");
    }
    first.alive();
    first.drain();
}

fn settings(stream: &str) -> String {
    format!(
        r#"
[stream.{stream}.source]
type = "direct-put"

[stream.{stream}.buffering]
size = "1MiB"
interval = "0s"

[stream.{stream}.format]
type = "json"
compression = "none"

[stream.{stream}.destination]
type = "folder"
path = "{stream}-lake"
prefix = "data/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
"#
    )
}
