//! `llms.txt` is true: its settings are those that are read, its configs are valid, its verbs are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::support::book::root;
use crate::support::command::succeed;
use crate::support::markdown::{self, Block, section};
use crate::support::reader;

const TEXT: &str = include_str!("../../llms.txt");
/// The least that shows all kinds of sources and destinations.
const CONFIGS: usize = 5;

#[test]
fn its_settings_are_those_that_are_read() {
    let [block] = &blocks("text")[..] else {
        panic!("the settings stand in one block of text")
    };
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in block.text.lines().filter(|line| !line.is_empty()) {
        if let Some(key) = line.strip_prefix("  ") {
            let mut words = key.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
            let key = words.next().unwrap().to_owned();
            if key == "type" {
                let named: BTreeSet<_> = words.collect();
                let mut kinds = reader::kinds().into_iter();
                let missing = kinds.find(|kind| kind.table == table && !named.contains(kind.word));
                assert!(
                    missing.is_none(),
                    "{line}: {:?}",
                    missing.map(|kind| kind.word)
                );
            }
            let keys = listed.entry(table.clone()).or_default();
            assert!(keys.insert(key.clone()), "{table}: {key} stands twice");
        } else if line.starts_with('[') {
            line.split("  ").next().unwrap().clone_into(&mut table);
        } else {
            assert_eq!(line, "top level");
        }
    }
    assert_eq!(listed, reader::keys());
}

#[test]
fn its_configs_are_whole_and_valid() {
    let configs = blocks("toml");
    assert!(configs.len() >= CONFIGS, "{} configs", configs.len());
    for config in configs {
        let dir = tempfile::tempdir().unwrap();
        // The reader stands in a clone.
        let modules = dir.path().join("transforms");
        std::os::unix::fs::symlink(root().join("transforms"), modules).unwrap();
        fs::write(dir.path().join("firehose.toml"), &config.text).unwrap();
        let checked = firehose(&["check"]).current_dir(&dir).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{config}: {said}");
        assert_eq!(said, "", "{config}: is doubted");
    }
}

#[test]
fn its_verbs_are_those_that_are_there() {
    let listed = section(TEXT, "## Commands");
    let listed = listed.lines().filter_map(|line| {
        let command = line.strip_prefix("- `firehose ")?;
        let words = command.split('`').next().unwrap().split(' ');
        Some(
            words
                .take_while(|word| is_verb(word))
                .collect::<Vec<_>>()
                .join(" "),
        )
    });
    let mut there = BTreeSet::new();
    for verb in verbs(&[]) {
        let inner = verbs(&[&verb]);
        if inner.is_empty() {
            there.insert(verb);
        } else {
            there.extend(inner.iter().map(|inner| format!("{verb} {inner}")));
        }
    }
    assert_eq!(listed.collect::<BTreeSet<_>>(), there);
}

fn blocks(words: &str) -> Vec<Block> {
    let blocks = markdown::blocks("llms.txt", TEXT).into_iter();
    blocks.filter(|block| block.words == words).collect()
}

/// The commands that `--help` lists.
fn verbs(command: &[&str]) -> Vec<String> {
    let help = succeed(firehose(command).arg("--help"));
    let help = String::from_utf8(help).unwrap();
    let Some((_, listed)) = help.split_once("\nCommands:\n") else {
        return vec![];
    };
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let verbs = lines.filter_map(|line| {
        let verb = line.strip_prefix("  ")?.split(' ').next()?;
        (is_verb(verb) && verb != "help").then(|| verb.to_owned())
    });
    verbs.collect()
}

fn is_verb(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '-')
}

fn firehose(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command.args(arguments);
    command
}
