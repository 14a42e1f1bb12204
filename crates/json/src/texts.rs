//! Where the JSON texts of some bytes begin and end, by the grammar alone.
//!
//! Producers put several events into one record: one after the other, or each on a line of its own.
//! Neighbours are taken apart where both are objects or arrays, with or without white space between
//! them, or where a line end stands between them. A row of numbers or words in quotes is one record of some
//! other format, whatever a lenient reader would make of it.

use std::ops::Range;

use memchr::memchr2;

use super::{Grammar, Malformed, is_text, is_white, nested_end, scalar_end, token};

/// A record of more texts than this is left whole: all that comes of one record is held in memory together, and a text that
/// fails comes to an error line of some hundred bytes.
pub const TEXTS_MAX: usize = 1 << 16;

/// The JSON texts of some bytes in order, without the white space around them. Yields `Malformed`
/// once where the bytes go on and are no JSON text, or stand too close to the one before.
#[derive(Clone, Debug)]
pub struct Texts<'a> {
    text: &'a [u8],
    at: usize,
    /// First byte of the text before.
    before: Option<u8>,
}

impl<'a> Texts<'a> {
    /// The texts of `bytes`, which must be UTF-8.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if !is_text(bytes) {
            return Err(Malformed);
        }
        Ok(Self {
            text: bytes,
            at: 0,
            before: None,
        })
    }

    fn text(&self, start: usize, first: u8) -> Result<usize, Malformed> {
        let gap = &self.text[self.at..start];
        let apart = |before| {
            (is_bracket(before) && is_bracket(first)) || memchr2(b'\n', b'\r', gap).is_some()
        };
        if !self.before.is_none_or(apart) {
            return Err(Malformed);
        }
        value_end(self.text, start, first)
    }
}

impl Iterator for Texts<'_> {
    type Item = Result<Range<usize>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.text[self.at..];
        let start = self.at + rest.iter().position(|&byte| !is_white(byte))?;
        let first = self.text[start];
        let text = self.text(start, first).map(|end| start..end);
        self.at = text.as_ref().map_or(self.text.len(), |text| text.end);
        self.before = Some(first);
        Some(text)
    }
}

/// The place after a value that begins with `first` at `start`.
fn value_end(text: &[u8], start: usize, first: u8) -> Result<usize, Malformed> {
    if is_bracket(first) {
        nested_end::<Grammar>(text, start, 0)
    } else {
        scalar_end::<Grammar>(text, start, first)
    }
}

/// Where the elements of an array stand in its text, which is known to be valid.
pub fn elements(array: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 1;
    std::iter::from_fn(move || {
        // Behind the opening bracket, or at the comma after an element.
        at += usize::from(array.get(at) == Some(&b','));
        let (start, first) = token(array, at);
        let end = value_end(array, start, first).ok()?;
        at = token(array, end).0;
        Some(start..end)
    })
}

const fn is_bracket(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}

/// Whether `bytes` are exactly one JSON text, white space around it allowed.
pub fn is_one(bytes: &[u8]) -> bool {
    let Ok(mut texts) = Texts::of(bytes) else {
        return false;
    };
    matches!(texts.next(), Some(Ok(_))) && texts.next().is_none()
}

/// Appends the ends of a record's pieces, where it is wholly two or more JSON texts; nothing
/// otherwise. White space before the first text belongs to that one, all other to the text before
/// it, so that the pieces together are the record.
pub fn several(record: &[u8], ends: &mut Vec<usize>) {
    if may_be_several(record) {
        let before = ends.len();
        match split(record, |end| ends.push(end)) {
            Some(_) => ends.push(record.len()),
            None => ends.truncate(before),
        }
    }
}

/// How many pieces [`several`] makes of a record: 1 where it stays whole.
pub fn pieces(record: &[u8]) -> usize {
    let several = may_be_several(record).then(|| split(record, |_| ()));
    several.flatten().unwrap_or(1)
}

/// How many texts a record is, if it is to be taken apart; tells of each but the last where its piece ends.
fn split(record: &[u8], mut ends_at: impl FnMut(usize)) -> Option<usize> {
    let mut texts = Texts::of(record).ok()?;
    texts.next()?.ok()?;
    let mut count = 1;
    for text in texts {
        ends_at(text.ok()?.start);
        count += 1;
        if count > TEXTS_MAX {
            return None;
        }
    }
    (count > 1).then_some(count)
}

/// Whether a look at a few bytes leaves it open that a record is several texts. Most records are
/// one object, and this is all that is paid for them.
fn may_be_several(record: &[u8]) -> bool {
    let is_ink = |&byte: &u8| !is_white(byte);
    let (Some(start), Some(last)) = (
        record.iter().position(is_ink),
        record.iter().rposition(is_ink),
    ) else {
        return false;
    };
    let text = &record[start..=last];
    match text[0] {
        b'{' | b'[' => may_close_early(text),
        b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => memchr2(b'\n', b'\r', text).is_some(),
        _ => false,
    }
}

/// Whether a text that begins with a bracket may end before these bytes do: somewhere a bracket of
/// its kind closes and neither a comma nor another one follows.
fn may_close_early(text: &[u8]) -> bool {
    /// Bytes that are looked at together, in vectors.
    const BLOCK: usize = 32;
    let close = text[0] + 2; // in ASCII each closing bracket follows two after its opening one
    let (bytes, nexts) = (&text[..text.len() - 1], &text[1..]);
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let (next_blocks, next_rest) = nexts.as_chunks::<BLOCK>();
    // The rest as a whole block too, some of which has been looked at.
    let last = bytes.last_chunk().zip(nexts.last_chunk());
    let Some((last, next_last)) = last else {
        return any_early(close, rest, next_rest);
    };
    let of_block = |bytes: &[u8; BLOCK], nexts: &[u8; BLOCK]| any_early(close, bytes, nexts);
    let mut pairs = blocks.iter().zip(next_blocks);
    pairs.any(|(bytes, nexts)| of_block(bytes, nexts)) || of_block(last, next_last)
}

/// Without a branch, so that it becomes vector code.
#[inline]
fn any_early(close: u8, bytes: &[u8], nexts: &[u8]) -> bool {
    let pairs = bytes.iter().zip(nexts);
    let found = pairs.fold(0, |found, (&byte, &next)| {
        // One bit tells `]` from `}`.
        let goes_on = u8::from(next | 0x20 == b'}') | u8::from(next == b',');
        found | (u8::from(byte == close) & !goes_on)
    });
    found != 0
}

#[cfg(test)]
mod tests;
