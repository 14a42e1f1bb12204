//! Who may name what stands behind a port: stores and formats, each by its own files and its list alone.

use std::fs;

use super::{collect, files_of, root, without_comments};

#[test]
fn columns_know_no_format_that_they_are_written_as() {
    let mut wrong = Vec::new();
    for file in files_of("format/columns") {
        let code = without_comments(&fs::read_to_string(&file).unwrap()).to_lowercase();
        let formats = ["parquet", "avro", "iceberg", "csv", "orc"];
        let words = code.split(|c: char| !c.is_alphanumeric());
        let named = words.filter(|word| formats.iter().any(|format| word.starts_with(format)));
        wrong.extend(named.map(|word| format!("{}: {word}", file.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A store is a folder in `src/destination`, and one line in its registry.
#[test]
fn no_code_outside_its_folder_names_a_store() {
    let registry = root().join("src/destination.rs");
    let folders = fs::read_dir(root().join("src/destination")).unwrap();
    let folders = folders.map(|entry| entry.unwrap());
    let folders = folders.filter(|entry| entry.file_type().unwrap().is_dir());
    let stores: Vec<String> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(stores.len() > 1, "{stores:?}");
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        let of_store = |store: &String| {
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
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
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
                let (head, tail) = store.split_at(1);
                let settings = format!("{}{tail}Settings", head.to_uppercase());
                let names = [
                    settings,
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
    let list = registry.split_once("pub const FORMATS").unwrap().1;
    let list = list.split_once(';').unwrap().0;
    let entries = list
        .split('&')
        .filter_map(|entry| entry.split_once("::Kind"));
    let formats: Vec<&str> = entries.map(|(format, _)| format).collect();
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
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for line in without_comments(code).lines() {
            for format in &formats {
                let (head, tail) = format.split_at(1);
                let type_name = format!("{}{tail}", head.to_uppercase());
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
