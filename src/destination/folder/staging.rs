//! Objects on their way into a folder: `.firehose-tmp/<object id>`.

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crc_fast::{CrcAlgorithm, Digest};
use uuid::Uuid;

use super::{beneath, refused};
use crate::destination::{Publication, PublishError};

/// Bytes read and written at a time.
const PIECE: usize = 1 << 20;

/// Temporary files that work of this process is using. A stream that restarts inside the process
/// must not rewrite a file that abandoned work is about to link. Other processes are kept away by
/// the lock on `state_dir`: only this state knows the object's id.
static IN_USE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A temporary name in use; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Temporary(PathBuf);

impl Temporary {
    /// Takes the name of an object, unless earlier work still uses it.
    pub(super) fn take(dir: &Path, object_id: Uuid) -> Option<Self> {
        let path = dir.join(object_id.to_string());
        let free = in_use().insert(path.clone());
        free.then(|| Self(path))
    }

    /// The temporary file's path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes an object's bytes; not durable yet. Bytes that are not the checkpointed ones are
    /// refused.
    pub(super) fn write(&self, publication: &Publication) -> Result<File, PublishError> {
        let failed = |error| refused(&format!("writing {}", self.0.display()), &error);
        let mut file = self.create().map_err(failed)?;
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        let mut offset = 0;
        while offset < publication.size {
            let piece = publication.piece(offset, PIECE)?;
            digest.update(&piece);
            file.write_all(&piece).map_err(failed)?;
            offset += piece.len() as u64;
        }
        if digest.finalize() != publication.crc64nvme {
            return Err(publication.damaged());
        }
        Ok(file)
    }

    /// Writes a marker's bytes; not durable yet.
    pub(super) fn write_marker(&self, body: &[u8]) -> io::Result<File> {
        let mut file = self.create()?;
        file.write_all(body)?;
        Ok(file)
    }

    /// A new file, whatever a dead process may have left under the name.
    fn create(&self) -> io::Result<File> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&self.0),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next recovery.
        let _ = std::fs::remove_file(&self.0);
        in_use().remove(&self.0);
    }
}

/// Opens the directory of temporary files, created where it is missing. A link is not followed: what
/// lies behind it is not ours.
pub(super) fn open(dir: &Path) -> Result<(), PublishError> {
    let failed = |error| refused(&format!("opening {}", dir.display()), &error);
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = std::fs::symlink_metadata(dir).map_err(failed)?;
    if found.is_symlink() {
        return Err(beneath::is_link(dir));
    }
    let is_dir = found.is_dir().then_some(());
    is_dir.ok_or_else(|| failed(io::ErrorKind::NotADirectory.into()))
}

/// Removes the temporary files in `dir` that belong to none of the objects in `named`; only files whose
/// names are ours.
pub(super) fn clear(dir: &Path, named: &HashSet<Uuid>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| Uuid::try_parse(name).ok());
        let ours = id.is_some_and(|id| !named.contains(&id)) && entry.file_type()?.is_file();
        if !ours || in_use().contains(&entry.path()) {
            continue;
        }
        match std::fs::remove_file(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the file at `path` has the object's size and CRC-64/NVME; `None` when there is no file.
pub(super) fn matches(path: &Path, publication: &Publication) -> io::Result<Option<bool>> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let size = found.len();
    if !found.is_file() || publication.sums().all(|(ours, _)| ours != size) {
        return Ok(Some(false));
    }
    let mut file = File::open(path)?;
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    let mut piece = vec![0; PIECE.min(usize::try_from(size).unwrap_or(PIECE))];
    loop {
        match file.read(&mut piece)? {
            0 => {
                let is = (size, digest.finalize());
                return Ok(Some(publication.sums().any(|ours| ours == is)));
            }
            read => digest.update(&piece[..read]),
        }
    }
}

fn in_use() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}
