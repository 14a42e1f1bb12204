//! Making bytes and names of a folder durable with few syncs, and counting them.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FsWord;

use super::beneath;

/// From this many files or directories on, one `syncfs` is cheaper than syncing each.
pub(super) const MANY: usize = 16;
/// Directories remembered as durable before the memory starts afresh.
const KNOWN_MAX: usize = 1 << 16;

/// File systems whose `syncfs` makes everything durable and reports what failed (by the magic
/// numbers of `statfs(2)`): ext2/3/4, XFS, Btrfs, F2FS, ZFS, bcachefs, tmpfs, and overlayfs,
/// whose bytes die with their container anyway. Elsewhere (NFS, FUSE …) each file is synced.
const SYNCFS_TRUSTED: [FsWord; 8] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0xF2F5_2010,
    0x2FC1_2FC1,
    0xCA45_1A4E,
    0x0102_1994,
    0x794C_7630,
];

/// What is known about the durability of a folder's directories.
#[derive(Debug)]
pub(super) struct Durability {
    root: PathBuf,
    syncs: AtomicU64,
    whole: bool,
    known: Mutex<HashSet<PathBuf>>,
}

/// One group's syncs. It exists before the group's first byte is written, so that `syncfs`
/// reports every write-back error since then.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    durability: &'a Durability,
    file_system: File,
}

impl Durability {
    /// Makes `root` itself durable, up to where this process may look.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let dir = File::open(root)?;
        let whole =
            SYNCFS_TRUSTED.contains(&rustix::fs::fstatfs(&dir)?.f_type) && syncfs_reports_errors();
        let durability = Self {
            root: root.to_owned(),
            syncs: AtomicU64::new(0),
            whole,
            known: Mutex::new(HashSet::new()),
        };
        for dir in root.ancestors() {
            match durability.sync_path(dir) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                result => result?,
            }
        }
        Ok(durability)
    }

    /// Calls of fsync and syncfs so far.
    #[cfg(test)]
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Begins a group.
    pub(super) fn begin(&self) -> io::Result<Pass<'_>> {
        Ok(Pass {
            durability: self,
            file_system: File::open(&self.root)?,
        })
    }

    /// Gives the file at `from` the name `to`, which must be free; its folders are created where
    /// they are missing. Durable after [`Pass::sync_names`].
    pub(super) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let below = to.strip_prefix(&self.root).map_err(io::Error::other)?;
        match beneath::link(from, &self.root, below) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        if let Some(parent) = below.parent() {
            self.create(parent)?;
        }
        beneath::link(from, &self.root, below)
    }

    /// Creates the directory and its parents below the root. What is created anew is durable no
    /// longer, even if it was before somebody removed it.
    fn create(&self, below: &Path) -> io::Result<()> {
        let mut known = self.known();
        beneath::create(&self.root, below, |dir| {
            known.remove(dir);
        })
    }

    /// Makes one file's bytes and length durable.
    pub(super) fn sync_file(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        file.sync_all()
    }

    /// Makes what is under a path durable.
    pub(super) fn sync_path(&self, path: &Path) -> io::Result<()> {
        self.sync_file(&File::open(path)?)
    }

    /// `dir` and its parents, from the deepest to the one just below the root.
    fn below_root<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = &'a Path> {
        dir.ancestors().take_while(move |dir| *dir != self.root)
    }

    fn known(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Whether so many files or directories are better made durable by [`Pass::sync_all`].
    pub(super) const fn is_many(&self, count: usize) -> bool {
        self.durability.whole && count > MANY
    }

    /// Makes everything written since [`Durability::begin`] durable.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.durability.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(rustix::fs::syncfs(&self.file_system)?)
    }

    /// Makes the names in the directories `parents` durable, and the names of those directories
    /// themselves up to one that is known to be.
    pub(super) fn sync_names<'a>(&self, parents: impl Iterator<Item = &'a Path>) -> io::Result<()> {
        let durability = self.durability;
        let parents: BTreeSet<&Path> = parents.collect();
        let mut fresh = BTreeSet::new();
        {
            let known = durability.known();
            for parent in &parents {
                fresh.extend(
                    durability
                        .below_root(parent)
                        .take_while(|dir| !known.contains(*dir))
                        .map(Path::to_owned),
                );
            }
        }
        let mut dirs: BTreeSet<PathBuf> = parents.into_iter().map(Path::to_owned).collect();
        dirs.extend(
            fresh
                .iter()
                .filter_map(|dir| dir.parent())
                .map(Path::to_owned),
        );
        if self.is_many(dirs.len()) {
            self.sync_all()?;
        } else {
            for dir in &dirs {
                durability.sync_path(dir)?;
            }
        }
        let mut known = durability.known();
        if known.len() > KNOWN_MAX {
            known.clear();
        }
        known.extend(fresh);
        Ok(())
    }
}

/// Whether this kernel's `syncfs` reports write-back errors: Linux 5.8 and later, see syncfs(2).
fn syncfs_reports_errors() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 8),
        _ => false,
    }
}
