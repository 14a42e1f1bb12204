//! What an object looks like inside: records in, object bytes out.
//!
//! Three shapes. In `Blocks` (`json` and `raw` with any streaming codec) a raw block of staged records
//! becomes final bytes on its own, and the object is the concatenation of its blocks and a short end. In the others
//! records are staged in frames that keep their position and arrival, and may still turn out not to
//! fit when they are encoded: in `Runs` (`parquet`) many blocks at a time, at the end with a footer
//! about them all, in `Whole` (`zip`) at the seal.

use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::config::{Compression, FormatSettings};
use crate::failure::Failure;
use crate::raw_sum::RawSum;
use crate::record::Record;

mod archive;
mod codec;
mod columns;
mod frame;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod gzip;
mod lines;
mod parquet;
mod snappy;

use codec::{BlockCodec, Compressor};
pub use columns::{Changed, Place, Row};
use lines::Layout;
pub use parquet::Footer;

/// Whether a raw block can become final bytes on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each raw block becomes final bytes at once.
    Blocks,
    /// A run of raw blocks becomes final bytes at once; what it leaves for the object's end is kept.
    Runs,
    /// The object is encoded when all of its raw blocks are known.
    Whole,
}

/// Bytes of memory to set aside for an encoder of `Shape::Runs` while it encodes a run. One of
/// `Shape::Blocks` needs about three raw blocks and less than a MiB more.
pub const ENCODER_MEMORY: usize = parquet::MEMORY;

/// So many raw bytes are worth a run of `Shape::Runs`.
pub const RUN_BYTES: u64 = parquet::RUN_BYTES;

/// What of an object is final already, in `Shape::Runs`.
#[derive(Debug, Default)]
pub struct Head {
    /// Its length in bytes.
    pub len: u64,
    /// The footers of its runs, in order.
    pub footers: Vec<Bytes>,
}

/// What is wrong with the settings of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FormatFault {
    /// Bytes of the schema text the fault is about.
    pub at: Option<Range<usize>>,
    /// What is wrong and what is allowed.
    pub message: String,
    /// A suggestion, such as the nearest right word.
    pub help: Option<String>,
}

/// A compiled format: immutable, shared by all workers of a stream.
#[derive(Clone, Debug)]
pub struct Format {
    inner: Arc<Inner>,
}

#[derive(Debug)]
enum Inner {
    /// Records laid one after the other.
    Text {
        layout: Layout,
        codec: BlockCodec,
    },
    /// The same, in a zip archive.
    Archive {
        layout: Layout,
    },
    Parquet(parquet::Table),
}

/// A worker's scratch: compressor and buffers, reused from block to block.
#[derive(Debug)]
pub struct Encoder {
    scratch: Scratch,
}

#[derive(Debug)]
enum Scratch {
    Text(Box<Compressor>),
    Archive,
    Parquet(Box<columns::Decoder>),
}

impl Format {
    /// Compiles settings. The fault says which bytes of the schema are wrong and why.
    pub fn compile(settings: &FormatSettings) -> Result<Self, FormatFault> {
        let (layout, compression) = match settings {
            FormatSettings::Json {
                compression,
                delimiter,
            } => (Layout::json(delimiter), *compression),
            FormatSettings::Raw {
                compression,
                delimiter,
            } => (Layout::raw(delimiter), *compression),
            FormatSettings::Parquet {
                compression,
                schema,
            } => {
                let table = parquet::Table::compile(schema, *compression)?;
                return Ok(Self {
                    inner: Arc::new(Inner::Parquet(table)),
                });
            }
        };
        let inner = match compression {
            Compression::None => Inner::Text {
                layout,
                codec: BlockCodec::None,
            },
            Compression::Gzip => Inner::Text {
                layout,
                codec: BlockCodec::Gzip,
            },
            Compression::Zstd => Inner::Text {
                layout,
                codec: BlockCodec::Zstd,
            },
            Compression::Snappy => Inner::Text {
                layout,
                codec: BlockCodec::Snappy,
            },
            Compression::HadoopSnappy => Inner::Text {
                layout,
                codec: BlockCodec::HadoopSnappy,
            },
            Compression::Zip => Inner::Archive { layout },
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Ending of the object's name, dot included; Firehose's own where Firehose has the format.
    pub fn extension(&self) -> &'static str {
        match &*self.inner {
            Inner::Text { codec, .. } => codec.extension(),
            Inner::Archive { .. } => ".zip",
            Inner::Parquet(_) => ".parquet",
        }
    }

    /// Value of the object's `Content-Encoding`, as Firehose sets it.
    pub fn content_encoding(&self) -> Option<&'static str> {
        match &*self.inner {
            Inner::Text { codec, .. } => codec.content_encoding(),
            Inner::Archive { .. } => Some("zip"),
            // Firehose was seen to send a codec's name; a Parquet file as such is not encoded.
            Inner::Parquet(_) => None,
        }
    }

    /// Value of the object's `Content-Type`: Firehose always sends this one.
    pub fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }

    /// Whether raw blocks become final bytes one by one.
    pub fn shape(&self) -> Shape {
        match &*self.inner {
            Inner::Text { .. } => Shape::Blocks,
            Inner::Parquet(_) => Shape::Runs,
            Inner::Archive { .. } => Shape::Whole,
        }
    }

    /// Appends a record to a raw block: final bytes for `Shape::Blocks`, a frame otherwise.
    pub fn stage(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        match &*self.inner {
            Inner::Text { layout, .. } => layout.append(record, out),
            Inner::Archive { .. } | Inner::Parquet(_) => frame::append(record, out),
        }
    }

    /// A worker's scratch for this format. It fits no other format.
    pub fn encoder(&self) -> Encoder {
        let scratch = match &*self.inner {
            Inner::Text { codec, .. } => Scratch::Text(Box::new(codec.compressor())),
            Inner::Archive { .. } => Scratch::Archive,
            Inner::Parquet(table) => Scratch::Parquet(Box::new(table.decoder())),
        };
        Encoder { scratch }
    }

    /// Appends the final bytes of one raw block; `first` tells that it opens the object. Returns what
    /// is to be known of it at the object's end, if anything.
    ///
    /// Fails with `InvalidInput` for another shape than `Shape::Blocks` or the encoder of another format.
    pub fn encode_block(
        &self,
        encoder: &mut Encoder,
        first: bool,
        raw: &[u8],
        out: &mut Vec<u8>,
    ) -> io::Result<Option<RawSum>> {
        match (&*self.inner, &mut encoder.scratch) {
            (Inner::Text { .. }, Scratch::Text(compressor)) => compressor.append(first, raw, out),
            _ => Err(mismatch()),
        }
    }

    /// The last bytes of an object of `Shape::Blocks` whose blocks have left `sums`, in order.
    pub fn end(&self, sums: &[RawSum]) -> Vec<u8> {
        match &*self.inner {
            Inner::Text { codec, .. } => codec.end(sums),
            Inner::Archive { .. } | Inner::Parquet(_) => Vec::new(),
        }
    }

    /// What opens an object of `Shape::Blocks`: it stands before its first block.
    pub fn head(&self) -> &'static [u8] {
        match &*self.inner {
            Inner::Text { codec, .. } => codec.head(),
            Inner::Archive { .. } | Inner::Parquet(_) => &[],
        }
    }

    /// What [`Format::encode_block`] has returned beside these bytes, the object's head before the first
    /// block included. Fails with `InvalidData` where they are none of its.
    pub fn block_sum(&self, first: bool, encoded: &[u8]) -> io::Result<Option<RawSum>> {
        match &*self.inner {
            Inner::Text { codec, .. } => codec.sum(first, encoded),
            Inner::Archive { .. } | Inner::Parquet(_) => Ok(None),
        }
    }

    /// Encodes a run of raw blocks, which `next` yields in order, for an object of which `start`
    /// bytes are final. Returns the number of records in it, and its footer, to be kept for the
    /// object's end; none when no record fitted, and nothing was written then.
    ///
    /// `out` and `failed` as for [`Format::encode_object`]. Fails with `InvalidData` for a damaged
    /// frame, with `InvalidInput` for another shape than `Shape::Runs` or the encoder of another
    /// format.
    pub fn encode_run(
        &self,
        encoder: &mut Encoder,
        start: u64,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn io::Write,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<(u64, Option<Bytes>)> {
        match (&*self.inner, &mut encoder.scratch) {
            (Inner::Parquet(table), Scratch::Parquet(decoder)) => {
                table.encode_run(decoder, start, next, out, failed)
            }
            _ => Err(mismatch()),
        }
    }

    /// Encodes the rest of an object, after `head`, from the raw blocks that `next` yields in order.
    ///
    /// `out` takes the object's bytes in pieces, and is flushed behind each row group; `failed` gets each record that does not fit, with
    /// its reason. Returns the number of records in the rest: with 0 and no head, nothing that was
    /// written to `out` is an object. Fails with `InvalidData` for a damaged frame, with `InvalidInput` for
    /// `Shape::Blocks` or the encoder of another format.
    pub fn encode_object(
        &self,
        encoder: &mut Encoder,
        head: &Head,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn io::Write,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<u64> {
        match (&*self.inner, &mut encoder.scratch) {
            (Inner::Archive { layout }, Scratch::Archive) => archive::encode(layout, next, out),
            (Inner::Parquet(table), Scratch::Parquet(decoder)) => {
                table.encode(decoder, head, next, out, failed)
            }
            _ => Err(mismatch()),
        }
    }

    /// The rows that the record becomes, as they will be read back, and what gets lost on the way; none
    /// for formats without columns. Fails as `encode_object` would fail the record.
    pub fn rows(&self, encoder: &mut Encoder, record: &Record<'_>) -> Result<Vec<Row>, Failure> {
        match (&*self.inner, &mut encoder.scratch) {
            (Inner::Parquet(table), Scratch::Parquet(decoder)) => table.rows(decoder, record.data),
            _ => Ok(Vec::new()),
        }
    }
}

fn mismatch() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the encoder or the call does not fit the format",
    )
}

#[cfg(test)]
mod tests;
