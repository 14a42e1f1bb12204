//! Who may name what stands behind a port: stores, formats, parsers and catalogs, each by its own files and its list alone.

use std::fs;

use super::{UNIT_TESTS, collect, files_of, root, without_comments};

#[test]
fn columns_know_no_format_that_they_are_written_as() {
    let mut wrong = Vec::new();
    for file in files_of("format/columns") {
        // What a document of others is written in has its name.
        if file.display().to_string().contains("/schema/document") {
            continue;
        }
        let code = without_comments(&fs::read_to_string(&file).unwrap()).to_lowercase();
        let formats = ["parquet", "avro", "iceberg", "csv", "orc"];
        let words = code.split(|c: char| !c.is_alphanumeric());
        let named = words.filter(|word| formats.iter().any(|format| word.starts_with(format)));
        wrong.extend(named.map(|word| format!("{}: {word}", file.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A store is a file in `src/destination`, perhaps with a folder, and one entry in its registry.
#[test]
fn no_code_outside_its_file_names_a_store() {
    let registry = root().join("src/destination.rs");
    let list = fs::read_to_string(&registry).unwrap();
    let stores = listed(&list, "pub const STORES");
    assert!(stores.len() > 1, "{stores:?}");
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        let of_store = |store: &&str| {
            let (file, folder) = (
                format!("src/destination/{store}.rs"),
                format!("src/destination/{store}/"),
            );
            path == file || path.starts_with(&folder)
        };
        if path.contains("tests") || stores.iter().any(of_store) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split(UNIT_TESTS).next().unwrap();
        for line in code.lines() {
            let line = line.trim_start();
            let is_entry = file == registry
                && ["mod ", "pub use ", "pub const STORES"]
                    .iter()
                    .any(|entry| line.starts_with(entry));
            if line.starts_with("//") || is_entry {
                continue;
            }
            for store in &stores {
                let names = [
                    format!("{}Settings", type_name(store)),
                    format!("\"{store}://"),
                    format!("\"{store}:"),
                    format!("destination::{store}"),
                ];
                if names.iter().any(|name| line.contains(name)) {
                    wrong.push(format!("{path}: {line}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A format is a file in `src/format`, perhaps with a folder, and one entry in its registry.
#[test]
fn no_code_outside_its_file_names_a_format() {
    let registry = fs::read_to_string(root().join("src/format.rs")).unwrap();
    let formats = listed(&registry, "pub const FORMATS");
    assert!(formats.len() > 2, "{formats:?}");
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        // What formats share is theirs (`tests/it/formats.rs` holds them apart); the list names them all.
        if path.contains("tests") || path.starts_with("src/format") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split(UNIT_TESTS).next().unwrap();
        for line in without_comments(code).lines() {
            for format in &formats {
                let type_name = type_name(format);
                let names = [
                    format!("{type_name}Settings"),
                    format!("{type_name}Compression"),
                    format!("\"{type_name}SerDe"),
                    format!("format::{format}"),
                    format!("\"{format}\" =>"),
                    format!("== \"{format}\""),
                    format!("\".{format}\""),
                ];
                if names.iter().any(|name| line.contains(name)) {
                    wrong.push(format!("{path}: {}", line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A parser is a file in `src/parse`, perhaps with a folder, and one entry in its registry: none names another.
#[test]
fn no_code_outside_its_file_names_a_parser() {
    let registry = fs::read_to_string(root().join("src/parse.rs")).unwrap();
    let parsers = listed(&registry, "pub const PARSERS");
    assert!(parsers.len() > 2, "{parsers:?}");
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        if path == "src/parse.rs" || path.contains("tests") {
            continue;
        }
        let is_of = |parser: &str| {
            let (file, folder) = (
                format!("src/parse/{parser}.rs"),
                format!("src/parse/{parser}/"),
            );
            path == file || path.starts_with(&folder)
        };
        let text = fs::read_to_string(&file).unwrap();
        let code = without_comments(text.split(UNIT_TESTS).next().unwrap());
        for parser in parsers.iter().filter(|parser| !is_of(parser)) {
            let mut names = vec![format!("parse::{parser}::")];
            if path.starts_with("src/parse/") {
                names.push(format!("super::{parser}::"));
            }
            let word = parser.replace('_', "-");
            names.push(format!("\"{word}\" =>"));
            names.push(format!("== \"{word}\""));
            for name in names.iter().filter(|name| code.contains(*name)) {
                wrong.push(format!("{path}: {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A catalog is a file in `src/catalog`, perhaps with a folder, and one entry in its registry.
#[test]
fn no_code_outside_its_file_names_a_catalog() {
    let registry = root().join("src/catalog.rs");
    let list = fs::read_to_string(&registry).unwrap();
    let catalogs = listed(&list, "pub const CATALOGS");
    assert!(!catalogs.is_empty());
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        let is_of = |catalog: &&str| {
            let (file, folder) = (
                format!("src/catalog/{catalog}.rs"),
                format!("src/catalog/{catalog}/"),
            );
            path == file || path.starts_with(&folder)
        };
        if path.contains("tests") || catalogs.iter().any(is_of) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = without_comments(text.split(UNIT_TESTS).next().unwrap());
        for line in code.lines() {
            let is_entry = file == registry
                && ["mod ", "pub const CATALOGS"]
                    .iter()
                    .any(|entry| line.starts_with(entry));
            for catalog in catalogs.iter().filter(|_| !is_entry) {
                let names = [
                    format!("catalog::{catalog}"),
                    format!("\"{catalog}\" =>"),
                    format!("== \"{catalog}\""),
                ];
                if names.iter().any(|name| line.contains(name)) {
                    wrong.push(format!("{path}: {}", line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_listed_is_found_however_its_files_lie() {
    let text = "/// Kinds.\npub const KINDS: &[&dyn Kind] = &[\n    &folder::FolderKind,\n    &one_file::KIND,\n];\n\
                const OTHERS: &[&dyn Kind] = &[&hidden::HiddenKind];";
    assert_eq!(listed(text, "pub const KINDS"), ["folder", "one_file"]);
    assert_eq!(type_name("one_file"), "OneFile");
}

/// The modules that a list of kinds names.
fn listed<'a>(registry: &'a str, list: &str) -> Vec<&'a str> {
    let list = registry.split_once(list).unwrap().1;
    let list = list.split_once(';').unwrap().0;
    let entries = list.split('&');
    let modules = entries.filter_map(|entry| Some(entry.split_once("::")?.0));
    modules.collect()
}

/// What the names of a module's types begin with.
fn type_name(module: &str) -> String {
    let parts = module
        .split('_')
        .filter_map(|part| part.split_at_checked(1));
    let words = parts.map(|(head, tail)| head.to_uppercase() + tail);
    words.collect()
}
