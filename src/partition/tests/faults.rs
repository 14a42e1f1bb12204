//! What Firehose rejects at create, we reject at load.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one fault after the other")]
fn what_firehose_rejects_is_a_fault_with_its_place_and_the_right_word() {
    let key = "!{partitionKeyFromQuery:a}/";
    for (query, event_time, prefix, field, at, message, help) in [
        (
            "",
            "",
            "a/!{time:yyyy}/",
            Field::Prefix,
            Some(4..8),
            "\"time\"",
            "timestamp",
        ),
        (
            "",
            "",
            "a/!{timestmp:yyyy}/",
            Field::Prefix,
            Some(4..12),
            "\"timestmp\"",
            "\"timestamp\"",
        ),
        (
            "",
            "",
            "a/!{yyyy}/",
            Field::Prefix,
            Some(2..9),
            "no namespace",
            "timestamp",
        ),
        (
            "",
            "",
            "a/!{timestamp:yyyy",
            Field::Prefix,
            Some(2..18),
            "closing",
            "",
        ),
        (
            "",
            "",
            "a/!{timestamp:}/",
            Field::Prefix,
            Some(13..15),
            "needs a value",
            "",
        ),
        (
            "",
            "",
            "a/!{timestamp:yyyy-bb}/",
            Field::Prefix,
            Some(19..21),
            "'b'",
            "letters",
        ),
        (
            "",
            "",
            "!{firehose:random}/",
            Field::Prefix,
            Some(11..17),
            "\"random\"",
            "random-string",
        ),
        (
            "",
            "",
            "!{firehose:error-output-type}/",
            Field::Prefix,
            Some(0..29),
            "error_prefix",
            "",
        ),
        (
            "",
            "",
            key,
            Field::Prefix,
            Some(0..26),
            "no partitioning.query",
            "query =",
        ),
        (
            "{b: .a}",
            "",
            key,
            Field::Prefix,
            Some(0..26),
            "no key \"a\"",
            "keys of the query: b",
        ),
        (
            "{a, ab: .b}",
            "",
            key,
            Field::Query,
            Some(4..6),
            "\"ab\"",
            "put !{partitionKeyFromQuery:ab}",
        ),
        ("{a}", "", "data/", Field::Query, Some(1..2), "\"a\"", ""),
        (
            ".",
            "",
            "data/",
            Field::Prefix,
            None,
            "none of the query's keys",
            "",
        ),
        ("{a: .a", "", key, Field::Query, Some(6..6), "expected", ""),
        (
            "{a: now}",
            "",
            key,
            Field::Query,
            Some(4..7),
            "\"now\"",
            "timestamp",
        ),
        (
            "",
            "",
            "!{eventTime:yyyy}/",
            Field::Prefix,
            Some(0..17),
            "no partitioning.event_time",
            "",
        ),
        (
            "",
            ".ts",
            "data/",
            Field::EventTime,
            None,
            "does not use",
            "",
        ),
        (
            "",
            ".ts |",
            "!{eventTime:yyyy}/",
            Field::EventTime,
            Some(5..5),
            "expected",
            "",
        ),
        (
            "",
            "",
            "!{partitionKeyFromLambda:a}/",
            Field::Prefix,
            Some(0..27),
            "no transforms yet",
            "FromQuery",
        ),
        (
            "",
            "",
            "!{partitionKeyFromTransform:a}/",
            Field::Prefix,
            Some(0..30),
            "no transforms yet",
            "",
        ),
        ("", "", "a/../b/", Field::Prefix, None, "\"..\"", ""),
        (
            "",
            "",
            "a/!{timestamp:'..'}/b/",
            Field::Prefix,
            None,
            "\"..\"",
            "",
        ),
        ("", "", "/a/", Field::Prefix, None, "slash", ""),
        ("", "", "a\u{1}b/", Field::Prefix, Some(1..2), "control", ""),
        ("", "", &"x".repeat(513), Field::Prefix, None, "513", ""),
    ] {
        let found = faults(&settings(query, event_time), prefix);
        let fault = found
            .first()
            .unwrap_or_else(|| panic!("{query} {prefix} is accepted"));
        assert_eq!(
            (fault.field, fault.at.clone()),
            (field, at),
            "{query} {prefix}: {found:?}"
        );
        assert!(fault.message.contains(message), "{prefix}: {found:?}");
        assert!(
            fault.help.as_deref().unwrap_or("").contains(help),
            "{prefix}: {found:?}"
        );
    }
    let zone = PartitioningSettings {
        time_zone: Some("Mars/Base".into()),
        ..Default::default()
    };
    assert_eq!(faults(&zone, "a/")[0].field, Field::TimeZone);
}
