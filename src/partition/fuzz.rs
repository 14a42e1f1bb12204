//! Queries, patterns and prefixes as somebody may write them, and records that they look into.

use firehose_jq::{self as jq, Query};

use super::fault::{PartitionFault, PartitionSetting};
use super::{
    ErrorPrefix, KeyRule, Partitioner, Plan, UnreadSettings, before_object_name, object_name,
};
use crate::config::PartitioningSettings;
use crate::failure::ErrorOutputType;
use crate::position::Position;
use crate::record::Record;

/// A query, and after a zero a record: whatever it does it ends, and does the same again.
pub fn jq(bytes: &[u8]) {
    let Some([query, record]) = halves(bytes) else {
        return;
    };
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    match Query::compile(query) {
        Err(faults) => {
            let faults = faults.into_iter();
            let faults =
                faults.map(|fault| PartitionFault::of_query(PartitionSetting::Query, fault));
            have_places(&faults.collect::<Vec<_>>(), query);
        }
        Ok(query) => {
            let run = || {
                let before = jq::burned();
                let error = query.run(jq::read(record).ok()?).err();
                Some((error, jq::burned() - before))
            };
            assert_eq!(run(), run(), "the same record");
        }
    }
}

/// Flags, a pattern, and after a zero a text.
pub fn jq_regex(bytes: &[u8]) {
    let Some((flags, rest)) = bytes.split_first() else {
        return;
    };
    let Some(Ok([pattern, text])) = halves(rest).map(|halves| {
        let [pattern, text] = halves.map(std::str::from_utf8);
        pattern.and_then(|pattern| Ok([pattern, text?]))
    }) else {
        return;
    };
    jq::fuzz::regex(*flags, pattern, text);
}

/// Four lines: a prefix, an error prefix, a time zone, a key's value. What they make begins a key.
pub fn prefix(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().filter(|line| !line.is_empty());
    let [prefix, error_prefix, time_zone, value] = [next(), next(), next(), next()];
    let settings = PartitioningSettings {
        query: Some("{k: .k, l: .k}".into()),
        event_time: Some(".t".into()),
        time_zone: time_zone.map(Into::into),
        ..PartitioningSettings::default()
    };
    let rule = KeyRule::unknown();
    let plan = Plan {
        settings: &settings,
        has_transforms: false,
        prefix,
        has_watermark: false,
        late_prefix: None,
        rule: &rule,
        unread: UnreadSettings::default(),
    };
    let record = serde_json::json!({ "k": value, "t": 1_795_333_785.5 }).to_string();
    let record = Record::new(record.as_bytes(), 1_795_333_785_029, Position::default());
    match Partitioner::compile(&plan) {
        Err(faults) => {
            for fault in &faults {
                have_places(
                    std::slice::from_ref(fault),
                    written(fault, &plan, error_prefix),
                );
            }
        }
        Ok(partitioner) => {
            let mut identity = Vec::new();
            let mut scratch = partitioner.scratch();
            if partitioner
                .partition(&mut scratch, &record, &mut identity)
                .is_err()
            {
                assert!(identity.is_empty(), "a failed record leaves nothing");
                return;
            }
            let opened = partitioner.open_prefix(&identity, record.arrival_ms);
            assert!(opened.starts_with(partitioner.literal()), "{opened:?}");
            is_key(&opened, partitioner.zone());
        }
    }
    late(&plan, &record);
    let compiled = ErrorPrefix::compile(error_prefix, prefix, time_zone, &rule);
    match compiled {
        Err(faults) => {
            for fault in &faults {
                have_places(
                    std::slice::from_ref(fault),
                    written(fault, &plan, error_prefix),
                );
            }
        }
        Ok(compiled) => {
            let kind = ErrorOutputType::ProcessingFailed;
            let opened = compiled.open_prefix(kind, record.arrival_ms);
            assert!(opened.starts_with(compiled.literal()), "{opened:?}");
            is_key(&opened, compiled.zone());
        }
    }
}

/// With the same prefix for it, what is late has the same text behind its mark, and its partition ends later than it is.
fn late(plan: &Plan<'_>, record: &Record<'_>) {
    let plan = Plan {
        has_watermark: true,
        late_prefix: plan.prefix,
        ..*plan
    };
    let partitioner = match Partitioner::compile(&plan) {
        Err(faults) => {
            for fault in &faults {
                let text = written(fault, &plan, plan.prefix);
                have_places(std::slice::from_ref(fault), text);
            }
            return;
        }
        Ok(partitioner) => partitioner,
    };
    let (mut identity, mut late) = (Vec::new(), Vec::new());
    let mut scratch = partitioner.scratch();
    if (partitioner.partition(&mut scratch, record, &mut identity)).is_ok() {
        partitioner.write_late(&mut scratch, &mut late);
        assert!(plan.prefix.is_none() || late[1..] == identity, "{late:?}");
        let event = partitioner.event(&mut scratch).expect("the prefix has one");
        assert!(event.at < event.partition_ends, "{event:?}");
    }
}

/// An object's name is told from the prefix before it.
fn is_key(prefix: &str, zone: &super::Zone) {
    let name = object_name(
        "clicks",
        1,
        1_795_333_785_029,
        uuid::Uuid::nil(),
        ".gz",
        zone,
    );
    let key = format!("{prefix}{name}");
    assert_eq!(
        before_object_name(&key, "clicks", 1),
        Some(prefix),
        "{key:?}"
    );
}

fn written<'t>(fault: &PartitionFault, plan: &Plan<'t>, error_prefix: Option<&'t str>) -> &'t str {
    let text = match fault.field {
        PartitionSetting::Prefix | PartitionSetting::BackupPrefix => plan.prefix,
        PartitionSetting::LatePrefix => plan.late_prefix,
        PartitionSetting::ErrorPrefix => error_prefix,
        PartitionSetting::TimeZone => plan.settings.time_zone.as_deref(),
        PartitionSetting::Query => plan.settings.query.as_deref(),
        PartitionSetting::EventTime => plan.settings.event_time.as_deref(),
    };
    text.unwrap_or("")
}

fn have_places(faults: &[PartitionFault], text: &str) {
    assert!(!faults.is_empty(), "refused, and nobody knows why");
    for at in faults.iter().filter_map(|fault| fault.at.clone()) {
        assert!(at.start <= at.end, "{at:?}");
        let is_place = |at| text.is_char_boundary(at);
        assert!(is_place(at.start) && is_place(at.end), "{at:?}");
    }
}

/// What stands before and behind the first zero.
fn halves(bytes: &[u8]) -> Option<[&[u8]; 2]> {
    let at = memchr::memchr(0, bytes)?;
    Some([&bytes[..at], &bytes[at + 1..]])
}
