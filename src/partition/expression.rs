//! Prefix expressions as written: literal text and `!{namespace:value}`.

use std::ops::Range;

use firehose_date_pattern::DatePattern;
use firehose_nearest::nearest;

use super::fault::{PartitionFault, PartitionSetting};

/// The longest prefix expression, in characters (Firehose's API accepts no longer one).
const EXPRESSION_CHARS_MAX: usize = 1024;

/// What Firehose appends to a prefix that has no expression.
pub(super) const DEFAULT_TIME: &str = "yyyy/MM/dd/HH/";

/// A piece of a prefix expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PrefixPart {
    Literal(String),
    /// `!{timestamp:…}`: arrival time of the object's first record.
    Timestamp(DatePattern),
    /// `!{eventTime:…}`: time of the event, part of the partition's identity.
    EventTime(DatePattern),
    /// `!{firehose:random-string}`.
    RandomString,
    /// `!{firehose:error-output-type}`.
    ErrorOutputType,
    /// `!{partitionKeyFromQuery:…}`.
    QueryKey(String),
    /// `!{partitionKeyFromTransform:…}`, or `partitionKeyFromLambda` as Firehose has it.
    TransformKey(String),
}

/// A part, and the setting and the bytes it was written in.
#[derive(Clone, Debug)]
pub(super) struct SpannedPart {
    pub(super) part: PrefixPart,
    pub(super) field: PartitionSetting,
    pub(super) at: Range<usize>,
}

/// Reads a prefix expression; what cannot be read, or has no place in that field, is a fault.
pub(super) fn parse(
    text: &str,
    field: PartitionSetting,
    faults: &mut Vec<PartitionFault>,
) -> Vec<SpannedPart> {
    let mut pieces: Vec<SpannedPart> = Vec::new();
    if text.chars().count() > EXPRESSION_CHARS_MAX {
        faults.push(PartitionFault::whole(
            field,
            format!("the expression is longer than {EXPRESSION_CHARS_MAX} characters"),
        ));
        return pieces;
    }
    let mut at = 0;
    while let Some(found) = text[at..].find("!{") {
        let start = at + found;
        push_literal(&mut pieces, field, text, at..start);
        let end = text[start..].find('}').map(|length| start + length);
        let next = text[start + 2..]
            .find("!{")
            .map(|length| start + 2 + length);
        // An expression in another one means that the outer one was not closed.
        let end = match (end, next) {
            (Some(end), next) if next.is_none_or(|next| end < next) => end,
            (_, next) => {
                let open = start..next.unwrap_or(text.len());
                at = open.end;
                faults.push(
                    PartitionFault::at(field, open, "the expression has no closing }")
                        .help("!{namespace:value}"),
                );
                continue;
            }
        };
        at = end + 1;
        match expression(&text[start + 2..at - 1], start + 2, field) {
            Ok(part) => pieces.push(SpannedPart {
                part,
                field,
                at: start..at,
            }),
            Err(fault) => faults.push(*fault),
        }
    }
    push_literal(&mut pieces, field, text, at..text.len());
    faults.extend(pieces.iter().filter_map(control_byte));
    faults.extend(pieces.iter().filter_map(unmarked));
    pieces
}

fn push_literal(
    pieces: &mut Vec<SpannedPart>,
    field: PartitionSetting,
    text: &str,
    at: Range<usize>,
) {
    if !at.is_empty() {
        pieces.push(SpannedPart {
            part: PrefixPart::Literal(text[at.clone()].into()),
            field,
            at,
        });
    }
}

fn control_byte(piece: &SpannedPart) -> Option<PartitionFault> {
    let PrefixPart::Literal(text) = &piece.part else {
        return None;
    };
    let at = piece.at.start + text.bytes().position(|byte| byte.is_ascii_control())?;
    Some(PartitionFault::at(
        piece.field,
        at..at + 1,
        "a key cannot hold control characters",
    ))
}

/// An expression without the mark that makes it one: Firehose would take it for the name of a folder,
/// which nobody means.
fn unmarked(piece: &SpannedPart) -> Option<PartitionFault> {
    let PrefixPart::Literal(text) = &piece.part else {
        return None;
    };
    let begins = |(at, _): &(usize, &str)| {
        let inside = &text[at + 1..];
        NAMESPACES.iter().any(|namespace| {
            let value = inside.strip_prefix(namespace);
            value.is_some_and(|value| value.starts_with(':'))
        })
    };
    let (start, _) = text.match_indices('{').find(begins)?;
    let end = text[start..]
        .find('}')
        .map_or(text.len(), |length| start + length + 1);
    let written = &text[start..end];
    let at = piece.at.start + start..piece.at.start + end;
    let message = format!("\"{written}\" is plain text here");
    Some(
        PartitionFault::at(piece.field, at, message)
            .help(format!("an expression begins with !: !{written}")),
    )
}

/// One expression without its braces, which begins at byte `start` of the field.
fn expression(
    text: &str,
    start: usize,
    field: PartitionSetting,
) -> Result<PrefixPart, Box<PartitionFault>> {
    let all = start - 2..start + text.len() + 1;
    let without_namespace = |message: String| {
        let fault = PartitionFault::at(field, all.clone(), message);
        let allowed = allowed(field).join(", ");
        Err(Box::new(fault.help(format!(
            "!{{namespace:value}} with one of {allowed}"
        ))))
    };
    let (namespace, value) = match text.split_once(':') {
        Some(("", _)) => return without_namespace("there is no namespace before the colon".into()),
        Some(parts) => parts,
        None if text.is_empty() => return without_namespace("the expression is empty".into()),
        None => return without_namespace(format!("\"{text}\" has no namespace")),
    };
    let value_at = start + namespace.len() + 1..start + text.len();
    if !NAMESPACES.contains(&namespace) {
        let fault = PartitionFault::at(
            field,
            start..start + namespace.len(),
            format!("unknown namespace \"{namespace}\""),
        );
        return Err(Box::new(fault.help(unknown(namespace, field))));
    }
    if let Some(fault) = misplaced(namespace, value, all, field) {
        return Err(Box::new(fault));
    }
    let pattern = |value: &str| {
        DatePattern::parse(value).map_err(|fault| {
            let at = value_at.start + fault.at.start..value_at.start + fault.at.end;
            Box::new(PartitionFault {
                field,
                at: Some(at),
                message: fault.message,
                help: fault.help,
                is_transient: false,
            })
        })
    };
    match (namespace, value) {
        (_, "") => Err(Box::new(PartitionFault::at(
            field,
            value_at.start - 1..value_at.end + 1,
            format!("\"{namespace}\" needs a value after the colon"),
        ))),
        ("timestamp" | "eventTime", value) => {
            let pattern = pattern(value)?;
            Ok(match (pattern.constant(), namespace) {
                (Some(text), _) => PrefixPart::Literal(text.into()),
                (None, "timestamp") => PrefixPart::Timestamp(pattern),
                (None, _) => PrefixPart::EventTime(pattern),
            })
        }
        ("firehose", "random-string") => Ok(PrefixPart::RandomString),
        ("firehose", "error-output-type") => Ok(PrefixPart::ErrorOutputType),
        ("firehose", other) => {
            let words = ["random-string", "error-output-type"];
            let fault = PartitionFault::at(field, value_at, format!("unknown value \"{other}\""));
            Err(Box::new(fault.help(match nearest(other, words) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("allowed: {}", words.join(", ")),
            })))
        }
        ("partitionKeyFromQuery", key) => Ok(PrefixPart::QueryKey(key.into())),
        (_, key) => Ok(PrefixPart::TransformKey(key.into())),
    }
}

const NAMESPACES: [&str; 6] = [
    "timestamp",
    "firehose",
    "partitionKeyFromQuery",
    "partitionKeyFromTransform",
    "partitionKeyFromLambda",
    "eventTime",
];

fn allowed(field: PartitionSetting) -> &'static [&'static str] {
    match field {
        PartitionSetting::Prefix | PartitionSetting::LatePrefix => &[
            "timestamp",
            "firehose",
            "partitionKeyFromQuery",
            "partitionKeyFromTransform",
            "eventTime",
        ],
        _ => &["timestamp", "firehose"],
    }
}

fn unknown(namespace: &str, field: PartitionSetting) -> String {
    let words = match field {
        PartitionSetting::Prefix | PartitionSetting::LatePrefix => &NAMESPACES,
        _ => allowed(field),
    };
    match nearest(namespace, words.iter().copied()) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => format!("allowed: {}", allowed(field).join(", ")),
    }
}

/// A known expression in a field that cannot have it.
fn misplaced(
    namespace: &str,
    value: &str,
    at: Range<usize>,
    field: PartitionSetting,
) -> Option<PartitionFault> {
    let error_type = namespace == "firehose" && value == "error-output-type";
    match field {
        PartitionSetting::Prefix
        | PartitionSetting::LatePrefix
        | PartitionSetting::BackupPrefix
            if error_type =>
        {
            Some(
                PartitionFault::at(
                    field,
                    at,
                    "error-output-type has a value only in error_prefix",
                )
                .help("remove it here and use it in error_prefix"),
            )
        }
        PartitionSetting::ErrorPrefix | PartitionSetting::BackupPrefix
            if !matches!(namespace, "timestamp" | "firehose") =>
        {
            let why = if field == PartitionSetting::ErrorPrefix {
                "a record that failed may have none"
            } else {
                "backup keeps records as they came"
            };
            Some(
                PartitionFault::at(field, at, format!("{namespace} has no place here: {why}"))
                    .help(format!("allowed: {}", allowed(field).join(", "))),
            )
        }
        _ => None,
    }
}

/// Whether a prefix has any expression, so that nothing is appended to it.
pub fn has_expression(text: &str) -> bool {
    text.contains("!{")
}

/// Joins neighbouring literals and drops empty ones.
pub(super) fn joined(pieces: Vec<SpannedPart>) -> Vec<PrefixPart> {
    let mut parts: Vec<PrefixPart> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (parts.last_mut(), piece.part) {
            (Some(PrefixPart::Literal(before)), PrefixPart::Literal(text)) => {
                before.push_str(&text);
            }
            (_, part) => parts.push(part),
        }
    }
    parts.retain(|part| *part != PrefixPart::Literal(String::new()));
    parts
}

/// The default time path as a part.
pub(super) fn default_time() -> PrefixPart {
    PrefixPart::Timestamp(DatePattern::parse(DEFAULT_TIME).expect("the default pattern is sound"))
}
