//! The files under `deploy/` are what systemd and Kubernetes take.

use std::path::Path;
use std::process::Command;

use crate::support::command::succeed;
use crate::support::python::python;

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(deploy("systemd/firehose.service"))
        .output()
        .expect("systemd-analyze checks the unit: install the package `systemd`");
    let said = [output.stdout, output.stderr].concat();
    // Its exit code is 0 for a misspelt value too.
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_manifests_are_valid_against_the_schemas_of_kubernetes() {
    let mut manifests = Vec::new();
    for entry in std::fs::read_dir(deploy("kubernetes")).unwrap() {
        manifests.push(entry.unwrap().path());
    }
    assert!(!manifests.is_empty());
    succeed(
        Command::new(python())
            .args(["-m", "kubernetes_validate", "--strict", "--quiet"])
            .args(&manifests),
    );
}

fn deploy(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}
