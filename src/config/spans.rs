//! Where the values that the stages judge stand in the file: a fault inside a query, a prefix or a
//! schema, or of a module, is shown at its own place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::diagnostic::SourceSpan;
use super::table::Table;
use super::text::{Text, TextOrigin};

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
    /// `late_prefix` in `[stream.X.destination]`.
    LatePrefix,
    /// `error_prefix` in `[stream.X.destination]`.
    ErrorPrefix,
    /// `prefix` in `[stream.X.backup]`.
    BackupPrefix,
    /// `schema` or the text of `schema_file` in `[stream.X.format]`.
    Schema,
    /// `module` in a `[[stream.X.transform]]`, counted from 0.
    Module(usize),
    /// `state_dir` at the top level, which is of no stream: its name is empty.
    StateDir,
    /// The store of `[stream.X.destination]`: `path` or `bucket`.
    Store,
    /// The table `[stream.X.catalog]`.
    Catalog,
    /// The store of `[stream.X.errors.destination]`.
    ErrorStore,
    /// The store of `[stream.X.backup.destination]`.
    BackupStore,
}

/// The places of all such values, and which of them could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanMap {
    origins: BTreeMap<(String, StageField), TextOrigin>,
    /// The tables that values stand in, for what is missing there.
    tables: BTreeMap<(String, StageField), SourceSpan>,
    unread: BTreeSet<(String, StageField)>,
    relative: BTreeMap<(String, StageField), PathBuf>,
}

impl SpanMap {
    /// The place of a range of bytes of a value (of all of it when `None`), or of the table that lacks
    /// it; `None` when the file has neither.
    pub fn place(
        &self,
        stream: &str,
        field: StageField,
        range: Option<Range<usize>>,
    ) -> Option<SourceSpan> {
        let key = (stream.to_owned(), field);
        let origin = self.origins.get(&key).map(|origin| origin.place(range));
        origin.or_else(|| self.tables.get(&key).cloned())
    }

    /// Whether the file has the value with a fault that is reported already: the settings hold
    /// something made up in its place.
    pub fn is_unread(&self, stream: &str, field: StageField) -> bool {
        self.unread.contains(&(stream.to_owned(), field))
    }

    /// A path as it is written, where it is relative.
    pub fn relative(&self, stream: &str, field: StageField) -> Option<&Path> {
        let key = (stream.to_owned(), field);
        self.relative.get(&key).map(PathBuf::as_path)
    }

    /// Reads a string, remembers where it stands and hands it on.
    pub(super) fn keep(
        &mut self,
        stream: &str,
        field: StageField,
        table: &mut Table<'_>,
        key: &'static str,
    ) -> Option<String> {
        let text = table.string(key);
        self.keep_table(stream, field, table);
        if let (None, true) = (&text, table.has(key)) {
            self.keep_unread(stream, field);
        }
        let Text { value, origin } = text?;
        self.keep_origin(stream, field, origin);
        Some(value)
    }

    /// Remembers where a value stands.
    pub(super) fn keep_origin(&mut self, stream: &str, field: StageField, origin: TextOrigin) {
        self.origins.insert((stream.to_owned(), field), origin);
    }

    /// Remembers the table that a value would stand in.
    pub(super) fn keep_table(&mut self, stream: &str, field: StageField, table: &Table<'_>) {
        let place = table.place();
        self.tables.insert((stream.to_owned(), field), place);
    }

    /// Remembers that a value could not be read.
    pub(super) fn keep_unread(&mut self, stream: &str, field: StageField) {
        self.unread.insert((stream.to_owned(), field));
    }

    /// Remembers a relative path as it is written.
    pub(super) fn keep_relative(&mut self, stream: &str, field: StageField, path: &Path) {
        let path = path.to_owned();
        self.relative.insert((stream.to_owned(), field), path);
    }
}
