//! Text: formats, code points, base64.

use bytes::Bytes;

use super::super::meter::charge;
use super::super::value::{Error, Value};
use super::math::to_int;

/// What stands for some bytes.
type Escapes = [(u8, &'static str)];

/// A format of rows.
pub(super) struct RowFormat {
    quote: &'static str,
    separator: &'static str,
    escapes: &'static Escapes,
}

pub(super) const CSV: RowFormat = RowFormat {
    quote: "\"",
    separator: ",",
    escapes: &[(b'"', "\"\"")],
};
pub(super) const TSV: RowFormat = RowFormat {
    quote: "",
    separator: "\t",
    escapes: &[
        (b'\t', "\\t"),
        (b'\r', "\\r"),
        (b'\n', "\\n"),
        (b'\\', "\\\\"),
    ],
};
pub(super) const HTML: &Escapes = &[
    (b'&', "&amp;"),
    (b'<', "&lt;"),
    (b'>', "&gt;"),
    (b'\'', "&apos;"),
    (b'"', "&quot;"),
];
pub(super) const SHELL: &Escapes = &[(b'\'', "'\\''")];

pub(super) fn escape(value: &Value, escapes: &Escapes) -> Result<Value, Error> {
    let mut out = Vec::new();
    escape_into(text(value)?, escapes, &mut out);
    Ok(Value::text(out))
}

/// Like jq, writes a NUL as `\0` always.
fn escape_into(text: &[u8], escapes: &Escapes, out: &mut Vec<u8>) {
    charge(text.len() / 16);
    for &byte in text {
        match escapes.iter().find(|(escaped, _)| *escaped == byte) {
            Some((_, instead)) => out.extend_from_slice(instead.as_bytes()),
            None if byte == 0 => out.extend_from_slice(b"\\0"),
            None => out.push(byte),
        }
    }
}

/// `@csv` and `@tsv`.
pub(super) fn row(value: &Value, format: &RowFormat) -> Result<Value, Error> {
    let Value::Array(array) = value else {
        return Err(Error::typ(value.clone(), "array"));
    };
    let mut out = Vec::new();
    for (index, item) in array.items.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(format.separator.as_bytes());
        }
        match item {
            Value::Null => {}
            Value::Number(number) if number.float().is_nan() => {}
            Value::Bool(_) | Value::Number(_) => item.write_json(&mut out),
            Value::Text(text) => {
                out.extend_from_slice(format.quote.as_bytes());
                escape_into(text, format.escapes, &mut out);
                out.extend_from_slice(format.quote.as_bytes());
            }
            other => {
                let message = format_args!("{other} is not valid in a csv row");
                return Err(Error::str(message));
            }
        }
    }
    Ok(Value::text(out))
}

/// The text without what it begins with, if it does; other values stay as they are.
pub(super) fn without_start(value: Value, start: &Value) -> Value {
    match (&value, start) {
        (Value::Text(text), Value::Text(start)) if starts_with(text, start) => {
            Value::text(text.slice(start.len()..))
        }
        _ => value,
    }
}

pub(super) fn without_end(value: Value, end: &Value) -> Value {
    match (&value, end) {
        (Value::Text(text), Value::Text(end)) if ends_with(text, end) => {
            Value::text(text.slice(..text.len() - end.len()))
        }
        _ => value,
    }
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    charge(text.len().min(start.len()) / 64);
    text.starts_with(start)
}

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    charge(text.len().min(end.len()) / 64);
    text.ends_with(end)
}

/// `@uri` of a text.
pub(super) fn uri(value: &Value) -> Result<Value, Error> {
    let text = text(value)?;
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => out.push(byte),
            byte if byte.is_ascii_alphanumeric() => out.push(byte),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    Ok(Value::text(out))
}

pub(super) fn implode(value: &Value) -> Result<Value, Error> {
    let Value::Array(array) = value else {
        return Err(Error::typ(value.clone(), "array"));
    };
    let mut text = String::new();
    for item in &array.items {
        charge(1);
        let point = match item {
            Value::Number(number) => u32::try_from(to_int(number.float())).ok(),
            _ => None,
        };
        let point = point.and_then(char::from_u32);
        text.push(point.ok_or_else(|| Error::str(format_args!("{item} is no character")))?);
    }
    Ok(Value::text(text))
}

/// Text ends at its padding, or without one; bits beyond the last byte count for nothing.
pub(super) fn decode_base64(value: &Value) -> Result<Value, Error> {
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );
    let text = text(value)?;
    let text = text.split(|byte| *byte == b'=').next().unwrap_or_default();
    let decoded = LENIENT
        .decode(text)
        .map_err(|_| Error::str(format_args!("{value} is no base64")))?;
    Ok(Value::text(readable(&decoded)))
}

/// Decodes UTF-8 as jq 1.6 does: an invalid sequence becomes one U+FFFD; one cut off at the end takes the rest of the
/// text with it.
fn readable(mut bytes: &[u8]) -> String {
    let mut out = String::new();
    while let [first, rest @ ..] = bytes {
        let length = match first {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        let more = rest.iter().take(length - 1);
        let more = more.take_while(|byte| (0x80..0xc0).contains(*byte)).count();
        let end = if length > bytes.len() {
            bytes.len()
        } else {
            1 + more
        };
        let (character, left) = bytes.split_at(end);
        match str::from_utf8(character) {
            Ok(character) if more + 1 == length => out.push_str(character),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
        bytes = left;
    }
    out
}

fn text(value: &Value) -> Result<&Bytes, Error> {
    let Value::Text(text) = value else {
        return Err(Error::typ(value.clone(), "string"));
    };
    charge(text.len() / 16);
    Ok(text)
}
