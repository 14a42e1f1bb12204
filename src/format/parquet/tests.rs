//! Records through the decoder and the writer, read back by the parquet crate's own reader.

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::{ColumnSettings, FormatSettings};
use crate::failure::Failure;
use crate::format::columns::tests::oracle::{table, typed};
use crate::format::columns::tests::{first_row_shown, junk, rows_of};
use crate::format::{Format, Head, ParquetCompression, ParquetOptions, ParquetSettings};
use crate::position::{Position, Sequence};
use crate::record::Record;

mod options;
mod read;
mod runs;

pub(super) fn compile(schema: &str, compression: ParquetCompression) -> Format {
    Format::compile(&FormatSettings::new(ParquetSettings {
        compression,
        options: ParquetOptions::default(),
        columns: ColumnSettings::of(schema),
    }))
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
            let position = Position::of(sequence);
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

/// The rows as JSON, in the form of `rows_of`.
pub(super) fn rows(object: &[u8]) -> Vec<Value> {
    batches(object).iter().flat_map(rows_of).collect()
}

fn batches(object: &[u8]) -> Vec<RecordBatch> {
    if object.is_empty() {
        return Vec::new();
    }
    let object = Bytes::copy_from_slice(object);
    let reader = ParquetRecordBatchReaderBuilder::try_new(object).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
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

#[test]
fn what_is_shown_is_what_a_reader_of_the_object_finds() {
    let schema = "b boolean, t tinyint, s smallint, i int, l bigint, f float, d double, c decimal(20,3), \
                  x string, y binary, z date, at timestamp, a array<array<int>>, \
                  m map<string,struct<k:decimal(3,1)>>, n struct<p:string,q:array<string>>";
    let data = r#"{"b":true,"t":-1,"s":300,"i":70000,"l":"5000000000","f":1.1,"d":1e-7,"c":1.0005,"x":{"k":1},
        "y":"AQI=","z":"2026-02-28","at":-1.5,"a":[[1,null],[],null],"m":{"e":{"k":1.25},"o":null},"n":{"q":"one"}}"#;
    let format = compile(schema, ParquetCompression::Zstd);
    let record = Record::new(data.as_bytes(), 0, Position::default());
    let of_record = format.rows(&mut format.encoder(), &record).unwrap();
    let (object, failures) = convert(&format, &[data]);
    assert_eq!(failures, []);
    let of_object = first_row_shown(&batches(&object)[0]);
    assert_eq!(of_record[0].columns, of_object);
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

    #[test]
    fn values_of_every_type_come_back_out_of_an_object(columns in proptest::collection::vec(typed(), 1..6)) {
        let (schema, row) = table(columns);
        let format = compile(&schema, ParquetCompression::Zstd);
        let (object, failures) = convert(&format, &[row.to_string(), row.to_string()]);
        prop_assert_eq!(failures, []);
        prop_assert_eq!(rows(&object), [row.clone(), row]);
    }
}
