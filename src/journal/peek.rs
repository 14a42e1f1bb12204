//! What a journal holds, told without changing a byte of it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::segment::HEADER_BYTES;
use super::shared::{Live, Segments, Shared};
use super::survey::{chain, survey};
use super::window::Window;
use super::{JournalError, JournalSettings, Known};
use crate::disk::Disk;
use crate::position::Sequence;

/// What is in a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes of all segments on disk.
    pub disk_bytes: u64,
    /// Records beyond the frontier: accepted, and not applied to any batch.
    pub records: u64,
    /// Bytes of the frames that they are in.
    pub bytes: u64,
}

/// Looks at the journal of `stream` in `dir`. `enough` records beyond the frontier end the search.
pub fn peek(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    stream: &str,
    known: Known,
    enough: u64,
) -> Result<Held, JournalError> {
    let mut held = Held::default();
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
    let wanted = known.frontier.map_or(Sequence(0), |last| last.plus(1));
    for found in chain(&shared, &mut found, known)? {
        let segment = Live {
            number: found.number,
            first: Sequence(0),
            next: Sequence(0),
            end: found.bound.map_or(found.len, |(end, _)| end.min(found.len)),
            len: found.len,
            quarantined: found.quarantined,
            sound: false,
        };
        let mut window = Window::new(shared.open(&segment)?, shared.seed(segment.number));
        let failed = || JournalError::io("reading", shared.path(segment.kind(), segment.number));
        let mut at = HEADER_BYTES;
        // Damage is passed over, as the reader does.
        while let Some(frame) = window.find(at, segment.end).map_err(failed())? {
            at = frame.end();
            let first = frame.first.max(wanted);
            if first < frame.next() {
                held.records += frame.next().0 - first.0;
                held.bytes += frame.payload_bytes() as u64;
            }
            if held.records >= enough {
                return Ok(held);
            }
        }
    }
    Ok(held)
}
