//! Footers. Each run of row groups ends with a footer of its own, as if it were the last; it is kept
//! aside while the object fills. At the end all of them become one: the same row groups and page
//! indexes, whose offsets were the object's from the start.
//!
//! Kept aside: offset in the object u64, little-endian; page indexes, metadata, length and magic, as
//! they would stand there.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::page_index::{PageIndexBuilder, PageIndexProvider};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader,
    ParquetMetaDataWriter,
};
use parquet::file::writer::TrackedWrite;

use super::sink::Sink;

const OFFSET: usize = 8;

/// A footer to be kept aside, that would stand at `offset`.
pub(super) fn keep(offset: u64, bytes: &[u8]) -> Bytes {
    [&offset.to_le_bytes(), bytes].concat().into()
}

/// Writes the footer of an object out of those of its runs; nothing where there is none.
pub(super) fn write(runs: &[Bytes], out: &mut dyn Write) -> io::Result<()> {
    let Some(last) = runs.last() else {
        return Ok(());
    };
    let (offset, bytes) = split(last)?;
    if runs.len() == 1 {
        return out.write_all(&bytes);
    }
    let metadata = join(runs)?;
    let sink = Sink::after(offset);
    let mut tracked = TrackedWrite::new(sink.clone());
    Sink::catch_up(0, offset, |zeros| tracked.write_all(zeros))?;
    ParquetMetaDataWriter::new_with_tracked(tracked, &metadata)
        .with_preserve_page_index_locations(false)
        .finish()
        .map_err(io::Error::other)?;
    sink.drain(out)
}

/// The metadata of all runs as one.
fn join(runs: &[Bytes]) -> io::Result<ParquetMetaData> {
    let runs: Vec<ParquetMetaData> = runs.iter().map(parse).collect::<io::Result<_>>()?;
    let groups = runs.iter().map(ParquetMetaData::num_row_groups).sum();
    let file = runs[0].file_metadata();
    let columns = file.schema_descr().num_columns();
    let mut index = PageIndexBuilder::new(groups, columns);
    let mut joined = ParquetMetaDataBuilder::new(file.clone());
    let mut ordinal = 0;
    for run in &runs {
        for (number, group) in run.row_groups().iter().enumerate() {
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
