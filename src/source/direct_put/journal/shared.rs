//! What writer, reader and releaser share: which segments there are and how far each is durable.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use super::frame::Seed;
use super::fresh::FreshFrames;
use super::queue::AppendQueue;
use super::segment::FileKind;
use super::{JournalError, JournalSettings};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error;
use crate::failpoint;
use crate::position::Sequence;

/// Released segments that are kept to be written over: overwriting is much faster than growing.
const SPARES_MAX: usize = 2;
/// Quarantined segments that are kept after their release, for a person to look at.
const QUARANTINED_MAX: usize = 8;

/// A segment that holds records not yet released, or the one that is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) number: u64,
    /// The sequence number that its first record has, or would have.
    pub(super) first: Sequence,
    /// One past the last sequence number of the journal up to `end`.
    pub(super) next: Sequence,
    /// Where its last durable frame ends.
    pub(super) end: u64,
    /// Bytes on disk.
    pub(super) len: u64,
    /// Has damage inside.
    pub(super) quarantined: bool,
    /// All of its file is known to be durable, its length too: this process made it, and no write
    /// or fsync of it has failed.
    pub(super) sound: bool,
}

impl Live {
    pub(super) const fn kind(&self) -> FileKind {
        if self.quarantined {
            FileKind::Quarantined
        } else {
            FileKind::Segment
        }
    }
}

/// A released segment's file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spare {
    pub(super) number: u64,
    pub(super) len: u64,
}

/// All segments, oldest first; the last is the one being written, and there is always one.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) live: VecDeque<Live>,
    pub(super) spares: Vec<Spare>,
    /// The sequence number that the next accepted record gets.
    pub(super) next: Sequence,
    /// The newest durable appends.
    pub(super) fresh: FreshFrames,
    /// The writer has ended: nothing will be added.
    pub(super) stopped: bool,
}

impl Segments {
    pub(super) fn bytes(&self) -> u64 {
        let live: u64 = self.live.iter().map(|segment| segment.len).sum();
        live + self.spares.iter().map(|spare| spare.len).sum::<u64>()
    }
}

/// What writer, reader and releaser share.
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) settings: JournalSettings,
    pub(super) incarnation: Uuid,
    pub(super) queue: AppendQueue,
    pub(super) changed: watch::Sender<()>,
    segments: Mutex<Segments>,
}

impl Shared {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        settings: JournalSettings,
        incarnation: Uuid,
        segments: Segments,
    ) -> Self {
        Self {
            disk,
            settings,
            incarnation,
            queue: AppendQueue::new(),
            changed: watch::Sender::new(()),
            segments: Mutex::new(segments),
        }
    }

    /// What a person can do where the halves of the state do not fit together.
    pub(super) fn put_back_or_discard(&self) -> String {
        error::put_back_or_discard(&self.settings.stream)
    }

    pub(super) fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self, kind: FileKind, number: u64) -> PathBuf {
        kind.path(&self.settings.dir, number)
    }

    pub(super) const fn seed(&self, number: u64) -> Seed {
        Seed {
            incarnation: self.incarnation,
            number,
        }
    }

    /// Opens a segment for reading.
    pub(super) fn open(&self, segment: &Live) -> Result<Arc<dyn DiskFile>, JournalError> {
        let path = self.path(segment.kind(), segment.number);
        let opened = self.disk.open(&path, OpenMode::Existing);
        opened.map_err(JournalError::io("opening", path))
    }

    /// Counts `bytes` more for the segment being written if the limit allows it; gives up the
    /// spares where that helps.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        let mut segments = self.segments();
        let over = segments.bytes() + bytes > self.settings.limit;
        if over {
            self.drop_spares(&mut segments);
        }
        let fits = segments.bytes() + bytes <= self.settings.limit;
        if fits && let Some(last) = segments.live.back_mut() {
            last.len += bytes;
        }
        fits
    }

    /// Takes back what [`Shared::reserve`] counted, and gives up the spares: the disk is full.
    pub(super) fn unreserve(&self, bytes: u64) {
        let mut segments = self.segments();
        if let Some(last) = segments.live.back_mut() {
            last.len -= bytes;
        }
        self.drop_spares(&mut segments);
    }

    pub(super) fn drop_spares(&self, segments: &mut Segments) {
        for spare in segments.spares.drain(..) {
            let path = self.path(FileKind::Spare, spare.number);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a spare segment");
            }
        }
    }

    /// Lets go of all segments whose records lie at or before `frontier`.
    pub(super) fn release(&self, frontier: Sequence) -> io::Result<()> {
        let mut segments = self.segments();
        while segments.live.len() > 1 && segments.live[0].next <= frontier.plus(1) {
            failpoint::hit("journal-release");
            let released = segments.live[0];
            self.let_go(&mut segments, released)?;
            segments.live.pop_front();
        }
        Ok(())
    }

    fn let_go(&self, segments: &mut Segments, released: Live) -> io::Result<()> {
        let Live { number, len, .. } = released;
        let path = self.path(released.kind(), number);
        if released.quarantined {
            return self.trim_quarantine(number);
        }
        let reusable = released.sound && len == self.settings.segment_bytes;
        if !reusable || segments.spares.len() >= SPARES_MAX {
            return self.disk.remove(&path);
        }
        self.disk
            .rename(&path, &self.path(FileKind::Spare, number))?;
        segments.spares.push(Spare { number, len });
        Ok(())
    }

    /// Sets a damaged segment aside: it is read to its end, but never written over. After an error
    /// it may come back under its old name.
    pub(super) fn quarantine(&self, number: u64) -> io::Result<()> {
        let mut segments = self.segments();
        let found = segments
            .live
            .iter_mut()
            .find(|segment| segment.number == number);
        let Some(segment) = found else { return Ok(()) };
        if segment.quarantined {
            return self.disk.sync_dir(&self.settings.dir);
        }
        let from = self.path(FileKind::Segment, number);
        let to = self.path(FileKind::Quarantined, number);
        if let Err(error) = self.disk.rename(&from, &to) {
            tracing::error!(path = %from.display(), %error, "cannot set a damaged segment aside");
            return Err(error);
        }
        segment.quarantined = true;
        let synced = self.disk.sync_dir(&self.settings.dir);
        if let Err(error) = &synced {
            tracing::error!(path = %to.display(), %error, "cannot sync the journal's directory");
        }
        synced
    }

    /// Removes all but the newest quarantined segments up to `released`.
    pub(super) fn trim_quarantine(&self, released: u64) -> io::Result<()> {
        let names = self.disk.list(&self.settings.dir)?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| FileKind::parse(name))
            .filter(|(kind, number)| *kind == FileKind::Quarantined && *number <= released)
            .map(|(_, number)| number)
            .collect();
        numbers.sort_unstable_by(|left, right| right.cmp(left));
        for number in numbers.into_iter().skip(QUARANTINED_MAX) {
            let path = self.path(FileKind::Quarantined, number);
            tracing::warn!(path = %path.display(), "removing the oldest quarantined segment");
            self.disk.remove(&path)?;
        }
        Ok(())
    }
}
