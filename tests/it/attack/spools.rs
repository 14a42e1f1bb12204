//! Bad disks under encoded bytes: what a flipped bit or a lost sector of a sealed object costs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use firehose::checkpoint::{CheckpointStore, STORE, SealedObject};
use firehose::disk::HostDisk;
use firehose::extent::Extent;

use super::alarms::judge as look;
use super::disks::{copy, files, restore, state};
use crate::exactly_once::MENDED;
use crate::support::campaign::say;
use crate::support::command::succeed;
use crate::support::daemon::{Site, was_killed};
use crate::support::http::{get, metric, post_records};
use crate::support::python::python;

const RECORDS: usize = 1200;
const PARTITIONS: usize = 4;
const SECTOR: u64 = 512;

/// What is done to the spool of a stream, and how its process ends while it mends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// A bit of each extent.
    Bits,
    /// A sector of each object, drawn at random with this seed.
    Sectors(u64),
    /// The same, and the process is killed when it has mended the first.
    Killed(u64),
    /// The last sector of each object, which has its end.
    Ends,
}

const ROUNDS: [Round; 5] = [
    Round::Bits,
    Round::Sectors(1),
    Round::Sectors(2),
    Round::Killed(3),
    Round::Ends,
];

#[test]
fn damage_to_gzip_holds_up_no_object_and_costs_what_lies_there() {
    let lost = through_all_rounds("type = \"json\"\ncompression = \"gzip\"");
    // The end of a gzip member follows from its blocks.
    let at_the_end = lost[4];
    assert!(at_the_end < RECORDS, "{lost:?}");
}

#[test]
fn damage_to_parquet_holds_up_no_object_and_costs_what_lies_there() {
    through_all_rounds("type = \"parquet\"\nschema = \"k string, n string, pad string\"");
}

/// A person has moved objects aside that are damaged in part, and a bit of what was moved has rotted since.
#[test]
fn what_was_moved_aside_damaged_comes_back_and_the_rest_of_it_is_delivered() {
    let gzip = "type = \"json\"\ncompression = \"gzip\"";
    let site = Site::new(&SETTINGS.replace("FORMAT", gzip));
    let (_, sealed) = laid(&site);
    damage(&site, &sealed, Round::Sectors(1));
    fs::create_dir(site.path("lake")).unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    for object in &sealed {
        let key = &*object.target.key;
        // Nothing was ever published there.
        let discard = ["state", "discard", "clicks", "--object", key];
        site.command(&[&discard[..], &["--yes", "--unasked"]].concat())
            .done();
        let folder = state(&site).join("discarded").join(object.id.to_string());
        let [file] = &files(&folder)[..] else {
            panic!("not one file in {}", folder.display())
        };
        let mut bytes = fs::read(file).unwrap();
        assert_eq!(bytes.len() as u64, object.size);
        let at = random.usize(..bytes.len());
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
        // The daemon mends it, not the verb.
        let told = site
            .command(&["state", "retry", "clicks", "--object", key])
            .refused(1);
        assert!(told.contains("is back in the state"), "{told}");
    }
    let mut daemon = site.start();
    let count = |name: &str| {
        let name = format!("firehose_{name}_records_total{{stream=\"clicks\"}}");
        format!("{:.0}", metric(site.address, &name))
            .parse::<usize>()
            .unwrap()
    };
    let all = || count("delivered") + count("quarantined") >= RECORDS;
    daemon.until("each record has met its fate", all).unwrap();
    let quarantined = count("quarantined");
    daemon.drain();
    let found = read(&[site.path("lake")]).concat();
    let once: BTreeSet<&String> = found.iter().collect();
    assert_eq!(once.len(), found.len(), "none twice");
    assert_eq!(RECORDS - found.len(), quarantined);
    // A sector of each has cost a block at most.
    let blocks = sealed.iter().map(|object| object.counts.iter().max());
    let at_most: u64 = blocks.map(Option::unwrap).sum();
    assert!(at_most < RECORDS as u64, "{at_most}");
    assert!(quarantined as u64 <= at_most, "{quarantined} of {at_most}");
    say(&format!(
        "moved aside damaged, and put back: {quarantined} of {RECORDS} records lost"
    ));
}

/// The records that each round has cost.
fn through_all_rounds(format: &str) -> Vec<usize> {
    let site = Site::new(&SETTINGS.replace("FORMAT", format));
    let (laid, sealed) = laid(&site);
    let mut quarantined = Vec::new();
    for (number, round) in ROUNDS.into_iter().enumerate() {
        restore(&site, &laid);
        let extents = damage(&site, &sealed, round);
        if matches!(round, Round::Killed(_)) {
            let (failpoint, _) = MENDED[0];
            let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", &format!("{failpoint}:1"))]);
            assert!(was_killed(daemon.wait_for_failpoint()));
        }
        let mut daemon = site.start();
        let count = |name: &str| {
            let value = metric(
                site.address,
                &format!("firehose_{name}_total{{stream=\"clicks\"}}"),
            );
            format!("{value:.0}").parse::<usize>().unwrap()
        };
        if matches!(round, Round::Killed(_)) {
            // What the first process has done is not among the counts of the second.
            quarantined.push(None);
        } else {
            let all = || count("delivered_records") + count("quarantined_records") >= RECORDS;
            daemon.until("each record has met its fate", all).unwrap();
            quarantined.push(Some(count("quarantined_records")));
        }
        match round {
            Round::Bits => {
                let what = "A bit has flipped in the spool";
                look(what, &site, &mut daemon, "clicks", || {});
                let all = || count("spool_flipped_bits") == extents;
                daemon.until("each flipped bit is told", all).unwrap();
                assert_eq!(quarantined[0], Some(0));
            }
            Round::Sectors(_) => {
                let what = "The disk has damaged records in the spool";
                look(what, &site, &mut daemon, "clicks", || {});
            }
            Round::Killed(_) | Round::Ends => {}
        }
        assert_eq!(
            get(site.address, "/readyz").unwrap().status,
            200,
            "{round:?}"
        );
        daemon.drain();
        fs::rename(site.path("lake"), site.path(format!("lake-{number}"))).unwrap();
        let aside = files(&state(&site).join("quarantine"));
        fs::create_dir(site.path(format!("aside-{number}"))).unwrap();
        for file in aside {
            let name = file.file_name().unwrap();
            fs::copy(&file, site.path(format!("aside-{number}")).join(name)).unwrap();
        }
    }
    judge(&site, &quarantined)
}

/// Each record is in one object, or was set aside and counted; the files that were set aside are there.
fn judge(site: &Site, quarantined: &[Option<usize>]) -> Vec<usize> {
    let lakes = (0..ROUNDS.len()).map(|number| site.path(format!("lake-{number}")));
    let lakes: Vec<PathBuf> = lakes.collect();
    let found = read(&lakes);
    let mut lost = Vec::new();
    for ((number, round), found) in ROUNDS.into_iter().enumerate().zip(found) {
        let once: BTreeSet<&String> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "{round:?}: none twice");
        let expected: BTreeSet<String> = (0..RECORDS).map(|n| format!("{n:04}")).collect();
        assert!(once.iter().all(|n| expected.contains(*n)), "{round:?}");
        let missing = RECORDS - once.len();
        if let Some(quarantined) = quarantined[number] {
            assert_eq!(missing, quarantined, "{round:?}");
        }
        let aside = files(&site.path(format!("aside-{number}"))).len();
        assert_eq!(missing > 0, aside > 0, "{round:?}: {aside} files set aside");
        lost.push(missing);
    }
    say(&format!(
        "{RECORDS} records in {PARTITIONS} objects; lost: {:?}",
        ROUNDS.iter().zip(&lost).collect::<Vec<_>>()
    ));
    assert!(lost[1] + lost[2] > 0, "no sector hit a record");
    lost
}

/// The numbers in the objects of each lake, as `DuckDB` and another reader find them.
fn read(lakes: &[PathBuf]) -> Vec<Vec<String>> {
    let mut command = Command::new(python());
    command.args(["-c", READER]).args(lakes);
    let printed = succeed(&mut command);
    serde_json::from_slice(&printed).unwrap()
}

const READER: &str = r#"
import gzip, json, pathlib, sys
import duckdb, pyarrow.parquet
found = []
for lake in sys.argv[1:]:
    numbers = []
    for path in sorted(pathlib.Path(lake, "data").rglob("*.*")):
        if not path.is_file():
            continue
        if path.suffix == ".gz":
            query = "select n from read_json(?, format = 'newline_delimited')"
            other = [json.loads(line)["n"] for line in gzip.open(path)]
        else:
            query = "select n from read_parquet(?)"
            other = pyarrow.parquet.read_table(path)["n"].to_pylist()
        ours = [row[0] for row in duckdb.execute(query, [str(path)]).fetchall()]
        ours = ["%04d" % int(n) for n in ours]
        assert ours == other, path
        numbers += other
    found.append(numbers)
print(json.dumps(found))
"#;

/// Damages a spool; the number of extents of all objects.
fn damage(site: &Site, sealed: &[SealedObject], round: Round) -> usize {
    let hit = |extent: Extent, at: u64, len: u64, change: &dyn Fn(&mut [u8])| {
        let name = format!("{:010}.spool", extent.file);
        let path = state(site).join("spool").join(name);
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        file.read_exact_at(&mut bytes, extent.offset + at).unwrap();
        change(&mut bytes);
        file.write_all_at(&bytes, extent.offset + at).unwrap();
    };
    let sector = |extent: Extent, at: u64| {
        let start = at / SECTOR * SECTOR;
        let end = (start + SECTOR).min(extent.len.into());
        hit(extent, start, end - start, &|bytes| bytes.fill(0));
    };
    let mut random = fastrand::Rng::with_seed(7);
    for object in sealed {
        match round {
            Round::Bits => {
                for extent in &object.extents {
                    let (at, bit) = (random.u64(..u64::from(extent.len)), random.u8(..8));
                    hit(*extent, at, 1, &|bytes| bytes[0] ^= 1 << bit);
                }
            }
            Round::Sectors(seed) | Round::Killed(seed) => {
                let mut random = fastrand::Rng::with_seed(seed ^ object.crc64);
                let mut at = random.u64(..object.size);
                for extent in &object.extents {
                    if at < extent.len.into() {
                        sector(*extent, at);
                        break;
                    }
                    at -= u64::from(extent.len);
                }
            }
            Round::Ends => {
                let last = object.extents[object.extents.len() - 1];
                sector(last, u64::from(last.len) - 1);
            }
        }
    }
    sealed.iter().map(|object| object.extents.len()).sum()
}

/// A stream of which all is sealed and nothing is published: its state put by, and its objects.
fn laid(site: &Site) -> (PathBuf, Vec<SealedObject>) {
    let daemon = site.start();
    let mut random = fastrand::Rng::with_seed(5);
    let mut pad = || -> String { (0..2000).map(|_| random.alphanumeric()).collect() };
    let lines = (0..RECORDS).map(|n| {
        let k = n % PARTITIONS;
        format!("{{\"k\":\"{k}\",\"n\":\"{n:04}\",\"pad\":\"{}\"}}\n", pad())
    });
    let lines: Vec<String> = lines.collect();
    for body in lines.chunks(200) {
        let reply = post_records(site.address, "clicks", body.concat().as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    // Nothing can be published, so that all waits: a file where the lake should be.
    fs::remove_dir_all(site.path("lake")).unwrap();
    fs::write(site.path("lake"), "").unwrap();
    daemon.terminate();
    fs::remove_file(site.path("lake")).unwrap();
    let laid = site.path("laid");
    copy(&state(site), &laid);
    let found = CheckpointStore::peek(&HostDisk::new(&laid).unwrap(), Path::new(STORE)).unwrap();
    assert_eq!((found.open.len(), found.sealed.len()), (0, PARTITIONS));
    (laid, found.sealed)
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
FORMAT

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/k=!{partitionKeyFromQuery:k}/"
error_prefix = "errors/!{firehose:error-output-type}/"
"#;
