//! Transforms in the running daemon: hostile modules beside a calm stream, modules replaced while
//! records flow, and kills while a module decides differently each time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::campaign::{Campaign, Failpoints, say};
use crate::support::daemon::{Site, wait_until};
use crate::support::event::{ERROR_PREFIX, PREFIX, QUERY};
use crate::support::http::{get, post_records};
use crate::support::lake;
use crate::support::producer::{Load, Producer};
use crate::support::script::{ask, script};

/// Does to each record what the record's first byte says.
pub const HOSTILE: &str = include_str!("../../src/transform/tests/guest.wat");
/// Traps and hangs now and then; splits, drops and passes the rest.
pub const SPLIT: &str = include_str!("transforms/split.wat");

const FAILPOINTS: Failpoints = &[
    ("apply", 5),
    ("checkpoint-after-commit", 5),
    ("checkpoint-before-commit", 5),
    ("journal-after-fsync", 20),
    ("published-before-record", 3),
    ("recovery-start", 1),
    ("seal", 5),
    ("spool-after-fsync", 5),
];

/// Builds a guest as a module of the site.
pub fn build(site: &Site, name: &str, wat: &str) {
    let wasm = wat::parse_str(wat).unwrap();
    // As a build tool does it: whole, or not at all.
    let unfinished = site.path(format!("{name}.new"));
    fs::write(&unfinished, wasm).unwrap();
    fs::rename(unfinished, site.path(name)).unwrap();
}

fn stream(name: &str, interval: &str, transform: &str) -> String {
    format!(
        r#"
[stream.{name}.source]
type = "direct-put"
{transform}
[stream.{name}.buffering]
size = "1MiB"
interval = "{interval}"

[stream.{name}.destination]
type = "folder"
path = "{name}-lake"
prefix = "data/"
error_prefix = "{ERROR_PREFIX}"
"#
    )
}

fn module(stream: &str, module: &str) -> String {
    format!("[[stream.{stream}.transform]]\nmodule = \"{module}\"\ntimeout = \"50ms\"\n")
}

#[test]
fn a_hostile_module_fails_the_records_that_break_it_and_harms_nobody_else() {
    let hostile = [stream("hostile", "0s", &module("hostile", "hostile.wasm"))];
    let site = Site::new(&[hostile.concat(), stream("calm", "0s", "")].concat());
    build(&site, "hostile.wasm", HOSTILE);
    let daemon = site.start();
    let poison = [
        ("trap", "Transform.Trap"),
        ("panic", "Transform.Trap"),
        ("loop", "Transform.Timeout"),
        ("recurse", "Transform.Trap"),
        ("More", "Transform.MemoryLimit"),
        ("Output", "Transform.OutputLimit"),
        ("Alias", "Transform.OutputLimit"),
        ("count", "Transform.WrongCount"),
        ("utf-8", "Transform.BadResult"),
        ("fail", "Transform.RecordFailed"),
    ];
    let mut expected = Vec::new();
    for (round, (record, _)) in poison.iter().cycle().take(40).enumerate() {
        let good = [format!("a{round}"), format!("b{round}")];
        let body = format!("{}\n{record}\n{}\ndrop\n2x\n", good[0], good[1]);
        let reply = post_records(site.address, "hostile", body.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        expected.extend(good);
        expected.extend(["2x".to_owned(), "2x".to_owned()]);
        let reply = post_records(site.address, "calm", format!("{round}\n").as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    // The calm stream is not behind: it delivers while the other one works through its time-outs.
    wait_until("the calm stream has delivered", || {
        lake::lines(&site.path("calm-lake"), "data").len() == 40
    });
    daemon.drain();
    let mut delivered = text_lines(&site.path("hostile-lake"), "data");
    delivered.sort();
    expected.sort();
    assert_eq!(delivered, expected);
    let errors = lake::lines(&site.path("hostile-lake"), "errors/processing-failed");
    assert_eq!(errors.len(), 40);
    for (record, code) in poison {
        let of = |line: &&Vec<u8>| {
            let line: Value = serde_json::from_slice(line).unwrap();
            line["transformErrorCode"] == code
        };
        let raw = lake::failed_records(&site.path("hostile-lake"), "errors/processing-failed");
        assert_eq!(
            raw.iter().filter(|raw| *raw == record.as_bytes()).count(),
            4,
            "{record}"
        );
        assert!(errors.iter().any(|line| of(&line)), "{code}");
    }
}

#[test]
fn a_batch_that_the_module_refuses_goes_to_the_error_prefix_after_four_attempts() {
    let site = Site::new(&stream("one", "0s", &module("one", "hostile.wasm")));
    build(&site, "hostile.wasm", HOSTILE);
    let daemon = site.start();
    post_records(site.address, "one", b"error\n").unwrap();
    daemon.drain();
    let lines = lake::lines(&site.path("one-lake"), "errors/processing-failed");
    let line: Value = serde_json::from_slice(&lines[0]).unwrap();
    assert_eq!(line["attemptsMade"], 4, "{line}");
    assert_eq!(line["errorCode"], "Lambda.FunctionError");
    assert_eq!(line["errorMessage"], "not today");
}

#[test]
fn modules_are_replaced_while_records_flow_and_a_bad_one_is_refused_loudly() {
    let site = Site::new(&stream("one", "0s", &module("one", "module.wasm")));
    // First `x` passes; then it becomes two.
    build(&site, "module.wasm", HOSTILE);
    let daemon = site.start();
    let send = |record: &str| {
        let reply = post_records(site.address, "one", record.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let delivered = |count: usize| {
        wait_until("the records are delivered", || {
            text_lines(&site.path("one-lake"), "data").len() == count
        });
    };
    let said = |what: &str, times: usize| {
        wait_until("the daemon says so", || {
            let log = fs::read_to_string(site.log()).unwrap();
            log.matches(what).count() == times
        });
    };
    send("x1\n");
    delivered(1);
    build(
        &site,
        "module.wasm",
        &HOSTILE.replace("(i32.const 50)) ;; 2", "(i32.const 120)) ;; x"),
    );
    said("new transform modules are at work", 1);
    send("x2\n");
    delivered(3);
    fs::write(site.path("module.wasm"), "rubbish").unwrap();
    said("the old one goes on", 1);
    send("x3\n");
    delivered(5);
    build(&site, "module.wasm", HOSTILE);
    said("new transform modules are at work", 2);
    daemon.signal(Signal::HUP);
    said("new transform modules are at work", 3);
    send("x4\n");
    delivered(6);
    daemon.drain();
}

#[test]
fn every_output_is_delivered_once_whatever_is_killed_and_however_the_module_decides() {
    let site = Site::new(&format!(
        r#"
state_dir = "state"
shutdown_grace = "100s"

[stream.clicks.source]
type = "direct-put"

[[stream.clicks.transform]]
module = "split.wasm"
timeout = "20ms"

[stream.clicks.partitioning]
query = '{QUERY}'

[stream.clicks.buffering]
size = "256KiB"
interval = "1s"

[stream.clicks.format]
type = "json"
compression = "gzip"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "{PREFIX}"
error_prefix = "{ERROR_PREFIX}"

[stream.clicks.backup]
prefix = "raw/"
"#
    ));
    build(&site, "split.wasm", SPLIT);
    let mut campaign = Campaign::new(&site, &[FAILPOINTS], 14);
    let load = Load {
        connections: 3,
        seed: campaign.seed,
        pause: Duration::from_millis(5),
        records: 60,
        pad: 400,
        narrow: false,
        joined: false,
    };
    let producer = Producer::start(site.address, "clicks", load, &site.path("ledger"));
    campaign.run();
    let daemon = site.start();
    producer.finish();
    daemon.drain();
    let summary = judge(&site.path("ledger"), &site.path("lake"));
    let summary = summary.unwrap_or_else(|findings| panic!("{findings}"));
    campaign.report(&summary);
    for code in ["Transform.Trap", "Transform.Timeout"] {
        assert!(
            summary["failed"][code].as_u64() > Some(0),
            "{code}: {summary}"
        );
    }
    say(&format!("transforms: {summary}"));
}

#[test]
fn metrics_tell_what_modules_do() {
    let site = Site::new(&stream("one", "0s", &module("one", "hostile.wasm")));
    build(&site, "hostile.wasm", HOSTILE);
    let daemon = site.start();
    post_records(site.address, "one", b"a\ndrop\n2x\nfail\ntrap\n").unwrap();
    let metric = |line: &str| {
        let page = get(site.address, "/metrics").unwrap().text();
        assert!(page.contains("firehose_transform_calls_total"), "{page}");
        page.lines().any(|found| found == line)
    };
    let label = "stream=\"one\",module=\"hostile.wasm\"";
    for line in [
        format!("firehose_transform_outcomes_total{{{label},outcome=\"ok\"}} 1"),
        format!("firehose_transform_outcomes_total{{{label},outcome=\"many\"}} 1"),
        format!("firehose_transform_outcomes_total{{{label},outcome=\"dropped\"}} 1"),
        format!("firehose_transform_outcomes_total{{{label},outcome=\"failed\"}} 2"),
        "firehose_dropped_records_total{stream=\"one\"} 1".to_owned(),
    ] {
        wait_until(&line, || metric(&line));
    }
    daemon.drain();
}

/// Holds what [`SPLIT`] has made of a producer's records against its ledger: the summary, or what is wrong.
pub fn judge(ledger: &Path, lake: &Path) -> Result<Value, String> {
    ask(script("transforms/oracle.py").args([ledger, lake]))
}

fn text_lines(lake: &Path, prefix: &str) -> Vec<String> {
    let lines = lake::lines(lake, prefix).into_iter();
    lines.map(|line| String::from_utf8(line).unwrap()).collect()
}
