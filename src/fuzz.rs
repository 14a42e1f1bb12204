//! Fuzz targets: what faces bytes that others have written, each as a function of any bytes at all.
//!
//! A target panics where a promise does not hold, and on nothing else. `fuzz/` runs them for as long as one likes;
//! `tests/it/fuzz.rs` runs each over its seeds, with every test run.

use std::io::Read as _;

use firehose_calendar::timestamp;
use firehose_deflate::{Deflater, LAST_BLOCK};
use firehose_json::decimal::WrittenNumber;
use firehose_json::{TextCursor, Texts, elements, is_one, is_text, pieces, several};
use firehose_kpl::Content;
use firehose_wasm_meter::{Loops, MeterError};
use flate2::read::DeflateDecoder;
use md5::{Digest as _, Md5};
use serde::de::IgnoredAny;
use wasmparser::{Validator, WasmFeatures};

use crate::registry::registry;
use crate::source::direct_put::journal;
use crate::{checkpoint, config, coordination, format, http, partition, transform};

/// What a component begins with.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// What is called with any bytes.
pub type Target = fn(&[u8]);

/// The targets by name: that of the file in `fuzz/targets`, and of the folder of its seeds.
pub const TARGETS: [(&str, Target); 19] = [
    ("api_body", http::fuzz::api_body),
    ("columns", format::fuzz::columns),
    ("config", |bytes| config::fuzz::config(bytes, &registry())),
    ("deflate", deflate),
    ("journal", journal::fuzz::journal),
    ("jq", partition::fuzz::jq),
    ("jq_regex", partition::fuzz::jq_regex),
    ("json", json),
    ("kpl", kpl),
    ("lease", coordination::fuzz::lease),
    ("module", transform::fuzz::module),
    ("module_results", transform::fuzz::module_results),
    ("prefix", partition::fuzz::prefix),
    ("records_body", http::fuzz::records_body),
    ("schema", format::fuzz::schema),
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

/// A Kinesis record, as it is, and as the message of an aggregate whose seal fits.
fn kpl(bytes: &[u8]) {
    let digest = Md5::digest(bytes);
    let sealed = [&[0xF3, 0x89, 0x9A, 0xC2], bytes, &digest].concat();
    for data in [bytes, &sealed] {
        let Content::Aggregate(aggregate) = firehose_kpl::look(data) else {
            continue;
        };
        let (mut records, mut total) = (0, 0);
        for record in aggregate.records() {
            records += 1;
            total += record.data.len();
        }
        assert!(records > 0, "an aggregate without records");
        assert!(total <= data.len(), "more data than there are bytes");
    }
}

/// Blocks, cut where the first byte says: what comes out is what went in, to somebody else's decoder.
fn deflate(bytes: &[u8]) {
    let Some((cuts, data)) = bytes.split_first() else {
        return;
    };
    let run = data.len() / (1 + usize::from(cuts & 3)) + 1;
    let mut deflater = Deflater::new();
    let mut stream = Vec::new();
    for block in data.chunks(run) {
        deflater.run(block, &mut stream);
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
    // What is bounded in depth and in its escapes is no more than the grammar takes.
    let mut cursor = TextCursor::new(bytes);
    let is_strict = text.is_some() && cursor.skip(0).is_ok() && cursor.end().is_ok();
    assert!(is_valid || !is_strict, "strict, and not valid");
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
