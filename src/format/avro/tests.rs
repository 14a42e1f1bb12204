//! Files read back by the crate's own reader. What other people's readers make of them is in `tests/it/rows.rs`.

use std::io::Cursor;

use arrow_array::RecordBatch;
use arrow_avro::reader::ReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AvroCompression, AvroSettings, entries, schema};
use crate::config::ColumnSettings;
use crate::format::columns::Schema;
use crate::format::columns::tests::oracle::{table, typed};
use crate::format::columns::tests::rows_of;
use crate::format::{Format, FormatFault, Head};
use crate::position::Position;
use crate::record::Record;

fn compile(schema: &str) -> Result<Format, FormatFault> {
    let settings = AvroSettings {
        compression: AvroCompression::None,
        columns: ColumnSettings::of(schema),
    };
    Format::compile(&settings.into())
}

/// The object of these records, all of which fit.
fn convert(format: &Format, records: &[String]) -> Vec<u8> {
    let mut block = Vec::new();
    for data in records {
        let record = Record::new(data.as_bytes(), 0, Position::default());
        format.stage(&record, &mut block);
    }
    let (mut block, mut out) = (Some(block), Vec::new());
    let fitted = format.encode_object(
        &mut format.encoder(),
        &Head::default(),
        &mut || Ok(block.take().map(Into::into)),
        &mut out,
        &mut |_, failure| panic!("{failure:?}"),
    );
    assert_eq!(fitted.unwrap(), records.len() as u64);
    out
}

fn rows(object: Vec<u8>) -> Vec<Value> {
    let reader = ReaderBuilder::new().build(Cursor::new(object)).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    batches.iter().flat_map(rows_of).collect()
}

#[test]
fn names_that_avro_does_not_take_are_faults_where_they_stand() {
    for (schema, wrong, what) in [
        ("a int, event-id string", "event-id", "column"),
        ("`é` int", "`é`", "column"),
        ("a map<string,array<struct<ok:int,2b:int>>>", "2b", "field"),
        ("a struct<`a b`:int>", "`a b`", "field"),
        ("a.b int", "a.b", "column"),
    ] {
        let FormatFault { at, message, .. } = compile(schema).unwrap_err();
        assert_eq!(&schema[at.unwrap()], wrong);
        let name = wrong.trim_matches('`');
        let expected = format!(
            "the {what} `{name}` cannot be a name in Avro: such names have ASCII letters, digits and `_` only, and begin with no digit"
        );
        assert_eq!(message, expected);
    }
    for schema in [
        "_a int, B2 int",
        "record int, `int` struct<string:struct<null:int>>",
    ] {
        assert!(compile(schema).is_ok(), "{schema}");
    }
}

#[test]
fn the_schema_says_the_types_in_avros_words() {
    let columns = Schema::parse(
        "t tinyint, c decimal(20,3), at timestamp, z date, y binary, a array<struct<x:float>>, \
         m map<string,struct<k:string>>, n map<int,struct<k:string>>",
    );
    let columns = entries::of_maps(columns.unwrap().arrow());
    let written: Value = serde_json::from_str(&schema::written(columns.fields())).unwrap();
    let or_null =
        |name: &str, kind: Value| json!({"name": name, "type": ["null", kind], "default": null});
    let record = |name: &str, namespace: &str, fields: Value| json!({"type": "record", "name": name, "namespace": namespace, "fields": fields});
    let expected = json!({ "type": "record", "name": "row", "fields": [
        or_null("t", "int".into()),
        or_null("c", json!({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3})),
        or_null("at", json!({"type": "long", "logicalType": "timestamp-micros"})),
        or_null("z", json!({"type": "int", "logicalType": "date"})),
        or_null("y", "bytes".into()),
        or_null("a", json!({"type": "array", "items": ["null", record("a_record", "row", json!([or_null("x", "float".into())]))]})),
        or_null("m", json!({"type": "map", "values": ["null", record("m_record", "row", json!([or_null("k", "string".into())]))]})),
        or_null("n", json!({"type": "array", "items": record("n_record", "row", json!([
            {"name": "key", "type": "int"},
            or_null("value", record("value_record", "row.n", json!([or_null("k", "string".into())]))),
        ]))})),
    ]});
    assert_eq!(written, expected);
}

#[test]
fn a_map_whose_keys_are_no_text_is_a_list_of_its_entries() {
    let format =
        compile("m map<int,map<boolean,string>>, n array<map<string,map<bigint,int>>>").unwrap();
    let records = [
        json!({"m": {"1": {"true": "a"}, "2": null}, "n": [{"x": {"7": 8}}, {}, null]}),
        json!({"m": {}, "n": null}),
        json!({}),
    ];
    let read = rows(convert(&format, &records.map(|record| record.to_string())));
    let expected = [
        json!({
            "m": [{"key": 1, "value": [{"key": true, "value": "a"}]}, {"key": 2, "value": null}],
            "n": [{"x": [{"key": 7, "value": 8}]}, {}, null],
        }),
        json!({"m": [], "n": null}),
        json!({"m": null, "n": null}),
    ];
    assert_eq!(read, expected);
}

proptest! {
    #[test]
    fn values_of_every_type_come_back_out_of_a_file(columns in proptest::collection::vec(typed(), 1..6)) {
        let (schema, row) = table(columns);
        let format = compile(&schema).unwrap();
        let object = convert(&format, &[row.to_string(), row.to_string()]);
        prop_assert_eq!(rows(object), [row.clone(), row]);
    }
}
