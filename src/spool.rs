//! Durable bytes of open and sealed batches: append-only files of extents.
//!
//! Bytes are written once, at the end of the newest file, and never overwritten: a file is removed
//! whole when nothing durable names a byte of it any more (C3). An extent carries the
//! CRC-64/NVME of its bytes, checked at each reading, by which one flipped bit is put right; sums of extents
//! combine into the checksum of an object.

mod quarantine;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::buffer::Buffer;
use crate::disk::{Disk, DiskFile, OpenMode, is_lost, read_around};
use crate::extent::{self, Extent};
use quarantine::Quarantine;
pub use quarantine::UNFINISHED;

/// A new file is begun when the newest one has reached this size. Each is kept open.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;
/// The newest file is removed, too, when nothing in it is alive and it has reached this size.
const FILE_BYTES_MIN: u64 = 4 << 20;
/// At most so many extents with a flipped bit are remembered, so that each is told once.
const FLIPPED_MAX: usize = 1000;
/// Small pieces are gathered into writes of about this size.
const WRITE_BYTES: usize = 1 << 20;

/// The spool of one delivery stream. Appends come from several threads.
#[derive(Debug)]
pub struct Spool {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Where damaged bytes are set aside; `None`: they are a fault of the whole.
    quarantine: Option<Quarantine>,
    inner: Mutex<SpoolFiles>,
    flipped: Mutex<Flipped>,
}

/// A bit of the spool that was not what was written there. It is put right whenever it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip {
    /// Number of the spool file.
    pub file: u32,
    /// Offset of the byte in it.
    pub offset: u64,
    /// Which of its bits, the lowest being 0.
    pub bit: u8,
}

/// Extents with a flipped bit.
#[derive(Debug, Default)]
struct Flipped {
    /// Where the extents begin that were told of, or will be.
    known: BTreeSet<(u32, u64)>,
    untold: Vec<Flip>,
}

/// The files, and what a sync has to cover.
#[derive(Debug, Default)]
struct SpoolFiles {
    files: BTreeMap<u32, SpoolFile>,
    /// The file that is appended to; `None` until the first append.
    current: Option<u32>,
    next: u32,
    /// Files with bytes that were not synced yet.
    dirty: BTreeSet<u32>,
    /// Whether a file was created since the directory was last synced.
    created: bool,
}

#[derive(Debug)]
struct SpoolFile {
    file: Arc<dyn DiskFile>,
    /// Bytes handed out for writing.
    end: u64,
    /// Bytes not freed yet.
    live: u64,
}

/// The state names bytes that the spool does not have.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The operating system failed.
    #[error("open the spool")]
    Io(#[from] io::Error),
    /// A file that the checkpoint names is missing or too short.
    #[error("spool file {file} is {found} bytes long, but the checkpoint names {named}")]
    Missing {
        /// The file's path below the stream's state directory.
        file: String,
        /// Its length; 0 when it does not exist.
        found: u64,
        /// The end of the last extent named.
        named: u64,
    },
}

impl Spool {
    /// Opens the spool in `dir` of `disk` and cuts it back to the extents that the checkpoint
    /// names: everything else is removed.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        named: impl Iterator<Item = Extent>,
    ) -> Result<Self, SpoolError> {
        disk.create_dir_all(dir)?;
        let mut used: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for extent in named {
            let (end, live) = used.entry(extent.file).or_default();
            *end = (*end).max(extent.offset + u64::from(extent.len));
            *live += u64::from(extent.len);
        }
        let mut inner = SpoolFiles::default();
        for name in disk.list(dir)? {
            let number = name
                .strip_suffix(".spool")
                .and_then(|stem| stem.parse::<u32>().ok());
            let Some(number) = number else { continue };
            inner.next = inner.next.max(number + 1);
            let path = dir.join(&name);
            let Some((end, live)) = used.remove(&number) else {
                disk.remove(&path)?;
                continue;
            };
            let file = disk.open(&path, OpenMode::Existing)?;
            let found = file.len()?;
            if found < end {
                return Err(SpoolError::Missing {
                    file: name,
                    found,
                    named: end,
                });
            }
            file.set_len(end)?;
            inner.files.insert(number, SpoolFile { file, end, live });
        }
        if let Some((number, (named, _))) = used.pop_first() {
            return Err(SpoolError::Missing {
                file: file_name(number),
                found: 0,
                named,
            });
        }
        disk.sync_dir(dir)?;
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            quarantine: None,
            inner: Mutex::new(inner),
            flipped: Mutex::default(),
        })
    }

    /// Appends `pieces` in order and tells where they lie. They are durable after [`Spool::sync`]
    /// and live until [`Spool::free`]. After an error the pieces count as never written.
    pub fn append(&self, pieces: &[&[u8]]) -> io::Result<Vec<Extent>> {
        let mut extents = Vec::with_capacity(pieces.len());
        let mut rest = pieces;
        while !rest.is_empty() {
            let (file, number, start, count) = self.reserve(rest)?;
            let (now, later) = rest.split_at(count);
            write_run(&*file, number, start, now, &mut extents)?;
            // Not before: a sync that has come meanwhile may have missed it.
            self.lock().dirty.insert(number);
            rest = later;
        }
        Ok(extents)
    }

    /// Makes every append that has returned durable. After an error the outcome is unknown: the
    /// spool must be opened anew.
    pub fn sync(&self) -> io::Result<()> {
        let (files, created) = {
            let mut inner = self.lock();
            let dirty = std::mem::take(&mut inner.dirty);
            let files: Vec<_> = dirty
                .iter()
                .filter_map(|number| inner.files.get(number))
                .map(|spool_file| Arc::clone(&spool_file.file))
                .collect();
            (files, std::mem::take(&mut inner.created))
        };
        for file in files {
            file.sync_data()?;
        }
        if created {
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Reads one extent and verifies it.
    pub fn read(&self, extent: Extent) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; extent.len as usize];
        self.read_into(extent, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads extents one after the other into `bytes`, which must be as long as they are together,
    /// and verifies each. After an error `bytes` holds anything.
    pub fn read_all(&self, extents: &[Extent], mut bytes: &mut [u8]) -> io::Result<()> {
        for extent in extents {
            let (piece, rest) = bytes
                .split_at_mut_checked(extent.len as usize)
                .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
            self.read_into(*extent, piece)?;
            bytes = rest;
        }
        Ok(())
    }

    fn file_of(&self, extent: &Extent) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.lock();
        let spool_file = inner.files.get(&extent.file).ok_or_else(|| {
            let name = file_name(extent.file);
            let message = format!("{name} is not in the spool");
            io::Error::new(io::ErrorKind::NotFound, message)
        })?;
        Ok(Arc::clone(&spool_file.file))
    }

    fn read_into(&self, extent: Extent, bytes: &mut [u8]) -> io::Result<()> {
        // A sector that is lost for good is zeros, and damage as any other.
        read_around(&*self.file_of(&extent)?, bytes, extent.offset)?;
        if crc_fast::crc64_nvme(bytes) == extent.crc64 {
            return Ok(());
        }
        if let Some(bit) = extent::put_right(bytes, extent.crc64) {
            self.note_flip(extent, bit);
            return Ok(());
        }
        let name = file_name(extent.file);
        let message = format!("{name} is damaged at {}: checksum differs", extent.offset);
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    fn note_flip(&self, extent: Extent, bit: u64) {
        let mut flipped = self.flipped.lock().unwrap_or_else(PoisonError::into_inner);
        if flipped.known.len() >= FLIPPED_MAX {
            flipped.known.clear();
        }
        let is_new = flipped.known.insert((extent.file, extent.offset));
        if is_new && flipped.untold.len() < FLIPPED_MAX {
            flipped.untold.push(Flip {
                file: extent.file,
                offset: extent.offset + bit / 8,
                bit: (bit % 8).to_le_bytes()[0],
            });
        }
    }

    /// Bits that were put right, of each extent once.
    pub fn take_flips(&self) -> Vec<Flip> {
        let mut flipped = self.flipped.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut flipped.untold)
    }

    /// Gives back extents that nothing durable names and nobody reads any more.
    pub fn free(&self, extents: &[Extent]) -> io::Result<()> {
        let mut inner = self.lock();
        for extent in extents {
            if let Some(spool_file) = inner.files.get_mut(&extent.file) {
                spool_file.live = spool_file.live.saturating_sub(u64::from(extent.len));
            }
        }
        // Little is gained by beginning a new file after every few bytes.
        let current = inner.current.filter(|number| {
            let file = inner.files.get(number);
            file.is_none_or(|file| file.end < FILE_BYTES_MIN)
        });
        let empty: Vec<u32> = inner
            .files
            .iter()
            .filter(|(number, file)| file.live == 0 && Some(**number) != current)
            .map(|(number, _)| *number)
            .collect();
        for number in empty {
            inner.files.remove(&number);
            inner.dirty.remove(&number);
            self.disk.remove(&self.dir.join(file_name(number)))?;
        }
        Ok(())
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.lock().files.values().map(|file| file.end).sum()
    }

    /// Bytes that something names.
    pub fn live_bytes(&self) -> u64 {
        self.lock().files.values().map(|file| file.live).sum()
    }

    /// Files of which less than a quarter is alive, where more than `dead_max` bytes are dead beside those that are
    /// alive: what is left in them is worth being moved elsewhere. The one that is appended to is among them when it is
    /// worth it, and takes no more from then on.
    pub fn sparse_files(&self, dead_max: u64) -> BTreeSet<u32> {
        let mut inner = self.lock();
        let (end, live) = inner.files.values().fold((0, 0), |(end, live), file| {
            (end + file.end, live + file.live)
        });
        if end <= 2 * live + dead_max {
            return BTreeSet::new();
        }
        let current = inner.current;
        let sparse = |(number, file): (&u32, &SpoolFile)| {
            let is_worth_it = Some(*number) != current || file.end >= FILE_BYTES_MIN;
            (is_worth_it && file.live * 4 < file.end).then_some(*number)
        };
        let sparse: BTreeSet<u32> = inner.files.iter().filter_map(sparse).collect();
        if current.is_some_and(|current| sparse.contains(&current)) {
            inner.current = None;
        }
        sparse
    }

    /// Hands out room for as many of `pieces` as the newest file takes (one at least).
    fn reserve(&self, pieces: &[&[u8]]) -> io::Result<(Arc<dyn DiskFile>, u32, u64, usize)> {
        let mut inner = self.lock();
        let full = |file: &SpoolFile| file.end >= FILE_BYTES_MAX;
        let number = match inner.current {
            Some(number) if !inner.files.get(&number).is_none_or(full) => number,
            _ => self.begin_file(&mut inner)?,
        };
        let spool_file = inner
            .files
            .get_mut(&number)
            .ok_or_else(|| io::Error::other("spool file vanished"))?;
        let start = spool_file.end;
        let mut count = 0;
        for piece in pieces {
            if spool_file.end >= FILE_BYTES_MAX && count > 0 {
                break;
            }
            spool_file.end += piece.len() as u64;
            spool_file.live += piece.len() as u64;
            count += 1;
        }
        Ok((Arc::clone(&spool_file.file), number, start, count))
    }

    fn begin_file(&self, inner: &mut SpoolFiles) -> io::Result<u32> {
        let number = inner.next;
        let file = self
            .disk
            .open(&self.dir.join(file_name(number)), OpenMode::New)?;
        inner.next += 1;
        inner.files.insert(
            number,
            SpoolFile {
                file,
                end: 0,
                live: 0,
            },
        );
        inner.current = Some(number);
        inner.created = true;
        Ok(number)
    }

    fn lock(&self) -> MutexGuard<'_, SpoolFiles> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the spool in `dir` of `disk` has of an extent, whether it is open or not: zeros where the file is
/// gone or ends, or the disk does not give it, and a flipped bit put right. The second says what is wrong with it.
pub fn salvage(
    disk: &dyn Disk,
    dir: &Path,
    extent: Extent,
) -> io::Result<(Vec<u8>, Option<String>)> {
    let (name, mut bytes) = (file_name(extent.file), vec![0; extent.len as usize]);
    match read_there(disk, &dir.join(&name), &mut bytes, extent.offset) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((bytes, Some(format!("{name} is gone"))));
        }
        Err(error) if is_lost(&error) => {
            bytes.fill(0);
            let offset = extent.offset;
            let wrong = format!("{name} cannot be read at {offset}: {error}");
            return Ok((bytes, Some(wrong)));
        }
        read => read?,
    }
    let is_whole = crc_fast::crc64_nvme(&bytes) == extent.crc64
        || extent::put_right(&mut bytes, extent.crc64).is_some();
    let wrong = (!is_whole).then(|| format!("{name} is damaged at {}", extent.offset));
    Ok((bytes, wrong))
}

/// Reads what a file has from `offset` on.
fn read_there(disk: &dyn Disk, path: &Path, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    let file = disk.open(path, OpenMode::Existing)?;
    let there = file.len()?.saturating_sub(offset);
    let there = usize::try_from(there)
        .unwrap_or(bytes.len())
        .min(bytes.len());
    read_around(&*file, &mut bytes[..there], offset)?;
    Ok(())
}

fn file_name(number: u32) -> String {
    format!("{number:010}.spool")
}

/// Writes `pieces` one after the other from `offset` on, small ones gathered.
fn write_run(
    file: &dyn DiskFile,
    number: u32,
    mut offset: u64,
    pieces: &[&[u8]],
    extents: &mut Vec<Extent>,
) -> io::Result<()> {
    let mut gathered = Buffer::default();
    let mut written = offset;
    for piece in pieces {
        let len = u32::try_from(piece.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a piece of 4 GiB"))?;
        extents.push(Extent {
            file: number,
            offset,
            len,
            crc64: crc_fast::crc64_nvme(piece),
        });
        offset += u64::from(len);
        if gathered.len() + piece.len() > WRITE_BYTES && !gathered.is_empty() {
            file.write_all_at(&gathered, written)?;
            written += gathered.len() as u64;
            gathered.clear();
        }
        if piece.len() >= WRITE_BYTES / 4 && gathered.is_empty() {
            file.write_all_at(piece, written)?;
            written += piece.len() as u64;
        } else {
            if gathered.capacity() == 0 && pieces.len() > 1 {
                gathered = Buffer::with_room(WRITE_BYTES);
            }
            gathered.extend_from_slice(piece);
        }
    }
    if !gathered.is_empty() {
        file.write_all_at(&gathered, written)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
