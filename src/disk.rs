//! The file layer under journal, spool and checkpoint store: every durable byte passes here.
//!
//! A seam for one reason: the crash tests put a disk under the daemon that loses and tears what
//! was not synced. Paths are relative to the root that the disk was opened on.

#![expect(clippy::disallowed_methods, reason = "this is where files are")]

mod around;
mod host;
mod reserve;
#[cfg(feature = "failpoints")]
mod torn;

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use around::{is_lost, read_around};
pub use host::HostDisk;
pub use reserve::{DISK_IS_FULL, Reserve, Shortage};
#[cfg(feature = "failpoints")]
pub use torn::{DiskOperation, TornDisk};

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Must exist; opened for reading and writing.
    Existing,
    /// Must not exist; created empty. Its directory entry is durable only after
    /// [`Disk::sync_dir`].
    New,
    /// Opened as it is, or created empty.
    OrCreate,
}

/// A directory tree whose files survive crashes as far as they were synced.
pub trait Disk: Send + Sync + Debug {
    /// Opens or creates a file.
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a directory and its parents, durably.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names of the files of a directory (no order; sub-directories left out).
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Renames a file inside one directory, replacing the target. Durable after
    /// [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all that is in it, if it is there. Nobody may need any of it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that may still be written.
    fn room(&self) -> io::Result<u64>;
}

/// An open file with positioned reads and writes; usable from several threads.
pub trait DiskFile: Send + Sync + Debug {
    /// Fills `buffer` from `offset`; `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `data` at `offset`, growing the file where needed.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Makes every completed write durable. After an error nothing is known about them, and a
    /// second call proves nothing.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the file at least `len` bytes long, of blocks that are really there: writing to them
    /// later finds room. What it holds stays as it is. Holes that [`DiskFile::set_len`] has left in
    /// it are filled only by a file system that can. After an error it may be of any greater length.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Lets go of what memory holds of a range, as far as it can, so that the disk is asked for it.
    fn forget(&self, _range: &Range<u64>) {}
    /// Some of the other files in its folder and in the one above, whatever they are, open.
    fn neighbours(&self) -> io::Result<Vec<Arc<dyn DiskFile>>>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Whether the disk, or its owner's share of it, has no room left.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
