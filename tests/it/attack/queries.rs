//! Records that make a partition query work: nothing hangs, and they fail alone.

use std::process::Command;

use serde_json::Value;

use crate::support::daemon::{Site, wait_until};
use crate::support::event::ERROR_PREFIX;
use crate::support::http::post_records;
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

/// A stream whose one partition key the query gives.
pub(super) fn stream(name: &str, query: &str, interval: &str) -> String {
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

/// Not enough memory for the stack of a thread that compiles: nobody has looked at the query.
#[test]
fn a_query_that_the_system_has_no_thread_for_is_not_said_to_be_at_fault() {
    let site = Site::new(&stream("clicks", ".k", "0s"));
    let check = |kibibytes: &str| {
        let script = format!("ulimit -v {kibibytes} && exec \"$0\" check");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_firehose")]);
        let output = command.current_dir(site.path("")).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let (code, told) = check("unlimited");
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = check("250000");
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("the query was not looked at: no thread could compile it: "),
        "{told}"
    );
    assert!(told.contains("this is no fault of the query"), "{told}");
}
