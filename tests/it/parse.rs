//! Text that is no JSON, through the daemon and a crash, into Parquet that other people read.

use std::io::Write as _;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::{get, metric, put_record};
use crate::support::lake;
use crate::support::python::python;

const SETTINGS: &str = r#"
state_dir = "state"

[stream.flow]
source.type = "direct-put"
parse.type = "vpc-flow-log"
buffering = { size = "64MiB", interval = "900s" }
backup = { prefix = "raw/", format = { type = "raw" } }

[stream.flow.format]
type = "parquet"
schema = "account_id string, srcaddr string, dstport int, bytes bigint, start timestamp, action string, log_status string"

[stream.flow.partitioning]
query = '{action: (.action // "none")}'

[stream.flow.destination]
type = "folder"
path = "lake"
prefix = "flow/action=!{partitionKeyFromQuery:action}/"
error_prefix = "flow-errors/!{firehose:error-output-type}/"

[stream.logs]
source.type = "direct-put"
parse.type = "cloudwatch-logs"
buffering = { size = "64MiB", interval = "900s" }
format = { type = "parquet", schema = "id string, `timestamp` timestamp, message string, loggroup string" }
destination = { type = "folder", path = "lake", prefix = "logs/", error_prefix = "logs-errors/" }
"#;

/// Rows of what lies in the lake, as `DuckDB` finds them.
const ROWS: &str = r#"
import json, sys
import duckdb
lake = sys.argv[1]
def rows(query, folder):
    found = duckdb.execute(query.replace("FROM", "from read_parquet(?, hive_partitioning = false)"), [f"{lake}/{folder}/**/*.parquet"])
    return [list(row) for row in found.fetchall()]
print(json.dumps({
    "flow": rows("select account_id, srcaddr, dstport, bytes, epoch(start)::bigint, action, log_status FROM order by bytes, log_status", "flow"),
    "logs": rows("select id, epoch_ms(timestamp), message, loggroup FROM order by id", "logs"),
}))
"#;

const LOGS: &str = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/app","logStream":"a","subscriptionFilters":["all"],"logEvents":[{"id":"ID0","timestamp":1764496800000,"message":"GET /"},{"id":"ID1","timestamp":1764496800001,"message":"two\nlines \"é\""}]}"#;
const CONTROL: &str = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1764496800000,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn flow(port: u32, bytes: u32, action: &str) -> String {
    format!(
        "2 012345678901 eni-1 10.0.0.1 10.0.0.2 20641 {port} 6 20 {bytes} 1764496800 1764496860 {action} OK"
    )
}

#[test]
fn flow_logs_and_log_events_are_rows_once_through_a_crash_and_their_backup_is_as_it_came() {
    let site = Site::new(SETTINGS);
    let put = |stream: &str, record: &[u8]| {
        let reply = put_record(site.address, stream, record).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let several = [
        flow(22, 1, "ACCEPT"),
        "2 torn line".to_owned(),
        flow(443, 2, "REJECT"),
        "2 012345678901 eni-1 - - - - - - - 1764496800 1764496860 - NODATA".to_owned(),
    ];
    let several = several.join("\n") + "\n";
    let bad = b"\xff\x00 no flow log";
    let mut doomed = site.start();
    put("flow", several.as_bytes());
    put("logs", &packed(&LOGS.replace("ID", "1-")));
    put("logs", &packed(CONTROL));
    let applied = "firehose_read_records_total{stream=\"logs\"}";
    doomed
        .until("records are in batches", || {
            metric(site.address, applied) >= 2.0
        })
        .unwrap();
    doomed.kill();
    let mut daemon = site.start();
    put("flow", bad);
    put("flow", flow(80, 3, "ACCEPT").as_bytes());
    put("logs", &packed(&LOGS.replace("ID", "2-")));
    put("logs", &packed(LOGS)[..20]);
    let dropped = "firehose_dropped_records_total{stream=\"logs\"}";
    daemon
        .until("the control message is counted", || {
            metric(site.address, dropped) >= 1.0
        })
        .unwrap();
    let is_told = || {
        let told = get(site.address, "/streams/flow").unwrap().text();
        let told: Value = serde_json::from_str(&told).unwrap();
        let codes = told["failures"].as_array().unwrap().iter();
        let codes: Vec<_> = codes
            .map(|of| of["code"].as_str().unwrap().to_owned())
            .collect();
        codes.contains(&"Parse.Mismatch".to_owned()) && codes.contains(&"Parse.NotUtf8".to_owned())
    };
    daemon.until("failures are told", is_told).unwrap();
    daemon.drain();

    let lake = site.path("lake");
    let mut command = Command::new(python());
    let read = succeed(command.args(["-c", ROWS]).arg(&lake));
    let row = |port: u32, bytes: u32, action: &str| {
        json!([
            "012345678901",
            "10.0.0.1",
            port,
            bytes,
            1_764_496_800,
            action,
            "OK"
        ])
    };
    let event = |id: String, ms: u64, message: &str| json!([id, ms, message, "/app"]);
    let logs = ["1-", "2-"].into_iter().flat_map(|id| {
        let ms = 1_764_496_800_000;
        [
            event(format!("{id}0"), ms, "GET /"),
            event(format!("{id}1"), ms + 1, "two\nlines \"é\""),
        ]
    });
    let nothing = json!([
        "012345678901",
        null,
        null,
        null,
        1_764_496_800,
        null,
        "NODATA"
    ]);
    let expected = json!({
        "flow": [row(22, 1, "ACCEPT"), row(443, 2, "REJECT"), row(80, 3, "ACCEPT"), nothing],
        "logs": logs.collect::<Vec<_>>(),
    });
    let read: Value = serde_json::from_slice(&read).unwrap();
    assert_eq!(read, expected);

    let mut failed = lake::failed_records(&lake, "flow-errors/processing-failed");
    failed.sort();
    assert_eq!(failed, [b"2 torn line".to_vec(), bad.to_vec()]);
    assert_eq!(
        lake::failed_records(&lake, "logs-errors"),
        [&packed(LOGS)[..20]]
    );
    let backup: Vec<u8> = lake::objects(&lake, "raw")
        .iter()
        .flat_map(|object| std::fs::read(object).unwrap())
        .collect();
    let single = flow(80, 3, "ACCEPT");
    let expected = [several.as_bytes(), bad, single.as_bytes()].concat();
    assert_eq!(backup, expected);
}

/// A module sees what was parsed, and what it fails names which part of the record that was.
#[test]
fn modules_see_what_was_parsed() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/transforms/redact.wasm");
    let site = Site::new(&format!(
        r#"
state_dir = "state"
[stream.people]
source.type = "direct-put"
parse = {{ type = "csv", columns = ["id:int", "name"] }}
buffering.interval = "1s"
transform = [{{ module = "{module}", config = {{ mask = ["name"] }} }}]
destination = {{ type = "folder", path = "lake", prefix = "people/", error_prefix = "errors/" }}
"#
    ));
    let mut daemon = site.start();
    daemon.ready().unwrap();
    let rows = (0..1000).map(|id| format!("{id},Ada\n"));
    let rows = rows.collect::<Vec<_>>().concat();
    let reply = put_record(site.address, "people", rows.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    daemon.drain();
    let found = lake::lines(&site.path("lake"), "people");
    let expected = (0..1000).map(|id| format!("{{\"id\":{id},\"name\":\"***\"}}").into_bytes());
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(lake::objects(&site.path("lake"), "errors").len(), 0);
}
