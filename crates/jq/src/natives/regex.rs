//! Regular expressions: jq's matches, splits and substitutions.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;

use super::super::matcher::{Match, Options, Pattern, Searches};
use super::super::meter::charge;
use super::super::value::{Error, Map, Value};

/// A compiled pattern and a text to match.
struct Search<'t> {
    pattern: Rc<Pattern>,
    global: bool,
    bytes: &'t Bytes,
    text: &'t str,
    searches: Searches,
}

impl<'t> Search<'t> {
    fn new(text: &'t Value, pattern: &Value, flags: &Value) -> Result<Self, Error> {
        let (Value::Text(bytes), Value::Text(pattern)) = (text, pattern) else {
            let message = format_args!("{text} cannot be matched with {pattern}: no strings");
            return Err(Error::str(message));
        };
        let flags = match flags {
            Value::Null => &[],
            Value::Text(flags) => &**flags,
            other => return Err(Error::typ(other.clone(), "string")),
        };
        let mut options = Options::default();
        let mut global = false;
        for flag in flags {
            match flag {
                b'g' => global = true,
                b'n' => options.not_empty = true,
                b'i' => options.ignore_case = true,
                b'x' => options.ignore_whitespace = true,
                // A dot matches line ends, too.
                b'm' | b'p' => options.dot_takes_line_ends = true,
                // `^` and `$` are the ends of the text anyway.
                b's' => {}
                b'l' => {
                    let message = "the flag l, for the longest match, is not supported";
                    return Err(Error::str(message));
                }
                _ => {
                    let flags = String::from_utf8_lossy(flags);
                    let message = format_args!("{flags} is not a valid modifier string");
                    return Err(Error::str(message));
                }
            }
        }
        let text = utf8(bytes);
        let pattern = Pattern::new(utf8(pattern), options)
            .map_err(|why| Error::str(format_args!("invalid regex: {why}")))?;
        Ok(Self {
            searches: pattern.searches(text),
            pattern,
            global,
            bytes,
            text,
        })
    }

    /// The next match from a byte on.
    fn next(&self, text: &str, start: usize) -> Option<Match> {
        self.pattern.find(text, start, &self.searches)
    }

    /// All matches that jq finds: after an empty one it goes on one character behind where it
    /// began to look, and it never looks at the very end of a text.
    fn matches(&self) -> impl Iterator<Item = Match> {
        let mut start = Some(0);
        std::iter::from_fn(move || {
            let from = start?;
            let found = self.next(self.text, from)?;
            let whole = found.whole();
            let next = if whole.is_empty() {
                after(self.text, from)
            } else {
                whole.end
            };
            start = (self.global && next < self.text.len()).then_some(next);
            Some(found)
        })
    }
}

/// Text that is UTF-8, as all values are.
fn utf8(text: &[u8]) -> &str {
    charge(text.len() / 1024);
    str::from_utf8(text).unwrap_or("")
}

/// The byte behind the character at a byte.
fn after(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

pub(super) fn test(text: &Value, pattern: &Value, flags: &Value) -> Result<Value, Error> {
    let search = Search::new(text, pattern, flags)?;
    let found = search.pattern.is_match(search.text, &search.searches);
    Ok(Value::Bool(found))
}

/// All matches, as jq describes them.
pub(super) fn matches(text: &Value, pattern: &Value, flags: &Value) -> Result<Value, Error> {
    let search = Search::new(text, pattern, flags)?;
    let mut offsets = Offsets::new(search.text);
    let described = search.matches().map(|found| {
        let Range { start, end } = found.whole();
        let offset = offsets.of(start);
        let mut entries = Map::default();
        let mut put = |name: &'static str, value| {
            entries.insert(Bytes::from_static(name.as_bytes()), value);
        };
        put("offset", offset.clone());
        put("length", characters(&search.text[start..end]));
        put("string", Value::text(search.bytes.slice(start..end)));
        let groups = if start == end {
            Vec::new()
        } else {
            let names = search.pattern.names().zip(0..).skip(1);
            let describe = |(name, index)| group(&search, &found, name, index);
            names.map(describe).collect()
        };
        put("captures", Value::array(groups));
        Value::object(entries)
    });
    Ok(described.collect())
}

/// A group of a match.
fn group(search: &Search<'_>, found: &Match, name: Option<&str>, index: usize) -> Value {
    let mut entries = Map::default();
    let mut put = |name: &'static str, value| {
        entries.insert(Bytes::from_static(name.as_bytes()), value);
    };
    if let Some(part) = found.group(index) {
        put("offset", characters(&search.text[..part.start]));
        let length = characters(&search.text[part.clone()]);
        let string = Value::text(search.bytes.slice(part.clone()));
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
        let whole = found.whole();
        // An empty match may be found again, before where the last one ended.
        parts.push(Value::text(search.bytes.slice(at..whole.start.max(at))));
        at = whole.end;
    }
    parts.push(Value::text(search.bytes.slice(at..)));
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
        let whole = found.whole();
        let before = search.bytes.slice(copied..begin + whole.start);
        pieces.push(Value::array(vec![
            Value::text(before),
            named(&search, rest, &found),
        ]));
        copied = begin + whole.end;
        if whole.is_empty() {
            start = after(rest, whole.end);
        } else {
            (begin, start) = (copied, 0);
        }
        if !search.global || copied == search.text.len() {
            break;
        }
    }
    pieces.push(Value::text(search.bytes.slice(copied..)));
    Ok(Value::array(pieces))
}

/// The named groups of a match that is not empty, as an object.
fn named(search: &Search<'_>, text: &str, found: &Match) -> Value {
    let empty = found.whole().is_empty();
    let names = search.pattern.names().zip(0..);
    let names = names.filter_map(|(name, index)| Some((name.filter(|_| !empty)?, index)));
    let entries = names.map(|(name, index)| {
        let part = found.group(index);
        let part = part.map(|part| Value::text(text[part].to_owned()));
        (
            Bytes::copy_from_slice(name.as_bytes()),
            part.unwrap_or_default(),
        )
    });
    Value::object(entries.collect())
}

fn characters(text: &str) -> Value {
    charge(text.len() / 64);
    Value::length(text.chars().count())
}

/// Counts characters up to bytes that mostly grow.
struct Offsets<'t> {
    text: &'t str,
    byte: usize,
    characters: usize,
}

impl<'t> Offsets<'t> {
    fn new(text: &'t str) -> Self {
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
        self.characters += between.chars().count();
        self.byte = byte;
        Value::length(self.characters)
    }
}
