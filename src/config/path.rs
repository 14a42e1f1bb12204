//! Paths on this machine, as a config writes them.

use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::spans::{SpanMap, StageField};
use super::table::Table;

/// A path on this machine, from the folder of the config file on. Remembers how it is written.
pub(super) fn located(
    table: &mut Table<'_>,
    key: &'static str,
    base: &Path,
    stream: &str,
    field: StageField,
    spans: &mut SpanMap,
) -> Option<PathBuf> {
    let Some(written) = path(table, key) else {
        spans.keep_unread(stream, field);
        return None;
    };
    if written.is_relative() {
        spans.keep_relative(stream, field, &written);
    }
    Some(base.join(written))
}

/// A path on this machine, as it is written.
pub(super) fn path(table: &mut Table<'_>, key: &'static str) -> Option<PathBuf> {
    /// Linux' own limit.
    const PATH_MAX: usize = 4096;
    let place = table.place_of(key);
    let text = table.name_text(key, PATH_MAX)?;
    let help = if text.contains("://") {
        "write a path; a bucket is a destination of another `type`, with its name as `bucket`"
    } else if text == "~" || text.starts_with("~/") {
        "`~` means nothing here: write \"${HOME}/…\""
    } else {
        return Some(PathBuf::from(text));
    };
    let message = format!("\"{text}\" is no path");
    table
        .file
        .report(Diagnostic::fault(place, message).help(help));
    None
}
