//! A database file that is only read: what is written to it stays in memory. Opening a database
//! may want to mend it; whoever only looks must not change it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::disk::DiskFile;

/// Bytes are kept in pieces of this size.
const PIECE: usize = 4096;

/// The file, and what was written over it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: Arc<dyn DiskFile>,
    inner: Mutex<Delta>,
}

/// What was written over the file.
#[derive(Debug)]
struct Delta {
    len: u64,
    /// Bytes of the file that count; what was cut off reads as zeros when it grows again.
    below: u64,
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let len = file.len()?;
        let inner = Mutex::new(Delta {
            len,
            below: len,
            pieces: BTreeMap::new(),
        });
        Ok(Self { file, inner })
    }

    fn lock(&self) -> MutexGuard<'_, Delta> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One piece as the file has it.
    fn original(&self, below: u64, index: u64) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; PIECE];
        let start = index * PIECE as u64;
        let held = usize::try_from(below.saturating_sub(start)).unwrap_or(PIECE);
        self.file
            .read_exact_at(&mut piece[..held.min(PIECE)], start)?;
        Ok(piece)
    }
}

/// The parts of `len` bytes from `offset` on by piece: its index, where in it, how many.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let mut at = offset;
    let end = offset + len as u64;
    std::iter::from_fn(move || {
        let start = usize::try_from(at % PIECE as u64).unwrap_or_default();
        let rest = usize::try_from(end - at).unwrap_or(PIECE);
        let part = (at / PIECE as u64, start, rest.min(PIECE - start));
        at += part.2 as u64;
        (part.2 > 0).then_some(part)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.lock();
        if offset + out.len() as u64 > inner.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = 0;
        for (index, start, len) in parts(offset, out.len()) {
            let read;
            let piece = if let Some(piece) = inner.pieces.get(&index) {
                piece
            } else {
                read = self.original(inner.below, index)?;
                &read
            };
            out[at..at + len].copy_from_slice(&piece[start..start + len]);
            at += len;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.lock();
        if len < inner.len {
            let first = len / PIECE as u64;
            inner.pieces.split_off(&(first + 1));
            if let Some(piece) = inner.pieces.get_mut(&first) {
                let kept = usize::try_from(len % PIECE as u64).unwrap_or_default();
                piece[kept..].fill(0);
            }
        }
        inner.below = inner.below.min(len);
        inner.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.lock();
        inner.len = inner.len.max(offset + data.len() as u64);
        let mut at = 0;
        for (index, start, len) in parts(offset, data.len()) {
            if !inner.pieces.contains_key(&index) {
                let piece = self.original(inner.below, index)?;
                inner.pieces.insert(index, piece);
            }
            if let Some(piece) = inner.pieces.get_mut(&index) {
                piece[start..start + len].copy_from_slice(&data[at..at + len]);
            }
            at += len;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, HostDisk, OpenMode};

    /// Random reads, writes and cuts, held against a plain vector; the file never changes.
    #[test]
    fn it_reads_as_if_it_had_been_written_and_leaves_the_file_alone() {
        let mut random = fastrand::Rng::with_seed(7);
        let original: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(9_000)
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let disk = HostDisk::new(dir.path()).unwrap();
        let file = disk.open(Path::new("file"), OpenMode::New).unwrap();
        file.write_all_at(&original, 0).unwrap();
        let overlay = Overlay::new(Arc::clone(&file)).unwrap();
        let mut model = original.clone();
        for _ in 0..3_000 {
            let offset = random.usize(..20_000);
            match random.u8(..8) {
                0 => {
                    overlay.set_len(offset as u64).unwrap();
                    model.resize(offset, 0);
                }
                1..4 => {
                    let data = vec![random.u8(..); random.usize(1..6_000)];
                    overlay.write(offset as u64, &data).unwrap();
                    model.resize(model.len().max(offset + data.len()), 0);
                    model[offset..offset + data.len()].copy_from_slice(&data);
                }
                _ => {
                    let mut read = vec![0; random.usize(..6_000)];
                    let outcome = overlay.read(offset as u64, &mut read);
                    match model.get(offset..offset + read.len()) {
                        Some(expected) => assert_eq!(read, expected),
                        None => assert!(outcome.is_err()),
                    }
                }
            }
            assert_eq!(overlay.len().unwrap(), model.len() as u64);
        }
        let mut kept = vec![0; original.len()];
        file.read_exact_at(&mut kept, 0).unwrap();
        assert_eq!(kept, original);
    }
}
