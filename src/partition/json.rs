//! Strict JSON (RFC 8259) by a cursor that never recurses: what it accepts is one valid text.

use super::number;
use crate::nesting::NESTING_MAX;

/// The text is no JSON, or nests deeper than records may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A place in a JSON text. The text must be UTF-8 as a whole; that is checked apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// A string as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawString<'a> {
    pub(super) text: &'a [u8],
    /// Whether there are escapes to decode.
    pub(super) escaped: bool,
}

/// A number as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawNumber<'a> {
    pub(super) text: &'a str,
    /// Neither fraction nor exponent.
    pub(super) integer: bool,
}

/// The beginning of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start<'a> {
    Null,
    Bool(bool),
    Number(RawNumber<'a>),
    String(RawString<'a>),
    Array,
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

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Steps over `byte` and white space before it, if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        if self.peek().is_none() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// Reads a scalar whole, or the bracket that opens an array or object.
    pub(super) fn start(&mut self) -> Result<Start<'a>, Malformed> {
        match self.peek().ok_or(Malformed)? {
            b'"' => {
                self.at += 1;
                self.string().map(Start::String)
            }
            b'{' => {
                self.at += 1;
                Ok(Start::Object)
            }
            b'[' => {
                self.at += 1;
                Ok(Start::Array)
            }
            b'-' | b'0'..=b'9' => self.number().map(Start::Number),
            b't' => self.word(b"true").map(|()| Start::Bool(true)),
            b'f' => self.word(b"false").map(|()| Start::Bool(false)),
            b'n' => self.word(b"null").map(|()| Start::Null),
            _ => Err(Malformed),
        }
    }

    /// An object's next key and the colon after it.
    pub(super) fn key(&mut self) -> Result<RawString<'a>, Malformed> {
        self.expect(b'"')?;
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        let end = self.at + word.len();
        if self.text.get(self.at..end) != Some(word) {
            return Err(Malformed);
        }
        self.at = end;
        Ok(())
    }

    /// The string whose opening quote has been read.
    fn string(&mut self) -> Result<RawString<'a>, Malformed> {
        let start = self.at;
        let mut escaped = false;
        loop {
            while let Some(word) = self.text[self.at..].first_chunk::<8>() {
                let found = special(u64::from_le_bytes(*word));
                if found != 0 {
                    self.at += found.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            match *self.text.get(self.at).ok_or(Malformed)? {
                b'"' => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(RawString { text, escaped });
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0..=0x1f => return Err(Malformed),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let rest = &self.text[self.at..];
        self.at += match rest.get(1).ok_or(Malformed)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => unicode(rest).ok_or(Malformed)?.1,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn number(&mut self) -> Result<RawNumber<'a>, Malformed> {
        let start = self.at;
        self.at += usize::from(self.text[self.at] == b'-');
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let integer_end = self.at;
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| Malformed)?;
        Ok(RawNumber {
            text,
            integer: self.at == integer_end,
        })
    }

    /// Steps over a value that stands inside `depth` arrays and objects.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), Malformed> {
        let start = self.start()?;
        self.skip_from(start, depth)
    }

    /// Steps over the rest of a value of which the start has been read.
    pub(super) fn skip_from(&mut self, start: Start<'a>, depth: usize) -> Result<(), Malformed> {
        // One bit for each open bracket: set in objects.
        let (mut kinds, mut open) = (0_u128, 0);
        let mut start = start;
        loop {
            let object = start == Start::Object;
            if object || start == Start::Array {
                if depth + open >= NESTING_MAX {
                    return Err(Malformed);
                }
                (kinds, open) = (kinds << 1 | u128::from(object), open + 1);
                if !self.eat(if object { b'}' } else { b']' }) {
                    if object {
                        self.key()?;
                    }
                    start = self.start()?;
                    continue;
                }
                (kinds, open) = (kinds >> 1, open - 1);
            }
            // A value has ended: close what ends with it, until another begins.
            loop {
                if open == 0 {
                    return Ok(());
                }
                let object = kinds & 1 == 1;
                match self.peek().ok_or(Malformed)? {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.key()?;
                        }
                        start = self.start()?;
                        break;
                    }
                    byte if byte == if object { b'}' } else { b']' } => {
                        self.at += 1;
                        (kinds, open) = (kinds >> 1, open - 1);
                    }
                    _ => return Err(Malformed),
                }
            }
        }
    }
}

impl RawString<'_> {
    /// Appends the string it stands for.
    pub(super) fn decode(&self, out: &mut Vec<u8>) {
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

impl RawNumber<'_> {
    /// Appends the number as jq prints it; integers keep their digits.
    pub(super) fn render(&self, out: &mut Vec<u8>) {
        if self.integer {
            out.extend_from_slice(self.text.as_bytes());
        } else {
            number::render(self.float(), out);
        }
    }

    /// The nearest float; beyond the largest it is infinite.
    pub(super) fn float(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }
}

/// The character of the `\uXXXX` escape that `text` begins with, and how many bytes it takes: 12
/// for a surrogate pair. A lone surrogate is no character.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |text: &[u8]| {
        let digits = text.strip_prefix(b"\\u")?.first_chunk::<4>()?;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit << 4 | char::from(*digit).to_digit(16)?)
        })
    };
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
pub(in crate::partition) mod tests;
