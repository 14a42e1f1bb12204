//! The book under `docs/` hangs together: every page is in its summary, every link leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::support::book::{FOLDER, Page, SUMMARY, files, page, pages, root};
use crate::support::markdown::{anchors, links, section};

#[test]
fn the_summary_names_every_page_once_and_nothing_else() {
    let listed: Vec<String> = pages().into_iter().map(|page| page.name).collect();
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a page is listed twice");
    let files: BTreeSet<String> = files().into_iter().filter(|name| name != SUMMARY).collect();
    assert_eq!(unique, files);
}

#[test]
fn every_page_has_one_title_and_no_heading_twice() {
    for Page { name, text } in pages() {
        assert!(text.starts_with("# "), "{name}: begins with its title");
        let anchors = anchors(&text);
        let unique: BTreeSet<&String> = anchors.iter().collect();
        assert_eq!(anchors.len(), unique.len(), "{name}: {anchors:?}");
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_in_it() {
    let mut broken = Vec::new();
    for (file, text) in linked_documents() {
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                file.clone()
            } else {
                plain(&file.parent().unwrap().join(path))
            };
            // Whoever reads the book on the web has nothing else of the repository.
            let leaves = file.starts_with(FOLDER) && !target.starts_with(FOLDER);
            let there = root().join(&target);
            let is_there = there.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&there).unwrap())
                        .iter()
                        .any(|heading| heading == anchor));
            if leaves || !is_there {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Whoever writes a source, a store or a format from it begins with code that compiles and keeps the promises.
#[test]
fn the_smallest_of_each_port_is_the_one_that_is_tested() {
    let text = fs::read_to_string(root().join("docs/src/design/ports.md")).unwrap();
    for file in [
        "src/source/tests/queue.rs",
        "tests/it/destination/memory.rs",
        "tests/it/formats/counted.rs",
    ] {
        let tested = fs::read_to_string(root().join(file)).unwrap();
        let block = format!("```rust,ignore\n{tested}```\n");
        assert!(text.contains(&block), "docs/src/design/ports.md: {file}");
    }
}

#[test]
fn the_book_promises_what_the_readme_promises() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rows = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with('|'));
        lines.map(str::to_owned).collect()
    };
    let promised = rows(section(&readme, "## What is promised"));
    assert!(promised.len() > 2, "the README has a table of promises");
    assert_eq!(rows(&page("promises.md")), promised);
}

#[test]
fn two_commands_are_all_set_up() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["cargo run --release -- demo", "cargo test"] {
        assert!(readme.contains(&format!("\n$ {command}\n")), "{command}");
    }
}

/// The book, and what else has links, by the path from the top.
fn linked_documents() -> Vec<(PathBuf, String)> {
    let top = [
        "README.md",
        "ARCHITECTURE.md",
        "SECURITY.md",
        "llms.txt",
        "deploy/README.md",
    ];
    let top = top.map(PathBuf::from).into_iter();
    let book = files().into_iter().map(|name| Path::new(FOLDER).join(name));
    top.chain(book)
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
