//! Who may name a source: its own folder and the lists that make it known, and nobody else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{UNIT_TESTS, files_below, is_test, root, without_comments, words};

/// The port of sources, which has their folders.
const SOURCE_PORT: &str = "src/source.rs";
/// How the entries of a source begin, and where: one makes it known to the compiler, the other to the config.
const SOURCE_ENTRIES: [(&str, &str); 2] = [
    (SOURCE_PORT, "pub mod "),
    ("src/registry.rs", "pub const SOURCES: "),
];
/// Where other code may name a source: file, how the line begins, and why.
const NAMES_A_SOURCE: &[(&str, &str, &str)] = &[
    (
        "src/config/source.rs",
        "Self::Put => ",
        "the API's own words for types of streams, those too that are none of ours",
    ),
    ("src/config/source.rs", "Self::Stream => ", "the same"),
];

#[test]
fn only_its_own_folder_and_the_registry_name_a_source() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    let sources = names_of_sources();
    assert!(sources.len() >= 2, "{sources:?}");
    for file in files_below("src").into_iter().filter(|file| !is_test(file)) {
        let text = fs::read_to_string(&file).unwrap();
        let code = without_comments(text.split(UNIT_TESTS).next().unwrap());
        let short = file.strip_prefix(root()).unwrap().display().to_string();
        let code = without_source_entries(&short, code);
        for name in sources.iter().filter(|name| !is_of_source(&file, name)) {
            for line in lines_that_name(&code, name) {
                let known = NAMES_A_SOURCE
                    .iter()
                    .position(|(of, begin, _)| short == *of && line.starts_with(begin));
                match known {
                    Some(known) => seen.extend([known]),
                    None => wrong.push(format!("{short}: {line}")),
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a question to the port stands for each: {wrong:#?}"
    );
    let gone: Vec<_> = (0..NAMES_A_SOURCE.len())
        .filter(|known| !seen.contains(known))
        .map(|known| NAMES_A_SOURCE[known])
        .collect();
    assert!(gone.is_empty(), "no code needs these any more: {gone:#?}");
}

/// Who copies it into the list changes no more than its names.
#[test]
fn the_smallest_source_names_no_other() {
    let code = fs::read_to_string(root().join("src/source/tests/queue.rs")).unwrap();
    let code = without_comments(&code);
    for name in names_of_sources() {
        let wrong: Vec<_> = lines_that_name(&code, &name).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[test]
fn entries_of_sources_are_passed_over_however_they_lie_and_nothing_else_is() {
    let list = "use crate::x;\npub const SOURCES: &[&dyn SourceEntry] = &[\n    &source::direct_put::KIND,\n    \
                &source::kinesis::KIND,\n];\nconst KINESIS: u8 = 1;\n";
    for list in [
        list.to_owned(),
        list.replace("\n    &", "&").replace(",\n]", "]"),
    ] {
        let left = without_source_entries("src/registry.rs", list.clone());
        let named: Vec<_> = lines_that_name(&left, "kinesis").collect();
        assert_eq!(named, ["const KINESIS: u8 = 1;"], "{left}");
        assert_eq!(lines_that_name(&left, "direct_put").count(), 0, "{left}");
        assert_eq!(without_source_entries("src/daemon.rs", list.clone()), list);
    }
    let port = "mod room;\npub mod kinesis;\npub mod direct_put;\n";
    let left = without_source_entries(SOURCE_PORT, port.to_owned());
    assert_eq!(words(&left), ["mod", "room"]);
}

/// The lines that name a source, in whatever spelling.
fn lines_that_name<'c>(code: &'c str, name: &str) -> impl Iterator<Item = &'c str> {
    let parts: Vec<String> = name.split('_').map(str::to_owned).collect();
    let names_it = move |line: &&str| words(line).windows(parts.len()).any(|some| some == parts);
    code.lines().filter(names_it).map(str::trim)
}

/// The code of a file without the entries of sources, each to its `;`.
fn without_source_entries(file: &str, mut code: String) -> String {
    for (_, begin) in SOURCE_ENTRIES.iter().filter(|(of, _)| file == *of) {
        let head = format!("\n{begin}");
        while let Some(start) = code.find(&head) {
            let end = start + code[start..].find(';').unwrap();
            code.replace_range(start..=end, "");
        }
    }
    code
}

/// The sources, by the names of their folders, as the port has them.
pub(super) fn names_of_sources() -> Vec<String> {
    let port = fs::read_to_string(root().join(SOURCE_PORT)).unwrap();
    let code = without_comments(&port);
    let modules = code
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    modules
        .map(|name| name.trim_end_matches(';').to_owned())
        .collect()
}

pub(super) fn is_of_source(file: &Path, name: &str) -> bool {
    let own = root().join("src/source").join(name);
    file.starts_with(&own) || file == own.with_extension("rs")
}
