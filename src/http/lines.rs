//! Newline-delimited bodies: split into records, within bounds.

use super::content::{BATCH_BYTES_MAX, BODY_BYTES_MAX, ContentError};
use crate::buffer::Buffer;
use crate::record::{RECORD_BYTES_MAX, REQUEST_RECORDS_MAX};
use crate::source::PutBatch;

/// The lines of a body as batches of at most 4 MiB. Empty lines are skipped, and so is one
/// carriage return at the end of a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    full: Vec<PutBatch>,
    /// The batch being filled; its last bytes may be the beginning of a line.
    open: PutBatch,
    /// Where the current line begins in `open.data`.
    line_start: usize,
    /// Lines ended so far.
    lines: u64,
    /// Records of `full` and `open`.
    records: usize,
    /// Bytes fed so far.
    fed: usize,
    /// What it can come to.
    at_most: usize,
}

impl Lines {
    /// For a body of at most `bytes`; room is made as it arrives.
    pub(super) fn of_at_most(bytes: usize) -> Self {
        Self {
            at_most: bytes,
            ..Self::default()
        }
    }

    /// Takes the next piece of the decompressed body.
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> Result<(), ContentError> {
        self.fed += piece.len();
        if self.fed > BODY_BYTES_MAX {
            return Err(ContentError::TooLarge);
        }
        let left = BATCH_BYTES_MAX.saturating_sub(self.open.data.len());
        self.make_room(piece.len().min(left));
        while let Some(end) = memchr::memchr(b'\n', piece) {
            self.extend_line(&piece[..end])?;
            self.end_line()?;
            piece = &piece[end + 1..];
        }
        self.extend_line(piece)
    }

    /// The batches, after the last piece. The last line needs no newline.
    pub(super) fn finish(mut self) -> Result<Vec<PutBatch>, ContentError> {
        if self.open.data.len() > self.line_start {
            self.end_line()?;
        }
        if !self.open.is_empty() {
            self.full.push(self.open);
        }
        Ok(self.full)
    }

    /// Bytes fed so far.
    pub(super) const fn fed(&self) -> usize {
        self.fed
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let of =
            |batch: &PutBatch| batch.data.capacity() + batch.ends.capacity() * size_of::<u32>();
        of(&self.open) + self.full.iter().map(of).sum::<usize>()
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        // One byte of grace: it may turn out to be the carriage return.
        if self.open.data.len() - self.line_start + bytes.len() > RECORD_BYTES_MAX + 1 {
            return Err(ContentError::LineTooLong {
                line: self.lines + 1,
            });
        }
        self.make_room(bytes.len());
        self.open.data.extend_from_slice(bytes);
        Ok(())
    }

    /// For a whole piece at once, since its lines are here already; what does not fit goes into the next batch.
    fn make_room(&mut self, more: usize) {
        let at_most = self.at_most.min(BATCH_BYTES_MAX);
        self.open.data.make_room(more, at_most);
    }

    fn end_line(&mut self) -> Result<(), ContentError> {
        self.lines += 1;
        if self.open.data.len() > self.line_start && self.open.data.last() == Some(&b'\r') {
            self.open.data.pop();
        }
        let length = self.open.data.len() - self.line_start;
        if length > RECORD_BYTES_MAX {
            return Err(ContentError::LineTooLong { line: self.lines });
        }
        if length > 0 {
            self.records += 1;
            if self.records > REQUEST_RECORDS_MAX {
                return Err(ContentError::TooManyRecords);
            }
            if self.open.data.len() + (self.open.len() + 1) * size_of::<u32>() > BATCH_BYTES_MAX {
                self.begin_batch();
            }
            let end = u32::try_from(self.open.data.len()).expect("a batch is at most 4 MiB");
            self.open.ends.push(end);
        }
        self.line_start = self.open.data.len();
        Ok(())
    }

    /// Moves the current line into a batch of its own.
    fn begin_batch(&mut self) {
        let mut data = Buffer::default();
        data.make_room(self.open.data.len() - self.line_start, self.at_most);
        data.extend_from_slice(&self.open.data[self.line_start..]);
        self.open.data.truncate(self.line_start);
        let open = PutBatch {
            data,
            ends: Vec::new(),
        };
        self.full.push(std::mem::replace(&mut self.open, open));
        self.line_start = 0;
    }
}

#[cfg(test)]
mod tests;
