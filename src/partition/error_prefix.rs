//! Where failed records go, and what objects are called.

use firehose_date_pattern::{DatePattern, Zone};
use uuid::Uuid;

use super::expression::{self, PrefixPart};
use super::fault::{PartitionFault, PartitionSetting};
use super::key_rule::KeyRule;
use super::template;
use crate::failure::ErrorOutputType;

/// A compiled error prefix.
#[derive(Clone, Debug)]
pub struct ErrorPrefix {
    parts: Vec<PrefixPart>,
    zone: Zone,
}

impl ErrorPrefix {
    /// Compiles `destination.error_prefix`, or the default where it is missing, which
    /// needs a `destination.prefix` without expressions.
    pub fn compile(
        error_prefix: Option<&str>,
        prefix: Option<&str>,
        time_zone: Option<&str>,
        rule: &KeyRule,
    ) -> Result<Self, Vec<PartitionFault>> {
        let mut faults = Vec::new();
        let zone = template::zone(time_zone, &mut faults);
        let parts = if let Some(text) = error_prefix {
            written_parts(text, &zone, rule, &mut faults)
        } else {
            let prefix = prefix.unwrap_or("");
            let parts = default_parts(prefix, &mut faults);
            if faults.is_empty() {
                faults.extend(refused_default(prefix, &parts, &zone, rule));
            }
            parts
        };
        if faults.is_empty() {
            Ok(Self { parts, zone })
        } else {
            Err(faults)
        }
    }

    /// The prefix of an error object that opens with a record that arrived at `arrival_ms`.
    pub fn open_prefix(&self, kind: ErrorOutputType, arrival_ms: i64) -> String {
        let at = self.zone.at(arrival_ms.div_euclid(1000));
        let mut text = String::new();
        for part in &self.parts {
            match part {
                PrefixPart::Literal(literal) => text.push_str(literal),
                PrefixPart::Timestamp(pattern) => pattern.format(&at, &self.zone, &mut text),
                PrefixPart::RandomString => template::random_string(&mut text),
                PrefixPart::ErrorOutputType => text.push_str(kind.as_str()),
                // Refused when compiled.
                PrefixPart::EventTime(_)
                | PrefixPart::QueryKey(_)
                | PrefixPart::TransformKey(_) => {}
            }
        }
        text
    }

    /// The text before the first expression, cut back to its last slash: where the stream's own
    /// markers live.
    pub fn literal_head(&self) -> &str {
        let text = self.literal();
        &text[..text.rfind('/').map_or(0, |slash| slash + 1)]
    }

    /// The text before the first expression: what the keys of all error objects begin with.
    pub fn literal(&self) -> &str {
        match self.parts.first() {
            Some(PrefixPart::Literal(text)) => text,
            _ => "",
        }
    }

    /// The time zone of the stream's timestamps, for [`object_name`].
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

/// The parts of an error prefix as it is written.
fn written_parts(
    text: &str,
    zone: &Zone,
    rule: &KeyRule,
    faults: &mut Vec<PartitionFault>,
) -> Vec<PrefixPart> {
    let field = PartitionSetting::ErrorPrefix;
    let pieces = expression::parse(text, field, faults);
    let is_bare = !expression::has_expression(text);
    let is_type = |piece: &expression::SpannedPart| piece.part == PrefixPart::ErrorOutputType;
    if !is_bare && !pieces.iter().any(is_type) && faults.is_empty() {
        let message = "an error prefix with expressions must name the type of error";
        let fault = PartitionFault::whole(field, message);
        faults.push(fault.help("add !{firehose:error-output-type}/"));
    }
    let mut parts = expression::joined(pieces);
    if faults.is_empty() {
        template::check(&parts, is_bare, zone, field, rule, faults);
    }
    if is_bare {
        parts.push(expression::default_time());
    }
    parts
}

/// A default that the destination cannot take. What is wrong with the prefix that it begins with is
/// said of that prefix.
fn refused_default(
    prefix: &str,
    parts: &[PrefixPart],
    zone: &Zone,
    rule: &KeyRule,
) -> Option<PartitionFault> {
    rule.take_object(prefix).ok()?;
    let why = rule.take_object(&template::widest(parts, zone)).err()?;
    let message = format!("error_prefix is missing, and under the default {why}");
    let fault = PartitionFault::whole(PartitionSetting::ErrorPrefix, message);
    Some(fault.help("error_prefix = \"errors/!{firehose:error-output-type}/\""))
}

/// Firehose's error prefix where none is given: `<prefix><error-output-type>/yyyy/MM/dd/HH/`.
fn default_parts(prefix: &str, faults: &mut Vec<PartitionFault>) -> Vec<PrefixPart> {
    if expression::has_expression(prefix) {
        faults.push(
            PartitionFault::whole(
                PartitionSetting::ErrorPrefix,
                "error_prefix is missing: a prefix with expressions needs one",
            )
            .help("error_prefix = \"errors/!{firehose:error-output-type}/\""),
        );
    }
    let mut parts = vec![PrefixPart::Literal(prefix.into())];
    parts.retain(|part| *part != PrefixPart::Literal(String::new()));
    parts.extend([
        PrefixPart::ErrorOutputType,
        PrefixPart::Literal("/".into()),
        expression::default_time(),
    ]);
    parts
}

/// The name of an object after its prefix: `<stream>-<version>-<yyyy-MM-dd-HH-mm-ss>-<uuid><ext>`.
pub fn object_name(
    stream: &str,
    version: u32,
    arrival_ms: i64,
    object_id: Uuid,
    extension: &str,
    zone: &Zone,
) -> String {
    let mut time = String::new();
    DatePattern::parse("yyyy-MM-dd-HH-mm-ss")
        .expect("the pattern of object names is sound")
        .format(&zone.at(arrival_ms.div_euclid(1000)), zone, &mut time);
    format!("{stream}-{version}-{time}-{object_id}{extension}")
}

/// What stands before the name in a key, if [`object_name`] can have made the name for this stream.
pub fn before_object_name<'k>(key: &'k str, stream: &str, version: u32) -> Option<&'k str> {
    let folder = key.rfind('/').map_or(0, |slash| slash + 1);
    let begin = format!("{stream}-{version}-");
    let is_name = |at: &usize| {
        let rest = key[*at..].strip_prefix(&begin);
        rest.is_some_and(is_time_and_id)
    };
    let mut starts = key[folder..].char_indices().map(|(at, _)| folder + at);
    Some(&key[..starts.find(is_name)?])
}

/// Whether this is `<yyyy-MM-dd-HH-mm-ss>-<uuid><ext>`.
fn is_time_and_id(text: &str) -> bool {
    const TIME: &str = "0000-00-00-00-00-00-";
    let Some((time, rest)) = text.split_at_checked(TIME.len()) else {
        return false;
    };
    let Some((id, extension)) = rest.split_at_checked(uuid::fmt::Hyphenated::LENGTH) else {
        return false;
    };
    let is_like = |(of, like): (u8, u8)| match like {
        b'0' => of.is_ascii_digit(),
        like => of == like,
    };
    let is_id = Uuid::try_parse(id).is_ok_and(|of| of.to_string() == id);
    time.bytes().zip(TIME.bytes()).all(is_like)
        && is_id
        && (extension.is_empty() || extension.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_stream_are_told_from_others() {
        let id = Uuid::from_u128(0xabc_def0_1234);
        for (stream, extension) in [("c", ""), ("a-b", ".gz"), ("1-1", ".zstd.parquet")] {
            let name = object_name(stream, 1, 1_795_333_785_029, id, extension, &Zone::utc());
            for before in ["", "data/", "data/k=c-1-/", "logs-", "é/ü"] {
                let key = format!("{before}{name}");
                assert_eq!(before_object_name(&key, stream, 1), Some(before), "{key}");
                assert_eq!(before_object_name(&format!("{key}/x"), stream, 1), None);
                let without_id = key.replace(&id.to_string(), "id");
                assert_eq!(before_object_name(&without_id, stream, 1), None);
                assert_eq!(before_object_name(&key, stream, 2), None);
                assert_eq!(before_object_name(&key, "other", 1), None);
            }
        }
        let name = object_name("b-c", 1, 0, id, "", &Zone::utc());
        assert_eq!(before_object_name(&name, "c", 1), Some("b-"));
        for name in [
            "",
            "c",
            "c-1-",
            "c-1-2026-11-22-07-49-36-",
            "c-1-2026-11-22-07-49-3é-",
        ] {
            assert_eq!(before_object_name(name, "c", 1), None, "{name}");
        }
        let upper = object_name("c", 1, 0, id, "", &Zone::utc()).to_uppercase();
        assert_eq!(
            before_object_name(&upper, "C", 1),
            None,
            "not as we write it"
        );
    }
}
