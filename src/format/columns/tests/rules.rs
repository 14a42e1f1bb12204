//! What the settings say of members without a column, values that do not fit, and names.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{Row, Schema};
use super::convert;
use super::oracle::value;
use crate::config::{ColumnRules, ColumnSettings, Misfit, Misfits, NameRules, UnknownFields};

const KEPT: &str = "_unknown";

pub(super) fn compile(schema: &str, rules: ColumnRules) -> Schema {
    let settings = ColumnSettings {
        rules,
        ..ColumnSettings::of(schema)
    };
    Schema::of(&settings).unwrap()
}

fn unknown(unknown: UnknownFields) -> ColumnRules {
    ColumnRules {
        unknown,
        ..ColumnRules::default()
    }
}

fn keeping(schema: &str) -> Schema {
    compile(schema, unknown(UnknownFields::Keep(KEPT.to_owned())))
}

fn nulling(columns: &[(&str, Misfit)], default: Misfit) -> ColumnRules {
    let columns = columns.iter().copied();
    let columns = columns
        .map(|(name, misfit)| (name.to_owned(), misfit))
        .collect();
    ColumnRules {
        misfits: Misfits { default, columns },
        ..ColumnRules::default()
    }
}

/// What is kept of a record's only row: the text as it stands.
fn kept(schema: &Schema, record: &str) -> Value {
    let (rows, failures) = convert(schema, &[record]);
    assert_eq!(failures, [], "{record}");
    assert_eq!(rows.len(), 1, "{record}");
    rows[0][KEPT].clone()
}

#[test]
fn a_member_without_a_column_fails_its_record_alone_and_is_named_by_its_path() {
    let columns = "id int, user struct<name:string>, lines array<struct<sku:string>>, \
                   tags map<string,struct<n:int>>";
    let schema = compile(columns, unknown(UnknownFields::Fail));
    let long = "n".repeat(100_000);
    let records = [
        r#"{"id":1,"user":{"NAME":"x"},"lines":[{}],"tags":{"a":null}}"#.to_owned(),
        r#"{"id":2,"prize":3}"#.to_owned(),
        r#"{"id":3,"user":{"name":"x","m\u0061il":"y"}}"#.to_owned(),
        r#"{"id":4,"lines":[{"sku":"a"},{"qty":1}]}"#.to_owned(),
        r#"{"id":5,"tags":{"x":{"n":1,"m":2}}}"#.to_owned(),
        format!("{{\"id\":6,\"{long}\":null}}"),
        r#"{"id":7,"prize":[1,}"#.to_owned(),
        r#"{"id":8}"#.to_owned(),
    ];
    let (rows, failures) = convert(&schema, &records);
    let ids: Vec<_> = rows.iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [1, 8]);
    let told: Vec<_> = failures
        .iter()
        .map(|(index, failure)| (*index, failure.code.as_ref(), failure.message.as_ref()))
        .collect();
    let start = "Data does not match the schema. No column takes ";
    let message = |path: &str| format!("{start}`{path}`.");
    let code = "DataFormatConversion.MalformedData";
    for ((index, path), told) in [
        (1, "prize".to_owned()),
        (2, "user.mail".to_owned()),
        (3, "lines[1].qty".to_owned()),
        (4, r#"tags["x"].m"#.to_owned()),
        (5, "n".repeat(100)),
    ]
    .into_iter()
    .zip(&told)
    {
        assert_eq!(*told, (index, code, message(&path).as_str()));
    }
    // What is no JSON is told to be none, whatever its name.
    assert_eq!(told[5].1, "DataFormatConversion.ParseError");
    assert_eq!(told.len(), 6);
}

#[test]
fn what_no_column_takes_is_kept_under_the_path_of_what_it_lay_in() {
    let schema = keeping(
        "id int, user struct<name:string,at:struct<city:string>>, \
         lines array<struct<sku:string>>, tags map<string,struct<n:int>>, deep array<array<struct<a:int>>>",
    );
    for (record, expected) in [
        (r#"{"id":1}"#, json!(null)),
        (r#"{"id":1,"user":{},"lines":[{},null]}"#, json!(null)),
        (
            r#"{"Prize" : [1, "a b"],"id":1,"z":null}"#,
            json!(r#"{"Prize":[1,"a b"],"z":null}"#),
        ),
        (
            r#"{"user":{"mail":"x","name":"n","AT":{"zip":1}},"z":2}"#,
            json!(r#"{"user":{"mail":"x","at":{"zip":1}},"z":2}"#),
        ),
        (
            r#"{"lines":[{"sku":"a"},{"qty":1,"x":{}},{"qty":2}]}"#,
            json!(r#"{"lines":{"1":{"qty":1,"x":{}},"2":{"qty":2}}}"#),
        ),
        (
            r#"{"tags":{"a \"b":{"n":1,"m":2},"c":{"n":3}}}"#,
            json!(r#"{"tags":{"a \"b":{"m":2}}}"#),
        ),
        (
            r#"{"deep":[[],[{"a":1},{"b":2}]]}"#,
            json!(r#"{"deep":{"1":{"1":{"b":2}}}}"#),
        ),
        // Its own name is no other.
        (r#"{"_unknown":1}"#, json!(r#"{"_unknown":1}"#)),
        // Of one name the last counts: also where it has nothing left over.
        (
            r#"{"z":1,"y":2,"\u007a":3}"#,
            json!(r#"{"y":2,"\u007a":3}"#),
        ),
        (
            r#"{"user":{"a":1},"z":0,"USER":{"b":2}}"#,
            json!(r#"{"z":0,"user":{"b":2}}"#),
        ),
        (r#"{"user":{"a":1},"user":{"name":"n"}}"#, json!(null)),
        (
            r#"{"tags":{"a":{"x":1},"b":{"x":2},"a":{"y":3}}}"#,
            json!(r#"{"tags":{"b":{"x":2},"a":{"y":3}}}"#),
        ),
    ] {
        assert_eq!(kept(&schema, record), expected, "{record}");
    }
    // A record that fails leaves nothing behind, and each object of a record has its own.
    let records = [
        r#"{"z":1,"id":"x"}"#,
        r#"{"a":1}{"id":2} {"b":2}"#,
        r#"{"id":3}"#,
    ];
    let (rows, failures) = convert(&schema, &records);
    assert_eq!(failures.len(), 1);
    let kept: Vec<_> = rows.iter().map(|row| row[KEPT].clone()).collect();
    let expected = [
        json!(r#"{"a":1}"#),
        json!(null),
        json!(r#"{"b":2}"#),
        json!(null),
    ];
    assert_eq!(kept, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Columns and what is kept are the record: nothing is lost, and nothing is there twice.
    #[test]
    fn what_is_kept_is_what_the_columns_have_not(
        top in proptest::collection::btree_map("[a-d\u{e9}\"\\\\.]{1,3}", value(), 0..5),
        inner in proptest::collection::btree_map("[a-d\u{e9}\"\\\\.]{1,3}", value(), 0..4),
        indent in any::<bool>(),
    ) {
        let schema = keeping("n int, s struct<x:string,t:struct<y:int>>");
        let inner: Map<String, Value> = inner.into_iter().collect();
        let with = |members: &Map<String, Value>, more: Value| {
            let Value::Object(mut more) = more else { unreachable!() };
            more.extend(members.clone());
            Value::Object(more)
        };
        let top: Map<String, Value> = top.into_iter().collect();
        let record = with(&top, json!({
            "n": 7,
            "s": with(&inner, json!({"x": "text", "t": with(&inner, json!({"y": 1}))})),
        }));
        let text = if indent { serde_json::to_string_pretty(&record).unwrap() } else { record.to_string() };
        let left = if inner.is_empty() {
            with(&top, json!({}))
        } else {
            with(&top, json!({"s": with(&inner, json!({"t": inner}))}))
        };
        match kept(&schema, &text) {
            Value::Null => prop_assert_eq!(left, json!({})),
            Value::String(kept) => {
                // As its reader reads numbers, which may be a hair beside.
                let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                prop_assert_eq!(read(&kept), read(&left.to_string()));
            }
            other => prop_assert!(false, "{}", other),
        }
    }
}

/// JSON of which strings may hold an escaped half of a pair of surrogates, or a whole pair.
fn with_halves() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "\\ud800", "\\udc00", "\\u00e9", "\\\\", "\\n", "\u{e9}",
    ]);
    let string = proptest::collection::vec(piece, 0..4)
        .prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    let leaf = prop_oneof![string.clone(), Just("1".to_owned())];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let member =
            (string.clone(), inner.clone()).prop_map(|(name, value)| format!("{name}: {value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..3)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec(member, 0..3)
                .prop_map(|members| format!("{{{}}}", members.join(", "))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A record of which something would become a text that strict readers refuse fails, and no other one does.
    #[test]
    fn what_becomes_json_text_is_what_strict_readers_take(value in with_halves()) {
        let record = format!("{{\"id\":1,\"x\":{value},\"s\":{{\"y\":{value}}}}}");
        let is_strict = serde_json::from_str::<Value>(&record).is_ok();
        for columns in ["id int, s struct<z:int>", "id int, x string, s struct<y:string>"] {
            let (rows, failures) = convert(&keeping(columns), &[&record]);
            prop_assert_eq!(rows.len(), usize::from(is_strict), "{} as {}: {:?}", record, columns, failures);
            if let Some(kept) = rows.first().and_then(|row| row[KEPT].as_str()) {
                prop_assert!(serde_json::from_str::<Value>(kept).is_ok(), "{}", kept);
            }
            for (_, failure) in failures {
                prop_assert_eq!(failure.code.as_ref(), "DataFormatConversion.ParseError");
            }
        }
    }
}

#[test]
fn half_a_pair_of_surrogates_fails_its_record_where_it_would_become_text_and_its_place_is_told() {
    let record = r#"{"id":1,"x":[{"k":"\ud800"}]}"#;
    let place = "At byte 19: expected a surrogate to be followed by its partner.";
    for schema in [keeping("id int"), super::compile("id int, x string")] {
        let (rows, failures) = convert(&schema, &[record, r#"{"id":2}"#]);
        assert_eq!((rows.len(), failures.len()), (1, 1));
        let message = &failures[0].1.message;
        assert!(message.ends_with(place), "{message}");
    }
    // Nothing becomes of it.
    let (rows, _) = convert(&super::compile("id int"), &[record]);
    assert_eq!(rows, [json!({"id":1})]);
}

#[test]
fn a_value_that_does_not_fit_is_null_where_that_is_allowed_and_only_there() {
    let columns = "id int, price decimal(4,2), at timestamp, user struct<id:int,name:string>, \
                   tags map<int,array<int>>";
    let schema = compile(columns, nulling(&[("id", Misfit::Fail)], Misfit::Null));
    let records = [
        r#"{"id":1,"price":"free","at":"soon","user":{"id":1,"name":"a"},"tags":{"1":[2]}}"#,
        r#"{"id":2,"price":99.99,"at":0,"user":{"name":"b","id":"x"},"tags":{"1":[1],"01":["y"]}}"#,
        r#"{"id":3,"price":100,"user":5,"tags":{"one":[1]}}"#,
        r#"{"id":4,"price":1,"price":"x","at":"x","at":1}"#,
        r#"{"id":"five"}"#,
        r#"{"id":6,"price":}"#,
        r#"{"id":7,"user":{"id":"x","name":}}"#,
        r#"{"id":8,"price":8}"#,
    ];
    let (rows, failures) = convert(&schema, &records);
    let expected = [
        json!({"id":1,"price":null,"at":null,"user":{"id":1,"name":"a"},"tags":{"1":[2]}}),
        json!({"id":2,"price":"99.99","at":0,"user":null,"tags":null}),
        json!({"id":3,"price":null,"at":null,"user":null,"tags":null}),
        json!({"id":4,"price":null,"at":1_000_000,"user":null,"tags":null}),
        json!({"id":8,"price":"8.00","at":null,"user":null,"tags":null}),
    ];
    assert_eq!(rows, expected);
    let failed: Vec<_> = failures.iter().map(|(index, _)| *index).collect();
    assert_eq!(failed, [4, 5, 6]);
}

/// The rule for values says nothing of members without a column.
#[test]
fn unknown_members_fail_also_where_values_are_nulled() {
    let mut rules = nulling(&[("user", Misfit::Null)], Misfit::Fail);
    rules.unknown = UnknownFields::Fail;
    let schema = compile("user struct<id:int>", rules);
    let records = [r#"{"user":{"id":"x"}}"#, r#"{"user":{"nick":1}}"#];
    let (rows, failures) = convert(&schema, &records);
    assert_eq!(rows, [json!({"user":null})]);
    assert!(failures[0].1.message.ends_with("`user.nick`."));
}

/// Of columns that are learned, or are a table's, the settings hold the user's spelling.
#[test]
fn rules_find_their_column_whatever_the_case_of_its_name() {
    let mut rules = nulling(&[("Price", Misfit::Null)], Misfit::Fail);
    rules.names.json_keys = [("PRICE".to_owned(), "cost".to_owned())].into();
    let schema = compile("price int, qty int", rules);
    let (rows, failures) = convert(&schema, &[r#"{"cost":"free","qty":1}"#, r#"{"qty":"x"}"#]);
    assert_eq!(rows, [json!({"price":null,"qty":1})]);
    assert_eq!(failures.len(), 1, "{failures:?}");
    let rules = nulling(&[("Price", Misfit::Fail)], Misfit::Null);
    let schema = compile("price int", rules);
    assert_eq!(convert(&schema, &[r#"{"price":"free"}"#]).1.len(), 1);
}

#[test]
fn of_a_nulled_column_nothing_is_kept() {
    let mut rules = nulling(&[("user", Misfit::Null)], Misfit::Fail);
    rules.unknown = UnknownFields::Keep(KEPT.to_owned());
    let schema = compile("user struct<id:int>, n int", rules);
    let record = r#"{"z":1,"user":{"nick":"a","id":"x"},"n":2}"#;
    assert_eq!(kept(&schema, record), json!(r#"{"z":1}"#));
    // Nor what was kept of an earlier one of its name: the last counts.
    for (record, expected) in [
        (r#"{"user":{"mail":"y"},"user":5}"#, json!(null)),
        (
            r#"{"z":1,"user":{"mail":"y"},"USER":{"id":"x","nick":1},"n":2}"#,
            json!(r#"{"z":1}"#),
        ),
        (
            r#"{"user":5,"user":{"mail":"y"},"z":1}"#,
            json!(r#"{"user":{"mail":"y"},"z":1}"#),
        ),
    ] {
        assert_eq!(kept(&schema, record), expected, "{record}");
    }
}

#[test]
fn explain_is_told_what_was_nulled_and_what_is_kept() {
    let mut rules = nulling(&[], Misfit::Null);
    rules.unknown = UnknownFields::Keep("rest".to_owned());
    let schema = compile("n int, s struct<a:int>", rules);
    let record = br#"{"n":"x","s":{"a":[1]},"z":1}"#;
    let rows = schema.rows(&mut schema.decoder(), record).unwrap();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    let changed: Vec<_> = row
        .changed
        .iter()
        .map(|changed| (changed.place.path.as_str(), changed.from.as_str()))
        .collect();
    assert_eq!(changed, [("n", "\"x\""), ("s", "{\"a\":[1]}")]);
    assert!(row.changed.iter().all(|changed| changed.to == Value::Null));
    assert_eq!(row.columns[2], ("rest".to_owned(), json!("{\"z\":1}")));
    let Row {
        unknown, missing, ..
    } = row;
    assert_eq!((unknown.len(), missing.len()), (0, 0));
}

fn named(names: NameRules) -> ColumnRules {
    ColumnRules {
        names,
        ..ColumnRules::default()
    }
}

#[test]
fn names_are_told_apart_by_their_case_where_that_is_asked_for() {
    let record = r#"{"ID":1,"id":2,"s":{"A":3,"a":4,"m":{"K":5,"k":6}}}"#;
    let columns = "id int, s struct<a:int,m:map<string,int>>";
    for (case_sensitive, expected) in [
        (true, json!({"id":2,"s":{"a":4,"m":{"K":5,"k":6}}})),
        (false, json!({"id":2,"s":{"a":4,"m":{"K":5,"k":6}}})),
    ] {
        let rules = named(NameRules {
            case_sensitive,
            ..NameRules::default()
        });
        let (rows, _) = convert(&compile(columns, rules), &[record]);
        assert_eq!(rows, [expected]);
    }
    let rules = named(NameRules {
        case_sensitive: true,
        ..NameRules::default()
    });
    let schema = compile(columns, rules);
    let (rows, _) = convert(&schema, &[r#"{"Id":1,"s":{"A":3}}"#]);
    assert_eq!(rows, [json!({"id":null,"s":{"a":null,"m":null}})]);
}

#[test]
fn dots_in_names_are_underscores_where_that_is_asked_for() {
    let names = NameRules {
        dots_to_underscores: true,
        ..NameRules::default()
    };
    let columns = "http_status int, s struct<a_b_c:int>, m map<string,int>";
    let record = r#"{"HTTP.status":200,"s":{"a.b_c":1},"m":{"x.y":2}}"#;
    let whole = json!({"http_status":200,"s":{"a_b_c":1},"m":{"x.y":2}});
    let (rows, _) = convert(&compile(columns, named(names.clone())), &[record, record]);
    assert_eq!(rows, [whole.clone(), whole]);
    let (rows, _) = convert(&super::compile(columns), &[record]);
    assert_eq!(rows[0]["http_status"], Value::Null);
    let sensitive = NameRules {
        case_sensitive: true,
        ..names
    };
    let (rows, _) = convert(&compile(columns, named(sensitive)), &[record]);
    let expected = json!({"http_status":null,"s":{"a_b_c":1},"m":{"x.y":2}});
    assert_eq!(rows, [expected]);
}

#[test]
fn a_column_takes_the_member_that_it_is_told_to() {
    let names = NameRules {
        json_keys: [("ts", "timestamp"), ("a", "b"), ("b", "a")]
            .map(|(column, key)| (column.to_owned(), key.to_owned()))
            .into(),
        ..NameRules::default()
    };
    let columns = "ts bigint, a int, b int, s struct<ts:int>";
    let mut rules = named(names);
    rules.unknown = UnknownFields::Keep(KEPT.to_owned());
    let schema = compile(columns, rules);
    let record = r#"{"ts":0,"Timestamp":5,"a":1,"b":2,"s":{"ts":3,"timestamp":4}}"#;
    let (rows, failures) = convert(&schema, &[record, record]);
    assert_eq!(failures, []);
    let expected = json!({
        "ts":5,"a":2,"b":1,"s":{"ts":3},
        KEPT: r#"{"ts":0,"s":{"timestamp":4}}"#,
    });
    assert_eq!(rows, [expected.clone(), expected]);
    let read = schema.rows(&mut schema.decoder(), record.as_bytes());
    assert_eq!(read.unwrap()[0].missing, []);
}
