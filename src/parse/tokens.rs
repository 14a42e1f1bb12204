//! Lines of values, between spaces some of them in quotes or brackets: access logs.

use memchr::memchr;

use super::fields::{Field, ObjectWriter, Type, push_text};
use super::port::Fault;

/// What stands where there is nothing, in quotes or not.
const NOTHING: &str = "-";
/// The member that holds what a line has behind all that is known.
const UNKNOWN: &str = "unknown_fields";

/// The values of a line.
pub(super) struct Tokens<'l> {
    rest: &'l str,
    /// Whether the last one stood in quotes.
    pub(super) is_quoted: bool,
}

impl<'l> Tokens<'l> {
    pub(super) const fn of(line: &'l str) -> Self {
        Self {
            rest: line,
            is_quoted: false,
        }
    }

    /// The value at this place of a line, counted from 0; a line has the first `always` of them.
    pub(super) fn value(&mut self, at: usize, always: usize) -> Result<Option<&'l str>, Fault> {
        let value = self.next()?;
        if value.is_none() && at < always {
            let message = format!("the line has {at} values, and a log at least {always}");
            return Err(Fault::mismatch(message));
        }
        Ok(value)
    }

    /// The next value, as it stands between its quotes or brackets. `None`: there is none.
    pub(super) fn next(&mut self) -> Result<Option<&'l str>, Fault> {
        self.rest = self.rest.trim_start_matches(' ');
        let bytes = self.rest.as_bytes();
        let (start, end, after) = match bytes.first() {
            None => return Ok(None),
            Some(b'"') => match closing(bytes) {
                Some(end) => (1, end, end + 1),
                None => return Err(Fault::mismatch("a quote is not closed")),
            },
            Some(b'[') => match self.rest.find(']') {
                Some(end) if matches!(bytes.get(end + 1), None | Some(b' ')) => (1, end, end + 1),
                Some(_) => return Err(Fault::mismatch("something follows a closing bracket")),
                None => return Err(Fault::mismatch("a bracket is not closed")),
            },
            Some(_) => {
                let end = self.rest.find(' ').unwrap_or(bytes.len());
                // The rest of a value in quotes that ended too early, at a quote of its own: what follows would come out
                // one column too late.
                if memchr(b'"', &bytes[..end]).is_some() {
                    return Err(Fault::mismatch("a quote stands inside a value"));
                }
                (0, end, end)
            }
        };
        self.is_quoted = bytes.first() == Some(&b'"');
        let value = &self.rest[start..end];
        self.rest = &self.rest[after..];
        Ok(Some(value))
    }
}

/// Where a value in quotes ends: at a quote that a space or the end follows, and no backslash precedes.
fn closing(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut is_escaped) = (1, false);
    loop {
        let byte = *bytes.get(at)?;
        let ends = || matches!(bytes.get(at + 1), None | Some(b' '));
        if byte == b'"' && !is_escaped && ends() {
            return Some(at);
        }
        is_escaped = byte == b'\\' && !is_escaped;
        at += 1;
    }
}

/// A value, if something stands in its place.
pub(super) fn present(value: Option<&str>) -> Option<&str> {
    value.filter(|value| *value != NOTHING)
}

/// Appends a value, or null.
pub(super) fn push(
    field: &Field,
    value: Option<&str>,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Fault> {
    if let Some(value) = present(value) {
        return field.push(value, object);
    }
    field.push_null(object);
    Ok(())
}

/// Appends the values that AWS may add some day to the ends of lines.
pub(super) fn push_unknown(
    tokens: &mut Tokens<'_>,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Fault> {
    let mut is_first = true;
    while let Some(value) = tokens.next()? {
        if is_first {
            object.member(&Field::new(UNKNOWN, Type::Text).member);
        }
        object.text.push(if is_first { b'[' } else { b',' });
        is_first = false;
        match present(Some(value)) {
            Some(value) => push_text(value, object.text),
            None => object.text.extend_from_slice(b"null"),
        }
    }
    if !is_first {
        object.text.push(b']');
    }
    Ok(())
}
