//! `parquet`: declared columns, JSON records in, row groups out.

use bytes::Bytes;
use std::io;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};

use crate::config::ParquetCompression;
use crate::failure::Failure;
use crate::record::Record;

use super::{FormatFault, Head, frame};

mod accept;
mod column;
mod cursor;
mod decode;
mod dictionary;
mod fault;
mod footer;
mod names;
mod rows;
mod schema;
mod shown;
mod sink;
mod writer;

use column::Group;
use cursor::Cursor;
use fault::{Fault, Fit};
pub use footer::Footer;
pub use rows::{Changed, Place, Row};
use writer::Writer;

/// Rows that are decoded before they are written: more fall out of the cache (measured: 8192 cost
/// half as much again as 1024).
const BATCH_ROWS: usize = 1024;

/// Bytes of records that are decoded before they are written, where records are large.
const BATCH_BYTES: usize = 1 << 20;

/// Memory that a worker holds while it encodes an object: a row group's pages, the largest column
/// of it once more, a batch of rows, and a raw block.
pub(super) const MEMORY: usize = writer::ROW_GROUP_MEMORY + (16 << 20);

/// Raw bytes that make a row group.
pub(super) const RUN_BYTES: u64 = writer::ROW_GROUP_BYTES as u64;

/// Cells that a batch may leave empty before it is written.
const BATCH_EMPTY: usize = 1 << 20;

/// Declared columns and how their pages are compressed.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<schema::Field>,
    arrow: SchemaRef,
    compression: ParquetCompression,
}

impl Table {
    /// Reads the schema; the fault points into its text.
    pub(super) fn compile(
        text: &str,
        compression: ParquetCompression,
    ) -> Result<Self, FormatFault> {
        let columns = schema::parse(text)?;
        let arrow = Arc::new(Schema::new(schema::arrow_fields(&columns)));
        Ok(Self {
            columns,
            arrow,
            compression,
        })
    }

    /// A worker's column buffers.
    pub(super) fn decoder(&self) -> Decoder {
        Decoder {
            root: Group::new(&self.columns),
            rows: 0,
            scratch: decode::Scratch::default(),
        }
    }

    /// The record as its rows will be read back.
    pub(super) fn rows(&self, decoder: &mut Decoder, data: &[u8]) -> Result<Vec<Row>, Failure> {
        decoder.reset();
        decoder.push(data)?;
        let batch = decoder.finish(&self.arrow);
        let batch =
            batch.map_err(|_| Fault::other("No columns can be made of it.").failure(data))?;
        Ok(rows::rows(&self.columns, &batch, data))
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
        let (mut records, mut bytes, mut empty) = (0, 0, 0);
        while let Some(block) = next()? {
            for record in frame::records(&block) {
                let record = record?;
                if let Err(failure) = decoder.push(record.data) {
                    failed(&record, failure);
                    continue;
                }
                records += 1;
                bytes += record.data.len();
                empty += decoder.scratch.empty;
                if decoder.rows >= BATCH_ROWS || bytes >= BATCH_BYTES || empty >= BATCH_EMPTY {
                    writer.write(&decoder.finish(&self.arrow)?, bytes)?;
                    (bytes, empty) = (0, 0);
                }
            }
        }
        if decoder.rows > 0 {
            writer.write(&decoder.finish(&self.arrow)?, bytes)?;
        }
        Ok((records, writer.finish()?))
    }
}

/// A worker's column buffers.
#[derive(Debug)]
pub(super) struct Decoder {
    root: Group,
    rows: usize,
    scratch: decode::Scratch,
}

impl Decoder {
    /// Appends the rows of a record. On failure no trace of it is left.
    fn push(&mut self, data: &[u8]) -> Result<(), Failure> {
        let before = self.rows;
        self.scratch.begin();
        self.read(data).map_err(|fault| {
            self.rows = before;
            self.root.truncate(before);
            fault.failure(data)
        })
    }

    fn reset(&mut self) {
        self.rows = 0;
        self.root.truncate(0);
    }

    /// One row for each object in the record, which may hold several one after the other.
    fn read(&mut self, data: &[u8]) -> Fit<()> {
        if !data.is_ascii()
            && let Err(error) = std::str::from_utf8(data)
        {
            return Err(Fault::syntax(error.valid_up_to(), "UTF-8"));
        }
        let mut cursor = Cursor::new(data);
        if cursor.next_token().is_none() {
            return Err(Fault::other(
                "The record was empty or contained only whitespace.",
            ));
        }
        while let Some(first) = cursor.next_token() {
            if first != b'{' {
                let at = cursor.at();
                cursor.skip_value(0)?;
                return Err(Fault::mismatch(at, "a JSON object", ""));
            }
            self.root
                .read(self.rows, &mut cursor, &mut self.scratch, 0)?;
            self.rows += 1;
        }
        Ok(())
    }

    /// Hands out all rows.
    fn finish(&mut self, schema: &SchemaRef) -> io::Result<RecordBatch> {
        let (_, columns) = self.root.finish().map_err(io::Error::other)?;
        self.rows = 0;
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests;
