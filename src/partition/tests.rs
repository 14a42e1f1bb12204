use super::*;
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

fn record(data: &[u8]) -> Record<'_> {
    let position = Position {
        sequence: Sequence(1),
        sub_sequence: 0,
    };
    Record {
        data,
        arrival_ms: ARRIVAL_MS,
        position,
    }
}

fn compile(settings: &PartitioningSettings, prefix: Option<&str>) -> Partitioner {
    Partitioner::compile("clicks", settings, prefix).unwrap_or_else(|faults| panic!("{faults:?}"))
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

fn faults(settings: &PartitioningSettings, prefix: &str) -> Vec<PartitionFault> {
    Partitioner::compile("clicks", settings, Some(prefix))
        .err()
        .unwrap_or_default()
}

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
            "partitionKeys values must not be null or empty",
        ),
        (
            r#"{"a":""}"#,
            "partitionKeys values must not be null or empty",
        ),
        ("{}", "partitionKeys values must not be null or empty"),
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
