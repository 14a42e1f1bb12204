//! Samples, the columns they make, and what is told of them.

use firehose_json::strategies::{any_json, any_record};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::declared::Style;
use super::super::schema::{DEPTH_MAX, HiveType};
use super::super::tests::convert;
use super::super::{Schema, schema};
use super::{Finding, Inference, NAME_BYTES_MAX, NAMES_MAX, PLACES_MAX, Remark};

fn inferred<R: AsRef<[u8]>>(records: &[R]) -> Inference {
    let mut inference = Inference::default();
    for record in records {
        let record = record.as_ref();
        let observed = inference.observe(record);
        observed
            .unwrap_or_else(|failure| panic!("{}: {failure:?}", String::from_utf8_lossy(record)));
    }
    inference
}

fn columns<R: AsRef<[u8]>>(records: &[R]) -> String {
    inferred(records).columns().lines(Style::Config)
}

/// The types of values that stand under `v`, one record each.
fn kind(values: &[&str]) -> String {
    let record = |value: &&str| format!("{{\"v\":{value}}}");
    let records: Vec<String> = values.iter().map(record).collect();
    let columns = columns(&records);
    columns.strip_prefix("v ").unwrap_or(&columns).to_owned()
}

/// Values of a column, and its type; nothing where there is no column.
const KINDS: &str = r#"
1 -> bigint
9223372036854775807; -9223372036854775808 -> bigint
1; null; 2 -> bigint
1.0 -> double
1e3 -> double
1; 0.5 -> double
9223372036854775808 -> string
0.5; 9223372036854775808 -> string
1e400 -> string
1; "1" -> string
1; true -> string
true; false -> boolean
true; "true" -> string
"a" -> string
"" -> string
"20" -> string
"1700000000" -> string
"2026-11-22" -> date
"2026-11-22"; null; "1999-01-01" -> date
"2026-11-22T10:00:00Z" -> timestamp
"2026-11-22T10:00:00.123+02:00"; "2026-11-22 10:00" -> timestamp
"2026-11-22"; "2026-11-22T10:00:00Z" -> timestamp
"2026-11-22T10:00:00Z"; "soon" -> string
"2026-11-22T10:00:00Z"; 1700000000 -> string
"2026-02-30" -> string
"22.11.2026" -> string
"\u0032026-11-22" -> date
null ->
[] ->
{} ->
[]; {} -> string
[null] ->
[[],{}] -> array<string>
[[],[]] ->
[1,2.5,null] -> array<double>
[]; [1] -> array<bigint>
[1]; ["a"] -> array<string>
[1]; 1 -> string
[{"a":1},{"b":"x"}] -> array<struct<a:bigint,b:string>>
[[1],[0.5]] -> array<array<double>>
{}; {"a":1} -> struct<a:bigint>
{"a":null} ->
{"a":{}} ->
{"a":null,"b":1} -> struct<b:bigint>
{"b":1,"a":2}; {"c":3,"B":0.5} -> struct<b:double,a:bigint,c:bigint>
{"a":1}; "a" -> string
{"a":1}; [1] -> string
{"a b":1,"c-d":2,"e.f":3,"g$":4,"":5} -> struct<g$:bigint>
"#;

#[test]
fn values_make_the_narrowest_type_that_takes_them_all() {
    for line in KINDS.trim().lines() {
        let (values, expected) = line.split_once(" ->").unwrap();
        let texts: Vec<&str> = values.split("; ").collect();
        assert_eq!(kind(&texts), expected.trim(), "{line}");
    }
}

#[test]
fn columns_stand_in_the_order_of_first_sight_in_their_first_spelling() {
    let records = [
        r#"{"Id":1,"user":{"name":"x"}}"#,
        r#"{"ts":"2026-11-22T10:00:00Z","ID":2}{"user":{"id":7,"NAME":null},"@v":1,"a.b":1}"#,
    ];
    let expected = "Id bigint,\nuser struct<name:string,id:bigint>,\nts timestamp,\n@v bigint";
    assert_eq!(columns(&records), expected);
    assert_eq!(inferred(&records).rows(), 3);
}

#[test]
fn what_no_column_takes_is_refused_and_leaves_no_trace() {
    let mut inference = inferred(&[r#"{"a":1}"#]);
    let before = serde_json::to_value(&inference).unwrap();
    let deep = format!("{{\"b\":{}{}}}", "[".repeat(128), "]".repeat(128));
    for (record, expected) in [
        ("", "empty or contained only whitespace"),
        (r#"{"b":1"#, "At byte 6: expected `,` or `}`"),
        (r#"{"b":1}{"b":tru}"#, "expected `true`, `false` or `null`"),
        (r#"[{"b":1}]"#, "expected a JSON object, found [{\"b\":1}]"),
        ("1", "expected a JSON object, found 1"),
        (r#"{"b":1} 2"#, "expected a JSON object, found 2"),
        (
            r#"{"b":"\ud800"}"#,
            "a surrogate to be followed by its partner",
        ),
        (deep.as_str(), "nesting of at most 128 levels"),
    ] {
        let failure = inference.observe(record.as_bytes()).unwrap_err();
        assert!(failure.message.contains(expected), "{record}: {failure:?}");
    }
    assert!(inference.observe(b"{\"b\":\"\xff\"}").is_err());
    assert_eq!(serde_json::to_value(&inference).unwrap(), before);
}

fn finding<'f>(findings: &'f [Finding], path: &str) -> &'f Finding {
    let mut found = findings.iter().filter(|finding| finding.path == path);
    found
        .next()
        .unwrap_or_else(|| panic!("{path}: {findings:#?}"))
}

#[test]
fn findings_tell_shares_conflicts_and_what_has_no_column() {
    let records = [
        r#"{"a":1,"u":{"n":"x","e":{}},"l":[{"p":1},{"p":0.5}],"nil":null,"a.b":2,"big":1}"#,
        r#"{"a":"x","A":2,"u":{"n":null},"l":[],"big":18446744073709551616}"#,
        r#"{"u":null,"l":[{"p":9007199254740993}]}"#,
    ];
    let findings = inferred(&records).findings();
    let told = |path: &str| {
        let found = finding(&findings, path);
        let kind = found.kind.as_deref().unwrap_or("-");
        (
            found.values,
            found.of,
            kind.to_owned(),
            found.remarks.clone(),
        )
    };
    let none = Vec::new;
    // A name that stands in a record twice is in one record.
    assert_eq!(told("a"), (2, 3, "string".into(), vec![Remark::Conflict]));
    assert_eq!(finding(&findings, "a").seen, [("integer", 2), ("text", 1)]);
    assert_eq!(told("u"), (3, 3, "struct<n:string>".into(), none()));
    assert_eq!(told("u.n"), (2, 2, "string".into(), none()));
    assert_eq!(told("u.e"), (1, 2, "-".into(), vec![Remark::OnlyEmpty]));
    assert_eq!(told("l[]"), (3, 3, "struct<p:double>".into(), none()));
    assert_eq!(
        told("l[].p"),
        (3, 3, "double".into(), vec![Remark::Rounded])
    );
    assert_eq!(told("nil"), (1, 3, "-".into(), vec![Remark::OnlyNull]));
    assert_eq!(told("a.b"), (1, 3, "-".into(), vec![Remark::Name]));
    assert_eq!(told("big"), (2, 3, "string".into(), vec![Remark::Large]));
}

#[test]
fn an_object_of_very_many_names_is_a_map() {
    let member = |n: usize| format!("\"k {n}\":{{\"n\":{n},\"m{}\":true}}", n % 2);
    let record = |names: std::ops::Range<usize>| {
        let members: Vec<String> = names.map(member).collect();
        format!("{{\"v\":{{{}}}}}", members.join(","))
    };
    let expected = "v map<string,struct<n:bigint,m0:boolean,m1:boolean>>";
    let records = [record(0..NAMES_MAX), record(NAMES_MAX..NAMES_MAX + 1)];
    assert_eq!(columns(&records), expected);
    let mut merged = inferred(&records[..1]);
    assert!(merged.columns().is_empty(), "no field has such a name");
    merged.merge(inferred(&records[1..]));
    assert_eq!(merged.columns().lines(Style::Config), expected);
    assert!(inferred(&records).root.places() < 10);
    assert_fits(&records);
    // Not all of its values are known: nothing is sure of them.
    let long = format!("{{\"v\":{{\"{}\":[]}}}}", "x".repeat(NAME_BYTES_MAX + 1));
    let mixed = [long.as_str(), &records[0], &records[1]];
    assert_eq!(columns(&mixed), "v string");
    assert_fits(&mixed);
    // A map has keys of any length.
    let mixed = [records[0].as_str(), &long, &records[1]];
    assert_eq!(columns(&mixed), "v map<string,string>");
    assert_fits(&mixed);
}

#[test]
fn a_state_is_bounded_whatever_records_hold() {
    let wide = |from: usize, to: usize| {
        let members: Vec<String> = (from..to)
            .map(|n| format!("\"c{n}\":{{\"x\":[{n}]}}"))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    let records = [wide(0, 1000), wide(1000, 2000), wide(0, 5)];
    let inference = inferred(&records);
    assert!(inference.root.places() <= PLACES_MAX);
    assert!(inference.left_out() > 500, "{}", inference.left_out());
    assert_fits(&records);
    let mut merged = inferred(&records[..1]);
    merged.merge(inferred(&records[1..]));
    assert!(merged.root.places() <= PLACES_MAX);
    assert!(merged.left_out() > 500);

    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let lists = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    for records in [
        [deep(DEPTH_MAX)],
        [deep(100)],
        [lists(DEPTH_MAX - 1)],
        [lists(120)],
    ] {
        assert_fits(&records);
    }
    assert!(columns(&[deep(DEPTH_MAX)]).contains("a:bigint"));
    assert!(columns(&[deep(DEPTH_MAX + 1)]).contains("a:string"));
}

/// What is inferred is a schema, and every record fits it.
fn assert_fits<R: AsRef<[u8]>>(records: &[R]) {
    let text = columns(records);
    if text.is_empty() {
        return;
    }
    let schema = Schema::parse(&text).unwrap_or_else(|fault| panic!("{fault:?}\n{text}"));
    let (_, failures) = convert(&schema, records);
    assert_eq!(failures, [], "{text}");
}

/// Values of a few kinds, under a few names: many of them meet.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => prop::sample::select(vec![
            "null", "true", "0", "-7", "9007199254740993", "18446744073709551616", "0.5", "1e3", "1e-400", "-1e999",
            "\"\"", "\"x\"", "\"12\"", "\"2026-11-22\"", "\"2026-11-22T10:00:00Z\"", "\"2026-11-22 1:2\"", "[]", "{}",
            "\"0001-01-01T00:00:00+10:00\"", "\"9999-12-31T23:59:60Z\"",
        ]).prop_map(str::to_owned),
        1 => any_json().prop_map(|value| value.to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let member = (name(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(" , "))),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["\"a\"", "\"b\"", "\"A\"", "\"\\u0062\"", "\"c-d\"", "\"comment\"", "\"\""])
            .prop_map(str::to_owned),
        1 => any::<String>().prop_map(|name| Value::from(name).to_string()),
    ]
}

/// A record: one object, or several.
pub(in crate::format::columns) fn record() -> impl Strategy<Value = String> {
    let member = (name(), value()).prop_map(|(name, value)| format!("{name}: {value}"));
    let object = vec(member, 0..6)
        .prop_map(|members| format!("{{{}}}", members.join(",")))
        .boxed();
    prop_oneof![
        8 => object.clone(),
        1 => (object.clone(), object).prop_map(|(one, other)| format!("{one}\n{other}")),
        1 => any_record().prop_filter("an object", |text| text.starts_with('{')),
    ]
}

/// Whether every value of a column of one type has a place in one of the other, by the rules alone.
fn widens(from: &HiveType, to: &HiveType) -> bool {
    match (from, to) {
        (_, HiveType::String)
        | (HiveType::BigInt, HiveType::Double)
        | (HiveType::Date, HiveType::Timestamp) => true,
        (HiveType::Array(from), HiveType::Array(to))
        | (HiveType::Map(_, from), HiveType::Map(_, to)) => widens(from, to),
        (HiveType::Struct(from), HiveType::Struct(to)) => widens_all(from, to),
        (HiveType::Struct(from), HiveType::Map(_, to)) => {
            from.iter().all(|field| widens(&field.kind, to))
        }
        (from, to) => from == to,
    }
}

fn widens_all(from: &[schema::Field], to: &[schema::Field]) -> bool {
    let mut to = to.iter();
    // In their order: others may have come between them only where they had no type before.
    from.iter().all(|field| {
        let found = to.find(|other| other.name == field.name);
        found.is_some_and(|other| widens(&field.kind, &other.kind))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_was_observed_converts(records in vec(record(), 1..12)) {
        let mut inference = Inference::default();
        let mut taken = records;
        taken.retain(|record| inference.observe(record.as_bytes()).is_ok());
        let text = inference.columns().lines(Style::Config);
        if !text.is_empty() {
            let schema = Schema::parse(&text);
            prop_assert!(schema.is_ok(), "{:?}\n{}", schema, text);
            let (_, failures) = convert(&schema.unwrap(), &taken);
            prop_assert_eq!(failures, [], "{}", text);
        }
    }

    #[test]
    fn a_column_only_widens(records in vec(record(), 1..12)) {
        let mut inference = Inference::default();
        let mut before = Vec::new();
        for record in records {
            _ = inference.observe(record.as_bytes());
            let after = super::verdict::columns(&inference.root);
            prop_assert!(widens_all(&before, &after), "{:?}\n{:?}", before, after);
            before = after;
        }
    }

    #[test]
    fn states_merge_as_if_they_were_one_and_survive_being_stored(
        records in vec(record(), 1..12), cuts in (0_usize..12, 0_usize..12),
    ) {
        let mut whole = Inference::default();
        let mut parts = [Inference::default(), Inference::default(), Inference::default()];
        for (index, record) in records.iter().enumerate() {
            let part = usize::from(index >= cuts.0) + usize::from(index >= cuts.1);
            let observed = whole.observe(record.as_bytes()).is_ok();
            prop_assert_eq!(parts[part].observe(record.as_bytes()).is_ok(), observed);
        }
        let stored = |inference: &Inference| serde_json::to_string(inference).unwrap();
        let [first, second, third] = parts.map(|part| {
            let again: Inference = serde_json::from_str(&stored(&part)).unwrap();
            again
        });
        let (mut left, mut right) = (first.clone(), second.clone());
        left.merge(second);
        left.merge(third.clone());
        right.merge(third);
        let mut outer = first;
        outer.merge(right);
        prop_assert_eq!(stored(&left), stored(&whole));
        prop_assert_eq!(stored(&outer), stored(&whole));
    }
}

#[test]
fn a_stored_state_goes_on_where_it_was() {
    let mut state = inferred(&[r#"{"a":1,"b":{"c":[1]}}"#]);
    let text = serde_json::to_string(&state).unwrap();
    let mut again: Inference = serde_json::from_str(&text).unwrap();
    for inference in [&mut state, &mut again] {
        inference
            .observe(br#"{"A":0.5,"a":1,"b":{"c":["x"],"d":null}}"#)
            .unwrap();
    }
    assert_eq!(
        serde_json::to_value(&again).unwrap(),
        serde_json::to_value(&state).unwrap()
    );
    assert_eq!(
        again.columns().lines(Style::Config),
        "a double,\nb struct<c:array<string>>"
    );
    assert_eq!(finding(&again.findings(), "a").values, 2);
    let empty: Inference = serde_json::from_value(json!({"root": {}})).unwrap();
    assert!(empty.columns().is_empty() && empty.findings().is_empty());
}
