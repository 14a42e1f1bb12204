//! Every record of a journal that can be read, whatever else of the state is damaged: for a person who must
//! decide without a checkpoint.

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::frame::Seed;
use super::segment::{HEADER_BYTES, Header, Kind};
use super::window::Window;
use crate::disk::{Disk, Open, read_around};
use crate::position::Sequence;

/// Takes a record: sequence number, arrival in ms, bytes.
type Take<'a> = dyn FnMut(Sequence, i64, &[u8]) -> io::Result<()> + 'a;

/// Gives `take` each record of the segments in `dir`, delivered or not, once. Returns how many there
/// were.
pub fn salvage(disk: &dyn Disk, dir: &Path, take: &mut Take<'_>) -> io::Result<u64> {
    let segments = segments(disk, dir)?;
    // Frames are bound to the state's name.
    let Some(incarnation) = named(disk, dir, &segments)? else {
        return Ok(0);
    };
    let (mut records, mut next) = (0, Sequence(0));
    for (number, kind) in segments {
        let file = disk.open(&kind.path(dir, number), Open::Existing)?;
        let len = file.len()?;
        let seed = Seed {
            incarnation,
            number,
        };
        let mut window = Window::new(file, seed);
        let mut at = HEADER_BYTES;
        while let Some(frame) = window.find(at, len)? {
            at = frame.end();
            let Some(whole) = window.load(&frame)? else {
                continue;
            };
            let mut start = 0;
            for (index, end) in (0_u64..).zip(&whole.ends) {
                let end = usize::try_from(*end).unwrap_or(usize::MAX);
                let sequence = whole.first.plus(index);
                // What recovery has brought over stands in the segment before, too.
                if sequence >= next
                    && let Some(data) = whole.data.get(start..end)
                {
                    take(sequence, whole.arrival_ms, data)?;
                    records += 1;
                }
                start = end;
            }
            next = next.max(whole.next());
        }
    }
    Ok(records)
}

/// The incarnation of the state that the segments in `dir` are of; `None`: no header tells.
pub fn incarnation(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Uuid>> {
    named(disk, dir, &segments(disk, dir)?)
}

/// The segments in `dir` by number, damaged ones too.
fn segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(u64, Kind)>> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let mut segments: Vec<(u64, Kind)> = names
        .iter()
        .filter_map(|name| Kind::parse(name))
        .filter(|(kind, _)| matches!(kind, Kind::Segment | Kind::Quarantined))
        .map(|(kind, number)| (number, kind))
        .collect();
    segments.sort_by_key(|(number, _)| *number);
    Ok(segments)
}

/// The incarnation in the first header that can be read.
fn named(disk: &dyn Disk, dir: &Path, segments: &[(u64, Kind)]) -> io::Result<Option<Uuid>> {
    for (number, kind) in segments {
        let file = disk.open(&kind.path(dir, *number), Open::Existing)?;
        let mut block = vec![0; usize::try_from(HEADER_BYTES.min(file.len()?)).unwrap_or(0)];
        read_around(&*file, &mut block, 0)?;
        if let Ok(header) = Header::decode(&block) {
            return Ok(Some(header.incarnation));
        }
    }
    Ok(None)
}
