//! The pages of the book under `docs/`, in the order of its summary.

use std::fs;
use std::path::{Path, PathBuf};

use super::markdown;

/// Where the pages lie.
pub const FOLDER: &str = "docs/src";
/// The page that lists the others.
pub const SUMMARY: &str = "SUMMARY.md";

/// One page.
#[derive(Debug)]
pub struct Page {
    /// As the summary names it.
    pub name: String,
    pub text: String,
}

/// All pages that the summary names.
pub fn pages() -> Vec<Page> {
    let names = markdown::links(&page(SUMMARY)).into_iter();
    names
        .map(|name| {
            let text = page(&name);
            Page { name, text }
        })
        .collect()
}

/// The text of a page.
pub fn page(name: &str) -> String {
    let path = root().join(FOLDER).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files of the book, by the names that a summary gives them.
pub fn files() -> Vec<String> {
    let folder = root().join(FOLDER);
    let mut folders = vec![folder.clone()];
    let mut files = Vec::new();
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&folder).unwrap();
                files.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    files
}

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
