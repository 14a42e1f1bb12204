//! Opening a journal: which segments count, where the last one ends, and the start of a new epoch.
//!
//! Nothing that is found is changed before the new segment is durable, except files that no
//! recovery will ever need again; so it may be broken off anywhere and begun anew.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::birth::finish_file;
use super::damage::{DamageCost, damage_found, doubt_found};
use super::frame::{ALIGN, END_BYTES, Frame};
use super::segment::{FileKind, HEADER_BYTES, Header, Link};
use super::shared::{Live, Segments, Shared};
use super::survey::{SurveyedSegment, bounded, chain, next_epoch, survey};
use super::walk::{BrokenBytes, Walk, walk};
use super::window::Window;
use super::writer::Active;
use super::{JournalCheckpoint, JournalError, JournalSettings, MissingRange};
use crate::disk::{Disk, OpenMode};
use crate::failpoint;
use crate::position::Sequence;

/// What recovery hands to the writer.
pub(super) struct RecoveredJournal {
    pub(super) shared: Arc<Shared>,
    pub(super) active: Active,
    pub(super) epoch: u32,
    pub(super) missing: Vec<MissingRange>,
    pub(super) doubtful: u64,
}

pub(super) fn recover(
    disk: Arc<dyn Disk>,
    settings: JournalSettings,
    known: JournalCheckpoint,
) -> Result<RecoveredJournal, JournalError> {
    let dir = settings.dir.clone();
    disk.create_dir_all(&dir)
        .map_err(JournalError::io("creating", &dir))?;
    let shared = Shared::new(disk, settings, known.incarnation, Segments::default());
    let (mut found, strays) = survey(&shared)?;
    let number = 1 + found
        .keys()
        .chain(strays.iter().map(|(_, number)| number))
        .max()
        .unwrap_or(&0);
    let epoch = next_epoch(&shared, &found, known)?;
    let chain = chain(&shared, &mut found, known)?;
    let released = found.values().filter(|found| !found.quarantined);
    let useless = released
        .map(|found| (FileKind::Segment, found.number))
        .chain(strays);
    for (kind, number) in useless {
        let path = shared.path(kind, number);
        shared
            .disk
            .remove(&path)
            .map_err(JournalError::io("removing", path))?;
    }
    Recovery {
        shared: &shared,
        known,
        epoch,
        missing: Vec::new(),
        doubtful: 0,
    }
    .restart(chain, number)
    .map(|restarted| RecoveredJournal {
        shared: Arc::new(shared),
        active: restarted.active,
        epoch: restarted.epoch,
        missing: restarted.missing,
        doubtful: restarted.doubtful,
    })
}

/// The journal goes on in a new segment.
struct Restarted {
    active: Active,
    epoch: u32,
    missing: Vec<MissingRange>,
    doubtful: u64,
}

struct Recovery<'a> {
    shared: &'a Shared,
    known: JournalCheckpoint,
    epoch: u32,
    missing: Vec<MissingRange>,
    doubtful: u64,
}

impl Recovery<'_> {
    /// Settles where each segment of the chain ends and starts a new one behind them.
    fn restart(
        mut self,
        chain: VecDeque<SurveyedSegment>,
        number: u64,
    ) -> Result<Restarted, JournalError> {
        let count = chain.len();
        let mut link = Link {
            number: 0,
            end: 0,
            next: Sequence(0),
        };
        let mut tail = None;
        for (index, found) in chain.into_iter().enumerate() {
            let header = found.header;
            let first = header.map_or(Sequence(0), |header| header.first);
            let before = header.map_or(link.next, |header| header.link.next);
            let mut live = Live {
                number: found.number,
                first,
                next: before,
                end: HEADER_BYTES,
                len: found.len,
                quarantined: found.quarantined,
                sound: false,
            };
            self.shared.segments().live.push_back(live);
            if header.is_none() {
                damage_found(self.shared, &live, 0..HEADER_BYTES, DamageCost::Nothing)
                    .map_err(JournalError::io("renaming in", &self.shared.settings.dir))?;
            }
            if let Some((end, next)) = found.bound {
                (live.end, live.next) = (end, next);
            } else {
                let walk = self.walk(&live, header)?;
                self.report(&live, &walk);
                (live.end, live.next) = (walk.recorded, walk.recorded_next);
                if index + 1 < count {
                    (live.end, live.next) = walk.cut();
                } else if let Some(number) = walk.continued_in {
                    return Err(self.is_gone(number, walk.recorded_next));
                } else {
                    tail = Some((live, walk.tail));
                }
            }
            if let Some(last) = self.shared.segments().live.back_mut() {
                (last.end, last.next) = (live.end, live.next);
            }
            link = Link {
                number: live.number,
                end: live.end,
                next: live.next,
            };
            self.pass(link.next)?;
        }
        if let Some(last) = tail.as_ref().and_then(|(_, frames)| frames.back()) {
            self.pass(last.next())?;
        }
        let active = self.new_segment(number, link, tail)?;
        Ok(Restarted {
            active,
            epoch: self.epoch,
            missing: self.missing,
            doubtful: self.doubtful,
        })
    }

    /// Frames may be of an epoch that no header tells any more: it is not begun again, or its numbers would be
    /// given out twice.
    fn pass(&mut self, next: Sequence) -> Result<(), JournalError> {
        self.epoch = self.epoch.max(next.epoch() + 1);
        bounded(self.shared, self.epoch).map(drop)
    }

    fn is_gone(&self, number: u64, from: Sequence) -> JournalError {
        let path = self.shared.path(FileKind::Segment, number);
        JournalError::LoudStop {
            cause: format!(
                "the records from {} on are neither delivered nor in the journal: segment {} is gone",
                from.0,
                path.display()
            ),
            advice: self.shared.put_back_or_discard(),
        }
    }

    fn walk(&self, live: &Live, header: Option<Header>) -> Result<Walk, JournalError> {
        let durable = header.map_or(HEADER_BYTES, |header| header.durable);
        let has_end = header.is_none_or(|header| header.has_end);
        // The name may have changed just now, so ask for it again.
        let live = self.current(live);
        let mut window = Window::new(self.shared.open(&live)?, self.shared.seed(live.number));
        let path = self.shared.path(live.kind(), live.number);
        let walk = walk(&mut window, &live, durable, has_end);
        let walk = walk.map_err(JournalError::io("reading", path))?;
        if window.has_holes() {
            // A disk that does not even take the new name has lost more than a sector.
            let aside = self.shared.quarantine(live.number);
            aside.map_err(JournalError::io("renaming in", &self.shared.settings.dir))?;
        }
        Ok(walk)
    }

    fn current(&self, live: &Live) -> Live {
        let segments = self.shared.segments();
        let found = segments
            .live
            .iter()
            .find(|other| other.number == live.number);
        found.copied().unwrap_or(*live)
    }

    fn report(&mut self, live: &Live, walk: &Walk) {
        for broken in &walk.damaged {
            let cost = self.cost(broken);
            // Failing to set it aside is told, and costs nothing but the copy for a person.
            let _ = damage_found(self.shared, live, broken.bytes.clone(), cost);
            match cost {
                DamageCost::Lost(range) => self.missing.push(range),
                DamageCost::Unknown => self.doubtful += 1,
                DamageCost::Nothing => {}
            }
        }
        for BrokenBytes { bytes, range, .. } in &walk.doubtful {
            doubt_found(self.shared, live, bytes.clone(), *range);
            self.doubtful += 1;
        }
    }

    /// What damage below the recorded end has cost.
    fn cost(&self, broken: &BrokenBytes) -> DamageCost {
        if broken.is_open {
            return DamageCost::Unknown;
        }
        let undelivered = broken
            .range
            .and_then(|range| range.after(self.known.frontier));
        undelivered.map_or(DamageCost::Nothing, DamageCost::Lost)
    }

    /// The segment of the new epoch: first what the last one holds beyond its recorded end.
    fn new_segment(
        &self,
        number: u64,
        link: Link,
        tail: Option<(Live, VecDeque<Frame>)>,
    ) -> Result<Active, JournalError> {
        let shared = self.shared;
        let path = shared.path(FileKind::New, number);
        let failed = || JournalError::io("writing", &path);
        let file = shared.disk.open(&path, OpenMode::New).map_err(failed())?;
        let first = Sequence::first_of(self.epoch);
        let mut live = Live {
            number,
            first,
            next: link.next,
            end: HEADER_BYTES,
            len: HEADER_BYTES,
            quarantined: false,
            sound: true,
        };
        if let Some((last, tail)) = tail.filter(|(_, tail)| !tail.is_empty()) {
            let last = self.current(&last);
            let mut window = Window::new(shared.open(&last)?, shared.seed(last.number));
            let from = shared.path(last.kind(), last.number);
            let unread = || JournalError::io("reading", &from);
            let mut block = Vec::new();
            for whole in tail {
                let frame = window.frame(whole.offset, last.len).map_err(unread())?;
                let changed = || io::Error::other("the journal's tail changes while it is read");
                let frame = frame.ok_or_else(changed).map_err(unread())?;
                let copy = Frame {
                    offset: live.end,
                    durable: HEADER_BYTES,
                    ..frame
                };
                block.clear();
                copy.encode(shared.seed(number), &mut block);
                block.extend_from_slice(window.payload(&frame, last.len).map_err(unread())?);
                block.resize(
                    block
                        .len()
                        .next_multiple_of(usize::try_from(ALIGN).unwrap_or(8)),
                    0,
                );
                file.write_all_at(&block, live.end).map_err(failed())?;
                if live.end == HEADER_BYTES {
                    live.first = frame.first;
                }
                (live.end, live.next) = (copy.end(), frame.next());
            }
        }
        live.len = live.end + END_BYTES as u64;
        let header = Header {
            incarnation: shared.incarnation,
            number,
            epoch: self.epoch,
            first: live.first,
            durable: live.end,
            link,
            has_end: true,
        };
        finish_file(shared, file.as_ref(), &header, FileKind::New, None).map_err(failed())?;
        failpoint::hit("journal-new-segment");
        let mut segments = shared.segments();
        segments.live.push_back(live);
        segments.next = first;
        Ok(Active {
            file,
            number,
            end: live.end,
            filled: live.len,
            capacity: shared.settings.segment_bytes.max(live.end),
        })
    }
}
