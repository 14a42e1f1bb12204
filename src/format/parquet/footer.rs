//! Footers. Each run of row groups ends with a footer of its own, as if it were the last; it is kept
//! aside while the object fills. At the end all of them become one: the same row groups and page
//! indexes, whose offsets were the object's from the start.
//!
//! Of an object that has lost bytes the footer is read back, and written again without the row groups that
//! lay there.
//!
//! Kept aside: offset in the object u64, little-endian; page indexes, metadata, length and magic, as
//! they would stand there.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::page_index::{PageIndexBuilder, PageIndexProvider};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder,
    ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::writer::TrackedWrite;

use super::sink::Sink;
use crate::format::Footer;

/// What a file begins with.
pub(super) const MAGIC: &[u8] = b"PAR1";

const OFFSET: usize = 8;

/// A footer to be kept aside, that would stand at `offset`.
pub(super) fn keep(offset: u64, bytes: &[u8]) -> Bytes {
    [&offset.to_le_bytes(), bytes].concat().into()
}

/// Where the footer would stand that was kept aside.
pub(super) fn offset(kept: &Bytes) -> io::Result<u64> {
    split(kept).map(|(offset, _)| offset)
}

/// Writes the footer of an object out of those of its runs; it stands at `offset`. Nothing where there
/// is none.
pub(super) fn write(runs: &[Bytes], offset: u64, out: &mut dyn Write) -> io::Result<()> {
    match runs {
        [] => Ok(()),
        [only] if self::offset(only)? == offset => out.write_all(&split(only)?.1),
        runs => {
            let runs = runs.iter().map(parse);
            let runs: Vec<ParquetMetaData> = runs.collect::<io::Result<_>>()?;
            put(&join(&runs, &|_| true)?, offset, out)
        }
    }
}

/// The footer of a whole object, read back.
#[derive(Debug)]
pub(super) struct FileFooter(ParquetMetaData);

impl FileFooter {
    /// Reads it, see `Encode::footer`; `indexed` says to read the indexes of its pages, too, where it has some.
    pub(super) fn read(tail: &Bytes, size: u64, indexed: bool) -> io::Result<Option<Self>> {
        let policy = if indexed {
            PageIndexPolicy::Optional
        } else {
            PageIndexPolicy::Skip
        };
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(policy);
        let parsed = reader.try_parse_sized(tail, size);
        match parsed.and_then(|()| reader.finish()) {
            Ok(metadata) => Ok(Some(Self(metadata))),
            Err(ParquetError::NeedMoreData(_)) => Ok(None),
            Err(error) => Err(damaged(error)),
        }
    }
}

impl Footer for FileFooter {
    fn parts(&self) -> Vec<(Range<u64>, u64)> {
        let groups = self.0.row_groups().iter();
        let groups = groups.map(|group| {
            let bytes = bytes_of(group);
            (bytes, u64::try_from(group.num_rows()).unwrap_or_default())
        });
        groups.collect()
    }

    fn write(
        &self,
        kept: &dyn Fn(usize) -> bool,
        offset: u64,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        put(&join(std::slice::from_ref(&self.0), kept)?, offset, out)
    }
}

/// Where a row group lies, with the Bloom filters behind it.
fn bytes_of(group: &RowGroupMetaData) -> Range<u64> {
    let columns = group.columns().iter().map(ColumnChunkMetaData::byte_range);
    let columns = columns.map(|(start, len)| start..start + len);
    let filters = group.columns().iter().filter_map(filter_of);
    let all = columns.chain(filters);
    let whole = all.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
    whole.unwrap_or_default()
}

/// Where the Bloom filter of a column lies, if it has one.
fn filter_of(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
    let len = u64::try_from(column.bloom_filter_length()?).ok()?;
    Some(start..start.checked_add(len)?)
}

/// Writes metadata that stand at `offset`.
fn put(metadata: &ParquetMetaData, offset: u64, out: &mut dyn Write) -> io::Result<()> {
    let sink = Sink::after(offset);
    let mut tracked = TrackedWrite::new(sink.clone());
    Sink::catch_up(0, offset, |zeros| tracked.write_all(zeros))?;
    ParquetMetaDataWriter::new_with_tracked(tracked, metadata)
        .with_preserve_page_index_locations(false)
        .finish()
        .map_err(io::Error::other)?;
    sink.drain(out)
}

/// The metadata of all runs as one, of the row groups of which `kept` is true.
fn join(runs: &[ParquetMetaData], kept: &dyn Fn(usize) -> bool) -> io::Result<ParquetMetaData> {
    let groups = runs.iter().map(ParquetMetaData::num_row_groups).sum();
    let groups = (0..groups).filter(|number| kept(*number)).count();
    let file = runs[0].file_metadata();
    let columns = file.schema_descr().num_columns();
    let mut index = PageIndexBuilder::new(groups, columns);
    let mut joined = ParquetMetaDataBuilder::new(file.clone());
    let (mut of_all, mut ordinal) = (0, 0);
    for run in runs {
        for (number, group) in run.row_groups().iter().enumerate() {
            of_all += 1;
            if !kept(of_all - 1) {
                continue;
            }
            let pages = run.page_index_for_row_group(number);
            for column in 0..columns {
                if let Some(found) = pages.column_index(column) {
                    index.put_column_index(found.clone(), ordinal, column);
                }
                if let Some(found) = pages.offset_index(column) {
                    index.put_offset_index(found.clone(), ordinal, column);
                }
            }
            let group = group.clone().into_builder();
            let group = group.set_ordinal(i32::try_from(ordinal).map_err(io::Error::other)?);
            joined = joined.add_row_group(group.build().map_err(io::Error::other)?);
            ordinal += 1;
        }
    }
    let index: Arc<dyn PageIndexProvider> = Arc::new(index.build());
    Ok(joined.set_page_index(Some(index)).build())
}

fn parse(run: &Bytes) -> io::Result<ParquetMetaData> {
    let (offset, bytes) = split(run)?;
    let end = offset + bytes.len() as u64;
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    let parsed = reader.try_parse_sized(&bytes, end);
    parsed.and_then(|()| reader.finish()).map_err(damaged)
}

fn split(run: &Bytes) -> io::Result<(u64, Bytes)> {
    let (offset, _) = run
        .split_first_chunk::<OFFSET>()
        .ok_or_else(|| damaged(ParquetError::EOF("a footer is cut short".into())))?;
    Ok((u64::from_le_bytes(*offset), run.slice(OFFSET..)))
}

fn damaged(error: ParquetError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
