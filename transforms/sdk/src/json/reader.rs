//! Reads a JSON text from front to back, once, and checks it on the way.
//!
//! It looks at eight bytes of a string at a time: an interruptible host pays for each round of a loop.

use super::{Key, MAX_DEPTH};
use crate::Failure;

/// A place in a JSON text.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

const EACH: u64 = 0x0101_0101_0101_0101;
const TOP: u64 = 0x8080_8080_8080_8080;

impl<'a> Reader<'a> {
    /// The beginning of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte that the next value begins with.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.at) {
            Some(byte @ 0x21..) => Some(*byte),
            _ => self.peek_further(),
        }
    }

    #[cold]
    fn peek_further(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Steps over the next value: its text.
    #[inline]
    pub fn value(&mut self) -> Result<&'a str, Failure> {
        let opens = matches!(self.peek(), Some(b'{' | b'['));
        let start = self.at;
        if opens {
            self.nested()?;
        } else {
            self.scalar()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// Steps through the object that is next. `each` gets the key, and must step over the value.
    #[inline]
    pub fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, Key<'a>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            each(self, key)?;
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Steps through the array that is next. `each` gets the index, and must step over the element.
    #[inline]
    pub fn elements(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        for index in 0.. {
            each(self, index)?;
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b']')
    }

    /// Checks that nothing follows.
    pub fn end(&mut self) -> Result<(), Failure> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.not_json("the end")),
        }
    }

    fn key(&mut self) -> Result<Key<'a>, Failure> {
        if self.peek() != Some(b'"') {
            return Err(self.not_json("a key"));
        }
        let start = self.at;
        self.string()?;
        let key = Key(&self.text[start..self.at]);
        self.expect(b':')?;
        Ok(key)
    }

    /// Steps over an object or array with all that is in it.
    fn nested(&mut self) -> Result<(), Failure> {
        // One bit a level, the deepest lowest: whether it is an object.
        let mut objects = 0_u128;
        let mut depth = 0;
        loop {
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(format!("nested deeper than {MAX_DEPTH} levels").into());
                    }
                    self.at += 1;
                    // `}` and `]` stand two after what they close.
                    if !self.take(open + 2) {
                        depth += 1;
                        objects = objects << 1 | u128::from(open == b'{');
                        if open == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let in_object = objects & 1 == 1;
                if self.take(b',') {
                    if in_object {
                        self.key()?;
                    }
                    break;
                }
                self.expect(if in_object { b'}' } else { b']' })?;
                objects >>= 1;
                depth -= 1;
            }
        }
    }

    #[inline]
    fn scalar(&mut self) -> Result<(), Failure> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.not_json("a value")),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Failure> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.not_json("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Failure> {
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            if !self.skip(b'-') {
                self.skip(b'+');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while let Some(chunk) = bytes[self.at..].first_chunk::<8>() {
            // Of what is no digit the top bit is set, at least of the first.
            let chunk = u64::from_le_bytes(*chunk) ^ (EACH * 0x30);
            let others = (chunk | chunk.wrapping_add(EACH * 0x76)) & TOP;
            self.at += others.trailing_zeros() as usize / 8;
            if others != 0 {
                break;
            }
        }
        while matches!(bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.not_json("a digit"));
        }
        Ok(())
    }

    /// Steps over a string, from its first quote.
    #[inline]
    fn string(&mut self) -> Result<(), Failure> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            if let Some(chunk) = bytes[self.at..].first_chunk::<8>() {
                // Of quotes, backslashes and control bytes the top bit is set, at least of the first.
                let chunk = u64::from_le_bytes(*chunk);
                let zero = |bytes: u64| bytes.wrapping_sub(EACH) & !bytes;
                let control = chunk.wrapping_sub(EACH * 0x20) & !chunk;
                let special =
                    (zero(chunk ^ (EACH * 0x22)) | zero(chunk ^ (EACH * 0x5c)) | control) & TOP;
                if special == 0 {
                    self.at += 8;
                    continue;
                }
                self.at += special.trailing_zeros() as usize / 8;
            }
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(self.not_json("the rest of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Failure> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        match bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits = bytes.get(self.at + 1..self.at + 5).unwrap_or_default();
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.not_json("four digits"));
                }
                self.at += 5;
            }
            _ => return Err(self.not_json("an escape")),
        }
        Ok(())
    }

    /// Steps over a byte, if it is the next one.
    fn skip(&mut self, byte: u8) -> bool {
        let found = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    /// The same after white space.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Failure> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.not_json(&format!("`{}`", char::from(byte))))
    }

    #[cold]
    fn not_json(&self, expected: &str) -> Failure {
        match self.text.len() {
            len if len == self.at => {
                format!("not JSON: it ends where {expected} is expected").into()
            }
            _ => format!("not JSON: expected {expected} at byte {}", self.at).into(),
        }
    }
}
