//! Modules that harm whoever loads them: what cannot be used at the start stops its own stream and no other.

use std::fs;
use std::time::Instant;

use crate::support::campaign::say;
use crate::support::daemon::{Site, wait_until};
use crate::support::http::{get, post_records};
use crate::support::lake;
use crate::transforms::{HOSTILE, build};

/// A stream that delivers each record at once, with or without a module.
fn stream(name: &str, transform: &str) -> String {
    format!(
        r#"
[stream.{name}.source]
type = "direct-put"
{transform}
[stream.{name}.buffering]
size = "1MiB"
interval = "0s"

[stream.{name}.destination]
type = "folder"
path = "lake/{name}"
prefix = "data/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
"#
    )
}

/// A stream with its own module, `NAME.wasm`.
fn with_module(name: &str, settings: &str) -> String {
    let module = format!("[[stream.{name}.transform]]\nmodule = \"{name}.wasm\"\n{settings}\n");
    stream(name, &module)
}

fn put(site: &Site, stream: &str, record: &str) {
    let reply = post_records(site.address, stream, record.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{stream}: {}", reply.text());
}

/// Waits until a stream has delivered exactly these records, in any order.
fn delivered(site: &Site, stream: &str, records: &[&str]) {
    wait_until(&format!("{stream} has delivered {records:?}"), || {
        let lines = lake::lines(&site.path("lake").join(stream), "data").into_iter();
        let mut lines: Vec<_> = lines.map(|line| String::from_utf8(line).unwrap()).collect();
        lines.sort();
        lines == records
    });
}

#[test]
fn a_module_that_cannot_be_used_at_the_start_stops_its_own_stream_until_it_is_mended() {
    const REFUSES: &str = "config = { refuse = 1 }";
    // Each with what `/readyz` says of it.
    let bad = [
        ("missing", "", "No such file"),
        ("rubbish", "", "not a WebAssembly file"),
        ("refuses", REFUSES, "configure: refused as configured"),
        ("endless", "timeout = \"100ms\"", "longer than timeout"),
    ];
    let streams = bad.map(|(name, settings, _)| with_module(name, settings));
    let site = Site::new(&(stream("calm", "") + &streams.concat()));
    // While all is well a record is accepted that then has to wait.
    for (name, ..) in bad {
        build(&site, &format!("{name}.wasm"), HOSTILE);
    }
    let text = fs::read_to_string(site.path("firehose.toml")).unwrap();
    let well = text.replace(REFUSES, "").replace("\"0s\"", "\"900s\"");
    fs::write(site.path("firehose.toml"), well).unwrap();
    let daemon = site.start();
    for (name, ..) in bad {
        put(&site, name, "a");
    }
    daemon.kill();
    fs::write(site.path("firehose.toml"), text).unwrap();
    fs::remove_file(site.path("missing.wasm")).unwrap();
    fs::write(site.path("rubbish.wasm"), "rubbish").unwrap();
    build(&site, "endless.wasm", &endless_start());

    let said = site.command(&["check"]).refused(2);
    for (name, _, cause) in bad {
        assert!(said.contains(cause), "{name}: {said}");
    }
    let begun = Instant::now();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    say(&format!(
        "modules: started beside {} bad ones after {:?}",
        bad.len(),
        begun.elapsed()
    ));
    put(&site, "calm", "b");
    delivered(&site, "calm", &["b"]);
    wait_until("all four are told of", || {
        let told = get(site.address, "/readyz").unwrap();
        told.status == 503 && told.text().matches("\"state\":\"stopped\"").count() == bad.len()
    });
    let told = get(site.address, "/readyz").unwrap().text();
    for (name, _, cause) in bad {
        assert!(told.contains(cause), "{name}: {told}");
        assert!(
            told.contains(&format!("at {name}.wasm")),
            "the advice: {told}"
        );
        let refused = post_records(site.address, name, b"x").unwrap();
        assert_eq!(refused.status, 503, "{name}: {}", refused.text());
        assert!(refused.text().contains(cause), "{}", refused.text());
    }
    // What is mended begins without a restart, with what had to wait.
    for name in ["missing", "rubbish", "endless"] {
        build(&site, &format!("{name}.wasm"), HOSTILE);
        delivered(&site, name, &["a"]);
        put(&site, name, "x");
        delivered(&site, name, &["a", "x"]);
    }
    let told = get(site.address, "/readyz").unwrap().text();
    assert_eq!(told.matches("\"state\":\"running\"").count(), 4, "{told}");
    // One is left: the stop says so.
    assert_eq!(daemon.terminate().code(), Some(1));
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(
        log.contains("not everything is delivered: refuses: "),
        "{log}"
    );
}

/// A module whose start function does not end.
fn endless_start() -> String {
    let (head, last) = HOSTILE.trim_end().rsplit_once(')').unwrap();
    assert_eq!(last, "");
    format!("{head}  (func $endless (loop $again (br $again)))\n  (start $endless))\n")
}
