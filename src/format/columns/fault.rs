//! Why a record does not become rows, gathered on the way out of the decoder.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::failure::{ErrorOutputType, Failure};

use super::cursor::Cursor;

/// Characters of the record that a message quotes at most.
const EXCERPT: usize = 60;

/// Characters of a map key that a path shows at most.
const KEY_SHOWN: usize = 40;

/// Characters of the name of an unknown member that a path shows at most.
const NAME_SHOWN: usize = 100;

/// What the decoder returns.
pub(super) type Fit<T> = Result<T, Fault>;

/// A reason and the way to it, boxed to keep the good road short.
#[derive(Debug)]
pub(super) struct Fault(Box<FaultDetail>);

#[derive(Debug)]
struct FaultDetail {
    reason: Reason,
    /// Innermost first.
    path: Vec<PathStep>,
}

#[derive(Debug)]
enum Reason {
    /// Not JSON.
    Syntax { at: usize, what: &'static str },
    /// JSON that the column cannot take; `at` is where the value starts.
    Mismatch {
        at: usize,
        expected: Box<str>,
        why: &'static str,
    },
    /// A member that no column takes, where there may be none.
    Unknown,
    /// Anything else.
    Other(&'static str),
}

#[derive(Debug)]
enum PathStep {
    Name(Box<str>),
    Index(usize),
    Key(Box<str>),
}

impl Fault {
    /// The text is no JSON at byte `at`, where `what` was expected.
    #[cold]
    pub(super) fn syntax(at: usize, what: &'static str) -> Self {
        Self::new(Reason::Syntax { at, what })
    }

    /// The value at byte `at` is no `expected` (a Hive type); `why` adds a reason or is empty.
    #[cold]
    pub(super) fn mismatch(at: usize, expected: impl fmt::Display, why: &'static str) -> Self {
        Self::new(Reason::Mismatch {
            at,
            expected: expected.to_string().into(),
            why,
        })
    }

    /// No column takes the member of this name.
    #[cold]
    pub(super) fn unknown(name: &[u8]) -> Self {
        let name = shortened(name, NAME_SHOWN);
        Self::new(Reason::Unknown).named(&name)
    }

    /// No field takes the item of this index of an array that stands for a struct.
    #[cold]
    pub(super) fn surplus(index: usize) -> Self {
        Self::new(Reason::Unknown).item(index)
    }

    /// Whether the record is JSON in which a value does not fit its column.
    pub(super) fn is_misfit(&self) -> bool {
        matches!(self.0.reason, Reason::Mismatch { .. })
    }

    /// A sentence that says it all.
    #[cold]
    pub(super) fn other(message: &'static str) -> Self {
        Self::new(Reason::Other(message))
    }

    fn new(reason: Reason) -> Self {
        Self(Box::new(FaultDetail {
            reason,
            path: Vec::new(),
        }))
    }

    /// The fault lies in the column or field of this name.
    #[cold]
    pub(super) fn named(mut self, name: &str) -> Self {
        self.0.path.push(PathStep::Name(name.into()));
        self
    }

    /// The fault lies in the item of this index.
    #[cold]
    pub(super) fn item(mut self, index: usize) -> Self {
        self.0.path.push(PathStep::Index(index));
        self
    }

    /// The fault lies at this key of a map.
    #[cold]
    pub(super) fn key(mut self, key: &[u8]) -> Self {
        let key = shortened(key, KEY_SHOWN);
        self.0.path.push(PathStep::Key(key.into()));
        self
    }

    /// What the error object says: Firehose's code and sentence, then the details.
    #[cold]
    pub(super) fn failure(&self, record: &[u8]) -> Failure {
        let (code, message): (_, Cow<'static, str>) = match &self.0.reason {
            Reason::Syntax { at, what } => {
                let message = format!("Encountered malformed JSON. At byte {at}: expected {what}.");
                ("DataFormatConversion.ParseError", message.into())
            }
            Reason::Mismatch { at, expected, why } => {
                let mut message = "Data does not match the schema. ".to_owned();
                let path = self.path();
                if !path.is_empty() {
                    _ = write!(message, "Column `{path}`: ");
                }
                _ = write!(
                    message,
                    "expected {expected}, found {}",
                    excerpt(record, *at)
                );
                if !why.is_empty() {
                    _ = write!(message, " ({why})");
                }
                message.push('.');
                ("DataFormatConversion.MalformedData", message.into())
            }
            Reason::Unknown => {
                let path = self.path();
                let message = format!("Data does not match the schema. No column takes `{path}`.");
                ("DataFormatConversion.MalformedData", message.into())
            }
            Reason::Other(message) => ("DataFormatConversion.MalformedData", (*message).into()),
        };
        Failure::new(ErrorOutputType::FormatConversionFailed, code, message)
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.0.path.iter().rev() {
            match step {
                PathStep::Name(name) if path.is_empty() => path.push_str(name),
                PathStep::Name(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                PathStep::Index(index) => _ = write!(path, "[{index}]"),
                PathStep::Key(key) => _ = write!(path, "[{key:?}]"),
            }
        }
        path
    }
}

/// The first characters of a name.
fn shortened(name: &[u8], most: usize) -> String {
    String::from_utf8_lossy(name).chars().take(most).collect()
}

/// The value at `at`, cut short where it is long.
fn excerpt(record: &[u8], at: usize) -> String {
    let rest = record.get(at..).unwrap_or_default();
    let mut cursor = Cursor::of(rest);
    let length = cursor.skip(0).map_or(rest.len(), |()| cursor.at());
    // Four bytes a character at most, and one character more to see that there is more.
    let shown = String::from_utf8_lossy(&rest[..length.min(4 * EXCERPT + 4)]);
    match shown.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
}
