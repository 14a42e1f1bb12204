//! Each way to stand still, brought about: metrics, log and `/readyz` say what the table in `docs/src/alarms.md` says
//! of it, which is where these tests read what to look for.

mod damaged;
mod former;
mod refused;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::campaign::say;
use crate::support::daemon::{Daemon, Site};
use crate::support::http::{get, metric, post_records, put_record};
use crate::support::small_disk::SmallDisk;
use crate::transforms::{HOSTILE, build};

const PAGE: &str = include_str!("../../../docs/src/alarms.md");
const OLDEST: &str = "firehose_oldest_unpublished_seconds";

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    what: &'static str,
    metrics: &'static str,
    line: &'static str,
    state: &'static str,
}

fn table() -> Vec<Row> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| "));
    let rows = rows.skip(1).map(|line| {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let [what, metrics, line, state] = cells[..] else {
            panic!("{line}: a row has four cells")
        };
        Row {
            what,
            metrics,
            line,
            state,
        }
    });
    rows.collect()
}

/// The words of a cell that are code.
fn code(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether a text is what a pattern stands for, in which `…` is anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let begin = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(begin) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    last.map_or(rest.is_empty(), |last| {
        last.is_empty() || text.ends_with(last)
    })
}

/// Waits until all that the row says of `stream` is to be seen; `meanwhile` is done before each look.
pub fn judge(
    what: &str,
    site: &Site,
    daemon: &mut Daemon,
    stream: &str,
    mut meanwhile: impl FnMut(),
) -> String {
    let rows = table();
    let row = rows.iter().find(|row| row.what == what);
    let row = row.unwrap_or_else(|| panic!("{what}: no such row in the table"));
    let mut cause = String::new();
    let mut missing = Vec::new();
    let seen = daemon.until(what, || {
        meanwhile();
        (cause, missing) = look(row, site, stream);
        missing.is_empty()
    });
    assert!(seen.is_ok(), "{what}: the daemon has ended: {missing:#?}");
    let age = metric(site.address, &format!("{OLDEST}{{stream=\"{stream}\"}}"));
    say(&format!("alarms: {what}: {cause} ({age} s)"));
    cause
}

/// The cause that `/readyz` gives, and what is not as the row says.
fn look(row: &Row, site: &Site, stream: &str) -> (String, Vec<String>) {
    let mut missing = Vec::new();
    let told = get(site.address, "/readyz").unwrap();
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    let told = &told["streams"][stream];
    let state = row.state.split([',', ':']).next().unwrap();
    let cause = told["cause"].as_str().unwrap_or_default().to_owned();
    if told["state"] != state {
        missing.push(format!("not {state}: {told}"));
    }
    for pattern in code(row.state) {
        if !is_like(pattern, &cause) {
            missing.push(format!("`{pattern}` is not {cause:?}"));
        }
    }
    let of_stream = |name: &str| format!("{name}{{stream=\"{stream}\"}}");
    for name in code(row.metrics) {
        if metric(site.address, &of_stream(name)) <= 0.0 {
            missing.push(format!("{name} is 0"));
        }
    }
    let ready = metric(site.address, &of_stream("firehose_stream_ready"));
    if (ready > 0.0) != (state == "running") {
        missing.push(format!("firehose_stream_ready is {ready}"));
    }
    let log = fs::read_to_string(site.log()).unwrap();
    let lines = log.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.filter_map(Result::ok).collect();
    for line in code(row.line) {
        let is_it = |found: &Value| found["message"] == line && found["stream"] == stream;
        if !lines.iter().any(is_it) {
            missing.push(format!("{line:?} is not in the log"));
        }
    }
    (cause, missing)
}

/// What a stream of these tests is like.
#[derive(Clone, Copy, Debug)]
pub struct Clicks<'a> {
    pub stalled_after: &'a str,
    pub journal_limit: &'a str,
    pub lake: &'a str,
    pub transform: &'a str,
}

pub const CLICKS: Clicks<'_> = Clicks {
    stalled_after: "1s",
    journal_limit: "64MiB",
    lake: "lake",
    transform: "",
};

impl Clicks<'_> {
    pub fn settings(&self) -> String {
        let Self {
            stalled_after,
            journal_limit,
            lake,
            transform,
        } = self;
        format!(
            r#"
state_dir = "state"
stalled_after = "{stalled_after}"

[stream.clicks]
spool_limit = "64MiB"

[stream.clicks.source]
type = "direct-put"
journal_limit = "{journal_limit}"

[stream.clicks.buffering]
size = "1MiB"
interval = "0s"

[stream.clicks.destination]
type = "folder"
path = "{lake}"
prefix = "data/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
{transform}"#
        )
    }

    pub fn site(&self) -> Site {
        Site::new(&self.settings())
    }
}

pub fn put(site: &Site, body: &[u8]) -> u16 {
    post_records(site.address, "clicks", body).unwrap().status
}

pub fn gauge(site: &Site, name: &str) -> f64 {
    metric(site.address, &format!("{name}{{stream=\"clicks\"}}"))
}

/// A file where the objects' folder should be: no object can be published.
pub fn block(site: &Site) {
    fs::create_dir_all(site.path("lake")).unwrap();
    fs::write(site.path("lake/data"), "").unwrap();
}

/// A record is in a sealed object that is not published.
pub fn wait_for_object(site: &Site, daemon: &mut Daemon) {
    assert_eq!(put(site, b"{\"n\":1}\n"), 200);
    let is_sealed = || gauge(site, "firehose_sealed_waiting") > 0.0;
    daemon.until("an object waits", is_sealed).unwrap();
}

/// A stream on which an object waits, after a kill.
pub fn left_behind(site: &Site) {
    block(site);
    let mut daemon = site.start();
    wait_for_object(site, &mut daemon);
    daemon.kill();
}

/// The only object that waits, by the message of a command that does nothing.
pub fn waiting(site: &Site) -> String {
    let told = site
        .command(&["state", "discard", "clicks", "--object", "none", "--yes"])
        .refused(2);
    let (_, keys) = told.split_once("there are: ").unwrap();
    keys.trim().to_owned()
}

/// Somebody else writes under the key of an object.
pub fn plant(site: &Site, key: &str) {
    let blocks = site.path("lake/data");
    if blocks.is_file() {
        fs::remove_file(blocks).unwrap();
    }
    let theirs = site.path("lake").join(key);
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(theirs, "theirs\n").unwrap();
}

#[test]
fn every_row_of_the_table_is_brought_about_here() {
    let sources = [
        include_str!("alarms.rs"),
        include_str!("alarms/damaged.rs"),
        include_str!("alarms/former.rs"),
        include_str!("alarms/refused.rs"),
        include_str!("disks.rs"),
        include_str!("keys.rs"),
        include_str!("spools.rs"),
        include_str!("../glue.rs"),
        include_str!("../catalog.rs"),
    ];
    let rows = table();
    assert!(rows.len() >= 10, "{rows:#?}");
    for row in rows {
        let is_here = |source: &&str| source.contains(&format!("\"{}\"", row.what));
        assert!(sources.iter().any(is_here), "{}: no test", row.what);
        assert!(!code(row.metrics).is_empty() && code(row.line).len() == 1);
    }
    assert!(is_like("a … c…", "a b c d") && is_like("…", "x") && is_like("a", "a"));
    assert!(!is_like("a … c", "a b c d") && !is_like("…b", "a") && !is_like("a", "ab"));
}

#[test]
fn a_destination_that_refuses_an_object() {
    let site = CLICKS.site();
    block(&site);
    let mut daemon = site.start();
    assert_eq!(put(&site, b"{\"n\":1}\n"), 200);
    judge(
        "The destination refuses an object",
        &site,
        &mut daemon,
        "clicks",
        || {},
    );
    fs::remove_file(site.path("lake/data")).unwrap();
    daemon.ready().unwrap();
    let is_over = || gauge(&site, OLDEST) <= 0.0;
    daemon.until("nothing waits any more", is_over).unwrap();
    daemon.drain();
}

#[test]
fn a_destination_that_cannot_be_opened() {
    let site = CLICKS.site();
    fs::write(site.path("lake"), "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    daemon.take("clicks", b"{\"n\":1}\n");
    let what = "The destination cannot be opened at the start";
    judge(what, &site, &mut daemon, "clicks", || {});
}

#[test]
fn a_destination_that_is_full_is_an_alarm_when_it_lasts() {
    for stalled_after in ["1s", "1h"] {
        let mut site = Clicks {
            stalled_after,
            ..CLICKS
        }
        .site();
        let disk = SmallDisk::mount(&site.path("lake"), 2 << 20);
        site.enter(&disk);
        let mut daemon = site.start();
        let filler = disk.fill();
        assert_eq!(put(&site, &b"{\"n\":1}\n".repeat(1000)), 200);
        if stalled_after == "1h" {
            let retries = || gauge(&site, "firehose_publish_retries_total");
            daemon
                .until("it is tried again", || retries() > 2.0)
                .unwrap();
            assert_eq!(
                get(site.address, "/readyz").unwrap().status,
                200,
                "it may pass"
            );
            continue;
        }
        let what = "The destination is full, or does not answer";
        judge(what, &site, &mut daemon, "clicks", || {});
        fs::remove_file(filler).unwrap();
        daemon.ready().unwrap();
        daemon.drain();
    }
}

#[test]
fn a_spool_and_a_journal_that_are_full() {
    let site = Clicks {
        journal_limit: "8MiB",
        ..CLICKS
    }
    .site();
    block(&site);
    let mut daemon = site.start();
    let body = format!("{{\"pad\":\"{}\"}}\n", "x".repeat(100_000)).repeat(20);
    let fill = || while put(&site, body.as_bytes()) == 200 {};
    let what = "The journal is full: more comes than is read";
    judge(what, &site, &mut daemon, "clicks", fill);
    let what = "The spool is full: more is read than is published";
    let cause = judge(what, &site, &mut daemon, "clicks", fill);
    assert!(cause.starts_with("publishing "), "and why: {cause}");
    fs::remove_file(site.path("lake/data")).unwrap();
    daemon.ready().unwrap();
    daemon.drain();
}

#[test]
fn a_transform_that_takes_its_time() {
    let transform = "[[stream.clicks.transform]]\nmodule = \"slow.wasm\"\ntimeout = \"5m\"\n";
    let site = Clicks {
        transform,
        ..CLICKS
    }
    .site();
    build(&site, "slow.wasm", HOSTILE);
    let mut daemon = site.start();
    assert_eq!(put(&site, b"loop\n"), 200);
    let what = "A transform or a query takes its time";
    judge(what, &site, &mut daemon, "clicks", || {});
}

#[test]
fn a_transform_module_that_cannot_be_used() {
    let transform = "[[stream.clicks.transform]]\nmodule = \"slow.wasm\"\ntimeout = \"5m\"\n";
    let site = Clicks {
        transform,
        ..CLICKS
    }
    .site();
    build(&site, "slow.wasm", HOSTILE);
    let daemon = site.start();
    assert_eq!(put(&site, b"loop\n"), 200);
    daemon.kill();
    fs::write(site.path("slow.wasm"), "garbage").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let what = "A transform module cannot be used at the start";
    judge(what, &site, &mut daemon, "clicks", || {});
}

#[test]
fn a_disk_under_the_state_that_is_full() {
    let mut site = CLICKS.site();
    let disk = SmallDisk::mount(&site.path("state"), 8 << 20);
    site.enter(&disk);
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let what = "The disk under `state_dir` is full";
    judge(what, &site, &mut daemon, "clicks", || {
        assert_eq!(put(&site, b"{\"n\":1}\n"), 503);
    });
}

#[test]
fn a_disk_under_the_state_that_fails() {
    let site = CLICKS.site();
    left_behind(&site);
    let spool = site.path("state/clicks/spool");
    fs::rename(&spool, site.path("state/clicks/away")).unwrap();
    fs::write(&spool, "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    judge(
        "The disk under `state_dir` fails",
        &site,
        &mut daemon,
        "clicks",
        || {},
    );
    fs::remove_file(&spool).unwrap();
    fs::rename(site.path("state/clicks/away"), &spool).unwrap();
    fs::remove_file(site.path("lake/data")).unwrap();
    daemon.ready().unwrap();
    daemon.drain();
}

/// All files below a folder, removed.
fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

#[test]
fn state_that_is_not_whole() {
    let site = CLICKS.site();
    left_behind(&site);
    empty(&site.path("state/clicks/journal"));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let what = "State is missing, damaged or not whole";
    let cause = judge(what, &site, &mut daemon, "clicks", || {});
    // Producers are told that it will not pass by itself, and why.
    let told = post_records(site.address, "clicks", b"{}").unwrap();
    assert_eq!(told.status, 503);
    let stopped = "stream clicks has stopped, and takes no records until a person has seen to it: ";
    assert!(
        told.text().contains(&format!("{stopped}{cause}")),
        "{}",
        told.text()
    );
    let told = put_record(site.address, "clicks", b"{}").unwrap();
    assert!(told.text().contains(stopped), "{}", told.text());
}
