//! Row groups out of record batches, one run of them at a time, in bounded memory.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::format::RUN_BYTES;
use crate::format::columns::Decoded;

use super::sink::Sink;
use super::{ParquetCompression, ParquetFormat, dictionary, footer};

/// A row group is closed at this many rows.
const ROW_GROUP_ROWS: usize = 1_000_000;

/// A row group is closed when its encoded pages and dictionaries hold this much memory.
const ROW_GROUP_MEMORY: usize = 32 << 20;

/// Says to Spark that dates are of the Gregorian calendar, however old: it takes that from the version of
/// Spark that wrote a file, 3.0 or later (3.1 for all types). Where there is none, it refuses the whole
/// object for one date before 1582-10-15 or timestamp before 1900, the zero time of Go and .NET for one.
const SPARK_VERSION: (&str, &str) = ("org.apache.spark.version", "3.1.0");

/// Level of Zstandard: higher ones measured slower without being smaller.
const ZSTD_LEVEL: i32 = 1;

/// Level of gzip: zlib's usual one, as readers' own writers take it.
const GZIP_LEVEL: u32 = 6;

/// The writer of one run of row groups. Nothing is written before the first batch.
pub(super) struct RunWriter<'a> {
    table: &'a ParquetFormat,
    /// Bytes of the object before the run.
    start: u64,
    out: &'a mut dyn Write,
    file: Option<ParquetFile>,
}

struct ParquetFile {
    writer: SerializedFileWriter<Sink>,
    factory: ArrowRowGroupWriterFactory,
    sink: Sink,
    /// Writers of the leaf columns of the row group being filled.
    columns: Vec<ArrowColumnWriter>,
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
            file: None,
        }
    }

    /// Appends rows.
    pub(super) fn write(&mut self, decoded: &Decoded) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(ParquetFile::open(self.table, &decoded.rows, self.start)?),
        };
        file.write(&decoded.rows).map_err(error)?;
        file.bytes += decoded.bytes;
        let memory: usize = file
            .columns
            .iter()
            .map(ArrowColumnWriter::memory_size)
            .sum();
        if file.bytes as u64 >= RUN_BYTES
            || file.rows >= ROW_GROUP_ROWS
            || memory >= ROW_GROUP_MEMORY
        {
            file.close_row_group(self.out)?;
        }
        Ok(())
    }

    /// Writes the last row group and returns the footer, if anything was written at all.
    pub(super) fn finish(self) -> io::Result<Option<Bytes>> {
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
        let mut properties = WriterProperties::builder()
            .set_compression(codec(table.compression).map_err(error)?)
            .set_created_by(concat!("firehose ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(
                SPARK_VERSION.0.to_owned(),
                SPARK_VERSION.1.to_owned(),
            )]));
        for column in dictionary::useless(first) {
            properties = properties.set_column_dictionary_enabled(column, false);
        }
        // The Arrow schema is left out: the Parquet types say it all.
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            .with_skip_arrow_metadata(true)
            .with_schema_root("schema".to_owned());
        let sink = Sink::after(start);
        let schema = Arc::clone(table.schema.arrow());
        let (mut writer, factory) =
            ArrowWriter::try_new_with_options(sink.clone(), schema, options)
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(error)?;
        let magic = writer.bytes_written() as u64;
        Sink::catch_up(magic, start, |zeros| writer.write_all(zeros))?;
        Ok(Self {
            writer,
            factory,
            sink,
            columns: Vec::new(),
            rows: 0,
            bytes: 0,
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            let group = self.writer.flushed_row_groups().len();
            self.columns = self.factory.create_column_writers(group)?;
        }
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
        for column in columns {
            column
                .close()
                .and_then(|chunk| chunk.append_to_row_group(&mut group))
                .map_err(error)?;
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

fn codec(compression: ParquetCompression) -> Result<Compression, ParquetError> {
    Ok(match compression {
        ParquetCompression::None => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Gzip => Compression::GZIP(GzipLevel::try_new(GZIP_LEVEL)?),
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
        ParquetCompression::Lz4 => Compression::LZ4_RAW,
    })
}

fn error(error: ParquetError) -> io::Error {
    io::Error::other(error)
}
