//! `logfmt`: `key=value` between spaces, values in quotes where they need them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use firehose_json::TextCursor;

use super::fields::{FIELDS_MAX, Object, push_text};
use super::lines::{self, Line, Said};
use super::port::{Fault, Parse, Parts, quoted};
use crate::config::{ParserKind, ParserSettings, ParserSpec, Table};

/// `type = "logfmt"`.
#[derive(Debug)]
pub(super) struct Kind;

/// What the config says of it.
#[derive(Debug, PartialEq, Eq)]
struct Logfmt {
    lines: bool,
}

impl ParserKind for Kind {
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

impl super::Kind for Kind {
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse> {
        settings.get::<Logfmt>().map(|own| own as &dyn Parse)
    }
}

impl ParserSpec for Logfmt {
    fn word(&self) -> &'static str {
        Kind.word()
    }
}

impl Parse for Logfmt {
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        lines::parse(self, self.lines, record, parts)
    }
}

impl Line for Logfmt {
    fn line(&self, line: &str, out: &mut Vec<u8>) -> Result<Said, Fault> {
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
        let (mut object, mut member) = (Object::begin(out), Vec::new());
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
        Ok(Said::Record)
    }
}

/// The value that some text begins with, and how many bytes it takes. In quotes it is as in JSON.
fn value(text: &str) -> Result<(Cow<'_, str>, usize), Fault> {
    if !text.starts_with('"') {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((Cow::Borrowed(&text[..end]), end));
    }
    let mut cursor = TextCursor::new(text.as_bytes());
    let fault = || Fault::mismatch(format!("a value in quotes is none: {}", quoted(text)));
    let string = cursor.string().map_err(|_| fault())?;
    let end = cursor.at();
    let follows = text[end..].chars().next();
    if follows.is_some_and(|c| !c.is_whitespace()) {
        return Err(fault());
    }
    if !string.escaped {
        return Ok((Cow::Borrowed(&text[1..end - 1]), end));
    }
    let mut decoded = Vec::new();
    let is_decoded = string.decode(&mut decoded).is_ok();
    let decoded = String::from_utf8(decoded).ok().filter(|_| is_decoded);
    Ok((Cow::Owned(decoded.ok_or_else(fault)?), end))
}
