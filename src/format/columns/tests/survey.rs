//! What a sample shows of columns.

use std::collections::BTreeSet;

use super::super::{Survey, ValueCount};
use crate::config::{ColumnRules, ColumnSettings, UnknownFields};

const COLUMNS: &str = "id int, user struct<name:string,mail:string>, lines array<struct<sku:string>>, \
                       tags map<string,struct<n:int>>";

fn survey(settings: &ColumnSettings, records: &[&str]) -> Survey {
    let records = records.iter().map(|record| record.as_bytes());
    Survey::of(settings, records).unwrap()
}

/// Values of a path: so many of so many.
fn values(survey: &Survey, path: &str) -> (u64, u64) {
    let ValueCount { there, of } = survey.columns[path];
    (there, of)
}

#[test]
fn values_are_counted_where_there_could_be_some() {
    let survey = survey(
        &ColumnSettings::of(COLUMNS),
        &[
            r#"{"id":1,"user":{"name":"x"},"lines":[{"sku":"a"},{"qty":1},null],"tags":{"a":{"n":1},"b":{}}}"#,
            r#"{"id":null,"user":null,"lines":[],"new":1}"#,
            r#"{"user":{}}"#,
            // What does not fit becomes no row; a field that was read before is seen.
            r#"{"other":1,"id":"x"}"#,
            "no JSON",
        ],
    );
    for (path, expected) in [
        ("id", (1, 3)),
        ("user", (2, 3)),
        ("user.name", (1, 2)),
        ("user.mail", (0, 2)),
        ("lines", (2, 3)),
        ("lines[].sku", (1, 2)),
        ("tags", (1, 3)),
        ("tags[].n", (1, 2)),
    ] {
        assert_eq!(values(&survey, path), expected, "{path}");
    }
    assert_eq!(survey.columns.len(), 8);
    let unknown = ["lines[].qty", "new", "other"].map(str::to_owned);
    assert_eq!(survey.unknown, BTreeSet::from(unknown));
}

#[test]
fn many_records_count_as_few_do_and_where_none_fits_nothing_is_known() {
    let settings = ColumnSettings::of(COLUMNS);
    let many = survey(&settings, &vec![r#"{"id":1}"#; 5000]);
    assert_eq!(values(&many, "id"), (5000, 5000));
    assert_eq!(values(&many, "user"), (0, 5000));
    assert_eq!(values(&many, "user.name"), (0, 0));
    assert_eq!(survey(&settings, &["[]"]), Survey::default());
    assert_eq!(survey(&settings, &[]), Survey::default());
}

#[test]
fn a_field_that_is_kept_or_fails_its_record_is_seen() {
    for unknown in [UnknownFields::Keep("rest".to_owned()), UnknownFields::Fail] {
        let settings = ColumnSettings {
            rules: ColumnRules {
                unknown: unknown.clone(),
                ..ColumnRules::default()
            },
            ..ColumnSettings::of("id int")
        };
        let seen = survey(&settings, &[r#"{"id":1,"new":1}"#]);
        assert_eq!(seen.unknown, BTreeSet::from(["new".to_owned()]));
        assert!(!seen.columns.contains_key("rest"), "{unknown:?}");
    }
}
