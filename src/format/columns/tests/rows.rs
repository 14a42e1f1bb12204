//! Rows read back, and what of the record is not in them.

use serde_json::{Value, json};

use super::super::{FieldPath, Row};
use super::compile;

/// The only row that the record becomes.
fn row(schema: &str, data: &str) -> Row {
    let mut rows = rows(schema, data);
    assert_eq!(rows.len(), 1, "{data}");
    rows.remove(0)
}

fn rows(schema: &str, data: &str) -> Vec<Row> {
    let schema = compile(schema);
    let rows = schema.rows(&mut schema.decoder(), data.as_bytes());
    rows.unwrap_or_else(|failure| panic!("{data}: {failure:?}"))
}

fn paths(places: &[FieldPath]) -> Vec<&str> {
    places.iter().map(|place| place.path.as_str()).collect()
}

fn columns(row: &Row) -> Value {
    row.columns
        .iter()
        .cloned()
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn a_misspelt_field_is_in_no_column_and_the_column_is_null() {
    let row = row("id int, price double", r#"{"id":1,"prize":1.5}"#);
    assert_eq!(columns(&row), json!({"id": 1, "price": null}));
    assert_eq!(paths(&row.unknown), ["prize"]);
    assert_eq!(paths(&row.missing), ["price"]);
    assert_eq!(
        (row.null, row.changed, row.repeated),
        (vec![], vec![], vec![])
    );
}

#[test]
fn what_is_lost_has_its_path_in_structs_arrays_and_maps() {
    let schema = "user struct<id:bigint, name:string>, \
                  lines array<struct<sku:string, price:decimal(10,2)>>, \
                  tags map<string, struct<n:int>>, single array<float>";
    let data = r#"{"user":{"ID":7,"mail":"x","name":null},
        "lines":[{"sku":"a","price":1.555},{"sku":null,"price":2,"qty":3},null],
        "tags":{"x":{"n":1,"m":2},"y":null,"z":{}}, "single": 16777217}"#;
    let row = row(schema, data);
    let unknown = ["user.mail", "lines[1].qty", "tags[\"x\"].m"];
    assert_eq!(paths(&row.unknown), unknown);
    let mut null = paths(&row.null);
    null.sort_unstable();
    assert_eq!(
        null,
        ["lines[1].sku", "lines[2]", "tags[\"y\"]", "user.name"]
    );
    assert_eq!(paths(&row.missing), ["tags[\"z\"].n"]);
    let changed = row.changed.iter();
    let changed: Vec<_> = changed
        .map(|changed| (&*changed.place.path, &*changed.from, changed.to.clone()))
        .collect();
    assert_eq!(
        changed,
        [
            ("lines[0].price", "1.555", json!("1.56")),
            ("single", "16777217", json!(16_777_216.0)),
        ]
    );
    let fields: Vec<_> = row.unknown.iter().map(|place| &*place.field).collect();
    assert_eq!(fields, ["user.mail", "lines[].qty", "tags[].m"]);
}

/// Type of a column, value in the record, whether another one is read back (`~`) or the same, and that.
const VALUES: &str = r#"
decimal(10,2); 1.555; ~; "1.56"
decimal(10,2); "1.555"; ~; "1.56"
decimal(10,2); 1.5; =; "1.50"
decimal(10,2); 15e-1; =; "1.50"
decimal(10,2); -0.001; ~; "0.00"
decimal(38,0); 12345678901234567890123456789012345678; =; "12345678901234567890123456789012345678"
int; 3.0; =; 3
int; "+007"; =; 7
bigint; 9007199254740993; =; 9007199254740993
double; 9007199254740993; ~; 9007199254740992.0
double; 0.1; =; 0.1
double; 1e300; =; 1e300
double; 1e-400; ~; 0.0
double; 0.10000000000000000555; ~; 0.1
float; 0.1; =; 0.1
float; 0.123456789; ~; 0.12345679
string; 1.50; =; "1.50"
string; {"a": 1}; =; "{\"a\":1}"
string; "a\u00e4"; =; "aä"
string; true; =; "true"
boolean; "TRUE"; =; true
binary; "AQI="; =; "AQI="
date; "2026-9-7"; =; "2026-09-07"
timestamp; "2026-09-07T01:22:03.123456Z"; =; "2026-09-07T01:22:03.123456Z"
timestamp; "2026-09-07T03:22:03.1234560+02:00"; =; "2026-09-07T01:22:03.123456Z"
timestamp; "2026-09-07T01:22:03.123456789Z"; ~; "2026-09-07T01:22:03.123456Z"
timestamp; "2026-09-07T01:22:60Z"; ~; "2026-09-07T01:22:59Z"
timestamp; 1788744123; =; "2026-09-07T01:22:03Z"
timestamp; 1788744123456; =; "2026-09-07T01:22:03.456Z"
timestamp; "1788744123.456"; =; "2026-09-07T01:22:03.456Z"
timestamp; 1788744123.4567891; ~; "2026-09-07T01:22:03.456789Z"
map<int,string>; {"01":"x"}; =; {"1":"x"}
map<decimal(4,1),int>; {"0.25":7}; ~; {"0.3":7}
map<boolean,int>; {"True":7}; =; {"true":7}
map<date,int>; {"2026-9-7":7}; =; {"2026-09-07":7}
"#;

#[test]
fn a_value_has_changed_when_it_is_read_back_as_another_one() {
    for line in VALUES.trim().lines() {
        let parts: Vec<&str> = line.split("; ").collect();
        let &[kind, written, sign, back] = &parts[..] else {
            panic!("{line}");
        };
        let row = row(&format!("c {kind}"), &format!("{{\"c\":{written}}}"));
        let back: Value = serde_json::from_str(back).unwrap();
        assert_eq!(row.columns, [("c".to_owned(), back)], "{line}");
        assert_eq!(row.changed.len(), usize::from(sign == "~"), "{line}");
        let rest = (row.unknown, row.missing, row.null, row.repeated);
        assert_eq!(rest, (vec![], vec![], vec![], vec![]), "{line}");
    }
}

#[test]
fn of_members_with_one_name_the_last_counts_and_the_others_are_told() {
    let data = r#"{"a":1,"A":2,"m":{"k":1,"k":2},"a":3}"#;
    let one = row("a int, m map<string,int>", data);
    assert_eq!(columns(&one), json!({"a": 3, "m": {"k": 2}}));
    assert_eq!(paths(&one.repeated), ["a", "a", "m[\"k\"]"]);
}

#[test]
fn every_object_of_a_record_is_a_row() {
    let rows = rows("a int", "{\"a\":1}\n {\"b\":2}{\"a\":null}");
    let told = |row: &Row| {
        (
            columns(row),
            paths(&row.unknown).len(),
            paths(&row.missing).len(),
            row.null.len(),
        )
    };
    let told: Vec<_> = rows.iter().map(told).collect();
    assert_eq!(
        told,
        [
            (json!({"a": 1}), 0, 0, 0),
            (json!({"a": null}), 1, 1, 0),
            (json!({"a": null}), 0, 0, 1)
        ]
    );
}

#[test]
fn the_ends_of_time_are_shown() {
    let row = row(
        "t timestamp, d date, u timestamp",
        r#"{"t":"9999-12-31T23:59:59.999999Z","d":"9999-12-31","u":"1969-12-31T23:59:59.5Z"}"#,
    );
    assert_eq!(
        columns(&row),
        json!({"t": "9999-12-31T23:59:59.999999Z", "d": "9999-12-31", "u": "1969-12-31T23:59:59.5Z"})
    );
    assert_eq!(row.changed, []);
}
