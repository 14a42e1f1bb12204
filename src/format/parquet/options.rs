//! How objects are laid out: the options of Firehose's `ParquetSerDe`, and what it lacks. Where the config says nothing, an
//! object has the bytes that it had before there was anything to say.

use arrow_schema::{DataType, Fields};
use serde_json::{Map, Value};

mod read;

pub(super) use read::{KEYS, TRANSLATIONS, read};

/// The layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParquetOptions {
    /// Bytes of records at which a row group is closed; as many as are encoded at once, where nothing is said.
    pub block_size: Option<u64>,
    /// Bytes at which a page is closed; 1 MiB, where nothing is said.
    pub page_size: Option<u64>,
    /// Whether no column has a dictionary, even where it would help.
    pub without_dictionary: bool,
    /// Which pages and encodings are written.
    pub writer_version: WriterVersion,
    /// Level of Zstandard; 1, where nothing is said.
    pub zstd_level: Option<i32>,
    /// Columns with a Bloom filter a row group.
    pub bloom_filters: BloomFilters,
    /// By what the rows of a row group are sorted, the first before the others.
    pub sorted_by: Vec<SortedBy>,
    /// Whether nothing is written of single pages: neither where they are nor what lies in them.
    pub without_page_index: bool,
    /// Bytes of a text to which the least and the greatest are cut; 64, where nothing is said.
    pub statistics_length: Option<u32>,
    /// What a `timestamp` is written as.
    pub timestamps: TimestampType,
}

/// Which pages and encodings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriterVersion {
    /// Those that every reader knows.
    #[default]
    V1,
    /// Data pages of version 2, with deltas of numbers and texts.
    V2,
}

/// What a `timestamp` is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// Microseconds since 1970, in UTC.
    #[default]
    Micros,
    /// Milliseconds since 1970, in UTC: what is finer is cut.
    Millis,
    /// The Julian day and nanoseconds of it, for readers from before Parquet had times.
    Int96,
}

/// Columns with Bloom filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BloomFilters {
    /// Columns, or fields of structs as `column.field`, as they are declared.
    pub columns: Vec<String>,
    /// Of a million values that are not there, how many look as if they were; 50,000, where nothing is said.
    pub false_positives: Option<u32>,
}

/// A column by which rows are sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedBy {
    /// As it is declared.
    pub column: String,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl ParquetOptions {
    /// What is not Firehose's default, in the words of its `ParquetSerDe`, where that has some.
    pub(super) fn put_into(&self, serializer: &mut Map<String, Value>) {
        if let Some(bytes) = self.block_size {
            serializer.insert("BlockSizeBytes".into(), bytes.into());
        }
        if let Some(bytes) = self.page_size {
            serializer.insert("PageSizeBytes".into(), bytes.into());
        }
        if self.without_dictionary {
            serializer.insert("EnableDictionaryCompression".into(), false.into());
        }
        if self.writer_version == WriterVersion::V2 {
            serializer.insert("WriterVersion".into(), "V2".into());
        }
    }
}

/// The path of a column, or of a field of structs as `column.field`, and its type. A name with a dot in it is found before a
/// field.
pub(super) fn find<'f>(fields: &'f Fields, name: &str) -> Option<(Vec<String>, &'f DataType)> {
    let named = |name: &str| {
        let mut fields = fields.iter();
        fields.find(|field| field.name().eq_ignore_ascii_case(name))
    };
    if let Some(field) = named(name) {
        return Some((vec![field.name().clone()], field.data_type()));
    }
    name.match_indices('.').find_map(|(at, _)| {
        let field = named(&name[..at])?;
        let DataType::Struct(inner) = field.data_type() else {
            return None;
        };
        let (mut path, kind) = find(inner, &name[at + 1..])?;
        path.insert(0, field.name().clone());
        Some((path, kind))
    })
}
