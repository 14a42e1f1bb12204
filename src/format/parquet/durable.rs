//! The durable form of the settings.

use std::ops::Not;

use serde::{Deserialize, Serialize};

use super::{
    BloomFilters, ParquetCompression, ParquetOptions, ParquetSettings, SortedBy, TimestampType,
    WriterVersion,
};
use crate::format::columns::ColumnsRow;
use crate::format::durable::{durable, is_default};

#[derive(Serialize, Deserialize)]
pub(super) enum ParquetRow {
    Parquet {
        compression: CompressionRow,
        #[serde(default, skip_serializing_if = "is_default")]
        options: OptionsRow,
        #[serde(flatten)]
        columns: ColumnsRow,
    },
}

durable!(ParquetRow::Parquet of ParquetSettings { compression, options, columns });

#[derive(Serialize, Deserialize)]
pub(super) enum CompressionRow {
    None,
    Snappy,
    Gzip,
    Zstd,
    Lz4,
}

durable!(CompressionRow of enum ParquetCompression { None, Snappy, Gzip, Zstd, Lz4 });

/// How objects are laid out.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OptionsRow {
    #[serde(skip_serializing_if = "is_default")]
    block_size: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    page_size: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    without_dictionary: bool,
    #[serde(skip_serializing_if = "is_default")]
    writer_version: WriterRow,
    #[serde(skip_serializing_if = "is_default")]
    zstd_level: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    bloom_filters: FiltersRow,
    #[serde(skip_serializing_if = "is_default")]
    sorted_by: Vec<SortedRow>,
    #[serde(skip_serializing_if = "is_default")]
    without_page_index: bool,
    #[serde(skip_serializing_if = "is_default")]
    statistics_length: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    timestamps: TimestampRow,
}

durable!(OptionsRow of ParquetOptions {
    block_size, page_size, without_dictionary, writer_version, zstd_level, bloom_filters, sorted_by, without_page_index,
    statistics_length, timestamps
});

#[derive(Default, PartialEq, Serialize, Deserialize)]
enum WriterRow {
    #[default]
    V1,
    V2,
}

durable!(WriterRow of enum WriterVersion { V1, V2 });

#[derive(Default, PartialEq, Serialize, Deserialize)]
enum TimestampRow {
    #[default]
    Micros,
    Millis,
    Int96,
}

durable!(TimestampRow of enum TimestampType { Micros, Millis, Int96 });

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct FiltersRow {
    columns: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    false_positives: Option<u32>,
}

durable!(FiltersRow of BloomFilters { columns, false_positives });

#[derive(PartialEq, Serialize, Deserialize)]
struct SortedRow {
    column: String,
    #[serde(default, skip_serializing_if = "Not::not")]
    descending: bool,
}

durable!(SortedRow of SortedBy { column, descending });
