//! The servers and clients of the tests that come as packages of Node, installed once under `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::command::attempt;
use super::fetched::fetched;
use super::needs::lacks;

/// What is installed; a changed list installs anew.
const PACKAGES: &[&str] = &[
    "@aws-sdk/client-firehose@3.1169.0",
    "dynalite@4.0.0",
    "kinesalite@3.3.3",
    "kinesis-local@0.6.2",
];

/// A file of an installed package. Installs them first where they are missing.
pub fn package(file: &str) -> PathBuf {
    // All tests are told why there are none, and only the first tries.
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match MADE.get_or_init(|| fetched("test-node", PACKAGES, install)) {
        Ok(dir) => dir.join("node_modules").join(file),
        Err(why) => panic!("the Node packages of the tests: {why}"),
    }
}

fn install(dir: &Path) -> Result<(), String> {
    lacks(&["node", "npm"])?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    attempt(npm.arg("--prefix").arg(dir).args(PACKAGES))?;
    Ok(())
}
