//! Runs the foreign reader over a destination and a ledger.

use std::path::Path;

use serde_json::Value;

use super::script::script;

/// Where the objects lie.
#[derive(Clone, Copy, Debug)]
pub enum Lake<'a> {
    Folder(&'a Path),
    S3 {
        endpoint: &'a str,
        bucket: &'a str,
        access_key_id: &'a str,
        secret_access_key: &'a str,
    },
}

/// Holds every object against the ledger. `backup` is the prefix of the backup where there is one.
/// Returns the oracle's summary, or the findings when a promise is broken.
pub fn judge(ledger: &Path, lake: Lake<'_>, backup: Option<&str>) -> Result<Value, String> {
    judge_change(ledger, lake, backup, None)
}

/// The same where settings have changed on the way: the keys that the expression `later` matches
/// are of the later ones.
pub fn judge_change(
    ledger: &Path,
    lake: Lake<'_>,
    backup: Option<&str>,
    later: Option<&str>,
) -> Result<Value, String> {
    let mut command = script("oracle.py");
    command.arg(ledger);
    match lake {
        Lake::Folder(path) => command.arg("--folder").arg(path),
        Lake::S3 {
            endpoint,
            bucket,
            access_key_id,
            secret_access_key,
        } => command
            .args(["--s3", endpoint, bucket])
            .env("AWS_ACCESS_KEY_ID", access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", secret_access_key),
    };
    if let Some(prefix) = backup {
        command.args(["--backup", prefix]);
    }
    if let Some(later) = later {
        command.args(["--later", later]);
    }
    let output = command.output().unwrap();
    let summary = String::from_utf8_lossy(&output.stdout);
    let findings = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the oracle found:\n{findings}\n{summary}"));
    }
    Ok(serde_json::from_str(&summary).unwrap())
}
