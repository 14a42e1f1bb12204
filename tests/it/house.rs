//! The shape of the house, as `ARCHITECTURE.md` draws it: who may import whom, how long a file may
//! be, what lies at the top level.

mod circles;
mod rooms;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use self::sources::{is_of_source, names_of_sources};

const STAGES: &[&str] = &[
    "batch",
    "catalog",
    "checkpoint",
    "coordination",
    "destination",
    "format",
    "parse",
    "partition",
    "spool",
    "transform",
];
const GROUND_FLOOR: &[&str] = &[
    "aws",
    "clock",
    "config",
    "disk",
    "error",
    "extent",
    "failpoint",
    "failure",
    "budget",
    "buffer",
    "position",
    "printable",
    "raw_sum",
    "record",
    "retry",
    "schema",
    "shard",
    "source", // the port alone: what implements it is a stage, each folder of `src/source/`
    "telemetry",
];
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "benches",
    "crates",
    "data", // what a run with the shipped firehose.toml leaves; ignored by git
    "deny.toml",
    "deploy",
    "docs",
    "firehose.toml",
    "fuzz",
    "llms.txt",
    "src",
    "target",
    "tests",
    "transforms",
];
/// Where the tests of a file begin.
const UNIT_TESTS: &str = "#[cfg(test)]\nmod tests {";
const LINES_MAX: usize = 500;
/// The door is read in one sitting, on any screen.
const DOOR_LINES_MAX: usize = 150;
const DOOR_WIDTH_MAX: usize = 120;
/// The front page, in words.
const FRONT_WORDS_MAX: usize = 1_500;

#[test]
fn stages_import_the_ground_floor_and_never_each_other() {
    let mut wrong = Vec::new();
    let sources = names_of_sources();
    let sources = sources.iter().map(|name| format!("source/{name}"));
    let stages = STAGES.iter().map(|stage| (*stage).to_owned());
    for stage in stages.chain(sources) {
        for file in files_of(&stage) {
            for module in imports(&fs::read_to_string(&file).unwrap()) {
                let is_known = GROUND_FLOOR.contains(&module.as_str());
                if module != stage && !is_known && !is_given(&file, &module) {
                    wrong.push(format!("{}: crate::{module}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_ground_floor_imports_nothing_above_it() {
    let mut wrong = Vec::new();
    let sources = names_of_sources();
    for module in GROUND_FLOOR {
        for file in files_of(module) {
            if sources.iter().any(|name| is_of_source(&file, name)) {
                continue;
            }
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                if !GROUND_FLOOR.contains(&import.as_str()) && !is_given(&file, &import) {
                    wrong.push(format!("{}: crate::{import}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Tests, and what stands behind the port of sources, may look up.
#[test]
fn no_two_modules_of_the_ground_floor_import_each_other_by_any_way_round() {
    let sources = names_of_sources();
    let mut left: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for module in GROUND_FLOOR {
        let mut files = files_of(module);
        files.retain(|file| !is_test(file));
        files.retain(|file| !sources.iter().any(|name| is_of_source(file, name)));
        let found = files.iter().flat_map(|file| {
            let text = fs::read_to_string(file).unwrap();
            imports(text.split(UNIT_TESTS).next().unwrap())
        });
        left.insert(module, found.filter(|import| import != module).collect());
    }
    // What imports nothing that is left stands below all that is.
    let is_lowest = |imports: &BTreeSet<String>, left: &BTreeMap<&str, _>| {
        !imports.iter().any(|import| left.contains_key(&**import))
    };
    while let Some((lowest, _)) = left.iter().find(|(_, imports)| is_lowest(imports, &left)) {
        let lowest = *lowest;
        left.remove(lowest);
    }
    assert!(
        left.is_empty(),
        "circles, and what stands on them: {left:#?}"
    );
}

#[test]
fn the_delivery_protocol_is_pure() {
    let may_import = [
        "checkpoint",
        "coordination", // what a lease gives for a checkpoint that it has taken
        "error",
        "extent",
        "position",
        "schema",
        "shard",
        "source",
    ];
    let files = files_of("protocol");
    assert!(!files.is_empty());
    let wrong = impure(files, &may_import);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_decisions_about_a_lease_are_pure() {
    let decisions = root().join("src/coordination/decisions.rs");
    let mut wrong = impure(vec![decisions.clone()], &[]);
    let code = without_comments(&fs::read_to_string(decisions).unwrap());
    let code = code.split("#[cfg(test)]").next().unwrap();
    wrong.extend(code.contains("super::").then(|| "a neighbour".to_owned()));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What these files import that they may not, and what of them acts or knows of time.
fn impure(files: Vec<PathBuf>, may_import: &[&str]) -> Vec<String> {
    let does = [
        "tokio",
        "async",
        "await",
        "fs",
        "io",
        "net",
        "thread",
        "sync",
        "Instant",
        "SystemTime",
        "Clock",
        "Moment",
    ];
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let imports = imports(&text).into_iter();
        let strange = imports.filter(|module| !may_import.contains(&module.as_str()));
        wrong.extend(strange.map(|module| format!("{}: crate::{module}", file.display())));
        let code = without_comments(&text);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let acts = words.filter(|word| does.contains(word));
        wrong.extend(acts.map(|word| format!("{}: {word}", file.display())));
    }
    wrong
}

#[test]
fn every_source_file_opens_by_saying_what_it_is() {
    let silent: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:#?}");
}

#[test]
fn no_source_file_is_longer_than_one_can_hold_in_mind() {
    let long: Vec<(usize, PathBuf)> = sources()
        .into_iter()
        .map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn the_door_and_the_front_page_are_read_in_one_sitting() {
    let door = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(door.lines().count() <= DOOR_LINES_MAX);
    let wide = |line: &&str| line.chars().count() > DOOR_WIDTH_MAX;
    let wide: Vec<&str> = door.lines().filter(wide).collect();
    assert!(wide.is_empty(), "ARCHITECTURE.md: {wide:#?}");
    let front = fs::read_to_string(root().join("README.md")).unwrap();
    let words = front.split_whitespace().count();
    assert!(words < FRONT_WORDS_MAX, "README.md has {words} words");
}

#[test]
fn modules_are_named_by_their_file_and_never_mod_rs() {
    let wrong: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| file.file_name().unwrap() == "mod.rs")
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_lies_at_the_top_level_that_has_no_place_there() {
    let strange: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn names_are_found_however_they_are_spelled() {
    for line in [
        "DirectPutKind",
        "a.direct_put()",
        "\"direct-put\"",
        "// Direct PUT",
    ] {
        let words = words(line);
        assert!(
            words.windows(2).any(|some| some == ["direct", "put"]),
            "{line}: {words:?}"
        );
    }
    assert_eq!(words("redirect_put"), ["redirect", "put"]);
    assert_eq!(words("S3Settings"), ["s3", "settings"]);
}

#[test]
fn imports_are_found_in_paths_and_in_groups() {
    let text = "use crate::disk::Disk;\nuse crate::{record, journal::{Journal, Known}};\n\
                // crate::spool is only talked about\nlet x = crate::batch::open();";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["batch", "disk", "journal", "record"]);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `src/<module>.rs` and everything below `src/<module>/`.
fn files_of(module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let file = root().join("src").join(module).with_extension("rs");
    if file.exists() {
        files.push(file);
    }
    collect(&root().join("src").join(module), &mut files);
    files
}

/// The words of a line, in lower case: `KinesisSettings`, `kinesis_settings` and `"Kinesis settings"` have the same. A digit
/// belongs to the word before it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in line.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a file holds nothing but tests, what they promise, or targets of the fuzzer.
fn is_test(file: &Path) -> bool {
    let path = file.strip_prefix(root()).unwrap();
    let mut parts = path.iter().map(|part| part.to_str().unwrap());
    parts.any(|part| {
        part.contains("tests") || matches!(part, "fuzz.rs" | "promises" | "promises.rs")
    })
}

/// Tests that read whole config files are given all that one can name, as the binary is.
fn is_given(file: &Path, module: &str) -> bool {
    // The reader of the config is given what can be named; its tests give it all that there is.
    let is_named = matches!(module, "destination" | "format") && file.ends_with("config/tests.rs");
    is_test(file) && (module == "registry" || is_named)
}

fn files_below(dir: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join(dir), &mut files);
    files
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for dir in ["src", "tests", "benches", "crates", "fuzz/targets"] {
        collect(&root().join(dir), &mut files);
    }
    assert!(!files.is_empty());
    files
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The modules of the crate that a file names, comments left out.
fn imports(text: &str) -> BTreeSet<String> {
    let code = without_comments(text);
    let mut modules = BTreeSet::new();
    for (at, head) in code.match_indices("crate::") {
        let path = &code[at + head.len()..];
        if let Some(group) = path.strip_prefix('{') {
            modules.extend(group_members(group));
        } else {
            modules.insert(first_word(path));
        }
    }
    modules
}

/// The first words of the members of `a, b::{c, d}, e}…`.
fn group_members(group: &str) -> Vec<String> {
    let mut members = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' | b',' if depth == 0 => {
                members.push(first_word(group[start..at].trim_start()));
                start = at + 1;
                if byte == b'}' {
                    break;
                }
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

fn first_word(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}
