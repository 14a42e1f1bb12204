//! What is refused when a stream's prefixes and queries are compiled, and how.

use super::*;

fn faults(settings: &PartitioningSettings, prefix: &str) -> Vec<PartitionFault> {
    Partitioner::compile(&plan(settings, false, Some(prefix), &KeyRule::unknown()))
        .err()
        .unwrap_or_default()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_firehose_rejects_is_a_fault_with_its_place_and_the_right_word() {
    let key = "!{partitionKeyFromQuery:a}/";
    for (query, event_time, prefix, field, at, message, help) in [
        (
            "",
            "",
            "a/!{time:yyyy}/",
            PartitionSetting::Prefix,
            Some(4..8),
            "\"time\"",
            "timestamp",
        ),
        (
            "",
            "",
            "a/!{timestmp:yyyy}/",
            PartitionSetting::Prefix,
            Some(4..12),
            "\"timestmp\"",
            "\"timestamp\"",
        ),
        (
            "",
            "",
            "a/!{partitionKeyFromLamda:a}/",
            PartitionSetting::Prefix,
            Some(4..25),
            "\"partitionKeyFromLamda\"",
            "did you mean \"partitionKeyFromLambda\"?",
        ),
        (
            "",
            "",
            "a/!{yyyy}/",
            PartitionSetting::Prefix,
            Some(2..9),
            "no namespace",
            "timestamp",
        ),
        (
            "",
            "",
            "a/!{timestamp:yyyy",
            PartitionSetting::Prefix,
            Some(2..18),
            "closing",
            "",
        ),
        (
            "",
            "",
            "a/!{timestamp:yyyy/b=!{timestamp:MM}/",
            PartitionSetting::Prefix,
            Some(2..21),
            "closing",
            "",
        ),
        (
            "",
            "",
            "a/!{",
            PartitionSetting::Prefix,
            Some(2..4),
            "closing",
            "",
        ),
        (
            "",
            "",
            "a/!{}",
            PartitionSetting::Prefix,
            Some(2..5),
            "empty",
            "timestamp",
        ),
        (
            "",
            "",
            "a/{timestamp:yyyy}/",
            PartitionSetting::Prefix,
            Some(2..18),
            "plain text",
            "!{timestamp:yyyy}",
        ),
        (
            "",
            "",
            "a/!{timestamp:}/",
            PartitionSetting::Prefix,
            Some(13..15),
            "needs a value",
            "",
        ),
        (
            "",
            "",
            "a/!{timestamp:yyyy-bb}/",
            PartitionSetting::Prefix,
            Some(19..21),
            "'b'",
            "letters",
        ),
        (
            "",
            "",
            "!{firehose:random}/",
            PartitionSetting::Prefix,
            Some(11..17),
            "\"random\"",
            "random-string",
        ),
        (
            "",
            "",
            "!{firehose:error-output-type}/",
            PartitionSetting::Prefix,
            Some(0..29),
            "error_prefix",
            "",
        ),
        (
            "",
            "",
            key,
            PartitionSetting::Prefix,
            Some(0..26),
            "no partitioning.query",
            "query =",
        ),
        (
            "{b: .a}",
            "",
            key,
            PartitionSetting::Prefix,
            Some(0..26),
            "no key \"a\"",
            "keys of the query: b",
        ),
        (
            "{a, ab: .b}",
            "",
            key,
            PartitionSetting::Query,
            Some(4..6),
            "\"ab\"",
            "put !{partitionKeyFromQuery:ab}",
        ),
        (
            "{a}",
            "",
            "data/",
            PartitionSetting::Query,
            Some(1..2),
            "\"a\"",
            "",
        ),
        (
            ".",
            "",
            "data/",
            PartitionSetting::Prefix,
            None,
            "none of the query's keys",
            "",
        ),
        (
            "{a: .a",
            "",
            key,
            PartitionSetting::Query,
            Some(6..6),
            "expected",
            "",
        ),
        (
            "{a: now}",
            "",
            key,
            PartitionSetting::Query,
            Some(4..7),
            "\"now\"",
            "timestamp",
        ),
        (
            "",
            "",
            "!{eventTime:yyyy}/",
            PartitionSetting::Prefix,
            Some(0..17),
            "no partitioning.event_time",
            "",
        ),
        (
            "",
            ".ts",
            "data/",
            PartitionSetting::EventTime,
            None,
            "does not use",
            "",
        ),
        (
            "",
            ".ts |",
            "!{eventTime:yyyy}/",
            PartitionSetting::EventTime,
            Some(5..5),
            "expected",
            "",
        ),
        (
            "",
            "",
            "!{partitionKeyFromLambda:a}/",
            PartitionSetting::Prefix,
            Some(0..27),
            "from a transform, but the stream has none",
            "FromQuery",
        ),
        (
            "",
            "",
            "!{partitionKeyFromTransform:a}/",
            PartitionSetting::Prefix,
            Some(0..30),
            "from a transform, but the stream has none",
            "[[stream.NAME.transform]]",
        ),
        (
            "",
            "",
            "a/../b/",
            PartitionSetting::Prefix,
            None,
            "\"..\"",
            "",
        ),
        (
            "",
            "",
            "a/!{timestamp:'..'}/b/",
            PartitionSetting::Prefix,
            None,
            "\"..\"",
            "",
        ),
        ("", "", "/a/", PartitionSetting::Prefix, None, "slash", ""),
        (
            "",
            "",
            "a\u{1}b/",
            PartitionSetting::Prefix,
            Some(1..2),
            "control",
            "",
        ),
        (
            "",
            "",
            &"x".repeat(513),
            PartitionSetting::Prefix,
            None,
            "513",
            "",
        ),
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
    // What follows from an expression that is not closed is not told beside it.
    let unclosed = "!{partitionKeyFromQuery:a/!{eventTime:yyyy/";
    let found = faults(&settings("{a}", ".ts"), unclosed);
    assert!(
        found.iter().all(|fault| fault.message.contains("closing")),
        "{found:?}"
    );
    let zone = PartitioningSettings {
        time_zone: Some("Mars/Base".into()),
        ..Default::default()
    };
    assert_eq!(faults(&zone, "a/")[0].field, PartitionSetting::TimeZone);
}

#[test]
fn several_faults_are_reported_in_one_go() {
    let found = faults(
        &settings("{a: now}", ".ts | env"),
        "!{foo:1}/!{timestamp:b}/!{eventTime:yyyy}",
    );
    let fields: Vec<_> = found.iter().map(|fault| fault.field).collect();
    assert_eq!(
        fields,
        [
            PartitionSetting::Prefix,
            PartitionSetting::Prefix,
            PartitionSetting::Query,
            PartitionSetting::EventTime
        ]
    );
}

#[test]
fn a_literal_prefix_of_512_characters_is_accepted() {
    let prefix = format!(
        "{}/{}/{}/",
        "x".repeat(200),
        "y".repeat(200),
        "z".repeat(109)
    );
    let partitioner = compile(&PartitioningSettings::default(), Some(&prefix));
    assert_eq!(
        prefix_of(&partitioner, ""),
        Ok(format!("{prefix}2026/07/13/14/"))
    );
}

#[test]
fn error_prefixes_follow_firehose_rules() {
    let kind = ErrorOutputType::MetadataExtractionFailed;
    for (error_prefix, prefix, expected, head) in [
        (None, None, "metadata-extraction-failed/2026/07/13/14/", ""),
        (
            None,
            Some("data/x"),
            "data/xmetadata-extraction-failed/2026/07/13/14/",
            "data/",
        ),
        (Some("errors/"), None, "errors/2026/07/13/14/", "errors/"),
        (
            Some("e/!{firehose:error-output-type}/!{timestamp:yyyy}/"),
            None,
            "e/metadata-extraction-failed/2026/",
            "e/",
        ),
        (
            Some("e/t=!{firehose:error-output-type}/"),
            Some("!{timestamp:yyyy}"),
            "e/t=metadata-extraction-failed/",
            "e/",
        ),
    ] {
        let compiled =
            ErrorPrefix::compile(error_prefix, prefix, None, &KeyRule::unknown()).unwrap();
        assert_eq!(compiled.open_prefix(kind, ARRIVAL_MS), expected);
        assert_eq!(compiled.literal_head(), head);
    }
    for (error_prefix, prefix, message) in [
        (None, Some("!{timestamp:yyyy}/"), "missing"),
        (Some("e/!{timestamp:yyyy}/"), None, "type of error"),
        (
            Some("!{firehose:error-output-type}/!{partitionKeyFromQuery:a}"),
            None,
            "no place",
        ),
        (
            Some("!{firehose:error-output-type}/!{eventTime:yyyy}"),
            None,
            "no place",
        ),
        (
            Some("!{firehose:error-output-type}/!{partitionKeyFromTransform:a}"),
            None,
            "no place",
        ),
        (Some("../!{firehose:error-output-type}/"), None, "\"..\""),
    ] {
        let faults =
            ErrorPrefix::compile(error_prefix, prefix, None, &KeyRule::unknown()).unwrap_err();
        assert_eq!(faults[0].field, PartitionSetting::ErrorPrefix);
        assert!(faults[0].message.contains(message), "{faults:?}");
    }
}

#[test]
fn backup_prefixes_know_no_keys() {
    let backup =
        Partitioner::compile_backup(Some("raw/!{timestamp:yyyy}/"), None, &KeyRule::unknown())
            .unwrap();
    assert_eq!(prefix_of(&backup, "anything").as_deref(), Ok("raw/2026/"));
    for prefix in [
        "!{partitionKeyFromQuery:a}",
        "!{partitionKeyFromTransform:a}",
        "!{partitionKeyFromLambda:a}",
        "!{eventTime:yyyy}",
        "!{firehose:error-output-type}",
    ] {
        let faults = Partitioner::compile_backup(Some(prefix), None, &KeyRule::unknown())
            .err()
            .unwrap();
        assert_eq!(faults[0].field, PartitionSetting::BackupPrefix);
    }
}

proptest! {
    #[test]
    fn any_expression_compiles_or_is_a_fault_inside_it(text in "([a-z/]|!\\{|\\}|:|timestamp|firehose|yyyy|'|é){0,12}") {
        for fault in faults(&PartitioningSettings::default(), &text) {
            if let Some(at) = fault.at {
                prop_assert!(text.get(at).is_some());
            }
        }
    }
}
