//! Bodies of records as they arrive: decompressed piece by piece, within bounds, without the byte
//! order mark that a file may begin with.

use std::io::{self, Write};

use firehose_json::BOM;
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder};
use zstd::stream::zio;

use super::content::{BODY_BYTES_MAX, ContentError};
use super::lines::Lines;
use super::values::Values;

/// Largest window of a zstd frame: no body needs one larger than itself.
const ZSTD_WINDOW_LOG_MAX: u32 = BODY_BYTES_MAX.ilog2();

/// What a body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentKind {
    /// Lines, each a record.
    Lines,
    /// JSON.
    Json,
}

impl ContentKind {
    /// What a `Content-Type` header's value announces. Many clients send lines under any type or
    /// none, so only those that name JSON itself count.
    pub(super) fn of(content_type: &[u8]) -> Self {
        let essence = content_type.split(|&byte| byte == b';').next();
        let essence = essence.unwrap_or_default().trim_ascii();
        let essence = essence.to_ascii_lowercase();
        if essence == b"application/json" || essence.ends_with(b"+json") {
            Self::Json
        } else {
            Self::Lines
        }
    }
}

/// A decompressed body.
#[derive(Debug)]
pub(super) struct DecodedBody {
    /// So many bytes of a byte order mark have come, and nothing else; none: the head is past.
    mark: Option<usize>,
    records: BodyRecords,
    fault: Option<ContentError>,
}

/// What was read of it.
#[derive(Debug)]
pub(super) enum BodyRecords {
    Lines(Lines),
    Values(Values),
}

impl Default for DecodedBody {
    fn default() -> Self {
        Self::new(ContentKind::Lines, BODY_BYTES_MAX)
    }
}

impl DecodedBody {
    /// For a body of at most `bytes`; room is made as it arrives.
    fn new(kind: ContentKind, bytes: usize) -> Self {
        Self {
            mark: Some(0),
            records: match kind {
                ContentKind::Lines => BodyRecords::Lines(Lines::of_at_most(bytes)),
                ContentKind::Json => BodyRecords::Values(Values::of_at_most(bytes)),
            },
            fault: None,
        }
    }

    /// What was read.
    pub(super) fn into_records(self) -> BodyRecords {
        self.records
    }

    fn feed(&mut self, mut piece: &[u8]) -> Result<(), ContentError> {
        while let (Some(mark), Some((byte, rest))) = (self.mark, piece.split_first()) {
            if *byte == BOM[mark] {
                piece = rest;
                self.mark = Some(mark + 1).filter(|mark| *mark < BOM.len());
            } else {
                self.end()?;
            }
        }
        self.take(piece)
    }

    /// Nothing more comes, or nothing more of a byte order mark.
    fn end(&mut self) -> Result<(), ContentError> {
        let mark = self.mark.take().unwrap_or(0);
        self.take(&BOM[..mark])
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), ContentError> {
        match &mut self.records {
            BodyRecords::Lines(lines) => lines.feed(piece),
            BodyRecords::Values(values) => values.feed(piece),
        }
    }

    fn memory(&self) -> usize {
        match &self.records {
            BodyRecords::Lines(lines) => lines.memory(),
            BodyRecords::Values(values) => values.memory(),
        }
    }

    /// Bytes read so far.
    fn fed(&self) -> usize {
        match &self.records {
            BodyRecords::Lines(lines) => lines.fed(),
            BodyRecords::Values(values) => values.fed(),
        }
    }
}

/// Decoders write here; a fault in the content stops them.
impl Write for DecodedBody {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self.feed(piece) {
            Ok(()) => Ok(piece.len()),
            Err(fault) => {
                self.fault = Some(fault);
                Err(io::Error::other("the content is at fault"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body's content encoding, with its content behind it.
pub(super) enum Decoding {
    /// As it came.
    Identity(DecodedBody),
    /// gzip, one or more members.
    Gzip(Box<flate2::write::MultiGzDecoder<DecodedBody>>),
    /// Zstandard, one or more frames.
    Zstd(Box<zio::Writer<DecodedBody, ZstdDecoder<'static>>>),
}

impl Decoding {
    /// The names that `Accept-Encoding` lists in a 415.
    pub(super) const ACCEPTED: &str = "gzip, zstd, identity";

    /// The decoding for a `Content-Encoding` header's value, of a body of at most so many bytes as they come;
    /// `None` if it is not one of ours.
    pub(super) fn new(encoding: &[u8], kind: ContentKind, at_most: usize) -> Option<Self> {
        let is = |names: &[&str]| {
            names
                .iter()
                .any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
        };
        if is(&["", "identity"]) {
            return Some(Self::Identity(DecodedBody::new(kind, at_most)));
        }
        let content = DecodedBody::new(kind, BODY_BYTES_MAX);
        if is(&["gzip", "x-gzip"]) {
            return Some(Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(
                content,
            ))));
        }
        if is(&["zstd"]) {
            let mut decoder = ZstdDecoder::new().ok()?;
            decoder
                .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                .ok()?;
            return Some(Self::Zstd(Box::new(zio::Writer::new(content, decoder))));
        }
        None
    }

    /// Takes the next piece of the body as it came, or the beginning of it: what comes of that is little. How
    /// much was taken.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<usize, ContentError> {
        let taken = match self {
            Self::Identity(content) => return content.feed(piece).map(|()| piece.len()),
            Self::Gzip(decoder) => decoder.write(piece),
            Self::Zstd(decoder) => decoder.write(piece),
        };
        match taken {
            Ok(0) if !piece.is_empty() => Err(self.fault(&io::ErrorKind::WriteZero.into())),
            Ok(taken) => Ok(taken),
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// The content, after the last piece; there was one.
    pub(super) fn finish(mut self) -> Result<DecodedBody, ContentError> {
        let finished = match &mut self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zstd(decoder) => decoder.finish(),
        };
        finished.map_err(|error| self.fault(&error))?;
        let mut content = std::mem::take(self.content_mut());
        content.end()?;
        Ok(content)
    }

    /// Bytes of memory held, but for some that every request takes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Identity(content) => content.memory(),
            Self::Gzip(decoder) => decoder.get_ref().memory(),
            // Its window has what was read, too.
            Self::Zstd(decoder) => decoder.writer().memory() + decoder.writer().fed(),
        }
    }

    fn content_mut(&mut self) -> &mut DecodedBody {
        match self {
            Self::Identity(content) => content,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.writer_mut(),
        }
    }

    /// The content's own fault, or else the decoder's.
    fn fault(&mut self, error: &io::Error) -> ContentError {
        let encoding = match self {
            Self::Identity(_) => "identity",
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
        };
        let decoder = || ContentError::Encoding {
            encoding,
            cause: error.to_string(),
        };
        self.content_mut().fault.take().unwrap_or_else(decoder)
    }
}
