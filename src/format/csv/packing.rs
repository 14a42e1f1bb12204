//! Text on its way into an object: compressed piece by piece, or the one entry of an archive.

use std::io::{self, Write};

use crate::format::archive::ZipEntry;
use crate::format::codec::{BlockCodec, Compressor};
use crate::raw_sum::RawSum;

/// An object of text, as it is written.
pub(super) enum Packing<'a> {
    Pieces(Pieces<'a>),
    Archive(ZipEntry<'a>),
}

pub(super) struct Pieces<'a> {
    codec: BlockCodec,
    compressor: &'a mut Compressor,
    out: &'a mut dyn Write,
    /// What the pieces have left for the end.
    sums: Vec<RawSum>,
    is_first: bool,
    packed: Vec<u8>,
}

impl<'a> Packing<'a> {
    /// Begins an object. Without a codec it is an archive.
    pub(super) fn open(
        codec: Option<BlockCodec>,
        compressor: &'a mut Compressor,
        out: &'a mut dyn Write,
    ) -> io::Result<Self> {
        let Some(codec) = codec else {
            return ZipEntry::open(out).map(Self::Archive);
        };
        Ok(Self::Pieces(Pieces {
            codec,
            compressor,
            out,
            sums: Vec::new(),
            is_first: true,
            packed: Vec::new(),
        }))
    }

    /// Appends a piece of the text.
    pub(super) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let pieces = match self {
            Self::Pieces(pieces) => pieces,
            Self::Archive(entry) => return entry.write(text),
        };
        pieces.packed.clear();
        let (first, packed) = (pieces.is_first, &mut pieces.packed);
        let sum = pieces.compressor.append(first, text, packed)?;
        pieces.sums.extend(sum);
        pieces.is_first = false;
        pieces.out.write_all(packed)
    }

    /// Ends the object.
    pub(super) fn close(self) -> io::Result<()> {
        match self {
            Self::Pieces(Pieces {
                codec, out, sums, ..
            }) => {
                out.write_all(&codec.end(&sums))?;
                out.flush()
            }
            Self::Archive(entry) => entry.close(),
        }
    }
}
