//! Streams do not stand in each other's way, and what fails in one is seen.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::{Connection, get, metric, post_records, put_record};
use crate::support::lake;
use crate::support::markdown;

#[test]
fn a_broken_destination_turns_readyz_red_by_name_and_the_other_stream_delivers() {
    let site = Site::new(&["broken", "sound"].map(settings).concat());
    // A file where the lake of one stream should be: nothing can be published there.
    fs::write(site.path("broken-lake"), "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    for stream in ["broken", "sound"] {
        daemon.take(stream, b"{\"n\":1}\n{\"n\":2}\n");
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

/// A stream of lines with a key, one of columns, and one with room for a single partition.
const STREAMS: &str = r#"
[stream.lines]
source = { type = "direct-put" }
partitioning = { query = "{k: .k}" }
buffering = { interval = "1h" }
[stream.lines.destination]
type = "folder"
path = "lake"
prefix = "lines/k=!{partitionKeyFromQuery:k}/"
error_prefix = "errors/lines/!{firehose:error-output-type}/"

[stream.columns]
source = { type = "direct-put" }
buffering = { interval = "0s" }
format = { type = "parquet", schema = "n int" }
[stream.columns.destination]
type = "folder"
path = "lake"
prefix = "columns/"
error_prefix = "errors/columns/!{firehose:error-output-type}/"

[stream.few]
source = { type = "direct-put" }
partitioning = { query = "{k: .k}", on_partition_limit = "error", max_open_partitions = 1 }
buffering = { interval = "1h" }
[stream.few.destination]
type = "folder"
path = "lake"
prefix = "few/k=!{partitionKeyFromQuery:k}/"
error_prefix = "errors/few/!{firehose:error-output-type}/"
"#;

/// The account that the daemon gives of a stream.
fn account(site: &Site, stream: &str) -> Value {
    let reply = get(site.address, &format!("/streams/{stream}")).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// The lines that the daemon has logged with this text.
fn logged(site: &Site, message: &str) -> Vec<Value> {
    let log = fs::read_to_string(site.log()).unwrap();
    // What is doubtful about the config is told as text, before the log.
    let lines = log.lines().map(serde_json::from_str::<Value>);
    let lines = lines.filter_map(Result::ok);
    lines.filter(|line| line["message"] == message).collect()
}

#[test]
fn whatever_fails_is_in_the_log_on_the_status_page_and_in_the_account_of_its_stream() {
    let site = Site::new(STREAMS);
    let mut daemon = site.spawn(&[("RUST_LOG", "info,firehose=debug")]);
    daemon.ready().unwrap();
    let bad = [
        ("<script>alert('&')</script>\n", 12),
        ("{\"k\":null}\n", 13),
        ("{\"k\":[1]}\n", 10),
        ("{\"k\":\"good\"}\n", 5),
    ];
    let body: String = bad
        .iter()
        .map(|(line, count)| line.repeat(*count))
        .collect();
    for (stream, body) in [
        ("lines", body.as_str()),
        ("columns", "{\"n\":\"seven\"}\n{\"n\":7}\n[]\n{\"n\"\n"),
        ("few", "{\"k\":1}\n{\"k\":2}\n{\"k\":3}\n"),
    ] {
        let reply = post_records(site.address, stream, body.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    for (stream, failed) in [("lines", 35), ("columns", 3), ("few", 2)] {
        let is_known = || account(&site, stream)["records"]["failed"] == failed;
        daemon.until("all failures are known", is_known).unwrap();
    }

    let lines = account(&site, "lines");
    assert_eq!(
        (&lines["state"], &lines["records"]["read"]),
        (&"running".into(), &40.into())
    );
    let failures = lines["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{failures:#?}");
    let failure = &failures[0];
    assert_eq!(failure["type"], "metadata-extraction-failed");
    assert_eq!(failure["count"], 35);
    let counts = |failure: &Value| -> Vec<u64> {
        let reasons = failure["reasons"].as_array().unwrap().iter();
        reasons
            .map(|reason| reason["count"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(counts(failure), [12, 13, 10]);
    assert_eq!(failure["firstMessage"], "Non JSON record provided");
    assert_eq!(failure["sample"]["text"], "<script>alert('&')</script>");
    let columns = account(&site, "columns");
    let codes: BTreeMap<&str, u64> = columns["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (of["code"].as_str().unwrap(), of["count"].as_u64().unwrap()))
        .collect();
    let expected = [
        ("DataFormatConversion.MalformedData", 2),
        ("DataFormatConversion.ParseError", 1),
    ];
    assert_eq!(codes, BTreeMap::from(expected));
    let few = account(&site, "few");
    assert_eq!(few["failures"][0]["type"], "activePartitionExceeded");

    let page = get(site.address, "/").unwrap().text();
    assert!(
        page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"),
        "{page}"
    );
    assert!(
        page.contains("12 × Non JSON record provided<br>13 × "),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");

    daemon.drain();
    assert_told(&site, failure["object"].as_str().unwrap());
}

/// The log names the error object of the 35 records, which is there, and tells of it when it is.
fn assert_told(site: &Site, object: &str) {
    let told = logged(site, "records failed and go to the error prefix");
    let of_lines: Vec<&Value> = told
        .iter()
        .filter(|line| line["stream"] == "lines")
        .collect();
    assert_eq!(of_lines.len(), 1, "{told:#?}");
    let line = of_lines[0];
    assert_eq!(
        (&line["level"], &line["records"]),
        (&"WARN".into(), &35.into())
    );
    for (name, value) in [
        ("type", "metadata-extraction-failed"),
        ("code", "DynamicPartitioning.MetadataExtractionFailed"),
        ("reason", "Non JSON record provided"),
        ("object", object),
    ] {
        assert_eq!(line[name], value, "{line:#}");
    }
    let records: u64 = told
        .iter()
        .map(|line| line["records"].as_u64().unwrap())
        .sum();
    assert_eq!(records, 35 + 3 + 2);
    let written = fs::read_to_string(site.path(object)).unwrap();
    assert_eq!(written.lines().count(), 35);
    let published = logged(site, "published");
    let error_object = published
        .iter()
        .find(|line| line["object"] == object)
        .unwrap();
    assert_eq!(
        (&error_object["level"], &error_object["records"]),
        (&"DEBUG".into(), &35.into())
    );
    assert_eq!(error_object["bytes"], written.len());
}

#[test]
fn failures_without_end_are_a_few_lines_of_the_log() {
    const POSTS: u64 = 20;
    const RECORDS: u64 = 2000;
    let site = Site::new(STREAMS);
    let daemon = site.start();
    for post in 0..POSTS {
        let lines =
            (0..RECORDS).map(|record| format!("{{\"n\":\"{post} {record}\"}}\nbad {post}\n"));
        let body = lines.collect::<Vec<_>>().concat();
        for stream in ["columns", "lines"] {
            let reply = post_records(site.address, stream, body.as_bytes()).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    daemon.drain();
    let told = logged(&site, "records failed and go to the error prefix");
    let records: u64 = told
        .iter()
        .map(|line| line["records"].as_u64().unwrap())
        .sum();
    assert_eq!(records, POSTS * RECORDS * 4);
    let size = fs::metadata(site.log()).unwrap().len();
    assert!(
        told.len() < 20 && size < 64 << 10,
        "{} lines, {size} bytes",
        told.len()
    );
}

#[test]
fn a_stream_that_is_not_there_has_no_account() {
    let site = Site::new(STREAMS);
    let _daemon = site.start();
    let reply = get(site.address, "/streams/line").unwrap();
    assert_eq!(reply.status, 404);
    assert!(
        reply.text().contains("did you mean lines?"),
        "{}",
        reply.text()
    );
    let mut connection = Connection::open(site.address).unwrap();
    for (method, path) in [("POST", "/streams/lines"), ("DELETE", "/streams/lines")] {
        let reply = connection.request(method, path, &[], b"").unwrap();
        assert_eq!(reply.status, 405, "{method} {path}");
    }
}

#[test]
fn put_finds_the_daemon_by_its_config_and_says_what_failed() {
    let site = Site::new(STREAMS);
    fs::write(site.path("bad"), "{\"k\":1}\nbad\nworse\n{\"k\":\"\"}\n").unwrap();
    fs::write(site.path("rows"), "{\"m\":1}\n").unwrap();
    let _daemon = site.start();
    let said = site.command(&["put", "lines", "bad"]).done();
    let said = said.replace(&site.address.to_string(), "ADDRESS");
    let expected = "3 records of lines failed meanwhile, whoever sent them (samples and objects: \
                    http://ADDRESS/streams/lines):\n   \
                    3 metadata-extraction-failed, DynamicPartitioning.MetadataExtractionFailed\n      \
                    2 Non JSON record provided\n      1 ";
    assert!(said.contains(expected), "{said}");
    let again = site
        .command(&["put", "lines", "rows", "--config", "firehose.toml"])
        .done();
    assert!(
        again.contains("1 record of lines failed meanwhile"),
        "{again}"
    );
    let columns = site.command(&["put", "columns", "rows"]).done();
    let expected =
        "whether they fit the Parquet schema shows when their objects are made, at 128MiB or 0s: ";
    assert!(columns.contains(expected), "{columns}");
}

#[test]
fn the_recipe_for_failed_records_gives_them_back_byte_for_byte() {
    let settings = STREAMS
        .replace("\"lake\"", "\"data/out\"")
        .replace("errors/lines/", "errors/");
    let site = Site::new(&settings);
    let daemon = site.start();
    let records: [&[u8]; 4] = [b"two\nlines\n", b"\xff\xfe\0binary", b"no end", b"\r\n"];
    for record in records {
        assert_eq!(
            put_record(site.address, "lines", record).unwrap().status,
            200
        );
    }
    daemon.drain();
    let blocks = markdown::blocks("errors.md", include_str!("../../docs/src/errors.md"));
    let recipe = blocks
        .iter()
        .find(|block| block.text.contains("b64decode"))
        .unwrap();
    let commands = recipe
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("$ "));
    let script = commands.collect::<Vec<_>>().join("\n");
    succeed(
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(site.path("")),
    );
    let files = fs::read_dir(site.path("failed")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let read: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert_eq!(read, records);
}
