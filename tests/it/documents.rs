//! What the documents name is there: files, tests, failpoints, settings, metrics.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exactly_once;

const README: &str = include_str!("../../README.md");
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
const SECURITY: &str = include_str!("../../SECURITY.md");

#[test]
fn every_file_that_a_document_names_exists() {
    let mut missing = Vec::new();
    for (name, text) in [
        ("README.md", README),
        ("ARCHITECTURE.md", ARCHITECTURE),
        ("SECURITY.md", SECURITY),
    ] {
        let quoted = code(text).into_iter().filter(|path| {
            ["src/", "tests/", "deploy/", "benches/"]
                .iter()
                .any(|start| path.starts_with(start))
        });
        let linked = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let linked = linked
            .filter(|link| !link.starts_with("http"))
            .map(str::to_owned);
        missing.extend(
            quoted
                .chain(linked)
                .filter(|path| !root().join(path).exists())
                .map(|path| format!("{name}: {path}")),
        );
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_test_that_the_architecture_names_exists() {
    let tests = [sources("src"), sources("tests")].concat().concat();
    let named = code(ARCHITECTURE).into_iter().filter(|word| {
        let letters = word.chars().all(|c| c == '_' || c.is_ascii_lowercase());
        letters && word.matches('_').count() >= 3
    });
    let missing: Vec<_> = named
        .filter(|name| !tests.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_life_of_a_record_names_every_failpoint_and_no_other() {
    let calls = failpoints();
    let life = section(ARCHITECTURE, "## Life of a record");
    let heads: BTreeSet<&str> = calls
        .iter()
        .filter_map(|name| name.split('-').next())
        .collect();
    let looks_like_one = |word: &String| {
        let head = word.split('-').next().unwrap_or_default();
        heads.contains(head) && word.chars().all(|c| c == '-' || c.is_ascii_lowercase())
    };
    let named: BTreeSet<String> = code(life).into_iter().filter(looks_like_one).collect();
    assert_eq!(named, calls);
}

#[test]
fn some_campaign_kills_at_every_failpoint() {
    let killed_at: BTreeSet<String> = exactly_once::killed_at().map(str::to_owned).collect();
    assert_eq!(killed_at, failpoints());
}

#[test]
fn the_readme_explains_every_setting() {
    let sample = fs::read_to_string(root().join("src/config/tests/full.toml")).unwrap();
    let sample: toml::Table = sample.parse().unwrap();
    let mut keys = BTreeSet::new();
    collect_keys(&sample, &mut keys);
    for inner in ["clicks", "stream", "http"] {
        keys.remove(inner);
    }
    for table in ["source", "partitioning", "destination"] {
        assert!(
            README.contains(&format!("`[stream.NAME.{table}]`")),
            "{table}"
        );
        keys.remove(table);
    }
    let explained = |key: &&String| README.contains(&format!("\n| `{key}` "));
    let unexplained: Vec<_> = keys.iter().filter(|key| !explained(key)).collect();
    let is_table = |key: &str| {
        let header = format!("[stream.NAME.{key}]");
        README.contains(&format!("`{header}`")) || README.contains(&format!("`[{header}]`"))
    };
    let unexplained: Vec<_> = unexplained
        .into_iter()
        .filter(|key| !is_table(key))
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

#[test]
fn the_readme_names_every_metric_and_no_other() {
    let source = fs::read_to_string(root().join("src/telemetry/metrics.rs")).unwrap();
    let source = source.split("#[cfg(test)]").next().unwrap();
    let kept: BTreeSet<String> = between(source, "= \"firehose_", "\"").into_iter().collect();
    let metrics = code(section(README, "## Metrics")).into_iter();
    let named = metrics.filter_map(|word| word.strip_prefix("firehose_").map(str::to_owned));
    assert_eq!(named.collect::<BTreeSet<_>>(), kept);
}

#[test]
fn the_architecture_names_every_module() {
    let map = section(ARCHITECTURE, "## Code map");
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = between(&library, "pub mod ", ";").into_iter();
    let files = modules.map(|name| format!("src/{name}.rs"));
    let unnamed: Vec<_> = files
        .filter(|file| !map.contains(&format!("`{file}`")) && holds_code(&root().join(file)))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    assert!(ARCHITECTURE.lines().count() <= 280);
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

/// What stands in back quotes outside of fences.
fn code(text: &str) -> Vec<String> {
    let mut inside = false;
    let prose = text.lines().filter(|line| {
        inside ^= line.starts_with("```");
        !inside && !line.starts_with("```")
    });
    prose
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// From a heading to the next one of its rank.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, rest) = text.split_once(heading).expect("the heading is there");
    rest.split("\n## ").next().unwrap()
}

fn between(text: &str, start: &str, end: &str) -> Vec<String> {
    let pieces = text.split(start).skip(1);
    pieces
        .filter_map(|rest| rest.split(end).next())
        .map(str::to_owned)
        .collect()
}

fn collect_keys(table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        keys.insert(key.clone());
        if ["config", "tags"].contains(&key.as_str()) {
            continue; // what is in them is the user's own
        }
        let elements = value.as_array().into_iter().flatten();
        for inner in elements.chain([value]).filter_map(toml::Value::as_table) {
            collect_keys(inner, keys);
        }
    }
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
