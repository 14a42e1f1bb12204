//! Columns of a table: which are in force, and which are kept.

use std::time::Duration;

use super::*;
use crate::config::{ColumnRules, ColumnSettings, GlueTable, UnknownFields};
use crate::format::{ParquetCompression, ParquetOptions, ParquetSettings};

fn settings(table: &str, rules: ColumnRules) -> FormatSettings {
    let columns = ColumnSettings {
        table: Some(GlueTable {
            database: "web".into(),
            name: table.into(),
            version: None,
            refresh: Duration::from_mins(5),
            catalog_id: None,
            region: None,
            endpoint: None,
            profile: None,
        }),
        rules,
        ..ColumnSettings::of("glue_table")
    };
    FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::None,
        options: ParquetOptions::default(),
        columns,
    })
}

fn compile(table: &str, history: Vec<SchemaVersion>) -> Formats {
    let settings = settings(table, ColumnRules::default());
    Formats::compile(&settings, BTreeMap::new(), history).unwrap()
}

/// What the table `web.hits` is said to have.
fn give(formats: &Formats, columns: &str) -> Result<Option<SchemaVersion>, FormatFault> {
    let table = TableVersion {
        name: "web.hits".into(),
        ..TableVersion::default()
    };
    formats.give(Columns::parse(columns).unwrap(), table, 7)
}

#[test]
fn columns_are_in_force_once_they_are_said_and_change_when_they_are_others() {
    let formats = compile("hits", Vec::new());
    assert!(!formats.have_columns());
    assert!(formats.get(formats.data()).is_none(), "no batch can open");
    let first = give(&formats, "id bigint").unwrap().unwrap();
    assert_eq!((first.version, first.changes.len()), (1, 0));
    assert!(formats.have_columns() && formats.is_unsaved());
    let of_first = formats.data();
    let named = formats.get(of_first).unwrap();
    assert_eq!(named.schema().map(|name| &**name), Some(&*first.hash()));
    assert_eq!(give(&formats, "id bigint"), Ok(None));

    let second = give(&formats, "id string, n int").unwrap().unwrap();
    let changes: Vec<String> = second.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["id bigint → string", "n int is new"]);
    assert_ne!(formats.data(), of_first);
    assert!(formats.get(of_first).is_some(), "batches name it still");
    let narrower = give(&formats, "n int").unwrap().unwrap();
    assert_eq!(narrower.changes[0].to_string(), "id string is gone");
    let unsaved = formats.take_unsaved();
    assert_eq!((unsaved.formats.len(), unsaved.versions.len()), (3, 3));
    assert!(!formats.is_unsaved());
}

#[test]
fn a_later_start_has_the_columns_of_its_own_table_and_of_no_other() {
    let formats = compile("hits", Vec::new());
    give(&formats, "id bigint").unwrap();
    let kept = formats.history();
    let again = compile("hits", kept.clone());
    assert!(again.have_columns());
    assert_eq!(again.data(), formats.data());
    assert!(!again.is_unsaved());
    assert_eq!(give(&again, "id bigint"), Ok(None));

    let other = compile("clicks", kept);
    assert!(!other.have_columns());
    let table = TableVersion {
        name: "web.clicks".into(),
        ..TableVersion::default()
    };
    let columns = Columns::parse("id bigint").unwrap();
    let version = other.give(columns, table, 8).unwrap().unwrap();
    assert_eq!(version.version, 2, "numbers are not given twice");
    assert_eq!(other.history().len(), 2);
}

#[test]
fn columns_that_cannot_be_taken_leave_those_in_force_and_rules_for_none_are_told() {
    let rules = ColumnRules {
        unknown: UnknownFields::Keep("rest".into()),
        ..ColumnRules::default()
    };
    let mut rules_of_price = rules.clone();
    rules_of_price.names.json_keys = [("price".to_owned(), "p".to_owned())].into();
    let settings = settings("hits", rules_of_price);
    let formats = Formats::compile(&settings, BTreeMap::new(), Vec::new()).unwrap();
    give(&formats, "id bigint").unwrap();
    assert_eq!(formats.strange_rules(), ["price"]);
    let before = formats.data();
    for odd in ["REST string, id bigint", "id bigint, REST int"] {
        let refused = give(&formats, odd).unwrap_err();
        assert_eq!(refused.message, "`REST` is a column of the schema already");
        assert_eq!(formats.data(), before);
    }
    // A table that readers see it by has it as its last column.
    assert_eq!(give(&formats, "id bigint, REST string").unwrap(), None);
    assert_eq!(formats.data(), before);
    give(&formats, "id bigint, price double").unwrap();
    assert_eq!(formats.strange_rules(), [""; 0]);
}

#[test]
fn columns_from_before_are_dropped_when_nothing_names_them_and_other_formats_never() {
    let formats = compile("hits", Vec::new());
    let other = FormatSettings::new(crate::format::JsonSettings {
        compression: crate::format::Compression::None,
        delimiter: crate::format::Delimiter::Newline,
    });
    let other = formats.add(&other).unwrap();
    let mut hashes = Vec::new();
    for columns in ["id bigint", "id string", "id string, n int"] {
        give(&formats, columns).unwrap();
        hashes.push(formats.data());
    }
    assert!(formats.has_earlier());
    formats.forget_earlier(&HashSet::from([hashes[1]]));
    let is_there = |hash: &u64| formats.get(*hash).is_some();
    let are_there: Vec<bool> = hashes.iter().map(is_there).collect();
    assert_eq!(are_there, [false, true, true]);
    formats.forget_earlier(&HashSet::new());
    assert!(!formats.has_earlier() && !is_there(&hashes[1]));
    assert!(is_there(&hashes[2]) && is_there(&other));
}
