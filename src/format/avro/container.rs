//! Object container files (Avro specification): a head with the schema, and blocks of rows, each with a marker of the file
//! behind it, by which readers find where a block begins.

use std::io::{self, Write};

use firehose_deflate::{Deflater, LAST_BLOCK};
use uuid::Uuid;

use super::AvroCompression;
use crate::format::codec;
use crate::raw_sum::RawSum;

/// A file, as it is written.
pub(super) struct Blocks<'a> {
    compressor: &'a mut BlockCompressor,
    out: &'a mut dyn Write,
    /// Drawn for each file, so that no record can have it in it. A file that is encoded again, after a death or by another
    /// machine, has another: only final bytes are ever named by a checkpoint.
    marker: [u8; 16],
    block: Vec<u8>,
    packed: Vec<u8>,
}

impl<'a> Blocks<'a> {
    /// Writes the head.
    pub(super) fn begin(
        schema: &str,
        compression: AvroCompression,
        compressor: &'a mut BlockCompressor,
        out: &'a mut dyn Write,
    ) -> io::Result<Self> {
        let marker = Uuid::new_v4().into_bytes();
        let mut head = b"Obj\x01".to_vec();
        let facts = [
            ("avro.schema", schema),
            ("avro.codec", compression.in_file()),
        ];
        long(facts.len(), &mut head);
        for text in facts.into_iter().flat_map(|(name, value)| [name, value]) {
            long(text.len(), &mut head);
            head.extend_from_slice(text.as_bytes());
        }
        long(0, &mut head);
        head.extend_from_slice(&marker);
        out.write_all(&head)?;
        Ok(Self {
            compressor,
            out,
            marker,
            block: Vec::new(),
            packed: Vec::new(),
        })
    }

    /// Writes a block of so many rows, which these bytes are.
    pub(super) fn write(&mut self, rows: usize, bytes: &[u8]) -> io::Result<()> {
        self.packed.clear();
        self.compressor.append(bytes, &mut self.packed)?;
        self.block.clear();
        long(rows, &mut self.block);
        long(self.packed.len(), &mut self.block);
        self.out.write_all(&self.block)?;
        self.out.write_all(&self.packed)?;
        self.out.write_all(&self.marker)
    }

    /// Nothing stands behind the last block.
    pub(super) fn end(self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A worker's compressor, reused from block to block.
pub(super) enum BlockCompressor {
    None,
    Deflate(Box<Deflater>),
    Snappy(Box<snap::raw::Encoder>),
    /// Built at first use, because building it can fail.
    Zstandard(Option<zstd::bulk::Compressor<'static>>),
}

impl BlockCompressor {
    pub(super) fn new(compression: AvroCompression) -> Self {
        match compression {
            AvroCompression::None => Self::None,
            AvroCompression::Deflate => Self::Deflate(Box::new(Deflater::new())),
            AvroCompression::Snappy => Self::Snappy(Box::new(snap::raw::Encoder::new())),
            AvroCompression::Zstandard => Self::Zstandard(None),
        }
    }

    /// Appends a compressed block.
    fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => out.extend_from_slice(raw),
            Self::Deflate(deflater) => {
                deflater.run(raw, out);
                out.extend_from_slice(&LAST_BLOCK);
            }
            Self::Snappy(encoder) => {
                let start = out.len();
                out.resize(start + snap::raw::max_compress_len(raw.len()), 0);
                let written = encoder.compress(raw, &mut out[start..]);
                out.truncate(start + written.map_err(io::Error::other)?);
                out.extend_from_slice(&RawSum::of(raw).crc32.to_be_bytes());
            }
            Self::Zstandard(compressor) => codec::zstd(compressor, raw, out)?,
        }
        Ok(())
    }
}

/// Appends a length or a count as Avro's `long`: zigzag, seven bits a byte.
fn long(number: usize, out: &mut Vec<u8>) {
    let mut rest = (number as u64) << 1;
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}
