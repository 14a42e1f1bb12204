//! The servers of the tests that come as packages of Node, installed once under `target/`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What is installed; a changed list installs anew.
const PACKAGES: &[&str] = &["dynalite@4.0.0", "kinesalite@3.3.3", "kinesis-local@0.6.2"];

/// A file of an installed package. Installs them first where they are missing.
pub fn package(file: &str) -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-node");
        install(&dir).unwrap_or_else(|error| {
            panic!("{error}\nthe tests need Node and npm: install the packages `nodejs` and `npm`")
        });
        dir.join("node_modules")
    });
    made.join(file)
}

fn install(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    // Two test processes may want it at once.
    let lock = File::create(dir.join("lock"))?;
    lock.lock()?;
    let stamp = dir.join("packages");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
        .arg("--prefix")
        .arg(dir)
        .args(PACKAGES)
        .output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("npm install failed: {complaint}")));
    }
    fs::write(stamp, wanted)
}
