//! Times as texts and numbers.

use firehose_json::decimal::WrittenNumber;
use proptest::prelude::*;

use super::{MICROS, RANGE, date_from_text, from_number, from_text, seconds_from_float};

fn number(text: &str) -> WrittenNumber<'_> {
    WrittenNumber::read(text.as_bytes()).unwrap().0
}

#[test]
fn every_form_of_the_same_instant_reads_alike() {
    let instant = Some(1_788_744_123_456_000);
    for text in [
        "2026-09-07T01:22:03.456Z",
        "2026-09-07t01:22:03.456z",
        "2026-09-07T01:22:03.456",
        "2026-09-07T01:22:03.456000999999Z",
        "2026-09-07 01:22:03.456",
        "2026-09-07 01:22:03.456Z",
        "2026-9-7 1:22:3.456",
        "2026-9-7T1:22:3.456+00",
        "2026-09-07T03:22:03.456+02:00",
        "2026-09-07T03:22:03.456+02",
        "2026-09-07 03:22:03.4560+0200",
        "2026-09-06T19:52:03.456-0530",
        "2026-09-07T01:22:03.456-00:00",
        "1788744123.456",
        "1788744123456",
        "+1788744123.4560009",
        "01788744123456",
    ] {
        assert_eq!(from_text(text.as_bytes()), instant, "{text}");
    }
    for text in [
        "1788744123456",
        "1788744123.456",
        "1788744123456.0",
        "1.788744123456e9",
    ] {
        assert_eq!(from_number(number(text)), instant, "{text}");
    }
}

#[test]
fn times_are_read_from_text() {
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("0", 0),
        ("-1.5", -1_500_000),
        ("1969-12-31T23:59:58.5Z", -1_500_000),
        ("2026-9-7", 1_788_739_200 * MICROS),
        ("2026-09-07T01:22", 1_788_744_120 * MICROS),
        ("2026-09-07T01:22Z", 1_788_744_120 * MICROS),
        ("2026-09-07 3:22+02:00", 1_788_744_120 * MICROS),
        // A leap second is the one before it.
        ("2016-12-31T23:59:60Z", 1_483_228_799 * MICROS),
        ("2016-12-31T23:59:60.5Z", 1_483_228_799_500_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * MICROS),
        ("0001-01-01T00:00:00Z", *RANGE.start()),
        ("0001-01-01", *RANGE.start()),
        ("9999-12-31T23:59:59.9999999Z", *RANGE.end()),
        ("9999-12-31T22:00:01-01:59", 253_402_300_741 * MICROS),
        // What is cut off lies in the past.
        ("1788744123.9999999999999999999999", 1_788_744_123_999_999),
        ("-0.0000001", -1),
        ("-0.00000000000000000000000000001", -1),
    ] {
        assert_eq!(from_text(text.as_bytes()), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        " ",
        "tomorrow",
        "2026-09-07 ",
        "2026-09-07T",
        " 2026-09-07",
        "2026-09",
        "26-09-07",
        "2026/09/07",
        "2026-09-07T01",
        "2026-09-07T01:22:",
        "2026-09-07T01:22:03.Z",
        "2026-09-07T01:22.5Z",
        "2026-09-07T01:22:03,5Z",
        "2026-09-07  01:22:03",
        "2026-09-07_01:22:03",
        "2026-09-07T01:22:03 UTC",
        "2026-09-07T01:22:03 +00:00",
        "2026-09-07T01:22:03[UTC]",
        "2026-09-07T01:22:03+0",
        "2026-09-07T01:22:03+000",
        "2026-09-07T01:22:03+00:0",
        "2026-09-07T01:22:03+00:00:00",
        "2026-09-07T01:22:03+24:00",
        "2026-09-07T01:22:03+00:60",
        "2026-09-07T01:22:03ZZ",
        "2026-02-29T00:00:00Z",
        "2026-02-29",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-09-07T24:00:00Z",
        "2026-09-07T23:60:00Z",
        "2026-09-07T23:59:61Z",
        "2026-09-07T001:22:03Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "+2026-09-07T01:22:03Z",
        "12026-09-07T01:22:03Z",
        "２０２６-09-07T01:22:03Z",
        "1788744123s",
        "0x10",
        "NaN",
        "1e300",
        "999999999999",
        "999999999999999",
        "253402300800000000",
        "253402300800000000000",
    ] {
        assert_eq!(from_text(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn numbers_count_what_their_size_says() {
    for (text, expected) in [
        ("0", Some(0)),
        ("-0.0", Some(0)),
        ("-0.1", Some(-1)),
        ("1783915506.9", Some(1_783_915_506)),
        ("1783915506999", Some(1_783_915_506)),
        ("-1.5", Some(-2)),
        ("-62135596800", Some(-62_135_596_800)),
        ("-62135596801", None),
        ("253402300799.5", Some(253_402_300_799)),
        ("253402300800", None),
        ("999999999999", None),
        ("1e12", Some(1_000_000_000)),
        ("-1e12", Some(-1_000_000_000)),
        ("253402300799999", Some(253_402_300_799)),
        ("253402300800000", None),
        ("1e15", Some(1_000_000_000)),
        ("-1e15", Some(-1_000_000_000)),
        ("1788744123456789", Some(1_788_744_123)),
        ("253402300799000000", Some(253_402_300_799)),
        ("253402300800000000", None),
        ("1e18", Some(1_000_000_000)),
        ("-1e18", Some(-1_000_000_000)),
        ("1788744123456789012", Some(1_788_744_123)),
        ("253402300799e9", Some(253_402_300_799)),
        ("1e21", None),
        ("-1e21", None),
    ] {
        let float = text.parse().unwrap();
        assert_eq!(seconds_from_float(float), expected, "{text}");
        let micros = from_number(number(text));
        assert_eq!(
            micros.map(|micros| micros.div_euclid(MICROS)),
            expected,
            "{text}"
        );
    }
    assert_eq!(seconds_from_float(f64::NAN), None);
    assert_eq!(seconds_from_float(f64::INFINITY), None);
}

#[test]
fn a_date_is_a_date_alone() {
    assert_eq!(date_from_text(b"1970-01-02"), Some(1));
    assert_eq!(date_from_text(b"2026-9-7"), date_from_text(b"2026-09-07"));
    for text in [
        "2026-09-07T00:00:00Z",
        "2026-09-07 ",
        "20703",
        "2026-09",
        "0000-12-31",
    ] {
        assert_eq!(date_from_text(text.as_bytes()), None, "{text}");
    }
}

proptest! {
    #[test]
    fn reading_agrees_with_another_calendar(micros in RANGE) {
        // Its own bounds are a few hours inside ours.
        let Ok(instant) = jiff::Timestamp::from_microsecond(micros) else { return Ok(()) };
        let zoned = instant.to_zoned(jiff::tz::TimeZone::UTC);
        prop_assume!(zoned.year() >= 1);
        for form in ["%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%d %H:%M:%S%.f", "%Y-%-m-%-d %-H:%-M:%-S%.f+00"] {
            prop_assert_eq!(from_text(zoned.strftime(form).to_string().as_bytes()), Some(micros));
        }
        let days = i32::try_from(micros.div_euclid(86_400 * MICROS)).unwrap();
        prop_assert_eq!(date_from_text(zoned.strftime("%Y-%m-%d").to_string().as_bytes()), Some(days));
    }

    #[test]
    fn what_jiff_reads_of_our_forms_is_read_alike(
        text in "(0001|1969|2026|9999)-(0[0-3]|1[0-3])-([0-3][0-9])[Tt ]([0-2][0-9]):([0-6][0-9]):([0-5][0-9])(\\.[0-9]{1,9})?(Z|z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)",
    ) {
        let ours = from_text(text.as_bytes()).map(|micros| micros.div_euclid(MICROS));
        let theirs = text.parse::<jiff::Timestamp>().ok().map(|at| at.as_nanosecond().div_euclid(1_000_000_000));
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => prop_assert_eq!(i128::from(ours), theirs),
            // Its instants end two hours before 9999 does.
            (Some(ours), None) => prop_assert!(ours > 253_402_207_200, "{}", text),
            // 24:00 and the years before 1 and past 9999.
            (None, Some(theirs)) => prop_assert!(
                text[11..].starts_with("24") || !(-62_135_596_800..253_402_300_800).contains(&theirs), "{}", text
            ),
            (None, None) => {}
        }
    }

    #[test]
    fn numbers_mean_the_same_as_such_and_as_texts(text in "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,12})?([eE]-?[0-9])?") {
        prop_assert_eq!(from_text(text.as_bytes()), from_number(number(&text)));
    }

    #[test]
    fn a_float_is_the_second_of_its_number(whole in -300_000_000_000_000_i64..300_000_000_000_000, quarter in 0_i64..4) {
        let text = format!("{}.{:02}", whole / 4, 25 * quarter);
        let micros = from_number(number(&text)).map(|micros| micros.div_euclid(MICROS));
        prop_assert_eq!(seconds_from_float(text.parse().unwrap()), micros, "{}", text);
    }

    #[test]
    fn any_text_is_read_without_panic(text: Vec<u8>) {
        _ = (from_text(&text), date_from_text(&text));
    }
}
