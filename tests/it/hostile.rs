//! Records that would break a careless daemon: each ends in one object, as it came, and the daemon
//! lives. They arrive alive, and they lie in the journal when a process starts.

use std::process::Command;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::command::succeed;
use crate::support::daemon::{Site, was_killed};
use crate::support::http::Connection;
use crate::support::lake;
use crate::support::python::python;
use crate::support::settings::{CLICKS, ToFolder};

#[test]
fn hostile_records_end_in_one_json_or_error_object_as_they_came() {
    let (site, sent) = survive("type = \"json\"\ncompression = \"none\"");
    let lake = site.path("lake");
    let mut found = lake::lines(&lake, "data");
    found.extend(lake::failed_records(&lake, "errors"));
    found.sort();
    assert!(
        found == sent,
        "{:#?}\nwas delivered instead of\n{:#?}",
        heads(&found),
        heads(&sent)
    );
    assert_nothing_escaped(&site);
}

#[test]
fn hostile_records_end_in_one_parquet_or_error_object() {
    let (site, sent) = survive("type = \"parquet\"\nschema = \"key string, value bigint\"");
    let lake = site.path("lake");
    let rows = parquet_rows(&lake.join("data"));
    let failed = lake::failed_records(&lake, "errors").len();
    assert_eq!(
        rows + failed,
        sent.len(),
        "{rows} rows, {failed} failed records"
    );
    assert_nothing_escaped(&site);
}

/// Lets the records lie in the journal when a process starts, sends them once more while it runs,
/// and drains it. Returns what was sent, in order.
fn survive(format: &str) -> (Site, Vec<Vec<u8>>) {
    let hostile = ToFolder {
        stream: "hostile",
        query: "{key: .key}",
        prefix: "data/key=!{partitionKeyFromQuery:key}/",
        format,
        ..CLICKS
    };
    let site = Site::new(&hostile.settings());
    let records = hostile_records();
    let mut doomed = site.spawn(&[("FIREHOSE_KILL_AT", "apply:1")]);
    doomed.ready().unwrap();
    // Dies when it applies the first chunk: the reply may be lost, the records are in the journal.
    let _ = put_all(&site, &records);
    assert!(was_killed(doomed.wait()));

    let daemon = site.start();
    let reply = put_all(&site, &records).unwrap();
    assert_eq!(reply["FailedPutCount"], 0, "{reply}");
    daemon.drain();
    let mut sent = [records.clone(), records].concat();
    sent.sort();
    (site, sent)
}

/// Whatever the keys held, the site has no entry that the daemon was not told to make.
fn assert_nothing_escaped(site: &Site) {
    let mut entries: Vec<String> = std::fs::read_dir(site.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    entries.sort();
    assert_eq!(entries, ["firehose.log", "firehose.toml", "lake", "state"]);
    for object in lake::objects(&site.path("lake"), "data") {
        let depth = object
            .strip_prefix(site.path("lake/data"))
            .unwrap()
            .components()
            .count();
        assert_eq!(
            depth,
            2,
            "{} lies outside of its partition",
            object.display()
        );
    }
}

fn hostile_records() -> Vec<Vec<u8>> {
    let deep = |open: &str, count: usize| open.repeat(count).into_bytes();
    let nested = |count: usize| {
        let value = format!("{}{}", "[".repeat(count), "]".repeat(count));
        format!("{{\"key\":\"deep\",\"value\":{value}}}").into_bytes()
    };
    let mut records = vec![
        deep("[", 40_000),
        deep("[", 1_000_000),
        deep("{\"a\":", 200_000),
        nested(100),
        nested(10_000),
        Vec::new(),
        b" ".to_vec(),
        b"\0".to_vec(),
        b"{\"key\":\"nul\0inside\"}".to_vec(),
        b"{\"key\":\"nul\\u0000escaped\"}".to_vec(),
        b"{\"key\":\"not \xff\xfe utf-8\"}".to_vec(),
        b"{\"key\":\"lone \\ud800 surrogate\"}".to_vec(),
        b"\xef\xbb\xbf{\"key\":\"byte order mark\"}".to_vec(),
        b"{\"key\":\"cut".to_vec(),
        b"{\"key\":\"a\"} {\"key\":\"b\"".to_vec(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        b"[{\"key\":\"listed\"}]".to_vec(),
        b"{\"key\":null}".to_vec(),
        b"{\"key\":\"\"}".to_vec(),
        b"{\"key\":{\"a\":1}}".to_vec(),
        b"{\"key\":[1]}".to_vec(),
        b"{\"key\":true,\"value\":false}".to_vec(),
        b"{\"key\":\"first\",\"key\":\"second\"}".to_vec(),
        b"{\"key\":NaN}".to_vec(),
        b"{\"key\":-0.0}".to_vec(),
        b"{\"key\":1e400}".to_vec(),
        b"{\"key\":1e999999999999}".to_vec(),
        b"{\"key\":123456789012345678901234567890}".to_vec(),
        b"{\"key\":\"number\",\"value\":1e400}".to_vec(),
        b"{\"key\":\"number\",\"value\":-9223372036854775809}".to_vec(),
        format!("{{\"key\":{}}}", "9".repeat(100_000)).into_bytes(),
        format!("{{\"key\":\"{}\"}}", "k".repeat(900_000)).into_bytes(),
        format!("{{\"{}\":1}}", "k".repeat(900_000)).into_bytes(),
    ];
    let paths = [
        "../../escaped",
        "..",
        ".",
        "/",
        "/etc/passwd",
        "a/../../b",
        "%2e%2e%2f",
        "a=b",
        "\\",
        "a\\u0001b",
    ];
    records.extend(paths.map(|path| format!("{{\"key\":\"{path}\"}}").into_bytes()));
    records
}

/// Puts all records by one `PutRecordBatch`, which carries any bytes.
fn put_all(site: &Site, records: &[Vec<u8>]) -> std::io::Result<Value> {
    let records: Vec<Value> = records
        .iter()
        .map(|record| json!({"Data": base64::engine::general_purpose::STANDARD.encode(record)}))
        .collect();
    let body = json!({"DeliveryStreamName": "hostile", "Records": records}).to_string();
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "Firehose_20150804.PutRecordBatch"),
    ];
    let mut connection = Connection::open(site.address)?;
    let reply = connection.request("POST", "/", &headers, body.as_bytes())?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    Ok(serde_json::from_slice(&reply.body)?)
}

/// Rows of all Parquet files below a folder, as `PyArrow` counts them.
fn parquet_rows(dir: &std::path::Path) -> usize {
    let script = "import pathlib, sys, pyarrow.parquet as p\n\
                  print(sum(p.read_table(f).num_rows for f in pathlib.Path(sys.argv[1]).rglob('*.parquet')))";
    let printed = succeed(Command::new(python()).args(["-c", script]).arg(dir));
    String::from_utf8(printed).unwrap().trim().parse().unwrap()
}

/// Records cut short, for a message that can be read.
fn heads(records: &[Vec<u8>]) -> Vec<String> {
    let head = |record: &Vec<u8>| {
        format!(
            "{} bytes: {}",
            record.len(),
            String::from_utf8_lossy(&record[..record.len().min(40)])
        )
    };
    records.iter().map(head).collect()
}
