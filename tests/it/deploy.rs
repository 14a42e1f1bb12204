//! The files under `deploy/` are what systemd and Kubernetes take.

use std::path::Path;
use std::process::Command;

use crate::support::command::succeed;
use crate::support::daemon::Site;
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

#[test]
fn a_zone_that_the_image_lacks_is_known_all_the_same() {
    // Small images have no zones, or a few. jiff looks here first, and nowhere else if it finds one.
    let zones = tempfile::tempdir().unwrap();
    std::fs::write(zones.path().join("Lonely"), b"TZif2").unwrap();
    let site = Site::new(
        r#"
[stream.clicks.source]
type = "direct-put"

[stream.clicks.partitioning]
time_zone = "Asia/Kolkata"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "offset=!{timestamp:xx}/"
error_prefix = "errors/!{firehose:error-output-type}/"
"#,
    );
    std::fs::write(site.path("record"), "{}\n").unwrap();
    let explained = succeed(
        Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(["explain", "clicks", "record"])
            .current_dir(site.path(""))
            .env("TZDIR", zones.path()),
    );
    let explained = String::from_utf8_lossy(&explained);
    assert!(explained.contains("offset=+0530/"), "{explained}");
}

fn deploy(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}
