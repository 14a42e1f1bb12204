//! Row groups out of record batches, one run of them at a time, in bounded memory.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use crate::format::columns::Decoded;

use super::properties::ROW_GROUP_ROWS;
use super::sink::Sink;
use super::sorted::Waiting;
use super::{ParquetFormat, TimestampType, footer, properties, times};

/// A row group is closed when its encoded pages and dictionaries hold this much memory.
const ROW_GROUP_MEMORY: usize = 32 << 20;

/// Rows that wait to be sorted become a row group when they hold this much memory.
const SORTED_MEMORY: usize = 64 << 20;

/// The writer of one run of row groups. Nothing is written before the first batch.
pub(super) struct RunWriter<'a> {
    table: &'a ParquetFormat,
    /// Bytes of the object before the run.
    start: u64,
    out: &'a mut dyn Write,
    /// Rows that are to be sorted.
    waiting: Waiting,
    file: Option<ParquetFile>,
}

struct ParquetFile {
    writer: SerializedFileWriter<Sink>,
    factory: ArrowRowGroupWriterFactory,
    /// The columns as they are written.
    written: SchemaRef,
    /// Leaf columns by their numbers that are called another type than their pages are written as.
    relabelled: Vec<Option<ColumnDescPtr>>,
    sink: Sink,
    /// Writers of the leaf columns of the row group being filled.
    columns: Vec<ArrowColumnWriter>,
    /// Memory that they held before the first row: room for Bloom filters.
    empty: usize,
    has_filters: bool,
    /// Rows in the row group being filled.
    rows: usize,
    /// Bytes of records in the row group being filled.
    bytes: usize,
}

impl<'a> RunWriter<'a> {
    pub(super) fn new(table: &'a ParquetFormat, start: u64, out: &'a mut dyn Write) -> Self {
        Self {
            table,
            start,
            out,
            waiting: Waiting::default(),
            file: None,
        }
    }

    /// Appends rows.
    pub(super) fn write(&mut self, decoded: &Decoded) -> io::Result<()> {
        if self.table.order.is_empty() {
            return self.append(&decoded.rows, decoded.bytes);
        }
        let waiting = &mut self.waiting;
        waiting.push(&decoded.rows, decoded.bytes);
        if waiting.bytes() >= self.table.block_bytes
            || waiting.rows() >= ROW_GROUP_ROWS
            || waiting.held() >= SORTED_MEMORY
        {
            self.sort()?;
        }
        Ok(())
    }

    /// Makes a row group of all rows that wait for it; or more than one, if its pages hold too much.
    fn sort(&mut self) -> io::Result<()> {
        let (mut waiting, order) = (mem::take(&mut self.waiting), &self.table.order);
        waiting.take(order, &mut |rows| self.append(rows, 0))?;
        match &mut self.file {
            Some(file) => file.close_row_group(self.out),
            None => Ok(()),
        }
    }

    fn append(&mut self, rows: &RecordBatch, bytes: usize) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(ParquetFile::open(self.table, rows, self.start)?),
        };
        file.write(rows).map_err(error)?;
        file.bytes += bytes;
        if file.bytes >= self.table.block_bytes
            || file.rows >= ROW_GROUP_ROWS
            || file.memory().saturating_sub(file.empty) >= ROW_GROUP_MEMORY
        {
            file.close_row_group(self.out)?;
        }
        Ok(())
    }

    /// Writes the last row group and returns the footer, if anything was written at all.
    pub(super) fn finish(mut self) -> io::Result<Option<Bytes>> {
        self.sort()?;
        let Some(mut file) = self.file else {
            return Ok(None);
        };
        file.close_row_group(self.out)?;
        let (offset, mut bytes) = (file.writer.bytes_written() as u64, Vec::new());
        file.writer.finish().map_err(error)?;
        file.sink.drain(&mut bytes)?;
        Ok(Some(footer::keep(offset, &bytes)))
    }
}

impl ParquetFile {
    /// Starts a run; its first rows tell which columns a dictionary would not help.
    fn open(table: &ParquetFormat, first: &RecordBatch, start: u64) -> io::Result<Self> {
        let written = times::schema(table.schema.arrow(), table.options.timestamps);
        let leaves = ArrowSchemaConverter::new().schema_root("schema");
        let leaves = leaves.convert(&written).map_err(error)?;
        let properties = properties::properties(table, first, &leaves).map_err(error)?;
        // The Arrow schema is left out: the Parquet types say it all.
        let pages = SerializedFileWriter::new(
            io::sink(),
            leaves.root_schema_ptr(),
            Arc::clone(&properties),
        );
        let factory = ArrowRowGroupWriterFactory::new(&pages.map_err(error)?, Arc::clone(&written));
        let root = match table.options.timestamps {
            TimestampType::Int96 => times::with_int96(&leaves.root_schema_ptr()).map_err(error)?,
            TimestampType::Micros | TimestampType::Millis => leaves.root_schema_ptr(),
        };
        let sink = Sink::after(start);
        let mut writer =
            SerializedFileWriter::new(sink.clone(), root, properties).map_err(error)?;
        let relabelled = relabelled(&leaves, writer.schema_descr());
        let magic = writer.bytes_written() as u64;
        Sink::catch_up(magic, start, |zeros| writer.write_all(zeros))?;
        Ok(Self {
            writer,
            factory,
            written,
            relabelled,
            sink,
            columns: Vec::new(),
            empty: 0,
            has_filters: !table.filtered.is_empty(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Bytes that the writers of columns hold.
    fn memory(&self) -> usize {
        let columns = self.columns.iter();
        columns.map(ArrowColumnWriter::memory_size).sum()
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            let group = self.writer.flushed_row_groups().len();
            self.columns = self.factory.create_column_writers(group)?;
            // What an empty filter takes is no reason to close a row group.
            if self.has_filters {
                self.empty = self.memory();
            }
        }
        let batch = &times::rows(batch, &self.written)?;
        let mut writers = self.columns.iter_mut();
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let leaves = compute_leaves(field, column)?;
            for (writer, leaf) in writers.by_ref().take(leaves.len()).zip(&leaves) {
                writer.write(leaf)?;
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Closes the row group, one column after the other, so that no more than one is held twice.
    fn close_row_group(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let columns = mem::take(&mut self.columns);
        if columns.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(error)?;
        for (column, relabelled) in columns.into_iter().zip(&self.relabelled) {
            let mut chunk = column.close().map_err(error)?;
            if let Some(int96) = relabelled {
                times::relabel(chunk.close_mut(), int96).map_err(error)?;
            }
            chunk.append_to_row_group(&mut group).map_err(error)?;
            self.sink.drain(out)?;
        }
        group.close().map_err(error)?;
        self.writer.flush()?;
        self.sink.drain(out)?;
        // What is kept of it piece by piece has nothing of another row group, or of the footer.
        out.flush()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// What the leaf columns are called in the file, where they are called something else than their pages say.
fn relabelled(pages: &SchemaDescriptor, file: &SchemaDescriptor) -> Vec<Option<ColumnDescPtr>> {
    let leaves = pages.columns().iter().zip(file.columns());
    leaves
        .map(|(pages, file)| (pages != file).then(|| Arc::clone(file)))
        .collect()
}

fn error(error: ParquetError) -> io::Error {
    io::Error::other(error)
}
