//! Newline-delimited bodies: decompressed piece by piece, split into records, within bounds.

use std::io::{self, Write};

use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder};
use zstd::stream::zio;

use crate::buffer::Buffer;
use crate::record::RECORD_BYTES_MAX;
use crate::source::direct_put::PutBatch;

/// Largest body after decompression, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;
/// Largest batch handed to the intake, in bytes of records and of their offsets: Firehose's own
/// limit on a request.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Largest window of a zstd frame: no body needs one larger than itself.
const ZSTD_WINDOW_LOG_MAX: u32 = BODY_BYTES_MAX.ilog2();

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// A line is too long.
    #[error("line {line} is longer than {RECORD_BYTES_MAX} bytes")]
    LineTooLong {
        /// Its number, from 1.
        line: u64,
    },
    /// The body is too large.
    #[error("the body is larger than {BODY_BYTES_MAX} bytes after decompression")]
    TooLarge,
    /// The body does not decompress.
    #[error("the body does not decompress as {encoding}: {cause}")]
    Encoding {
        /// The content encoding.
        encoding: &'static str,
        /// What the decoder said.
        cause: String,
    },
}

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
    /// Bytes fed so far.
    fed: usize,
    fault: Option<LineError>,
}

impl Lines {
    /// Room for a body of about `bytes`.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let data = Buffer::with_room(bytes.min(BATCH_BYTES_MAX));
        Self {
            open: PutBatch {
                data,
                ends: Vec::new(),
            },
            ..Self::default()
        }
    }

    /// Takes the next piece of the decompressed body.
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> Result<(), LineError> {
        self.fed += piece.len();
        if self.fed > BODY_BYTES_MAX {
            return Err(LineError::TooLarge);
        }
        while let Some(end) = memchr::memchr(b'\n', piece) {
            self.extend_line(&piece[..end])?;
            self.end_line()?;
            piece = &piece[end + 1..];
        }
        self.extend_line(piece)
    }

    /// The batches, after the last piece. The last line needs no newline.
    pub(super) fn finish(mut self) -> Result<Vec<PutBatch>, LineError> {
        if self.open.data.len() > self.line_start {
            self.end_line()?;
        }
        if !self.open.is_empty() {
            self.full.push(self.open);
        }
        Ok(self.full)
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let of =
            |batch: &PutBatch| batch.data.capacity() + batch.ends.capacity() * size_of::<u32>();
        of(&self.open) + self.full.iter().map(of).sum::<usize>()
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        // One byte of grace: it may turn out to be the carriage return.
        if self.open.data.len() - self.line_start + bytes.len() > RECORD_BYTES_MAX + 1 {
            return Err(LineError::LineTooLong {
                line: self.lines + 1,
            });
        }
        self.open.data.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), LineError> {
        self.lines += 1;
        if self.open.data.len() > self.line_start && self.open.data.last() == Some(&b'\r') {
            self.open.data.pop();
        }
        let length = self.open.data.len() - self.line_start;
        if length > RECORD_BYTES_MAX {
            return Err(LineError::LineTooLong { line: self.lines });
        }
        if length > 0 {
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
        let mut data = Buffer::with_room(BATCH_BYTES_MAX / 4);
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

/// Decoders write here; a fault in the lines stops them.
impl Write for Lines {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self.feed(piece) {
            Ok(()) => Ok(piece.len()),
            Err(fault) => {
                self.fault = Some(fault);
                Err(io::Error::other("the lines are at fault"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body's content encoding, with the lines behind it.
pub(super) enum Decoding {
    /// As it came.
    Identity(Lines),
    /// gzip, one or more members.
    Gzip(Box<flate2::write::MultiGzDecoder<Lines>>),
    /// Zstandard, one or more frames.
    Zstd(Box<zio::Writer<Lines, ZstdDecoder<'static>>>),
}

impl Decoding {
    /// The names that `Accept-Encoding` lists in a 415.
    pub(super) const ACCEPTED: &str = "gzip, zstd, identity";

    /// The decoding for a `Content-Encoding` header's value; `None` if it is not one of ours.
    pub(super) fn new(encoding: &[u8], announced: usize) -> Option<Self> {
        let is = |names: &[&str]| {
            names
                .iter()
                .any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
        };
        if is(&["", "identity"]) {
            return Some(Self::Identity(Lines::with_capacity(announced)));
        }
        let lines = Lines::with_capacity(announced.saturating_mul(4));
        if is(&["gzip", "x-gzip"]) {
            return Some(Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(
                lines,
            ))));
        }
        if is(&["zstd"]) {
            let mut decoder = ZstdDecoder::new().ok()?;
            decoder
                .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                .ok()?;
            return Some(Self::Zstd(Box::new(zio::Writer::new(lines, decoder))));
        }
        None
    }

    /// Takes the next piece of the body as it came.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), LineError> {
        let written = match self {
            Self::Identity(lines) => return lines.feed(piece),
            Self::Gzip(decoder) => decoder.write_all(piece),
            Self::Zstd(decoder) => decoder.write_all(piece),
        };
        written.map_err(|error| self.fault(&error))
    }

    /// The batches, after the last piece; there was one.
    pub(super) fn finish(mut self) -> Result<Vec<PutBatch>, LineError> {
        let finished = match &mut self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zstd(decoder) => decoder.finish(),
        };
        finished.map_err(|error| self.fault(&error))?;
        std::mem::take(self.lines_mut()).finish()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.lines().memory()
    }

    fn lines(&self) -> &Lines {
        match self {
            Self::Identity(lines) => lines,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.writer(),
        }
    }

    fn lines_mut(&mut self) -> &mut Lines {
        match self {
            Self::Identity(lines) => lines,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.writer_mut(),
        }
    }

    /// The lines' own fault, or else the decoder's.
    fn fault(&mut self, error: &io::Error) -> LineError {
        let encoding = match self {
            Self::Identity(_) => "identity",
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
        };
        let decoder = || LineError::Encoding {
            encoding,
            cause: error.to_string(),
        };
        self.lines_mut().fault.take().unwrap_or_else(decoder)
    }
}

#[cfg(test)]
mod tests;
