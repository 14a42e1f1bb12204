//! Strict JSON (RFC 8259) by a cursor that never recurses: what it accepts is one valid text.
//!
//! Two strictnesses. Whoever reads values wants them readable (`STRICT`): nesting is bounded, and
//! escaped surrogates stand in pairs. Where texts are only told apart the grammar alone counts.

mod texts;

pub use texts::{TEXTS_MAX, Texts, elements, is_one, pieces, several};

use crate::nesting::NESTING_MAX;

/// The byte order mark that some editors and exporters put at the head of a UTF-8 file. Strict JSON
/// has none; it belongs to the file, not to what is in it.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// The text is no JSON, or nests deeper than records may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A place in a JSON text. The text must be UTF-8 as a whole: see [`is_text`].
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// A string as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawString<'a> {
    /// What is between the quotes.
    pub text: &'a [u8],
    /// Whether there are escapes to decode.
    pub escaped: bool,
}

/// A number as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawNumber<'a> {
    /// All of it.
    pub text: &'a str,
    /// Neither fraction nor exponent.
    pub integer: bool,
}

/// The beginning of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(RawNumber<'a>),
    /// A string.
    String(RawString<'a>),
    /// The opening bracket.
    Array,
    /// The opening brace.
    Object,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// High bits set in the bytes of a word that end a run of plain string text: quote, backslash,
/// control. The lowest one set is exact; those above it need not be.
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

// The scanner's parts take a place and return the next one: places then live in registers.

/// The first place from `at` on that is no white space.
#[inline]
fn token(text: &[u8], mut at: usize) -> Result<(usize, u8), Malformed> {
    loop {
        match *text.get(at).ok_or(Malformed)? {
            byte if byte > b' ' => return Ok((at, byte)),
            b' ' | b'\n' | b'\r' | b'\t' => at += 1,
            _ => return Err(Malformed),
        }
    }
}

/// The place after `byte`, which must be the next token.
#[inline]
fn after(text: &[u8], at: usize, byte: u8) -> Result<usize, Malformed> {
    match token(text, at)? {
        (at, found) if found == byte => Ok(at + 1),
        _ => Err(Malformed),
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
fn string_end<const STRICT: bool>(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let end = run_end(text, at);
    if text.get(end) == Some(&b'"') {
        Ok(end + 1)
    } else {
        escaped_end::<STRICT>(text, end)
    }
}

/// The same from a place inside the string on where its plain text ends.
#[cold]
fn escaped_end<const STRICT: bool>(text: &[u8], mut at: usize) -> Result<usize, Malformed> {
    loop {
        match *text.get(at).ok_or(Malformed)? {
            b'"' => return Ok(at + 1),
            b'\\' => {
                at += match text.get(at + 1).ok_or(Malformed)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' if STRICT => unicode(&text[at..]).ok_or(Malformed)?.1,
                    b'u' => unit(&text[at..]).map(|_| 6).ok_or(Malformed)?,
                    _ => return Err(Malformed),
                };
            }
            _ => return Err(Malformed),
        }
        at = run_end(text, at);
    }
}

/// The place after an object's key and its colon.
#[inline]
fn key_end<const STRICT: bool>(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let at = after(text, at, b'"')?;
    after(text, string_end::<STRICT>(text, at)?, b':')
}

#[inline]
fn digits_end(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut end = at;
    while text.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    if end > at { Ok(end) } else { Err(Malformed) }
}

/// The places after a number's whole part and after all of it.
#[inline]
fn number_end(text: &[u8], mut at: usize) -> Result<(usize, usize), Malformed> {
    at += usize::from(text.get(at) == Some(&b'-'));
    let whole = if text.get(at) == Some(&b'0') {
        at + 1
    } else {
        digits_end(text, at)?
    };
    at = whole;
    if text.get(at) == Some(&b'.') {
        at = digits_end(text, at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = digits_end(text, at)?;
    }
    Ok((whole, at))
}

#[inline]
fn word_end(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Malformed> {
    let end = at + word.len();
    if text.get(at..end) == Some(word) {
        Ok(end)
    } else {
        Err(Malformed)
    }
}

/// The place after a scalar that begins with `first` at `at`.
#[inline]
fn scalar_end<const STRICT: bool>(text: &[u8], at: usize, first: u8) -> Result<usize, Malformed> {
    match first {
        b'"' => string_end::<STRICT>(text, at + 1),
        b'-' | b'0'..=b'9' => Ok(number_end(text, at)?.1),
        b't' => word_end(text, at, b"true"),
        b'f' => word_end(text, at, b"false"),
        b'n' => word_end(text, at, b"null"),
        _ => Err(Malformed),
    }
}

/// The place after an array or object that stands inside `depth` others.
fn nested_end<const STRICT: bool>(
    text: &[u8],
    mut at: usize,
    depth: usize,
) -> Result<usize, Malformed> {
    const BITS: usize = u128::BITS as usize;
    // One bit for each open bracket: set in objects.
    let (mut kinds, mut open) = (0_u128, 0);
    // The same of the brackets around those, where more are open than strict JSON may have.
    let mut around: Vec<u128> = Vec::new();
    loop {
        let (place, first) = token(text, at)?;
        at = place;
        if matches!(first, b'{' | b'[') {
            if STRICT {
                if depth + open >= NESTING_MAX {
                    return Err(Malformed);
                }
            } else if open > 0 && open % BITS == 0 {
                around.push(kinds);
            }
            let object = first == b'{';
            (kinds, open) = (kinds << 1 | u128::from(object), open + 1);
            let (place, next) = token(text, at + 1)?;
            at = place;
            if next != closing(object) {
                if object {
                    at = key_end::<STRICT>(text, at)?;
                }
                continue;
            }
        } else {
            at = scalar_end::<STRICT>(text, at, first)?;
        }
        // A value has ended: close what ends with it, until another begins.
        loop {
            let object = kinds & 1 == 1;
            let (place, next) = token(text, at)?;
            at = place + 1;
            if next == b',' {
                if object {
                    at = key_end::<STRICT>(text, at)?;
                }
                break;
            }
            if next != closing(object) {
                return Err(Malformed);
            }
            (kinds, open) = (kinds >> 1, open - 1);
            if open == 0 {
                return Ok(at);
            }
            if !STRICT && open % BITS == 0 {
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

impl<'a> Cursor<'a> {
    /// At the beginning of a text.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Steps over `byte` and white space before it, if it is next.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        match after(self.text, self.at, byte) {
            Ok(at) => {
                self.at = at;
                true
            }
            Err(Malformed) => false,
        }
    }

    /// Steps over `byte`, which must be the next token.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        self.at = after(self.text, self.at, byte)?;
        Ok(())
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// Nothing but white space may follow.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.text[self.at..].iter().all(|&byte| is_white(byte)) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// Reads a scalar whole, or the bracket that opens an array or object.
    pub fn start(&mut self) -> Result<Start<'a>, Malformed> {
        let (at, first) = token(self.text, self.at)?;
        self.at = at + 1;
        match first {
            b'"' => Ok(Start::String(self.string()?)),
            b'{' => Ok(Start::Object),
            b'[' => Ok(Start::Array),
            b'-' | b'0'..=b'9' => {
                let (whole, end) = number_end(self.text, at)?;
                self.at = end;
                let text = std::str::from_utf8(&self.text[at..end]).map_err(|_| Malformed)?;
                Ok(Start::Number(RawNumber {
                    text,
                    integer: whole == end,
                }))
            }
            _ => {
                self.at = scalar_end::<true>(self.text, at, first)?;
                Ok(match first {
                    b't' => Start::Bool(true),
                    b'f' => Start::Bool(false),
                    _ => Start::Null,
                })
            }
        }
    }

    /// An object's next key and the colon after it.
    #[inline]
    pub fn key(&mut self) -> Result<RawString<'a>, Malformed> {
        self.at = after(self.text, self.at, b'"')?;
        let key = self.string()?;
        self.at = after(self.text, self.at, b':')?;
        Ok(key)
    }

    /// The string whose opening quote has been read.
    #[inline]
    fn string(&mut self) -> Result<RawString<'a>, Malformed> {
        let start = self.at;
        let end = run_end(self.text, start);
        if self.text.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(RawString {
                text: &self.text[start..end],
                escaped: false,
            });
        }
        self.at = escaped_end::<true>(self.text, end)?;
        Ok(RawString {
            text: &self.text[start..self.at - 1],
            escaped: true,
        })
    }

    /// Steps over a value that stands inside `depth` arrays and objects.
    #[inline]
    pub fn skip(&mut self, depth: usize) -> Result<(), Malformed> {
        let (at, first) = token(self.text, self.at)?;
        self.at = match first {
            b'{' | b'[' => nested_end::<true>(self.text, at, depth)?,
            _ => scalar_end::<true>(self.text, at, first)?,
        };
        Ok(())
    }
}

impl RawString<'_> {
    /// Appends the string it stands for.
    pub fn decode(&self, out: &mut Vec<u8>) {
        let mut rest = self.text;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let (byte, length) = match rest.get(1) {
                Some(b'b') => (0x08, 2),
                Some(b'f') => (0x0c, 2),
                Some(b'n') => (b'\n', 2),
                Some(b'r') => (b'\r', 2),
                Some(b't') => (b'\t', 2),
                Some(b'u') => {
                    let (char, length) = unicode(rest).unwrap_or(('\u{fffd}', rest.len()));
                    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &rest[length..];
                    continue;
                }
                Some(byte) => (*byte, 2),
                None => (b'\\', 1),
            };
            out.push(byte);
            rest = &rest[length..];
        }
        out.extend_from_slice(rest);
    }
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
pub(crate) mod tests;
