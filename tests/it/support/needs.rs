//! What the tests need of the machine beyond Rust; `.ci/needs` has the list.

use std::path::Path;
use std::process::Command;

/// Panics with what to install where the machine lacks one of these, before anything is begun with it.
pub fn needs(tools: &[&str]) {
    if let Err(why) = lacks(tools) {
        panic!("{why}");
    }
}

/// The error is what to install.
pub fn lacks(tools: &[&str]) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/needs");
    let output = Command::new(&script).args(tools).output();
    let output = output.map_err(|error| format!("{}: {error}", script.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
