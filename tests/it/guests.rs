//! The guests in `transforms/`: what is in the repository, what its sources make, and what the examples
//! in other languages make, all held to the same pairs of input and output, in the daemon's own host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::support::command::succeed;

/// The ready-made modules.
const MODULES: [&str; 8] = [
    "cloudwatch-logs",
    "csv-to-json",
    "deaggregate",
    "filter-sample",
    "flatten",
    "identity",
    "json-value",
    "redact",
];
/// Examples that do the job of `csv-to-json`.
const EXAMPLES: [&str; 3] = [
    "csv-to-json-c",
    "csv-to-json-javascript",
    "csv-to-json-python",
];

/// Where the sources have been built to.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    succeed(Command::new(root().join("transforms/build")).arg("all"));
    root().join("target/guests/modules")
});

#[test]
fn modules_in_the_repository_do_what_their_pairs_say() {
    for module in MODULES {
        check(&root().join(format!("transforms/{module}.wasm")), module);
    }
}

#[test]
fn modules_built_from_source_do_what_their_pairs_say() {
    for module in MODULES {
        check(&BUILT.join(format!("{module}.wasm")), module);
    }
}

#[test]
fn the_examples_in_other_languages_do_what_the_pairs_of_csv_to_json_say() {
    for example in EXAMPLES {
        check(&BUILT.join(format!("{example}.wasm")), "csv-to-json");
    }
}

#[test]
fn a_new_rust_transform_brings_the_whole_sdk() {
    let dir = tempfile::tempdir().unwrap();
    succeed(
        Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(["transform", "new", "drop-bots", "--lang", "rust"])
            .current_dir(dir.path()),
    );
    let (sdk, copy) = (
        root().join("transforms/sdk"),
        dir.path().join("drop-bots/sdk"),
    );
    for file in ["Cargo.toml", "src"]
        .iter()
        .flat_map(|at| files(&sdk.join(at)))
    {
        let copied = copy.join(file.strip_prefix(&sdk).unwrap());
        assert_eq!(
            fs::read(&copied).ok(),
            fs::read(&file).ok(),
            "{} is not as the SDK has it",
            copied.display()
        );
    }
}

/// All files at or below a path.
fn files(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let entries = fs::read_dir(at).unwrap();
    entries
        .flat_map(|entry| files(&entry.unwrap().path()))
        .collect()
}

/// Holds a module to all pairs of a folder, in the host that the daemon runs.
fn check(module: &Path, of: &str) {
    let mut files = 0;
    for entry in fs::read_dir(root().join(format!("transforms/{of}/pairs"))).unwrap() {
        let pairs = entry.unwrap().path();
        succeed(
            Command::new(env!("CARGO_BIN_EXE_firehose"))
                .args(["transform", "test", "--pairs", "--memory", "256MiB"])
                .args([module, &pairs]),
        );
        files += 1;
    }
    assert!(files > 0, "{of} has no pairs");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
