//! `cloudfront`: access logs of `CloudFront`, standard ones or, with `fields`, those that are sent in real time.

use super::fields::{ObjectWriter, Type};
use super::lines::LineOutcome;
use super::logs::LogKind;
use super::own_fields::{KnownFields, OwnField};
use super::port::Fault;
use super::tokens::push;

const KNOWN: KnownFields = KnownFields {
    logs: "access logs of CloudFront",
    default: DEFAULT,
    further: FURTHER,
    column,
};
const DEFAULT: &[(&str, Type)] = &[
    ("date", Type::Text),
    ("time", Type::Text),
    ("x-edge-location", Type::Text),
    ("sc-bytes", Type::Int),
    ("c-ip", Type::Text),
    ("cs-method", Type::Text),
    ("cs(Host)", Type::Text),
    ("cs-uri-stem", Type::Text),
    ("sc-status", Type::Int),
    ("cs(Referer)", Type::Text),
    ("cs(User-Agent)", Type::Text),
    ("cs-uri-query", Type::Text),
    ("cs(Cookie)", Type::Text),
    ("x-edge-result-type", Type::Text),
    ("x-edge-request-id", Type::Text),
    ("x-host-header", Type::Text),
    ("cs-protocol", Type::Text),
    ("cs-bytes", Type::Int),
    ("time-taken", Type::Float),
    ("x-forwarded-for", Type::Text),
    ("ssl-protocol", Type::Text),
    ("ssl-cipher", Type::Text),
    ("x-edge-response-result-type", Type::Text),
    ("cs-protocol-version", Type::Text),
    ("fle-status", Type::Text),
    ("fle-encrypted-fields", Type::Int),
    ("c-port", Type::Int),
    ("time-to-first-byte", Type::Float),
    ("x-edge-detailed-result-type", Type::Text),
    ("sc-content-type", Type::Text),
    ("sc-content-len", Type::Int),
    ("sc-range-start", Type::Int),
    ("sc-range-end", Type::Int),
];
/// What logs in real time have beside, or spell otherwise.
const FURTHER: &[(&str, Type)] = &[
    ("timestamp", Type::Float),
    ("cs-host", Type::Text),
    ("cs-referer", Type::Text),
    ("cs-user-agent", Type::Text),
    ("cs-cookie", Type::Text),
    ("c-ip-version", Type::Text),
    ("c-country", Type::Text),
    ("cs-accept-encoding", Type::Text),
    ("cs-accept", Type::Text),
    ("cache-behavior-path-pattern", Type::Text),
    ("cs-headers", Type::Text),
    ("cs-header-names", Type::Text),
    ("cs-headers-count", Type::Int),
    ("primary-distribution-id", Type::Text),
    ("primary-distribution-dns-name", Type::Text),
    ("origin-fbl", Type::Float),
    ("origin-lbl", Type::Float),
    ("asn", Type::Int),
    ("s-ip", Type::Text),
    ("r-host", Type::Text),
    ("sr-reason", Type::Text),
    ("x-edge-mqcs", Type::Text),
    ("distribution-tenant-id", Type::Text),
    ("connection-id", Type::Text),
    // What players say of themselves: nothing holds them to numbers.
    ("cmcd-encoded-bitrate", Type::Text),
    ("cmcd-buffer-length", Type::Text),
    ("cmcd-buffer-starvation", Type::Text),
    ("cmcd-content-id", Type::Text),
    ("cmcd-object-duration", Type::Text),
    ("cmcd-deadline", Type::Text),
    ("cmcd-measured-throughput", Type::Text),
    ("cmcd-next-object-request", Type::Text),
    ("cmcd-next-range-request", Type::Text),
    ("cmcd-object-type", Type::Text),
    ("cmcd-playback-rate", Type::Text),
    ("cmcd-requested-maximum-throughput", Type::Text),
    ("cmcd-streaming-format", Type::Text),
    ("cmcd-session-id", Type::Text),
    ("cmcd-stream-type", Type::Text),
    ("cmcd-startup", Type::Text),
    ("cmcd-top-bitrate", Type::Text),
    ("cmcd-version", Type::Text),
];

/// A field as the documents' tables name it: a header by its name, and the one that HTTP misspells rightly.
fn column(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace(['-', '('], "_");
    let name = name.trim_end_matches(')');
    name.replace("referer", "referrer")
}

/// `type = "cloudfront"`.
pub(super) const LOGS: LogKind = LogKind {
    word: "cloudfront",
    choice: Some(&KNOWN),
    line,
};

fn line(fields: &[OwnField], line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
    // Files begin with lines that tell their version and name the fields.
    if line.starts_with('#') {
        return Ok(LineOutcome::Skipped);
    }
    let (count, expected) = (line.split('\t').count(), fields.len());
    if count != expected {
        let message = format!("the line has {count} fields between tabs, and the log {expected}");
        return Err(Fault::mismatch(message));
    }
    let mut object = ObjectWriter::begin(out);
    for (value, (_, field)) in line.split('\t').zip(fields) {
        push(field, Some(value), &mut object)?;
    }
    object.end();
    Ok(LineOutcome::Record)
}
