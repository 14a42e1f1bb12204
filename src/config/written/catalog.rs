//! `[stream.X.catalog]`: which catalog it names; the rest is for that one to read.

use std::path::Path;
use std::slice;

use crate::config::catalog::{CatalogKind, CatalogSettings, CatalogTable};
use crate::config::diagnostic::{Diagnostic, SourceSpan};
use crate::config::spans::{SpanMap, StageField};
use crate::config::store::StoreSettings;
use crate::config::table::{FileContext, Table};

/// Reads the table of a stream that has one, whose data goes to `store`, where that could be read. `None` also when a
/// part cannot be had (the fault is reported).
pub(super) fn read(
    name: &str,
    stream: &mut Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
    store: Option<&StoreSettings>,
) -> Option<CatalogSettings> {
    let (place, file) = (stream.place_of("catalog"), stream.file);
    let table = stream.table("catalog")?;
    spans.keep_table(name, StageField::Catalog, &table);
    let catalog = own(table, base)?;
    check(&catalog, store, &place, file);
    Some(catalog)
}

/// Reads the table itself.
fn own(mut table: Table<'_>, base: &Path) -> Option<CatalogSettings> {
    let kinds = &table.file.registry.catalogs;
    let words: Vec<(&str, &dyn CatalogKind)> =
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
        let read = kind.read(&mut CatalogTable {
            table: &mut table,
            base,
        });
        table.has_asked_only(before, kind.word(), |key| kind.keys().contains(&key));
        read
    });
    table.finish();
    read
}

/// The catalogs that have a key, as a table names them.
fn types(kinds: &[&dyn CatalogKind], key: &str) -> String {
    let kinds = kinds.iter().filter(|kind| kind.keys().contains(&key));
    let words: Vec<_> = kinds
        .map(|kind| format!("`type = \"{}\"`", kind.word()))
        .collect();
    words.join(" and ")
}

/// Reports what keeps a stream from telling the catalog: objects that have no place there.
fn check(
    catalog: &CatalogSettings,
    store: Option<&StoreSettings>,
    place: &SourceSpan,
    file: &FileContext<'_>,
) {
    if let Some((message, help)) = store.and_then(|store| catalog.refuses(&**store)) {
        file.report(Diagnostic::fault(place.clone(), message).help(help));
    }
}
