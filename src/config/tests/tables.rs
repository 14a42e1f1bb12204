//! What stands behind a port asks its table for every kind of value, whichever port it is.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::{
    CatalogKind, CatalogSettings, CatalogTable, FormatKind, FormatTable, ParserKind,
    ParserSettings, Registry, StoreKind, StoreSettings, StoreTable, Table,
};

/// A value of each kind.
const VALUES: &str = r#"{ type = "probe", number = 7, size = "5MiB", time = "3s", flag = true, list = ["a", "b"], \
word = "one", listen = "127.0.0.1:80", inner = { a = "b" }, each = [{ a = "b" }] }"#;
const KEYS: &[&str] = &[
    "number", "size", "time", "flag", "list", "word", "listen", "inner", "each",
];

/// How often a table was asked for all of them.
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn ask(table: &mut Table<'_>) {
    assert!(table.has("number") && !table.has("none"));
    table.require("number", "it is there");
    assert_eq!(table.integer("number", 1..=9).unwrap().value, 7);
    assert_eq!(table.size("size", 1..=9 << 20).unwrap().value, 5 << 20);
    let time = Duration::from_secs(1)..=Duration::from_secs(9);
    let three = Duration::from_secs(3);
    assert_eq!(table.duration("time", time).unwrap().value, three);
    assert_eq!(table.boolean("flag"), Some(true));
    let list = table.list("list").into_iter().map(|text| text.value);
    assert_eq!(list.collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(table.word_or("word", &[("one", 1), ("two", 2)], 2), Some(1));
    assert_eq!(table.address("listen").unwrap().port(), 80);
    let strings = |table: Table<'_>| table.strings().remove(0).1.value;
    assert_eq!(strings(table.table("inner").unwrap()), "b");
    let mut each = table.elements("each");
    assert_eq!(each[0].string("a").unwrap().value, "b");
    each.remove(0).finish();
    ASKED.fetch_add(1, Ordering::Relaxed);
}

#[derive(Debug)]
struct Probe;

impl StoreKind for Probe {
    fn word(&self) -> &'static str {
        "probe"
    }

    fn keys(&self) -> &'static [&'static str] {
        KEYS
    }

    fn read(&self, table: &mut StoreTable<'_, '_>) -> Option<StoreSettings> {
        ask(table);
        None
    }

    fn named(&self, _: &str, _: Option<&StoreSettings>) -> Option<Result<StoreSettings, String>> {
        None
    }
}

impl FormatKind for Probe {
    fn word(&self) -> &'static str {
        "probe"
    }

    fn keys(&self) -> &'static [&'static str] {
        KEYS
    }

    fn carries_all(&self) -> bool {
        true
    }

    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        ask(table);
        None
    }

    fn of_row(&self, _: &str) -> Option<FormatSettings> {
        None
    }
}

impl CatalogKind for Probe {
    fn word(&self) -> &'static str {
        "probe"
    }

    fn keys(&self) -> &'static [&'static str] {
        KEYS
    }

    fn read(&self, table: &mut CatalogTable<'_, '_>) -> Option<CatalogSettings> {
        ask(table);
        None
    }
}

impl ParserKind for Probe {
    fn word(&self) -> &'static str {
        "probe"
    }

    fn keys(&self) -> &'static [&'static str] {
        KEYS
    }

    fn read(&self, table: &mut Table<'_>) -> Option<ParserSettings> {
        ask(table);
        None
    }
}

#[test]
fn a_store_a_format_a_catalog_and_a_parser_ask_for_all_that_a_source_can() {
    let values = VALUES.replace("\\\n", "");
    let text = format!(
        "[stream.c]\nsource.type = \"direct-put\"\ndestination = {values}\nformat = {values}\n\
         parse = {values}\ncatalog = {values}\n"
    );
    let registry = Registry {
        parsers: vec![&Probe],
        stores: vec![&Probe],
        formats: vec![&Probe],
        catalogs: vec![&Probe],
        ..registry()
    };
    let read = crate::config::parse(text, Path::new("firehose.toml"), &env, &registry);
    assert!(read.is_ok(), "{:?}", read.err());
    assert_eq!(ASKED.load(Ordering::Relaxed), 4);
}
