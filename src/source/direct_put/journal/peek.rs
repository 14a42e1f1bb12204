//! What a journal holds, told without changing a byte of it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::segment::HEADER_BYTES;
use super::shared::{Live, Segments, Shared};
use super::survey::{chain, survey};
use super::window::Window;
use super::{JournalCheckpoint, JournalError, JournalSettings};
use crate::disk::Disk;
use crate::position::Sequence;
use crate::source::{LocalBacklog, UnreadRecords};

/// Looks at the journal of `stream` in `dir`. `enough` records beyond the frontier end the search.
pub fn peek(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    stream: &str,
    known: JournalCheckpoint,
    enough: u64,
) -> Result<LocalBacklog, JournalError> {
    let mut held = LocalBacklog::default();
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(held),
        _ => {}
    }
    let settings = JournalSettings {
        stream: stream.to_owned(),
        dir: dir.to_owned(),
        limit: 0,
        segment_bytes: 0,
        idle: std::time::Duration::MAX,
    };
    let segments = Segments::default();
    let shared = Shared::new(Arc::clone(disk), settings, known.incarnation, segments);
    let (mut found, _) = survey(&shared)?;
    held.disk_bytes = found.values().map(|found| found.len).sum();
    let segments = chain(&shared, &mut found, known)?;
    let segments = segments.into_iter().map(|found| {
        let end = found.bound.map_or(found.len, |(end, _)| end);
        Live {
            number: found.number,
            first: Sequence(0),
            next: Sequence(0),
            end: end.min(found.len),
            len: found.len,
            quarantined: found.quarantined,
            sound: false,
        }
    });
    look(&shared, segments, known.frontier, enough, &mut held)?;
    Ok(held)
}

/// What an opened journal, to which nothing was appended yet, holds beyond the frontier.
pub(super) fn unread(
    shared: &Shared,
    frontier: Option<Sequence>,
) -> Result<Option<UnreadRecords>, JournalError> {
    let segments: Vec<Live> = shared.segments().live.iter().copied().collect();
    let next = segments.last().map(|segment| segment.next);
    let mut held = LocalBacklog::default();
    look(shared, segments.into_iter(), frontier, 1, &mut held)?;
    let unread = held.oldest_ms.zip(next);
    Ok(unread.map(|(oldest_ms, next)| UnreadRecords { oldest_ms, next }))
}

/// Counts the records beyond the frontier, up to about `enough`.
fn look(
    shared: &Shared,
    segments: impl Iterator<Item = Live>,
    frontier: Option<Sequence>,
    enough: u64,
    held: &mut LocalBacklog,
) -> Result<(), JournalError> {
    let wanted = frontier.map_or(Sequence(0), |last| last.plus(1));
    for segment in segments {
        let mut window = Window::new(shared.open(&segment)?, shared.seed(segment.number));
        let failed = || JournalError::io("reading", shared.path(segment.kind(), segment.number));
        let mut at = HEADER_BYTES;
        loop {
            // What was applied need not be verified.
            let header = window.header(at, segment.end).map_err(failed())?;
            if let Some(applied) = header.filter(|frame| frame.next() <= wanted) {
                at = applied.end();
                continue;
            }
            // Damage is passed over, as the reader does.
            let Some(frame) = window.find(at, segment.end).map_err(failed())? else {
                break;
            };
            at = frame.end();
            let first = frame.first.max(wanted);
            if first < frame.next() {
                held.records += frame.next().0 - first.0;
                held.bytes += frame.payload_bytes() as u64;
                held.oldest_ms.get_or_insert(frame.arrival_ms);
            }
            if held.records >= enough {
                return Ok(());
            }
        }
    }
    Ok(())
}
