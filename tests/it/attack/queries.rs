//! Records that make a partition query work: nothing hangs, and who is beside them does not wait.

use std::ops::Range;
use std::time::Instant;

use serde_json::Value;

use crate::support::daemon::{Site, wait_until};
use crate::support::event::ERROR_PREFIX;
use crate::support::http::{metric, post_records};
use crate::support::lake;

/// Queries, each with what its record repeats and how many bytes of it. All but the last two find
/// short matches and read on behind each of them as far as they can; the one before the last has a
/// program of 90,000 steps.
const EXPENSIVE: [(&str, &str, usize); 8] = [
    (
        r#"[.s|scan("[0-9]+(?:.*ms)?")]|length|tostring"#,
        "1 ",
        20_000,
    ),
    (
        r#"[.s|scan("[0-9]+(?:.*ms)?")]|length|tostring"#,
        "1 ",
        80_000,
    ),
    (
        r#"[.s|scan("(\\w+)=(.*?;)?")]|length|tostring"#,
        "a=b ",
        100_000,
    ),
    (r#".s|gsub("<!--.*?-->|<[^>]*>|<";"")"#, "<", 80_000),
    (
        r#".s|[splits("a(?:(?:.|\\n)*z)?")]|length|tostring"#,
        "a b",
        80_000,
    ),
    (r#".s|sub("(?<x>b|a(.*c)?)";"\(.x)-";"gi")"#, "AB", 40_000),
    (
        r#".s|split("a|(?:a{300}){300}";"g")|length|tostring"#,
        "a",
        70_000,
    ),
    (r#".s|test(.[0:400] + "c")|tostring"#, "(?:a?){99}", 20_000),
];

fn stream(name: &str, query: &str, interval: &str) -> String {
    format!(
        r#"
[stream.{name}.source]
type = "direct-put"

[stream.{name}.partitioning]
query = '''{{key: ({query})}}'''

[stream.{name}.buffering]
size = "64MiB"
interval = "{interval}"

[stream.{name}.format]
type = "json"
compression = "none"

[stream.{name}.destination]
type = "folder"
path = "{name}-lake"
prefix = "data/!{{partitionKeyFromQuery:key}}/"
error_prefix = "{ERROR_PREFIX}"
"#
    )
}

#[test]
fn a_record_that_a_regular_expression_cannot_come_to_an_end_with_fails_alone() {
    let name = |number: usize| format!("expensive{number}");
    let streams = (0..).zip(EXPENSIVE);
    let settings = streams.map(|(number, (query, ..))| {
        let query = format!("if .s then {query} else \"good\" end");
        stream(&name(number), &query, "0s")
    });
    let site = Site::new(&settings.collect::<String>());
    let daemon = site.start();
    for (number, (query, unit, bytes)) in EXPENSIVE.into_iter().enumerate() {
        let (name, before) = (name(number), daemon.cpu_seconds());
        let text = serde_json::json!({"s": unit.repeat(bytes / unit.len())}).to_string();
        let body = format!("{{\"n\":1}}\n{text}\n{{\"n\":2}}\n");
        let reply = post_records(site.address, &name, body.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let place = site.path(format!("{name}-lake"));
        wait_until("the records around it are delivered", || {
            lake::lines(&place, "data/good").len() == 2
        });
        wait_until("it has failed", || {
            !lake::lines(&place, "errors").is_empty()
        });
        let error: Value = serde_json::from_slice(&lake::lines(&place, "errors")[0]).unwrap();
        let message = error["errorMessage"].as_str().unwrap();
        let is_bound = ["too many times over", "too many steps"];
        assert!(
            is_bound.iter().any(|why| message.contains(why)),
            "{query}: {message}"
        );
        assert_eq!(
            error["errorCode"],
            "DynamicPartitioning.MetadataExtractionFailed"
        );
        assert_eq!(
            lake::failed_records(&place, "errors"),
            [text.clone().into_bytes()]
        );
        let took = daemon.cpu_seconds() - before;
        let megabytes = f64::from(u32::try_from(text.len()).unwrap()) / 1e6;
        println!(
            "{:.1} CPU-seconds a MB ({took:.2} in all): {query}",
            took / megabytes
        );
    }
    daemon.drain();
}

/// Bytes of a record that takes all that a query may, and how many make a chunk.
const SLOW: (usize, usize) = (20_000, 60);
/// Records that the calm stream gets, one after the other.
const CALM: usize = 5;

#[test]
fn a_stream_whose_queries_are_slow_does_not_delay_another() {
    let slow = stream("slow", r#"if .s then until(false; .) else "x" end"#, "0s");
    let calm = stream("calm", ".k|ascii_downcase", "0s");
    let site = Site::new(&[slow, calm].concat());
    let daemon = site.start();
    let round = |before: usize| {
        let begun = Instant::now();
        let record = format!("{{\"k\":\"A\",\"n\":{before}}}\n");
        let reply = post_records(site.address, "calm", record.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let acknowledged = begun.elapsed();
        wait_until("the calm stream has delivered", || {
            lake::lines(&site.path("calm-lake"), "data").len() > before
        });
        (acknowledged, begun.elapsed())
    };
    let worst = |rounds: Range<usize>| {
        rounds
            .map(round)
            .reduce(|worst, took| (worst.0.max(took.0), worst.1.max(took.1)))
    };
    let quiet = worst(0..CALM).unwrap();
    // More chunks than there are threads to work on them.
    let chunks = std::thread::available_parallelism().unwrap().get() + 1;
    let (bytes, records) = SLOW;
    let chunk = format!("{{\"s\":\"{}\"}}\n", "x".repeat(bytes)).repeat(records);
    for _ in 0..chunks {
        let reply = post_records(site.address, "slow", chunk.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let beside = worst(CALM..2 * CALM).unwrap();
    let done = metric(site.address, "firehose_read_records_total{stream=\"slow\"}");
    println!("worst acknowledgement and delivery: {quiet:?} alone, {beside:?} beside slow queries");
    assert!(
        done < 1.0,
        "the calm stream has waited for a chunk of {records} slow records"
    );
    // It is not starved either.
    wait_until("the slow stream has come through a chunk", || {
        metric(site.address, "firehose_read_records_total{stream=\"slow\"}") > 0.0
    });
    daemon.kill();
}
