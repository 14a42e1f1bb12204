//! `parquet`: declared columns, JSON records in, row groups out.
//!
//! | Arrow | Parquet |
//! |---|---|
//! | Boolean, Float32, Float64 | BOOLEAN, FLOAT, DOUBLE |
//! | Int8, Int16, Int32, Int64 | INT32 (INT 8, 16, 32), INT64 |
//! | Decimal128(p,s) | INT32 to 9 digits, INT64 to 18, above that fixed-length bytes; DECIMAL |
//! | Utf8, Binary | BYTE_ARRAY, for text STRING |
//! | Date32 | INT32, DATE |
//! | Timestamp(µs, UTC) | INT64, TIMESTAMP(MICROS, adjusted to UTC): an instant in Athena, Spark and DuckDB; or, by a setting, of milliseconds, or INT96 |
//! | List, Map, Struct | LIST (`list.element`), MAP (`key_value.key/value`), group |

use std::io;

use arrow_schema::DataType;
use bytes::Bytes;

use super::columns::{Decoder, Row, Schema};
use super::{Compiler, Encode, Encoder, Footer, Format, FormatFault, Head, RUN_BYTES, Shape};
use crate::config::FormatSettings;
use crate::failure::Failure;
use crate::record::Record;
use crate::telemetry::FieldTally;

mod dictionary;
mod durable;
mod footer;
mod options;
mod properties;
mod settings;
mod sink;
mod sorted;
mod times;
mod writer;

pub use options::{BloomFilters, ParquetOptions, SortedBy, TimestampType, WriterVersion};
pub use settings::{ParquetCompression, ParquetSettings};
use writer::RunWriter;

/// `type = "parquet"`.
#[derive(Debug)]
pub(super) struct ParquetKind;

impl Compiler for ParquetKind {
    fn compile(&self, settings: &FormatSettings) -> Option<Result<Format, FormatFault>> {
        let settings = settings.get::<ParquetSettings>()?;
        Some(ParquetFormat::compile(settings).map(Format::new))
    }
}

/// Declared columns and how their pages are written.
#[derive(Debug)]
struct ParquetFormat {
    schema: Schema,
    compression: ParquetCompression,
    options: ParquetOptions,
    /// Bytes of records at which a row group is closed.
    block_bytes: usize,
    /// The paths of the columns with a Bloom filter.
    filtered: Vec<Vec<String>>,
    /// By what rows are sorted.
    order: Vec<SortedBy>,
}

impl ParquetFormat {
    /// Reads the schema; the fault points into its text.
    fn compile(settings: &ParquetSettings) -> Result<Self, FormatFault> {
        let options = settings.options.clone();
        let mut columns = settings.columns.clone();
        columns.rules.times.whole_millis = options.timestamps == TimestampType::Millis;
        let schema = Schema::of(&columns)?;
        // The config has held them against the schema; one that came later may lack them, or have other types there.
        let fields = schema.arrow().fields();
        let is_int96 = options.timestamps == TimestampType::Int96;
        let single = |name: &String| {
            let (path, kind) = options::find(fields, name)?;
            let is_odd = is_int96 && matches!(kind, DataType::Timestamp(..));
            (!kind.is_nested() && !is_odd).then_some((path, kind))
        };
        let filtered = options.bloom_filters.columns.iter().filter_map(|name| {
            let (path, kind) = single(name)?;
            (*kind != DataType::Boolean).then_some(path)
        });
        let order = options.sorted_by.iter().filter_map(|key| {
            let [column] = <[String; 1]>::try_from(single(&key.column)?.0).ok()?;
            Some(SortedBy {
                column,
                ..key.clone()
            })
        });
        let block_bytes = options.block_size.unwrap_or(RUN_BYTES).min(RUN_BYTES);
        Ok(Self {
            filtered: filtered.collect(),
            order: order.collect(),
            schema,
            compression: settings.compression,
            block_bytes: usize::try_from(block_bytes).unwrap_or(usize::MAX),
            options,
        })
    }

    fn encode(
        &self,
        decoder: &mut Decoder,
        start: u64,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn io::Write,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<(u64, Option<Bytes>)> {
        let mut writer = RunWriter::new(self, start, out);
        let records = decoder.decode(next, failed, &mut |rows| writer.write(rows))?;
        Ok((records, writer.finish()?))
    }
}

impl Encode for ParquetFormat {
    fn shape(&self) -> Shape {
        Shape::Runs
    }

    fn extension(&self) -> &'static str {
        ".parquet"
    }

    fn encoder(&self) -> Encoder {
        Encoder::new(self.schema.decoder())
    }

    fn head(&self) -> &'static [u8] {
        footer::MAGIC
    }

    fn encode_run(
        &self,
        encoder: &mut Encoder,
        start: u64,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn io::Write,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<(u64, Option<Bytes>)> {
        self.encode(encoder.get()?, start, next, out, failed)
    }

    fn encode_object(
        &self,
        encoder: &mut Encoder,
        head: &Head,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn io::Write,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<u64> {
        let (records, last) = self.encode(encoder.get()?, head.len, next, out, failed)?;
        let mut footers = head.footers.clone();
        // The bytes before it may end with those of a run whose footer is gone.
        let offset = last.as_ref().map_or(Ok(head.len), footer::offset)?;
        footers.extend(last);
        footer::write(&footers, offset, out)?;
        Ok(records)
    }

    fn footer(&self, tail: &Bytes, size: u64, whole: bool) -> io::Result<Option<Box<dyn Footer>>> {
        let read = footer::FileFooter::read(tail, size, whole)?;
        Ok(read.map(|footer| Box::new(footer) as Box<dyn Footer>))
    }

    fn take_fields(&self, encoder: &mut Encoder) -> FieldTally {
        let taken = encoder.get::<Decoder>().map(Decoder::take_fields);
        taken.unwrap_or_default()
    }

    fn rows(&self, encoder: &mut Encoder, record: &Record<'_>) -> Result<Vec<Row>, Failure> {
        match encoder.get() {
            Ok(decoder) => self.schema.rows(decoder, record.data),
            Err(_) => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests;
