//! The real file system under a root directory. What it makes is its owner's alone, whatever the umask: records lie
//! there as they came.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile, OpenMode, is_lost};

/// Modes of what is made.
const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;

/// The real file system under a root directory.
#[derive(Debug, Clone)]
pub struct HostDisk {
    root: PathBuf,
}

impl HostDisk {
    /// A disk whose paths are relative to `root`, which is created where it is missing. Its parents are made as
    /// the umask says: others may have to go through them to what is beside it.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let disk = Self { root: root.into() };
        if let Some(parent) = disk.root.parent() {
            std::fs::create_dir_all(parent)?;
        }
        disk.create_dir_all(Path::new(""))?;
        Ok(disk)
    }

    /// The same for a root that holds nothing of anybody else's: others are shut out of it also where it was there
    /// before.
    pub fn private(root: impl Into<PathBuf>) -> io::Result<Self> {
        let disk = Self::new(root)?;
        let found = std::fs::metadata(&disk.root)?;
        let is_ours = found.uid() == rustix::process::geteuid().as_raw();
        if is_ours && found.mode() & 0o077 != 0 {
            std::fs::set_permissions(&disk.root, std::fs::Permissions::from_mode(FOLDER))?;
        }
        Ok(disk)
    }
}

impl Disk for HostDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(FILE);
        match how {
            OpenMode::Existing => &mut options,
            OpenMode::New => options.create_new(true),
            OpenMode::OrCreate => options.create(true).truncate(false),
        };
        let path = self.root.join(path);
        let file = options.open(&path)?;
        Ok(Arc::new(HostFile { file, path }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = self.root.join(path);
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER)
            .create(&path)?;
        // Each parent up to the root of the file system, so that no link of the chain is lost.
        for parent in path.canonicalize()?.ancestors() {
            match File::open(parent).and_then(|dir| dir.sync_all()) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                result => result?,
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.root.join(dir))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(self.root.join(path))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(self.root.join(dir)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(self.root.join(dir))?.sync_all()
    }

    fn room(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Files of a folder that are asked at most whether the disk is there.
const NEIGHBOURS_MAX: usize = 8;

/// An open file of a [`HostDisk`], or beside one.
#[derive(Debug)]
struct HostFile {
    file: File,
    path: PathBuf,
}

impl DiskFile for HostFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            result => return Ok(result?),
        }
        write_zeros(&self.file, len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn forget(&self, range: &Range<u64>) {
        use rustix::fs::{Advice, fadvise};
        let len = NonZeroU64::new(range.end.saturating_sub(range.start));
        // What it does not do is not missed: then memory answers for the disk.
        let _ = fadvise(&self.file, range.start, len, Advice::DontNeed);
    }

    fn neighbours(&self) -> io::Result<Vec<Arc<dyn DiskFile>>> {
        let (mut found, mut lost) = (Vec::<Arc<dyn DiskFile>>::new(), None);
        for folder in self.path.ancestors().skip(1).take(2) {
            let mut left = NEIGHBOURS_MAX;
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let path = entry.path();
                if left == 0 || path == self.path || !entry.file_type()?.is_file() {
                    continue;
                }
                match File::open(&path) {
                    Ok(file) => found.push(Arc::new(Self { file, path })),
                    Err(error) if is_lost(&error) => lost = Some(error),
                    Err(_) => continue,
                }
                left -= 1;
            }
        }
        match lost {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }
}

/// Writes zeros from the end of the file up to `len`, for a file system that cannot allocate: bytes
/// that are written have blocks.
fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut end = file.metadata()?.len();
    while end < len {
        let rest = usize::try_from(len - end).unwrap_or(zeros.len());
        let piece = &zeros[..rest.min(zeros.len())];
        file.write_all_at(piece, end)?;
        end += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn allocating_without_the_file_system_keeps_what_the_file_holds() {
        let file = tempfile::tempfile().unwrap();
        let len = (2 << 20) + 5;
        file.write_all_at(b"content", 0).unwrap();
        write_zeros(&file, len).unwrap();
        assert_eq!(file.metadata().unwrap().len(), len);
        assert!(
            file.metadata().unwrap().blocks() * 512 >= len,
            "blocks are there"
        );
        let mut bytes = vec![1; usize::try_from(len).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes.starts_with(b"content"));
        assert!(bytes[7..].iter().all(|byte| *byte == 0));
        // It is long enough already.
        write_zeros(&file, 3).unwrap();
        assert_eq!(file.metadata().unwrap().len(), len);
    }

    #[test]
    fn the_neighbours_of_a_file_are_the_files_beside_it_and_above() {
        let dir = tempfile::tempdir().unwrap();
        let disk = HostDisk::new(dir.path()).unwrap();
        disk.create_dir_all(Path::new("spool/deeper")).unwrap();
        for name in ["store", "spool/0", "spool/1", "spool/deeper/2"] {
            let file = disk.open(Path::new(name), OpenMode::New).unwrap();
            file.write_all_at(name.as_bytes(), 0).unwrap();
        }
        let neighbours = |name: &str| {
            let file = disk.open(Path::new(name), OpenMode::Existing).unwrap();
            let found = file.neighbours().unwrap();
            let read = found.iter().map(|file| {
                file.forget(&(0..file.len().unwrap()));
                let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
                file.read_exact_at(&mut bytes, 0).unwrap();
                String::from_utf8(bytes).unwrap()
            });
            let mut read: Vec<String> = read.collect();
            read.sort();
            read
        };
        assert_eq!(neighbours("spool/0"), ["spool/1", "store"]);
        assert_eq!(neighbours("spool/deeper/2"), ["spool/0", "spool/1"]);
    }
}
