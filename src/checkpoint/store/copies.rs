//! The two files of a store: which of them holds the newest checkpoint, and whether that is known.
//!
//! Nothing is published or released on the word of a transaction before it is durable in both, and the
//! second file is written when the first one is durable (`pair.rs`). Each file tells what it holds, and
//! by its marks what was last begun in it, whether or not that can be read. So what was acted upon was
//! begun in both, and a transaction that is as new as the newest that one file has ever begun is the
//! right one to go on from. Where neither file can show that, a newer one may have been acted upon: to go
//! on from an older one would lose or double records.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::Database;

use super::overlay::Overlay;
use super::{CACHE_BYTES, CheckpointStore, StoreError, VERSION_OF_COPIES, marks};
use crate::checkpoint::MIRROR;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::with_causes;

/// Where the two files are, and where they are written anew.
#[derive(Debug)]
pub(super) struct Copies {
    paths: [PathBuf; 2],
    fresh: [PathBuf; 2],
}

/// What a file shows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CopyProgress {
    /// The transaction that it holds whole.
    pub holds: Option<u64>,
    /// The newest that can have been begun in it; `None`: any.
    pub begun: Option<u64>,
}

/// The index of the file to go on from; `None`: what was acted upon may not be there any more.
pub(super) fn newest(seen: [CopyProgress; 2]) -> Option<usize> {
    let [first, second] = seen;
    let index = usize::from(second.holds > first.holds);
    let begun = seen.iter().filter_map(|seen| seen.begun).min()?;
    (seen[index].holds? >= begun).then_some(index)
}

/// The file to go on from, which is left as it is.
#[derive(Debug)]
pub(super) struct Newest {
    pub store: CheckpointStore,
    /// Number of its last transaction; 0 where they have none yet.
    pub sequence: u64,
    /// What is wrong with either file.
    pub damaged: Vec<String>,
}

/// A file, verified.
struct Copy {
    seen: CopyProgress,
    read: Result<CheckpointStore, StoreError>,
}

impl Copies {
    /// Those of the store at this path.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            paths: [path.to_owned(), path.with_file_name(MIRROR)],
            fresh: [
                path.with_extension("fresh"),
                path.with_extension("fresh-mirror"),
            ],
        }
    }

    /// The file with the newest checkpoint; `None`: there is no store.
    pub(super) fn newest(&self, disk: &dyn Disk) -> Result<Option<Newest>, StoreError> {
        let [first, second] = &self.paths;
        let copies = match (look(disk, first)?, look(disk, second)?) {
            (None, None) => return Ok(None),
            (first, second) => [first, second],
        };
        let seen = copies.each_ref().map(|copy| {
            copy.as_ref()
                .map_or_else(CopyProgress::default, |copy| copy.seen)
        });
        let newest = newest(seen);
        let damaged = self.damage(&copies);
        let Some(index) = newest else {
            return Err(in_doubt(copies, &damaged));
        };
        let copy = copies.into_iter().nth(index).flatten();
        let store = copy.map(|copy| copy.read).transpose()?;
        Ok(store.map(|store| Newest {
            store,
            sequence: seen[index].holds.unwrap_or_default(),
            damaged,
        }))
    }

    /// What is wrong with each copy, beyond what a crash between the two leaves.
    fn damage(&self, copies: &[Option<Copy>; 2]) -> Vec<String> {
        let holds = |copy: &Copy| copy.seen.holds;
        let newest = copies.iter().flatten().filter_map(holds).max();
        let is_young = newest.is_some_and(|newest| newest <= 1);
        let newest = newest.unwrap_or_default();
        let mut damage = Vec::new();
        for (index, (copy, path)) in copies.iter().zip(&self.paths).enumerate() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match copy {
                // The first checkpoint of a new store, or of one that had no second file.
                None if is_young => {}
                None => damage.push(format!("{name} is missing")),
                Some(Copy {
                    read: Err(error), ..
                }) => damage.push(format!("{name} cannot be read: {}", cause(error))),
                Some(Copy { seen, .. }) => {
                    let holds = seen.holds.unwrap_or_default();
                    // The second one may be one behind; or more, from crashes between the copies and then
                    // between the two renames, but then nothing newer was ever begun in it.
                    let may_be_old =
                        index == 1 && (holds + 1 == newest || seen.begun == Some(holds));
                    if holds < newest && !may_be_old {
                        damage.push(format!("{name} holds transaction {holds} of {newest}"));
                    } else if seen.begun.is_none() {
                        damage.push(format!("{name} does not tell what was last begun in it"));
                    }
                }
            }
        }
        damage
    }

    /// New files, to be written.
    pub(super) fn fresh(&self, disk: &dyn Disk) -> io::Result<[Arc<dyn DiskFile>; 2]> {
        for path in &self.fresh {
            match disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let [first, second] = &self.fresh;
        Ok([
            disk.open(first, OpenMode::New)?,
            disk.open(second, OpenMode::New)?,
        ])
    }

    /// Puts the new files, which are durable, in the place of the others: one after the other, so that
    /// the second one is never the newer.
    pub(super) fn replace(&self, disk: &dyn Disk) -> io::Result<()> {
        for (fresh, path) in self.fresh.iter().zip(&self.paths) {
            disk.rename(fresh, path)?;
            disk.sync_dir(path.parent().unwrap_or(Path::new("")))?;
        }
        Ok(())
    }
}

/// Verifies a file. An error: another version of the daemon wrote it.
fn look(disk: &dyn Disk, path: &Path) -> Result<Option<Copy>, StoreError> {
    let file = match disk.open(path, OpenMode::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file,
    };
    let (read, begun) = match file {
        Ok(file) => (read(Arc::clone(&file)), marks::begun(&*file)),
        Err(error) => (Err(error.into()), None),
    };
    let (read, seen) = match read {
        Err(error @ StoreError::Version { .. }) => return Err(error),
        Err(error) => (Err(error), CopyProgress { holds: None, begun }),
        Ok((store, version, holds)) => {
            // There were no marks, and no other file.
            let begun = if version < VERSION_OF_COPIES {
                Some(holds)
            } else {
                begun
            };
            let seen = CopyProgress {
                holds: Some(holds),
                begun,
            };
            (Ok(store), seen)
        }
    };
    Ok(Some(Copy { seen, read }))
}

/// The database in a file, its version and last transaction. The file is left as it is; all pages are
/// verified.
fn read(file: Arc<dyn DiskFile>) -> Result<(CheckpointStore, u32, u64), StoreError> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create_with_backend(Overlay::new(file)?)?;
    let store = CheckpointStore {
        database,
        pair: None,
    };
    let (version, sequence) = store.version()?;
    Ok((store, version, sequence))
}

/// Why neither file can be gone on from: what may pass, or damage.
fn in_doubt(copies: [Option<Copy>; 2], damage: &[String]) -> StoreError {
    let held = copies.iter().flatten().filter_map(|copy| copy.seen.holds);
    let held = held.max();
    let begun = copies.iter().flatten().filter_map(|copy| copy.seen.begun);
    let begun = begun.max();
    let errors = copies
        .into_iter()
        .flatten()
        .filter_map(|copy| copy.read.err());
    let mut errors = errors.filter(|error| !matches!(error, StoreError::Damaged(_)));
    if held.is_none()
        && let Some(passing) = errors.find(|error| !matches!(error, StoreError::Row { .. }))
    {
        return passing;
    }
    let older = held.map_or_else(String::new, |held| {
        let begun = begun.map_or_else(|| "a newer one".to_owned(), |begun| begun.to_string());
        format!(
            "; transaction {held} can be read, but {begun} was begun, and what was published since is \
             not known"
        )
    });
    StoreError::Damaged(format!("both copies: {}{older}", damage.join("; ")).into())
}

/// Why a file cannot be read, as a part of a sentence about the store.
fn cause(error: &StoreError) -> String {
    match error {
        StoreError::Damaged(cause) => with_causes(&**cause),
        error => with_causes(error),
    }
}
