//! Two files with the same database. What redb writes goes to the first; a sync makes it durable
//! there, then repeats it in the second and makes it durable there. So at any time one of them is as a
//! sync has left it, and what a commit has returned for stands in both.
//!
//! redb does not verify what it reads of a file that it has open: it would take damaged rows for sound
//! ones and commit them anew. Here each page is held against its checksum, which is kept in memory (all
//! pages were written by this process: an opening begins with fresh files), and read from the second
//! file where the first fails.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::marks;
use crate::disk::DiskFile;
use crate::failpoint;

/// redb reads and writes whole pages; but for its header, at the head of the first page.
pub(super) const PAGE: u64 = 4096;
/// What is repeated in the second file goes in pieces of this size at most.
const PIECE: u64 = 1 << 20;

/// The two files, as redb's storage.
#[derive(Debug)]
pub(super) struct Pair {
    files: [Arc<dyn DiskFile>; 2],
    inner: Mutex<PairState>,
    mended: AtomicU64,
}

/// How far each of the two files is.
#[derive(Debug)]
struct PairState {
    /// Number of the transaction that the next sync makes durable…
    sequence: u64,
    /// …and of the one that the last sync did; `None`: the files are new.
    marked: Option<u64>,
    /// What the second file lacks: offset to end.
    unsent: BTreeMap<u64, u64>,
    /// CRC-64/NVME of each page that was written whole.
    sums: Vec<Option<u64>>,
}

impl Pair {
    /// Two empty files, which follow the transaction `sequence`.
    pub(super) fn new(files: [Arc<dyn DiskFile>; 2], sequence: u64) -> Self {
        Self {
            files,
            inner: Mutex::new(PairState {
                sequence,
                marked: None,
                unsent: BTreeMap::new(),
                sums: Vec::new(),
            }),
            mended: AtomicU64::new(0),
        }
    }

    /// Numbers the transaction that is committed next.
    pub(super) fn next(&self) -> u64 {
        let mut inner = self.lock();
        inner.sequence += 1;
        inner.sequence
    }

    /// How many pages of the first file were replaced by those of the second since this was last called.
    pub(super) fn take_mended(&self) -> u64 {
        self.mended.swap(0, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, PairState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what was written, from the first file that has it.
    fn read(&self, inner: &PairState, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let [first, second] = &self.files;
        let read = first.read_exact_at(out, offset);
        // The header is read when a database is opened, and these are new.
        if offset < PAGE || (read.is_ok() && inner.is_sound(offset, out)) {
            return read;
        }
        let cause = read
            .err()
            .map_or_else(|| "checksum differs".to_owned(), |error| error.to_string());
        second.read_exact_at(out, offset)?;
        if !inner.is_sound(offset, out) {
            let message = format!("both copies are damaged at {offset} ({cause})");
            return Err(io::Error::other(message));
        }
        self.mended.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            offset,
            cause,
            "the checkpoint store is damaged and is read from its other copy: see to the disk"
        );
        // If that fails, too, the next reading says so again.
        let _ = first.write_all_at(out, offset);
        Ok(())
    }

    /// Repeats in the second file what it lacks.
    fn send(&self, inner: &PairState) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (&offset, &end) in &inner.unsent {
            let mut at = offset;
            while at < end {
                let len = PIECE.min(end - at);
                bytes.resize(usize::try_from(len).unwrap_or(0), 0);
                self.read(inner, at, &mut bytes)?;
                self.files[1].write_all_at(&bytes, at)?;
                at += len;
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.lock();
        // redb also syncs when it has made the file larger, in the middle of a transaction: without a header
        // nothing of that transaction can be there yet.
        let sequence = inner.has_header().then_some(inner.sequence);
        let begun = sequence.filter(|sequence| inner.marked != Some(*sequence));
        let is_new = inner.marked.is_none();
        let mark = |file: &dyn DiskFile| match begun {
            None => Ok(()),
            Some(sequence) if is_new => marks::begin(file, sequence),
            Some(sequence) => marks::set(file, sequence),
        };
        let [first, second] = &self.files;
        mark(&**first)?;
        first.sync_data()?;
        if begun.is_some() && !is_new {
            failpoint::hit("checkpoint-between-copies");
        }
        self.send(&inner)?;
        mark(&**second)?;
        second.sync_data()?;
        inner.unsent.clear();
        inner.marked = begun.or(inner.marked);
        Ok(())
    }
}

impl PairState {
    /// Whether redb's header was written since the last sync: by a commit, or at the beginning or end.
    fn has_header(&self) -> bool {
        self.unsent.contains_key(&0)
    }

    fn wrote(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        let before = self.unsent.range_mut(..=offset).next_back();
        match before {
            Some((_, until)) if *until >= offset => *until = end.max(*until),
            _ => {
                self.unsent.insert(offset, end);
            }
        }
        for (page, part) in pages(offset, data) {
            if self.sums.len() <= page {
                self.sums.resize(page + 1, None);
            }
            let is_whole = part.len() as u64 == PAGE;
            self.sums[page] = is_whole.then(|| crc_fast::crc64_nvme(part));
        }
    }

    fn cut(&mut self, len: u64) {
        self.unsent.split_off(&len);
        for end in self.unsent.values_mut() {
            *end = len.min(*end);
        }
        let pages = usize::try_from(len / PAGE).unwrap_or(usize::MAX);
        self.sums.truncate(pages);
    }

    /// Whether all whole pages of this are as they were written.
    fn is_sound(&self, offset: u64, bytes: &[u8]) -> bool {
        pages(offset, bytes).all(|(page, part)| {
            let sum = self.sums.get(page).copied().flatten();
            part.len() as u64 != PAGE || sum.is_none_or(|sum| sum == crc_fast::crc64_nvme(part))
        })
    }
}

/// Cuts bytes where pages end; each part with the index of its page.
fn pages(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let (mut at, mut rest) = (offset, bytes);
    std::iter::from_fn(move || {
        let left = usize::try_from(PAGE - at % PAGE).unwrap_or(0);
        let len = left.min(rest.len());
        let (part, after) = rest.split_at(len);
        let page = usize::try_from(at / PAGE).unwrap_or(usize::MAX);
        (at, rest) = (at + len as u64, after);
        (len > 0).then_some((page, part))
    })
}

/// A handle that redb takes.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<Pair>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.files[0].len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(&self.0.lock(), offset, out)
    }

    /// Both are cut at once: no commit that has returned names what is cut off.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.cut(len);
        self.0.files.iter().try_for_each(|file| file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock();
        self.0.files[0].write_all_at(data, offset)?;
        inner.wrote(offset, data);
        Ok(())
    }
}
