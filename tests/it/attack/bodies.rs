//! Bodies that come to much more than they are.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use base64::Engine as _;
use serde_json::Value;

use crate::support::daemon::{Site, wait_until};
use crate::support::http::{Connection, Response, metric, post_records};
use crate::support::lake;
use crate::support::process::peak_memory;
use crate::support::settings::CLICKS;

/// The most records of a request.
const RECORDS_MAX: usize = 131_072;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn put(address: SocketAddr, encoding: &str, body: &[u8]) -> Response {
    let headers = [("content-encoding", encoding)];
    let mut connection = Connection::open(address).unwrap();
    let path = "/streams/clicks/records";
    connection.request("POST", path, &headers, body).unwrap()
}

/// The settings of a daemon whose drain may take as long as a slow machine needs for much.
fn patient(settings: &str) -> String {
    format!("shutdown_grace = \"10m\"\n{settings}")
}

/// `PutRecordBatch` to `clicks`.
fn put_records(address: SocketAddr, records: &str) -> Response {
    let body = format!(r#"{{"DeliveryStreamName":"clicks","Records":[{records}]}}"#);
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "Firehose_20150804.PutRecordBatch"),
    ];
    let mut connection = Connection::open(address).unwrap();
    connection
        .request("POST", "/", &headers, body.as_bytes())
        .unwrap()
}

/// Bytes of all objects below a prefix.
fn bytes_of(lake: &Path, prefix: &str) -> u64 {
    let objects = lake::objects(lake, prefix);
    let sizes = objects
        .iter()
        .map(|object| object.metadata().unwrap().len());
    sizes.sum()
}

fn said(reply: &Response) -> (u16, Value) {
    let said: Value = serde_json::from_slice(&reply.body).unwrap();
    (reply.status, said["accepted"].clone())
}

#[test]
fn lines_without_number_come_to_nothing_or_are_refused() {
    let site = Site::new(&CLICKS.settings());
    let daemon = site.start();
    for (what, encoding, line, lines, status) in [
        ("empty lines", "gzip", "\n", 7_800_000, 200),
        ("empty lines of Windows", "zstd", "\r\n", 2_000_000, 200),
        ("lines of a space", "gzip", " \n", 8 << 20, 413),
        ("lines of a space", "zstd", " \n", 8 << 20, 413),
        ("lines of a digit", "gzip", "1\n", 8 << 20, 413),
    ] {
        let body = line.repeat(lines);
        let body = match encoding {
            "gzip" => gzip(body.as_bytes()),
            _ => zstd::encode_all(body.as_bytes(), 3).unwrap(),
        };
        let begun = Instant::now();
        let reply = put(site.address, encoding, &body);
        println!(
            "{} bytes of {encoding} with {lines} {what}: {} {} in {:?}",
            body.len(),
            reply.status,
            reply.text().trim(),
            begun.elapsed()
        );
        assert_eq!(said(&reply), (status, 0.into()), "{}", reply.text());
    }
    daemon.drain();
    let lake = site.path("lake");
    assert!(lake::failed_records(&lake, "errors").is_empty());
    assert!(lake::lines(&lake, "data").is_empty());
}

#[test]
fn the_most_records_that_fail_come_to_a_bounded_error_object() {
    let site = Site::new(&patient(&CLICKS.settings()));
    let daemon = site.start();
    let body = zstd::encode_all("1\n".repeat(RECORDS_MAX).as_bytes(), 19).unwrap();
    let reply = put(site.address, "zstd", &body);
    assert_eq!(said(&reply), (200, RECORDS_MAX.into()), "{}", reply.text());
    let peak = daemon.drain_measured();
    let bytes = bytes_of(&site.path("lake"), "errors");
    println!(
        "{} bytes of zstd with {RECORDS_MAX} records that fail: {} MiB of error objects, {} MiB of memory at the peak",
        body.len(),
        bytes >> 20,
        peak >> 20
    );
    assert_eq!(
        lake::failed_records(&site.path("lake"), "errors").len(),
        RECORDS_MAX
    );
    assert!(bytes < 400 * RECORDS_MAX as u64, "{bytes}");
}

/// The texts of a request count as its records do, by lines and by Firehose's API.
#[test]
fn texts_without_number_are_refused_and_the_most_of_a_request_come_to_a_bounded_error_object() {
    let site = Site::new(&patient(&CLICKS.settings()));
    let daemon = site.start();
    let line = "{}".repeat(64) + "\n";
    let whole = line.repeat((16 << 20) / line.len());
    let reply = put(
        site.address,
        "zstd",
        &zstd::encode_all(whole.as_bytes(), 3).unwrap(),
    );
    assert_eq!(said(&reply), (413, 0.into()), "{}", reply.text());
    println!("{} bytes of lines: {}", whole.len(), reply.text().trim());
    let record = base64::engine::general_purpose::STANDARD.encode("{}".repeat(4096));
    let records = vec![format!(r#"{{"Data":"{record}"}}"#); 500].join(",");
    let reply = put_records(site.address, &records);
    assert_eq!(reply.status, 400, "{}", reply.text());
    println!("PutRecordBatch of 500 times 8 KiB: {}", reply.text().trim());
    let most = line.repeat(RECORDS_MAX / 64);
    let reply = put(site.address, "identity", most.as_bytes());
    let lines = RECORDS_MAX / 64;
    assert_eq!(said(&reply), (200, lines.into()), "{}", reply.text());
    daemon.drain();
    let lake = site.path("lake");
    let (bytes, rows) = (
        bytes_of(&lake, "errors"),
        lake::lines(&lake, "errors").len(),
    );
    println!(
        "{} bytes in {rows} texts that fail: {} MiB of error objects; what was refused had {} texts, {} MiB",
        most.len(),
        bytes >> 20,
        whole.len() / 129 * 64,
        ((whole.len() / 129 * 64) as u64 * bytes / rows as u64) >> 20,
    );
    assert_eq!(rows, RECORDS_MAX);
    assert!(bytes < 400 * RECORDS_MAX as u64, "{bytes}");
}

/// Records made so that their error lines are as long as can be: messages quote of them what grows most.
#[test]
fn the_dearest_error_lines_of_a_request_are_few_times_its_largest_body() {
    const RECORDS: usize = 4096;
    /// Bytes of a record when a request has the most of them.
    const EACH: usize = (16 << 20) / RECORDS_MAX - 1;
    // One byte of a record, six of a path, seven of a line; and two, two, four.
    let (controls, quotes) = ("\u{7f}".repeat(40), "\\\"".repeat(58));
    let key = format!("\"{controls}\"");
    let kinds = [
        (
            "keys",
            "query = '{k: .k}'",
            "!{partitionKeyFromQuery:k}/",
            "{}".to_owned(),
        ),
        (
            "times",
            "event_time = '.ts'",
            "!{eventTime:yyyy}/",
            format!("{{\"ts\":\"{quotes}\"}}"),
        ),
        (
            "queries",
            "query = '{k: (.k | tonumber | tostring)}'",
            "!{partitionKeyFromQuery:k}/",
            format!("{{\"k\":\"{quotes}\"}}"),
        ),
        (
            "rows",
            "",
            "",
            format!("{{\"m\":{{\"{controls}\":\"{}\"}}}}", &quotes[..60]),
        ),
        (
            "nested",
            "",
            "",
            format!("{{\"n\":{{{key}:{{{key}:{{{key}:[]}}}}}}}}"),
        ),
    ];
    let streams = kinds.iter().map(|(name, partitioning, by, _)| {
        format!(
            r#"
[stream.{name}]
source.type = "direct-put"
buffering = {{ size = "64MiB", interval = "900s" }}
format = {{ type = "parquet", schema = "m map<string,int>, n map<string,map<string,map<string,int>>>" }}

[stream.{name}.partitioning]
{partitioning}

[stream.{name}.destination]
type = "folder"
path = "lake"
prefix = "data/{by}"
error_prefix = "{name}/!{{firehose:error-output-type}}/"
"#
        )
    });
    let site = Site::new(&patient(&streams.collect::<String>()));
    let daemon = site.start();
    for (name, _, _, record) in &kinds {
        let body = format!("{record}\n").repeat(RECORDS);
        let reply = post_records(site.address, name, body.as_bytes()).unwrap();
        assert_eq!(said(&reply), (200, RECORDS.into()), "{}", reply.text());
    }
    daemon.drain();
    let lake = site.path("lake");
    for (name, _, _, record) in &kinds {
        let lines = lake::lines(&lake, name);
        assert_eq!(lines.len(), RECORDS, "{name}");
        let line = bytes_of(&lake, name) / RECORDS as u64;
        // Of a longer record there are fewer in a body.
        let most = RECORDS_MAX.min((16 << 20) / (record.len() + 1)) as u64;
        // One that says no more may have what is left of its share in white space, which is raw data.
        let padding = EACH.saturating_sub(record.len()) as u64 * 4 / 3;
        let all = (line + padding) * most;
        println!(
            "{name}: an error line of {line} bytes for a record of {}; a body of 16 MiB comes to {} MiB: {}",
            record.len(),
            all >> 20,
            String::from_utf8_lossy(&lines[0])
        );
        assert!(all < 10 * (16 << 20), "{name}: {all}");
    }
}

#[test]
fn error_objects_end_at_their_size_however_small_the_records_are() {
    let settings = CLICKS.settings().replace("64MiB", "64KiB");
    let site = Site::new(&patient(&settings));
    let daemon = site.start();
    let body = "1\n".repeat(1000);
    for sent in 1..=4 {
        let reply = put(site.address, "identity", body.as_bytes());
        assert_eq!(said(&reply), (200, 1000.into()), "{}", reply.text());
        let read = "firehose_read_records_total{stream=\"clicks\"}";
        wait_until("they are in a batch", || {
            metric(site.address, read) >= f64::from(sent * 1000)
        });
    }
    daemon.drain();
    let lake = site.path("lake");
    let objects = lake::objects(&lake, "errors").len();
    println!(
        "4000 records of a byte that fail, in batches of 64 KiB: {objects} error objects, {} KiB",
        bytes_of(&lake, "errors") >> 10
    );
    assert_eq!(objects, 4);
}

#[test]
fn records_of_texts_without_number_take_no_more_memory_than_others() {
    const TEXTS: usize = 32 << 10;
    let site = Site::new(&patient(&CLICKS.settings()));
    let daemon = site.start();
    // A quarter of a million texts that all fail, and records of more than are taken apart.
    let (many, too_many) = ("{}".repeat(TEXTS), "{}".repeat(8 * TEXTS));
    for body in [vec![many.clone(); 4], vec![many; 4], vec![too_many; 2]] {
        let (records, body) = (body.len(), body.join("\n"));
        let zstd = zstd::encode_all(body.as_bytes(), 3).unwrap();
        let reply = put(site.address, "zstd", &zstd);
        assert_eq!(said(&reply), (200, records.into()), "{}", reply.text());
    }
    // The next process finds all of them, and reads them in one chunk.
    daemon.kill();
    let peak = site.start().drain_measured();
    let failed = lake::failed_records(&site.path("lake"), "errors");
    println!(
        "10 records of texts: {} error rows, {} MiB of memory at the peak",
        failed.len(),
        peak >> 20
    );
    let (alone, whole) = failed.iter().partition::<Vec<_>, _>(|data| data.len() == 2);
    assert_eq!((alone.len(), whole.len()), (8 * TEXTS, 2));
    // Some five stretches of 65,536 lines are on their way at once.
    assert!(peak < 320 << 20, "{peak}");
}

#[test]
fn many_bombs_at_once_take_no_more_memory_than_bodies_may() {
    const BODIES: u64 = 64 << 20;
    let site = Site::new(&CLICKS.settings());
    let daemon = site.start();
    let before = peak_memory(daemon.id()).unwrap();
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    let whole = line.repeat(16 << 10);
    let bombs = [
        ("gzip", gzip(&whole)),
        ("zstd", zstd::encode_all(&whole[..], 3).unwrap()),
    ];
    let address = site.address;
    let crowd: Vec<_> = (0..12)
        .map(|number: usize| {
            let (encoding, body) = bombs[number % 2].clone();
            std::thread::spawn(move || put(address, encoding, &body).status)
        })
        .collect();
    let statuses: Vec<u16> = crowd.into_iter().map(|one| one.join().unwrap()).collect();
    let taken = peak_memory(daemon.id()).unwrap() - before;
    println!(
        "12 bodies of {} and {} bytes, 16 MiB each when decompressed: {} MiB, {} refused",
        bombs[0].1.len(),
        bombs[1].1.len(),
        taken >> 20,
        statuses.iter().filter(|status| **status != 200).count()
    );
    // Beside the bodies: the journal's groups, chunks that are read at once, blocks of batches.
    assert!(taken < BODIES + (256 << 20), "{taken}");
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    daemon.kill();
}
