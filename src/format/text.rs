//! Records one after the other, each followed by a delimiter: what `json` and `raw` have in common.

use std::io;

use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::codec::{BlockCodec, Compressor};
use super::durable::durable;
use super::lines::Layout;
use super::{Encode, Encoder, Format, Shape};
use crate::config::FormatTable;
use crate::raw_sum::RawSum;
use crate::record::Record;

/// The keys of a table of either.
pub(super) const KEYS: &[&str] = &["compression", "delimiter"];

/// Codec of an object of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    None,
    /// gzip, one member an object.
    Gzip,
    /// Zstandard, several frames an object.
    Zstd,
    /// Snappy in the xerial framing, as Firehose writes it.
    Snappy,
    /// Snappy in Hadoop's block framing.
    HadoopSnappy,
    /// A zip archive of one deflated entry.
    Zip,
}

/// Its durable form.
#[derive(Serialize, Deserialize)]
pub(super) enum CompressionRow {
    None,
    Gzip,
    Zstd,
    Snappy,
    HadoopSnappy,
    Zip,
}

durable!(CompressionRow of enum Compression { None, Gzip, Zstd, Snappy, HadoopSnappy, Zip });

impl Compression {
    const ALL: [Self; 6] = [
        Self::None,
        Self::Gzip,
        Self::Zstd,
        Self::Snappy,
        Self::HadoopSnappy,
        Self::Zip,
    ];

    /// Reads `compression`; without the key nothing is compressed.
    pub(super) fn read(table: &mut FormatTable<'_, '_>) -> Option<Self> {
        let words = Self::ALL.map(|compression| (compression.word(), compression));
        table.word_or("compression", &words, Self::None)
    }

    /// The codec that works block by block. `None`: an archive of all of them.
    pub(super) const fn codec(self) -> Option<BlockCodec> {
        match self {
            Self::None => Some(BlockCodec::None),
            Self::Gzip => Some(BlockCodec::Gzip),
            Self::Zstd => Some(BlockCodec::Zstd),
            Self::Snappy => Some(BlockCodec::Snappy),
            Self::HadoopSnappy => Some(BlockCodec::HadoopSnappy),
            Self::Zip => None,
        }
    }

    /// Value of `Content-Encoding`.
    pub(super) fn content_encoding(self) -> Option<&'static str> {
        self.codec()
            .map_or(Some("zip"), BlockCodec::content_encoding)
    }

    /// The word of it in the config.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::HadoopSnappy => "hadoop-snappy",
            Self::Zip => "zip",
        }
    }

    /// Whether Hadoop's readers of text, those of Hive and Athena too, have the codec. The error says what they have.
    pub(super) fn in_hadoop(self) -> Result<(), String> {
        match self {
            Self::None | Self::Gzip | Self::Zstd | Self::HadoopSnappy => Ok(()),
            Self::Snappy | Self::Zip => Err(format!(
                "Hive and Athena do not read compression = \"{}\": take none, gzip, zstd or hadoop-snappy",
                self.word()
            )),
        }
    }

    /// Firehose's word; it has none for zstd, which is named in the same style.
    pub(super) const fn compression_format(self) -> &'static str {
        match self {
            Self::None => "UNCOMPRESSED",
            Self::Gzip => "GZIP",
            Self::Zstd => "ZSTD",
            Self::Snappy => "Snappy",
            Self::HadoopSnappy => "HADOOP_SNAPPY",
            Self::Zip => "ZIP",
        }
    }
}

/// The format of records that are laid out so.
pub(super) fn format(layout: Layout, compression: Compression) -> Format {
    match compression.codec() {
        Some(codec) => Format::new(TextBlocks { layout, codec }),
        None => Format::new(Archive { layout }),
    }
}

/// Records in blocks, each of which is compressed by itself.
#[derive(Debug)]
struct TextBlocks {
    layout: Layout,
    codec: BlockCodec,
}

impl Encode for TextBlocks {
    fn shape(&self) -> Shape {
        Shape::Blocks
    }

    fn extension(&self) -> &'static str {
        self.codec.extension()
    }

    fn content_encoding(&self) -> Option<&'static str> {
        self.codec.content_encoding()
    }

    fn stage(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.layout.append(record, out);
    }

    fn encoder(&self) -> Encoder {
        Encoder::new(self.codec.compressor())
    }

    fn head(&self) -> &'static [u8] {
        self.codec.head()
    }

    fn encode_block(
        &self,
        encoder: &mut Encoder,
        first: bool,
        raw: &[u8],
        out: &mut Vec<u8>,
    ) -> io::Result<Option<RawSum>> {
        encoder.get::<Compressor>()?.append(first, raw, out)
    }

    fn block_sum(&self, first: bool, encoded: &[u8]) -> io::Result<Option<RawSum>> {
        self.codec.sum(first, encoded)
    }

    fn end(&self, sums: &[RawSum]) -> Vec<u8> {
        self.codec.end(sums)
    }
}
