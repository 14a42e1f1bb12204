//! What of the files on disk is the journal: both halves belong together, no link is missing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::segment::{FileKind, HEADER_BYTES, Header, HeaderFault};
use super::shared::Shared;
use super::{EPOCHS_MAX, JournalCheckpoint, JournalError};
use crate::disk::{OpenMode, read_around};
use crate::position::Sequence;

/// A segment found on disk.
#[derive(Clone, Copy)]
pub(super) struct SurveyedSegment {
    pub(super) number: u64,
    /// `None`: damaged beyond reading.
    pub(super) header: Option<Header>,
    pub(super) quarantined: bool,
    pub(super) len: u64,
    /// Where the next segment says that this one ends, and one past its last sequence number.
    pub(super) bound: Option<(u64, Sequence)>,
}

/// All segments with their headers, and all other files of ours.
#[expect(clippy::type_complexity, reason = "two lists, used once")]
pub(super) fn survey(
    shared: &Shared,
) -> Result<(BTreeMap<u64, SurveyedSegment>, Vec<(FileKind, u64)>), JournalError> {
    let dir = &shared.settings.dir;
    let names = shared
        .disk
        .list(dir)
        .map_err(JournalError::io("listing", dir))?;
    let mut found = BTreeMap::new();
    let mut strays = Vec::new();
    for (kind, number) in names.iter().filter_map(|name| FileKind::parse(name)) {
        if matches!(kind, FileKind::Spare | FileKind::New) {
            strays.push((kind, number));
            continue;
        }
        let quarantined = kind == FileKind::Quarantined;
        let (header, len) = read_header(shared, kind, number)?;
        found.insert(
            number,
            SurveyedSegment {
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
    kind: FileKind,
    number: u64,
) -> Result<(Option<Header>, u64), JournalError> {
    let path = shared.path(kind, number);
    let failed = || JournalError::io("reading", &path);
    let file = shared
        .disk
        .open(&path, OpenMode::Existing)
        .map_err(failed())?;
    let len = file.len().map_err(failed())?;
    let mut block = vec![0; usize::try_from(HEADER_BYTES.min(len)).unwrap_or(0)];
    // A hole is damage: neither copy is found then.
    read_around(&*file, &mut block, 0).map_err(failed())?;
    let header = match Header::decode(&block) {
        // A renamed file that a crash has given its old name back.
        Ok(header) if header.number != number => None,
        Ok(header) => Some(header),
        Err(HeaderFault::Damaged) => None,
        Err(HeaderFault::Version(version)) => {
            return Err(JournalError::LoudStop {
                cause: format!(
                    "{} has layout version {version}, which is newer than this program",
                    path.display()
                ),
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
            advice: shared.put_back_or_discard(),
        });
    }
    Ok((header, len))
}

/// One more than the largest epoch named anywhere.
pub(super) fn next_epoch(
    shared: &Shared,
    found: &BTreeMap<u64, SurveyedSegment>,
    known: JournalCheckpoint,
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
            advice: shared.put_back_or_discard(),
        });
    }
    let readable = found.values().all(|found| found.header.is_some());
    if readable && written.is_some_and(|written| written < stored) {
        return Err(JournalError::LoudStop {
            cause: format!("the journal in {dir} is older than the checkpoint store"),
            advice: shared.put_back_or_discard(),
        });
    }
    // Saturating is fine: the last epoch of 32 bits is out of bounds as well.
    bounded(shared, stored.max(written.unwrap_or(0)).saturating_add(1))
}

/// The epoch, if it is one that a sequence number can hold.
pub(super) fn bounded(shared: &Shared, epoch: u32) -> Result<u32, JournalError> {
    if epoch >= EPOCHS_MAX {
        let dir = shared.settings.dir.display();
        return Err(JournalError::LoudStop {
            cause: format!("the journal in {dir} has used up its {EPOCHS_MAX} epochs"),
            advice: shared.put_back_or_discard(),
        });
    }
    Ok(epoch)
}

/// The segments that matter, oldest first: from the last one back, along the links, to the first
/// that begins at or before the frontier. They are taken out of `found`.
pub(super) fn chain(
    shared: &Shared,
    found: &mut BTreeMap<u64, SurveyedSegment>,
    known: JournalCheckpoint,
) -> Result<VecDeque<SurveyedSegment>, JournalError> {
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
                shared.path(FileKind::Segment, link.number).display()
            );
            return Err(JournalError::LoudStop {
                cause,
                advice: shared.put_back_or_discard(),
            });
        }
        bound = Some((link.end, link.next));
        at = Some(link.number);
    }
    Ok(chain)
}
