//! Why records failed, in a few lines for people: by `explain` of records that would, by `put` of
//! records that did.

use std::io::{self, Write};

use super::shown::shown;
use crate::telemetry::FailedRecords;

/// Records that failed with one code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FailureCause {
    /// Type and codes.
    pub(super) kind: String,
    pub(super) records: u64,
    /// Messages and the number of records that had each.
    pub(super) reasons: Vec<(String, u64)>,
    /// Records with further messages.
    pub(super) others: u64,
}

impl FailureCause {
    /// `transform` is the module and our own code for what went wrong there.
    pub(super) fn named(output_type: &str, code: &str, transform: Option<(&str, &str)>) -> Self {
        let kind = match transform {
            None => format!("{output_type}, {code}"),
            Some((module, own)) => format!("{output_type}, {code}, {own} in {module}"),
        };
        Self {
            kind,
            ..Self::default()
        }
    }

    pub(super) fn of(failed: &FailedRecords) -> Self {
        let kind = &failed.kind;
        Self {
            records: failed.records,
            reasons: failed.reasons.told.clone(),
            others: failed.reasons.others,
            ..Self::named(kind.output_type.as_str(), kind.code(), kind.transform())
        }
    }

    /// One line, or one more for each reason where there are several.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "   {} {}", self.records, shown(&self.kind))?;
        if let ([(reason, _)], 0) = (&self.reasons[..], self.others) {
            return writeln!(out, ": {}", shown(reason));
        }
        writeln!(out)?;
        for (reason, records) in &self.reasons {
            writeln!(out, "      {records} {}", shown(reason))?;
        }
        if self.others > 0 {
            writeln!(out, "      {} for other reasons", self.others)?;
        }
        Ok(())
    }
}
