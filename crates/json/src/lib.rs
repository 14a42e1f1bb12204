//! Strict JSON (RFC 8259) by a scanner that never recurses: what it accepts is one valid text.
//!
//! One scanner, in dialects. Readers of values need bounded nesting and paired surrogates; splitting a body into texts
//! needs the grammar alone; a dialect that reports errors to producers also gets the place, at no cost to the others.

use std::fmt;

mod cursor;
pub mod decimal;
pub mod nesting;
#[cfg(any(test, feature = "strategies"))]
pub mod strategies;
mod texts;

pub use cursor::{RawNumber, RawString, Start, TextCursor};
pub use texts::{TEXTS_MAX, Texts, elements, is_one, pieces, several};

use nesting::NESTING_MAX;

/// The byte order mark that some editors and exporters put at the head of a UTF-8 file. Strict JSON
/// has none; it belongs to the file, not to what is in it.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// The text is no JSON, or nests deeper than records may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What is taken for JSON, and what is said where it is none.
pub trait Dialect: Copy + fmt::Debug {
    /// Whether escaped surrogates must stand in pairs.
    const PAIRS: bool;
    /// Whether arrays and objects may nest no deeper than [`NESTING_MAX`].
    const IS_BOUNDED: bool;
    /// Why a text is not taken.
    type Error;

    /// At byte `at` the text is no JSON, where `what` was expected.
    fn expected(at: usize, what: &'static str) -> Self::Error;
}

/// What can be read as values, with bounds.
#[derive(Clone, Copy, Debug)]
pub enum Strict {}

/// The grammar and nothing else.
#[derive(Clone, Copy, Debug)]
enum Grammar {}

impl Dialect for Strict {
    const PAIRS: bool = true;
    const IS_BOUNDED: bool = true;
    type Error = Malformed;

    fn expected(_: usize, _: &'static str) -> Malformed {
        Malformed
    }
}

impl Dialect for Grammar {
    const PAIRS: bool = false;
    const IS_BOUNDED: bool = false;
    type Error = Malformed;

    fn expected(_: usize, _: &'static str) -> Malformed {
        Malformed
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// High bits set in the bytes of a word that end a run of plain string text: quote, backslash,
/// control. The lowest one set is exact; those above it need not be.
#[inline]
const fn special(word: u64) -> u64 {
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let quote = zeros(word ^ (ONES * b'"' as u64));
    let backslash = zeros(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

/// Whether it may stand between tokens.
pub const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

// What is expected in more than one place.
const DIGIT: &str = "a digit";
const NAME: &str = "a member's name in quotes";
const COLON: &str = "`:` after a member's name";
const VALUE: &str = "a value";
const PARTNER: &str = "a surrogate to be followed by its partner";

// The scanner's parts take a place and return the next one: places then live in registers.

/// The first place from `at` on that is no white space, and its byte: 0, which begins nothing, at the end.
#[inline]
fn token(text: &[u8], mut at: usize) -> (usize, u8) {
    loop {
        match text.get(at) {
            Some(&byte) if byte > b' ' => return (at, byte),
            Some(b' ' | b'\n' | b'\r' | b'\t') => at += 1,
            _ => return (at, 0),
        }
    }
}

/// The place after `byte`, which must be the next token: `what`.
#[inline]
fn after<D: Dialect>(
    text: &[u8],
    at: usize,
    byte: u8,
    what: &'static str,
) -> Result<usize, D::Error> {
    if text.get(at) == Some(&byte) {
        return Ok(at + 1);
    }
    match token(text, at) {
        (at, found) if found == byte => Ok(at + 1),
        (at, _) => Err(D::expected(at, what)),
    }
}

/// The end of the plain run of a string's text: its quote, a backslash, a control byte or the
/// end of all.
#[inline]
fn run_end(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text
        .get(at)
        .is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
    {
        at += 1;
    }
    at
}

/// The place after a string of which the opening quote has been read.
#[inline]
fn string_end<D: Dialect>(text: &[u8], at: usize) -> Result<usize, D::Error> {
    let end = run_end(text, at);
    if text.get(end) == Some(&b'"') {
        Ok(end + 1)
    } else {
        escaped_end::<D>(text, end)
    }
}

/// The same from a place inside the string on where its plain text ends.
#[cold]
fn escaped_end<D: Dialect>(text: &[u8], mut at: usize) -> Result<usize, D::Error> {
    loop {
        at += match (text.get(at), text.get(at + 1)) {
            (Some(b'"'), _) => return Ok(at + 1),
            (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
            (Some(b'\\'), Some(b'u')) => unicode_length::<D>(text, at)?,
            (Some(b'\\'), _) => return Err(D::expected(at, "an escape sequence of JSON")),
            (Some(_), _) => {
                let what = "control characters in strings to be escaped";
                return Err(D::expected(at, what));
            }
            (None, _) => return Err(D::expected(at, "the end of a string")),
        };
        at = run_end(text, at);
    }
}

/// Length of the `\uXXXX` escape at `at`; where they must stand in pairs, of both.
fn unicode_length<D: Dialect>(text: &[u8], at: usize) -> Result<usize, D::Error> {
    let escape = &text[at..];
    if unit(escape).is_none() {
        return Err(D::expected(at, "four hexadecimal digits after `\\u`"));
    }
    if !D::PAIRS {
        return Ok(6);
    }
    let found = unicode(escape).map(|(_, length)| length);
    found.ok_or_else(|| D::expected(at, PARTNER))
}

/// The place after an object's key and its colon.
#[inline]
fn key_end<D: Dialect>(text: &[u8], at: usize) -> Result<usize, D::Error> {
    let at = after::<D>(text, at, b'"', NAME)?;
    after::<D>(text, string_end::<D>(text, at)?, b':', COLON)
}

#[inline]
fn digits_end<D: Dialect>(text: &[u8], at: usize) -> Result<usize, D::Error> {
    let mut end = at;
    while text.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    if end > at {
        Ok(end)
    } else {
        Err(D::expected(at, DIGIT))
    }
}

/// The places after a number's whole part and after all of it.
#[inline]
fn number_end<D: Dialect>(text: &[u8], mut at: usize) -> Result<(usize, usize), D::Error> {
    at += usize::from(text.get(at) == Some(&b'-'));
    let whole = if text.get(at) != Some(&b'0') {
        digits_end::<D>(text, at)?
    } else if text.get(at + 1).is_some_and(u8::is_ascii_digit) {
        return Err(D::expected(at + 1, DIGIT)); // no leading zeros
    } else {
        at + 1
    };
    at = whole;
    if text.get(at) == Some(&b'.') {
        at = digits_end::<D>(text, at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = digits_end::<D>(text, at)?;
    }
    Ok((whole, at))
}

#[inline]
fn word_end<D: Dialect>(text: &[u8], at: usize, word: &[u8]) -> Result<usize, D::Error> {
    let end = at + word.len();
    if text.get(at..end) == Some(word) {
        Ok(end)
    } else {
        Err(D::expected(at, "`true`, `false` or `null`"))
    }
}

/// The place after a scalar that begins with `first` at `at`.
#[inline]
fn scalar_end<D: Dialect>(text: &[u8], at: usize, first: u8) -> Result<usize, D::Error> {
    match first {
        b'"' => string_end::<D>(text, at + 1),
        b'-' | b'0'..=b'9' => Ok(number_end::<D>(text, at)?.1),
        b't' => word_end::<D>(text, at, b"true"),
        b'f' => word_end::<D>(text, at, b"false"),
        b'n' => word_end::<D>(text, at, b"null"),
        _ => Err(D::expected(at, VALUE)),
    }
}

/// The place after an array or object that stands inside `depth` others.
fn nested_end<D: Dialect>(text: &[u8], mut at: usize, depth: usize) -> Result<usize, D::Error> {
    const BITS: usize = u128::BITS as usize;
    // One word has them all where there is a bound, which the message says.
    const _: () = assert!(NESTING_MAX == BITS);
    // One bit for each open bracket: set in objects.
    let (mut kinds, mut open) = (0_u128, 0);
    // The same of the brackets around those, where there is no bound.
    let mut around: Vec<u128> = Vec::new();
    loop {
        let (place, first) = token(text, at);
        at = place;
        if matches!(first, b'{' | b'[') {
            if D::IS_BOUNDED {
                if depth + open >= NESTING_MAX {
                    return Err(D::expected(at, "nesting of at most 128 levels"));
                }
            } else if open > 0 && open % BITS == 0 {
                around.push(kinds);
            }
            let object = first == b'{';
            (kinds, open) = (kinds << 1 | u128::from(object), open + 1);
            let (place, next) = token(text, at + 1);
            at = place;
            if next != closing(object) {
                if object {
                    at = key_end::<D>(text, at)?;
                }
                continue;
            }
        } else {
            at = scalar_end::<D>(text, at, first)?;
        }
        // A value has ended: close what ends with it, until another begins.
        loop {
            let object = kinds & 1 == 1;
            let (place, next) = token(text, at);
            at = place + 1;
            if next == b',' {
                if object {
                    at = key_end::<D>(text, at)?;
                }
                break;
            }
            if next != closing(object) {
                let what = if object { "`,` or `}`" } else { "`,` or `]`" };
                return Err(D::expected(place, what));
            }
            (kinds, open) = (kinds >> 1, open - 1);
            if open == 0 {
                return Ok(at);
            }
            if !D::IS_BOUNDED && open % BITS == 0 {
                kinds = around.pop().unwrap_or(kinds);
            }
        }
    }
}

const fn closing(object: bool) -> u8 {
    if object { b'}' } else { b']' }
}

/// Whether a record can be JSON text at all: UTF-8.
pub fn is_text(record: &[u8]) -> bool {
    record.is_ascii() || std::str::from_utf8(record).is_ok()
}

/// The code unit of the `\uXXXX` escape that `text` begins with.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// The character of the `\uXXXX` escape that `text` begins with, and how many bytes it takes: 12
/// for a surrogate pair. A lone surrogate is no character.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let first = unit(text)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = unit(&text[6..]).filter(|unit| (0xdc00..0xe000).contains(unit))?;
    Some((
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?,
        12,
    ))
}

#[cfg(test)]
mod tests;
