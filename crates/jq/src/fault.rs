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
    /// The system failed, not the query: another attempt may succeed.
    pub is_transient: bool,
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
            is_transient: false,
        }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}
