//! Records through the decoder and the writer, read back by the parquet crate's own reader.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::{FormatSettings, ParquetCompression};
use crate::failure::Failure;
use crate::format::{Format, Head};
use crate::position::{Position, Sequence};
use crate::record::Record;

mod oracle;
mod rows;
mod runs;
mod types;

pub(super) fn compile(schema: &str, compression: ParquetCompression) -> Format {
    Format::compile(&FormatSettings::Parquet {
        compression,
        schema: schema.to_owned(),
    })
    .unwrap()
}

/// The object of these records, and the index and reason of each that failed.
pub(super) fn convert<R: AsRef<[u8]>>(
    format: &Format,
    records: &[R],
) -> (Vec<u8>, Vec<(u64, Failure)>) {
    let mut blocks = Vec::new();
    for (first, records) in records.chunks(3000).enumerate() {
        let mut block = Vec::new();
        for (index, data) in records.iter().enumerate() {
            let sequence = Sequence((first * 3000 + index) as u64);
            let position = Position::in_journal(sequence);
            format.stage(&Record::new(data.as_ref(), 5, position), &mut block);
        }
        blocks.push(block);
    }
    let (mut out, mut failures) = (Vec::new(), Vec::new());
    let mut blocks = blocks.into_iter();
    let count = format
        .encode_object(
            &mut format.encoder(),
            &Head::default(),
            &mut || Ok(blocks.next().map(Into::into)),
            &mut out,
            &mut |record, failure| {
                failures.push((record.position.sequence.folded(), failure));
            },
        )
        .unwrap();
    assert_eq!(count, (records.len() - failures.len()) as u64);
    assert_eq!(
        count == 0,
        out.is_empty(),
        "an object of no records has no bytes"
    );
    (out, failures)
}

/// The rows as JSON: timestamps and dates as numbers, decimals as text, binary as lossy text.
pub(super) fn rows(object: &[u8]) -> Vec<Value> {
    if object.is_empty() {
        return Vec::new();
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(object))
        .unwrap()
        .build()
        .unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch: RecordBatch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let fields = batch
                .schema()
                .fields()
                .iter()
                .zip(batch.columns())
                .map(|(field, column)| (field.name().clone(), value(column, row)))
                .collect();
            rows.push(Value::Object(fields));
        }
    }
    rows
}

fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Decimal128(..) => column
            .as_primitive::<Decimal128Type>()
            .value_as_string(row)
            .into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Binary => String::from_utf8_lossy(column.as_binary::<i32>().value(row)).into(),
        DataType::Date32 => column.as_primitive::<Date32Type>().value(row).into(),
        DataType::Timestamp(..) => column
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .into(),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            (0..entries.len())
                .map(|entry| {
                    let key = match value(entries.column(0), entry) {
                        Value::String(key) => key,
                        other => other.to_string(),
                    };
                    (key, value(entries.column(1), entry))
                })
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        DataType::Struct(fields) => {
            let group = column.as_struct();
            fields
                .iter()
                .zip(group.columns())
                .map(|(field, column)| (field.name().clone(), value(column, row)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        other => panic!("{other} is no type of ours"),
    }
}

#[test]
fn what_is_no_json_object_fails() {
    let format = compile("a int", ParquetCompression::None);
    for (record, expected) in [
        (
            "",
            "MalformedData: The record was empty or contained only whitespace.",
        ),
        (
            " \n",
            "MalformedData: The record was empty or contained only whitespace.",
        ),
        (
            "hello",
            "ParseError: Encountered malformed JSON. At byte 0: expected a value.",
        ),
        (
            "{\"a\":1",
            "ParseError: Encountered malformed JSON. At byte 6: expected `,` or `}`.",
        ),
        (
            "{\"a\":1}}",
            "ParseError: Encountered malformed JSON. At byte 7: expected a value.",
        ),
        ("{\"b\":\"\\ud800\",\"a\":\"\\ud800\"}", "ParseError"),
        ("{\"\\ud800\":1}", "ParseError"),
        (
            "[{\"a\":1}]",
            "MalformedData: Data does not match the schema. expected a JSON object, found [{\"a\":1}].",
        ),
        ("1", "MalformedData"),
        (
            "{\"a\":1}{\"a\":\"x\"}",
            "MalformedData: Data does not match the schema. Column `a`: expected int",
        ),
    ] {
        let (object, failures) = convert(&format, &[record]);
        assert!(object.is_empty());
        let failure = &failures[0].1;
        let told = format!("{}: {}", failure.code, failure.message);
        assert!(
            told.starts_with(&format!("DataFormatConversion.{expected}")),
            "{record:?}: {told}"
        );
    }
    let (object, _) = convert(
        &format,
        &[b"{\"a\":1}\xff".as_slice(), b"{\"\xff\":1}", b"{\"a\":2}"],
    );
    assert_eq!(rows(&object), [json!({"a": 2})]);
}

#[test]
fn objects_one_after_the_other_in_one_record_are_rows() {
    let format = compile("a int", ParquetCompression::None);
    let (object, failures) = convert(
        &format,
        &["{\"a\":1}{\"a\":2}\n{}", "{\"a\":3}{\"a\":[]}", "{\"a\":4}"],
    );
    assert_eq!(
        rows(&object),
        [
            json!({"a": 1}),
            json!({"a": 2}),
            json!({"a": null}),
            json!({"a": 4})
        ]
    );
    assert_eq!(
        failures.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn deep_and_sparse_records_fail_without_harm() {
    let format = compile(
        "a int, b array<struct<x:int,y:int,z:int>>",
        ParquetCompression::None,
    );
    let deep = |bytes: usize| format!("{{\"skipped\":{}", "[".repeat(bytes)).into_bytes();
    let objects = format!("{{\"b\":[{}]}}", vec!["{}"; 340_000].join(","));
    let documents = "{}".repeat(500_000);
    let many = |count| format!("{{\"b\":[{}]}}", vec!["[null"; count].join(","));
    let records = [
        deep(40_000),
        deep(1_000_000),
        "[".repeat(1_000_000).into_bytes(),
        many(100_000).into_bytes(),
        objects.into_bytes(),
        documents.into_bytes(),
        b"{\"a\":1}".to_vec(),
    ];
    let (object, failures) = convert(&format, &records);
    assert_eq!(
        failures.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    assert_eq!(rows(&object).len(), 500_000 + 2);
    let wide: Vec<String> = (0..1000).map(|index| format!("c{index}:int")).collect();
    let format = compile(
        &format!("b array<struct<{}>>", wide.join(",")),
        ParquetCompression::None,
    );
    let objects = format!("{{\"b\":[{}]}}", vec!["{}"; 340_000].join(","));
    let (_, failures) = convert(&format, &[objects]);
    assert!(failures[0].1.message.contains("too sparse"));
}

#[test]
fn nesting_is_allowed_to_128_levels() {
    let format = compile("a int, t string", ParquetCompression::None);
    let nested = |levels: usize| {
        format!(
            "{{\"t\":{}{}}}",
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        )
    };
    let (_, failures) = convert(&format, &[nested(128), nested(129)]);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, 1);
}

#[test]
fn every_codec_reads_back() {
    for compression in [
        ParquetCompression::None,
        ParquetCompression::Snappy,
        ParquetCompression::Gzip,
        ParquetCompression::Zstd,
        ParquetCompression::Lz4,
    ] {
        let format = compile("id bigint, name string", compression);
        let records: Vec<String> = (0..5000)
            .map(|id| format!("{{\"id\":{id},\"name\":\"n{}\"}}", id % 7))
            .collect();
        let (object, failures) = convert(&format, &records);
        assert!(failures.is_empty());
        let read = rows(&object);
        assert_eq!(read.len(), 5000);
        assert_eq!(read[4999], json!({"id": 4999, "name": "n1"}));
        assert_eq!(
            (format.extension(), format.content_encoding()),
            (".parquet", None)
        );
    }
}

#[test]
fn rows_says_what_encoding_would_and_leaves_none_behind() {
    let format = compile("a int", ParquetCompression::None);
    let mut encoder = format.encoder();
    let position = Position::default();
    let record = |data| Record::new(data, 0, position);
    let fits = format.rows(&mut encoder, &record(b"{\"a\":1}"));
    assert_eq!(fits.unwrap().len(), 1);
    let failure = format
        .rows(&mut encoder, &record(b"{\"a\":[]}"))
        .unwrap_err();
    assert_eq!(failure.code, "DataFormatConversion.MalformedData");
    let mut block = Vec::new();
    format.stage(&record(b"{\"a\":2}"), &mut block);
    let mut next = Some(block);
    let mut out = Vec::new();
    format
        .encode_object(
            &mut encoder,
            &Head::default(),
            &mut || Ok(next.take().map(Into::into)),
            &mut out,
            &mut |_, _| (),
        )
        .unwrap();
    assert_eq!(rows(&out), [json!({"a": 2})]);
}

#[test]
fn a_dictionary_is_kept_where_values_repeat_and_only_there() {
    let format = compile(
        "id string, kind string, n bigint, few array<struct<x:double>>, m map<string,int>",
        ParquetCompression::None,
    );
    let records: Vec<String> = (0..3000)
        .map(|n| {
            let (kind, few) = (n % 7, n % 5);
            format!(
                r#"{{"id":"i{n}","kind":"k{kind}","n":{n},"few":[{{"x":{few}}}],"m":{{"k{n}":1}}}}"#
            )
        })
        .collect();
    let (object, _) = convert(&format, &records);
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(object)).unwrap();
    let dictionaries: Vec<(String, bool)> = reader
        .metadata()
        .row_group(0)
        .columns()
        .iter()
        .map(|column| {
            (
                column.column_path().string(),
                column.dictionary_page_offset().is_some(),
            )
        })
        .collect();
    let expected = [
        ("id", false),
        ("kind", true),
        ("n", false),
        ("few.list.element.x", true),
        ("m.key_value.key", false),
        ("m.key_value.value", true),
    ];
    assert_eq!(
        dictionaries,
        expected.map(|(path, kept)| (path.to_owned(), kept))
    );
}

#[test]
fn a_row_group_is_closed_before_it_holds_more_than_64_mib_of_records() {
    let format = compile("id bigint, text string", ParquetCompression::Zstd);
    let text = "long ".repeat(100_000);
    let mut count = 0;
    let mut next = || {
        let mut block = Vec::new();
        let data = format!("{{\"id\":{count},\"text\":\"{text}\"}}");
        let record = Record::new(data.as_bytes(), 0, Position::default());
        format.stage(&record, &mut block);
        count += 1;
        Ok((count <= 300).then(|| block.into()))
    };
    let mut out = Vec::new();
    let records = format
        .encode_object(
            &mut format.encoder(),
            &Head::default(),
            &mut next,
            &mut out,
            &mut |_, _| (),
        )
        .unwrap();
    assert_eq!(records, 300);
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(out)).unwrap();
    let rows: Vec<i64> = reader
        .metadata()
        .row_groups()
        .iter()
        .map(RowGroupMetaData::num_rows)
        .collect();
    assert_eq!(rows.iter().sum::<i64>(), 300);
    assert!(rows.len() >= 3, "{rows:?}");
    let file = reader.metadata().file_metadata();
    assert_eq!(file.created_by(), Some("firehose 0.1.0"));
    let pairs = file.key_value_metadata().unwrap();
    // What lets Spark 3 read times before 1900 as they are.
    assert_eq!(pairs[0].key, "org.apache.spark.version");
    assert_eq!(pairs[0].value.as_deref(), Some("3.1.0"));
    assert_eq!(pairs.len(), 1);
}

/// Any text up to a few characters of the kind that JSON and our types are made of.
fn junk() -> impl Strategy<Value = String> {
    "[\\[\\]{}:,\"\\\\ue0-9tfn.+ \\-a\u{e9}]{0,24}"
}

proptest! {
    #[test]
    fn a_bad_record_fails_alone(
        good in proptest::collection::vec((any::<i32>(), "[a-z]{0,5}", proptest::collection::vec(any::<bool>(), 0..3)), 1..30),
        bad in proptest::collection::vec((any::<prop::sample::Index>(), junk()), 0..10),
    ) {
        let format = compile("id int, s struct<t:string,m:map<string,int>>, f array<boolean>", ParquetCompression::Snappy);
        let good: Vec<String> = good.iter()
            .map(|(id, text, flags)| json!({"id": id, "s": {"t": text, "m": {text: id}}, "f": flags}).to_string())
            .collect();
        let (alone, _) = convert(&format, &good);
        let mut mixed = good.clone();
        let mut count = 0;
        for (at, junk) in &bad {
            // Good to the last member, so that there is something to cut back.
            let record = format!("{{\"id\":1,\"s\":{{\"t\":\"x\",\"m\":{{\"a\":1,\"b\":2}}}},\"f\":[true,{junk}");
            if serde_json::from_str::<Value>(&record).is_err() {
                mixed.insert(at.index(mixed.len() + 1), record);
                count += 1;
            }
        }
        let (beside, failures) = convert(&format, &mixed);
        prop_assert_eq!(failures.len(), count);
        prop_assert!(alone == beside, "the neighbours are the same to the bit");
    }
}
