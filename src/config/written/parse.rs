//! `[stream.X.parse]`: which parser it names; the rest is for that one to read.

use std::slice;

use crate::config::ParserSettings;
use crate::config::parse::ParserKind;
use crate::config::table::Table;

/// Reads the table; `None` when a part cannot be had (the fault is reported).
pub(super) fn read(mut table: Table<'_>) -> Option<ParserSettings> {
    let kinds = &table.file.registry.parsers;
    let words: Vec<(&str, &dyn ParserKind)> =
        kinds.iter().map(|kind| (kind.word(), *kind)).collect();
    if !table.has("type") {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = format!("write type = \"{}\"", words.join("\" or \""));
        table.missing("type", &help);
    }
    let kind = table.word("type", &words).map(|found| found.value);
    for key in kinds.iter().flat_map(|kind| kind.keys()) {
        match kind {
            Some(kind) if kind.keys().contains(key) => {}
            Some(_) => table.only_with(slice::from_ref(key), types(kinds, key)),
            None => table.accept(&[*key]),
        }
    }
    let before = table.asked_so_far();
    let read = kind.and_then(|kind| {
        let read = kind.read(&mut table);
        table.has_asked_only(before, kind.word(), |key| kind.keys().contains(&key));
        read
    });
    table.finish();
    read
}

/// The parsers that have a key, as a table names them.
fn types(kinds: &[&dyn ParserKind], key: &str) -> String {
    let kinds = kinds.iter().filter(|kind| kind.keys().contains(&key));
    let words: Vec<_> = kinds
        .map(|kind| format!("`type = \"{}\"`", kind.word()))
        .collect();
    words.join(" and ")
}
