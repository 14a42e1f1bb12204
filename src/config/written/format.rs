//! The format tables: what the objects look like inside, by the format's own reader, and what fails before it.

use std::path::Path;
use std::slice;

use crate::config::Registry;
use crate::config::format::{FormatKind, FormatSettings, FormatTable, keys};
use crate::config::spans::{SpanMap, StageField};
use crate::config::table::Table;

/// What becomes of records that are no JSON: a matter of the stream, for formats that expect some.
const NOT_JSON: &[&str] = &["not_json"];

/// `[stream.X.format]`, and whether it takes JSON only; where it cannot be had (the fault is reported)
/// one is made up.
pub(super) fn read(
    stream: &str,
    mut table: Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> (FormatSettings, bool) {
    spans.keep_table(stream, StageField::Schema, &table);
    let registry = table.file.registry;
    let kind = kind(&mut table, &registry.formats);
    let mut only_json = false;
    match kind {
        Some(kind) if kind.expects_json() => {
            let not_json = [("as-is", false), ("fail", true)];
            only_json = table.word_or("not_json", &not_json, false).unwrap_or(false);
        }
        Some(_) => table.only_with(NOT_JSON, types(registry, |kind| kind.expects_json())),
        None => table.accept(NOT_JSON),
    }
    let format = settings(stream, kind, table, base, spans).unwrap_or_else(|| {
        spans.keep_unread(stream, StageField::Schema);
        FormatSettings::unread()
    });
    (format, only_json)
}

/// `[stream.X.backup.format]`: the source records as they came, all of them, so no format in which one can fail.
pub(super) fn of_backup(
    stream: &str,
    mut table: Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> Option<FormatSettings> {
    let kinds = table.file.registry.formats.iter().copied();
    let kinds: Vec<_> = kinds.filter(|kind| kind.carries_all()).collect();
    let kind = kind(&mut table, &kinds);
    match kind {
        Some(_) => table.only_with(NOT_JSON, "the stream's own format: a backup takes all"),
        None => table.accept(NOT_JSON),
    }
    settings(stream, kind, table, base, spans)
}

/// The kind of format that the table's `type` names; the first where it names none.
fn kind(
    table: &mut Table<'_>,
    kinds: &[&'static dyn FormatKind],
) -> Option<&'static dyn FormatKind> {
    let words: Vec<_> = kinds.iter().map(|kind| (kind.word(), *kind)).collect();
    if table.is_absent("type", table.file.registry.absent_formats) {
        return None;
    }
    table.word_or("type", &words, *kinds.first()?)
}

/// Reads what is the format's own of the table, which ends with it. Where the kind is not known, which keys go together
/// cannot be judged.
fn settings(
    stream: &str,
    kind: Option<&'static dyn FormatKind>,
    mut table: Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> Option<FormatSettings> {
    let registry = table.file.registry;
    let has = |kind: &dyn FormatKind, key: &str| keys(kind).any(|of_kind| *of_kind == key);
    for key in registry.formats.iter().flat_map(|kind| keys(*kind)) {
        match kind {
            Some(kind) if has(kind, key) => {}
            Some(_) => {
                let choice = types(registry, |kind| has(kind, key));
                table.only_with(slice::from_ref(key), choice);
            }
            None => table.accept(&[*key]),
        }
    }
    let before = table.asked_so_far();
    let read = kind.and_then(|kind| {
        let read = kind.read(&mut FormatTable {
            table: &mut table,
            base,
            stream,
            spans,
        });
        table.has_asked_only(before, kind.word(), |key| has(kind, key));
        read
    });
    table.finish();
    read
}

/// The formats of which something is so, as a table names them.
fn types(registry: &Registry, is_so: impl Fn(&dyn FormatKind) -> bool) -> String {
    let kinds = registry.formats.iter().filter(|kind| is_so(**kind));
    let words: Vec<_> = kinds
        .map(|kind| format!("`type = \"{}\"`", kind.word()))
        .collect();
    words.join(" and ")
}
