//! The oracle finds what it is there to find: each kind of broken promise, laid by hand.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::oracle::{Lake, judge_change};

const LEDGER: &str = "acknowledged good k0x1z\nacknowledged not-json k0x2z\nunknown good k0x3z\n\
                      refused good k0x4z\n";

#[test]
fn the_oracle_is_content_when_every_acknowledged_record_is_there_once() {
    let lake = Laid::new();
    let summary = lake.judge().unwrap();
    assert_eq!(summary["delivered"], 2);
}

#[test]
fn the_oracle_allows_an_unanswered_record_to_be_there_once() {
    let lake = Laid::new();
    lake.write("data/event_type=view/region=eu/b", row("k0x3z", "view"));
    assert_eq!(lake.judge().unwrap()["delivered"], 3);
}

#[test]
fn the_oracle_finds_a_lost_record() {
    let lake = Laid::new();
    fs::remove_dir_all(lake.0.path().join("lake/errors")).unwrap();
    lake.finds("lost");
}

#[test]
fn the_oracle_finds_a_doubled_record() {
    let lake = Laid::new();
    lake.write("data/event_type=view/region=eu/b", row("k0x1z", "view"));
    lake.finds("doubled");
}

#[test]
fn the_oracle_finds_a_torn_object() {
    let lake = Laid::new();
    let row = row("k0x3z", "view");
    lake.write("data/event_type=view/region=eu/b", &row[..row.len() - 5]);
    lake.finds("torn object");
}

#[test]
fn the_oracle_finds_an_object_of_several_gzip_members() {
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let rows = ["k0x3z", "k0x4z"].map(|id| gzip(&row(id, "view")));
    let lake = Laid::new();
    lake.write("data/event_type=view/region=eu/b.gz", &rows[0]);
    lake.judge().unwrap();
    lake.write("data/event_type=view/region=eu/b.gz", rows.concat());
    lake.finds("torn object");
}

#[test]
fn the_oracle_finds_a_torn_record() {
    let lake = Laid::new();
    lake.write(
        "data/event_type=view/region=eu/b",
        row("k0x3z", "view").replace("\"end\":\"k0x3z\"", "\"end\":\"k0x1z\""),
    );
    lake.finds("torn record");
}

#[test]
fn the_oracle_finds_texts_of_a_record_that_have_failed_together() {
    let raw = "{\"id\":\"k0x3z\",\"end\":\"k0x3z\"} {\"id\":\"k0x4z\",\"end\":\"k0x4z\"}";
    let lake = Laid::new();
    lake.write("errors/metadata-extraction-failed/b", failed(raw));
    lake.finds("torn object");
}

#[test]
fn the_oracle_finds_a_record_outside_of_its_partition() {
    let lake = Laid::new();
    lake.write("data/event_type=view/region=eu/b", row("k0x3z", "click"));
    lake.finds("record outside of its partition");
}

#[test]
fn the_oracle_finds_an_object_outside_of_every_prefix() {
    let lake = Laid::new();
    lake.write("elsewhere/b", row("k0x3z", "view"));
    lake.finds("object outside of every prefix");
}

#[test]
fn the_oracle_finds_a_record_that_nobody_sent() {
    let lake = Laid::new();
    lake.write("data/event_type=view/region=eu/b", row("k9x9z", "view"));
    lake.finds("never sent");
}

#[test]
fn the_oracle_finds_a_record_under_settings_that_had_changed_before_it() {
    let lake = Laid::new();
    let later = "later/data/event_type=view/region=eu/b";
    lake.write(later, row("k0x3z", "view"));
    lake.judge_change(Some("^later/")).unwrap();
    lake.finds("object outside of every prefix");
    lake.write("data/event_type=view/region=eu/b", row("k0x4z", "view"));
    let findings = lake.judge_change(Some("^later/")).unwrap_err();
    assert!(
        findings.contains("under the first settings behind later ones: 1\n"),
        "{findings}"
    );
}

/// A ledger and a lake that agree, to be spoilt.
struct Laid(tempfile::TempDir);

impl Laid {
    fn new() -> Self {
        let laid = Self(tempfile::tempdir().unwrap());
        fs::write(laid.0.path().join("ledger"), LEDGER).unwrap();
        laid.write("data/event_type=view/region=eu/a", row("k0x1z", "view"));
        let line = failed("{\"id\":\"k0x2z\" and then \"end\":\"k0x2z\"");
        laid.write("errors/metadata-extraction-failed/a", line);
        laid
    }

    fn write(&self, key: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.path().join("lake").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn judge(&self) -> Result<serde_json::Value, String> {
        self.judge_change(None)
    }

    fn judge_change(&self, later: Option<&str>) -> Result<serde_json::Value, String> {
        let path: &Path = self.0.path();
        let lake = path.join("lake");
        judge_change(&path.join("ledger"), Lake::Folder(&lake), None, later)
    }

    fn finds(&self, what: &str) {
        let findings = self.judge().unwrap_err();
        assert!(findings.contains(&format!("{what}: 1\n")), "{findings}");
    }
}

fn row(id: &str, event_type: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"event_type\":\"{event_type}\",\"geo\":{{\"region\":\"eu\"}},\
         \"end\":\"{id}\"}}\n"
    )
}

/// The line of a record that has failed.
fn failed(record: &str) -> String {
    let raw = base64::engine::general_purpose::STANDARD.encode(record);
    format!(
        "{{\"rawData\":\"{raw}\",\"errorCode\":\"c\",\"attemptsMade\":1,\"arrivalTimestamp\":1}}\n"
    )
}
