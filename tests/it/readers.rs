//! Readers of other people: what they make of objects, and that event time and columns read alike.

use std::fs::File;
use std::process::{Command, Stdio};

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use bytes::Bytes;
use firehose::config::{ColumnSettings, FormatSettings, PartitioningSettings};
use firehose::format::{
    Compression, Delimiter, Format, Head, ParquetCompression, ParquetOptions, ParquetSettings,
    RawSettings,
};
use firehose::partition::{KeyRule, Partitioner, Plan, UnreadSettings};
use firehose::position::Position;
use firehose::record::Record;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::command::succeed;
use crate::support::python::python;

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

#[test]
fn a_zip_archive_reads_as_a_stream_in_java() {
    let format = Format::compile(&FormatSettings::new(RawSettings {
        compression: Compression::Zip,
        delimiter: Delimiter::None,
    }))
    .unwrap();
    let large: Vec<Vec<u8>> = (0..3000_u32)
        .map(|number| vec![u8::try_from(number % 251).unwrap(); 4000])
        .collect();
    for records in [vec![], vec![b"x".to_vec()], large] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("object.zip");
        std::fs::write(&path, object(&format, &records)).unwrap();
        let printed = succeed(
            Command::new("java")
                .arg(format!("{CLIENTS}/ZipStream.java"))
                .stdin(Stdio::from(File::open(&path).unwrap())),
        );
        let all = records.concat();
        let sum = firehose::raw_sum::RawSum::of(&all).crc32;
        let expected = format!("1 {} {sum}\n", all.len());
        assert_eq!(String::from_utf8(printed).unwrap(), expected);
    }
}

/// What stands for a damaged row group is a hole, and the footer names only the others.
#[test]
fn an_object_with_a_hole_for_a_row_group_reads_as_the_rest_of_it() {
    let format = Format::compile(&FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::Snappy,
        options: ParquetOptions::default(),
        columns: ColumnSettings::of("n bigint, pad string"),
    }))
    .unwrap();
    let (mut encoder, mut head, mut bytes) = (format.encoder(), Head::default(), Vec::new());
    let mut failed = |_: &Record<'_>, failure| panic!("{failure:?}");
    for run in 0..3 {
        let mut raw = Vec::new();
        for n in run * 1000..(run + 1) * 1000 {
            let data = json!({"n": n, "pad": format!("{:x}", n * 7919)}).to_string();
            let record = Record::new(data.as_bytes(), 0, Position::default());
            format.stage(&record, &mut raw);
        }
        let mut blocks = [Bytes::from(raw)].into_iter();
        let mut next = || Ok(blocks.next());
        let run = format.encode_run(&mut encoder, head.len, &mut next, &mut bytes, &mut failed);
        head.footers.extend(run.unwrap().1);
        head.len = bytes.len() as u64;
    }
    let mut none = || Ok(None);
    let end = format.encode_object(&mut encoder, &head, &mut none, &mut bytes, &mut failed);
    end.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let size = bytes.len() as u64;
    let footer = format
        .footer(&bytes.clone().into(), size, true)
        .unwrap()
        .unwrap();
    let groups = footer.parts();
    assert_eq!(groups.len(), 3);
    for (gone, (hole, _)) in groups.iter().enumerate() {
        let len = usize::try_from(head.len).unwrap();
        let mut mended = bytes[..len].to_vec();
        let [start, end] = [hole.start, hole.end].map(|at| usize::try_from(at).unwrap());
        mended[start..end].fill(0);
        footer
            .write(&|number| number != gone, head.len, &mut mended)
            .unwrap();
        std::fs::write(dir.path().join(format!("{gone}.parquet")), mended).unwrap();
    }
    let mut command = Command::new(python());
    let read = succeed(command.args(["-c", HOLES]).arg(dir.path()));
    let expected = "[[1000, 2999, 2000], [0, 2999, 2000], [0, 1999, 2000]]\n";
    assert_eq!(String::from_utf8(read).unwrap(), expected);
}

/// The least, the greatest and the number of `n` in each object; a filter finds them by the page indexes.
const HOLES: &str = r#"
import pathlib, sys
import duckdb, pyarrow.compute as pc, pyarrow.parquet as pq
found = []
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    query = "select min(n), max(n), count(pad) from read_parquet(?) where n >= 0"
    ours = list(duckdb.execute(query, [str(path)]).fetchone())
    table = pq.read_table(path, filters=pc.field("n") >= 0)
    column = table["n"].to_pylist()
    assert ours == [min(column), max(column), len(table["pad"].drop_null())], path
    found.append(ours)
print(found)
"#;

/// The type of a map's key; a record's members; what `DuckDB` reads, as text; what `PyArrow` reads.
const KEYS: &[[&str; 4]] = &[
    [
        "int",
        r#"{"1":"a","01":"b","+1":"c","2":"d"}"#,
        "{1=c, 2=d}",
        r#"[[1,"c"],[2,"d"]]"#,
    ],
    [
        "bigint",
        r#"{"1e2":"a","100.0":"b"}"#,
        "{100=b}",
        r#"[[100,"b"]]"#,
    ],
    [
        "smallint",
        r#"{"-1":"a","-1.0":"b"}"#,
        "{-1=b}",
        r#"[[-1,"b"]]"#,
    ],
    [
        "tinyint",
        r#"{"7":"a","8":"b","007":"c"}"#,
        "{8=b, 7=c}",
        r#"[[8,"b"],[7,"c"]]"#,
    ],
    [
        "boolean",
        r#"{"true":"a","TRUE":"b"}"#,
        "{true=b}",
        r#"[[true,"b"]]"#,
    ],
    [
        "double",
        r#"{"0.5":"a","5e-1":"b"}"#,
        "{0.5=b}",
        r#"[[0.5,"b"]]"#,
    ],
    [
        "double",
        r#"{"0.0":"a","-0.0":"b"}"#,
        "{-0.0=b}",
        r#"[[-0.0,"b"]]"#,
    ],
    [
        "float",
        r#"{"0.5":"a","0.5000000000001":"b"}"#,
        "{0.5=b}",
        r#"[[0.5,"b"]]"#,
    ],
    [
        "decimal(5,2)",
        r#"{"1":"a","1.00":"b","1.001":"c"}"#,
        "{1.00=c}",
        r#"[["1.00","c"]]"#,
    ],
    [
        "decimal(38,2)",
        r#"{"1":"a","1.00":"b"}"#,
        "{1.00=b}",
        r#"[["1.00","b"]]"#,
    ],
    [
        "date",
        r#"{"2026-09-07":"a","2026-9-7":"b"}"#,
        "{2026-09-07=b}",
        r#"[["2026-09-07","b"]]"#,
    ],
    [
        "timestamp",
        r#"{"2026-09-07T01:22:03Z":"a","2026-09-07 03:22:03+02:00":"b","1788744123":"c"}"#,
        "{'2026-09-07 01:22:03+00'=c}",
        r#"[["2026-09-07 01:22:03+00:00","c"]]"#,
    ],
    [
        "string",
        r#"{"a":"1","\u0061":"2","A":"3"}"#,
        "{a=2, A=3}",
        r#"[["a","2"],["A","3"]]"#,
    ],
    [
        "varchar(3)",
        r#"{"a":"1","a":"2"}"#,
        "{a=2}",
        r#"[["a","2"]]"#,
    ],
    ["char(3)", r#"{"a":"1","a":"2"}"#, "{a=2}", r#"[["a","2"]]"#],
    [
        "binary",
        r#"{"YQ==":"1","\u0059Q==":"2"}"#,
        "{a=2}",
        r#"[["a","2"]]"#,
    ],
];

#[test]
fn keys_of_maps_that_become_the_same_value_are_one_key_and_the_last_counts() {
    let (mut schema, mut record) = (Vec::new(), Vec::new());
    for (index, [kind, members, ..]) in KEYS.iter().enumerate() {
        schema.push(format!("m{index} map<{kind},string>"));
        record.push(format!("\"m{index}\":{members}"));
    }
    // Maps in maps, arrays and structs.
    schema.push("deep map<int,array<struct<m:map<boolean,int>>>>".into());
    record.push(
        r#""deep":{"1":[],"01":[{"m":{"true":1,"True":2}},{"m":{"TRUE":3,"false":4,"true":5}}]}"#
            .into(),
    );
    let record = format!("{{{}}}", record.join(","));
    let (duckdb, pyarrow) = read_by_both(&schema.join(", "), &[record]);
    for (index, [kind, _, expected, plain]) in KEYS.iter().enumerate() {
        assert_eq!(duckdb[0][index], *expected, "map<{kind},string>");
        let plain: Value = serde_json::from_str(plain).unwrap();
        assert_eq!(pyarrow[0][index], plain, "map<{kind},string>");
    }
    let deep = KEYS.len();
    assert_eq!(
        duckdb[0][deep],
        "{1=[{'m': {true=2}}, {'m': {false=4, true=5}}]}"
    );
    let plain = json!([[1, [[["m", [[true, 2]]]], [["m", [[false, 4], [true, 5]]]]]]]);
    assert_eq!(pyarrow[0][deep], plain);
}

#[test]
fn the_first_and_the_last_time_read_as_they_were_written() {
    let records = [
        r#"{"t":"0001-01-01T00:00:00Z","d":"0001-01-01"}"#,
        r#"{"t":"9999-12-31T23:59:59.999999Z","d":"9999-12-31"}"#,
        r#"{"t":"1582-10-10","d":"1582-10-10"}"#,
    ];
    let (duckdb, pyarrow) = read_by_both("t timestamp, d date", &records);
    let expected = json!([
        ["0001-01-01 00:00:00+00", "0001-01-01"],
        ["9999-12-31 23:59:59.999999+00", "9999-12-31"],
        ["1582-10-10 00:00:00+00", "1582-10-10"],
    ]);
    assert_eq!(duckdb, expected);
    assert_eq!(
        pyarrow[0],
        json!(["0001-01-01 00:00:00+00:00", "0001-01-01"])
    );
    assert_eq!(
        pyarrow[1],
        json!(["9999-12-31 23:59:59.999999+00:00", "9999-12-31"])
    );
}

/// Rows of the object of these records, as `DuckDB` and as `PyArrow` read them.
fn read_by_both<R: AsRef<[u8]>>(schema: &str, records: &[R]) -> (Value, Value) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object.parquet");
    let records: Vec<_> = records
        .iter()
        .map(|record| record.as_ref().to_vec())
        .collect();
    std::fs::write(&path, object(&parquet(schema), &records)).unwrap();
    let script = format!("{CLIENTS}/parquet_rows.py");
    let printed = succeed(Command::new(python()).arg(script).arg(&path));
    let mut lines = std::str::from_utf8(&printed).unwrap().lines();
    let mut rows = || serde_json::from_str(lines.next().unwrap()).unwrap();
    (rows(), rows())
}

fn parquet(schema: &str) -> Format {
    Format::compile(&FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::None,
        options: ParquetOptions::default(),
        columns: ColumnSettings::of(schema),
    }))
    .unwrap()
}

/// The object of these records, all of which fit.
fn object(format: &Format, records: &[Vec<u8>]) -> Vec<u8> {
    let mut block = Vec::new();
    for data in records {
        format.stage(&Record::new(data, 0, Position::default()), &mut block);
    }
    let (mut block, mut out) = (Some(block), Vec::new());
    format
        .encode_object(
            &mut format.encoder(),
            &Head::default(),
            &mut || Ok(block.take().map(Into::into)),
            &mut out,
            &mut |record, failure| panic!("{}: {failure:?}", String::from_utf8_lossy(record.data)),
        )
        .unwrap();
    out
}

/// Texts that are times, nearly: one of the forms with something cut out and something put in.
fn texts() -> impl Strategy<Value = String> {
    let forms = prop_oneof![
        "[0-9]{4}-[01]?[0-9]-[0-3]?[0-9]",
        "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,12})?(|Z|z|[+-][0-2][0-9](:?[0-9]{2})?)",
        "20[0-9]{2}-[01]?[0-9]-[0-2]?[0-9][Tt ][0-2]?[0-9]:[0-5]?[0-9](:[0-6]?[0-9])?(\\.[0-9]{1,9})?(|Z|z|[+-][0-2][0-9](:?[0-9]{2})?)",
        "[+-]?[0-9]{1,16}(\\.[0-9]{1,20})?([eE][+-]?[0-9])?",
        "(9999-12-31T2[0-9]:59:59|0001-01-01T0[0-9]:00:00)(|Z|[+-]0[0-9]:[0-9]{2})",
    ];
    let junk = "[0-9TtZz:+. e\u{e9}-]{0,2}";
    (forms, any::<prop::sample::Index>(), 0..2_usize, junk).prop_map(|(mut text, at, cut, junk)| {
        if cut > 0 {
            let at = at.index(text.len() + 1);
            text.replace_range(at..(at + cut).min(text.len()), &junk);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_event_time_and_a_timestamp_column_take_the_same_texts_and_read_the_same_times(
        texts in prop::collection::vec(texts(), 1..20), number in -3e14..3e14_f64,
    ) {
        let records: Vec<Vec<u8>> = (texts.iter().map(|text| json!({"t": text})))
            .chain([json!({"t": number.floor()})])
            .map(|record| record.to_string().into_bytes())
            .collect();
        let format = parquet("t timestamp");
        let mut encoder = format.encoder();
        // As one scan, and by jq.
        for path in [".t", ". as $all | $all.t"] {
            let settings = PartitioningSettings {
                event_time: Some(path.into()),
                ..PartitioningSettings::default()
            };
            let prefix = Some("!{eventTime:uuuu-MM-dd'T'HH:mm:ss'Z'}");
            let partitioner = Partitioner::compile(&Plan {
                settings: &settings,
                has_transforms: false,
                prefix,
                has_watermark: false,
                late_prefix: None,
                rule: &KeyRule::unknown(),
                unread: UnreadSettings::default(),
            })
            .unwrap();
            let mut scratch = partitioner.scratch();
            let (mut taken, mut times) = (Vec::new(), Vec::new());
            for data in &records {
                let record = Record::new(data, 0, Position::default());
                let mut identity = Vec::new();
                let time = partitioner.partition(&mut scratch, &record, &mut identity);
                let column = format.rows(&mut encoder, &record);
                let shown = String::from_utf8_lossy(data).into_owned();
                prop_assert_eq!(time.is_ok(), column.is_ok(), "{}: {:?} {:?}", shown, time, column);
                if time.is_ok() {
                    taken.push(data.clone());
                    times.push(String::from_utf8(identity).unwrap());
                }
            }
            let object = object(&format, &taken);
            prop_assert_eq!(seconds(object), times);
        }
    }
}

/// The seconds of the column of times, as text.
fn seconds(object: Vec<u8>) -> Vec<String> {
    if object.is_empty() {
        return Vec::new();
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(object));
    let batches = reader.unwrap().build().unwrap().map(Result::unwrap);
    let micros = batches.flat_map(|batch| {
        let column = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        column.values().to_vec()
    });
    let text = |micros: i64| {
        let days = micros.div_euclid(86_400_000_000);
        let second = micros.rem_euclid(86_400_000_000) / 1_000_000;
        let date = firehose_calendar::Date::of_day(days.try_into().unwrap());
        let (hour, minute) = (second / 3600, second / 60 % 60);
        format!(
            "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{:02}Z",
            date.year,
            date.month,
            date.day,
            second % 60
        )
    };
    micros.map(text).collect()
}
