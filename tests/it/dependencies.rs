//! What we depend on: licences, origins and duplicates, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::command::succeed;

/// Licences that may be linked into an Apache-2.0 binary without further duties than attribution.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are there in more than one version, and who holds the older one.
const DUPLICATES: &[(&str, &str)] = &[
    (
        "base64",
        "aws-smithy-types has not moved to 0.23 together with the others",
    ),
    ("block-buffer", "follows digest"),
    ("cpufeatures", "follows digest"),
    ("crypto-common", "the digest 0.10 family below the AWS SDK"),
    ("digest", "the AWS SDK's checksums stay on 0.10"),
    (
        "embedded-io",
        "postcard, in wasmtime, offers both and uses neither",
    ),
    ("foldhash", "hashbrown holds 0.1"),
    ("getrandom", "ring and rand follow at their own pace"),
    ("hashbrown", "indexmap and metrics-util differ"),
    ("num-bigint", "arrow holds 0.4"),
    ("rand", "proptest holds 0.9"),
    ("rand_core", "follows rand"),
    ("sha2", "wasmtime stays on 0.10"),
    ("syn", "the derive crates are moving from 2 to 3"),
    ("toml", "wasmtime's cache stays on 0.9"),
    ("toml_datetime", "follows toml"),
    ("winnow", "follows toml"),
    ("zstd", "wasmtime's cache stays on 0.13"),
    ("zstd-safe", "follows zstd"),
];

#[test]
fn every_dependency_may_be_linked_into_an_apache_2_0_binary() {
    let metadata = metadata();
    let refused: Vec<String> = packages(&metadata)
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default()))
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert!(
        refused.is_empty(),
        "licences that nobody has allowed: {refused:#?}"
    );
}

#[test]
fn every_dependency_comes_from_the_registry() {
    let metadata = metadata();
    let strange: Vec<&Value> = packages(&metadata)
        .filter(|package| package["name"] != "firehose")
        .filter(|package| {
            !package["source"]
                .as_str()
                .is_some_and(|source| source.starts_with("registry+"))
        })
        .map(|package| &package["id"])
        .collect();
    assert!(
        strange.is_empty(),
        "from git or from elsewhere on the disk: {strange:#?}"
    );
}

#[test]
fn every_crate_that_is_there_twice_is_on_the_list() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages(&metadata) {
        let name = package["name"].as_str().unwrap();
        versions
            .entry(name)
            .or_default()
            .insert(package["version"].as_str().unwrap());
    }
    versions.retain(|_, versions| versions.len() > 1);
    let found: BTreeSet<&str> = versions.keys().copied().collect();
    let listed: BTreeSet<&str> = DUPLICATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        found, listed,
        "left: found twice ({versions:?}); right: on the list"
    );
}

#[test]
fn licence_expressions_are_judged_as_spdx_means_them() {
    assert!(is_allowed("GPL-3.0-only OR MIT"));
    assert!(is_allowed("MIT/GPL-3.0-only"));
    assert!(is_allowed(
        "Apache-2.0 WITH LLVM-exception AND (ISC OR GPL-2.0-only)"
    ));
    assert!(!is_allowed("MIT AND GPL-3.0-only"));
    assert!(!is_allowed("(MIT OR ISC) AND MPL-2.0"));
    assert!(!is_allowed("GPL-2.0-only WITH LLVM-exception"));
    assert!(!is_allowed(""));
}

fn metadata() -> Value {
    let printed = succeed(
        Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--offline"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    serde_json::from_slice(&printed).unwrap()
}

/// The packages that are part of some build on the platform.
fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let ids: BTreeSet<&str> = nodes
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .filter(move |package| ids.contains(package["id"].as_str().unwrap()))
}

/// Evaluates an SPDX expression (and the older `A/B` for `A OR B`) over [`LICENCES`].
fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> bool {
    let mut allowed = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all_of(words);
    }
    allowed
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut allowed = licence(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= licence(words);
    }
    allowed
}

fn licence(words: &mut Words<'_>) -> bool {
    match words.next() {
        Some("(") => {
            let allowed = any_of(words);
            words.next() == Some(")") && allowed
        }
        Some(name) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().unwrap_or_default();
            LICENCES.contains(&format!("{name} WITH {exception}").as_str())
        }
        Some(name) => LICENCES.contains(&name),
        None => false,
    }
}
