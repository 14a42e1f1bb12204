//! Strings of the file: `${VAR}` expanded, and each byte of the value traced back to its place in
//! the file, so that a fault inside a query or a prefix is shown where it was written.

use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, SourceFile, SourceSpan};

/// A string value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The value after escapes and variables.
    pub value: String,
    /// Where its bytes stand in the file.
    pub origin: TextOrigin,
}

/// Where the bytes of a value stand in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextOrigin {
    source: Arc<SourceFile>,
    whole: Range<usize>,
    /// The file's bytes that each byte of the value came from; `None` where that is unknown.
    bytes: Option<Vec<(u32, u32)>>,
}

impl TextOrigin {
    /// A whole file, whose bytes are the value.
    pub(super) fn file(source: Arc<SourceFile>) -> Self {
        let length = u32::try_from(source.text.len()).unwrap_or(u32::MAX);
        let bytes = (0..length).map(|at| (at, at + 1)).collect();
        Self {
            whole: 0..0,
            bytes: Some(bytes),
            source,
        }
    }

    /// A value at a place, whose bytes are not traced.
    pub(super) fn at(SourceSpan { source, at }: SourceSpan) -> Self {
        Self {
            source,
            whole: at,
            bytes: None,
        }
    }

    /// The place of a range of the value's bytes; of the whole value when `None`.
    pub fn place(&self, range: Option<Range<usize>>) -> SourceSpan {
        let source = Arc::clone(&self.source);
        let at = match (range, &self.bytes) {
            (Some(range), Some(bytes)) if !bytes.is_empty() => {
                let first = range.start.min(bytes.len());
                let last = range.end.clamp(first, bytes.len());
                let start = bytes.get(first).or(bytes.last()).map_or(0, |byte| byte.0);
                let start = if first == bytes.len() {
                    bytes[first - 1].1
                } else {
                    start
                };
                let end = if last > first {
                    bytes[last - 1].1
                } else {
                    start
                };
                start as usize..end as usize
            }
            _ => self.whole.clone(),
        };
        SourceSpan { source, at }
    }
}

/// Reads a string: expands its variables and traces its bytes. Faults are about its variables.
pub(super) fn read(
    decoded: &str,
    at: Range<usize>,
    source: &Arc<SourceFile>,
    env: &dyn Fn(&str) -> Option<String>,
) -> (Text, Vec<Diagnostic>) {
    let bytes = trace(decoded, &source.text, at.clone());
    let mut out = Expansion {
        decoded,
        from: TextOrigin {
            source: Arc::clone(source),
            whole: at.clone(),
            bytes,
        },
        value: String::with_capacity(decoded.len()),
        bytes: Vec::new(),
        faults: Vec::new(),
    };
    out.run(env);
    let Expansion {
        from,
        value,
        bytes,
        faults,
        ..
    } = out;
    let bytes = from.bytes.is_some().then_some(bytes);
    (
        Text {
            value,
            origin: TextOrigin { bytes, ..from },
        },
        faults,
    )
}

/// One pass over a string that replaces its variables.
struct Expansion<'a> {
    decoded: &'a str,
    from: TextOrigin,
    value: String,
    bytes: Vec<(u32, u32)>,
    faults: Vec<Diagnostic>,
}

impl Expansion<'_> {
    fn run(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        let decoded = self.decoded;
        let mut done = 0;
        while let Some(found) = decoded[done..].find("${") {
            let dollar = done + found;
            if decoded[done..dollar].ends_with('$') {
                // `$${` is a plain `${`.
                self.copy(done..dollar - 1);
                self.copy(dollar..dollar + 2);
                done = dollar + 2;
                continue;
            }
            self.copy(done..dollar);
            // Nobody knows what was meant behind a variable that is not closed.
            let Some(end) = closed(&decoded[dollar..]) else {
                self.fault(dollar..decoded.len(), "`${` without its `}`", ESCAPE_HELP);
                return;
            };
            self.variable(dollar..dollar + end, env);
            done = dollar + end;
        }
        self.copy(done..decoded.len());
    }

    fn variable(&mut self, at: Range<usize>, env: &dyn Fn(&str) -> Option<String>) {
        let inside = &self.decoded[at.start + 2..at.end - 1];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(word) || name.starts_with(|c: char| c.is_numeric())
        {
            let message = format!("\"{name}\" is not the name of a variable");
            let help = if name.contains(':') {
                format!("{ESCAPE_HELP}; expressions of prefixes begin with `!{{`")
            } else {
                ESCAPE_HELP.to_owned()
            };
            return self.fault(at, &message, &help);
        }
        let set = env(name).filter(|value| default.is_none() || !value.is_empty());
        let Some(value) = set.as_deref().or(default) else {
            let message = format!("the environment variable {name} is not set");
            let help = format!("set it, or give a default: `${{{name}:-…}}`");
            return self.fault(at, &message, &help);
        };
        let place = self.from.place(Some(at)).at;
        let place = (offset(place.start), offset(place.end));
        self.bytes.extend(std::iter::repeat_n(place, value.len()));
        self.value.push_str(value);
    }

    fn copy(&mut self, range: Range<usize>) {
        self.value.push_str(&self.decoded[range.clone()]);
        if let Some(bytes) = &self.from.bytes {
            self.bytes.extend_from_slice(&bytes[range]);
        }
    }

    fn fault(&mut self, at: Range<usize>, message: &str, help: &str) {
        let place = self.from.place(Some(at));
        self.faults
            .push(Diagnostic::fault(place, message).help(help));
    }
}

/// Where a variable ends that `text` begins with: at the brace of its own, so that a default may hold
/// pairs of braces.
fn closed(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

const ESCAPE_HELP: &str = "`${NAME}` and `${NAME:-default}` stand for environment variables; \
                           write `$${` for a plain `${`";

/// For each byte of `decoded`, the bytes of `text` it was written as; `at` is the string with its
/// quotes. `None` where the two cannot be matched.
fn trace(decoded: &str, text: &str, at: Range<usize>) -> Option<Vec<(u32, u32)>> {
    let written = text.get(at.clone())?;
    let quotes = if written.starts_with("\"\"\"") || written.starts_with("'''") {
        3
    } else {
        1
    };
    let escapes = written.starts_with('"');
    let mut rest = written.get(quotes..written.len().checked_sub(quotes)?)?;
    let mut position = at.start + quotes;
    if quotes == 3 {
        let trimmed = rest
            .strip_prefix("\r\n")
            .or(rest.strip_prefix('\n'))
            .unwrap_or(rest);
        position += rest.len() - trimmed.len();
        rest = trimmed;
    }
    let mut bytes = Vec::with_capacity(decoded.len());
    for character in decoded.chars() {
        let mut length = written_length(rest, escapes);
        while let Some(WrittenUnit::Nothing(skipped)) = length {
            position += skipped;
            rest = rest.get(skipped..)?;
            length = written_length(rest, escapes);
        }
        let Some(WrittenUnit::Character(length)) = length else {
            return None;
        };
        let plain = !(escapes && rest.starts_with('\\'));
        if plain && !rest.starts_with(character) {
            return None;
        }
        let range = (offset(position), offset(position + length));
        bytes.extend(std::iter::repeat_n(range, character.len_utf8()));
        position += length;
        rest = rest.get(length..)?;
    }
    Some(bytes)
}

/// What the next bytes of a written string stand for.
enum WrittenUnit {
    /// One character, written with this many bytes.
    Character(usize),
    /// Nothing: a backslash at the end of a line and the white space after it.
    Nothing(usize),
}

fn written_length(rest: &str, escapes: bool) -> Option<WrittenUnit> {
    let first = rest.chars().next()?;
    if first != '\\' || !escapes {
        return Some(WrittenUnit::Character(first.len_utf8()));
    }
    Some(match rest[1..].chars().next()? {
        'x' => WrittenUnit::Character(4),
        'u' => WrittenUnit::Character(6),
        'U' => WrittenUnit::Character(10),
        space if space.is_whitespace() => {
            let blank = rest[1..].trim_start_matches([' ', '\t', '\r', '\n']);
            WrittenUnit::Nothing(rest.len() - blank.len())
        }
        other => WrittenUnit::Character(1 + other.len_utf8()),
    })
}

/// Files are bounded far below 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
