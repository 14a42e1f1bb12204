//! Power failures: the whole stream on a disk that forgets and tears what was not synced, with a
//! real folder as the destination. Truth is what the journal acknowledged and what lies in the
//! folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{KnownPlaces, Status, StreamContext, Workers, open, reserve_bytes, run};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::{
    BufferingSettings, DestinationSettings, FormatSettings, KeyValues, PartitioningSettings,
    StreamSettings,
};
use crate::destination::{FolderSettings, Picky};
use crate::disk::{Disk, DiskOperation, Reserve, Shortage, TornDisk};
use crate::error::StreamError;
use crate::format::{Compression, Delimiter, JsonSettings};
use crate::source::direct_put::DirectPut;
use crate::source::{Intake, PutBatch, Refused, Room};
use crate::telemetry::{Metrics, StreamMetrics};

/// Power failures a seed and load.
const LIVES: u32 = 12;
/// A guard against waiting for ever: far above what a life takes.
const PATIENCE: Duration = Duration::from_mins(2);
/// The least that the config allows: 32 MiB and the reserve.
const SPOOL_LIMIT: u64 = 64 << 20;

/// What producers send, and how much of it makes an object.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something else of the load"
)]
struct Load {
    /// Bytes by which a record is padded, at most.
    pad: usize,
    /// Size of a batch, in bytes.
    size: u64,
    /// Errors go to a store of their own.
    apart: bool,
    /// The store refuses single records of the objects that it takes.
    picky: bool,
    /// Objects are rows of columns that are learned, and become more.
    learns: bool,
    /// Records are lines of text, some of which do not parse.
    parses: bool,
}

/// Many small objects.
const SMALL: Load = Load {
    pad: 0,
    size: 4 << 10,
    apart: false,
    picky: false,
    learns: false,
    parses: false,
};
/// Enough to fill segments of the journal, which are released.
const LARGE: Load = Load {
    pad: 6000,
    size: 64 << 10,
    apart: false,
    picky: false,
    learns: false,
    parses: false,
};
/// To two stores.
const APART: Load = Load {
    apart: true,
    ..SMALL
};
/// As rows of columns that are learned.
const LEARNED: Load = Load {
    learns: true,
    ..SMALL
};
/// From text, several lines a record.
const PARSED: Load = Load {
    parses: true,
    ..SMALL
};
/// To one that refuses records.
const PICKY: Load = Load {
    picky: true,
    ..SMALL
};
mod clock;
mod drift;
pub(super) mod learned;
mod order;
mod parsed;
mod room;
mod stalls;

fn settings(lake: &Path, load: Load) -> StreamSettings {
    StreamSettings {
        name: "torn".into(),
        source: DirectPut {
            journal_limit: 8 << 20,
        }
        .into(),
        parser: load.parses.then(parsed::parser),
        transforms: Vec::new(),
        deaggregate: true,
        partitioning: PartitioningSettings {
            query: Some("{k: .k}".into()),
            key_values: KeyValues::Escaped,
            ..PartitioningSettings::default()
        },
        buffering: BufferingSettings::new(load.size, Duration::from_millis(50)),
        watermark: None,
        format: if load.learns {
            learned::rows()
        } else {
            FormatSettings::new(JsonSettings {
                compression: Compression::None,
                delimiter: Delimiter::Newline,
            })
        },
        only_json: false,
        destination: DestinationSettings {
            store: {
                let path = lake.to_owned();
                let folder = FolderSettings { path }.into();
                if load.picky {
                    Picky(folder).into()
                } else {
                    folder
                }
            },
            errors: load.apart.then(|| {
                let path = lake.join("apart");
                FolderSettings { path }.into()
            }),
            backup: None,
            prefix: Some("data/k=!{partitionKeyFromQuery:k}/".into()),
            late_prefix: None,
            error_prefix: Some("errors/!{firehose:error-output-type}/".into()),
        },
        backup: None,
        catalog: None,
        spool_limit: SPOOL_LIMIT,
    }
}

fn context(settings: &StreamSettings, disk: &TornDisk) -> StreamContext {
    let (clock, metrics) = (Clock::system(), Arc::new(Metrics::new().unwrap()));
    let bytes = reserve_bytes(settings);
    let reserve = Reserve::new(
        Arc::new(disk.clone()),
        bytes,
        super::REWRITTEN,
        Shortage::default(),
    );
    let workers = Workers::start(2).unwrap();
    StreamContext {
        clock: clock.clone(),
        workers: workers.clone(),
        routing: workers,
        encoders: Arc::default(),
        transforms: None,
        memory: Arc::new(Budget::new(4 << 20, 1, 0).share()),
        reserve: Arc::new(reserve),
        status: Arc::new(Status::new(StreamMetrics::new(&metrics, "torn"), clock)),
        metrics,
        read_room: Room::new(0),
        known_places: KnownPlaces::default(),
    }
}

/// What producers were told.
#[derive(Default)]
struct Ledger {
    next: u64,
    accepted: BTreeSet<u64>,
}

/// Sends until so many batches are accepted, the journal is stopped or the power fails.
async fn produce(
    intake: Arc<dyn Intake>,
    disk: TornDisk,
    ledger: Arc<Mutex<Ledger>>,
    seed: u64,
    load: Load,
    batches: u32,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sent = 0;
    while sent < batches {
        let count = random.u64(1..40);
        let first = {
            let mut ledger = ledger.lock().unwrap();
            ledger.next += count;
            ledger.next - count
        };
        let mut texts = Vec::new();
        for id in first..first + count {
            // Some records fail: they have no key.
            let key = if id % 50 == 49 { "x" } else { "k" };
            let (value, pad) = (random.u8(0..4), "x".repeat(random.usize(0..=load.pad)));
            // Some have a field that none had before.
            let new = learned::new_field(id)
                .map_or_else(String::new, |name| format!(r#","{name}":{id}"#));
            texts.push(if load.parses {
                parsed::line(id, key, value, &pad)
            } else {
                format!(r#"{{"{key}":"{value}","id":{id},"pad":"{pad}"{new}}}"#)
            });
        }
        let mut batch = PutBatch::default();
        for record in texts.chunks(if load.parses { parsed::LINES } else { 1 }) {
            batch.push(record.join("\n").as_bytes());
        }
        match intake.append(batch).await {
            Ok(_) => sent += 1,
            // Nothing of it is in: a producer backs off and goes on.
            Err(Refused::Full { .. } | Refused::Disk { .. }) if !disk.is_off() => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            Err(_) => return,
        }
        ledger.lock().unwrap().accepted.extend(first..first + count);
    }
}

/// One life of the process: until the power fails, or until its producers have nothing more to
/// send (or to hope for) and everything is published.
async fn live(
    lake: &Path,
    disk: &TornDisk,
    ledger: &Arc<Mutex<Ledger>>,
    seed: u64,
    load: Load,
    batches: u32,
) -> Result<(), StreamError> {
    let settings = Arc::new(settings(lake, load));
    let context = context(&settings, disk);
    let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
    let opening = tokio::task::spawn_blocking({
        let (settings, context) = (Arc::clone(&settings), context.clone());
        move || open(&settings, &dynamic, &context)
    });
    let recovered = opening.await.unwrap()?;
    let source = Arc::clone(&recovered.source);
    let intake = source.intake().unwrap();
    let mut producers = tokio::task::JoinSet::new();
    for n in 0..3 {
        producers.spawn(produce(
            Arc::clone(&intake),
            disk.clone(),
            Arc::clone(ledger),
            seed ^ n,
            load,
            batches,
        ));
    }
    let stopping = {
        let (source, disk) = (Arc::clone(&source), disk.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = producers.join_all() => {}
                // Appends that wait for a dead disk would wait for ever.
                () = power_failure(&disk) => {}
            }
            source.stop();
        })
    };
    let result = tokio::time::timeout(PATIENCE, run(recovered, settings, context)).await;
    let result = result.unwrap_or_else(|_| panic!("seed {seed}: the stream has come to a stand"));
    source.stop();
    stopping.await.unwrap();
    // As the supervisor does: only then may another life open the same disk.
    source.stopped().await;
    result
}

async fn power_failure(disk: &TornDisk) {
    while !disk.is_off() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The records in all files below `dir`; in those of data not the ones that are `refused`.
fn lines_below(dir: &Path, refused: fn(u64) -> bool, found: &mut BTreeMap<u64, Vec<PathBuf>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Markers and temporary files are no objects.
            if !path.file_name().unwrap().to_string_lossy().starts_with('.') {
                lines_below(&path, refused, found);
            }
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|ending| ending == "csv") {
            for id in learned::ids_of_rows(&text) {
                found.entry(id).or_default().push(path.clone());
            }
            continue;
        }
        for line in text.lines() {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            let is_data = !value["rawData"].is_string();
            if let Some(raw) = value["rawData"].as_str() {
                use base64::Engine as _;
                let raw = base64::engine::general_purpose::STANDARD
                    .decode(raw)
                    .unwrap();
                value = serde_json::from_slice(&raw).unwrap();
            }
            let id = value["id"].as_u64().unwrap();
            if !(is_data && refused(id)) {
                found.entry(id).or_default().push(path.clone());
            }
        }
    }
}

/// Gives how often the disk was found full.
fn every_record_is_delivered_once_through_power_failures(seed: u64, load: Load) -> u32 {
    let lake = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut disk = TornDisk::new(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = runtime();
    let mut full = 0;
    for life in 1..=LIVES {
        disk.power_off_after(random.u64(5..600));
        // Fsyncs fail, too: what they were to make durable stays readable, and may be lost.
        for _ in 0..random.u64(0..4) {
            disk.fail(DiskOperation::Sync, random.u64(1..60), ErrorKind::Other);
        }
        // And some disks are full after a few more bytes.
        if random.bool() {
            let used = u64::MAX - disk.room().unwrap();
            disk.set_capacity(used + random.u64(..256 << 10));
        }
        // As the supervisor does: the stream recovers from its disk for as long as there is power.
        while !disk.is_off() {
            let living = live(lake.path(), &disk, &ledger, u64::from(life), load, u32::MAX);
            match runtime.block_on(living) {
                Err(StreamError::State { .. }) => {}
                Err(StreamError::DiskFull { .. }) => full += 1,
                // All was published when the power went.
                Ok(()) if disk.is_off() => {}
                ended => panic!("seed {seed}, {load:?}, life {life}: {ended:?}"),
            }
        }
        disk = disk.crash(random.u64(..));
    }
    runtime
        .block_on(live(lake.path(), &disk, &ledger, 0, load, 100))
        .unwrap();
    judge(
        lake.path(),
        &ledger.lock().unwrap(),
        load,
        &format!("seed {seed}, {load:?}"),
    );
    let is_apart = [lake.path().to_owned(), lake.path().join("apart")]
        .map(|store| has_errors(&store.join("errors")));
    assert_eq!(is_apart, [!load.apart, load.apart], "where errors are");
    full
}

/// Whether something but markers lies in a folder.
fn has_errors(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names = entries.map(|entry| entry.unwrap().file_name());
    names.any(|name| !name.to_string_lossy().starts_with('.'))
}

/// Every accepted record lies in the lake, and none twice.
fn judge(lake: &Path, ledger: &Ledger, load: Load, which: &str) {
    let mut found = BTreeMap::new();
    let refused = if load.picky {
        Picky::refuses
    } else {
        |_| false
    };
    lines_below(lake, refused, &mut found);
    let missing = |id: &&u64| !found.contains_key(id);
    let lost: Vec<_> = ledger.accepted.iter().filter(missing).collect();
    let doubled: Vec<_> = found
        .iter()
        .filter(|(_, objects)| objects.len() > 1)
        .collect();
    assert!(
        lost.is_empty(),
        "{which}: {} of {} lost: {:?}",
        lost.len(),
        ledger.accepted.len(),
        lost.first()
    );
    assert!(
        doubled.is_empty(),
        "{which}: {} doubled: {:?}",
        doubled.len(),
        doubled.first()
    );
    assert!(
        ledger.accepted.len() > 100,
        "{which}: the test accepted too little to say anything"
    );
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn nothing_is_lost_or_doubled_when_the_power_fails() {
    // More by hand: FIREHOSE_SEEDS=100..200.
    let range = std::env::var("FIREHOSE_SEEDS").unwrap_or_else(|_| "1..4".into());
    let (first, last) = range.split_once("..").unwrap();
    let mut full = 0;
    for seed in first.parse().unwrap()..last.parse().unwrap() {
        for load in [SMALL, LARGE, APART, PICKY, LEARNED, PARSED] {
            full += every_record_is_delivered_once_through_power_failures(seed, load);
        }
    }
    assert!(full > 0, "no disk was full");
}

#[test]
fn dead_bytes_of_the_spool_never_keep_a_stream_from_reading_on() {
    let lake = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let disk = TornDisk::new(0);
    runtime()
        .block_on(live(lake.path(), &disk, &ledger, 0, LARGE, 250))
        .unwrap();
    judge(lake.path(), &ledger.lock().unwrap(), LARGE, "in one life");
}
