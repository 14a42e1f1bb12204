//! Row groups out of record batches, one writer at a time, in bounded memory.

use std::io;
use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::config::ParquetCompression;

use super::Table;

/// A row group is closed at this many bytes of records.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// A row group is closed at this many rows.
const ROW_GROUP_ROWS: usize = 1_000_000;

/// A row group is closed when its buffers hold this much memory.
const ROW_GROUP_MEMORY: usize = 32 << 20;

/// Level of Zstandard: higher ones measured slower without being smaller.
const ZSTD_LEVEL: i32 = 1;

/// Level of gzip: zlib's usual one, as readers' own writers take it.
const GZIP_LEVEL: u32 = 6;

/// The writer of one object. Nothing is written before the first batch.
pub(super) struct Writer<'a> {
    table: &'a Table,
    out: &'a mut dyn io::Write,
    file: Option<ArrowWriter<Vec<u8>>>,
    /// Bytes of records in the row group being filled.
    bytes: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(table: &'a Table, out: &'a mut dyn io::Write) -> Self {
        Self {
            table,
            out,
            file: None,
            bytes: 0,
        }
    }

    /// Appends rows that came from so many bytes of records.
    pub(super) fn write(&mut self, batch: &RecordBatch, bytes: usize) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(open(self.table)?),
        };
        file.write(batch).map_err(error)?;
        self.bytes += bytes;
        if self.bytes >= ROW_GROUP_BYTES
            || file.in_progress_rows() >= ROW_GROUP_ROWS
            || file.memory_size() >= ROW_GROUP_MEMORY
        {
            file.flush().map_err(error)?;
            file.sync()?;
            self.out.write_all(file.inner())?;
            file.inner_mut().clear();
            self.bytes = 0;
        }
        Ok(())
    }

    /// Writes the last row group and the footer, if anything was written at all.
    pub(super) fn finish(self) -> io::Result<()> {
        let Some(file) = self.file else { return Ok(()) };
        let rest = file.into_inner().map_err(error)?;
        self.out.write_all(&rest)
    }
}

fn open(table: &Table) -> io::Result<ArrowWriter<Vec<u8>>> {
    let compression = match table.compression {
        ParquetCompression::None => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Gzip => {
            Compression::GZIP(GzipLevel::try_new(GZIP_LEVEL).map_err(error)?)
        }
        ParquetCompression::Zstd => {
            Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).map_err(error)?)
        }
        ParquetCompression::Lz4 => Compression::LZ4_RAW,
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_created_by(concat!("firehose ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(None)
        .build();
    // The Arrow schema is left out: the Parquet types say it all.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true)
        .with_schema_root("schema".to_owned());
    ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&table.arrow), options).map_err(error)
}

fn error(error: ParquetError) -> io::Error {
    io::Error::other(error)
}
