//! `logfmt`: `key=value` between spaces, values in quotes where they need them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::fields::{FIELDS_MAX, ObjectWriter, push_text};
use super::lines::{self, Line, LineOutcome};
use super::port::{Fault, Parse, Parts, quoted};
use crate::config::{ParserKind, ParserSettings, ParserSpec, Table};

/// `type = "logfmt"`.
#[derive(Debug)]
pub(super) struct LogfmtKind;

/// What the config says of it.
#[derive(Debug, PartialEq, Eq)]
struct Logfmt {
    lines: bool,
}

impl ParserKind for LogfmtKind {
    fn word(&self) -> &'static str {
        "logfmt"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[lines::KEY]
    }

    fn read(&self, table: &mut Table<'_>) -> Option<ParserSettings> {
        let lines = lines::read(table)?;
        Some(Logfmt { lines }.into())
    }
}

impl super::ParserEntry for LogfmtKind {
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse> {
        settings.get::<Logfmt>().map(|own| own as &dyn Parse)
    }
}

impl ParserSpec for Logfmt {
    fn word(&self) -> &'static str {
        LogfmtKind.word()
    }
}

impl Parse for Logfmt {
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        lines::parse(self, self.lines, record, parts)
    }
}

impl Line for Logfmt {
    fn line(&self, line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
        let (mut pairs, mut places) = (Vec::new(), HashMap::new());
        let (mut rest, mut has_value) = (line.trim(), false);
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| c == '=' || c.is_whitespace())
                .unwrap_or(rest.len());
            let key = &rest[..end];
            if key.is_empty() || key.contains('"') {
                let message = format!("no key where one was expected: {}", quoted(rest));
                return Err(Fault::mismatch(message));
            }
            rest = &rest[end..];
            let mut value = None;
            if let Some(after) = rest.strip_prefix('=') {
                has_value = true;
                let (found, length) = self::value(after)?;
                value = Some(found);
                rest = &after[length..];
            }
            // Of several with one name the last one counts, as it does of members of an object.
            match places.entry(key) {
                Entry::Occupied(place) => {
                    let place: &usize = place.get();
                    pairs[*place] = (key, value);
                }
                Entry::Vacant(place) => {
                    place.insert(pairs.len());
                    pairs.push((key, value));
                }
            }
            if pairs.len() > FIELDS_MAX {
                let message = format!("the line has more than {FIELDS_MAX} keys");
                return Err(Fault::mismatch(message));
            }
            rest = rest.trim_start();
        }
        if !has_value {
            let message = format!("no key=value in {}", quoted(line));
            return Err(Fault::mismatch(message));
        }
        let (mut object, mut member) = (ObjectWriter::begin(out), Vec::new());
        for (key, value) in pairs {
            member.clear();
            push_text(key, &mut member);
            member.push(b':');
            object.member(&member);
            match value {
                Some(value) => push_text(&value, object.text),
                None => object.text.extend_from_slice(b"true"),
            }
        }
        object.end();
        Ok(LineOutcome::Record)
    }
}

/// The value that some text begins with, and how many bytes it takes.
fn value(text: &str) -> Result<(Cow<'_, str>, usize), Fault> {
    if !text.starts_with('"') {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((Cow::Borrowed(&text[..end]), end));
    }
    let fault = || Fault::mismatch(format!("a value in quotes is none: {}", quoted(text)));
    let (value, end) = in_quotes(text).ok_or_else(fault)?;
    let follows = text[end..].chars().next();
    if follows.is_some_and(|c| !c.is_whitespace()) {
        return Err(fault());
    }
    Ok((value, end))
}

/// What stands in the quotes that some text begins with, and how many bytes it takes with them.
fn in_quotes(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let (mut decoded, mut at) = (Vec::new(), 1);
    loop {
        let rest = text.get(at..)?;
        let length = rest.find(['"', '\\'])?;
        let (plain, special) = rest.split_at(length);
        let end = at + length + 1;
        if special.starts_with('"') && at == 1 {
            return Some((Cow::Borrowed(plain), end));
        }
        decoded.extend_from_slice(plain.as_bytes());
        if special.starts_with('"') {
            let decoded = String::from_utf8(decoded).ok()?;
            return Some((Cow::Owned(decoded), end));
        }
        at += length + unescape(special, &mut decoded)?;
    }
}

/// Decodes the escape that some text begins with, one of JSON or of Go, whose loggers write most of logfmt: how many bytes
/// it takes. `None`: it is none.
fn unescape(text: &str, out: &mut Vec<u8>) -> Option<usize> {
    let letter = *text.as_bytes().get(1)?;
    let byte = match letter {
        b'"' | b'\'' | b'\\' | b'/' => letter,
        b'a' => 0x07,
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        // A byte, which need not be a character by itself.
        b'x' => {
            out.push(u8::try_from(hex(text, 2..4)?).ok()?);
            return Some(4);
        }
        b'u' => return pair(text, out),
        b'U' => return push_char(hex(text, 2..10)?, out).map(|()| 10),
        _ => return None,
    };
    out.push(byte);
    Some(2)
}

/// Decodes `\u` and four digits, or two of them, by which JSON writes a character that needs more.
fn pair(text: &str, out: &mut Vec<u8>) -> Option<usize> {
    let high = hex(text, 2..6)?;
    if !(0xd800..0xdc00).contains(&high) {
        return push_char(high, out).map(|()| 6);
    }
    let is_low = |low: &u32| (0xdc00..0xe000).contains(low);
    let follows = text.get(6..8) == Some("\\u");
    let low = hex(text, 8..12).filter(|low| follows && is_low(low))?;
    push_char(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), out).map(|()| 12)
}

fn push_char(code: u32, out: &mut Vec<u8>) -> Option<()> {
    let found = char::from_u32(code)?;
    out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

/// The number that hexadecimal digits in that place are.
fn hex(text: &str, place: Range<usize>) -> Option<u32> {
    let digits = text.get(place)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_those_of_json_and_of_go() {
        for (text, found) in [
            (r#""\x1b[1m\a\v\x7f""#, Some("\u{1b}[1m\u{7}\u{b}\u{7f}")),
            (
                r#""\U0001f600 \xf0\x9f\x98\x80 \ud83d\ude00""#,
                Some("😀 😀 😀"),
            ),
            (
                r#""\"\\\/\b\f\n\r\t\u00e9""#,
                Some("\"\\/\u{8}\u{c}\n\r\té"),
            ),
            (r#""\xff""#, None),
            (r#""\x+1""#, None),
            (r#""\xé""#, None),
            (r#""\ud83d""#, None),
            (r#""\ud83dxxde00""#, None),
            (r#""\ude00""#, None),
            (r#""\U00110000""#, None),
            (r#""\q""#, None),
            (r#""a\""#, None),
        ] {
            let value = value(text).ok();
            let expected = found.map(|found| (Cow::Borrowed(found), text.len()));
            assert_eq!(value, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_as_json_writes_it_is_read_as_it_was(text: String) {
            let mut written = Vec::new();
            push_text(&text, &mut written);
            let written = String::from_utf8(written).unwrap();
            prop_assert_eq!(in_quotes(&written), Some((Cow::Owned(text), written.len())));
        }
    }
}
