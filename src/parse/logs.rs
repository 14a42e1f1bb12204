//! What parsers of AWS' own logs share: a record of lines, in each of which stand the fields that AWS puts there, or those
//! that the user chose.

use super::ParserEntry;
use super::lines::{self, Line, LineOutcome};
use super::own_fields::{self, KnownFields, OwnField};
use super::port::{Fault, Parse, Parts};
use crate::config::{ParserKind, ParserSettings, ParserSpec, Table};

/// Appends the JSON text of a line of these fields.
type ReadLine = fn(&[OwnField], &str, &mut Vec<u8>) -> Result<LineOutcome, Fault>;

/// A kind of logs.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogKind {
    /// Its word.
    pub(super) word: &'static str,
    /// What the user chooses its fields from; `None`: all have the same.
    pub(super) choice: Option<&'static KnownFields>,
    /// Appends the JSON text of a line of these fields; there are none where the user chooses none.
    pub(super) line: ReadLine,
}

/// A word means one kind.
impl PartialEq for LogKind {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl Eq for LogKind {}

/// What the config says of a log.
#[derive(Debug, PartialEq, Eq)]
struct AwsLog {
    kind: LogKind,
    fields: Vec<OwnField>,
    lines: bool,
}

impl ParserKind for LogKind {
    fn word(&self) -> &'static str {
        self.word
    }

    fn keys(&self) -> &'static [&'static str] {
        if self.choice.is_some() {
            &[own_fields::KEY, lines::KEY]
        } else {
            &[lines::KEY]
        }
    }

    fn read(&self, table: &mut Table<'_>) -> Option<ParserSettings> {
        let fields = match self.choice {
            Some(choice) => choice.read(table),
            None => Some(Vec::new()),
        };
        let lines = lines::read(table);
        let log = AwsLog {
            kind: *self,
            fields: fields?,
            lines: lines?,
        };
        Some(log.into())
    }
}

impl ParserEntry for LogKind {
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse> {
        let log = settings.get::<AwsLog>().filter(|log| log.kind == *self);
        log.map(|log| log as &dyn Parse)
    }
}

impl ParserSpec for AwsLog {
    fn word(&self) -> &'static str {
        self.kind.word
    }
}

impl Parse for AwsLog {
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        lines::parse(self, self.lines, record, parts)
    }
}

impl Line for AwsLog {
    fn line(&self, line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
        (self.kind.line)(&self.fields, line, out)
    }
}
