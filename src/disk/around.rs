//! Reading around sectors that the disk cannot give any more.
//!
//! A hole is zeros to the reader, so checksums find it as they find any other damage. A disk that
//! gives nothing at all has not lost a sector: it is gone, and may come back. So where nothing is given
//! of what was asked for, other places of the file are asked, and other files.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::time::Duration;

use rustix::io::Errno;

use super::DiskFile;

/// Bytes that are read on their own when all together cannot be read.
const BLOCK: u64 = 4096;
/// How often one place is tried, and the pause in between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);
/// A file is asked at its two ends, and at so many places between them less one.
const PLACES: u64 = 8;

/// Fills `buffer` from `offset`, with zeros where the disk has lost a block for good, and where the
/// file ends too early. True: there are such.
pub fn read_around(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match read_blocks(file, buffer, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let there = file.len()?.saturating_sub(offset);
            let there = usize::try_from(there).unwrap_or(buffer.len());
            if there >= buffer.len() {
                return Err(error);
            }
            let (head, beyond) = buffer.split_at_mut(there);
            beyond.fill(0);
            read_blocks(file, head, offset).map(|_| true)
        }
        read => read,
    }
}

fn read_blocks(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    let Some(mut lost) = read(file, buffer, offset)? else {
        return Ok(false);
    };
    let (mut at, mut rest) = (offset, buffer);
    let (mut blocks, mut holes) = (0, 0);
    while !rest.is_empty() {
        let len = usize::try_from(BLOCK - at % BLOCK).unwrap_or(rest.len());
        let (block, after) = rest.split_at_mut(len.min(rest.len()));
        at += block.len() as u64;
        blocks += 1;
        if let Some(error) = read(file, block, at - block.len() as u64)? {
            block.fill(0);
            holes += 1;
            lost = error;
        }
        rest = after;
    }
    if holes == blocks && !gives_anything(file, &(offset..at))? {
        return Err(lost);
    }
    Ok(holes > 0)
}

/// Whether the disk gives anything beside a range of a file that it does not give. True where there is nothing
/// else to ask for.
fn gives_anything(file: &dyn DiskFile, lost: &Range<u64>) -> io::Result<bool> {
    let len = file.len()?;
    let last = len.saturating_sub(1) / BLOCK;
    let mut places: BTreeSet<u64> = (0..=PLACES).map(|n| last * n / PLACES).collect();
    places.insert(last.min(1));
    let starts = places.into_iter().map(|block| block * BLOCK);
    let mut is_silent = false;
    for start in starts.filter(|start| *start >= lost.end || start + BLOCK <= lost.start) {
        match gives(file, start..len.min(start + BLOCK))? {
            Some(true) => return Ok(true),
            Some(false) => is_silent = true,
            None => {}
        }
    }
    let others = match file.neighbours() {
        Err(error) if is_lost(&error) => return Ok(false),
        others => others?,
    };
    for other in others {
        let len = other.len()?;
        match gives(&*other, 0..len.min(BLOCK))? {
            Some(true) => return Ok(true),
            Some(false) => is_silent = true,
            None => {}
        }
    }
    Ok(!is_silent)
}

/// Whether the disk itself gives a range of a file. `None`: nothing can be learnt, since no disk is asked for zeros
/// that were never written.
fn gives(file: &dyn DiskFile, range: Range<u64>) -> io::Result<Option<bool>> {
    file.forget(&range);
    let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
    let mut block = vec![0; len];
    match file.read_exact_at(&mut block, range.start) {
        Ok(()) => Ok(block.iter().any(|byte| *byte != 0).then_some(true)),
        Err(error) if is_lost(&error) => Ok(Some(false)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that the disk does not give what it should have.
pub fn is_lost(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::IO)
}

/// Tries a few times. Gives what the disk says where it does not give the bytes.
fn read(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<Option<io::Error>> {
    for attempt in 1.. {
        match file.read_exact_at(buffer, offset) {
            Err(error) if !is_lost(&error) => return Err(error),
            Err(error) if attempt == TRIES => return Ok(Some(error)),
            Err(_) => std::thread::sleep(PAUSE),
            Ok(()) => break,
        }
    }
    Ok(None)
}

#[cfg(feature = "failpoints")]
#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, OpenMode, TornDisk};

    const LEN: usize = 40 * 4096;

    /// A file, and another one beside it.
    fn laid() -> (TornDisk, [&'static Path; 2]) {
        let disk = TornDisk::new(0);
        let paths = [Path::new("one"), Path::new("other")];
        for path in paths {
            let file = disk.open(path, OpenMode::New).unwrap();
            file.write_all_at(&vec![7; LEN], 0).unwrap();
        }
        (disk, paths)
    }

    /// How many bytes of a range are holes; `None`: the disk is taken to be gone.
    fn holes(disk: &TornDisk, path: &Path, range: Range<usize>) -> Option<usize> {
        let file = disk.open(path, OpenMode::Existing).unwrap();
        let mut bytes = vec![1; range.len()];
        match read_around(&*file, &mut bytes, range.start as u64) {
            Err(error) => {
                assert!(is_lost(&error), "{error}");
                None
            }
            Ok(has_holes) => {
                let (holes, rest): (Vec<u8>, Vec<u8>) = bytes.iter().partition(|byte| **byte == 0);
                assert_eq!(has_holes, !holes.is_empty());
                assert!(rest.iter().all(|byte| *byte == 7));
                Some(holes.len())
            }
        }
    }

    #[test]
    fn several_lost_blocks_are_no_lost_disk() {
        type Lost = &'static [(u64, u64)];
        let cases: [(Lost, Range<usize>); 4] = [
            // All that is asked for lies in the first blocks, and they are lost.
            (&[(0, 8192)], 100..8000),
            (&[(0, 8192)], 5000..5100),
            // The first block, and another one in which all lies that is asked for.
            (&[(0, 1), (81_920, 86_016)], 82_000..82_100),
            // Both ends of the file, and the middle.
            (&[(0, 8192), (81_920, 86_016), (163_000, 163_001)], 0..8192),
        ];
        for (lost, asked) in cases {
            let (disk, [one, _]) = laid();
            for (start, end) in lost {
                disk.spoil(one, *start..*end).unwrap();
            }
            assert_eq!(holes(&disk, one, asked.clone()), Some(asked.len()));
        }
    }

    #[test]
    fn a_file_that_is_lost_as_a_whole_is_no_lost_disk_where_another_is_given() {
        let (disk, [one, other]) = laid();
        disk.spoil(one, 0..LEN as u64).unwrap();
        assert_eq!(holes(&disk, one, 0..100), Some(100));
        disk.spoil(other, 0..1).unwrap();
        assert_eq!(holes(&disk, one, 0..100), None);
        assert_eq!(holes(&disk, one, 0..LEN), None);
    }

    #[test]
    fn zeros_are_no_sign_of_a_disk() {
        let (disk, [one, other]) = laid();
        disk.spoil(one, 0..LEN as u64).unwrap();
        disk.spoil(other, 0..LEN as u64).unwrap();
        let spare = disk.open(Path::new("spare"), OpenMode::New).unwrap();
        spare.set_len(4096).unwrap();
        assert_eq!(holes(&disk, one, 0..100), None);
    }

    #[test]
    fn where_there_is_nothing_else_to_ask_for_what_was_asked_for_is_lost() {
        let disk = TornDisk::new(0);
        let file = disk.open(Path::new("only"), OpenMode::New).unwrap();
        file.write_all_at(&[7; 100], 0).unwrap();
        disk.spoil(Path::new("only"), 5..6).unwrap();
        assert_eq!(holes(&disk, Path::new("only"), 0..100), Some(100));
    }
}
