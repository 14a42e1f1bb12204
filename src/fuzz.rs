//! Fuzz targets: what faces bytes that others have written, each as a function of any bytes at all.
//!
//! A target panics where a promise does not hold, and on nothing else. `fuzz/` runs them for as long as one likes;
//! `tests/it/fuzz.rs` runs each over its seeds, with every test run.

use std::io::Read as _;

use firehose_calendar::timestamp;
use firehose_deflate::{Deflater, LAST_BLOCK};
use firehose_json::decimal::WrittenNumber;
use firehose_json::nesting::{NESTING_MAX, exceeds};
use firehose_json::{TextCursor, Texts, elements, is_one, is_text, pieces, several};
use firehose_sigv4::{Claim, Request, SigningSecret};
use firehose_wasm_meter::{Loops, MeterError};
use flate2::read::DeflateDecoder;
use serde::de::IgnoredAny;
use wasmparser::{Validator, WasmFeatures};

use crate::registry::registry;
use crate::source::{direct_put::journal, kinesis};
use crate::{checkpoint, config, coordination, format, http, parse, partition, transform};

/// What a component begins with.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// What is called with any bytes.
pub type Target = fn(&[u8]);

/// The targets by name: that of the file in `fuzz/targets`, and of the folder of its seeds.
pub const TARGETS: [(&str, Target); 22] = [
    ("api_body", http::fuzz::api_body),
    ("columns", format::fuzz::columns),
    ("config", |bytes| config::fuzz::config(bytes, &registry())),
    ("deflate", deflate),
    ("journal", journal::fuzz::journal),
    ("jq", partition::fuzz::jq),
    ("jq_regex", partition::fuzz::jq_regex),
    ("json", json),
    ("kpl", kinesis::fuzz::kpl),
    ("learned", format::fuzz::learned),
    ("lease", coordination::fuzz::lease),
    ("module", transform::fuzz::module),
    ("module_results", transform::fuzz::module_results),
    ("parsers", parse::fuzz::parsers),
    ("prefix", partition::fuzz::prefix),
    ("records_body", http::fuzz::records_body),
    ("schema", format::fuzz::schema),
    ("sigv4", sigv4),
    ("staged_records", format::fuzz::staged_records),
    ("store_rows", store_rows),
    ("times_and_numbers", times_and_numbers),
    ("wasm_meter", wasm_meter),
];

/// Calls the target of that name.
pub fn run(name: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.expect("the name of a target").1(bytes);
}

/// A row of a checkpoint store, of whatever table.
fn store_rows(bytes: &[u8]) {
    checkpoint::fuzz::store_rows(bytes);
    format::fuzz::row(bytes);
}

/// A request of lines: method, target, headers, and behind an empty line its body. Nobody has the secret, so whatever
/// it says, it does not verify.
fn sigv4(bytes: &[u8]) {
    /// 2015-08-30T12:36:00Z, when the seeds were signed.
    const NOW: i64 = 1_440_938_160;
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((bytes, &b""[..]), |end| (&bytes[..end], &bytes[end + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let (method, target) = (text(), text());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        Some((name.to_owned(), line[colon + 1..].to_vec()))
    };
    let headers: Vec<_> = lines.filter_map(header).collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let request = Request {
        method,
        path,
        query,
        headers: &headers,
    };
    let Ok(claim) = Claim::read(&request, "service", NOW) else {
        return;
    };
    assert!(request.is_signed(), "a claim of nobody");
    assert!(!claim.access_key_id().is_empty(), "a claim of nobody");
    let secret = SigningSecret::new("a secret that has signed nothing");
    let Ok(mut check) = claim.check(&secret) else {
        return;
    };
    check.update(body);
    assert!(check.finish().is_err(), "it verifies");
}

/// Data in runs, cut where the first byte says: what comes out is what went in, to somebody else's decoder.
fn deflate(bytes: &[u8]) {
    let Some((cuts, data)) = bytes.split_first() else {
        return;
    };
    let run = data.len() / (1 + usize::from(cuts & 3)) + 1;
    let mut deflater = Deflater::new();
    let mut stream = Vec::new();
    for data in data.chunks(run) {
        deflater.run(data, &mut stream);
    }
    stream.extend(LAST_BLOCK);
    let mut decoder = DeflateDecoder::new(&stream[..]);
    let mut read = Vec::new();
    let whole = decoder.read_to_end(&mut read);
    assert!(whole.is_ok(), "the stream is none: {whole:?}");
    assert!(read == data, "the data comes back otherwise");
    assert!(decoder.into_inner().is_empty(), "the stream goes on");
}

/// A component, and a core module in one. What was valid stays valid, and is taken where nothing is torn: that
/// the last section of a component goes on behind its end is no fault to the validator.
fn wasm_meter(bytes: &[u8]) {
    let module = [COMPONENT, &[1], &leb128(bytes.len())[..], bytes].concat();
    for (component, is_whole) in [(bytes, false), (&module, true)] {
        let is_valid = is_valid(component);
        for loops in [Loops::GiveUp, Loops::Ask] {
            match firehose_wasm_meter::component(component, loops) {
                Ok(metered) => assert!(!is_valid || self::is_valid(&metered), "it was valid"),
                Err(MeterError::Memory) => {}
                Err(error) => assert!(!is_valid || !is_whole, "it is valid: {error}"),
            }
        }
    }
}

/// Whether it is a component that the daemon would compile, and not near a limit of all compilers.
fn is_valid(component: &[u8]) -> bool {
    let features = WasmFeatures::WASM2 | WasmFeatures::TAIL_CALL | WasmFeatures::COMPONENT_MODEL;
    let mut validator = Validator::new_with_features(features);
    component.starts_with(COMPONENT)
        && component.len() < 1 << 16
        && validator.validate_all(component).is_ok()
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
    out
}

/// The text of a time, of a date, of a number.
fn times_and_numbers(bytes: &[u8]) {
    let micros = timestamp::from_text(bytes);
    let day = timestamp::date_from_text(bytes);
    if let Some(day) = day {
        let midnight = i64::from(day) * 86_400 * timestamp::MICROS;
        assert_eq!(micros, Some(midnight), "a date begins at its midnight");
    }
    let Some(number) = WrittenNumber::from_string(bytes) else {
        return;
    };
    let float = number.to_f64();
    if let Some(whole) = number.to_i64() {
        #[expect(clippy::cast_precision_loss, reason = "that is what is asked")]
        let near = whole as f64;
        assert_eq!(float, Some(near), "one number, read in two ways");
    }
    for scale in [0, 2, 38] {
        let _ = (number.scaled(scale), number.floor(scale));
    }
    let _ = (number.to_f32(), timestamp::from_number(number));
}

/// What is one text, what is several, and where each stands: as another reader sees it.
fn json(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    assert_eq!(is_text(bytes), text.is_some());
    let by_another = text.map(serde_json::from_str::<IgnoredAny>);
    let is_valid = by_another.is_some_and(|read| read.is_ok());
    assert_eq!(is_one(bytes), is_valid, "one text, or none");
    // Strict is all of that within its bounds: on the depth, and on escapes that are half a character.
    let mut cursor = TextCursor::new(bytes);
    let is_strict = text.is_some() && cursor.skip(0).is_ok() && cursor.end().is_ok();
    let is_within = !exceeds(bytes, NESTING_MAX) && text.is_some_and(are_paired);
    assert_eq!(is_strict, is_valid && is_within, "strict");
    let mut ends = Vec::new();
    several(bytes, &mut ends);
    assert_eq!(pieces(bytes), ends.len().max(1), "pieces");
    assert!(ends.is_sorted() && ends.last().is_none_or(|end| *end == bytes.len()));
    let mut start = 0;
    for end in ends {
        assert!(is_one(&bytes[start..end]), "a piece that is no text");
        start = end;
    }
    let Ok(texts) = Texts::of(bytes) else { return };
    for text in texts.map_while(Result::ok) {
        let text = &bytes[text];
        assert!(is_one(text), "a text that is none");
        if text[0] == b'[' {
            let all_are = elements(text).all(|element| is_one(&text[element]));
            assert!(all_are, "an element that is no text");
        }
    }
}

/// Whether the escaped surrogates of a JSON text stand in pairs, each beside its other half. Of what is no such text the
/// answer means nothing.
fn are_paired(text: &str) -> bool {
    let (mut units, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let escaped = rest.strip_prefix("\\u").and_then(|digits| digits.get(..4));
        let unit = escaped.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let length = match (unit, first) {
            (Some(_), _) => 6,
            (None, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, first) => first.len_utf8(),
        };
        // What is no escaped unit stands between those around it.
        units.push(unit.unwrap_or_default());
        rest = &rest[length..];
    }
    char::decode_utf16(units).all(|decoded| decoded.is_ok())
}

#[cfg(test)]
mod tests {
    use super::are_paired;

    #[test]
    fn halves_of_characters_are_paired_where_they_are_side_by_side() {
        for text in [
            r"",
            r"é\n",
            r"\ud83d\ude00",
            r"\\ud83d",
            r"\u00e9\ud83d\ude00\u00e9",
        ] {
            assert!(are_paired(text), "{text}");
        }
        for text in [
            r"\ud83d",
            r"\ude00\ud83d",
            r"\ud83d\\ude00",
            r"\ud83d \ude00",
        ] {
            assert!(!are_paired(text), "{text}");
        }
    }
}
