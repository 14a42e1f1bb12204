//! Every record of a journal that can be read, whatever else of the state is damaged: for a person who must
//! decide without a checkpoint.

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::frame::Seed;
use super::fresh::FreshFrame;
use super::segment::{FileKind, HEADER_BYTES, Header};
use super::window::Window;
use crate::disk::{Disk, OpenMode, read_around};
use crate::position::Sequence;
use crate::source::{Salvaged, TakeRecord};

/// Gives `take` each record of the segments in `dir`, delivered or not, once. What cannot be read is told,
/// and is no reason to stop: an error is one of `take`.
pub fn salvage(disk: &dyn Disk, dir: &Path, take: &mut TakeRecord<'_>) -> io::Result<Salvaged> {
    let mut salvaged = Salvaged::default();
    let segments = match segments(disk, dir) {
        Ok(segments) => segments,
        Err(error) => {
            let gap = format!("{} cannot be listed: {error}", dir.display());
            salvaged.gaps.push(gap);
            return Ok(salvaged);
        }
    };
    // Frames are bound to the state's name.
    let Some(incarnation) = named(disk, dir, &segments) else {
        if !segments.is_empty() {
            salvaged.gaps.push(format!(
                "no header of the {} segments in {} can be read: nothing tells records of this state \
                 from others",
                segments.len(),
                dir.display()
            ));
        }
        return Ok(salvaged);
    };
    let mut next = Sequence(0);
    for (number, kind) in segments {
        let path = kind.path(dir, number);
        let seed = Seed {
            incarnation,
            number,
        };
        let gap = match WholeFrames::open(disk, &path, seed) {
            Ok(frames) => frames.give(&mut next, &mut salvaged.records, take)?,
            Err(error) => Some(error.to_string()),
        };
        let told = gap.map(|gap| format!("{} is not whole: {gap}", path.display()));
        salvaged.gaps.extend(told);
    }
    Ok(salvaged)
}

/// The frames of a segment that are whole, one after the other.
struct WholeFrames {
    window: Window,
    at: u64,
    len: u64,
}

impl WholeFrames {
    fn open(disk: &dyn Disk, path: &Path, seed: Seed) -> io::Result<Self> {
        let file = disk.open(path, OpenMode::Existing)?;
        let len = file.len()?;
        Ok(Self {
            window: Window::new(file, seed),
            at: HEADER_BYTES,
            len,
        })
    }

    fn next(&mut self) -> io::Result<Option<FreshFrame>> {
        while let Some(frame) = self.window.find(self.at, self.len)? {
            self.at = frame.end();
            if let Some(whole) = self.window.load(&frame)? {
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }

    /// Gives each record from `next` on, and counts it. What cannot be read, in words.
    fn give(
        mut self,
        next: &mut Sequence,
        records: &mut u64,
        take: &mut TakeRecord<'_>,
    ) -> io::Result<Option<String>> {
        loop {
            let whole = match self.next() {
                Ok(Some(whole)) => whole,
                Ok(None) if self.window.has_holes() => {
                    return Ok(Some("the disk does not give all of it".to_owned()));
                }
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error.to_string())),
            };
            let mut start = 0;
            for (index, end) in (0_u64..).zip(&whole.ends) {
                let end = usize::try_from(*end).unwrap_or(usize::MAX);
                let sequence = whole.first.plus(index);
                // What recovery has brought over stands in the segment before, too.
                if sequence >= *next
                    && let Some(data) = whole.data.get(start..end)
                {
                    take(sequence, whole.arrival_ms, data)?;
                    *records += 1;
                }
                start = end;
            }
            *next = whole.next().max(*next);
        }
    }
}

/// The incarnation of the state that the segments in `dir` are of; `None`: no header tells.
pub fn incarnation(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Uuid>> {
    Ok(named(disk, dir, &segments(disk, dir)?))
}

/// The segments in `dir` by number, damaged ones too.
fn segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(u64, FileKind)>> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let mut segments: Vec<(u64, FileKind)> = names
        .iter()
        .filter_map(|name| FileKind::parse(name))
        .filter(|(kind, _)| matches!(kind, FileKind::Segment | FileKind::Quarantined))
        .map(|(kind, number)| (number, kind))
        .collect();
    segments.sort_by_key(|(number, _)| *number);
    Ok(segments)
}

/// The incarnation in the first header that can be read.
fn named(disk: &dyn Disk, dir: &Path, segments: &[(u64, FileKind)]) -> Option<Uuid> {
    let mut segments = segments.iter();
    segments.find_map(|(number, kind)| {
        let block = read_header(disk, &kind.path(dir, *number)).ok()?;
        Some(Header::decode(&block).ok()?.incarnation)
    })
}

fn read_header(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Existing)?;
    let mut block = vec![0; usize::try_from(HEADER_BYTES.min(file.len()?)).unwrap_or(0)];
    read_around(&*file, &mut block, 0)?;
    Ok(block)
}
