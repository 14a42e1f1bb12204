//! Firehose's two deserializers, rule by rule: what one makes fit and the other refuses, and how times are read.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::convert;
use super::rules::compile;
use crate::config::{ColumnRules, Deserializer, NumberUnit, TimeRules};

fn times(deserializer: Deserializer, formats: &[&str], unit: Option<NumberUnit>) -> ColumnRules {
    let formats = formats.iter().map(|&format| format.to_owned()).collect();
    ColumnRules {
        deserializer,
        times: TimeRules {
            formats,
            unit,
            whole_millis: false,
        },
        ..ColumnRules::default()
    }
}

/// What one value becomes in a column of this type, or why it does not fit.
fn cell(rules: &ColumnRules, kind: &str, json: &str) -> Result<Value, String> {
    let schema = compile(&format!("c {kind}"), rules.clone());
    let (rows, failures) = convert(&schema, &[format!("{{\"c\":{json}}}"), "{}".to_owned()]);
    match failures.first() {
        Some((_, failure)) => {
            // It fails alone.
            assert_eq!(rows, [json!({"c": null})], "{json} as {kind}");
            Err(failure.message.clone().into_owned())
        }
        None => Ok(rows[0]["c"].clone()),
    }
}

/// A value, its type, what it is by the rules of `OpenX`, and by those of Hive; `-` is a record that fails.
const COERCIONS: &str = r#"
"20"; int; 20; -
"2.5"; double; 2.5; -
"1.5"; decimal(3,1); "1.5"; -
"TRUE"; boolean; true; -
20; int; 20; 20
true; boolean; true; true
"x"; array<string>; ["x"]; -
7; array<int>; [7]; -
["x"]; array<string>; ["x"]; ["x"]
{"A":[1, 2]}; string; "{\"A\":[1,2]}"; -
[1]; string; "[1]"; -
7; string; "7"; "7"
true; string; "true"; "true"
{"B":1}; map<string,int>; {"B":1}; {"B":1}
{"1":1}; map<int,int>; {"1":1}; {"1":1}
{"A":1,"z":2}; struct<a:int>; {"a":1}; {"a":1}
{}; struct<a:int,b:string>; {"a":null,"b":null}; {"a":null,"b":null}
[1]; struct<a:int>; -; -
1; struct<a:int>; -; -
[]; map<string,int>; -; -
{}; array<int>; -; -
1.005; decimal(3,2); "1.01"; "1.01"
9.995; decimal(3,2); -; -
1000; decimal(3,0); -; -
1e38; decimal(38,0); -; -
1.5; int; -; -
99999999999; int; -; -
"2026-09-07 01:22:03.5"; timestamp; 1788744123500000; 1788744123500000
"2026-9-7 1:22:3"; timestamp; 1788744123000000; 1788744123000000
"2026-09-07T01:22:03Z"; timestamp; 1788744123000000; -
"2026-9-7T1:22:3"; timestamp; 1788744123000000; -
"2026-09-07T03:22:03+02:00"; timestamp; 1788744123000000; -
"2026-09-07"; timestamp; 1788739200000000; -
"2026-09-07 01:22"; timestamp; 1788744120000000; -
1788744123; timestamp; 1788744123000000; -
1788744123.25; timestamp; 1788744123250000; -
1788744123456; timestamp; 1788744123456000; -
"1788744123456"; timestamp; 1788744123456000; -
999999999999; timestamp; -; -
"2026-9-7"; date; 20703; 20703
20703; date; -; -
"0001-01-01 00:00:00"; timestamp; -62135596800000000; -62135596800000000
"9999-12-31 23:59:59.999999"; timestamp; 253402300799999999; 253402300799999999
"10000-01-01 00:00:00"; timestamp; -; -
"0000-12-31 23:59:59"; timestamp; -; -
"0001-01-01T00:00:00+00:01"; timestamp; -; -
-62135596801; timestamp; -; -
-1.5; timestamp; -1500000; -
1e400; timestamp; -; -
"#;

#[test]
fn each_deserializer_takes_what_it_takes_at_firehose_and_the_rest_fails_alone() {
    for line in COERCIONS.trim().lines() {
        let parts: Vec<&str> = line.split("; ").collect();
        let &[written, kind, openx, hive] = &parts[..] else {
            panic!("{line}");
        };
        for (deserializer, expected) in [(Deserializer::OpenX, openx), (Deserializer::Hive, hive)] {
            let found = cell(&times(deserializer, &[], None), kind, written);
            if expected == "-" {
                assert!(found.is_err(), "{line}: {deserializer:?}: {found:?}");
            } else {
                let expected: Value = serde_json::from_str(expected).unwrap();
                assert_eq!(found, Ok(expected), "{line}: {deserializer:?}");
            }
        }
    }
}

#[test]
fn what_hive_refuses_is_told_with_its_place_and_no_json_stays_no_json() {
    let rules = times(Deserializer::Hive, &[], None);
    for (kind, json, expected) in [
        ("int", "\"20\"", "Column `c`: expected int, found \"20\"."),
        ("array<int>", "7", "Column `c`: expected array, found 7."),
        (
            "string",
            "{\"a\":1}",
            "Column `c`: expected string, found {\"a\":1}.",
        ),
        (
            "map<string,array<int>>",
            "{\"k\":[\"1\"]}",
            "Column `c[\"k\"][0]`: expected int, found \"1\".",
        ),
        ("array<int>", "tru", "Encountered malformed JSON."),
        ("string", "{\"a\":}", "Encountered malformed JSON."),
        ("int", "\"2\\x\"", "Encountered malformed JSON."),
    ] {
        let message = cell(&rules, kind, json).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn patterns_are_tried_in_their_order_before_what_is_usual_or_in_its_place() {
    let formats = ["dd/MM/yyyy HH:mm", "MM/dd/yyyy HH:mm", "yyyyMMdd"];
    let read = |deserializer, kind, text: &str| {
        let json = Value::from(text).to_string();
        cell(&times(deserializer, &formats, None), kind, &json).ok()
    };
    for deserializer in [Deserializer::OpenX, Deserializer::Hive] {
        for (text, expected) in [
            ("07/09/2026 01:22", json!(1_788_744_120_000_000_i64)),
            ("09/27/2026 01:22", json!(1_790_472_120_000_000_i64)),
            // A number of seconds, where no pattern takes it.
            ("20260907", json!(1_788_739_200_000_000_i64)),
        ] {
            assert_eq!(
                read(deserializer, "timestamp", text),
                Some(expected),
                "{text}"
            );
        }
        assert_eq!(
            read(deserializer, "date", "27/09/2026 23:59"),
            Some(json!(20_723))
        );
        assert_eq!(
            read(deserializer, "date", "2026-09-07"),
            Some(json!(20_703))
        );
        assert_eq!(read(deserializer, "timestamp", "soon"), None);
    }
    let usual = "2026-09-07T01:22:03Z";
    assert!(read(Deserializer::OpenX, "timestamp", usual).is_some());
    assert_eq!(read(Deserializer::Hive, "timestamp", usual), None);
    assert_eq!(
        read(Deserializer::Hive, "timestamp", "2026-09-07 01:22:03"),
        None
    );
}

#[test]
fn a_date_by_a_pattern_is_the_one_that_is_written_and_a_timestamp_the_moment() {
    let rules = times(Deserializer::OpenX, &["yyyy-MM-dd'T'HH:mm:ssXXX"], None);
    for (kind, expected) in [
        ("date", json!(20_513)),
        ("timestamp", json!(1_772_317_800_000_000_i64)),
    ] {
        let found = cell(&rules, kind, r#""2026-03-01T00:30:00+02:00""#);
        assert_eq!(found, Ok(expected), "{kind}");
    }
}

#[test]
fn numbers_count_what_they_are_said_to() {
    let openx = Deserializer::OpenX;
    for (rules, json, expected) in [
        (
            times(openx, &[], Some(NumberUnit::Seconds)),
            "1788744123.5",
            Some(1_788_744_123_500_000_i64),
        ),
        (
            times(openx, &[], Some(NumberUnit::Seconds)),
            "253402300799",
            Some(253_402_300_799_000_000),
        ),
        (
            times(openx, &[], Some(NumberUnit::Seconds)),
            "1788744123000",
            None,
        ),
        (
            times(openx, &[], Some(NumberUnit::Millis)),
            "1788744123",
            Some(1_788_744_123_000),
        ),
        (
            times(openx, &[], Some(NumberUnit::Micros)),
            "1788744123456789",
            Some(1_788_744_123_456_789),
        ),
        (
            times(openx, &[], Some(NumberUnit::Micros)),
            "\"1788744123456789\"",
            Some(1_788_744_123_456_789),
        ),
        (
            times(openx, &[], Some(NumberUnit::Nanos)),
            "1788744123456789999",
            Some(1_788_744_123_456_789),
        ),
        (times(openx, &[], Some(NumberUnit::Nanos)), "-1", Some(-1)),
        (
            times(openx, &["millis"], None),
            "1788744123",
            Some(1_788_744_123_000),
        ),
        (
            times(Deserializer::Hive, &["millis"], None),
            "1788744123",
            Some(1_788_744_123_000),
        ),
        (
            times(Deserializer::Hive, &["millis"], None),
            "\"1788744123\"",
            Some(1_788_744_123_000),
        ),
        (
            times(Deserializer::Hive, &[], Some(NumberUnit::Seconds)),
            "1788744123",
            Some(1_788_744_123_000_000),
        ),
        (times(Deserializer::Hive, &["yyyy"], None), "2026", None),
    ] {
        assert_eq!(
            cell(&rules, "timestamp", json).ok(),
            expected.map(Value::from),
            "{rules:?} {json}"
        );
    }
}

#[test]
fn keys_that_are_times_are_held_against_their_entries_by_the_same_rules() {
    let formats = ["dd/MM/yyyy"];
    for (rules, kind, name) in [
        (
            times(Deserializer::OpenX, &formats, None),
            "date",
            "28/02/2026",
        ),
        (
            times(Deserializer::OpenX, &formats, None),
            "timestamp",
            "28/02/2026",
        ),
        (
            times(Deserializer::Hive, &[], Some(NumberUnit::Micros)),
            "timestamp",
            "1788744123000001",
        ),
    ] {
        let schema = compile(&format!("m map<{kind},struct<n:int>>"), rules);
        let record = format!(r#"{{"m":{{"{name}":{{"n":1,"z":2}}}}}}"#);
        let rows = schema.rows(&mut schema.decoder(), record.as_bytes());
        let row = &rows.unwrap()[0];
        assert_eq!((&row.repeated, &row.changed), (&vec![], &vec![]), "{kind}");
        let unknown: Vec<_> = row.unknown.iter().map(|place| &place.path).collect();
        assert_eq!(unknown, [&format!("m[{name:?}].z")]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever the unit, a number is its moment or fails alone, and is never another one.
    #[test]
    fn a_number_is_its_moment_or_none(
        number in prop_oneof![any::<i64>(), -300_000_000_000_i64..300_000_000_000],
        unit in 0_usize..4,
    ) {
        let (unit, per_second) = [
            (NumberUnit::Seconds, 1_i128),
            (NumberUnit::Millis, 1_000),
            (NumberUnit::Micros, 1_000_000),
            (NumberUnit::Nanos, 1_000_000_000),
        ][unit];
        let micros = (i128::from(number) * 1_000_000).div_euclid(per_second);
        let is_time = (-62_135_596_800_000_000..253_402_300_800_000_000).contains(&micros);
        let found = cell(&times(Deserializer::OpenX, &[], Some(unit)), "timestamp", &number.to_string());
        prop_assert_eq!(found.ok().and_then(|value| value.as_i64()).map(i128::from), is_time.then_some(micros));
    }

    /// A decimal that has more digits than its column fails; any other is rounded to its scale.
    #[test]
    fn a_decimal_fits_or_fails_alone(digits in any::<i64>(), exponent in 0_u32..6, precision in 1_u8..19, scale in 0_u8..6) {
        prop_assume!(scale <= precision);
        let sign = if digits < 0 { "-" } else { "" };
        let written = format!("{sign}{}e-{exponent}", digits.unsigned_abs());
        let (value, scale_by) = (i128::from(digits.unsigned_abs()), i32::from(scale) - i32::try_from(exponent).unwrap());
        let power = 10_i128.pow(scale_by.unsigned_abs());
        let scaled = if scale_by >= 0 { value * power } else { (value + power / 2) / power };
        let fits = scaled < 10_i128.pow(precision.into());
        let found = cell(&ColumnRules::default(), &format!("decimal({precision},{scale})"), &written);
        match found {
            Err(message) => prop_assert!(!fits, "{}: {}", written, message),
            Ok(found) => {
                let read: String = found.as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
                prop_assert!(fits);
                prop_assert_eq!(read.parse::<i128>().unwrap(), scaled, "{}", written);
            }
        }
    }
}
