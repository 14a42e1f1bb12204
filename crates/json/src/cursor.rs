//! A place in a JSON text that moves forward once.

use std::marker::PhantomData;

use super::decimal::WrittenNumber;
use super::{
    COLON, DIGIT, Dialect, NAME, Strict, VALUE, after, escaped_end, is_white, nested_end,
    number_end, run_end, scalar_end, token, unicode, word_end,
};

/// A place in a JSON text. The text must be UTF-8 as a whole: see [`is_text`](super::is_text).
#[derive(Clone, Copy, Debug)]
pub struct TextCursor<'a, D = Strict> {
    text: &'a [u8],
    at: usize,
    dialect: PhantomData<D>,
}

/// A string as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawString<'a> {
    /// What is between the quotes.
    pub text: &'a [u8],
    /// Whether there are escapes to decode.
    pub escaped: bool,
    /// Where its opening quote stands.
    pub at: usize,
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

impl<'a> TextCursor<'a> {
    /// At the beginning of a text, in the usual dialect.
    pub fn new(text: &'a [u8]) -> Self {
        Self::of(text)
    }
}

impl<'a, D: Dialect> TextCursor<'a, D> {
    /// At the beginning of a text.
    pub fn of(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            dialect: PhantomData,
        }
    }

    /// Bytes read so far.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The text from `start` up to here.
    #[inline]
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    /// Goes back to where it has been, to read what stands there once more.
    pub fn back_to(&mut self, at: usize) {
        self.at = self.at.min(at);
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// The next byte, if any, white space too.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over so many bytes, which have been looked at.
    #[inline]
    pub fn step(&mut self, length: usize) {
        self.at += length;
    }

    /// Steps over white space; the next byte, if any.
    #[inline]
    pub fn token(&mut self) -> Option<u8> {
        self.at = token(self.text, self.at).0;
        self.peek()
    }

    /// Why the text is no JSON here.
    #[cold]
    pub fn expected(&self, what: &'static str) -> D::Error {
        D::expected(self.at, what)
    }

    /// Reads a number into its digits; the cursor stands at its sign or first digit.
    #[inline]
    pub fn number(&mut self) -> Result<WrittenNumber<'a>, D::Error> {
        let (number, length) = WrittenNumber::read(self.rest())
            .map_err(|offset| D::expected(self.at + offset, DIGIT))?;
        self.step(length);
        Ok(number)
    }

    /// Steps over `byte` and white space before it, if it is next.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let (at, found) = token(self.text, self.at);
        let is_it = found == byte;
        if is_it {
            self.at = at + 1;
        }
        is_it
    }

    /// Steps over a closing bracket, which must be the next token where a comma is not.
    #[inline]
    pub fn close(&mut self, bracket: u8) -> Result<(), D::Error> {
        self.at = after::<D>(self.text, self.at, bracket, "`,` or the closing bracket")?;
        Ok(())
    }

    /// Nothing but white space may follow.
    pub fn end(&self) -> Result<(), D::Error> {
        if self.rest().iter().all(|&byte| is_white(byte)) {
            Ok(())
        } else {
            Err(self.expected("the end"))
        }
    }

    /// Reads a scalar whole, or the bracket that opens an array or object.
    pub fn start(&mut self) -> Result<Start<'a>, D::Error> {
        let (at, first) = token(self.text, self.at);
        self.at = at + 1;
        match first {
            b'"' => Ok(Start::String(self.string_inside()?)),
            b'{' => Ok(Start::Object),
            b'[' => Ok(Start::Array),
            b'-' | b'0'..=b'9' => {
                let (whole, end) = number_end::<D>(self.text, at)?;
                self.at = end;
                let text = std::str::from_utf8(&self.text[at..end]);
                Ok(Start::Number(RawNumber {
                    text: text.map_err(|_| D::expected(at, VALUE))?,
                    integer: whole == end,
                }))
            }
            _ => {
                self.at = scalar_end::<D>(self.text, at, first)?;
                Ok(match first {
                    b't' => Start::Bool(true),
                    b'f' => Start::Bool(false),
                    _ => Start::Null,
                })
            }
        }
    }

    /// An object's next key and the colon after it.
    #[expect(clippy::inline_always, reason = "as below")]
    #[inline(always)]
    pub fn key(&mut self) -> Result<RawString<'a>, D::Error> {
        self.at = after::<D>(self.text, self.at, b'"', NAME)?;
        let key = self.string_inside()?;
        self.at = after::<D>(self.text, self.at, b':', COLON)?;
        Ok(key)
    }

    /// Steps over `text` if it is what stands here; else stays.
    #[inline]
    pub fn eat_text(&mut self, text: &[u8]) -> bool {
        let is_it = self
            .rest()
            .get(..text.len())
            .is_some_and(|next| same(next, text));
        if is_it {
            self.at += text.len();
        }
        is_it
    }

    /// A string, which begins here.
    #[inline]
    pub fn string(&mut self) -> Result<RawString<'a>, D::Error> {
        self.at += 1;
        self.string_inside()
    }

    /// The string whose opening quote has been read.
    #[expect(
        clippy::inline_always,
        reason = "measured: a call hands the string over in memory, a fifth of decoding small records"
    )]
    #[inline(always)]
    fn string_inside(&mut self) -> Result<RawString<'a>, D::Error> {
        let (start, at) = (self.at, self.at - 1);
        let end = run_end(self.text, start);
        if self.text.get(end) == Some(&b'"') {
            self.at = end + 1;
            let (text, escaped) = (&self.text[start..end], false);
            return Ok(RawString { text, escaped, at });
        }
        self.at = escaped_end::<D>(self.text, end)?;
        let (text, escaped) = (&self.text[start..self.at - 1], true);
        Ok(RawString { text, escaped, at })
    }

    /// Steps over `true`, `false` or `null`: `word`.
    #[inline]
    pub fn word(&mut self, word: &'static str) -> Result<(), D::Error> {
        self.at = word_end::<D>(self.text, self.at, word.as_bytes())?;
        Ok(())
    }

    /// Steps over a value that stands inside `depth` arrays and objects.
    #[inline]
    pub fn skip(&mut self, depth: usize) -> Result<(), D::Error> {
        self.skip_as::<D>(depth)
    }

    /// The same of a value that another dialect must take.
    #[inline]
    pub fn skip_as<E: Dialect>(&mut self, depth: usize) -> Result<(), E::Error> {
        let (at, first) = token(self.text, self.at);
        self.at = match first {
            b'{' | b'[' => nested_end::<E>(self.text, at, depth)?,
            _ => scalar_end::<E>(self.text, at, first)?,
        };
        Ok(())
    }
}

/// Whether two slices of one length are equal: in place and by words, of which the last two may overlap, as what is
/// compared is too short for a call.
#[inline]
fn same(left: &[u8], right: &[u8]) -> bool {
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        let mut words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
        return left_end == right_end && words.all(|(left, right)| left == right);
    }
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<4>(), right.last_chunk::<4>()) {
        return left_end == right_end && left.first_chunk::<4>() == right.first_chunk::<4>();
    }
    left.iter().eq(right)
}

impl RawNumber<'_> {
    /// The nearest float; beyond the largest it is infinite.
    pub fn float(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }
}

impl RawString<'_> {
    /// Appends the string it stands for.
    ///
    /// An escaped surrogate without its partner stands for nothing: the error is its offset. There is
    /// none in a dialect that has them in pairs.
    pub fn decode(&self, out: &mut Vec<u8>) -> Result<(), usize> {
        let mut at = 0;
        while let Some(run) = memchr::memchr(b'\\', &self.text[at..]) {
            out.extend_from_slice(&self.text[at..at + run]);
            at += run;
            let byte = match self.text.get(at + 1) {
                Some(b'b') => 0x08,
                Some(b'f') => 0x0c,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'u') => {
                    let (char, length) = unicode(&self.text[at..]).ok_or(at)?;
                    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    at += length;
                    continue;
                }
                Some(byte) => *byte,
                None => return Err(at), // a string that has been read does not end so
            };
            out.push(byte);
            at += 2;
        }
        out.extend_from_slice(&self.text[at..]);
        Ok(())
    }
}
