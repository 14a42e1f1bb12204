//! One process a state folder, for as long as a file in it is held (C6).

#![expect(
    clippy::disallowed_methods,
    reason = "who holds the lock is told from files of the kernel"
)]

use std::fs::{File, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::disk::HostDisk;

/// Takes the state folder for this process.
pub(crate) fn lock(state_dir: &Path) -> anyhow::Result<File> {
    HostDisk::new(state_dir).with_context(|| format!("create {}", state_dir.display()))?;
    let path = state_dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "{} is in use by another firehose{}: one process a state folder. Stop that one first, or give \
             this one a `state_dir` of its own",
            state_dir.display(),
            holder(&file)
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", path.display()))
        }
    }
}

/// Which process holds the file, as far as the kernel tells: it does not from one container to another.
fn holder(file: &File) -> String {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let found = file.metadata().ok();
    let Some(number) = found.and_then(|found| holder_in(&locks, found.ino())) else {
        return String::new();
    };
    let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    match line.trim() {
        "" => format!(" (process {number})"),
        line => format!(" (process {number}: {line})"),
    }
}

/// The process that holds the file of that number, by lines such as
/// `1: FLOCK  ADVISORY  WRITE 1234 fe:00:9977993 0 EOF`.
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    let of_file = format!(":{inode}");
    let mut lines = locks
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.find_map(|words| match words[..] {
        [_, "FLOCK", _, _, number, place, ..] if place.ends_with(&of_file) => number.parse().ok(),
        _ => None,
    });
    found.filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_in_use_is_told_with_the_process_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let refused = format!("{:#}", lock(folder.path()).unwrap_err());
        let own = format!(
            "is in use by another firehose (process {}: ",
            std::process::id()
        );
        assert!(refused.contains(&own), "{refused}");
        drop(held);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn the_holder_is_found_by_the_file_and_not_among_those_who_wait() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 fe:00:142 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 fe:00:42 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 10 fe:00:42 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 fe:00:43 0 EOF\n";
        assert_eq!(holder_in(locks, 42), Some(9));
        assert_eq!(holder_in(locks, 43), None, "of another container");
        assert_eq!(holder_in(locks, 44), None);
    }
}
