//! A corpus over every type, null, nesting and extreme, under each option of the layout, read by other people's readers: all of
//! them find in every cell what the record had.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use firehose::config::{ColumnSettings, FormatSettings};
use firehose::format::{
    BloomFilters, Format, Head, ParquetCompression, ParquetOptions, ParquetSettings, SortedBy,
    TimestampType, WriterVersion,
};
use firehose::position::Position;
use firehose::record::Record;
use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use crate::support::command::succeed;
use crate::support::python::python;

const COLUMNS: &str = include_str!("corpus/columns.txt");
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// The object of times that every reader of INT96 knows.
const NEAR: &str = "int96-near";

/// Runs of each object, and the records in each.
const RUNS: usize = 3;
const RECORDS: usize = 200;

/// A column: its name, its type, and values as a record has them.
type Column = (&'static str, &'static str, Vec<Value>);

fn columns() -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for line in COLUMNS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(column) = line.strip_prefix("= ") {
            let (name, kind) = column.split_once(' ').unwrap();
            columns.push((name, kind, Vec::new()));
        } else {
            let value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            columns.last_mut().unwrap().2.push(value);
        }
    }
    columns
}

/// Records of all values, each beside others in turn; some lack a column, and in some it is null.
fn records(columns: &[Column]) -> Vec<String> {
    let record = |turn: usize| {
        let mut record = Map::new();
        record.insert("row".into(), turn.into());
        for (at, (name, _, values)) in columns.iter().enumerate() {
            match (turn + at) % 7 {
                5 => {}
                6 => drop(record.insert((*name).into(), Value::Null)),
                _ => drop(record.insert((*name).into(), values[turn % values.len()].clone())),
            }
        }
        Value::Object(record).to_string()
    };
    (0..RUNS * RECORDS).map(record).collect()
}

/// Layouts by their names, and the codec of each.
fn layouts() -> Vec<(&'static str, ParquetCompression, ParquetOptions)> {
    let usual = ParquetOptions::default;
    let of_firehose = ParquetOptions {
        block_size: Some(1 << 20),
        page_size: Some(8 << 10),
        without_dictionary: true,
        ..usual()
    };
    let second = ParquetOptions {
        writer_version: WriterVersion::V2,
        ..usual()
    };
    let deltas = ParquetOptions {
        without_dictionary: true,
        page_size: Some(8 << 10),
        ..second.clone()
    };
    let filtered = [
        "row", "i", "x", "c9", "c18", "c38", "z", "ts", "d", "y", "o.p",
    ];
    let sorted = ParquetOptions {
        zstd_level: Some(9),
        bloom_filters: BloomFilters {
            columns: filtered.map(str::to_owned).into(),
            false_positives: None,
        },
        sorted_by: vec![
            SortedBy {
                column: "x".into(),
                descending: true,
            },
            SortedBy {
                column: "c38".into(),
                descending: false,
            },
        ],
        without_page_index: true,
        statistics_length: Some(1),
        ..usual()
    };
    let times = |timestamps, writer_version| ParquetOptions {
        timestamps,
        writer_version,
        ..usual()
    };
    let (v1, v2) = (WriterVersion::V1, WriterVersion::V2);
    vec![
        ("usual", ParquetCompression::Zstd, usual()),
        ("firehose", ParquetCompression::Snappy, of_firehose),
        ("second", ParquetCompression::Gzip, second),
        ("deltas", ParquetCompression::Snappy, deltas),
        ("sorted", ParquetCompression::Zstd, sorted),
        (
            "millis",
            ParquetCompression::Lz4,
            times(TimestampType::Millis, v1),
        ),
        (
            "int96",
            ParquetCompression::None,
            times(TimestampType::Int96, v1),
        ),
        (
            NEAR,
            ParquetCompression::Snappy,
            times(TimestampType::Int96, v2),
        ),
    ]
}

/// The object of these records, all of which fit, in several runs.
fn object(format: &Format, records: &[String]) -> Vec<u8> {
    let (mut head, mut out) = (Head::default(), Vec::new());
    let mut failed = |record: &Record<'_>, failure| {
        panic!("{}: {failure:?}", String::from_utf8_lossy(record.data))
    };
    for run in records.chunks(RECORDS) {
        let mut block = Vec::new();
        for data in run {
            let record = Record::new(data.as_bytes(), 0, Position::default());
            format.stage(&record, &mut block);
        }
        let mut blocks = [Bytes::from(block)].into_iter();
        let mut next = || Ok(blocks.next());
        let mut encoder = format.encoder();
        let run = format.encode_run(&mut encoder, head.len, &mut next, &mut out, &mut failed);
        head.footers.extend(run.unwrap().1);
        head.len = out.len() as u64;
    }
    let end = format.encode_object(
        &mut format.encoder(),
        &head,
        &mut || Ok(None),
        &mut out,
        &mut failed,
    );
    end.unwrap();
    out
}

/// Whether all times of a record are among those that INT96 has for every reader: as nanoseconds since 1970 in 64 bits.
fn is_near(record: &str) -> bool {
    let record: Value = serde_json::from_str(record).unwrap();
    let year = record["ts"].as_str().map(|time| &time[..4]);
    year.is_none_or(|year| ("1678".."2262").contains(&year))
}

/// Records in each of which every column has a value, or a null now and then; the first row groups have the first values,
/// and the last the last.
fn records_in_order(columns: &[Column]) -> Vec<String> {
    let record = |turn: usize| {
        let mut record = Map::new();
        record.insert("row".into(), turn.into());
        for (at, (name, _, values)) in columns.iter().enumerate() {
            if !(turn + at).is_multiple_of(11) {
                let value = values[turn * values.len() / (RUNS * RECORDS)].clone();
                record.insert((*name).into(), value);
            }
        }
        Value::Object(record).to_string()
    };
    (0..RUNS * RECORDS).map(record).collect()
}

/// Writes the corpus into a folder; returns how many cells each object has.
fn write(dir: &Path, columns: &[Column], records: &[String]) -> Value {
    let mut schema = "row int".to_owned();
    for (name, kind, _) in columns {
        write!(schema, ", {name} {kind}").unwrap();
    }
    let mut counts = Map::new();
    for (name, compression, options) in layouts() {
        let format = Format::compile(&FormatSettings::new(ParquetSettings {
            compression,
            options,
            columns: ColumnSettings::of(schema.clone()),
        }));
        let mut records = records.to_vec();
        if name == NEAR {
            records.retain(|record| is_near(record));
            std::fs::write(dir.join(format!("{name}.jsonl")), records.join("\n")).unwrap();
        }
        let name = format!("{name}.parquet");
        let object = object(&format.unwrap(), &records);
        std::fs::write(dir.join(&name), object).unwrap();
        counts.insert(name, json!(records.len() * (columns.len() + 1)));
    }
    let names = columns.iter().map(|(name, kind, _)| json!([name, kind]));
    let names: Vec<Value> = [json!(["row", "int"])].into_iter().chain(names).collect();
    std::fs::write(dir.join("columns.json"), Value::Array(names).to_string()).unwrap();
    std::fs::write(dir.join("records.jsonl"), records.join("\n")).unwrap();
    Value::Object(counts)
}

/// Has one reader read all of it, as a script says; the error is a table of what it reads differently.
fn read(script: &str, reader: &str, dir: &Path) -> Result<Value, String> {
    let script = Path::new(CLIENTS).join(script);
    let mut command = Command::new(python());
    let output = command.arg(script).arg(dir).arg(reader).output().unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_reader_finds_in_every_cell_what_the_record_had() {
    // It stays, for the reader that `.ci/spark` starts.
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    drop(std::fs::remove_dir_all(&dir));
    std::fs::create_dir_all(&dir).unwrap();
    let columns = columns();
    let counts = write(&dir, &columns, &records(&columns));
    let mut differences = String::new();
    for reader in ["duckdb", "pyarrow", "polars", "chdb"] {
        match read("corpus.py", reader, &dir) {
            Ok(mut read) => {
                if reader == "chdb" {
                    // One of the differences that the script knows and proves.
                    assert_eq!(read["int96.parquet"].take(), 0);
                    read["int96.parquet"] = counts["int96.parquet"].clone();
                }
                assert_eq!(read, counts, "{reader}");
            }
            Err(table) => differences.push_str(&table),
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

/// Where statistics, Bloom filters or what is sorted were wrong, rows would be passed over that have what is asked for.
#[test]
fn readers_that_pass_over_row_groups_find_the_rows_that_have_what_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let columns = columns();
    let records = records_in_order(&columns);
    let counts = write(dir.path(), &columns, &records);
    let mut differences = String::new();
    for reader in ["duckdb", "pyarrow"] {
        match read("filtered.py", reader, dir.path()) {
            Ok(asked) => {
                for object in counts.as_object().unwrap().keys() {
                    let questions = asked[object].as_u64().unwrap_or_default();
                    assert!(questions > 300, "{reader}: {object}: {questions}");
                }
            }
            Err(table) => differences.push_str(&table),
        }
    }
    assert!(differences.is_empty(), "\n{differences}");

    // They do look: where a row group lies about its numbers, its rows are not found.
    let path = dir.path().join("usual.parquet");
    let object = Bytes::from(std::fs::read(&path).unwrap());
    for (name, _) in counts.as_object().unwrap() {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    std::fs::write(&path, lying(&object)).unwrap();
    for reader in ["duckdb", "pyarrow"] {
        let table = read("filtered.py", reader, dir.path()).unwrap_err();
        assert!(
            table.contains("usual.parquet | row | "),
            "{reader}: {table}"
        );
    }
}

/// The same object, whose first row group says of its first column that all its numbers are beyond those that there are.
fn lying(object: &Bytes) -> Vec<u8> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(object);
    let metadata = metadata.unwrap();
    let mut metadata = metadata.into_builder();
    let mut groups = metadata.take_row_groups();
    let mut group = groups.remove(0).into_builder();
    let mut columns = group.take_columns();
    let beyond = i32::try_from(RUNS * RECORDS).unwrap();
    let statistics = Statistics::int32(Some(beyond), Some(beyond + 1), None, Some(0), false);
    let column = columns.remove(0).into_builder();
    let column = column.set_statistics(statistics).build().unwrap();
    columns.insert(0, column);
    let group = group.set_column_metadata(columns).build().unwrap();
    groups.insert(0, group);
    let metadata = metadata.set_row_groups(groups).build();
    let footer = object.len() - 8;
    let length = u32::from_le_bytes(object[footer..footer + 4].try_into().unwrap());
    let mut out = object[..footer - length as usize].to_vec();
    let mut end = Vec::new();
    ParquetMetaDataWriter::new(&mut end, &metadata)
        .finish()
        .unwrap();
    out.append(&mut end);
    out
}

/// What `DuckDB` and `PyArrow` find beside the pages.
#[test]
fn other_readers_look_into_bloom_filters_and_know_what_rows_are_sorted_by() {
    let options = ParquetOptions {
        bloom_filters: BloomFilters {
            columns: vec!["id".into(), "user.id".into()],
            false_positives: Some(1000),
        },
        sorted_by: vec![SortedBy {
            column: "n".into(),
            descending: true,
        }],
        ..ParquetOptions::default()
    };
    let format = Format::compile(&FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::Zstd,
        options,
        columns: ColumnSettings::of("id string, n int, user struct<id:bigint>"),
    }));
    let record = |n: usize| json!({"id": format!("id {n}"), "n": n % 10, "user": {"id": n}});
    let records: Vec<String> = (0..RUNS * RECORDS).map(|n| record(n).to_string()).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&object(&format.unwrap(), &records)).unwrap();
    let mut command = Command::new(python());
    let found = succeed(command.args(["-c", BESIDE]).arg(file.path()));
    let found: Value = serde_json::from_slice(&found).unwrap();
    let expected = json!({
        // Only the row group that has a value, by the first and the last of each.
        "id": [[false, true, true], [true, true, false]],
        "strange": [true, true, true],
        "sorted": [[1, true, false], [1, true, false], [1, true, false]],
        "rows": RUNS * RECORDS,
        "descending": true,
    });
    assert_eq!(found, expected);
}

const BESIDE: &str = r#"
import json, sys
import duckdb, pyarrow.parquet as pq
path = sys.argv[1]

def excludes(column, value):
    rows = duckdb.execute("select * from parquet_bloom_probe(?, ?, ?)", [path, column, value]).fetchall()
    return [row[-1] for row in rows]

file = pq.ParquetFile(path)
groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
numbers = [file.read_row_group(number)["n"].to_pylist() for number in range(len(groups))]
print(json.dumps({
    "id": [excludes("id", "id 0"), excludes("id", "id 599")],
    "strange": excludes("id", "nobody"),
    "sorted": [[(key.column_index, key.descending, key.nulls_first) for key in group.sorting_columns][0] for group in groups],
    "rows": duckdb.execute("select count(*) from read_parquet(?) where user.id >= 0", [path]).fetchone()[0],
    "descending": all(rows == sorted(rows, reverse=True) for rows in numbers),
}))
"#;
