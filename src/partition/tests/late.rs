//! Partitions that end by the time of events.

use super::*;

/// A partitioner with a watermark.
fn compiled(
    query: &str,
    prefix: &str,
    late_prefix: Option<&str>,
) -> Result<Partitioner, Vec<PartitionFault>> {
    let settings = PartitioningSettings {
        time_zone: Some("Europe/Berlin".into()),
        ..settings(query, ".ts")
    };
    Partitioner::compile(&Plan {
        has_watermark: true,
        late_prefix,
        ..plan(&settings, false, Some(prefix), &KeyRule::unknown())
    })
}

/// Where a record opens a batch that is in time, and where one that is late, and its event.
fn sorted(partitioner: &Partitioner, data: &str) -> (String, Option<String>, Option<Event>) {
    let mut scratch = partitioner.scratch();
    let (mut identity, mut late) = (Vec::new(), Vec::new());
    let record = record(data.as_bytes());
    partitioner
        .partition(&mut scratch, &record, &mut identity)
        .unwrap_or_else(|failure| panic!("{}", failure.message));
    partitioner.write_late(&mut scratch, &mut late);
    assert_ne!(identity, late);
    let open = |identity: &[u8]| partitioner.open_prefix(identity, ARRIVAL_MS);
    let event = partitioner.event(&mut scratch);
    (
        open(&identity),
        (!late.is_empty()).then(|| open(&late)),
        event,
    )
}

#[test]
fn a_partition_ends_where_the_text_of_its_prefix_does_and_what_is_late_has_its_own() {
    let late = "late/!{partitionKeyFromQuery:b}/!{eventTime:HHmm}-!{timestamp:yyyy}/";
    let prefix =
        "!{timestamp:HH}/!{partitionKeyFromQuery:a}/!{eventTime:yyyy/MM/dd}/!{eventTime:HH}/";
    let partitioner = compiled("{a, b}", prefix, Some(late)).unwrap();
    let record = r#"{"a":"x/y","b":"z","ts":"2026-10-25T00:30:00Z"}"#;
    let (own, late, event) = sorted(&partitioner, record);
    assert_eq!(own, "16/x%2Fy/2026/10/25/02/");
    assert_eq!(late.as_deref(), Some("late/z/0230-2026/"));
    let at = 1_792_888_200;
    // The hour from two to three comes twice in this night, and is one partition.
    let partition_ends = at + 5400;
    assert_eq!(event, Some(Event { at, partition_ends }));
    assert_eq!(partitioner.late_literal(), Some("late/"));

    let bare = compiled("", "!{eventTime:yyyy}/", Some("late/")).unwrap();
    let (_, late, _) = sorted(&bare, r#"{"ts":0}"#);
    assert_eq!(late.as_deref(), Some("late/2026/07/13/16/"));
    let without = compiled("", "!{eventTime:yyyy}/", None).unwrap();
    let (_, late, event) = sorted(&without, r#"{"ts":0}"#);
    assert_eq!((late, event.unwrap().at), (None, 0));
}

#[test]
fn what_has_no_key_under_the_late_prefix_stays_in_its_partition() {
    let rule = KeyRule::new("", 0, |key: &str| {
        let refused = key.starts_with("late/") && key.len() > 30;
        if refused {
            Err("too long".to_owned())
        } else {
            Ok(())
        }
    });
    let settings = settings("{a}", ".ts");
    let partitioner = Partitioner::compile(&Plan {
        has_watermark: true,
        late_prefix: Some("late/!{partitionKeyFromQuery:a}/"),
        ..plan(&settings, false, Some("!{eventTime:yyyy}/"), &rule)
    });
    let partitioner = partitioner.unwrap();
    let of = |key: &str| sorted(&partitioner, &format!(r#"{{"a":"{key}","ts":0}}"#));
    assert_eq!(of("k").1.as_deref(), Some("late/k/"));
    assert_eq!(of(&"k".repeat(40)).1, None);
}

#[test]
fn a_time_that_comes_again_and_faults_of_the_late_prefix_are_told_at_their_places() {
    use PartitionSetting::{EventTime, LatePrefix, Prefix};
    for (query, prefix, late, field, at, message) in [
        (
            "",
            "!{eventTime:HH}/",
            None,
            Prefix,
            Some(0..15),
            "comes again",
        ),
        (
            "",
            "!{eventTime:yyyy}/!{eventTime:dd}/",
            None,
            Prefix,
            Some(18..33),
            "comes again",
        ),
        (
            "",
            "!{eventTime:yyyy}/",
            Some("l/!{foo:x}/"),
            LatePrefix,
            Some(4..7),
            "namespace",
        ),
        (
            "",
            "!{eventTime:yyyy}/",
            Some("/l"),
            LatePrefix,
            None,
            "slash",
        ),
        (
            "",
            "!{eventTime:yyyy}/",
            Some("l/!{partitionKeyFromQuery:a}/"),
            LatePrefix,
            Some(2..28),
            "no partitioning.query",
        ),
        (
            "{a}",
            "!{partitionKeyFromQuery:a}/!{eventTime:yyyy}/",
            Some("!{partitionKeyFromQuery:b}/"),
            LatePrefix,
            Some(0..26),
            "no key \"b\"",
        ),
        (
            "",
            "a/",
            Some("!{eventTime:yyyy}/"),
            EventTime,
            None,
            "does not use",
        ),
        (
            "",
            "!{eventTime:yyyy}/",
            Some("!{firehose:error-output-type}/"),
            LatePrefix,
            Some(0..29),
            "only in error_prefix",
        ),
    ] {
        let Err(found) = compiled(query, prefix, late) else {
            panic!("{prefix} {late:?} is accepted");
        };
        assert_eq!((found[0].field, &found[0].at), (field, &at), "{found:?}");
        assert!(found[0].message.contains(message), "{found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
    // A time that says less is only for partitions that nobody waits to be over.
    let settings = settings("", ".ts");
    let rule = KeyRule::unknown();
    let plan = plan(&settings, false, Some("!{eventTime:HH}/"), &rule);
    assert!(Partitioner::compile(&plan).is_ok());
}
