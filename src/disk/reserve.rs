//! Blocks kept back for the day when the disk is full (C8).
//!
//! Each stream keeps a file whose blocks are really there. When the disk is full the stream gives
//! them up, so that recovery, encoding, sealing and checkpoints go on, what waits is published,
//! and its room comes back. For as long as one stream has given up its own, no stream takes
//! records: nothing else may eat what it has given up.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, OpenMode};

/// The file, below a stream's directory.
const NAME: &str = "reserve";
/// What producers and `/readyz` are told.
pub const DISK_IS_FULL: &str = "the disk under state_dir is full: no records are taken until there \
                                is room; what waits is published meanwhile";

/// Whether any stream on the disk is without its reserve. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shortage(Arc<AtomicUsize>);

impl Shortage {
    /// Whether one is.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

/// The reserve of one stream.
#[derive(Debug)]
pub struct Reserve {
    disk: Arc<dyn Disk>,
    bytes: u64,
    /// Files that are written anew by an opening, beside the old ones.
    rewritten: &'static [&'static str],
    shortage: Shortage,
    kept: Mutex<ReserveState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReserveState {
    /// Nobody has looked yet.
    Unknown,
    Held,
    /// Counted in the shortage.
    GivenUp,
    /// The stream has stopped: whether it has a reserve matters to nobody.
    Retired,
}

impl Reserve {
    /// The reserve of `bytes` bytes on a stream's `disk`, and of as many as the files `rewritten` have. Touches
    /// nothing.
    pub fn new(
        disk: Arc<dyn Disk>,
        bytes: u64,
        rewritten: &'static [&'static str],
        shortage: Shortage,
    ) -> Self {
        Self {
            disk,
            bytes,
            rewritten,
            shortage,
            kept: Mutex::new(ReserveState::Unknown),
        }
    }

    /// What it shares with the reserves of the other streams.
    pub fn shortage(&self) -> Shortage {
        self.shortage.clone()
    }

    /// Its size without what the rewritten files take, in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether this stream or another one is without its reserve.
    pub fn is_short(&self) -> bool {
        self.shortage.is_on()
    }

    /// Whether this stream is without its reserve.
    pub fn is_given_up(&self) -> bool {
        *self.lock() == ReserveState::GivenUp
    }

    /// Bytes that are free on the disk. Blocks on it.
    pub fn room(&self) -> io::Result<u64> {
        self.disk.room()
    }

    /// Bytes that may be written for good, so that there is still room for the reserve to be made, or to be made
    /// again once it was given up.
    pub fn room_beside(&self) -> io::Result<u64> {
        let room = self.disk.room()?;
        if *self.lock() == ReserveState::Retired {
            return Ok(room);
        }
        let bytes = 2 * (self.bytes + self.rewritten_bytes()?);
        Ok(room.saturating_sub(bytes.saturating_sub(self.found()?)))
    }

    /// Sees to it that the blocks are there. They are made only where the disk has room for them
    /// twice, so that there is room to work with beside them, and the next write does not cost
    /// them again. More are added as the rewritten files grow, where there is room. Blocks on the disk.
    pub fn keep(&self) -> io::Result<()> {
        let mut kept = self.lock();
        match *kept {
            ReserveState::Retired => return Ok(()),
            // What is there is worth keeping, whatever comes of it.
            ReserveState::Held => return self.make(),
            ReserveState::Unknown | ReserveState::GivenUp => {}
        }
        let had = self.found().unwrap_or(0);
        let made = self.make();
        // One that has only not grown is worth as much as before the restart.
        let is_held = made.is_ok() || *kept == ReserveState::Unknown && had >= self.bytes;
        if !is_held {
            // Less than the whole is worth nothing, and would be taken for it.
            self.remove();
        }
        let now = if is_held {
            ReserveState::Held
        } else {
            ReserveState::GivenUp
        };
        self.set(&mut kept, now);
        made
    }

    /// Gives the blocks back to the disk. False: there were none to give. Blocks on the disk.
    pub fn give_up(&self) -> bool {
        let mut kept = self.lock();
        let held = *kept == ReserveState::Held;
        if held {
            self.remove();
        }
        if *kept != ReserveState::Retired {
            self.set(&mut kept, ReserveState::GivenUp);
        }
        held
    }

    /// The stream has stopped for good: the others need not wait for its reserve.
    pub fn retire(&self) {
        self.set(&mut self.lock(), ReserveState::Retired);
    }

    fn make(&self) -> io::Result<()> {
        let path = Path::new(NAME);
        let bytes = self.bytes + self.rewritten_bytes()?;
        let found = self.found()?;
        if (bytes..=bytes.saturating_mul(2)).contains(&found) {
            return Ok(());
        }
        let (room, wanted) = (self.disk.room()?, (2 * bytes).saturating_sub(found));
        if room < wanted {
            let message = format!("{} MiB must be free, {} are", wanted >> 20, room >> 20);
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        let file = self.disk.open(path, OpenMode::OrCreate)?;
        file.allocate(2 * bytes)?;
        file.set_len(bytes)
    }

    fn found(&self) -> io::Result<u64> {
        match self.disk.open(Path::new(NAME), OpenMode::Existing) {
            Ok(file) => file.len(),
            Err(_) => Ok(0),
        }
    }

    /// Those files have grown by doubling, so this changes seldom.
    fn rewritten_bytes(&self) -> io::Result<u64> {
        let lengths = self.rewritten.iter().map(|name| {
            match self.disk.open(Path::new(name), OpenMode::Existing) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
                file => file?.len(),
            }
        });
        lengths.sum()
    }

    fn remove(&self) {
        match self.disk.remove(Path::new(NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, "cannot remove the reserve");
            }
            _ => {}
        }
    }

    fn set(&self, kept: &mut ReserveState, now: ReserveState) {
        match (*kept == ReserveState::GivenUp, now == ReserveState::GivenUp) {
            (false, true) => self.shortage.0.fetch_add(1, Ordering::SeqCst),
            (true, false) => self.shortage.0.fetch_sub(1, Ordering::SeqCst),
            _ => 0,
        };
        *kept = now;
    }

    fn lock(&self) -> MutexGuard<'_, ReserveState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;
    use crate::disk::TornDisk;

    fn reserve(disk: &TornDisk, shortage: &Shortage) -> Reserve {
        Reserve::new(Arc::new(disk.clone()), 1000, &["store"], shortage.clone())
    }

    #[test]
    fn it_grows_with_what_an_opening_writes_anew_where_there_is_room() {
        let (disk, shortage) = (TornDisk::new(0), Shortage::default());
        let reserve = reserve(&disk, &shortage);
        let length = || {
            disk.open(Path::new(NAME), OpenMode::Existing)
                .unwrap()
                .len()
                .unwrap()
        };
        let store = disk.open(Path::new("store"), OpenMode::New).unwrap();
        store.set_len(500).unwrap();
        reserve.keep().unwrap();
        assert_eq!(length(), 1500);
        store.set_len(2000).unwrap();
        disk.set_capacity(5000);
        assert!(reserve.keep().is_err(), "twice 3000 do not fit");
        assert!(!shortage.is_on(), "what was there is kept");
        assert_eq!(length(), 1500);
        let restarted = self::reserve(&disk, &shortage);
        assert!(restarted.keep().is_err());
        assert!(
            !shortage.is_on() && !restarted.is_given_up(),
            "nor by a restart"
        );
        assert_eq!(length(), 1500);
        disk.set_capacity(8000);
        reserve.keep().unwrap();
        assert_eq!(length(), 3000);
        assert!(reserve.give_up() && shortage.is_on());
        assert_eq!(disk.room().unwrap(), 6000);
    }

    #[test]
    fn it_is_made_where_there_is_room_twice_and_its_blocks_are_taken() {
        let (disk, shortage) = (TornDisk::new(0), Shortage::default());
        let reserve = reserve(&disk, &shortage);
        disk.set_capacity(1999);
        assert!(reserve.keep().unwrap_err().to_string().contains("free"));
        assert!(reserve.is_given_up() && shortage.is_on());
        disk.set_capacity(2000);
        reserve.keep().unwrap();
        assert!(!reserve.is_given_up() && !shortage.is_on());
        assert_eq!(disk.room().unwrap(), 1000);
        assert!(reserve.give_up(), "it was held");
        assert!(shortage.is_on() && !reserve.give_up());
        assert_eq!(disk.room().unwrap(), 2000);
    }

    #[test]
    fn what_an_attempt_leaves_behind_is_not_taken_for_a_reserve() {
        let (disk, shortage) = (TornDisk::new(0), Shortage::default());
        disk.fail(
            crate::disk::DiskOperation::SetLen,
            2,
            io::ErrorKind::StorageFull,
        );
        assert!(reserve(&disk, &shortage).keep().is_err());
        assert_eq!(disk.list(Path::new("")).unwrap(), [""; 0]);
    }

    #[test]
    fn a_stream_that_has_stopped_holds_up_no_other() {
        let (disk, shortage) = (TornDisk::new(0), Shortage::default());
        let (first, second) = (reserve(&disk, &shortage), reserve(&disk, &shortage));
        first.give_up();
        second.give_up();
        first.retire();
        assert!(shortage.is_on());
        second.retire();
        assert!(!shortage.is_on() && !second.give_up());
    }
}
