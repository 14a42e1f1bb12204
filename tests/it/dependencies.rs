//! What we depend on: licences, origins and duplicates, read from `cargo metadata` and held against
//! `deny.toml`, on machines without cargo-deny too.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::command::succeed;

#[test]
fn every_dependency_may_be_linked_into_an_apache_2_0_binary() {
    let metadata = metadata();
    let policy = policy();
    let allowed = policy["licenses"]["allow"].as_array().unwrap();
    let allowed: Vec<&str> = allowed.iter().map(|name| name.as_str().unwrap()).collect();
    let refused: Vec<String> = packages(&metadata)
        .filter(|package| {
            let expression = package["license"].as_str().unwrap_or_default();
            !is_allowed(expression, &allowed)
        })
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
    let ours = metadata["workspace_members"].as_array().unwrap();
    let strange: Vec<&Value> = packages(&metadata)
        .filter(|package| !ours.contains(&package["id"]))
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
    let policy = policy();
    let listed = policy["bans"]["skip"].as_array().unwrap();
    let listed: BTreeSet<&str> = listed
        .iter()
        .map(|skipped| skipped["crate"].as_str().unwrap())
        .collect();
    assert_eq!(
        found, listed,
        "left: found twice ({versions:?}); right: on the list"
    );
}

#[test]
fn licence_expressions_are_judged_as_spdx_means_them() {
    let is_allowed = |expression| {
        let allowed = ["Apache-2.0 WITH LLVM-exception", "ISC", "MIT"];
        is_allowed(expression, &allowed)
    };
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

fn policy() -> toml::Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
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

/// Evaluates an SPDX expression (and the older `A/B` for `A OR B`) over the licences that are allowed.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut any = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        any |= all_of(words, allowed);
    }
    any
}

fn all_of(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut all = licence(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        all &= licence(words, allowed);
    }
    all
}

fn licence(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    match words.next() {
        Some("(") => {
            let inner = any_of(words, allowed);
            words.next() == Some(")") && inner
        }
        Some(name) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().unwrap_or_default();
            allowed.contains(&format!("{name} WITH {exception}").as_str())
        }
        Some(name) => allowed.contains(&name),
        None => false,
    }
}
