//! Regular expressions: jq's matches, splits and substitutions.
//!
//! The engine takes time in proportion to pattern and text; both burn fuel before it runs.

use bytes::Bytes;
use regex_bites::bytes::{Captures, Regex, RegexBuilder};

use super::super::meter::charge;
use super::super::value::{Error, Map, Value};

/// A compiled pattern and a text to match.
struct Search<'t> {
    regex: Regex,
    global: bool,
    not_empty: bool,
    text: &'t Bytes,
}

impl<'t> Search<'t> {
    fn new(text: &'t Value, pattern: &Value, flags: &Value) -> Result<Self, Error> {
        let (Value::Text(text), Value::Text(pattern)) = (text, pattern) else {
            let message = format_args!("{text} cannot be matched with {pattern}: no strings");
            return Err(Error::str(message));
        };
        let flags = match flags {
            Value::Null => &[],
            Value::Text(flags) => &**flags,
            other => return Err(Error::typ(other.clone(), "string")),
        };
        charge(200 + pattern.len().saturating_mul(16 + text.len() / 256));
        let mut builder = RegexBuilder::new(str::from_utf8(pattern).unwrap_or(""));
        let (mut global, mut not_empty) = (false, false);
        for flag in flags {
            match flag {
                b'g' => global = true,
                b'n' => not_empty = true,
                b'i' => drop(builder.case_insensitive(true)),
                b'x' => drop(builder.ignore_whitespace(true)),
                // A dot matches line ends, too.
                b'm' | b'p' => drop(builder.dot_matches_new_line(true)),
                // `^` and `$` are the ends of the text anyway; no match is longer than another.
                b's' | b'l' => {}
                _ => {
                    let flags = String::from_utf8_lossy(flags);
                    let message = format_args!("{flags} is not a valid modifier string");
                    return Err(Error::str(message));
                }
            }
        }
        let regex = builder
            .build()
            .map_err(|why| Error::str(format_args!("invalid regex: {why}")))?;
        Ok(Self {
            regex,
            global,
            not_empty,
            text,
        })
    }

    /// The next match from a byte on.
    fn next(&self, text: &'t [u8], mut start: usize) -> Option<Captures<'t>> {
        loop {
            charge(1 + text.len().saturating_sub(start) / 256);
            let found = self.regex.captures_at(text, start)?;
            let whole = found.get(0)?;
            if !(self.not_empty && whole.is_empty()) {
                return Some(found);
            }
            start = after(text, whole.end());
            if start > text.len() {
                return None;
            }
        }
    }

    /// All matches that jq finds: after an empty one it goes on one character behind where it
    /// began to look, and it never looks at the very end of a text.
    fn matches(&self) -> impl Iterator<Item = Captures<'t>> {
        let text: &'t [u8] = self.text;
        let mut start = Some(0);
        std::iter::from_fn(move || {
            let from = start?;
            let found = self.next(text, from)?;
            let whole = found.get(0)?;
            let next = if whole.is_empty() {
                after(text, from)
            } else {
                whole.end()
            };
            start = (self.global && next < text.len()).then_some(next);
            Some(found)
        })
    }
}

/// The byte behind the character at a byte.
fn after(text: &[u8], at: usize) -> usize {
    let rest = str::from_utf8(&text[at..]).unwrap_or("");
    at + rest.chars().next().map_or(1, char::len_utf8)
}

pub(super) fn test(text: &Value, pattern: &Value, flags: &Value) -> Result<Value, Error> {
    let search = Search::new(text, pattern, flags)?;
    Ok(Value::Bool(search.next(search.text, 0).is_some()))
}

/// All matches, as jq describes them.
pub(super) fn matches(text: &Value, pattern: &Value, flags: &Value) -> Result<Value, Error> {
    let search = Search::new(text, pattern, flags)?;
    let mut offsets = Offsets::new(search.text);
    let described = search.matches().map(|found| {
        let (start, end) = found
            .get(0)
            .map_or((0, 0), |whole| (whole.start(), whole.end()));
        let offset = offsets.of(start);
        let mut entries = Map::default();
        let mut put = |name: &'static str, value| {
            entries.insert(Bytes::from_static(name.as_bytes()), value);
        };
        put("offset", offset.clone());
        put("length", characters(&search.text[start..end]));
        put("string", Value::text(search.text.slice(start..end)));
        let groups = if start == end {
            Vec::new()
        } else {
            let names = search.regex.capture_names().zip(0..).skip(1);
            let describe = |(name, index)| group(&search, &found, name, index);
            names.map(describe).collect()
        };
        put("captures", Value::array(groups));
        Value::object(entries)
    });
    Ok(described.collect())
}

/// A group of a match.
fn group(search: &Search<'_>, found: &Captures<'_>, name: Option<&str>, index: usize) -> Value {
    let mut entries = Map::default();
    let mut put = |name: &'static str, value| {
        entries.insert(Bytes::from_static(name.as_bytes()), value);
    };
    if let Some(part) = found.get(index) {
        put("offset", characters(&search.text[..part.start()]));
        let length = characters(part.as_bytes());
        let string = Value::text(search.text.slice(part.range()));
        // In jq's order.
        if part.is_empty() {
            put("string", string);
            put("length", length);
        } else {
            put("length", length);
            put("string", string);
        }
    } else {
        put("offset", Value::float(-1.0));
        put("string", Value::Null);
        put("length", Value::length(0));
    }
    put(
        "name",
        name.map_or(Value::Null, |name| Value::text(name.to_owned())),
    );
    Value::object(entries)
}

/// The parts between all matches.
pub(super) fn split(text: &Value, pattern: &Value, flags: &Value) -> Result<Value, Error> {
    let mut search = Search::new(text, pattern, flags)?;
    search.global = true;
    let (mut parts, mut at) = (Vec::new(), 0);
    for found in search.matches() {
        if let Some(whole) = found.get(0) {
            // An empty match may be found again, before where the last one ended.
            let end = whole.start().max(at);
            parts.push(Value::text(search.text.slice(at..end)));
            at = whole.end();
        }
    }
    parts.push(Value::text(search.text.slice(at..)));
    Ok(Value::array(parts))
}

/// What a substitution joins: `[text before a match, named groups]` for each, and the rest.
///
/// jq matches the rest of the text anew after each match, so that `^` matches there again; where
/// an empty match would keep it at its place for ever, this goes on one character further.
pub(super) fn pieces(text: &Value, pattern: &Value, flags: &Value) -> Result<Value, Error> {
    let search = Search::new(text, pattern, flags)?;
    let (mut pieces, mut begin, mut start, mut copied) = (Vec::new(), 0, 0, 0);
    while start <= search.text.len() - begin {
        let rest = &search.text[begin..];
        let Some(found) = search.next(rest, start) else {
            break;
        };
        let Some(whole) = found.get(0) else { break };
        let before = search.text.slice(copied..begin + whole.start());
        pieces.push(Value::array(vec![
            Value::text(before),
            named(&search, &found),
        ]));
        copied = begin + whole.end();
        if whole.is_empty() {
            start = after(rest, whole.end());
        } else {
            (begin, start) = (copied, 0);
        }
        if !search.global || copied == search.text.len() {
            break;
        }
    }
    pieces.push(Value::text(search.text.slice(copied..)));
    Ok(Value::array(pieces))
}

/// The named groups of a match that is not empty, as an object.
fn named(search: &Search<'_>, found: &Captures<'_>) -> Value {
    let empty = found.get(0).is_none_or(|whole| whole.is_empty());
    let names = search.regex.capture_names().zip(0..);
    let names = names.filter_map(|(name, index)| Some((name.filter(|_| !empty)?, index)));
    let entries = names.map(|(name, index)| {
        let part = found.get(index);
        let part = part.map(|part| Value::text(Bytes::copy_from_slice(part.as_bytes())));
        (
            Bytes::copy_from_slice(name.as_bytes()),
            part.unwrap_or_default(),
        )
    });
    Value::object(entries.collect())
}

fn characters(text: &[u8]) -> Value {
    charge(text.len() / 64);
    Value::length(str::from_utf8(text).map_or(0, |text| text.chars().count()))
}

/// Counts characters up to bytes that mostly grow.
struct Offsets<'t> {
    text: &'t [u8],
    byte: usize,
    characters: usize,
}

impl<'t> Offsets<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            byte: 0,
            characters: 0,
        }
    }

    fn of(&mut self, byte: usize) -> Value {
        if byte < self.byte {
            (self.byte, self.characters) = (0, 0);
        }
        let between = &self.text[self.byte..byte];
        charge(between.len() / 64);
        self.characters += str::from_utf8(between).map_or(0, |text| text.chars().count());
        self.byte = byte;
        Value::length(self.characters)
    }
}
