//! Records to partitions: prefixes, keys, hostile records.

use super::*;
use crate::failure::ErrorOutputType;
use crate::position::{Position, Sequence};
use proptest::prelude::*;

/// 2026-07-13T14:05:06.789Z.
const ARRIVAL_MS: i64 = 1_783_951_506_789;

fn settings(query: &str, event_time: &str) -> PartitioningSettings {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PartitioningSettings {
        query: some(query),
        event_time: some(event_time),
        ..PartitioningSettings::default()
    }
}

fn plan<'a>(
    settings: &'a PartitioningSettings,
    has_transforms: bool,
    prefix: Option<&'a str>,
    rule: &'a KeyRule,
) -> Plan<'a> {
    Plan {
        settings,
        has_transforms,
        prefix,
        has_watermark: false,
        late_prefix: None,
        rule,
        unread: UnreadSettings::default(),
    }
}

fn record(data: &[u8]) -> Record<'_> {
    let position = Position::of(Sequence(1));
    Record::new(data, ARRIVAL_MS, position)
}

fn compile(settings: &PartitioningSettings, prefix: Option<&str>) -> Partitioner {
    Partitioner::compile(&plan(settings, true, prefix, &KeyRule::unknown()))
        .unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// The evaluated prefix of a record that opens a batch.
fn prefix_of(partitioner: &Partitioner, data: &str) -> Result<String, String> {
    let mut identity = Vec::new();
    let mut scratch = partitioner.scratch();
    partitioner
        .partition(&mut scratch, &record(data.as_bytes()), &mut identity)
        .map_err(|failure| failure.message.into_owned())?;
    Ok(partitioner.open_prefix(&identity, ARRIVAL_MS))
}

mod faults;
mod late;

#[test]
fn prefixes_without_expressions_get_the_arrival_hour_appended() {
    for (prefix, expected) in [
        (None, "2026/07/13/14/"),
        (Some(""), "2026/07/13/14/"),
        (Some("legacy"), "legacy2026/07/13/14/"),
        (Some("data/"), "data/2026/07/13/14/"),
        (Some("d/!{timestamp:yyyy}/"), "d/2026/"),
        (Some("d/!{timestamp:'x'}/"), "d/x/"),
    ] {
        let partitioner = compile(&PartitioningSettings::default(), prefix);
        assert_eq!(prefix_of(&partitioner, "no json").as_deref(), Ok(expected));
        assert!(partitioner.is_static());
    }
}

#[test]
fn keys_and_event_time_are_put_into_the_prefix() {
    let partitioner = compile(
        &settings("{type: .event_type, region: .geo.region}", ".ts"),
        Some(
            "clicks/event_type=!{partitionKeyFromQuery:type}/region=!{partitionKeyFromQuery:region}/year=!{eventTime:yyyy}/day=!{eventTime:dd}/h=!{timestamp:HH}/",
        ),
    );
    let data = r#"{"event_type":"view","geo":{"region":"eu/west"},"ts":"2025-01-02T03:04:05Z"}"#;
    let expected = "clicks/event_type=view/region=eu%2Fwest/year=2025/day=02/h=14/";
    assert_eq!(prefix_of(&partitioner, data).as_deref(), Ok(expected));
    let keys = partitioner
        .keys(&mut partitioner.scratch(), &record(data.as_bytes()))
        .unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        keys,
        [
            pair("type", "view"),
            pair("region", "eu/west"),
            pair("eventTime", "2025-01-02T03:04:05Z"),
        ]
    );
}

#[test]
fn records_of_one_partition_share_an_identity_whatever_their_arrival_and_random_strings() {
    let partitioner = compile(
        &settings("{a: .a}", ""),
        Some(
            "!{timestamp:yyyy-MM-dd'T'HH:mm:ss}/!{firehose:random-string}/!{partitionKeyFromQuery:a}/",
        ),
    );
    let mut scratch = partitioner.scratch();
    let mut identity = |data: &[u8], arrival_ms| {
        let mut out = Vec::new();
        let record = Record {
            arrival_ms,
            ..record(data)
        };
        partitioner
            .partition(&mut scratch, &record, &mut out)
            .unwrap();
        out
    };
    let first = identity(br#"{"a":"x"}"#, 0);
    assert_eq!(first, identity(br#"{"a":"x","b":1}"#, ARRIVAL_MS));
    assert_ne!(first, identity(br#"{"a":"y"}"#, 0));
    let (one, two) = (
        partitioner.open_prefix(&first, ARRIVAL_MS),
        partitioner.open_prefix(&first, 0),
    );
    assert!(one.starts_with("2026-07-13T14:05:06/") && two.starts_with("1970-01-01T00:00:00/"));
    let random = |text: &str| text.split('/').nth(1).unwrap().to_owned();
    assert_ne!(random(&one), random(&two));
    assert!(
        random(&one).len() == 11
            && random(&one)
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric())
    );
}

#[test]
fn records_without_a_usable_key_fail_in_firehose_words() {
    let partitioner = compile(
        &settings("{a: .a}", ""),
        Some("!{partitionKeyFromQuery:a}/"),
    );
    for (data, message) in [
        ("", "Non JSON record provided"),
        ("not json", "Non JSON record provided"),
        (r#"{"a":"#, "Non JSON record provided"),
        (
            r#"{"a":null}"#,
            "partitionKeys values must not be null or empty: key \"a\" is null",
        ),
        (
            r#"{"a":""}"#,
            "partitionKeys values must not be null or empty: key \"a\" is empty",
        ),
        (
            "{}",
            "partitionKeys values must not be null or empty: key \"a\" is null",
        ),
        (
            r#"{"a":[1]}"#,
            "partitionKeys values must not be arrays or objects: key \"a\" is an array",
        ),
        (
            r#"{"a":{}}"#,
            "partitionKeys values must not be arrays or objects: key \"a\" is an object",
        ),
    ] {
        let mut out = b"before".to_vec();
        let failure = partitioner
            .partition(
                &mut partitioner.scratch(),
                &record(data.as_bytes()),
                &mut out,
            )
            .unwrap_err();
        assert!(
            failure.message.starts_with(message),
            "{data}: {}",
            failure.message
        );
        assert_eq!(
            failure.output_type,
            ErrorOutputType::MetadataExtractionFailed
        );
        assert_eq!(failure.code, "DynamicPartitioning.MetadataExtractionFailed");
        assert_eq!(out, b"before");
    }
}

#[test]
fn keys_of_transforms_stand_beside_those_of_the_query() {
    let prefix = "!{partitionKeyFromTransform:a}/!{partitionKeyFromQuery:a}/\
                  !{partitionKeyFromLambda:b}/!{partitionKeyFromTransform:b}/!{eventTime:yyyy}/";
    let partitioner = compile(&settings("{a: .a}", ".ts"), Some(prefix));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let set = [
        pair("b", "early"),
        pair("a", "of/transform"),
        pair("other", ""),
        pair("b", "late"),
    ];
    // By the scan, and by jaq for a key with an escape.
    for data in [
        r#"{"a":"of query","ts":0}"#,
        r#"{"\u0061":"of query","ts":0}"#,
    ] {
        let record = Record {
            keys: &set,
            ..record(data.as_bytes())
        };
        let (mut scratch, mut identity) = (partitioner.scratch(), Vec::new());
        partitioner
            .partition(&mut scratch, &record, &mut identity)
            .unwrap();
        let prefix = partitioner.open_prefix(&identity, ARRIVAL_MS);
        assert_eq!(prefix, "of%2Ftransform/of query/late/late/1970/");
        let expected = [
            pair("a", "of query"),
            pair("a", "of/transform"),
            pair("b", "late"),
            pair("eventTime", "1970-01-01T00:00:00Z"),
        ];
        assert_eq!(partitioner.keys(&mut scratch, &record).unwrap(), expected);
    }
}

#[test]
fn a_key_that_no_transform_has_set_fails_the_record_as_one_of_the_query_would() {
    let prefix = Some("!{partitionKeyFromTransform:a}/");
    let partitioner = compile(&PartitioningSettings::default(), prefix);
    assert!(!partitioner.is_static());
    let key = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let identity_of = |keys: &[(String, String)]| {
        let (mut scratch, mut identity) = (partitioner.scratch(), Vec::new());
        let record = Record {
            keys,
            ..record(b"no json")
        };
        let done = partitioner.partition(&mut scratch, &record, &mut identity);
        done.map(|()| String::from_utf8(identity).unwrap())
    };
    assert_eq!(identity_of(&key("a", "x")), Ok("x/".to_owned()));
    assert_eq!(identity_of(&key("a", "..")), Ok("%2E%2E/".to_owned()));
    for (keys, what) in [
        (vec![], "was set by no transform"),
        (key("b", "x"), "was set by no transform"),
        (key("a", ""), "is empty"),
    ] {
        let rule = "partitionKeys values must not be null or empty";
        let missing = failed(format!("{rule}: key \"a\" {what}"));
        assert_eq!(identity_of(&keys), Err(missing), "{keys:?}");
    }
}

#[test]
fn a_key_that_makes_the_prefix_too_long_fails_the_record() {
    let keys = "a=!{partitionKeyFromQuery:a}/b=!{partitionKeyFromQuery:b}/!{timestamp:yyyy}/";
    let partitioner = compile(&settings("{a, b}", ""), Some(keys));
    let of = |a: usize, b: usize| {
        prefix_of(
            &partitioner,
            &format!(r#"{{"a":"{}","b":"{}"}}"#, "x".repeat(a), "y".repeat(b)),
        )
    };
    assert!(of(250, 248).is_ok());
    let why = of(250, 252).unwrap_err();
    let told = "515 characters, Firehose allows 512; the longest value is that of key \"b\"";
    assert!(why.contains(told), "{why}");
    // Characters, not bytes; what a part may have is for the destination to say.
    let wide = format!(r#"{{"a":"{}","b":"b"}}"#, "é".repeat(400));
    assert!(prefix_of(&partitioner, &wide).is_ok());
    assert!(of(1_000_000, 1).is_err());
}

#[test]
fn a_scan_that_trusts_the_rest_differs_only_behind_the_values() {
    let settings = settings("{a: .a, b: .b.c}", ".ts");
    let prefix = "!{partitionKeyFromQuery:a}/!{partitionKeyFromQuery:b}/!{eventTime:yyyy}/";
    let strict = compile(&settings, Some(prefix));
    let trusting = compile(&settings, Some(prefix)).trusting_the_rest();
    let whole = r#"{"a":"x","b":{"c":"y"},"ts":0,"z":1}"#;
    assert_eq!(prefix_of(&strict, whole).as_deref(), Ok("x/y/1970/"));
    assert_eq!(prefix_of(&trusting, whole).as_deref(), Ok("x/y/1970/"));
    let broken = r#"{"a":"x","b":{"c":"y"},"ts":0,"z":"#;
    assert!(prefix_of(&strict, broken).is_err());
    assert_eq!(prefix_of(&trusting, broken).as_deref(), Ok("x/y/1970/"));
    for again in [
        r#"{"a":"x","b":{"c":"y"},"ts":0,"a":"last"}"#,
        r#"{"a":"x","b":{"c":"y"},"ts":0,"b":{"c":"last"}}"#,
        r#"{"a":"x","b":{"c":"y"},"ts":0,"\u0061":"last"}"#,
        r#"{"a":"x","b":{"c":"y"},"ts":0,"other":"\\"}"#,
    ] {
        assert_eq!(prefix_of(&trusting, again), prefix_of(&strict, again));
    }
    let before = r#"{"z":01,"a":"x","b":{"c":"y"},"ts":0}"#;
    assert!(prefix_of(&strict, before).is_err() && prefix_of(&trusting, before).is_err());
}

#[test]
fn values_as_they_are_keep_slashes_but_cannot_climb() {
    let as_is = PartitioningSettings {
        key_values: KeyValues::AsIs,
        ..settings("{a}", "")
    };
    let partitioner = compile(&as_is, Some("data/!{partitionKeyFromQuery:a}/"));
    let of = |value: &str| prefix_of(&partitioner, &serde_json::json!({"a": value}).to_string());
    assert_eq!(of("x=1/y"), Ok("data/x=1/y/".into()));
    for value in ["..", "a/..", "../../etc", ".", "a\u{1}b", "\0", "a\n"] {
        assert!(of(value).is_err(), "{value:?}");
    }
    assert!(
        of("a\n")
            .unwrap_err()
            .ends_with("control characters: key \"a\"")
    );
    let first = compile(&as_is, Some("!{partitionKeyFromQuery:a}/"));
    assert!(
        prefix_of(&first, r#"{"a":"/etc"}"#)
            .unwrap_err()
            .contains("slash")
    );
    let dotted = compile(&as_is, Some("data/.!{partitionKeyFromQuery:a}/"));
    assert!(prefix_of(&dotted, r#"{"a":"."}"#).is_err());
}

#[test]
fn key_values_render_as_jq_prints_them() {
    let partitioner = compile(
        &settings("{a: .a}", ""),
        Some("!{partitionKeyFromQuery:a}/"),
    );
    for (value, expected) in [
        ("\"text\"", "text"),
        ("true", "true"),
        ("false", "false"),
        ("1", "1"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("0.00001", "1e-05"),
        ("-0", "-0"),
        ("12345678901234567890", "12345678901234567890"),
        ("9007199254740993", "9007199254740993"),
        ("1e400", "1.7976931348623157e+308"),
        ("\"\\u00e9\\u0041\"", "éA"),
        ("\"a b\"", "a b"),
    ] {
        let data = format!("{{\"a\":{value}}}");
        assert_eq!(
            prefix_of(&partitioner, &data),
            Ok(format!("{expected}/")),
            "{value}"
        );
    }
}

#[test]
fn deep_records_fail_with_a_message_whatever_the_query() {
    for query in ["{a: .a}", "{a: (.a | .)}"] {
        let partitioner = compile(&settings(query, ""), Some("!{partitionKeyFromQuery:a}/"));
        for size in [40_000, 1_000_000] {
            let error = prefix_of(&partitioner, &"[".repeat(size)).unwrap_err();
            assert!(error.contains("deeper than 128"), "{error}");
            let data = format!(r#"{{"a":"x","b":{}"#, "[".repeat(size));
            assert!(
                prefix_of(&partitioner, &data)
                    .unwrap_err()
                    .contains("deeper than 128")
            );
        }
    }
}

#[test]
fn event_times_beyond_the_calendar_fail_the_record() {
    let partitioner = compile(&settings("", ".ts"), Some("!{eventTime:yyyy/MM}/"));
    for (ts, expected) in [
        ("1783915506", Some("2026/07/")),
        ("1783915506789", Some("2026/07/")),
        ("\"2026-07-13 04:05:06\"", Some("2026/07/")),
        ("\"0001-01-01T00:00:00Z\"", Some("0001/01/")),
        ("1e30", None),
        ("null", None),
        ("true", None),
        ("[1]", None),
        ("\"soon\"", None),
        ("\"\"", None),
    ] {
        let found = prefix_of(&partitioner, &format!("{{\"ts\":{ts}}}"));
        assert_eq!(found.as_deref().ok(), expected, "{ts}");
    }
}

#[test]
fn a_bad_event_time_is_shown_and_what_is_allowed_is_said() {
    let long = format!("\"{}\"", "x".repeat(500));
    // As one scan leaves it to jq, and by jq alone.
    for path in [".ts", "[.ts][0]"] {
        let partitioner = compile(&settings("", path), Some("!{eventTime:yyyy}/"));
        for (value, found) in [
            ("\"tomorrow\"", "\"tomorrow\""),
            ("\"2026-02-30T00:00:00Z\"", "\"2026-02-30T00:00:00Z\""),
            ("\"\"", "\"\""),
            ("null", "null"),
            ("true", "true"),
            ("1e300", "1e+300"),
            ("[1,{\"a\":2}]", "[1,{\"a\":2}]"),
            (long.as_str(), &format!("\"{}…", "x".repeat(59))),
        ] {
            let message = prefix_of(&partitioner, &format!("{{\"ts\":{value}}}")).unwrap_err();
            let start = format!("event_time: found {found}, expected ");
            assert!(message.starts_with(&start), "{message}");
            assert!(message.contains("yyyy-MM-ddTHH:mm:ss"), "{message}");
            assert!(message.ends_with("of the years 1 to 9999"), "{message}");
        }
    }
}

#[test]
fn a_time_zone_applies_to_arrival_and_event_time() {
    let zone = PartitioningSettings {
        time_zone: Some("Asia/Kolkata".into()),
        ..settings("", ".t")
    };
    let partitioner = compile(&zone, Some("!{timestamp:HHmm}/!{eventTime:HHmm}/"));
    assert_eq!(
        prefix_of(&partitioner, r#"{"t":0}"#).as_deref(),
        Ok("1935/0530/")
    );
    let name = object_name(
        "clicks",
        1,
        ARRIVAL_MS,
        uuid::Uuid::nil(),
        ".gz",
        partitioner.zone(),
    );
    assert_eq!(
        name,
        "clicks-1-2026-07-13-19-35-06-00000000-0000-0000-0000-000000000000.gz"
    );
}

proptest! {
    #[test]
    fn no_record_climbs_out_of_its_prefix(
        a in firehose_json::strategies::any_json(), b in any::<String>(), as_is: bool, dots in "[./]{0,4}",
    ) {
        let key_values = if as_is { KeyValues::AsIs } else { KeyValues::Escaped };
        let settings = PartitioningSettings { key_values, ..settings("{a, b, c}", "") };
        let template = "lake/.!{partitionKeyFromQuery:a}/!{partitionKeyFromQuery:b}!{partitionKeyFromQuery:c}/!{firehose:random-string}/";
        let partitioner = compile(&settings, Some(template));
        let data = serde_json::json!({"a": a, "b": b, "c": dots}).to_string();
        if let Ok(prefix) = prefix_of(&partitioner, &data) {
            prop_assert!(prefix.starts_with("lake/."));
            prop_assert!(prefix.split('/').all(|segment| segment != ".." && segment != "."));
            prop_assert!(!prefix.bytes().any(|byte| byte.is_ascii_control()));
            prop_assert!(prefix.chars().count() <= 512);
            if !as_is {
                prop_assert_eq!(prefix.matches('/').count(), template.matches('/').count());
            }
        }
    }

    #[test]
    fn any_bytes_are_sorted_or_fail_without_panic(bytes: Vec<u8>) {
        let partitioner = compile(&settings("{a}", ".ts"), Some("!{partitionKeyFromQuery:a}/!{eventTime:yyyy}"));
        let mut out = Vec::new();
        let _ = partitioner.partition(&mut partitioner.scratch(), &record(&bytes), &mut out);
    }
}
