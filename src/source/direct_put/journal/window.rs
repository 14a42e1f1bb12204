//! A moving window over one segment file: few large reads, bounded memory, frames verified.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;

use super::frame::{
    ALIGN, END_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, Frame, MAGIC_AT, Seed, end_at, payload_sum,
};
use super::fresh::FreshFrame;
use super::segment::u32_at;
use crate::buffer::Buffer;
use crate::disk::{DiskFile, read_around};

/// Bytes read at once, where there are as many. Large frames are read apart from the window.
const READ_BYTES: usize = 256 << 10;

/// Whether record ends rise to the end of the data, and all has the sum that the header tells.
fn is_whole(frame: &Frame, payload: &[u8]) -> bool {
    let (ends, data) = payload.split_at(frame.count as usize * 4);
    let mut previous = 0;
    let rising = (0..frame.count as usize).all(|index| {
        let end = u32_at(ends, index * 4);
        std::mem::replace(&mut previous, end) <= end
    });
    rising && previous as usize == data.len() && payload_sum(&[payload]) == frame.payload_sum
}

/// A moving window over one segment file.
pub(super) struct Window {
    file: Arc<dyn DiskFile>,
    seed: Seed,
    /// Offset in the file of the first byte held.
    start: u64,
    /// Bytes of `buffer` that hold the file's.
    held: usize,
    buffer: Vec<u8>,
    /// Reads that had to pass over blocks which the disk could not return.
    holes: u32,
}

impl Window {
    pub(super) fn new(file: Arc<dyn DiskFile>, seed: Seed) -> Self {
        Self {
            file,
            seed,
            start: 0,
            held: 0,
            buffer: Vec::new(),
            holes: 0,
        }
    }

    /// The frame that starts at `offset` and ends at or before `limit`, whole and verified.
    pub(super) fn frame(&mut self, offset: u64, limit: u64) -> io::Result<Option<Frame>> {
        let Some(frame) = self.header(offset, limit)? else {
            return Ok(None);
        };
        let start = offset + FRAME_HEADER_BYTES as u64;
        let payload = self.bytes(start, frame.payload_bytes(), limit)?;
        Ok(is_whole(&frame, payload).then_some(frame))
    }

    /// The payload of a frame of which [`Window::header`] has read the header, in memory of its
    /// own, verified; `None` where it is damaged.
    pub(super) fn load(&mut self, frame: &Frame) -> io::Result<Option<FreshFrame>> {
        let start = frame.offset + FRAME_HEADER_BYTES as u64;
        let mut payload = Buffer::of_len(frame.payload_bytes());
        let skip = start.checked_sub(self.start).map(usize::try_from);
        let mut held = 0;
        if let Some(Ok(skip)) = skip
            && let Some(bytes) = self.buffer[..self.held].get(skip..)
        {
            held = bytes.len().min(payload.len());
            payload[..held].copy_from_slice(&bytes[..held]);
        }
        let hole = read_around(&*self.file, &mut payload[held..], start + held as u64)?;
        self.holes += u32::from(hole);
        if !is_whole(frame, &payload) {
            return Ok(None);
        }
        let ends = (0..frame.count as usize).map(|index| u32_at(&payload, index * 4));
        Ok(Some(FreshFrame {
            number: self.seed.number,
            offset: frame.offset,
            end: frame.end(),
            first: frame.first,
            arrival_ms: frame.arrival_ms,
            ends: ends.collect(),
            data: Bytes::from_owner(payload).slice(frame.count as usize * 4..),
        }))
    }

    /// The header of the frame that starts at `offset` and ends at or before `limit`; its payload
    /// may be damaged.
    pub(super) fn header(&mut self, offset: u64, limit: u64) -> io::Result<Option<Frame>> {
        if limit.saturating_sub(offset) < FRAME_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let seed = self.seed;
        let bytes = self.bytes(offset, FRAME_HEADER_BYTES, limit)?;
        Ok(Frame::decode(seed, offset, bytes).filter(|frame| frame.end() <= limit))
    }

    /// Record ends and data of a frame that is whole.
    pub(super) fn payload(&mut self, frame: &Frame, limit: u64) -> io::Result<&[u8]> {
        let start = frame.offset + FRAME_HEADER_BYTES as u64;
        let holes = self.holes;
        self.bytes(start, frame.payload_bytes(), limit)?;
        if self.holes > holes {
            return Err(io::Error::other("a frame can be read no more"));
        }
        // Asked for again: the first borrow would forbid the look at `holes`.
        self.bytes(start, frame.payload_bytes(), limit)
    }

    /// Whether the end marker, which follows the last frame, is at `offset`.
    pub(super) fn ends_at(&mut self, offset: u64, limit: u64) -> io::Result<bool> {
        if limit.saturating_sub(offset) < END_BYTES as u64 {
            return Ok(false);
        }
        let end = end_at(self.seed, offset);
        Ok(self.bytes(offset, END_BYTES, limit)? == end)
    }

    /// Whether the disk could not give all that was read.
    pub(super) const fn has_holes(&self) -> bool {
        self.holes > 0
    }

    /// The first whole frame that starts at or after `from` and ends at or before `limit`.
    pub(super) fn find(&mut self, from: u64, limit: u64) -> io::Result<Option<Frame>> {
        let mut at = from.next_multiple_of(ALIGN);
        while at + (FRAME_HEADER_BYTES as u64) <= limit {
            // What is held comes first: to fill the window after each magic that begins no frame would move all of it
            // each time, and a segment that was another before is full of those.
            let ahead = match self.held_from(at).min(limit - at) / ALIGN * ALIGN {
                0 => limit - at,
                held => held,
            };
            let len = usize::try_from(ahead).unwrap_or(READ_BYTES).min(READ_BYTES);
            let found = memmem::find(self.bytes(at, len, limit)?, &FRAME_MAGIC);
            let Some(index) = found else {
                at += len as u64; // a multiple of ALIGN, so no magic straddles the edge
                continue;
            };
            let magic = at + index as u64;
            let candidate = magic.checked_sub(MAGIC_AT as u64);
            if let Some(offset) = candidate.filter(|at| *at >= from && at.is_multiple_of(ALIGN))
                && let Some(frame) = self.frame(offset, limit)?
            {
                return Ok(Some(frame));
            }
            at = (magic + 1).next_multiple_of(ALIGN);
        }
        Ok(None)
    }

    /// Bytes from `offset` on that are held.
    const fn held_from(&self, offset: u64) -> u64 {
        if offset < self.start {
            return 0;
        }
        (self.start + self.held as u64).saturating_sub(offset)
    }

    /// `len` bytes from `offset`; reads ahead, but never beyond `limit`.
    fn bytes(&mut self, offset: u64, len: usize, limit: u64) -> io::Result<&[u8]> {
        let inside = offset
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| *skip <= self.held);
        let mut skip = inside.unwrap_or(self.held);
        if inside.is_none() || skip + len > self.held {
            self.buffer.copy_within(skip..self.held, 0);
            self.held -= skip;
            self.start = offset;
            skip = 0;
            let ahead = usize::try_from(limit.saturating_sub(offset)).unwrap_or(READ_BYTES);
            let wanted = len.max(ahead.min(READ_BYTES));
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            let from = offset + self.held as u64;
            let hole = read_around(&*self.file, &mut self.buffer[self.held..wanted], from)?;
            self.holes += u32::from(hole);
            self.held = wanted;
        }
        Ok(&self.buffer[skip..skip + len])
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use uuid::Uuid;

    use super::*;
    use crate::position::Sequence;

    /// A file in memory that counts the calls which read it.
    #[derive(Debug)]
    struct Counted {
        bytes: Vec<u8>,
        reads: AtomicUsize,
    }

    impl DiskFile for Counted {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let start = usize::try_from(offset).unwrap();
            let bytes = self.bytes.get(start..start + buffer.len());
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }

        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!("it is only read")
        }

        fn sync_data(&self) -> io::Result<()> {
            unreachable!("it is only read")
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            unreachable!("it is only read")
        }

        fn allocate(&self, _: u64) -> io::Result<()> {
            unreachable!("it is only read")
        }

        fn forget(&self, _: &Range<u64>) {}

        fn neighbours(&self) -> io::Result<Vec<Arc<dyn DiskFile>>> {
            Ok(Vec::new())
        }
    }

    fn seed(number: u64) -> Seed {
        Seed {
            incarnation: Uuid::from_u128(7),
            number,
        }
    }

    /// Appends a frame of one record.
    fn append(out: &mut Vec<u8>, number: u64, record: &[u8]) -> u64 {
        let mut payload = u32::try_from(record.len()).unwrap().to_le_bytes().to_vec();
        payload.extend_from_slice(record);
        let frame = Frame {
            offset: out.len() as u64,
            first: Sequence(1),
            arrival_ms: 0,
            durable: 0,
            count: 1,
            data_bytes: u32::try_from(record.len()).unwrap(),
            payload_sum: payload_sum(&[&payload]),
        };
        frame.encode(seed(number), out);
        out.extend_from_slice(&payload);
        out.resize(out.len().next_multiple_of(8), 0);
        frame.offset
    }

    #[test]
    fn frames_of_another_segment_are_passed_over_in_few_reads() {
        let mut bytes = Vec::new();
        while bytes.len() < 8 * READ_BYTES {
            append(&mut bytes, 1, b"of the segment that this file was before");
        }
        let offset = append(&mut bytes, 2, b"of this one");
        let file = Arc::new(Counted {
            reads: AtomicUsize::new(0),
            bytes,
        });
        let limit = file.bytes.len() as u64;
        let mut window = Window::new(Arc::clone(&file) as Arc<dyn DiskFile>, seed(2));
        let found = window.find(0, limit).unwrap();
        assert_eq!(found.map(|frame| frame.offset), Some(offset));
        let reads = file.reads.load(Ordering::Relaxed);
        assert!(reads <= 20, "{reads} reads of {limit} bytes");
    }
}
