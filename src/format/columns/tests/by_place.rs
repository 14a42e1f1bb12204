//! Arrays that stand for structs: their items are the fields, by their places.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::schema::{HiveType, parse};
use super::oracle::{table, typed};
use super::rules::compile;
use super::{convert, first_row_shown};
use crate::config::{ColumnRules, ColumnSettings, Misfit, Misfits, Sample, UnknownFields};
use crate::telemetry::FieldFate;

const COLUMNS: &str = "id int, s struct<a:int,t:struct<b:string,c:int>>";

/// The same value with arrays for its structs.
fn placed(kind: &HiveType, value: &Value) -> Value {
    match (kind, value) {
        (HiveType::Struct(fields), Value::Object(members)) => {
            let item = |name: &str| members.get(name).unwrap_or(&Value::Null);
            let fields = fields.iter();
            fields
                .map(|field| placed(&field.kind, item(&field.name)))
                .collect()
        }
        (HiveType::Array(item), Value::Array(items)) => {
            items.iter().map(|value| placed(item, value)).collect()
        }
        (HiveType::Map(_, inner), Value::Object(members)) => {
            let members = members.iter();
            let members = members.map(|(key, value)| (key.clone(), placed(inner, value)));
            Value::Object(members.collect())
        }
        _ => value.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever lies in what, fields are found by their places as they are by their names.
    #[test]
    fn fields_are_found_by_their_places_as_by_their_names(columns in proptest::collection::vec(typed(), 1..6)) {
        let (schema, row) = table(columns);
        let fields = parse(&schema, |_| None).unwrap();
        let members = fields.iter().map(|field| (field.name.clone(), placed(&field.kind, &row[&field.name])));
        let by_place = Value::Object(members.collect::<Map<_, _>>());
        let records = [by_place.to_string(), serde_json::to_string_pretty(&by_place).unwrap()];
        let schema = super::compile(&schema);
        let (rows, failures) = convert(&schema, &records);
        prop_assert_eq!(failures, []);
        prop_assert_eq!(rows, [row.clone(), row]);
        // And nothing of them is lost on the way.
        let read = schema.rows(&mut schema.decoder(), records[0].as_bytes()).unwrap();
        prop_assert_eq!((&read[0].unknown, &read[0].missing), (&vec![], &vec![]));
    }
}

#[test]
fn what_is_beyond_the_fields_is_a_member_that_no_field_takes_and_what_lacks_is_missing() {
    let record = r#"{"id":1,"s":[1,["x"],{"z":[1, 2]},null]}"#;
    let schema = super::compile(COLUMNS);
    let mut decoder = schema.decoder();
    decoder.push(record.as_bytes()).unwrap();
    let tally = decoder.take_fields();
    let counts: Vec<_> = tally
        .iter()
        .map(|count| (count.fate, count.path.as_str(), count.records))
        .collect();
    for expected in [
        (FieldFate::Unknown, "s[]", 1),
        (FieldFate::Coerced, "s", 1),
        (FieldFate::Coerced, "s.t", 1),
        (FieldFate::Missing, "s.t.c", 1),
    ] {
        assert!(counts.contains(&expected), "{expected:?}: {counts:?}");
    }
    assert_eq!(counts.len(), 4, "{counts:?}");
    let batch = decoder.finish().unwrap().rows;
    let expected = json!({"a": 1, "t": {"b": "x", "c": null}});
    assert_eq!(first_row_shown(&batch)[1].1, expected);

    let row = &schema.rows(&mut decoder, record.as_bytes()).unwrap()[0];
    let unknown: Vec<_> = row.unknown.iter().map(|place| &*place.path).collect();
    let missing: Vec<_> = row.missing.iter().map(|place| &*place.path).collect();
    assert_eq!((unknown, missing), (vec!["s[2]", "s[3]"], vec!["s.t.c"]));

    let keeping = ColumnRules {
        unknown: UnknownFields::Keep("rest".to_owned()),
        ..ColumnRules::default()
    };
    let keeping = compile(COLUMNS, keeping);
    let half = r#"{"s":[1,[],"\ud800"]}"#;
    let (rows, failures) = convert(&keeping, &[record, r#"{"s":[1,{"y":0,"b":"x"}]}"#, half]);
    assert_eq!(rows[0]["rest"], r#"{"s":{"2":{"z":[1,2]},"3":null}}"#);
    assert_eq!(rows[1]["rest"], r#"{"s":{"t":{"y":0}}}"#);
    assert_eq!((rows.len(), failures.len()), (2, 1));
    assert!(failures[0].1.message.contains("surrogate"));
    let row = &keeping
        .rows(&mut keeping.decoder(), record.as_bytes())
        .unwrap()[0];
    assert_eq!(row.unknown, []);
}

#[test]
fn an_item_that_does_not_fit_is_the_columns_matter_and_a_later_value_counts() {
    let nulling = ColumnRules {
        misfits: Misfits {
            default: Misfit::Null,
            columns: [].into(),
        },
        unknown: UnknownFields::Keep("rest".to_owned()),
        ..ColumnRules::default()
    };
    let schema = compile(COLUMNS, nulling);
    let records = [
        r#"{"id":1,"s":[1,["x",2,"more"],true,"x"],"s":["no",[]]}"#,
        r#"{"id":2,"s":[1,["x",2,"more"]],"s":{"a":3}}"#,
        r#"{"id":3,"s":{"z":1},"s":[4]}"#,
    ];
    let (rows, failures) = convert(&schema, &records);
    assert_eq!(failures, []);
    assert_eq!(
        rows,
        [
            json!({"id": 1, "s": null, "rest": null}),
            json!({"id": 2, "s": {"a": 3, "t": null}, "rest": null}),
            json!({"id": 3, "s": {"a": 4, "t": null}, "rest": null}),
        ]
    );
}

#[test]
fn many_empty_arrays_are_too_sparse_as_many_empty_objects_are() {
    let wide: Vec<String> = (0..1000).map(|index| format!("c{index}:int")).collect();
    let schema = super::compile(&format!("b array<struct<{}>>", wide.join(",")));
    let arrays = format!("{{\"b\":[{}]}}", vec!["[]"; 5000].join(","));
    let (rows, failures) = convert(&schema, &[arrays.as_str(), "{}"]);
    assert_eq!(rows.len(), 1);
    assert!(failures[0].1.message.contains("too sparse"));
}

/// Their order is chance.
#[test]
fn where_fields_are_learned_an_array_is_no_struct() {
    let sampled = ColumnSettings {
        sample: Some(Sample::default()),
        ..ColumnSettings::of("infer")
    };
    let schema = compile(COLUMNS, sampled.with_learned(COLUMNS).rules);
    let (rows, failures) = convert(&schema, &[r#"{"id":1,"s":[1]}"#, r#"{"id":2,"s":{"a":1}}"#]);
    assert_eq!(rows.len(), 1);
    let message = &failures[0].1.message;
    let expected = "Column `s`: expected struct (a JSON object), found [1].";
    assert!(message.ends_with(expected), "{message}");
}
