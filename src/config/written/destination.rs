//! `[stream.X.destination]` and the destinations of other lanes: the store, by its own reader, and the prefixes.

use std::path::Path;
use std::sync::Arc;

use crate::config::DestinationSettings;
use crate::config::diagnostic::SourceSpan;
use crate::config::registry::Registry;
use crate::config::spans::{SpanMap, StageField};
use crate::config::store::{Keys, StoreKind, StoreSettings, StoreSpec, StoreTable};
use crate::config::table::Table;

/// Reads the table. Where the store cannot be had (the fault is reported) one is made up.
pub(super) fn read(
    stream: &str,
    mut table: Table<'_>,
    base: &Path,
    has_watermark: bool,
    spans: &mut SpanMap,
) -> DestinationSettings {
    let kind = kind(&mut table);
    let prefix = spans.keep(stream, StageField::Prefix, &mut table, "prefix");
    let late_prefix = spans.keep(stream, StageField::LatePrefix, &mut table, "late_prefix");
    if table.has("late_prefix") && !has_watermark {
        let help = format!(
            "write watermark = \"10m\" into [stream.{stream}.buffering], or remove `late_prefix`"
        );
        table.fault(
            table.place_of("late_prefix"),
            "nothing is late without a `watermark`".to_owned(),
            Some(&help),
        );
    }
    let error_prefix = spans.keep(stream, StageField::ErrorPrefix, &mut table, "error_prefix");
    let store = store(stream, kind, table, base, StageField::Store, spans);
    DestinationSettings {
        store,
        errors: None,
        backup: None,
        prefix,
        late_prefix,
        error_prefix,
    }
}

/// Reads the table of a lane's own destination, if it has one: the store alone.
pub(super) fn of_lane(
    stream: &str,
    lane: &mut Table<'_>,
    base: &Path,
    field: StageField,
    spans: &mut SpanMap,
) -> Option<(SourceSpan, StoreSettings)> {
    let place = lane.place_of("destination");
    let mut table = lane.table("destination")?;
    let kind = kind(&mut table);
    let prefixes = format!("[stream.{stream}.destination] and [stream.{stream}.backup]");
    table.only_with(&["prefix", "error_prefix"], prefixes);
    let data = format!("[stream.{stream}.destination]");
    table.only_with(&["late_prefix"], data);
    Some((place, store(stream, kind, table, base, field, spans)))
}

/// The kind of store that the table's `type` names.
fn kind(table: &mut Table<'_>) -> Option<&'static dyn StoreKind> {
    let stores = &table.file.registry.stores;
    if !table.has("type") {
        let help = format!("write {}", choices(table.file.registry, "type = "));
        table.missing("type", &help);
    }
    let words: Vec<_> = stores.iter().map(|store| (store.word(), *store)).collect();
    table.word("type", &words).map(|found| found.value)
}

/// What `type` can be, in words; `each` stands before every one.
pub(super) fn choices(registry: &Registry, each: &str) -> String {
    let words = registry.stores.iter();
    let words: Vec<_> = words
        .map(|store| format!("{each}\"{}\"", store.word()))
        .collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// Reads what is the store's own of the table, which ends with it.
fn store(
    stream: &str,
    kind: Option<&'static dyn StoreKind>,
    mut table: Table<'_>,
    base: &Path,
    field: StageField,
    spans: &mut SpanMap,
) -> StoreSettings {
    for other in &table.file.registry.stores {
        match kind {
            Some(kind) if kind.word() == other.word() => {}
            Some(_) => table.only_with(other.keys(), format!("`type = \"{}\"`", other.word())),
            None => table.accept(other.keys()),
        }
    }
    let before = table.asked_so_far();
    let read = kind.and_then(|kind| {
        let read = kind.read(&mut StoreTable {
            table: &mut table,
            base,
            stream,
            field,
            spans,
        });
        table.has_asked_only(before, kind.word(), |key| kind.keys().contains(&key));
        read
    });
    table.finish();
    read.unwrap_or_else(|| {
        spans.keep_unread(stream, field);
        StoreSettings::new(NoStore)
    })
}

/// The destination of a stream that has none.
pub(super) fn missing(stream: &str, spans: &mut SpanMap) -> DestinationSettings {
    for field in [
        StageField::Store,
        StageField::Prefix,
        StageField::LatePrefix,
        StageField::ErrorPrefix,
    ] {
        spans.keep_unread(stream, field);
    }
    DestinationSettings {
        store: StoreSettings::new(NoStore),
        errors: None,
        backup: None,
        prefix: None,
        late_prefix: None,
        error_prefix: None,
    }
}

/// Stands for a store that could not be read, which is reported: nothing runs with it.
#[derive(Debug, PartialEq, Eq)]
struct NoStore;

impl StoreSpec for NoStore {
    fn name(&self) -> String {
        String::new()
    }

    fn location(&self, key: &str) -> String {
        key.to_owned()
    }

    fn keys(&self) -> Arc<dyn Keys> {
        Arc::new(Self)
    }

    fn arn(&self) -> String {
        String::new()
    }
}

impl Keys for NoStore {
    fn short(&self) -> usize {
        0
    }

    fn take(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}
