//! What is read of rows that are not as this version writes them: an earlier one may have, or a later one.

use serde_json::{Map, Value, json};

use super::{parquet, with_all_rules, with_columns, with_layout};
use crate::config::{ColumnRules, ColumnSettings, Misfit, NumberUnit};
use crate::format::{FormatSettings, ParquetOptions, SortedBy, of_row};

/// Also those that are left out.
#[test]
fn every_word_of_the_rules_is_read() {
    let rules = |change: fn(&mut ColumnRules)| {
        let mut rules = ColumnRules::default();
        change(&mut rules);
        rules
    };
    for (written, expected) in [
        ("{}", rules(|_| ())),
        (
            r#"{"unknown":"Ignore","misfits":{},"names":{},"deserializer":"OpenX","times":{}}"#,
            rules(|_| ()),
        ),
        (
            r#"{"misfits":{"default":"Fail","columns":{"a":"Null","b":"Fail"}}}"#,
            rules(|rules| {
                let columns = &mut rules.misfits.columns;
                columns.insert("a".to_owned(), Misfit::Null);
                columns.insert("b".to_owned(), Misfit::Fail);
            }),
        ),
        (
            r#"{"names":{"case_sensitive":false,"dots_to_underscores":true}}"#,
            rules(|rules| rules.names.dots_to_underscores = true),
        ),
        (r#"{"times":{"formats":[],"unit":null}}"#, rules(|_| ())),
        (
            r#"{"times":{"unit":"Seconds"}}"#,
            rules(|rules| rules.times.unit = Some(NumberUnit::Seconds)),
        ),
        (
            r#"{"times":{"unit":"Millis"}}"#,
            rules(|rules| rules.times.unit = Some(NumberUnit::Millis)),
        ),
        (
            r#"{"times":{"unit":"Micros"}}"#,
            rules(|rules| rules.times.unit = Some(NumberUnit::Micros)),
        ),
    ] {
        let columns = ColumnSettings {
            rules: expected,
            ..ColumnSettings::of("id string")
        };
        let written = format!(r#""learned":false,"rules":{written}"#);
        for (settings, form) in with_columns(&columns, &written) {
            assert_eq!(of_row(&form), Some(settings), "{form}");
        }
    }
}

/// The same of what only Parquet has.
#[test]
fn every_word_of_the_layout_is_read() {
    let form = concat!(
        r#"{"Parquet":{"compression":"Zstd","options":{"block_size":null,"without_dictionary":false,"writer_version":"V1","#,
        r#""bloom_filters":{},"sorted_by":[{"column":"id","descending":false}],"timestamps":"Micros"},"schema":"id string"}}"#,
    );
    let sorted = ParquetOptions {
        sorted_by: vec![SortedBy {
            column: "id".to_owned(),
            descending: false,
        }],
        ..ParquetOptions::default()
    };
    assert_eq!(of_row(form), Some(parquet(sorted)));
}

/// The row with a change to the object of its kind, or to one that stands in that.
fn changed(form: &str, place: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let mut row: Value = serde_json::from_str(form).unwrap();
    let mut kinds = row.as_object_mut().unwrap().values_mut();
    let object = kinds.next().unwrap().pointer_mut(place).unwrap();
    change(object.as_object_mut().unwrap());
    row.to_string()
}

/// Settings whose row says all there is to say.
struct Full {
    settings: FormatSettings,
    form: String,
    /// The keys that its row has to have, beside those of all.
    needed: &'static [&'static str],
    /// Where an object is in it.
    objects: &'static [&'static str],
}

const OF_COLUMNS: &[&str] = &[
    "",
    "/rules",
    "/rules/misfits",
    "/rules/names",
    "/rules/times",
];
const OF_LAYOUT: &[&str] = &[
    "",
    "/options",
    "/options/bloom_filters",
    "/options/sorted_by/0",
];
const OF_CSV: &[&str] = &["header", "delimiter", "quote", "null"];

fn full() -> [Full; 4] {
    let full = |(settings, form), needed, objects| Full {
        settings,
        form,
        needed,
        objects,
    };
    let [parquet, avro, csv] = with_all_rules();
    let (layout, form) = with_layout();
    [
        full(parquet, &[], OF_COLUMNS),
        full(avro, &[], OF_COLUMNS),
        full(csv, OF_CSV, OF_COLUMNS),
        full((layout, form.to_owned()), &[], OF_LAYOUT),
    ]
}

/// What a later version has added is passed over, wherever it stands: but for another kind beside the kind.
#[test]
fn fields_that_are_not_known_are_passed_over() {
    for Full {
        settings,
        form,
        objects,
        ..
    } in full()
    {
        for place in objects {
            let later = json!({ "than": [1] });
            let row = changed(&form, place, |object| {
                object.insert("later".to_owned(), later);
            });
            assert_eq!(of_row(&row).as_ref(), Some(&settings), "{row}");
        }
        let two = form.replacen('{', r#"{"Later":{},"#, 1);
        assert_eq!(of_row(&two), None, "{two}");
        let other = form.replacen('"', r#""Later"#, 1);
        assert_eq!(of_row(&other), None, "{other}");
    }
}

/// No row is taken for what it does not say: that would go on with other bytes than the batch began with.
#[test]
fn rows_with_a_word_that_is_not_known_or_without_what_each_has_are_refused() {
    for Full {
        form,
        needed,
        objects,
        ..
    } in full()
    {
        for key in needed.iter().chain(&["compression", "schema"]) {
            let row = changed(&form, "", |object| {
                object.remove(*key).unwrap();
            });
            assert_eq!(of_row(&row), None, "{row}");
        }
        for place in objects {
            let mut keys = Vec::new();
            changed(&form, place, |object| keys.extend(object.keys().cloned()));
            // Any word is a text.
            keys.retain(|key| !["schema", "null", "column"].contains(&key.as_str()));
            for key in keys {
                let row = changed(&form, place, |object| {
                    object.insert(key, "Later".into());
                });
                assert_eq!(of_row(&row), None, "{row}");
            }
        }
    }
}
