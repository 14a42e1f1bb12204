//! The fuzz targets over their seeds: what was found once stays mended, and no target rots.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use firehose::fuzz::TARGETS;

use crate::support::book::root;

/// A seed shows a way in; what is large is a corpus, and that is no part of the repository.
const SEED_BYTES_MAX: u64 = 2 << 10;
const SEEDS_BYTES_MAX: u64 = 12 << 10;

#[test]
fn every_target_takes_its_seeds() {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            // Shown where the target panics.
            eprintln!("{name}: {}", seed.display());
            target(&fs::read(&seed).unwrap());
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

fn seeds(target: &str) -> Vec<PathBuf> {
    entries(&root().join("fuzz/seeds").join(target))
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
