//! Compiled code that cannot be kept, as on a full disk: the daemon's own process, which is held to no limits,
//! compiles nothing all the same.

use std::fmt::Write as _;
use std::fs;

use rustix::process::Signal;

use crate::support::campaign::say;
use crate::support::daemon::{Daemon, Site, wait_until};
use crate::support::http::{get, post_records};
use crate::support::lake;
use crate::transforms::{HOSTILE, build};

/// A site with a module that takes much memory to compile, and no place for its code.
fn site() -> Site {
    let site = Site::new(
        r#"
[stream.clicks.source]
type = "direct-put"

[[stream.clicks.transform]]
module = "heavy.wasm"

[stream.clicks.buffering]
size = "1MiB"
interval = "0s"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/"
error_prefix = "errors/!{firehose:error-output-type}/"
"#,
    );
    build(&site, "heavy.wasm", &heavy());
    // A file where the cache has a folder.
    fs::create_dir_all(site.path("data/state/compiled~")).unwrap();
    fs::write(site.path("data/state/compiled~/modules"), "").unwrap();
    site
}

/// A guest with a function that keeps many values alive across as many calls.
fn heavy() -> String {
    const VALUES: usize = 1400;
    let (head, last) = HOSTILE.trim_end().rsplit_once(')').unwrap();
    assert_eq!(last, "");
    let mut text = format!("{head} (func $heavy (result i64) (local");
    text.push_str(&" i64".repeat(VALUES));
    text.push(')');
    for local in 0..VALUES {
        write!(text, " (local.set {local} (call $heavy))").unwrap();
    }
    for local in 0..VALUES {
        let set = format!("(then (local.set {local} (call $heavy)))");
        write!(text, " (if (i32.wrap_i64 (local.get {local})) {set})").unwrap();
    }
    text.push_str(" (i64.const 0)");
    for local in 0..VALUES {
        write!(text, " (i64.add (local.get {local}))").unwrap();
    }
    text + "))"
}

fn start(site: &Site, temporary: &str) -> Daemon {
    let temporary = site.path(temporary);
    let mut daemon = site.spawn(&[("TMPDIR", temporary.to_str().unwrap())]);
    daemon.alive();
    daemon
}

fn passes(site: &Site, record: &str) {
    let reply = post_records(site.address, "clicks", record.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let is_delivered = || lake::lines(&site.path("lake"), "data") == [record.as_bytes()];
    wait_until("the record is delivered", is_delivered);
}

#[test]
fn code_that_the_state_folder_cannot_keep_is_handed_over_elsewhere() {
    let site = site();
    fs::create_dir(site.path("tmp")).unwrap();
    let mut daemon = start(&site, "tmp");
    daemon.ready().unwrap();
    passes(&site, "a");
    let left = fs::read_dir(site.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "of what was handed over");
    let peak = daemon.drain_measured();
    say(&format!(
        "code that cannot be kept: peak memory of the daemon {} MiB",
        peak >> 20
    ));
    // Compiling it takes the daemon to some 220 MiB.
    assert!(peak < 160 << 20, "{peak}");
}

#[test]
fn code_that_nothing_can_keep_stops_its_stream_until_there_is_room() {
    let site = site();
    let daemon = start(&site, "nowhere");
    wait_until("the stream says why it stands still", || {
        let told = get(site.address, "/readyz").unwrap();
        told.status == 503 && told.text().contains("finds room neither in")
    });
    let told = get(site.address, "/readyz").unwrap().text();
    assert!(
        told.contains("compiled~") && told.contains("nowhere"),
        "{told}"
    );
    fs::remove_file(site.path("data/state/compiled~/modules")).unwrap();
    daemon.signal(Signal::HUP);
    wait_until("it goes on", || {
        get(site.address, "/readyz").unwrap().status == 200
    });
    passes(&site, "a");
    daemon.drain();
}
