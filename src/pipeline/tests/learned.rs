//! Rows of columns that are learned from records, some of which have fields that none had before.

use super::super::learning::Held;
use super::super::outputs::Outputs;
use super::super::route::{Routed, Routing, Stretch};
use super::clock::{Running, put};
use super::*;
use crate::config::{ColumnSettings, GlueTable, Sample};
use crate::format::CsvSettings;
use crate::position::Sequence;
use crate::record::ChunkBuilder;
use crate::telemetry::StreamStatus as _;

/// Lines of text under a line with the names, learned from a few records.
pub(in crate::pipeline) fn rows() -> FormatSettings {
    rows_of(Sample {
        records: 50,
        ..Sample::default()
    })
}

fn rows_of(sample: Sample) -> FormatSettings {
    rows_with(ColumnSettings {
        sample: Some(sample),
        ..ColumnSettings::of("infer")
    })
}

/// The same lines with the columns of a table.
pub(in crate::pipeline) fn rows_of_table(table: GlueTable) -> FormatSettings {
    rows_with(ColumnSettings {
        table: Some(table),
        ..ColumnSettings::of("glue_table")
    })
}

fn rows_with(columns: ColumnSettings) -> FormatSettings {
    FormatSettings::new(CsvSettings {
        compression: Compression::None,
        delimiter: ',',
        header: true,
        quote: '"',
        null: String::new(),
        columns,
    })
}

/// A field that not all records have; another one every so often.
pub(in crate::pipeline) fn new_field(id: u64) -> Option<String> {
    (id % 7 == 3).then(|| format!("new{}", id / 300))
}

/// The records of an object of rows, each with all that was in it.
pub(in crate::pipeline) fn ids_of_rows(text: &str) -> Vec<u64> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let id_of = |row: Vec<&str>| {
        let value = |name: &str| {
            names
                .iter()
                .position(|known| *known == name)
                .map(|at| row[at])
        };
        let id = value("id").unwrap();
        let number = id.parse().unwrap();
        if let Some(new) = new_field(number) {
            assert_eq!(value(&new), Some(id), "{new} of {row:?} under {names:?}");
        }
        number
    };
    lines.map(id_of).collect()
}

/// Two stretches of a chunk that are held, and a chunk of its own.
fn held_stretches(outputs: &Outputs) -> [Routed; 3] {
    let chunk = |from: u64| {
        let mut chunk = ChunkBuilder::with_room(8, 1 << 10);
        for number in from..from + 8 {
            let record = format!(r#"{{"k":"a","id":{number}}}"#);
            chunk.push(record.as_bytes(), 5, Sequence(number));
        }
        Arc::new(chunk.finish())
    };
    let (first, second) = (chunk(1), chunk(9));
    [(&first, 0..4), (&first, 4..8), (&second, 0..8)].map(|(chunk, range)| {
        let mut routing = Routing::begin(Stretch::of(Arc::clone(chunk), range), outputs, 7);
        let mut scratch = outputs.partitioner.scratch();
        while !routing.advance(outputs, &mut scratch) {}
        routing.finish(outputs)
    })
}

#[test]
fn what_is_held_is_counted_whichever_of_it_is_let_go_first() {
    let lake = tempfile::tempdir().unwrap();
    let settings = StreamSettings {
        format: rows(),
        ..settings(lake.path(), SMALL)
    };
    let outputs = Outputs::compile(&settings, BTreeMap::new(), Vec::new()).unwrap();
    let counted = |stretches: Vec<Routed>| {
        let mut held = Held::default();
        for stretch in stretches {
            held.push(stretch);
        }
        held
    };
    let [first, second, third] = held_stretches(&outputs);
    assert!(first.seen.is_some(), "it has what no column takes");
    let mut held = counted(vec![first, second, third]);
    let all = held.bytes();
    for let_go in 1..=3 {
        held.pop().unwrap();
        let rest = held_stretches(&outputs).into_iter().skip(let_go);
        let alone = counted(rest.collect()).bytes();
        assert_eq!(held.bytes(), alone, "{let_go} of three are let go");
        assert!(alone < all);
    }
}

/// Forty records, of which the first has a field that no other has.
async fn put_many(intake: &dyn Intake, pad: usize, field: &str) {
    let (mut batch, pad) = (PutBatch::default(), "x".repeat(pad));
    batch.push(format!(r#"{{"k":"a","id":0,"pad":"{pad}","{field}":1}}"#).as_bytes());
    for id in 1..40 {
        batch.push(format!(r#"{{"k":"a","id":{id},"pad":"{pad}"}}"#).as_bytes());
    }
    intake.append(batch).await.unwrap();
}

/// Of each, the other two bounds are far beyond what is sent, and the clock stands still but for the two steps that make up
/// the time.
#[tokio::test(flavor = "multi_thread")]
async fn records_bytes_and_time_each_end_the_wait_for_a_sample_by_themselves() {
    let far = Sample {
        records: 10_000_000,
        bytes: 256 << 20,
        time: Duration::from_hours(1),
    };
    let records = Sample { records: 80, ..far };
    let bytes = Sample {
        bytes: 1 << 20,
        ..far
    };
    let time = Sample {
        time: Duration::from_secs(10),
        ..far
    };
    for (bound, sample, pad) in [
        ("records", records, 0),
        ("bytes", bytes, 20_000),
        ("time", time, 0),
    ] {
        let (lake, disk) = (tempfile::tempdir().unwrap(), TornDisk::new(1));
        let clock = Clock::manual(1_796_000_000_000);
        let settings = StreamSettings {
            format: rows_of(sample),
            ..settings(lake.path(), SMALL)
        };
        let running = Running::start(settings, &disk, &clock).await;
        // A turn ends with what it holds: then it has seen to the sample.
        let turn = async |before| {
            running
                .until(bound, |_| running.memory.held() > before)
                .await;
            running.memory.held()
        };
        // Half of what is enough, and what is: the fields of both are in the first columns.
        put_many(&*running.intake, pad, "one").await;
        let held = turn(0).await;
        if bound == "time" {
            // A millisecond less than what is enough; the stream takes a turn then.
            clock.advance(Duration::from_millis(9_999));
            put(&*running.intake, r#"{"k":"a","id":40,"other":1}"#).await;
            turn(held).await;
        }
        let version = running.status.snapshot().schema_version;
        assert_eq!(version, 0, "{bound}: less than it ends the wait");
        if bound == "time" {
            clock.advance(Duration::from_millis(1));
        } else {
            put_many(&*running.intake, pad, "other").await;
        }
        running
            .until(bound, |status| status.snapshot().schema_version > 0)
            .await;
        let versions = running.end().await.schema();
        let [first] = &versions[..] else {
            panic!("{bound}: {versions:?}")
        };
        for column in ["one bigint", "other bigint"] {
            assert!(first.columns.contains(column), "{bound}: {first:?}");
        }
    }
}
