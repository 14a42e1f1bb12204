//! `[stream.X.source]`: which kind of source it names; the rest is for that kind to read.

use std::path::Path;

use crate::config::source::{SourceKind, SourceSettings};
use crate::config::table::Table;

/// How the kinds are written, joined by "or": the first with the whole key, the others `with` it or not.
pub(super) fn example(kinds: &[&dyn SourceKind], others: &str) -> String {
    let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    format!("type = \"{}\"", words.join(&format!("\" or {others}\"")))
}

/// What stands in the place of a source that could not be read.
pub(super) fn made_up(kinds: &[&dyn SourceKind]) -> SourceSettings {
    let first = kinds.first().expect("there are sources");
    first.of_state(None, 0)
}

/// Reads the table; `None` when a part cannot be had (the fault is reported).
pub(super) fn read(stream: &str, mut table: Table<'_>, base: &Path) -> Option<SourceSettings> {
    let kinds = &table.file.registry.sources;
    if !table.has("type") {
        table.missing("type", &format!("write {}", example(kinds, "type = ")));
    }
    let words: Vec<(&str, &dyn SourceKind)> =
        kinds.iter().map(|kind| (kind.word(), *kind)).collect();
    let source = if let Some(found) = table.word("type", &words) {
        let kind = found.value;
        let others = kinds.iter().filter(|other| other.word() != kind.word());
        for other in others {
            for keys in other.keys() {
                table.only_with(keys, format!("`type = \"{}\"`", other.word()));
            }
        }
        let before = table.asked_so_far();
        let read = kind.read(&mut table, stream, base);
        table.has_asked_only(before, kind.word(), |key| {
            kind.keys().iter().any(|keys| keys.contains(&key))
        });
        read
    } else {
        for keys in kinds.iter().flat_map(|kind| kind.keys()) {
            table.accept(keys);
        }
        None
    };
    table.finish();
    source
}
