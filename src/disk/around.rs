//! Reading around sectors that the disk cannot give any more.
//!
//! A hole is zeros to the reader, so checksums find it as they find any other damage. A disk that
//! gives nothing at all has not lost a sector: it is gone, and may come back.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use super::DiskFile;

/// What is read for itself when all together cannot be read, in bytes.
const BLOCK: u64 = 4096;
/// How often one place is tried, and the pause in between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

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
    let Err(mut lost) = read(file, buffer, offset)? else {
        return Ok(false);
    };
    let (mut at, mut rest) = (offset, buffer);
    let (mut blocks, mut holes) = (0, 0);
    while !rest.is_empty() {
        let len = usize::try_from(BLOCK - at % BLOCK).unwrap_or(rest.len());
        let (block, after) = rest.split_at_mut(len.min(rest.len()));
        at += block.len() as u64;
        blocks += 1;
        if let Err(error) = read(file, block, at - block.len() as u64)? {
            block.fill(0);
            holes += 1;
            lost = error;
        }
        rest = after;
    }
    if holes == blocks {
        // Whether the disk gives anything of this file.
        let elsewhere = if offset < BLOCK { BLOCK } else { 0 };
        match read(file, &mut [0], elsewhere) {
            Ok(Err(_)) => return Err(lost),
            Ok(Ok(())) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(holes > 0)
}

/// Tries a few times. The inner error: the disk does not give it.
fn read(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<Result<(), io::Error>> {
    for attempt in 1.. {
        match file.read_exact_at(buffer, offset) {
            Err(error) if Errno::from_io_error(&error) != Some(Errno::IO) => return Err(error),
            Err(error) if attempt == TRIES => return Ok(Err(error)),
            Err(_) => std::thread::sleep(PAUSE),
            Ok(()) => break,
        }
    }
    Ok(Ok(()))
}
