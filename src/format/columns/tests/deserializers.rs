//! Times and decimals whatever they are, and keys that are times. What each of Firehose's deserializers takes is in
//! `tests/it/contract/records.txt`, rule by rule.

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
