//! Records of lines: what all parsers of text share. A producer batches lines, so a record may hold several, each of
//! which becomes a record of its own or fails by itself.

use std::fmt::Debug;

use firehose_json::BOM;
use memchr::memchr;

use super::port::{Fault, Parts};
use crate::config::Table;

/// The key by which a table says whether a record may hold several lines.
pub(super) const KEY: &str = "lines";

/// What parses one line.
pub(super) trait Line: Debug + Send + Sync {
    /// Appends the JSON text of a line that has no line end.
    fn line(&self, line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault>;

    /// Where the first line ends, without its line feed. `is_torn` is kept from line to line: set it where an open
    /// quote is never closed, and lines end at line feeds from there on.
    fn end(&self, rest: &[u8], _is_torn: &mut bool) -> usize {
        line_end(rest)
    }

    /// Whether nothing stands in a line, so that it is passed over.
    fn is_blank(&self, line: &[u8]) -> bool {
        line.iter().all(u8::is_ascii_whitespace)
    }
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineOutcome {
    /// A record.
    Record,
    /// None: it names fields, or is a remark.
    Skipped,
}

/// Reads `lines`. `None`: it has a fault.
pub(super) fn read(table: &mut Table<'_>) -> Option<bool> {
    let is_there = table.has(KEY);
    let lines = table.boolean(KEY);
    if is_there { lines } else { Some(true) }
}

/// Parses a record of one line, or of several where `lines` says so.
pub(super) fn parse(
    parser: &dyn Line,
    lines: bool,
    record: &[u8],
    parts: &mut Parts<'_>,
) -> Result<(), Fault> {
    let record = record.strip_prefix(BOM).unwrap_or(record);
    let mut text = Vec::new();
    if !lines {
        return one(parser, without_end(record), &mut text, parts);
    }
    let mut each = Lines::of(parser, record).filter(|(_, line)| !parser.is_blank(line));
    let Some(first) = each.next() else {
        return Err(Fault::mismatch("the record is blank"));
    };
    let Some(second) = each.next() else {
        return one(parser, first.1, &mut text, parts);
    };
    for (index, line) in [first, second].into_iter().chain(each) {
        match parse_line(parser, line, &mut text) {
            Ok(LineOutcome::Record) => parts.put(&text)?,
            Ok(LineOutcome::Skipped) => parts.leave_out()?,
            Err(fault) => parts.fail(line, index, fault)?,
        }
    }
    Ok(())
}

/// A record that is one line: it fails as it came.
fn one(
    parser: &dyn Line,
    line: &[u8],
    text: &mut Vec<u8>,
    parts: &mut Parts<'_>,
) -> Result<(), Fault> {
    match parse_line(parser, line, text)? {
        LineOutcome::Record => parts.put(text),
        LineOutcome::Skipped => parts.leave_out(),
    }
}

fn parse_line(parser: &dyn Line, line: &[u8], text: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
    text.clear();
    let line = std::str::from_utf8(line).map_err(|_| Fault::not_utf8())?;
    parser.line(line, text)
}

/// The lines of a record with their numbers, without their ends.
struct Lines<'r> {
    parser: &'r dyn Line,
    rest: Option<&'r [u8]>,
    number: usize,
    is_torn: bool,
}

impl<'r> Lines<'r> {
    fn of(parser: &'r dyn Line, record: &'r [u8]) -> Self {
        Self {
            parser,
            rest: Some(record),
            number: 0,
            is_torn: false,
        }
    }
}

impl<'r> Iterator for Lines<'r> {
    type Item = (usize, &'r [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.filter(|rest| !rest.is_empty())?;
        let end = self.parser.end(rest, &mut self.is_torn);
        self.rest = rest.get(end + 1..);
        self.number += 1;
        Some((self.number - 1, without_end(&rest[..end])))
    }
}

/// Where the first line ends.
pub(super) fn line_end(rest: &[u8]) -> usize {
    memchr(b'\n', rest).unwrap_or(rest.len())
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
