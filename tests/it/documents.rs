//! What the documents name is there: files, tests, failpoints, settings, metrics.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exactly_once;
use crate::support::book::{page, pages, root};
use crate::support::markdown::{code, first_cells, section};
use crate::support::reader;

const README: &str = include_str!("../../README.md");
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
const SECURITY: &str = include_str!("../../SECURITY.md");

#[test]
fn every_file_that_a_document_names_exists() {
    let mut missing = Vec::new();
    for (name, text) in documents() {
        let quoted = code(&text).into_iter().filter(|path| {
            [
                "src/",
                "crates/",
                "fuzz/",
                "tests/",
                "deploy/",
                "benches/",
                "transforms/",
                "docs/",
            ]
            .iter()
            .any(|start| path.starts_with(start))
        });
        missing.extend(
            quoted
                .filter(|path| !root().join(path).exists())
                .map(|path| format!("{name}: {path}")),
        );
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_test_that_the_design_names_exists() {
    let tests = ["src", "crates", "tests"].map(sources).concat().concat();
    let design = documents()
        .into_iter()
        .filter(|(name, _)| name == "ARCHITECTURE.md" || name.starts_with("design/"));
    let named = design.flat_map(|(_, text)| code(&text)).filter(|word| {
        let letters = word.chars().all(|c| c == '_' || c.is_ascii_lowercase());
        letters && word.matches('_').count() >= 3
    });
    let (found, missing): (Vec<_>, Vec<_>) =
        named.partition(|name| tests.contains(&format!("fn {name}(")));
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(!found.is_empty(), "the invariants name their tests");
}

#[test]
fn the_life_of_a_record_names_every_failpoint_and_no_other() {
    let calls = failpoints();
    let life = page("design/record.md");
    let heads: BTreeSet<&str> = calls
        .iter()
        .filter_map(|name| name.split('-').next())
        .collect();
    let looks_like_one = |word: &String| {
        let head = word.split('-').next().unwrap_or_default();
        heads.contains(head) && word.chars().all(|c| c == '-' || c.is_ascii_lowercase())
    };
    let named: BTreeSet<String> = code(&life).into_iter().filter(looks_like_one).collect();
    assert_eq!(named, calls);
}

#[test]
fn some_campaign_kills_at_every_failpoint() {
    let killed_at: BTreeSet<String> = exactly_once::killed_at().map(str::to_owned).collect();
    assert_eq!(killed_at, failpoints());
}

#[test]
fn every_setting_has_a_row_and_every_row_is_a_setting() {
    let text = page("configuration.md");
    for (table, keys) in reader::keys() {
        let heading = match table.as_str() {
            "" => "## Top level".to_owned(),
            table => format!("## `{table}`"),
        };
        let rows = first_cells(section(&text, &heading));
        let rows: BTreeSet<String> = rows.into_iter().flat_map(code).collect();
        assert_eq!(rows, keys, "{heading}: what has a row, and what is read");
    }
}

#[test]
fn every_kind_is_named_where_its_type_is_described() {
    let text = page("configuration.md");
    for kind in reader::kinds() {
        let of_table = section(&text, &format!("## `{}`", kind.table));
        let row = of_table.lines().find(|line| line.starts_with("| `type` |"));
        let row = row.unwrap_or_else(|| panic!("{}: no row for `type`", kind.table));
        let is_named = [format!("`{}`", kind.word), format!("\"{}\"", kind.word)];
        assert!(
            is_named.iter().any(|word| row.contains(word)),
            "{}: {row}: {} is missing",
            kind.table,
            kind.word
        );
    }
}

#[test]
fn every_key_that_a_kind_says_it_has_is_read() {
    let asked = reader::asked();
    let kinds = reader::kinds();
    let read: Vec<_> = kinds.iter().filter(|kind| reader::is_read(kind)).collect();
    let tables: BTreeSet<_> = read.iter().map(|kind| kind.table).collect();
    assert_eq!(tables.len(), 5, "{tables:?}");
    for kind in read {
        let unread = kind
            .keys
            .iter()
            .find(|key| !asked[kind.table].contains(**key));
        assert_eq!(unread, None, "{} in {}", kind.word, kind.table);
    }
}

#[test]
fn every_metric_has_a_row_and_every_row_is_a_metric() {
    let mut kept = BTreeSet::new();
    // Those of all streams, and those that a source keeps of itself.
    for text in sources("src") {
        let text = text.split("#[cfg(test)]").next().unwrap();
        let is_kept = text.contains("const DESCRIPTIONS") || text.contains(": MetricInfo = ");
        let names = is_kept.then(|| between(text, "\"firehose_", "\""));
        kept.extend(
            names
                .into_iter()
                .flatten()
                .map(|name| format!("firehose_{name}")),
        );
    }
    let text = page("metrics.md");
    let rows: BTreeSet<String> = first_cells(&text).into_iter().flat_map(code).collect();
    assert_eq!(rows, kept);
    let named = documents().into_iter().flat_map(|(_, text)| code(&text));
    let named = named.filter(|word| word.starts_with("firehose_") && !word.contains(['<', ' ']));
    let unknown: Vec<String> = named.filter(|name| !kept.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_architecture_names_every_module() {
    let map = section(ARCHITECTURE, "## Map");
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = between(&library, "pub mod ", ";").into_iter();
    let modules = modules.map(|name| format!("src/{name}.rs"));
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let crates = crates.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let crates = crates.map(|name| format!("crates/{name}/src/lib.rs"));
    let unnamed: Vec<_> = modules
        .chain(crates)
        .filter(|file| !map.contains(&format!("`{file}`")) && holds_code(&root().join(file)))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

/// All documents, by name.
fn documents() -> Vec<(String, String)> {
    let top = [
        ("README.md", README),
        ("ARCHITECTURE.md", ARCHITECTURE),
        ("SECURITY.md", SECURITY),
    ];
    let top = top.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let pages = pages().into_iter().map(|page| (page.name, page.text));
    top.into_iter().chain(pages).collect()
}

/// The places in the source where a test can kill the process.
fn failpoints() -> BTreeSet<String> {
    let sources = sources("src").into_iter();
    sources
        .flat_map(|text| between(&text, "failpoint::hit(\"", "\""))
        .collect()
}

fn holds_code(file: &Path) -> bool {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .any(|line| !line.is_empty() && !line.starts_with("//"))
}

fn between(text: &str, start: &str, end: &str) -> Vec<String> {
    let pieces = text.split(start).skip(1);
    pieces
        .filter_map(|rest| rest.split(end).next())
        .map(str::to_owned)
        .collect()
}

fn sources(dir: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}
