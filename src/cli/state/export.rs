//! `state export NAME DIR`: all that can be read of a stream's state, to files, for a person whose checkpoints
//! are lost.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;

use super::super::CommandError;
use super::{directory, objects};
use crate::config::Config;
use crate::disk::HostDisk;
use crate::journal;
use crate::pipeline::QUARANTINE_DIR;

/// The records of the journal, in a file of `to`.
const RECORDS: &str = "journal.jsonl";

/// Writes the records of the journal as lines of JSON, copies what holds those of batches, and lists what is
/// delivered. The state stays as it is.
pub(super) fn run(
    config: &Config,
    stream: &str,
    to: &Path,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let from = directory(config, stream)?;
    let mut folder = fs::DirBuilder::new();
    let made = folder.mode(0o700).create(to);
    made.with_context(|| format!("create {}, which must not be there", to.display()))?;
    let records = records(&from, &to.join(RECORDS))
        .with_context(|| format!("export the journal to {}", to.join(RECORDS).display()))?;
    writeln!(
        out,
        "{stream}: {records} records of the journal, delivered or not, are in {}: sequenceNumber, \
         arrivalTimestamp, rawData",
        to.join(RECORDS).display()
    )?;
    for part in ["spool", QUARANTINE_DIR] {
        let files = copy(&from.join(part), &to.join(part));
        let files = files.with_context(|| format!("copy {part}"))?;
        if files > 0 {
            let to = to.join(part);
            writeln!(
                out,
                "{files} files with bytes of batches, as they were staged or encoded, are in {}",
                to.display()
            )?;
        }
    }
    if let Some(settings) = config.streams.get(stream) {
        return objects::list(settings, &from, to, out);
    }
    writeln!(
        out,
        "what the destination holds of {stream} is not listed: the config does not name the stream, and \
         nothing else tells where its objects are; name it again and export into another folder"
    )?;
    Ok(())
}

fn records(from: &Path, to: &Path) -> io::Result<u64> {
    let mut lines = BufWriter::new(File::create_new(to)?);
    let disk = HostDisk::new(from)?;
    let records = journal::salvage(
        &disk,
        Path::new("journal"),
        &mut |sequence, arrival_ms, data| {
            let data = base64::engine::general_purpose::STANDARD.encode(data);
            let line = serde_json::json!({
                "sequenceNumber": sequence.0.to_string(),
                "arrivalTimestamp": arrival_ms,
                "rawData": data,
            });
            writeln!(lines, "{line}")
        },
    )?;
    lines.into_inner()?.sync_all()?;
    Ok(records)
}

/// Copies the files of a folder; how many there were.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    fs::create_dir(to)?;
    let mut files = 0;
    for entry in entries {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
        files += 1;
    }
    Ok(files)
}
