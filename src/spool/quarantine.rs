//! Damaged bytes of the spool, set aside in files that nothing removes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Spool;
use crate::disk::{Open, Reserve, read_around};
use crate::extent::Extent;

/// Damaged blocks that are set aside; more than that are a disk that should not be used.
const FILES_MAX: usize = 1000;
/// The file of what is not set aside whole yet.
pub const UNFINISHED: &str = "unfinished";

/// Where damaged bytes are set aside.
#[derive(Debug)]
pub(super) struct Quarantine {
    dir: PathBuf,
    /// What must find room beside them.
    reserve: Option<Arc<Reserve>>,
    /// One at a time.
    turn: Mutex<()>,
}

impl Spool {
    /// Bytes that turn out damaged may be set aside in `dir` of the disk, where there is room for them beside
    /// the reserve.
    #[must_use]
    pub fn with_quarantine(mut self, dir: PathBuf, reserve: Option<Arc<Reserve>>) -> Self {
        // A kill may have left it: it takes room, and nothing comes of it.
        let _ = self.disk.remove(&dir.join(UNFINISHED));
        self.quarantine = Some(Quarantine {
            dir,
            reserve,
            turn: Mutex::default(),
        });
        self
    }

    /// Writes what can be read of some extents, and `rest` behind it, to a file that nothing removes,
    /// durably. Returns its path; `None`: there is no place for it, or so much has gone there that it is
    /// the disk's fault. Fails with `StorageFull` where there is no room for it, and where all of it can be
    /// read after all; leaves nothing behind then.
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
        // An attempt of before may have left its own.
        let is_other = |found: &&String| *found != name && *found != UNFINISHED;
        if self.disk.list(dir)?.iter().filter(is_other).count() >= FILES_MAX {
            return Ok(None);
        }
        let bytes = extents.iter().map(|extent| u64::from(extent.len));
        quarantine.look_for_room(bytes.sum::<u64>() + rest.len() as u64)?;
        let (unfinished, path) = (dir.join(UNFINISHED), dir.join(name));
        let written = self.write_aside(&unfinished, extents, rest);
        if let Err(error) = written.and_then(|()| self.disk.rename(&unfinished, &path)) {
            // What is left of it would take room for good.
            let _ = self.disk.remove(&unfinished);
            return Err(error);
        }
        self.disk.sync_dir(dir)?;
        Ok(Some(path))
    }

    fn write_aside(&self, path: &Path, extents: &[Extent], rest: &[u8]) -> io::Result<()> {
        let file = self.disk.open(path, Open::OrCreate)?;
        file.set_len(0)?;
        let (mut end, mut is_damaged) = (0, false);
        for extent in extents {
            let mut bytes = vec![0; extent.len as usize];
            read_around(&*self.file_of(extent)?, &mut bytes, extent.offset)?;
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
    use crate::disk::{Disk, Operation, Shortage, TornDisk};

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
        for operation in [Operation::Write, Operation::Sync, Operation::Rename] {
            disk.fail(operation, 1, io::ErrorKind::StorageFull);
            assert!(spool.set_aside("one", &extents, b"").is_err());
            assert_eq!(quarantined(&disk), [""; 0], "{operation:?}");
        }
        let left = Path::new("quarantine").join(UNFINISHED);
        disk.open(&left, Open::New).unwrap();
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
