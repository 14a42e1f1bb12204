//! Faults in the expressions of a stream's partitioning, for diagnostics.

use std::ops::Range;

use firehose_jq as jq;

/// The setting a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartitionSetting {
    /// `partitioning.query`.
    Query,
    /// `partitioning.event_time`.
    EventTime,
    /// `destination.prefix`.
    Prefix,
    /// `destination.late_prefix`.
    LatePrefix,
    /// `destination.error_prefix`.
    ErrorPrefix,
    /// `backup.prefix`.
    BackupPrefix,
    /// `partitioning.time_zone`.
    TimeZone,
}

/// A fault in one of the expressions, for diagnostics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFault {
    /// The setting.
    pub field: PartitionSetting,
    /// Bytes inside that setting's value; `None` when the fault is the whole value or its absence.
    pub at: Option<Range<usize>>,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The system failed, not the setting: another attempt may succeed.
    pub is_transient: bool,
}

impl PartitionFault {
    /// What is wrong with the query in `field`.
    pub(super) fn of_query(field: PartitionSetting, fault: jq::QueryFault) -> Self {
        let jq::QueryFault {
            at,
            message,
            help,
            is_transient,
        } = fault;
        Self {
            field,
            at,
            message,
            help,
            is_transient,
        }
    }

    pub(super) fn at(
        field: PartitionSetting,
        at: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            field,
            at: Some(at),
            message: message.into(),
            help: None,
            is_transient: false,
        }
    }

    pub(super) fn whole(field: PartitionSetting, message: impl Into<String>) -> Self {
        Self {
            field,
            at: None,
            message: message.into(),
            help: None,
            is_transient: false,
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}
