//! What is counted of fields and columns that do not find each other.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Decoder, Schema};
use super::compile;
use crate::config::{ColumnRules, ColumnSettings, Misfit, Misfits};
use crate::telemetry::FieldFate;

/// The counts by path of one fate, which are asked for and forgotten with all others.
fn counts(decoder: &mut Decoder) -> BTreeMap<(FieldFate, String), u64> {
    let tally = decoder.take_fields();
    let counts = tally.iter();
    counts
        .map(|count| ((count.fate, count.path.clone()), count.records))
        .collect()
}

fn of(counts: &[(FieldFate, &str, u64)]) -> BTreeMap<(FieldFate, String), u64> {
    let counts = counts.iter();
    counts
        .map(|(fate, path, records)| ((*fate, (*path).to_owned()), *records))
        .collect()
}

#[test]
fn records_count_once_for_a_path_however_often_it_is_in_them() {
    let columns = "id int, user struct<name:string>, lines array<struct<sku:string>>, \
                   tags map<string,struct<n:int>>, price int";
    let settings = ColumnSettings {
        rules: ColumnRules {
            misfits: Misfits {
                default: Misfit::Fail,
                columns: [("price".to_owned(), Misfit::Null)].into(),
            },
            ..ColumnRules::default()
        },
        ..ColumnSettings::of(columns)
    };
    let schema = Schema::of(&settings).unwrap();
    let mut decoder = schema.decoder();
    let (unknown, missing, nulled) = (FieldFate::Unknown, FieldFate::Missing, FieldFate::Nulled);
    for record in [
        r#"{"id":1,"user":{"name":"x","mail":1},"lines":[{"qty":1},{"qty":2,"sku":"a"}],"tags":{},"price":1}"#,
        r#"{"id":2,"z":1,"z":2,"user":{},"lines":[],"tags":{"a":{"m":1},"b":{"n":1,"m":2}},"price":"x"}"#,
        // Two rows, and one record.
        r#"{"z":1,"price":"x"}{"z":2,"price":[]}"#,
        // Null is not missing.
        r#"{"id":null,"user":null,"lines":null,"tags":null,"price":null}"#,
    ] {
        decoder.push(record.as_bytes()).unwrap();
    }
    let expected = of(&[
        (unknown, "user.mail", 1),
        (unknown, "lines[].qty", 1),
        (unknown, "tags[].m", 1),
        (unknown, "z", 2),
        (missing, "lines[].sku", 1),
        (missing, "user.name", 1),
        (missing, "tags[].n", 1),
        (missing, "id", 1),
        (missing, "user", 1),
        (missing, "lines", 1),
        (missing, "tags", 1),
        (nulled, "price", 2),
    ]);
    assert_eq!(counts(&mut decoder), expected);
    assert_eq!(counts(&mut decoder), of(&[]));
    // One that fails counts as far as it was read.
    let failed = decoder.push(br#"{"z":1,"id":"x","y":1}"#);
    assert!(failed.is_err());
    assert_eq!(counts(&mut decoder), of(&[(unknown, "z", 1)]));
}

#[test]
fn values_of_another_kind_than_their_column_are_counted() {
    let schema = compile(
        "n int, b boolean, s string, at timestamp, l array<int>, m map<string,string>, \
         u struct<d:decimal(4,1)>, x binary",
    );
    let mut decoder = schema.decoder();
    for record in [
        // All of their own kind.
        r#"{"n":1,"b":true,"s":"x","at":"2026-12-01","l":[1],"m":{"a":"x"},"u":{"d":1.5},"x":"AA=="}"#,
        r#"{"n":null,"b":null,"s":null,"at":1764547200,"l":[],"m":{},"u":{"d":1},"x":null}"#,
        // None is.
        r#"{"n":"1","b":"true","s":1,"at":"1764547200","l":"7","m":{"a":1,"b":true},"u":{"d":"1.5"},"x":"AA=="}"#,
        r#"{"n":1,"b":true,"s":{"a":[]},"at":null,"l":["1",2,"3"],"m":{"a":[]},"u":{"d":1},"x":null}"#,
        r#"{"n":1,"b":true,"s":false,"at":null,"l":[],"m":{},"u":{"d":1},"x":null}"#,
    ] {
        decoder.push(record.as_bytes()).unwrap();
    }
    let coerced = FieldFate::Coerced;
    let expected = of(&[
        (coerced, "n", 1),
        (coerced, "b", 1),
        (coerced, "s", 3),
        (coerced, "l", 1),
        (coerced, "l[]", 2),
        (coerced, "m[]", 2),
        (coerced, "u.d", 1),
    ]);
    assert_eq!(counts(&mut decoder), expected);
}

#[test]
fn names_without_end_are_counted_together() {
    let schema = compile("id int");
    let mut decoder = schema.decoder();
    for number in 0..1000 {
        let record = format!("{{\"id\":1,\"key{number}\":1,\"always\":1}}");
        decoder.push(record.as_bytes()).unwrap();
    }
    let long = format!("{{\"id\":1,\"{}\":1}}", "x".repeat(10_000));
    decoder.push(long.as_bytes()).unwrap();
    let counts = counts(&mut decoder);
    assert_eq!(counts.len(), 257);
    assert_eq!(counts[&(FieldFate::Unknown, "always".to_owned())], 1000);
    assert_eq!(
        counts[&(FieldFate::Unknown, "(other)".to_owned())],
        1000 - 255 + 1
    );
}

/// The stream, which adds them up, has a bound of its own.
#[test]
fn odd_names_keep_none_out_that_come_once_they_were_counted() {
    let schema = compile("id int, user struct<name:string>");
    let mut decoder = schema.decoder();
    let push = |decoder: &mut Decoder, record: &str| decoder.push(record.as_bytes()).unwrap();
    for number in 0..1000 {
        let record = format!("{{\"user\":{{\"odd{number}\":1}}}}");
        push(&mut decoder, &record);
    }
    counts(&mut decoder);
    for _ in 0..3 {
        push(
            &mut decoder,
            r#"{"id":1,"mail":1,"user":{"name":"x","nick":1}}"#,
        );
    }
    let unknown = FieldFate::Unknown;
    let expected = of(&[(unknown, "mail", 3), (unknown, "user.nick", 3)]);
    assert_eq!(counts(&mut decoder), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In whatever order names come, each is counted as often as records have it.
    #[test]
    fn every_name_is_counted_as_often_as_it_comes(
        records in proptest::collection::vec(proptest::collection::btree_set("[a-h]", 0..8), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let schema = compile("a int, b int");
        let mut decoder = schema.decoder();
        let mut found: BTreeMap<_, u64> = BTreeMap::new();
        let cut = cut.index(records.len());
        for (index, names) in records.iter().enumerate() {
            let record: Value = names.iter().map(|name| (name.clone(), json!(1))).collect::<serde_json::Map<_, _>>().into();
            decoder.push(record.to_string().as_bytes()).unwrap();
            if index == cut {
                found = counts(&mut decoder);
            }
        }
        for (path, records) in counts(&mut decoder) {
            *found.entry(path).or_default() += records;
        }
        let mut expected: BTreeMap<_, u64> = BTreeMap::new();
        for names in &records {
            for name in names.iter().filter(|name| !["a", "b"].contains(&name.as_str())) {
                *expected.entry((FieldFate::Unknown, name.clone())).or_default() += 1;
            }
            for name in ["a", "b"].iter().filter(|name| !names.contains(**name)) {
                *expected.entry((FieldFate::Missing, (*name).to_owned())).or_default() += 1;
            }
        }
        prop_assert_eq!(found, expected);
    }
}
