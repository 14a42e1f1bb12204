//! A reader of JSON text (RFC 8259) that moves forward once and never recurses.
//!
//! The caller has checked that the text is UTF-8, so every slice cut at ASCII bytes is, too.

use crate::decimal::Number;

use super::fault::{Fault, Fit};

/// Objects and arrays in a record nest at most so deep.
pub(super) const DEPTH_MAX: usize = 128;

/// The inside of a string as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a> {
    pub(super) raw: &'a [u8],
    /// Whether there is any backslash in it.
    pub(super) escaped: bool,
    /// Where the string starts (its quote).
    pub(super) at: usize,
}

/// The reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes read so far.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text from `start` up to here.
    #[inline]
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    /// The next byte, if any.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over the byte that `peek` showed.
    #[inline]
    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    /// Steps over white space.
    #[inline]
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over white space; the next byte, if any.
    #[inline]
    pub(super) fn next_token(&mut self) -> Option<u8> {
        self.space();
        self.peek()
    }

    /// A fault at the next byte.
    #[cold]
    pub(super) fn syntax(&self, what: &'static str) -> Fault {
        Fault::syntax(self.at, what)
    }

    /// Reads a member's key and the colon after it. The cursor stands at the key's quote and is left
    /// at the value.
    #[inline]
    pub(super) fn key(&mut self) -> Fit<Body<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a member's name in quotes"));
        }
        let key = self.string()?;
        if self.next_token() != Some(b':') {
            return Err(self.syntax("`:` after a member's name"));
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    /// Reads a member's key and the colon after it, if the key is this one; else stays.
    ///
    /// `key` holds nothing that would be escaped. The cursor stands at the key's quote.
    #[inline]
    pub(super) fn this_key(&mut self, key: &[u8]) -> bool {
        let rest = &self.text[self.at..];
        let end = key.len() + 1;
        let is_it =
            rest.get(end..end + 2) == Some(b"\":") && rest[0] == b'"' && same(&rest[1..end], key);
        if is_it {
            self.at += end + 2;
            self.space();
        }
        is_it
    }

    /// Reads a string; the cursor stands at its quote.
    #[inline]
    pub(super) fn string(&mut self) -> Fit<Body<'a>> {
        let at = self.at;
        let start = at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at += plain_run(&self.text[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.syntax("control characters in strings to be escaped")),
                None => return Err(self.syntax("the end of a string")),
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Body { raw, escaped, at })
    }

    /// Steps over one escape sequence.
    fn escape(&mut self) -> Fit<()> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.syntax("four hexadecimal digits after `\\u`"));
                }
                self.at += 6;
            }
            _ => return Err(self.syntax("an escape sequence of JSON")),
        }
        Ok(())
    }

    /// Reads a number; the cursor stands at its sign or first digit.
    #[inline]
    pub(super) fn number(&mut self) -> Fit<Number<'a>> {
        let (number, length) = Number::read(&self.text[self.at..])
            .map_err(|offset| Fault::syntax(self.at + offset, "a digit"))?;
        self.at += length;
        Ok(number)
    }

    /// Reads `true`, `false` or `null`; the cursor stands at its first letter.
    #[inline]
    pub(super) fn word(&mut self, word: &'static str) -> Fit<()> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax("`true`, `false` or `null`"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Steps over one value of any kind, checking its syntax; `depth` containers are open around it.
    pub(super) fn skip_value(&mut self, depth: usize) -> Fit<()> {
        // One bit a container opened here: set for objects.
        let mut objects = 0_u128;
        let mut open = 0;
        loop {
            // A value.
            match self.peek() {
                Some(b'"') => _ = self.string()?,
                Some(b'-' | b'0'..=b'9') => _ = self.number()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(bracket @ (b'{' | b'[')) => {
                    if depth + open >= DEPTH_MAX {
                        return Err(self.syntax("nesting of at most 128 levels"));
                    }
                    self.at += 1;
                    if self.next_token() == Some(bracket + 2) {
                        self.at += 1; // `}` and `]` follow two after their opening ones
                    } else {
                        objects = objects << 1 | u128::from(bracket == b'{');
                        open += 1;
                        if bracket == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => return Err(self.syntax("a value")),
            }
            // What follows it.
            loop {
                if open == 0 {
                    return Ok(());
                }
                let in_object = objects & 1 == 1;
                match (self.next_token(), in_object) {
                    (Some(b','), true) => {
                        self.at += 1;
                        self.space();
                        self.key()?;
                        break;
                    }
                    (Some(b','), false) => {
                        self.at += 1;
                        self.space();
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        objects >>= 1;
                        open -= 1;
                    }
                    (_, true) => return Err(self.syntax("`,` or `}`")),
                    (_, false) => return Err(self.syntax("`,` or `]`")),
                }
            }
        }
    }
}

/// Whether two slices of one length are equal: in place, as keys are too short for a call.
#[inline]
fn same(mut left: &[u8], mut right: &[u8]) -> bool {
    while let (Some((a, more_left)), Some((b, more_right))) = (
        left.split_first_chunk::<8>(),
        right.split_first_chunk::<8>(),
    ) {
        if a != b {
            return false;
        }
        (left, right) = (more_left, more_right);
    }
    left.iter().eq(right)
}

/// Length of the leading bytes that are neither quote, backslash nor control character.
#[inline]
fn plain_run(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    while let Some(chunk) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quotes = zero_bytes(word ^ (ONES * u64::from(b'"')));
        let backslashes = zero_bytes(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        // Borrows make bits wrong only above a right one, so the lowest is right.
        let found = quotes | backslashes | controls;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = &text[at..];
    at + tail
        .iter()
        .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
        .unwrap_or(tail.len())
}

/// Appends the text that a string's inside stands for.
///
/// A surrogate without its partner stands for nothing: the error is its offset in `raw`.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), usize> {
    let mut at = 0;
    while let Some(run) = memchr::memchr(b'\\', &raw[at..]) {
        out.extend_from_slice(&raw[at..at + run]);
        at += run;
        let plain = match raw[at + 1] {
            b'u' => {
                let (character, length) = code_point(&raw[at..]).ok_or(at)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
                continue;
            }
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            itself => itself,
        };
        out.push(plain);
        at += 2;
    }
    out.extend_from_slice(&raw[at..]);
    Ok(())
}

/// The character of `\uXXXX` or of a surrogate pair, and the length of its escapes.
fn code_point(raw: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = raw.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let first = unit(0)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Some((character, 6));
    }
    let pair = [first, unit(6)?];
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some((character, 12))
}

/// Appends JSON text that is known to be valid without its white space.
pub(super) fn compact(json: &[u8], out: &mut Vec<u8>) {
    let mut cursor = Cursor::new(json);
    while cursor.next_token().is_some() {
        let start = cursor.at();
        loop {
            match cursor.peek() {
                Some(b'"') if cursor.string().is_ok() => {}
                Some(b' ' | b'\n' | b'\t' | b'\r') | None => break,
                Some(_) => cursor.bump(),
            }
        }
        out.extend_from_slice(cursor.since(start));
    }
}
