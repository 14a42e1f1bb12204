//! Frames of one group commit on their way into the file: few writes, large data from where it lies.

use std::io;

use super::frame::{Frame, Seed, end_at, payload_sum};
use super::writer::Active;
use crate::disk::DiskFile;
use crate::position::Sequence;

/// Data of this size is written from where it lies; smaller data is gathered into one write.
const GATHER_MAX: usize = 64 << 10;
/// Frames of one group commit on their way into the file.
pub(super) struct GroupFrames<'a> {
    file: &'a dyn DiskFile,
    seed: Seed,
    durable: u64,
    /// Where the next frame starts.
    pub(super) at: u64,
    /// The sequence number that the next record gets.
    pub(super) next: Sequence,
    scratch: &'a mut Vec<u8>,
    /// Where the bytes in `scratch` belong.
    scratch_at: u64,
}

impl<'a> GroupFrames<'a> {
    pub(super) fn new(
        active: &'a Active,
        seed: Seed,
        next: Sequence,
        scratch: &'a mut Vec<u8>,
    ) -> Self {
        scratch.clear();
        let (file, durable) = (active.file.as_ref(), active.end);
        Self {
            file,
            seed,
            durable,
            at: durable,
            next,
            scratch,
            scratch_at: durable,
        }
    }

    /// Writes a mark; `continued_in`: the segment that goes on behind this one, or 0.
    pub(super) fn mark(&mut self, continued_in: u64) -> io::Result<()> {
        self.write(&[], &[], continued_in.cast_signed())
    }

    pub(super) fn write(&mut self, ends: &[u32], data: &[u8], arrival_ms: i64) -> io::Result<()> {
        self.pad()?;
        let start = self.scratch.len();
        let ends: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let frame = Frame {
            offset: self.at,
            payload_sum: payload_sum(&[&ends, data]),
            first: self.next,
            arrival_ms,
            durable: self.durable,
            data_bytes: u32::try_from(data.len()).map_err(io::Error::other)?,
            count: u32::try_from(ends.len() / 4).map_err(io::Error::other)?,
        };
        frame.encode(self.seed, self.scratch);
        self.scratch.extend_from_slice(&ends);
        if data.len() <= GATHER_MAX {
            self.scratch.extend_from_slice(data);
        } else {
            let data_at = self.at + (self.scratch.len() - start) as u64;
            self.flush()?;
            self.file.write_all_at(data, data_at)?;
            self.scratch_at = frame.end();
        }
        self.at = frame.end();
        self.next = frame.next();
        Ok(())
    }

    /// Writes what is gathered, and the end behind the last frame.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.pad()?;
        let end = end_at(self.seed, self.at);
        self.scratch.extend_from_slice(&end);
        self.flush()
    }

    /// Zeros up to where the next frame starts.
    fn pad(&mut self) -> io::Result<()> {
        let gathered = usize::try_from(self.at - self.scratch_at).map_err(io::Error::other)?;
        self.scratch.resize(gathered, 0);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.scratch.is_empty() {
            self.file.write_all_at(self.scratch, self.scratch_at)?;
            self.scratch.clear();
        }
        self.scratch_at = self.at;
        Ok(())
    }
}
