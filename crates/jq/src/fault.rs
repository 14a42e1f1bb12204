//! Faults of queries, for diagnostics.

use std::ops::Range;

/// A fault of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryFault {
    /// Bytes of the query; `None` when the fault is the whole.
    pub at: Option<Range<usize>>,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// It is the system's and not the query's: another attempt may go well.
    pub is_of_system: bool,
}

impl QueryFault {
    pub(crate) fn at(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at: Some(at),
            ..Self::whole(message)
        }
    }

    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self {
            at: None,
            message: message.into(),
            help: None,
            is_of_system: false,
        }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}
