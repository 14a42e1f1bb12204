//! Bodies that come to much more than they are.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use crate::support::daemon::Site;
use crate::support::http::{Connection, Response};
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
    let site = Site::new(&CLICKS.settings());
    let daemon = site.start();
    let body = zstd::encode_all("1\n".repeat(RECORDS_MAX).as_bytes(), 19).unwrap();
    let reply = put(site.address, "zstd", &body);
    assert_eq!(said(&reply), (200, RECORDS_MAX.into()), "{}", reply.text());
    let peak = daemon.drain_measured();
    let objects = lake::objects(&site.path("lake"), "errors");
    let bytes: u64 = objects
        .iter()
        .map(|object| object.metadata().unwrap().len())
        .sum();
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

#[test]
fn records_of_texts_without_number_take_no_more_memory_than_others() {
    const TEXTS: usize = 32 << 10;
    let site = Site::new(&format!("shutdown_grace = \"10m\"\n{}", CLICKS.settings()));
    let daemon = site.start();
    // A quarter of a million texts of a chunk that all fail, and records of more than are taken apart.
    let (many, too_many) = ("{}".repeat(TEXTS), "{}".repeat(8 * TEXTS));
    let body = [vec![many; 8], vec![too_many; 2]].concat().join("\n");
    let reply = put(
        site.address,
        "zstd",
        &zstd::encode_all(body.as_bytes(), 3).unwrap(),
    );
    assert_eq!(said(&reply), (200, 10.into()), "{}", reply.text());
    let peak = daemon.drain_measured();
    let failed = lake::failed_records(&site.path("lake"), "errors");
    println!(
        "{} bytes in 10 records of texts: {} error rows, {} MiB of memory at the peak",
        body.len(),
        failed.len(),
        peak >> 20
    );
    let (alone, whole) = failed.iter().partition::<Vec<_>, _>(|data| data.len() == 2);
    assert_eq!((alone.len(), whole.len()), (8 * TEXTS, 2));
    assert!(peak < 256 << 20, "{peak}");
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
