//! Records through the decoder, read out of its arrays.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Schema;
use super::shown::shown;
use crate::failure::Failure;

mod by_place;
mod census;
mod deserializers;
pub(in crate::format) mod oracle;
mod rows;
mod rules;
mod survey;
mod types;

fn compile(schema: &str) -> Schema {
    Schema::parse(schema).unwrap()
}

/// The rows of these records, and the index and reason of each that failed.
pub(super) fn convert<R: AsRef<[u8]>>(
    schema: &Schema,
    records: &[R],
) -> (Vec<Value>, Vec<(usize, Failure)>) {
    let mut decoder = schema.decoder();
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for (index, data) in records.iter().enumerate() {
        if let Err(failure) = decoder.push(data.as_ref()) {
            failures.push((index, failure));
        }
        if decoder.is_full() {
            rows.extend(rows_of(&decoder.finish().unwrap().rows));
        }
    }
    rows.extend(rows_of(&decoder.finish().unwrap().rows));
    (rows, failures)
}

/// The rows as JSON: timestamps and dates as numbers, decimals as text, binary as lossy text.
pub(in crate::format) fn rows_of(batch: &RecordBatch) -> Vec<Value> {
    let schema = batch.schema();
    let row = |row| {
        let columns = schema.fields().iter().zip(batch.columns());
        let fields = columns.map(|(field, column)| (field.name().clone(), value(column, row)));
        Value::Object(fields.collect())
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The first row as people read it.
pub(in crate::format) fn first_row_shown(batch: &RecordBatch) -> Vec<(String, Value)> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns
        .map(|(field, column)| (field.name().clone(), shown(column, 0)))
        .collect()
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
    let schema = compile("a int");
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
        let (rows, failures) = convert(&schema, &[record]);
        assert!(rows.is_empty());
        let failure = &failures[0].1;
        let told = format!("{}: {}", failure.code, failure.message);
        assert!(
            told.starts_with(&format!("DataFormatConversion.{expected}")),
            "{record:?}: {told}"
        );
    }
    let (rows, _) = convert(
        &schema,
        &[b"{\"a\":1}\xff".as_slice(), b"{\"\xff\":1}", b"{\"a\":2}"],
    );
    assert_eq!(rows, [json!({"a": 2})]);
}

#[test]
fn a_fault_of_json_has_its_place_in_a_column_and_beside() {
    for (record, at, expected) in [
        ("{\"z\":01}", 6, "a digit"),
        ("{\"z\":-}", 6, "a digit"),
        ("{\"z\":1.}", 7, "a digit"),
        ("{\"z\":1e+}", 8, "a digit"),
        ("{\"z\":tru}", 5, "`true`, `false` or `null`"),
        ("{\"z\":\"\\x\"}", 6, "an escape sequence of JSON"),
        (
            "{\"z\":\"\\u12g4\"}",
            6,
            "four hexadecimal digits after `\\u`",
        ),
        (
            "{\"z\":\"a\nb\"}",
            7,
            "control characters in strings to be escaped",
        ),
        ("{\"z\":\"open}", 11, "the end of a string"),
        ("{\"z\" 1}", 5, "`:` after a member's name"),
        ("{\"z\":1 \"b\":2}", 7, "`,` or `}`"),
        ("{\"z\":[1 2]}", 8, "`,` or `]`"),
        ("{\"z\":[1,]}", 8, "a value"),
        ("{\"z\":{\"y\":1,}}", 12, "a member's name in quotes"),
        ("{z:1}", 1, "a member's name in quotes"),
        ("{\"z\":{y:1}}", 6, "a member's name in quotes"),
        ("{\"z\":[}", 6, "a value"),
        ("{\"z\":", 5, "a value"),
    ] {
        for schema in ["another int", "z string", "Z array<string>"] {
            let (_, failures) = convert(&compile(schema), &[record]);
            let told = &failures[0].1.message;
            let message = format!("Encountered malformed JSON. At byte {at}: expected {expected}.");
            assert_eq!(*told, message, "{record} as {schema}");
        }
    }
}

#[test]
fn objects_one_after_the_other_in_one_record_are_rows() {
    let schema = compile("a int");
    let (rows, failures) = convert(
        &schema,
        &["{\"a\":1}{\"a\":2}\n{}", "{\"a\":3}{\"a\":[]}", "{\"a\":4}"],
    );
    assert_eq!(
        rows,
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
    let schema = compile("a int, b array<struct<x:int,y:int,z:int>>");
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
    let (rows, failures) = convert(&schema, &records);
    assert_eq!(
        failures.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    assert_eq!(rows.len(), 500_000 + 2);
    let wide: Vec<String> = (0..1000).map(|index| format!("c{index}:int")).collect();
    let schema = compile(&format!("b array<struct<{}>>", wide.join(",")));
    let objects = format!("{{\"b\":[{}]}}", vec!["{}"; 340_000].join(","));
    let (_, failures) = convert(&schema, &[objects]);
    assert!(failures[0].1.message.contains("too sparse"));
}

#[test]
fn nesting_is_allowed_to_128_levels() {
    let schema = compile("a int, t string");
    let nested = |levels: usize| {
        format!(
            "{{\"t\":{}{}}}",
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        )
    };
    let (_, failures) = convert(&schema, &[nested(128), nested(129)]);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, 1);
}

/// Any text up to a few characters of the kind that JSON and our types are made of.
pub(in crate::format) fn junk() -> impl Strategy<Value = String> {
    "[\\[\\]{}:,\"\\\\ue0-9tfn.+ \\-a\u{e9}]{0,24}"
}
