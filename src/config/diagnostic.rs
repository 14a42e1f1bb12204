//! Faults and warnings with their place in a file, and how they look: `file:line:column: what`,
//! the line with the place underlined, and what would be right.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::printable::{printable_lines, steers, without_password};

/// Faults shown at once; the rest is counted.
const SHOWN_MAX: usize = 50;
/// Characters of a line that a snippet shows around the place.
const SNIPPET_MAX: usize = 120;

/// A text file that diagnostics point into.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as the user gave it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A range of bytes in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpan {
    /// The file.
    pub source: Arc<SourceFile>,
    /// Bytes of its text; clipped to it where it is longer.
    pub at: Range<usize>,
}

/// Whether a diagnostic stops the daemon from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It stops the daemon from starting.
    Fault,
    /// The daemon starts all the same.
    Warning,
}

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the daemon from starting.
    pub severity: Severity,
    /// Where it is; `None` when it has no place in a file.
    pub place: Option<SourceSpan>,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What is allowed, or the nearest right word.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A fault at a place.
    pub fn fault(place: SourceSpan, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            severity: Severity::Fault,
            place: Some(place),
            message,
            help: None,
        }
    }

    /// A warning at a place.
    pub fn warning(place: SourceSpan, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::fault(place, message)
        }
    }

    /// A fault without a place.
    pub fn placeless(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Fault,
            place: None,
            message: message.into(),
            help: None,
        }
    }

    /// A warning without a place.
    pub fn doubt(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::placeless(message)
        }
    }

    /// Adds what is allowed.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Fault => "",
            Severity::Warning => "warning: ",
        };
        let message = safe(&self.message);
        match &self.place {
            None => write!(formatter, "{word}{message}")?,
            Some(place) => {
                let snippet = Snippet::of(place);
                let Snippet {
                    line,
                    column,
                    text,
                    before,
                    width,
                } = &snippet;
                let path = safe(&place.source.path);
                let number = line.to_string();
                let gutter = " ".repeat(number.len());
                writeln!(formatter, "{path}:{line}:{column}: {word}{message}")?;
                writeln!(formatter, "{gutter} |")?;
                writeln!(formatter, "{number} | {text}")?;
                write!(
                    formatter,
                    "{gutter} | {}{}",
                    " ".repeat(*before),
                    "^".repeat(*width)
                )?;
            }
        }
        match &self.help {
            Some(help) => write!(formatter, "\n  help: {}", safe(help)),
            None => Ok(()),
        }
    }
}

/// Text that steers no terminal and tells no password.
fn safe(text: &str) -> String {
    printable_lines(&without_password(text)).into_owned()
}

/// The line of a place, cut to fit, and where the underline goes.
struct Snippet {
    /// Line number from 1.
    line: usize,
    /// Column in characters from 1.
    column: usize,
    /// The shown part of the line.
    text: String,
    /// Characters before the underline.
    before: usize,
    /// Characters underlined, at least 1.
    width: usize,
}

impl Snippet {
    fn of(place: &SourceSpan) -> Self {
        let text = place.source.text.as_str();
        let start = floor_boundary(text, place.at.start);
        let end = floor_boundary(text, place.at.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let line_number = 1 + text[..line_start]
            .bytes()
            .filter(|byte| *byte == b'\n')
            .count();
        let column = text[line_start..start].chars().count();
        let marked = text[start..end.min(line_end)]
            .trim_end_matches('\r')
            .chars()
            .count();

        let shown = without_secret(line);
        let skipped = if column + marked.min(40) > SNIPPET_MAX {
            column - 20
        } else {
            0
        };
        let mut cut: String = shown
            .chars()
            .skip(skipped)
            .take(SNIPPET_MAX)
            .map(visible)
            .collect();
        if shown.chars().count() > skipped + SNIPPET_MAX {
            cut.push('…');
        }
        let lead = if skipped > 0 { "…" } else { "" };
        let text = format!("{lead}{cut}");
        let before = column - skipped + lead.chars().count();
        let width = marked
            .min(text.chars().count().saturating_sub(before))
            .max(1);
        Self {
            line: line_number,
            column: column + 1,
            text,
            before,
            width,
        }
    }
}

/// Keys that are none of ours, or hold no secret, though somebody may think so.
const TAKEN_FOR_SECRETS: [&str; 6] = ["password", "pass", "token", "key", "api_key", "access_key"];

/// The line without what follows a key that says that its value is a secret, and without passwords in URLs.
fn without_secret(line: &str) -> std::borrow::Cow<'_, str> {
    let lower = line.to_ascii_lowercase();
    let user = lower.find("endpoint").filter(|_| line.contains('@'));
    let is_key = |at: usize, word: &str| {
        let before = lower[..at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_')
            && lower[at + word.len()..].trim_start().starts_with('=')
    };
    let other = TAKEN_FOR_SECRETS.iter().filter_map(|word| {
        let mut found = lower.match_indices(word);
        found.find_map(|(at, word)| is_key(at, word).then_some(at))
    });
    let other = other.min();
    let secret = lower.find("secret").or(other).or(user);
    let equals = secret.and_then(|at| Some(at + line[at..].find('=')?));
    match equals {
        Some(equals) => format!("{}= …", &line[..equals]).into(),
        None => without_password(line),
    }
}

/// Control characters would move the underline or the cursor.
fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        steering if steers(steering) => '\u{fffd}',
        other => other,
    }
}

/// The nearest character boundary at or before `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// Everything that was found: faults before warnings, both in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of them is a fault.
    pub fn has_faults(&self) -> bool {
        self.0
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Fault)
    }

    /// Adds one at its place in the order; what was said already is not said again.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.0.contains(&diagnostic) {
            return;
        }
        // A warning may follow from a fault, and is less than it.
        let order = |of: &Diagnostic| {
            let at = of.place.as_ref().map(|place| place.at.start);
            (of.severity == Severity::Warning, at)
        };
        let key = order(&diagnostic);
        let at = self.0.partition_point(|earlier| order(earlier) <= key);
        self.0.insert(at, diagnostic);
    }

    /// Adds many.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        others
            .into_iter()
            .for_each(|diagnostic| self.push(diagnostic));
    }

    /// All of them in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.0.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().take(SHOWN_MAX).enumerate() {
            if index > 0 {
                formatter.write_str("\n\n")?;
            }
            write!(formatter, "{diagnostic}")?;
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(formatter, "\n\nand {more} more"),
        }
    }
}

impl std::error::Error for Diagnostics {}
