//! Where the values that the stages judge stand in the file: a fault inside a query, a prefix or a
//! schema, or of a module, is shown at its own place.

use std::collections::BTreeMap;
use std::ops::Range;

use super::diagnostic::Place;
use super::text::{Origin, Text};

/// A value that a stage judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageField {
    /// `query` in `[stream.X.partitioning]`.
    Query,
    /// `event_time` in `[stream.X.partitioning]`.
    EventTime,
    /// `time_zone` in `[stream.X.partitioning]`.
    TimeZone,
    /// `prefix` in `[stream.X.destination]`.
    Prefix,
    /// `error_prefix` in `[stream.X.destination]`.
    ErrorPrefix,
    /// `prefix` in `[stream.X.backup]`.
    BackupPrefix,
    /// `schema` or the text of `schema_file` in `[stream.X.format]`.
    Schema,
    /// `module` in a `[[stream.X.transform]]`, counted from 0.
    Module(usize),
}

/// The places of all such values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanMap(BTreeMap<(String, StageField), Origin>);

impl SpanMap {
    /// The place of a range of bytes of a value (of all of it when `None`); `None` when the file
    /// does not hold the value.
    pub fn place(
        &self,
        stream: &str,
        field: StageField,
        range: Option<Range<usize>>,
    ) -> Option<Place> {
        self.0
            .get(&(stream.to_owned(), field))
            .map(|origin| origin.place(range))
    }

    /// Remembers where a value stands and hands the value on.
    pub(super) fn keep(
        &mut self,
        stream: &str,
        field: StageField,
        text: Option<Text>,
    ) -> Option<String> {
        let Text { value, origin } = text?;
        self.keep_origin(stream, field, origin);
        Some(value)
    }

    /// Remembers where a value stands.
    pub(super) fn keep_origin(&mut self, stream: &str, field: StageField, origin: Origin) {
        self.0.insert((stream.to_owned(), field), origin);
    }
}
