//! The decoder held against `serde_json`: the same texts are JSON, the same values come out.

use firehose_json::decimal::WrittenNumber;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::{compile, convert, junk};

/// JSON values of small depth.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("JSON has finite numbers", |number| {
            serde_json::Number::from_f64(number).map(Value::from)
        }),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A Hive type and a value that fits it, as JSON and as it reads back.
pub(in crate::format) fn typed() -> impl Strategy<Value = (String, Value)> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| ("boolean".to_owned(), json!(value))),
        any::<i8>().prop_map(|value| ("tinyint".to_owned(), json!(value))),
        any::<i16>().prop_map(|value| ("smallint".to_owned(), json!(value))),
        any::<i32>().prop_map(|value| ("int".to_owned(), json!(value))),
        any::<i64>().prop_map(|value| ("bigint".to_owned(), json!(value))),
        any::<f32>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|value| ("float".to_owned(), json!(value))),
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|value| ("double".to_owned(), json!(value))),
        any::<String>().prop_map(|value| ("string".to_owned(), json!(value))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            // Items of one type: one value, doubled and with a null beside it.
            inner
                .clone()
                .prop_map(|(kind, value)| (format!("array<{kind}>"), json!([value, null, value]))),
            inner
                .clone()
                .prop_map(|(kind, _)| (format!("array<{kind}>"), json!([]))),
            (any::<String>(), inner.clone()).prop_map(|(key, (kind, value))| (
                format!("map<string,{kind}>"),
                json!({key: value})
            )),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|fields| {
                let kinds: Vec<String> = fields
                    .iter()
                    .enumerate()
                    .map(|(index, (kind, _))| format!("f{index}:{kind}"))
                    .collect();
                let values = fields
                    .into_iter()
                    .enumerate()
                    .map(|(index, (_, value))| (format!("f{index}"), value));
                (
                    format!("struct<{}>", kinds.join(",")),
                    Value::Object(values.collect()),
                )
            }),
            inner.prop_map(|(kind, _)| (kind, Value::Null)),
        ]
    })
}

/// A schema of columns of these types, and the row that holds the values.
pub(in crate::format) fn table(columns: Vec<(String, Value)>) -> (String, Value) {
    let names = (0..).map(|index| format!("c{index}"));
    let (mut schema, mut row) = (Vec::new(), Map::new());
    for (name, (kind, value)) in names.zip(columns) {
        schema.push(format!("{name} {kind}"));
        row.insert(name, value);
    }
    (schema.join(", "), Value::Object(row))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn values_of_every_type_come_back(columns in proptest::collection::vec(typed(), 1..6)) {
        let (schema, row) = table(columns);
        let records = [row.to_string(), serde_json::to_string_pretty(&row).unwrap()];
        let (rows, failures) = convert(&compile(&schema), &records);
        prop_assert_eq!(failures, []);
        prop_assert_eq!(rows, [row.clone(), row]);
    }

    #[test]
    fn an_undeclared_member_may_be_any_json(value in value()) {
        let schema = compile("a int");
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let (_, failures) = convert(&schema, &[format!("{{\"other\":{text},\"a\":1}}")]);
            prop_assert_eq!(failures, []);
        }
    }

    #[test]
    fn json_in_a_text_column_means_the_same(value in value().prop_filter("strings lose their quotes", |value| !value.is_string() && !value.is_null())) {
        let schema = compile("t string");
        let (rows, _) = convert(&schema, &[format!("{{\"t\":{}}}", serde_json::to_string_pretty(&value).unwrap())]);
        let text = rows[0]["t"].as_str().unwrap().to_owned();
        prop_assert_eq!(&text, &value.to_string());
    }

    #[test]
    fn doubles_are_the_nearest(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?") {
        let expected: f64 = text.parse().unwrap();
        let (number, length) = WrittenNumber::read(text.as_bytes()).unwrap();
        prop_assert_eq!(length, text.len());
        prop_assert_eq!(number.to_f64().map(f64::to_bits), expected.is_finite().then_some(expected.to_bits()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn the_same_texts_are_json(value in value(), junk in junk(), at in any::<prop::sample::Index>(), cut in 0_usize..3) {
        // JSON, with something cut out and something put in.
        let mut text = format!("{{\"a\":1,\"other\":{value}}}");
        let at = (0..=at.index(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap();
        let end = (at + cut..=text.len()).find(|&end| text.is_char_boundary(end)).unwrap_or(text.len());
        text.replace_range(at..end, &junk);
        let bytes = text.as_bytes();
        let one = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        let documents = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
        let several = documents.collect::<Result<Vec<_>, _>>().is_ok();
        for schema in ["another int", "other string, a double"] {
            match compile(schema).decoder().push(bytes) {
                Ok(()) => prop_assert!(several, "{} as {}", text, schema),
                // Half a pair of surrogates is JSON, but no text.
                Err(failure) if failure.message.contains("surrogate") => {}
                Err(failure) if failure.code.ends_with("ParseError") => {
                    prop_assert!(!one, "{} as {}: {}", text, schema, failure.message);
                }
                Err(_) => {}
            }
        }
    }
}
