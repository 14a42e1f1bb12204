//! What the crate's writer is told: the settings in its words.

use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::basic::{Compression, Encoding, GzipLevel, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{
    BloomFilterProperties, EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
    WriterPropertiesPtr, WriterVersion as CrateVersion,
};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

use super::options::WriterVersion;
use super::{ParquetCompression, ParquetFormat, dictionary, times};

/// A row group is closed at this many rows.
pub(super) const ROW_GROUP_ROWS: usize = 1_000_000;

/// Says to Spark that dates are of the Gregorian calendar, however old: it takes that from the version of
/// Spark that wrote a file, 3.0 or later (3.1 for all types). Where there is none, it refuses the whole
/// object for one date before 1582-10-15 or timestamp before 1900, the zero time of Go and .NET for one.
const SPARK_VERSION: (&str, &str) = ("org.apache.spark.version", "3.1.0");

/// Level of Zstandard: higher ones measured slower without being smaller.
const ZSTD_LEVEL: i32 = 1;

/// Level of gzip: zlib's usual one, as readers' own writers take it.
const GZIP_LEVEL: u32 = 6;

/// Of a hundred values that are in no row group, how many a Bloom filter lets through.
const FALSE_POSITIVES: f64 = 0.05;

/// The properties of a run, whose first rows tell which columns a dictionary would not help. `leaves` are the columns as
/// pages are written.
pub(super) fn properties(
    table: &ParquetFormat,
    first: &RecordBatch,
    leaves: &SchemaDescriptor,
) -> Result<WriterPropertiesPtr, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(codec(table)?)
        .set_created_by(concat!("firehose ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            SPARK_VERSION.0.to_owned(),
            SPARK_VERSION.1.to_owned(),
        )]));
    let options = &table.options;
    if options.without_dictionary {
        properties = properties.set_dictionary_enabled(false);
    } else {
        for column in dictionary::useless(first) {
            properties = properties.set_column_dictionary_enabled(column, false);
        }
    }
    if options.writer_version == WriterVersion::V2 {
        properties = properties.set_writer_version(CrateVersion::PARQUET_2_0);
    }
    if let Some(page) = options.page_size {
        let page = usize::try_from(page).unwrap_or(usize::MAX);
        properties = properties.set_data_page_size_limit(page);
    }
    if options.without_page_index {
        properties = properties
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true);
    }
    if let Some(length) = options.statistics_length.filter(|length| *length > 0) {
        let length = usize::try_from(length).ok();
        properties = properties
            .set_statistics_truncate_length(length)
            .set_column_index_truncate_length(length);
    }
    for leaf in leaves.columns() {
        let path = leaf.path();
        // Deltas of them, as version 2 would have it, are more than Polars reads, and save nothing.
        if leaf.physical_type() == Type::FIXED_LEN_BYTE_ARRAY {
            properties = properties.set_column_encoding(path.clone(), Encoding::PLAIN);
        }
        if times::is_int96(leaf.self_type()) {
            let none = EnabledStatistics::None;
            properties = properties.set_column_statistics_enabled(path.clone(), none);
        }
    }
    properties = with_filters(properties, table)?;
    Ok(Arc::new(
        properties
            .set_sorting_columns(order(table, leaves)?)
            .build(),
    ))
}

fn with_filters(
    mut properties: WriterPropertiesBuilder,
    table: &ParquetFormat,
) -> Result<WriterPropertiesBuilder, ParquetError> {
    // It begins with room for all rows that a row group may have, and is folded to what it holds.
    let share = table.options.bloom_filters.false_positives;
    let filter = BloomFilterProperties::builder()
        .with_max_ndv(ROW_GROUP_ROWS as u64)
        .with_fpp(share.map_or(FALSE_POSITIVES, |millionths| f64::from(millionths) / 1e6))
        .try_build()?;
    for path in &table.filtered {
        let path = ColumnPath::new(path.clone());
        properties = properties.set_column_bloom_filter_properties(path, filter.clone());
    }
    Ok(properties)
}

/// By what rows are sorted, as a footer says it.
fn order(
    table: &ParquetFormat,
    leaves: &SchemaDescriptor,
) -> Result<Option<Vec<SortingColumn>>, ParquetError> {
    let mut order = Vec::new();
    for key in &table.order {
        let leaf = leaves.columns().iter().position(|leaf| {
            let path = leaf.path().parts();
            path.len() == 1 && path[0] == key.column
        });
        let leaf = leaf.and_then(|leaf| i32::try_from(leaf).ok());
        let missing = || ParquetError::General(format!("there is no column {}", key.column));
        order.push(SortingColumn {
            column_idx: leaf.ok_or_else(missing)?,
            descending: key.descending,
            nulls_first: key.nulls_first(),
        });
    }
    Ok((!order.is_empty()).then_some(order))
}

fn codec(table: &ParquetFormat) -> Result<Compression, ParquetError> {
    let level = table.options.zstd_level.unwrap_or(ZSTD_LEVEL);
    Ok(match table.compression {
        ParquetCompression::None => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Gzip => Compression::GZIP(GzipLevel::try_new(GZIP_LEVEL)?),
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::try_new(level)?),
        ParquetCompression::Lz4 => Compression::LZ4_RAW,
    })
}
