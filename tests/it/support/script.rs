//! The Python scripts of the tests: servers' clients and judges that are not ours.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::python::python;

/// A script by its path below the tests; it lacks its arguments.
pub fn script(path: &str) -> Command {
    let scripts = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it"));
    let mut command = Command::new(python());
    command.arg(scripts.join(path));
    command
}

/// The JSON document with which a script answers; the error is what it complained of.
pub fn ask(script: &mut Command) -> Result<Value, String> {
    let output = script.output().unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    let arguments: Vec<_> = script.get_args().skip(1).collect();
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{arguments:?}\n{complaint}"))
}
