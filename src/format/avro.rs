//! `avro`: declared columns, JSON records in, an object container file out (Avro 1.11).
//!
//! | Arrow | Avro |
//! |---|---|
//! | Boolean, Float32, Float64 | boolean, float, double |
//! | Int8, Int16, Int32; Int64 | int; long |
//! | Decimal128(p,s) | bytes, `decimal` |
//! | Utf8, Binary | string, bytes |
//! | Date32, Timestamp(µs, UTC) | int, `date`; long, `timestamp-micros` |
//! | List, Struct | array, record |
//! | Map with text keys; other keys | map; array of records of `key` and `value` |
//!
//! The crate `arrow-avro` writes the values. What is around them is written here: its writer of files takes its own names
//! for what has a name it dislikes, and its own levels of compression.
//!
//! An object is encoded when its batch is sealed (`Shape::Whole`): a record that does not fit must be able to fail, the
//! head depends on the schema, and a file has no footer by which a reader could pass over a hole.

use std::io;

use arrow_avro::writer::format::AvroBinaryFormat;
use arrow_avro::writer::{Encoder as Values, WriterBuilder};
use arrow_schema::SchemaRef;
use bytes::Bytes;

use super::columns::{Decoder, Row, Schema};
use super::{Compiler, Encode, Encoder, Format, FormatFault, Head, Shape};
use crate::config::FormatSettings;
use crate::failure::Failure;
use crate::record::Record;
use crate::telemetry::FieldTally;

mod container;
mod entries;
mod schema;
mod settings;

use container::{BlockCompressor, Blocks};
pub use settings::{AvroCompression, AvroSettings};

/// `type = "avro"`.
#[derive(Debug)]
pub(super) struct AvroKind;

impl Compiler for AvroKind {
    fn compile(&self, settings: &FormatSettings) -> Option<Result<Format, FormatFault>> {
        let settings = settings.get::<AvroSettings>()?;
        Some(AvroTable::compile(settings).map(Format::new))
    }
}

/// Declared columns, and how their blocks are compressed.
#[derive(Debug)]
struct AvroTable {
    schema: Schema,
    /// The columns as Avro has them, with the schema in its words.
    arrow: SchemaRef,
    /// The schema in Avro's words.
    written: String,
    compression: AvroCompression,
}

/// A worker's buffers.
struct Bench {
    decoder: Decoder,
    /// Made at first use, because making it can fail.
    values: Option<Values>,
    compressor: BlockCompressor,
}

impl AvroTable {
    /// Reads the schema; the fault points into its text.
    fn compile(settings: &AvroSettings) -> Result<Self, FormatFault> {
        let schema = Schema::with_names(&settings.columns, schema::refused)?;
        let arrow = entries::of_maps(schema.arrow());
        let written = schema::written(arrow.fields());
        let table = Self {
            schema,
            arrow: schema::with_words(&arrow, &written),
            written,
            compression: settings.compression,
        };
        table.values().map_err(|error| FormatFault {
            at: None,
            message: format!("Avro does not take the schema: {error}"),
            help: None,
        })?;
        Ok(table)
    }

    /// A writer of rows.
    fn values(&self) -> io::Result<Values> {
        let writer = WriterBuilder::new((*self.arrow).clone());
        let built = writer.build_encoder::<AvroBinaryFormat>();
        built.map_err(io::Error::other)
    }
}

impl Encode for AvroTable {
    fn shape(&self) -> Shape {
        Shape::Whole
    }

    fn extension(&self) -> &'static str {
        ".avro"
    }

    fn encoder(&self) -> Encoder {
        Encoder::new(Bench {
            decoder: self.schema.decoder(),
            values: None,
            compressor: BlockCompressor::new(self.compression),
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
            values,
            compressor,
        } = encoder.get::<Bench>()?;
        let values = match values {
            Some(values) => values,
            empty => empty.insert(self.values()?),
        };
        values.flush(); // an object given up half-way may have left rows
        let mut blocks = Blocks::begin(&self.written, self.compression, compressor, out)?;
        let records = decoder.decode(next, failed, &mut |decoded| {
            let rows = entries::listed(&decoded.rows, &self.arrow)?;
            values.encode(&rows).map_err(io::Error::other)?;
            blocks.write(rows.num_rows(), values.flush().bytes())
        })?;
        blocks.end()?;
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
