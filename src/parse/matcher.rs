//! A regular expression whose named groups are fields. It is compiled within a bound, and takes time that grows with the
//! record and never otherwise: there is no backtracking.

use std::ops::Range;

use ::regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, Span};

use super::fields::{Field, ObjectWriter};
use super::lines::LineOutcome;
use super::port::{Fault, quoted};

/// Bytes of a pattern.
pub(super) const PATTERN_MAX: usize = 16 << 10;
/// Bytes that a compiled pattern may take.
const COMPILED_MAX: usize = 8 << 20;
/// Bytes of what is found out while it is matched, in each thread.
const FOUND_MAX: usize = 2 << 20;

/// A compiled pattern, and the fields that it finds.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    regex: Regex,
    /// Each with the groups that may hold it.
    fields: Vec<(Field, Vec<usize>)>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str() && self.fields == other.fields
    }
}

/// What is wrong with a pattern, and at which of its bytes, where that is known.
#[derive(Debug)]
pub(super) struct RegexFault {
    pub(super) at: Option<Range<usize>>,
    pub(super) message: String,
}

/// Compiles a pattern, within bounds. Where `lines` are not records of their own, `.` matches a line feed too: a pattern
/// that need not match to the end would lose what is behind the first one.
pub(super) fn compile(pattern: &str, lines: bool) -> Result<Regex, RegexFault> {
    if pattern.len() > PATTERN_MAX {
        return Err(RegexFault {
            at: None,
            message: format!("the pattern is longer than {PATTERN_MAX} bytes"),
        });
    }
    // For the place of a fault alone: the compiler tells none.
    let mut parser = ast::parse::ParserBuilder::new().build();
    if let Err(error) = parser.parse(pattern) {
        let Span { start, end } = error.span();
        return Err(RegexFault {
            at: Some(start.offset..end.offset),
            message: error.kind().to_string(),
        });
    }
    let compiled = RegexBuilder::new(pattern)
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(FOUND_MAX)
        .dot_matches_new_line(!lines)
        .build();
    compiled.map_err(|error| RegexFault {
        at: None,
        message: match error {
            ::regex::Error::CompiledTooBig(_) => {
                format!("the pattern takes more than {} MiB", COMPILED_MAX >> 20)
            }
            // What is shown with several lines ends with the reason.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            }
        },
    })
}

impl Matcher {
    /// A pattern whose groups hold these fields.
    pub(super) const fn of(regex: Regex, fields: Vec<(Field, Vec<usize>)>) -> Self {
        Self { regex, fields }
    }

    /// Appends what the pattern finds in a line.
    pub(super) fn line(&self, line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
        let mut places = self.regex.capture_locations();
        if self.regex.captures_read(&mut places, line).is_none() {
            let message = format!("the pattern does not match {}", quoted(line));
            return Err(Fault::mismatch(message));
        }
        let mut object = ObjectWriter::begin(out);
        for (field, groups) in &self.fields {
            let mut found = groups.iter().filter_map(|group| places.get(*group));
            match found.next() {
                Some((start, end)) => field.push(&line[start..end], &mut object)?,
                None => field.push_null(&mut object),
            }
        }
        object.end();
        Ok(LineOutcome::Record)
    }
}
