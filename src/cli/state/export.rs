//! `state export NAME DIR`: all that can be read of a stream's state, to files, for a person whose checkpoints
//! are lost.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;

use super::super::CommandError;
use super::{directory, objects};
use crate::config::Config;
use crate::disk::{Disk, DiskFile, HostDisk, OpenMode, read_around};
use crate::pipeline::QUARANTINE_DIR;
use crate::source::{self, LocalRecords, Salvaged};

/// Bytes that are copied at a time; and where these cannot be read.
const PIECE: usize = 1 << 20;
const BLOCK: usize = 4096;
/// Ranges of a file that are told one by one.
const RANGES_MAX: usize = 8;

/// Writes the records that a source keeps here as lines of JSON, copies what holds those of batches, and lists what is
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
    let disk = HostDisk::new(&from).context("open the state")?;
    let gaps = copy_all(&disk, stream, to, out)?;
    match config.streams.get(stream) {
        Some(settings) => objects::list(settings, &disk, to, out)?,
        None => writeln!(
            out,
            "what the destination holds of {stream} is not listed: the config does not name the stream, and \
             nothing else tells where its objects are; name it again and export into another folder"
        )?,
    }
    if gaps > 0 {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "{gaps} files cannot be read whole, as is said above; all else is exported"
        )));
    }
    Ok(())
}

/// Writes what can be read of a source's own records, spool and quarantine to files of `to`. How much is not whole.
fn copy_all(
    disk: &dyn Disk,
    stream: &str,
    to: &Path,
    out: &mut dyn Write,
) -> Result<usize, CommandError> {
    let mut gaps = Vec::new();
    for (_, local) in source::locals() {
        let (name, to) = (local.dir(), to.join(format!("{}.jsonl", local.dir())));
        let salvaged = self::records(local, disk, &to);
        let salvaged =
            salvaged.with_context(|| format!("export the {name} to {}", to.display()))?;
        writeln!(
            out,
            "{stream}: {} records of the {name}, delivered or not, are in {}: sequenceNumber, \
             arrivalTimestamp, rawData",
            salvaged.records,
            to.display()
        )?;
        gaps.extend(salvaged.gaps);
    }
    for part in ["spool", QUARANTINE_DIR] {
        let copied = copy(disk, Path::new(part), &to.join(part));
        let (files, lost) = copied.with_context(|| format!("copy {part}"))?;
        if files > 0 {
            let to = to.join(part);
            writeln!(
                out,
                "{files} files with bytes of batches, as they were staged or encoded, are in {}",
                to.display()
            )?;
        }
        gaps.extend(lost);
    }
    for gap in &gaps {
        writeln!(out, "{gap}")?;
    }
    Ok(gaps.len())
}

/// Writes the records that a source keeps here. An error is one of `to`.
fn records(local: &dyn LocalRecords, disk: &dyn Disk, to: &Path) -> io::Result<Salvaged> {
    let mut lines = BufWriter::new(File::create_new(to)?);
    let salvaged = local.salvage(disk, &mut |sequence, arrival_ms, data| {
        let data = base64::engine::general_purpose::STANDARD.encode(data);
        let line = serde_json::json!({
            "sequenceNumber": sequence.0.to_string(),
            "arrivalTimestamp": arrival_ms,
            "rawData": data,
        });
        writeln!(lines, "{line}")
    })?;
    lines.into_inner()?.sync_all()?;
    Ok(salvaged)
}

/// Copies the files of a folder, as far as they can be read; how many there were, and what is missing of each. An
/// error is one of `to`.
fn copy(disk: &dyn Disk, part: &Path, to: &Path) -> io::Result<(u64, Vec<String>)> {
    let names = match disk.list(part) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
        Err(error) => {
            let gap = format!("{} cannot be listed: {error}", part.display());
            return Ok((0, vec![gap]));
        }
    };
    fs::create_dir(to)?;
    let mut gaps = Vec::new();
    for name in &names {
        let path = part.join(name);
        let mut copy = BufWriter::new(File::create_new(to.join(name))?);
        let gap = match disk.open(&path, OpenMode::Existing) {
            Ok(file) => copy_around(&*file, &mut copy)?,
            Err(error) => Some(format!(
                "it cannot be opened ({error}), and the copy is empty"
            )),
        };
        copy.into_inner()?.sync_all()?;
        gaps.extend(gap.map(|gap| format!("{} is not whole: {gap}", path.display())));
    }
    Ok((names.len() as u64, gaps))
}

/// Copies a file, with zeros for what the disk does not give; what that is, in words. An error is one of `to`.
fn copy_around(file: &dyn DiskFile, to: &mut impl Write) -> io::Result<Option<String>> {
    let len = match file.len() {
        Ok(len) => len,
        Err(error) => {
            return Ok(Some(format!(
                "it cannot be read ({error}), and the copy is empty"
            )));
        }
    };
    let (mut at, mut lost) = (0, Vec::new());
    let mut piece = vec![0; PIECE];
    while at < len {
        let size = usize::try_from(len - at).unwrap_or(PIECE).min(PIECE);
        let piece = &mut piece[..size];
        if file.read_exact_at(piece, at).is_err() {
            for (block, n) in piece.chunks_mut(BLOCK).zip(0..) {
                let at = at + n * BLOCK as u64;
                if !read_around(file, block, at).is_ok_and(|has_gap| !has_gap) {
                    block.fill(0);
                    add(&mut lost, at..at + block.len() as u64);
                }
            }
        }
        to.write_all(piece)?;
        at += size as u64;
    }
    if lost.is_empty() {
        return Ok(None);
    }
    let bytes: u64 = lost.iter().map(|range| range.end - range.start).sum();
    let told = lost.iter().take(RANGES_MAX);
    let told: Vec<String> = told
        .map(|range| format!("{} to {}", range.start, range.end - 1))
        .collect();
    let more = lost.len().saturating_sub(RANGES_MAX);
    let more = if more > 0 {
        format!(", and {more} ranges more")
    } else {
        String::new()
    };
    Ok(Some(format!(
        "{bytes} of {len} bytes cannot be read, and are zeros in the copy: {}{more}",
        told.join(", ")
    )))
}

/// Adds a range behind others, as one with the last where it follows on it.
fn add(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{DiskOperation, TornDisk};

    #[test]
    fn a_journal_that_cannot_be_read_leaves_the_rest_of_an_export() {
        let disk = TornDisk::new(0);
        let laid = [
            ("journal/00000000000000000001.segment", "rubbish"),
            ("spool/0000000000.spool", "spooled"),
            ("quarantine/block.raw", "set aside"),
        ];
        for (path, bytes) in laid {
            let path = Path::new(path);
            disk.create_dir_all(path.parent().unwrap()).unwrap();
            let file = disk.open(path, OpenMode::New).unwrap();
            file.write_all_at(bytes.as_bytes(), 0).unwrap();
        }
        disk.fail(DiskOperation::Read, 1, io::ErrorKind::PermissionDenied);
        let to = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        let gaps = copy_all(&disk, "clicks", to.path(), &mut told).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(gaps, 1, "{told}");
        assert!(
            told.contains("0 records") && told.contains("no header"),
            "{told}"
        );
        for (path, bytes) in &laid[1..] {
            let copied = fs::read_to_string(to.path().join(path)).unwrap();
            assert_eq!(copied, *bytes);
        }
    }

    #[test]
    fn a_file_is_copied_around_what_cannot_be_read_and_that_is_told() {
        let disk = TornDisk::new(0);
        disk.create_dir_all(Path::new("spool")).unwrap();
        let path = Path::new("spool/file");
        let file = disk.open(path, OpenMode::New).unwrap();
        let len = PIECE + 10_000;
        file.write_all_at(&vec![7; len], 0).unwrap();
        file.sync_data().unwrap();
        let mut copied = Vec::new();
        assert_eq!(copy_around(&*file, &mut copied).unwrap(), None);
        assert_eq!(copied, vec![7; len]);

        // Two blocks beside each other, and the end.
        for at in [BLOCK as u64 * 3, BLOCK as u64 * 4, len as u64 - 1] {
            disk.spoil(path, at..at + 1).unwrap();
        }
        copied.clear();
        let told = copy_around(&*file, &mut copied).unwrap().unwrap();
        let end = len / BLOCK * BLOCK;
        let lost = 2 * BLOCK + len - end;
        let wanted = format!("{lost} of {len} bytes cannot be read");
        assert!(told.starts_with(&wanted), "{told}");
        let ranges = format!("12288 to 20479, {end} to {}", len - 1);
        assert!(told.ends_with(&ranges), "{told}");
        assert_eq!(copied.len(), len);
        assert_eq!(memchr::memchr_iter(0, &copied).count(), lost);
        println!("export: {lost} of {len} bytes lost with three sectors, all others copied");
    }
}
