//! The fuzz targets over their seeds, and over what little changes make of them: what was found once
//! stays mended, and no target rots.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use firehose::fuzz::{TARGETS, Target};

use crate::support::book::root;

/// A seed shows a way in; what is large is a corpus, and that is no part of the repository.
const SEED_BYTES_MAX: u64 = 2 << 10;
const SEEDS_BYTES_MAX: u64 = 12 << 10;
/// Changed inputs of each target in a run of the tests; `FIREHOSE_CHANGES` asks for another number.
const CHANGES: u64 = 200;
/// Bytes that mean something to somebody.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\n\r\t \"\\'`{}[]()<>:;,.|!$%*+-/=?@^_0123456789eEnNuU";

#[test]
fn every_target_takes_its_seeds() {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            call(name, target, &fs::read(&seed).unwrap());
        }
    }
}

/// `FIREHOSE_CHANGES=100000 FIREHOSE_TARGET=jq cargo test --test it fuzz` goes on for longer, with one target.
#[test]
fn every_target_takes_seeds_that_were_changed() {
    let changes = std::env::var("FIREHOSE_CHANGES").map(|text| text.parse().unwrap());
    let only = std::env::var("FIREHOSE_TARGET").ok();
    for (name, target) in TARGETS {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let seeds: Vec<Vec<u8>> = seeds(name)
            .iter()
            .map(|seed| fs::read(seed).unwrap())
            .collect();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..changes.clone().unwrap_or(CHANGES) {
            let mut input = random.choice(&seeds).unwrap().clone();
            for _ in 0..random.usize(1..6) {
                let other = random.choice(&seeds).unwrap();
                change(&mut input, other, &mut random);
            }
            call(name, target, &input);
        }
    }
}

#[test]
fn every_target_is_a_program_and_has_a_few_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap().iter();
    let programs = programs.map(|program| program["name"].as_str().unwrap().to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), targets);
    for (folder, extension) in [("fuzz/targets", ".rs"), ("fuzz/seeds", "")] {
        let files = entries(&root().join(folder)).into_iter();
        let names = files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        let names = names.map(|name| name.trim_end_matches(extension).to_owned());
        assert_eq!(names.collect::<BTreeSet<_>>(), targets, "{folder}");
    }
    for (name, _) in TARGETS {
        let seeds = seeds(name).into_iter();
        let bytes: Vec<u64> = seeds.map(|seed| seed.metadata().unwrap().len()).collect();
        assert!(!bytes.is_empty(), "{name} has no seed");
        assert!(bytes.iter().all(|bytes| *bytes <= SEED_BYTES_MAX), "{name}");
        assert!(bytes.iter().sum::<u64>() <= SEEDS_BYTES_MAX, "{name}");
    }
}

/// Calls a target; where it panics the input is shown, to become a seed.
fn call(name: &str, target: Target, input: &[u8]) {
    struct Shown<'a>(&'a str, &'a [u8]);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                eprintln!("{} stumbles over \"{}\"", self.0, self.1.escape_ascii());
            }
        }
    }
    let _shown = Shown(name, input);
    target(input);
}

/// One of the changes that fuzzers make.
fn change(input: &mut Vec<u8>, other: &[u8], random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let end = input.len().min(at + random.usize(1..9));
    match random.u8(..7) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..end)),
        2 => input.extend_from_within(at..end),
        3 => input.insert(at, *random.choice(TELLING).unwrap()),
        4 => {
            let from = random.usize(..=other.len());
            let until = random.usize(from..=other.len());
            input.splice(at..end, other[from..until].iter().copied());
        }
        _ if at == input.len() => input.push(random.u8(..)),
        5 => input[at] ^= 1 << random.u8(..8),
        _ => input[at] = *random.choice(TELLING).unwrap(),
    }
}

fn seeds(target: &str) -> Vec<PathBuf> {
    entries(&root().join("fuzz/seeds").join(target))
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
