//! `csv`: declared columns, JSON records in, lines of text out (RFC 4180, but lines end with a line feed).
//!
//! An object is encoded when its batch is sealed (`Shape::Whole`): a record that does not fit its columns must be able to
//! fail, which in `Shape::Blocks` none can, and a line has no footer that could pass over a hole, as those of `Shape::Runs`
//! do. The crate `csv` and those built on it write a null and an empty text alike; here the one has no quotes and
//! the other has.

use std::io;

use arrow_schema::{DataType, FieldRef, Fields};
use bytes::Bytes;

use super::codec::{BlockCodec, Compressor};
use super::columns::{Decoder, Row, Schema};
use super::{Compiler, Compression, Encode, Encoder, Format, FormatFault, Head, Shape};
use crate::config::FormatSettings;
use crate::failure::Failure;
use crate::record::Record;
use crate::telemetry::FieldTally;

mod cells;
mod lines;
mod packing;
mod settings;

use lines::CsvStyle;
use packing::Packing;
pub use settings::CsvSettings;

/// Text is compressed in pieces of about this size.
const PIECE: usize = 256 * 1024;
/// Bytes of a row's text that come of names alone: members that are null are written with theirs, and a record of
/// `[{},{},{},…]` has many.
const NAMES_MAX: usize = 64 << 20;

/// `type = "csv"`.
#[derive(Debug)]
pub(super) struct CsvFormatKind;

impl Compiler for CsvFormatKind {
    fn compile(&self, settings: &FormatSettings) -> Option<Result<Format, FormatFault>> {
        let settings = settings.get::<CsvSettings>()?;
        Some(CsvTable::compile(settings).map(Format::new))
    }
}

/// Declared columns, and how their lines are written.
#[derive(Debug)]
struct CsvTable {
    schema: Schema,
    style: CsvStyle,
    header: bool,
    compression: Compression,
    /// Cells that a record may leave empty.
    empty_max: usize,
}

/// Bytes that an empty cell takes at most: the name of a member with its quotes, which a field in quotes doubles, and
/// `null` behind it; or the text for a null.
fn empty_cell(schema: &Schema, null: &str) -> usize {
    let name = longest_name(schema.arrow().fields());
    (2 * name + r#"""name"":null,"#.len()).max(null.len() + 1)
}

fn longest_name(fields: &Fields) -> usize {
    let longest = |field: &FieldRef| {
        let below = match field.data_type() {
            DataType::Struct(fields) => longest_name(fields),
            DataType::List(item) | DataType::Map(item, _) => {
                longest_name(&Fields::from(vec![FieldRef::clone(item)]))
            }
            _ => 0,
        };
        below.max(field.name().len())
    };
    fields.iter().map(longest).max().unwrap_or_default()
}

/// A worker's buffers.
struct Bench {
    decoder: Decoder,
    compressor: Compressor,
    text: Vec<u8>,
}

impl CsvTable {
    /// Reads the schema; the fault points into its text, or is about all of it.
    fn compile(settings: &CsvSettings) -> Result<Self, FormatFault> {
        let schema = Schema::of(&settings.columns)?;
        if schema.arrow().fields().len() == 1 && settings.null.is_empty() {
            return Err(FormatFault {
                at: None,
                message:
                    "the only column of a CSV file would leave a blank line where it is null, \
                          which readers pass over"
                        .to_owned(),
                help: Some(r#"name a text for it, such as null = "NULL""#.to_owned()),
            });
        }
        Ok(Self {
            empty_max: NAMES_MAX / empty_cell(&schema, &settings.null),
            schema,
            style: CsvStyle::new(settings),
            header: settings.header,
            compression: settings.compression,
        })
    }
}

impl Encode for CsvTable {
    fn shape(&self) -> Shape {
        Shape::Whole
    }

    /// Readers tell by it that it is text between delimiters, and how that is compressed.
    fn extension(&self) -> &'static str {
        match self.compression {
            Compression::None => ".csv",
            Compression::Gzip => ".csv.gz",
            Compression::Zstd => ".csv.zst",
            Compression::Snappy | Compression::HadoopSnappy => ".csv.snappy",
            Compression::Zip => ".csv.zip",
        }
    }

    fn content_type(&self) -> &'static str {
        "text/csv"
    }

    fn content_encoding(&self) -> Option<&'static str> {
        self.compression.content_encoding()
    }

    fn encoder(&self) -> Encoder {
        let codec = self.compression.codec().unwrap_or(BlockCodec::None);
        Encoder::new(Bench {
            decoder: self.schema.decoder_of_few_empty(self.empty_max),
            compressor: codec.compressor(),
            text: Vec::new(),
        })
    }

    fn encode_object(
        &self,
        encoder: &mut Encoder,
        _head: &Head,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn io::Write,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<u64> {
        let Bench {
            decoder,
            compressor,
            text,
        } = encoder.get::<Bench>()?;
        let mut packing = Packing::open(self.compression.codec(), compressor, out)?;
        text.clear();
        if self.header {
            self.style.header(self.schema.arrow(), text);
        }
        let records = decoder.decode(next, failed, &mut |decoded| {
            self.style.lines(&decoded.rows, text, &mut |text| {
                if text.len() >= PIECE {
                    packing.write(text)?;
                    text.clear();
                    text.shrink_to(2 * PIECE);
                }
                Ok(())
            })
        })?;
        packing.write(text)?;
        packing.close()?;
        Ok(records)
    }

    fn take_fields(&self, encoder: &mut Encoder) -> FieldTally {
        let taken = encoder
            .get::<Bench>()
            .map(|bench| bench.decoder.take_fields());
        taken.unwrap_or_default()
    }

    fn rows(&self, encoder: &mut Encoder, record: &Record<'_>) -> Result<Vec<Row>, Failure> {
        match encoder.get::<Bench>() {
            Ok(bench) => self.schema.rows(&mut bench.decoder, record.data),
            Err(_) => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests;
