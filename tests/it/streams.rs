//! Streams do not stand in each other's way.

use std::fs;

use crate::support::daemon::Site;
use crate::support::http::{get, post_records};
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
