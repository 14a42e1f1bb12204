//! `parquet`: declared columns, JSON records in, row groups out.
//!
//! | Arrow | Parquet |
//! |---|---|
//! | Boolean, Float32, Float64 | BOOLEAN, FLOAT, DOUBLE |
//! | Int8, Int16, Int32, Int64 | INT32 (INT 8, 16, 32), INT64 |
//! | Decimal128(p,s) | INT32 to 9 digits, INT64 to 18, above that fixed-length bytes; DECIMAL |
//! | Utf8, Binary | BYTE_ARRAY, for text STRING |
//! | Date32 | INT32, DATE |
//! | Timestamp(µs, UTC) | INT64, TIMESTAMP(MICROS, adjusted to UTC): an instant in Athena, Spark and DuckDB |
//! | List, Map, Struct | LIST (`list.element`), MAP (`key_value.key/value`), group |

use bytes::Bytes;
use std::io;

use crate::config::ParquetCompression;
use crate::failure::Failure;
use crate::record::Record;

use super::columns::{Decoder, Row, Schema};
use super::{FormatFault, Head, frame};

mod dictionary;
mod footer;
mod sink;
mod writer;

pub use footer::Footer;
use writer::Writer;

/// Memory that a worker holds while it encodes an object: a row group's pages, the largest column
/// of it once more, a batch of rows, and a raw block.
pub(super) const MEMORY: usize = writer::ROW_GROUP_MEMORY + (16 << 20);

/// Raw bytes that make a row group.
pub(super) const RUN_BYTES: u64 = writer::ROW_GROUP_BYTES as u64;

/// Declared columns and how their pages are compressed.
#[derive(Debug)]
pub(super) struct Table {
    schema: Schema,
    compression: ParquetCompression,
}

impl Table {
    /// Reads the schema; the fault points into its text.
    pub(super) fn compile(
        text: &str,
        compression: ParquetCompression,
    ) -> Result<Self, FormatFault> {
        Ok(Self {
            schema: Schema::parse(text)?,
            compression,
        })
    }

    /// A worker's column buffers.
    pub(super) fn decoder(&self) -> Decoder {
        self.schema.decoder()
    }

    /// The record as its rows will be read back.
    pub(super) fn rows(&self, decoder: &mut Decoder, data: &[u8]) -> Result<Vec<Row>, Failure> {
        self.schema.rows(decoder, data)
    }

    /// Encodes the rest of an object and its footer; see `Format::encode_object`.
    pub(super) fn encode(
        &self,
        decoder: &mut Decoder,
        head: &Head,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn io::Write,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<u64> {
        let (records, last) = self.encode_run(decoder, head.len, next, out, failed)?;
        let mut footers = head.footers.clone();
        // What is before it may end with bytes of a run that has none any more.
        let offset = last.as_ref().map_or(Ok(head.len), footer::offset)?;
        footers.extend(last);
        footer::write(&footers, offset, out)?;
        Ok(records)
    }

    /// Encodes a run of row groups; see `Format::encode_run`.
    pub(super) fn encode_run(
        &self,
        decoder: &mut Decoder,
        start: u64,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn io::Write,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<(u64, Option<Bytes>)> {
        decoder.reset(); // a run given up half-way may have left rows
        let mut writer = Writer::new(self, start, out);
        let mut records = 0;
        while let Some(block) = next()? {
            for record in frame::records(&block) {
                let record = record?;
                if let Err(failure) = decoder.push(record.data) {
                    failed(&record, failure);
                    continue;
                }
                records += 1;
                if decoder.is_full() {
                    writer.write(&decoder.finish()?)?;
                }
            }
        }
        if !decoder.is_empty() {
            writer.write(&decoder.finish()?)?;
        }
        Ok((records, writer.finish()?))
    }
}

#[cfg(test)]
mod tests;
