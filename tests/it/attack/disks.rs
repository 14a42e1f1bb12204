//! Bad disks: what a flipped bit, a lost sector or a lost file under `state_dir` costs.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use firehose::checkpoint::{CheckpointStore, MIRROR, STORE, StoredState};
use firehose::disk::HostDisk;

use super::alarms::judge;
use crate::support::daemon::{Daemon, Site};
use crate::support::http::{get, metric, post_records};
use crate::support::lake;

/// Both copies of the checkpoints.
const COPIES: [&str; 2] = [STORE, MIRROR];
const RECORDS: usize = 40;
const PARTITIONS: usize = 4;

/// Bits, sectors and the whole of one copy, drawn at random, after a kill and after a stop.
#[test]
fn one_bit_of_the_checkpoints_does_not_take_a_stream() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut tried = 0;
    for is_stopped in [false, true] {
        let (site, laid) = laid(is_stopped);
        for copy in COPIES {
            let bytes = fs::read(laid.join(copy)).unwrap();
            let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            for round in 0..4 {
                let at = used[random.usize(..used.len())];
                let mut damaged = bytes.clone();
                match round {
                    0 | 1 => damaged[at] ^= 1 << random.u8(..8),
                    2 => damaged[at / 512 * 512..][..512].fill(0),
                    _ => damaged.truncate(at),
                }
                restore(&site, &laid);
                fs::write(state(&site).join(copy), damaged).unwrap();
                if round == 3 {
                    let listed = site.command(&["state", "list"]).done();
                    assert!(listed.contains("one copy of its checkpoints"), "{listed}");
                }
                let daemon = site.start();
                if round == 3 {
                    let name = "firehose_checkpoint_copies_mended_total{stream=\"clicks\"}";
                    assert!(metric(site.address, name) > 0.0, "{copy} cut at {at}");
                }
                daemon.drain();
                assert_eq!(
                    delivered(&site),
                    expected(),
                    "{copy}, round {round} at {at}"
                );
                tried += 1;
            }
        }
    }
    println!("checkpoints: {tried} damaged copies, all records delivered once each");
}

/// What becomes of the bytes of a file.
type Damage = fn(Vec<u8>) -> Vec<u8>;

#[test]
fn two_damaged_copies_are_a_loud_stop_that_publishes_nothing() {
    let (site, laid) = laid(false);
    let lost: [(&str, Damage); 3] = [
        ("a letter in each page", |mut bytes| {
            bytes
                .iter_mut()
                .skip(4096 + 100)
                .step_by(4096)
                .for_each(|byte| *byte ^= 4);
            bytes
        }),
        ("its head", |mut bytes| {
            bytes[..4096].fill(0);
            bytes
        }),
        ("all", |_| Vec::new()),
    ];
    let mut stops = 0;
    for (what, damage) in &lost {
        restore(&site, &laid);
        for copy in COPIES {
            let path = state(&site).join(copy);
            let bytes = fs::read(&path).unwrap();
            fs::write(path, damage(bytes)).unwrap();
        }
        let mut daemon = site.spawn(&[]);
        until_started(&site, &mut daemon);
        let told = get(site.address, "/readyz").unwrap().text();
        assert!(told.contains("\"state\":\"stopped\""), "{what}: {told}");
        assert!(told.contains("both copies"), "{what}: {told}");
        daemon.kill();
        assert_eq!(delivered(&site), [""; 0], "{what}");
        let listed = site.command(&["state", "list"]).done();
        assert!(listed.contains("cannot be read"), "{what}: {listed}");
        exported(&site, &told);
        stops += 1;
    }
    println!("checkpoints: {stops} ways to damage both copies, {stops} loud stops");
}

/// What the advice offers: all records of the journal are in a file, and the spool's bytes beside it.
fn exported(site: &Site, told: &str) {
    assert!(
        told.contains("`firehose state export clicks DIR`"),
        "{told}"
    );
    // Nothing is published; `exports.rs` looks at what is.
    fs::create_dir_all(site.path("lake")).unwrap();
    let done = site.command(&["state", "export", "clicks", "saved"]).done();
    assert!(done.contains("40 records"), "{done}");
    assert!(done.contains("0 objects"), "{done}");
    let lines = fs::read_to_string(site.path("saved/journal.jsonl")).unwrap();
    let lines = lines.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let data =
            base64::engine::general_purpose::STANDARD.decode(line["rawData"].as_str().unwrap());
        String::from_utf8(data.unwrap()).unwrap()
    });
    let mut records: Vec<String> = lines.collect();
    records.sort();
    assert_eq!(records, expected());
    let spool = files(&site.path("saved/spool"));
    let spooled: Vec<u8> = spool
        .iter()
        .flat_map(|file| fs::read(file).unwrap())
        .collect();
    let spooled = String::from_utf8(spooled).unwrap();
    assert!(
        expected().iter().all(|line| spooled.contains(line)),
        "{spooled}"
    );
    site.command(&["state", "export", "clicks", "saved"])
        .refused(1);
    fs::remove_dir_all(site.path("saved")).unwrap();
}

/// Bits of spooled records, drawn at random, are put right; of two at a place what is lost is one partition's
/// block at most, is told, counted and set aside, and all else is delivered.
#[test]
fn damage_to_raw_blocks_costs_nothing_or_the_records_of_the_block() {
    let mut random = fastrand::Rng::with_seed(13);
    let (site, laid) = laid(false);
    site.configure(&SETTINGS.replace("900s", "1s"));
    let (mut lost, mut flips, mut rounds) = (0, 0.0, 0);
    while rounds < 10 {
        restore(&site, &laid);
        let spool = files(&state(&site).join("spool"));
        let path = &spool[random.usize(..spool.len())];
        let mut bytes = fs::read(path).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let at = random.usize(..bytes.len());
        let is_one = rounds < 3;
        bytes[at] ^= if is_one { 1 } else { 0b101 } << random.u8(..6);
        fs::write(path, bytes).unwrap();
        rounds += 1;

        let mut daemon = site.start();
        let count = |name: &str| {
            metric(
                site.address,
                &format!("firehose_{name}_records_total{{stream=\"clicks\"}}"),
            )
        };
        let all = || count("delivered") + count("quarantined") >= 40.0;
        daemon.until("each record has met its fate", all).unwrap();
        let quarantined = count("quarantined");
        if quarantined > 0.0 {
            let what = "The disk has damaged records in the spool";
            judge(what, &site, &mut daemon, "clicks", || {});
        }
        let flipped = "firehose_spool_flipped_bits_total{stream=\"clicks\"}";
        flips += metric(site.address, flipped);
        daemon.drain();
        let delivered = delivered(&site);
        let aside = files(&state(&site).join("quarantine"));
        let mut missing = expected();
        missing.retain(|line| !delivered.contains(line));
        assert_eq!(delivered.len() + missing.len(), RECORDS, "{delivered:?}");
        assert_eq!(
            missing.len(),
            if aside.is_empty() || is_one {
                0
            } else {
                RECORDS / PARTITIONS
            }
        );
        assert!((quarantined - f64::from(u32::try_from(missing.len()).unwrap())).abs() < 0.5);
        if let Some(aside) = aside.first() {
            let bytes = fs::read(aside).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let whole = missing.iter().filter(|line| text.contains(&**line));
            assert!(whole.count() + 2 >= missing.len(), "{text}");
            let listed = site.command(&["state", "list"]).done();
            assert!(listed.contains("1 damaged blocks"), "{listed}");
        }
        lost += missing.len();
    }
    println!(
        "spool: {rounds} damaged bytes cost {lost} of {} records, {flips} flipped bits nothing",
        rounds * RECORDS
    );
    assert!(lost > 0, "no bit hit a record");
}

/// Nothing more can be set aside until a person has moved away what is: the stop says so, and nothing is given up.
#[test]
fn a_full_quarantine_stops_the_stream_and_says_what_makes_room() {
    let (site, _) = laid(false);
    site.configure(&SETTINGS.replace("900s", "1s"));
    let quarantine = state(&site).join("quarantine");
    fs::create_dir(&quarantine).unwrap();
    for n in 0..1000 {
        fs::write(quarantine.join(format!("{n}.raw")), "").unwrap();
    }
    let found =
        CheckpointStore::peek(&HostDisk::new(state(&site)).unwrap(), Path::new(STORE)).unwrap();
    let extent = found.open[0].blocks[0].extents[0];
    let name = format!("spool/{:010}.spool", extent.file);
    let path = state(&site).join(name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(extent.offset).unwrap()] ^= 0b11;
    fs::write(path, bytes).unwrap();

    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let told = || get(site.address, "/readyz").unwrap().text();
    let stopped = || told().contains("\"state\":\"stopped\"");
    daemon.until("the stream has stopped", stopped).unwrap();
    let told = told();
    assert!(
        told.contains("`quarantine`") && !told.contains("discard"),
        "{told}"
    );
    daemon.kill();
    fs::rename(&quarantine, site.path("elsewhere")).unwrap();
    site.start().drain();
    let delivered = delivered(&site);
    assert_eq!(delivered.len(), RECORDS - RECORDS / PARTITIONS);
    assert_eq!(files(&quarantine).len(), 1);
}

/// A site whose stream has records in a batch and in the journal, and its state put by.
fn laid(is_stopped: bool) -> (Site, PathBuf) {
    let site = Site::new(SETTINGS);
    let mut daemon = site.start();
    for n in 0..RECORDS {
        let reply = post_records(site.address, "clicks", line(n).as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let disk = HostDisk::new(state(&site)).unwrap();
    let checkpointed = || {
        let found = CheckpointStore::peek(&disk, Path::new(STORE));
        let records = |found: StoredState| found.open.iter().map(|batch| batch.records).sum();
        found.map_or(0, records) == RECORDS as u64
    };
    daemon
        .until("all is in a checkpoint", checkpointed)
        .unwrap();
    if is_stopped {
        // Nothing can be published, so that all waits: a file where the lake should be.
        fs::remove_dir_all(site.path("lake")).unwrap();
        fs::write(site.path("lake"), "").unwrap();
        daemon.terminate();
        fs::remove_file(site.path("lake")).unwrap();
    } else {
        daemon.kill();
    }
    let laid = site.path("laid");
    copy(&state(&site), &laid);
    (site, laid)
}

/// The stream as it was put by, and nothing published.
pub(super) fn restore(site: &Site, laid: &Path) {
    fs::remove_dir_all(state(site)).unwrap();
    let _ = fs::remove_dir_all(site.path("lake"));
    copy(laid, &state(site));
}

pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

pub(super) fn state(site: &Site) -> PathBuf {
    site.path("data/state/clicks")
}

fn line(n: usize) -> String {
    let k = n % PARTITIONS;
    format!("{{\"k\":\"{k}\",\"n\":\"{n:03}\"}}")
}

fn expected() -> Vec<String> {
    let mut lines: Vec<String> = (0..RECORDS).map(line).collect();
    lines.sort();
    lines
}

/// The lines of all data objects, in order.
fn delivered(site: &Site) -> Vec<String> {
    let lines = lake::lines(&site.path("lake"), "data").into_iter();
    let mut lines: Vec<String> = lines.map(|line| String::from_utf8(line).unwrap()).collect();
    lines.sort();
    lines
}

fn until_started(site: &Site, daemon: &mut Daemon) {
    daemon.alive();
    let settled = || {
        !get(site.address, "/readyz")
            .unwrap()
            .text()
            .contains("starting")
    };
    daemon.until("the streams have started", settled).unwrap();
}

const SETTINGS: &str = r#"
shutdown_grace = "2s"

[stream.clicks]
spool_limit = "64MiB"

[stream.clicks.source]
type = "direct-put"
journal_limit = "8MiB"

[stream.clicks.partitioning]
query = '{k: .k}'

[stream.clicks.buffering]
interval = "900s"

[stream.clicks.format]
type = "json"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/k=!{partitionKeyFromQuery:k}/"
error_prefix = "errors/!{firehose:error-output-type}/"
"#;
