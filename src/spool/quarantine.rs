//! Damaged bytes of the spool, set aside in files that nothing removes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Spool;
use crate::disk::{DiskFile, OpenMode, Reserve, read_around};
use crate::extent::Extent;

/// Files of damaged blocks: a disk that damages more should not be used.
const FILES_MAX: usize = 1000;
/// The file that damaged bytes are written to until they are whole.
pub const UNFINISHED: &str = "unfinished";

/// Where damaged bytes are set aside.
#[derive(Debug)]
pub(super) struct Quarantine {
    dir: PathBuf,
    /// Must find room beside the damaged bytes.
    reserve: Option<Arc<Reserve>>,
    /// One block is set aside at a time.
    turn: Mutex<()>,
}

impl Spool {
    /// Bytes that turn out damaged may be set aside in `dir` of the disk, where there is room for them beside
    /// the reserve.
    #[must_use]
    pub fn with_quarantine(mut self, dir: PathBuf, reserve: Option<Arc<Reserve>>) -> Self {
        // A kill may have left one: it takes room, and nobody finishes it.
        let _ = self.disk.remove(&dir.join(UNFINISHED));
        self.quarantine = Some(Quarantine {
            dir,
            reserve,
            turn: Mutex::default(),
        });
        self
    }

    /// Writes what can be read of some extents, and `rest` behind it, to a file that nothing removes,
    /// durably. Returns the file's path; `None`: the spool has no quarantine, or it holds as many files as it may.
    /// Fails with `StorageFull` where the file finds no room, and also where all of the extents can be read after
    /// all; in both cases no file is left behind.
    pub fn set_aside(
        &self,
        name: &str,
        extents: &[Extent],
        rest: &[u8],
    ) -> io::Result<Option<PathBuf>> {
        let Some(quarantine) = &self.quarantine else {
            return Ok(None);
        };
        let _turn = quarantine
            .turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let dir = &quarantine.dir;
        self.disk.create_dir_all(dir)?;
        let (path, is_there) = self.place(dir, name, extents, rest)?;
        if is_there {
            self.disk.sync_dir(dir)?;
            return Ok(Some(path));
        }
        let is_whole = |found: &&String| *found != UNFINISHED;
        if self.disk.list(dir)?.iter().filter(is_whole).count() >= FILES_MAX {
            return Ok(None);
        }
        let bytes = extents.iter().map(|extent| u64::from(extent.len));
        quarantine.look_for_room(bytes.sum::<u64>() + rest.len() as u64)?;
        let unfinished = dir.join(UNFINISHED);
        let written = self.write_aside(&unfinished, extents, rest);
        if let Err(error) = written.and_then(|()| self.disk.rename(&unfinished, &path)) {
            // What was written of the file would take room for good.
            let _ = self.disk.remove(&unfinished);
            return Err(error);
        }
        self.disk.sync_dir(dir)?;
        Ok(Some(path))
    }

    /// The path of the file for these bytes, and whether they are there: of `name`, and of `name` with 2, 3 and so on
    /// behind it, the first that is free or has these bytes from an earlier attempt. One with other bytes is from an
    /// earlier spool file of the same number: numbers may come back after a restart.
    fn place(
        &self,
        dir: &Path,
        name: &str,
        extents: &[Extent],
        rest: &[u8],
    ) -> io::Result<(PathBuf, bool)> {
        let mut path = dir.join(name);
        for number in 2.. {
            let file = match self.disk.open(&path, OpenMode::Existing) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                file => file?,
            };
            if self.is_of(&*file, extents, rest)? {
                return Ok((path, true));
            }
            path = dir.join(format!("{name}.{number}"));
        }
        Ok((path, false))
    }

    /// Whether a file has what can be read of some extents, and `rest` behind it.
    fn is_of(&self, file: &dyn DiskFile, extents: &[Extent], rest: &[u8]) -> io::Result<bool> {
        let bytes = extents.iter().map(|extent| u64::from(extent.len));
        if file.len()? != bytes.sum::<u64>() + rest.len() as u64 {
            return Ok(false);
        }
        let mut at = 0;
        let mut has = |wanted: &[u8]| {
            let mut found = vec![0; wanted.len()];
            read_around(file, &mut found, at)?;
            at += wanted.len() as u64;
            Ok::<_, io::Error>(found == wanted)
        };
        for extent in extents {
            if !has(&self.left_of(extent)?)? {
                return Ok(false);
            }
        }
        has(rest)
    }

    /// What can be read of an extent.
    fn left_of(&self, extent: &Extent) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; extent.len as usize];
        read_around(&*self.file_of(extent)?, &mut bytes, extent.offset)?;
        Ok(bytes)
    }

    fn write_aside(&self, path: &Path, extents: &[Extent], rest: &[u8]) -> io::Result<()> {
        let file = self.disk.open(path, OpenMode::OrCreate)?;
        file.set_len(0)?;
        let (mut end, mut is_damaged) = (0, false);
        for extent in extents {
            let bytes = self.left_of(extent)?;
            is_damaged |= crc_fast::crc64_nvme(&bytes) != extent.crc64;
            file.write_all_at(&bytes, end)?;
            end += u64::from(extent.len);
        }
        if !is_damaged {
            let message = "what was found damaged can be read again";
            return Err(io::Error::other(message));
        }
        file.write_all_at(rest, end)?;
        file.sync_data()
    }
}

impl Quarantine {
    /// Fails where so many bytes do not find room beside the reserve.
    fn look_for_room(&self, bytes: u64) -> io::Result<()> {
        let Some(reserve) = &self.reserve else {
            return Ok(());
        };
        let room = reserve.room_beside()?;
        if bytes > room {
            let message = format!(
                "{bytes} bytes are to be set aside, and there is room for {room} beside the reserve of the stream"
            );
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, DiskOperation, Shortage, TornDisk};

    /// The reserve, in bytes.
    const RESERVE: u64 = 1000;

    /// A spool with a damaged extent of so many bytes.
    fn laid(len: usize, reserve: Option<Arc<Reserve>>, disk: &TornDisk) -> (Spool, Vec<Extent>) {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Spool::open(shared, Path::new("spool"), std::iter::empty()).unwrap();
        let spool = spool.with_quarantine("quarantine".into(), reserve);
        let extents = spool.append(&[&vec![7; len]]).unwrap();
        disk.rot(Path::new("spool/0000000000.spool"), 1, 0b11)
            .unwrap();
        (spool, extents)
    }

    fn quarantined(disk: &TornDisk) -> Vec<String> {
        disk.list(Path::new("quarantine")).unwrap()
    }

    #[test]
    fn what_can_be_read_again_is_not_set_aside() {
        let disk = TornDisk::new(0);
        let (spool, _) = laid(4, None, &disk);
        let extents = spool.append(&[b"some", b"bytes"]).unwrap();
        assert!(spool.set_aside("name", &extents, b"").is_err());
        assert_eq!(quarantined(&disk), [""; 0]);
    }

    #[test]
    fn what_is_set_aside_is_bounded_and_a_repeat_is_no_other() {
        let disk = TornDisk::new(0);
        let (spool, extents) = laid(4, None, &disk);
        for n in 0..FILES_MAX {
            let path = spool.set_aside(&format!("{n}.raw"), &extents, b"").unwrap();
            assert!(path.is_some(), "{n}");
        }
        // As after a kill between this and the checkpoint.
        let again = spool.set_aside("7.raw", &extents, b"").unwrap();
        assert_eq!(again.as_deref(), Some(Path::new("quarantine/7.raw")));
        let more = spool.set_aside("more.raw", &extents, b"").unwrap();
        assert_eq!(more, None);
        assert_eq!(quarantined(&disk).len(), FILES_MAX);
    }

    /// The number of a spool file may come back after a restart, and with it the name.
    #[test]
    fn other_bytes_of_the_same_name_get_one_of_their_own() {
        let disk = TornDisk::new(0);
        let (spool, one) = laid(4, None, &disk);
        let other = spool.append(&[b"other"]).unwrap();
        disk.rot(Path::new("spool/0000000000.spool"), 5, 0b11)
            .unwrap();
        for _ in 0..2 {
            let path = |extents: &[Extent], rest| {
                let path = spool.set_aside("name.raw", extents, rest).unwrap();
                path.unwrap().display().to_string()
            };
            assert_eq!(path(&one, b"1"), "quarantine/name.raw");
            assert_eq!(path(&one, b"2"), "quarantine/name.raw.2");
            assert_eq!(path(&other, b""), "quarantine/name.raw.3");
        }
        assert_eq!(quarantined(&disk).len(), 3);
    }

    #[test]
    fn nothing_takes_the_room_that_the_reserve_needs() {
        for is_given_up in [false, true] {
            let disk = TornDisk::new(0);
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let reserve = Reserve::new(shared, RESERVE, &[], Shortage::default());
            let reserve = Arc::new(reserve);
            let (spool, extents) = laid(500, Some(Arc::clone(&reserve)), &disk);
            reserve.keep().unwrap();
            if is_given_up {
                reserve.give_up();
            }
            // What is there, and the reserve twice, as it wants to be made.
            let least = 500 + 2 * RESERVE + 500 + 3;
            disk.set_capacity(least - 1);
            let refused = spool.set_aside("one", &extents, b"end").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::StorageFull, "{refused}");
            assert_eq!(quarantined(&disk), [""; 0]);
            disk.set_capacity(least);
            spool.set_aside("one", &extents, b"end").unwrap();
            assert_eq!(quarantined(&disk), ["one"]);
            reserve.give_up();
            reserve.keep().unwrap();
        }
    }

    #[test]
    fn an_attempt_that_fails_or_is_killed_leaves_nothing_behind() {
        let disk = TornDisk::new(0);
        let (spool, extents) = laid(500, None, &disk);
        for operation in [
            DiskOperation::Write,
            DiskOperation::Sync,
            DiskOperation::Rename,
        ] {
            disk.fail(operation, 1, io::ErrorKind::StorageFull);
            assert!(spool.set_aside("one", &extents, b"").is_err());
            assert_eq!(quarantined(&disk), [""; 0], "{operation:?}");
        }
        let left = Path::new("quarantine").join(UNFINISHED);
        disk.open(&left, OpenMode::New).unwrap();
        drop(spool);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let named = extents.iter().copied();
        let spool = Spool::open(shared, Path::new("spool"), named).unwrap();
        let spool = spool.with_quarantine("quarantine".into(), None);
        assert_eq!(quarantined(&disk), [""; 0]);
        spool.set_aside("one", &extents, b"").unwrap();
        assert_eq!(quarantined(&disk), ["one"]);
    }
}
