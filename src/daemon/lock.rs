//! One process a state folder, for as long as a file in it is held (C6). It says whose it is.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::disk::HostDisk;

/// Longest process number that is read.
const NUMBER_MAX: u64 = 20;

/// Takes the state folder for this process.
pub(crate) fn lock(state_dir: &Path) -> anyhow::Result<File> {
    HostDisk::new(state_dir).with_context(|| format!("create {}", state_dir.display()))?;
    let path = state_dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path);
    let mut file = file.with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => bail!(
            "{} is in use by another firehose{}: one process a state folder. Stop that one first, or give \
             this one a `state_dir` of its own",
            state_dir.display(),
            holder(&mut file)
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock {}", path.display()));
        }
    }
    // On a full disk it says nothing, and is held all the same.
    let _ = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Which process holds the file, where it says so.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(NUMBER_MAX).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(number) if read.is_ok() => {
            let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            match line.trim() {
                "" => format!(" (process {number})"),
                line => format!(" (process {number}: {line})"),
            }
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_in_use_is_told_with_the_process_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("lock"),
            "4294967295, and more from before",
        )
        .unwrap();
        let held = lock(folder.path()).unwrap();
        let refused = format!("{:#}", lock(folder.path()).unwrap_err());
        let own = std::process::id();
        assert!(
            refused.contains("is in use by another firehose"),
            "{refused}"
        );
        assert!(refused.contains(&format!("(process {own}: ")), "{refused}");
        held.set_len(0).unwrap();
        let refused = format!("{:#}", lock(folder.path()).unwrap_err());
        assert!(
            refused.contains("another firehose: one process"),
            "{refused}"
        );
        drop(held);
        lock(folder.path()).unwrap();
    }
}
