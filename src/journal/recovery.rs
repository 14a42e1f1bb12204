//! Opening a journal: which segments count, where the last one ends, and the start of a new epoch.
//!
//! Nothing that is found is changed before the new segment is durable, except files that no
//! recovery will ever need again; so it may be broken off anywhere and begun anew.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use super::frame::{ALIGN, Frame};
use super::reader::damage_found;
use super::segment::{HEADER_BYTES, Header, Kind, Link, Unreadable};
use super::shared::{Live, Segments, Shared};
use super::window::Window;
use super::writer::{Active, finish_file};
use super::{EPOCHS_MAX, JournalError, JournalSettings, Known, MissingRange};
use crate::disk::{Disk, Open};
use crate::failpoint;
use crate::position::Sequence;

/// What recovery hands to the writer.
pub(super) struct Recovered {
    pub(super) shared: Arc<Shared>,
    pub(super) active: Active,
    pub(super) epoch: u32,
    pub(super) missing: Vec<MissingRange>,
}

/// A segment found on disk.
#[derive(Clone, Copy)]
struct Found {
    number: u64,
    /// `None`: damaged beyond reading.
    header: Option<Header>,
    quarantined: bool,
    len: u64,
    /// Where the next segment says that this one ends, and one past its last sequence number.
    bound: Option<(u64, Sequence)>,
}

pub(super) fn recover(
    disk: Arc<dyn Disk>,
    settings: JournalSettings,
    known: Known,
) -> Result<Recovered, JournalError> {
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
        .map(|found| (Kind::Segment, found.number))
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
    }
    .restart(chain, number)
    .map(|(active, missing)| Recovered {
        shared: Arc::new(shared),
        active,
        epoch,
        missing,
    })
}

/// All segments with their headers, and all other files of ours.
#[expect(clippy::type_complexity, reason = "two lists, used once")]
fn survey(shared: &Shared) -> Result<(BTreeMap<u64, Found>, Vec<(Kind, u64)>), JournalError> {
    let dir = &shared.settings.dir;
    let names = shared
        .disk
        .list(dir)
        .map_err(JournalError::io("listing", dir))?;
    let mut found = BTreeMap::new();
    let mut strays = Vec::new();
    for (kind, number) in names.iter().filter_map(|name| Kind::parse(name)) {
        if matches!(kind, Kind::Spare | Kind::New) {
            strays.push((kind, number));
            continue;
        }
        let quarantined = kind == Kind::Quarantined;
        let (header, len) = read_header(shared, kind, number)?;
        found.insert(
            number,
            Found {
                number,
                header,
                quarantined,
                len,
                bound: None,
            },
        );
    }
    Ok((found, strays))
}

fn read_header(
    shared: &Shared,
    kind: Kind,
    number: u64,
) -> Result<(Option<Header>, u64), JournalError> {
    let path = shared.path(kind, number);
    let failed = || JournalError::io("reading", &path);
    let file = shared.disk.open(&path, Open::Existing).map_err(failed())?;
    let len = file.len().map_err(failed())?;
    let mut block = vec![0; usize::try_from(HEADER_BYTES.min(len)).unwrap_or(0)];
    file.read_exact_at(&mut block, 0).map_err(failed())?;
    let header = match Header::decode(&block) {
        // A renamed file that a crash has given its old name back.
        Ok(header) if header.number != number => None,
        Ok(header) => Some(header),
        Err(Unreadable::Damaged) => None,
        Err(Unreadable::Version(version)) => {
            return Err(JournalError::LoudStop {
                cause: format!("{} has layout version {version}, not 1", path.display()),
                advice: "run the version of firehose that wrote it".to_owned(),
            });
        }
    };
    if let Some(header) = header.filter(|header| header.incarnation != shared.incarnation) {
        return Err(JournalError::LoudStop {
            cause: format!(
                "{} belongs to state {}, but the checkpoint store to {}",
                path.display(),
                header.incarnation,
                shared.incarnation
            ),
            advice: "put back the state folder that belongs together, or drain, adopt or discard \
                     the journal"
                .to_owned(),
        });
    }
    Ok((header, len))
}

/// One more than the largest epoch named anywhere.
fn next_epoch(
    shared: &Shared,
    found: &BTreeMap<u64, Found>,
    known: Known,
) -> Result<u32, JournalError> {
    let dir = shared.settings.dir.display();
    let stored = known.epoch.max(known.frontier.map_or(0, Sequence::epoch));
    let written = found
        .values()
        .filter_map(|found| found.header)
        .map(|header| header.epoch)
        .max();
    if found.is_empty() && (known.frontier.is_some() || known.epoch > 0) {
        return Err(JournalError::LoudStop {
            cause: format!("the checkpoint store knows a journal, but {dir} holds none"),
            advice: "put the journal back, or discard the checkpoint store's state".to_owned(),
        });
    }
    let readable = found.values().all(|found| found.header.is_some());
    if readable && written.is_some_and(|written| written < stored) {
        return Err(JournalError::LoudStop {
            cause: format!("the journal in {dir} is older than the checkpoint store"),
            advice: "put back the state folder that belongs together, or discard its state"
                .to_owned(),
        });
    }
    let epoch = stored.max(written.unwrap_or(0)) + 1;
    if epoch >= EPOCHS_MAX {
        return Err(JournalError::LoudStop {
            cause: format!("the journal in {dir} has used up its {EPOCHS_MAX} epochs"),
            advice: "drain the stream and discard its state".to_owned(),
        });
    }
    Ok(epoch)
}

/// The segments that matter, oldest first: from the last one back, along the links, to the first
/// that begins at or before the frontier. They are taken out of `found`.
fn chain(
    shared: &Shared,
    found: &mut BTreeMap<u64, Found>,
    known: Known,
) -> Result<VecDeque<Found>, JournalError> {
    let wanted = known
        .frontier
        .map_or(Sequence(0), |frontier| frontier.plus(1));
    let mut chain = VecDeque::new();
    let mut bound = None;
    let mut at = found.keys().next_back().copied();
    while let Some(mut segment) = at.and_then(|number| found.remove(&number)) {
        segment.bound = bound;
        chain.push_front(segment);
        let Some(Header { link, .. }) = segment.header else {
            bound = None;
            let before = (Bound::Unbounded, Bound::Excluded(segment.number));
            at = found.range(before).next_back().map(|(number, _)| *number);
            continue;
        };
        if link.next <= wanted {
            break;
        }
        if !found.contains_key(&link.number) {
            let cause = format!(
                "records {} to {} are neither delivered nor in the journal: segment {} is gone",
                wanted.0,
                link.next.0 - 1,
                shared.path(Kind::Segment, link.number).display()
            );
            let advice = "put the file back, or discard the stream's state".to_owned();
            return Err(JournalError::LoudStop { cause, advice });
        }
        bound = Some((link.end, link.next));
        at = Some(link.number);
    }
    Ok(chain)
}

/// What a walk over a segment whose end nobody has noted finds.
struct Walk {
    /// The largest recorded durable end: damage below it is corruption.
    recorded: u64,
    /// One past the last sequence number before it.
    recorded_next: Sequence,
    /// Whole frames without a break reach from `recorded` to here.
    cut: u64,
    cut_next: Sequence,
    missing: Vec<(std::ops::Range<u64>, Option<MissingRange>)>,
}

struct Recovery<'a> {
    shared: &'a Shared,
    known: Known,
    epoch: u32,
    missing: Vec<MissingRange>,
}

impl Recovery<'_> {
    /// Settles where each segment of the chain ends and starts a new one behind them.
    fn restart(
        mut self,
        chain: VecDeque<Found>,
        number: u64,
    ) -> Result<(Active, Vec<MissingRange>), JournalError> {
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
            };
            self.shared.segments().live.push_back(live);
            if header.is_none() {
                damage_found(self.shared, &live, 0..HEADER_BYTES, None);
            }
            if let Some((end, next)) = found.bound {
                (live.end, live.next) = (end, next);
            } else {
                let durable = header.map_or(HEADER_BYTES, |header| header.durable);
                let walk = self.walk(&live, durable)?;
                self.report(&live, &walk);
                (live.end, live.next) = (walk.recorded, walk.recorded_next);
                if index + 1 == count {
                    tail = Some((live, walk.cut, walk.cut_next));
                } else {
                    (live.end, live.next) = (walk.cut, walk.cut_next);
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
        }
        let active = self.new_segment(number, link, tail)?;
        Ok((active, self.missing))
    }

    fn walk(&self, live: &Live, durable: u64) -> Result<Walk, JournalError> {
        // The name may have changed just now, so ask for it again.
        let live = self.current(live);
        let mut window = Window::new(self.shared.open(&live)?, self.shared.seed(live.number));
        let path = self.shared.path(live.kind(), live.number);
        walk(&mut window, &live, durable).map_err(JournalError::io("reading", path))
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
        for (bytes, range) in &walk.missing {
            let range = range.and_then(|range| range.after(self.known.frontier));
            damage_found(self.shared, live, bytes.clone(), range);
            self.missing.extend(range);
        }
    }

    /// The segment of the new epoch: first what the last one holds beyond its recorded end.
    fn new_segment(
        &self,
        number: u64,
        link: Link,
        tail: Option<(Live, u64, Sequence)>,
    ) -> Result<Active, JournalError> {
        let shared = self.shared;
        let path = shared.path(Kind::New, number);
        let failed = || JournalError::io("writing", &path);
        let file = shared.disk.open(&path, Open::New).map_err(failed())?;
        let first = Sequence::first_of(self.epoch);
        let mut live = Live {
            number,
            first,
            next: link.next,
            end: HEADER_BYTES,
            len: HEADER_BYTES,
            quarantined: false,
        };
        if let Some((last, cut, cut_next)) = tail.filter(|(last, cut, _)| last.end < *cut) {
            let last = self.current(&last);
            let mut window = Window::new(shared.open(&last)?, shared.seed(last.number));
            let mut at = last.end;
            let mut block = Vec::new();
            while at < cut {
                let frame = window.frame(at, cut).map_err(failed())?;
                let changed = || io::Error::other("the journal's tail changes while it is read");
                let frame = frame.ok_or_else(changed).map_err(failed())?;
                let copy = Frame {
                    offset: live.end,
                    durable: HEADER_BYTES,
                    ..frame
                };
                block.clear();
                copy.encode(shared.seed(number), &mut block);
                block.extend_from_slice(window.payload(&frame, cut).map_err(failed())?);
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
                live.end = copy.end();
                at = frame.end();
            }
            (live.len, live.next) = (live.end, cut_next);
        }
        let header = Header {
            incarnation: shared.incarnation,
            number,
            epoch: self.epoch,
            first: live.first,
            durable: live.end,
            link,
        };
        finish_file(shared, file.as_ref(), &header, Kind::New, None).map_err(failed())?;
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

/// Walks the frames of a segment, to find its recorded durable end, what is damaged below, and
/// what is whole above.
fn walk(window: &mut Window, live: &Live, durable: u64) -> io::Result<Walk> {
    let mut walk = Walk {
        recorded: durable,
        recorded_next: live.next,
        cut: 0,
        cut_next: live.next,
        missing: Vec::new(),
    };
    // Damage of which it is not yet known whether it lies below a recorded end.
    let mut pending: VecDeque<(std::ops::Range<u64>, Sequence, Option<MissingRange>)> =
        VecDeque::new();
    let mut expected = live.first.max(live.next);
    let mut at = HEADER_BYTES;
    let mut next = live.next;
    while at < live.len {
        let Some(frame) = window.frame(at, live.len)? else {
            let found = window.find(at + ALIGN, live.len)?;
            let (end, range) = found.map_or((live.len, None), |frame| {
                (frame.offset, MissingRange::between(expected, frame.first))
            });
            pending.push_back((at..end, next, range));
            at = end;
            continue;
        };
        if frame.durable > walk.recorded {
            (walk.recorded, walk.recorded_next) = (frame.durable, next);
        }
        while pending
            .front()
            .is_some_and(|(bytes, ..)| bytes.start < walk.recorded)
        {
            walk.missing
                .extend(pending.pop_front().map(|(bytes, _, range)| (bytes, range)));
        }
        at = frame.end();
        next = frame.next();
        expected = next;
        if at <= walk.recorded {
            walk.recorded_next = next;
        }
    }
    while pending
        .front()
        .is_some_and(|(bytes, ..)| bytes.start < walk.recorded)
    {
        walk.missing
            .extend(pending.pop_front().map(|(bytes, _, range)| (bytes, range)));
    }
    (walk.cut, walk.cut_next) = pending
        .front()
        .map_or((at, next), |(bytes, next, _)| (bytes.start, *next));
    Ok(walk)
}
