//! Event times.

use super::*;
use proptest::prelude::*;

#[test]
fn times_are_read_from_text() {
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2026-07-13T04:05:06Z", Some(1_783_915_506)),
        ("2026-07-13t04:05:06.999999z", Some(1_783_915_506)),
        ("2026-07-13T09:35:06+05:30", Some(1_783_915_506)),
        ("2026-07-12T21:05:06.5-07:00", Some(1_783_915_506)),
        ("2026-07-13 04:05:06", Some(1_783_915_506)),
        ("2026-07-13 04:05:06.123", Some(1_783_915_506)),
        ("2026-07-13 04:05:06Z", Some(1_783_915_506)),
        ("2016-12-31T23:59:60Z", Some(1_483_228_799)),
        ("2024-02-29T00:00:00Z", Some(1_709_164_800)),
        ("2023-02-29T00:00:00Z", None),
        ("2026-07-13T04:05:06", None),
        ("2026-07-13", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-00-01T00:00:00Z", None),
        ("2026-01-00T00:00:00Z", None),
        ("2026-01-01T24:00:00Z", None),
        ("2026-01-01T00:00:00.Z", None),
        ("2026-01-01T00:00:00+24:00", None),
        ("0001-01-01T00:00:00Z", Some(-62_135_596_800)),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
        ("9999-12-31T23:59:59-01:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("+2026-07-13T04:05:06Z", None),
        ("", None),
        ("２０２６-07-13T04:05:06Z", None),
    ] {
        assert_eq!(from_text(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn numbers_are_seconds_or_milliseconds_by_their_size() {
    for (number, expected) in [
        (0.0, Some(0)),
        (1_783_915_506.9, Some(1_783_915_506)),
        (1_783_915_506_999.0, Some(1_783_915_506)),
        (-1.5, Some(-2)),
        (1e12, Some(1_000_000_000)),
        (999_999_999_999.0, None),
        (1e18, None),
        (-1e18, None),
        (f64::NAN, None),
        (f64::INFINITY, None),
    ] {
        assert_eq!(from_number(number), expected, "{number}");
    }
}

proptest! {
    #[test]
    fn reading_text_agrees_with_a_calendar(at in YEARS, fraction in "(\\.[0-9]{1,9})?") {
        let text = jiff::Timestamp::from_second(at).unwrap().to_string();
        let text = text.replace('Z', &format!("{fraction}Z"));
        prop_assert_eq!(from_text(text.as_bytes()), Some(at));
    }

    #[test]
    fn any_text_is_read_without_panic(text: Vec<u8>) {
        from_text(&text);
    }

    #[test]
    fn a_cached_text_is_the_text_of_the_moment(
        steps in proptest::collection::vec((-3_000_000_000_i64..6_000_000_000, -2000_i64..2000), 1..30),
        zone in 0_usize..4, pattern in 0_usize..4,
    ) {
        let names = ["UTC", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"];
        let zone = Zone::find(Some(names[zone])).unwrap();
        let pattern = ["yyyy-MM-dd", "yyyy/MM/dd/HH", "HH:mm Z", "dd HH:mm:ss XXXXX"][pattern];
        let patterns = EventTimePatterns::new(vec![DatePattern::parse(pattern).unwrap()]);
        let mut cache = EventTimeCache::new();
        for (base, step) in steps {
            for at in [base, base + step, base - step] {
                let mut expected = String::new();
                patterns.patterns[0].format(&zone.at(at), &zone, &mut expected);
                let text = cache.texts(&patterns, &zone, at).get(0).to_owned();
                prop_assert_eq!(text, expected);
            }
        }
    }
}
