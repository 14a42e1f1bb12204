//! The keys of the layout, read. Columns are held against the schema here, where each has its place in the file.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use arrow_schema::{DataType, Fields};

use super::super::ParquetCompression;
use super::{BloomFilters, ParquetOptions, SortedBy, TimestampType, WriterVersion, find};
use crate::config::{ColumnSettings, FormatTable, SourceSpan, choose};
use crate::format::RUN_BYTES;
use crate::format::columns::Schema;

/// The keys of the format: that of its codec, and those that [`read`] asks for.
pub(in crate::format::parquet) const KEYS: &[&str] = &[
    "compression",
    "block_size",
    "page_size",
    "dictionary",
    "writer_version",
    "max_padding",
    ZSTD,
    "bloom_filter_columns",
    FALSE_POSITIVES,
    "sorted_by",
    "page_index",
    "statistics_length",
    "timestamp_type",
];

/// What Firehose calls the format and its keys.
pub(in crate::format::parquet) const TRANSLATIONS: &[(&str, &str)] = &[
    (
        "DataFormatConversionConfiguration",
        "is [stream.NAME.format] with `type = \"parquet\"`",
    ),
    (
        "ParquetSerDe",
        "is `type = \"parquet\"` in [stream.NAME.format], with its options beside it",
    ),
    (
        "OrcSerDe",
        "has no counterpart: write `type = \"parquet\"` in [stream.NAME.format]",
    ),
    (
        "BlockSizeBytes",
        "is `block_size` in [stream.NAME.format], such as \"64MiB\"",
    ),
    (
        "PageSizeBytes",
        "is `page_size` in [stream.NAME.format], such as \"1MiB\"",
    ),
    (
        "EnableDictionaryCompression",
        "is `dictionary` in [stream.NAME.format]",
    ),
    (
        "MaxPaddingBytes",
        "is `max_padding` in [stream.NAME.format], where it does nothing",
    ),
    (
        "BloomFilterColumns",
        "is `bloom_filter_columns` in [stream.NAME.format], of Parquet here",
    ),
    (
        "BloomFilterFalsePositiveProbability",
        "is `bloom_filter_fpp` in [stream.NAME.format], of Parquet here",
    ),
    ("StripeSizeBytes", OF_ORC),
    ("RowIndexStride", OF_ORC),
    ("EnablePadding", OF_ORC),
    ("PaddingTolerance", OF_ORC),
    ("DictionaryKeyThreshold", OF_ORC),
    ("FormatVersion", OF_ORC),
];

const OF_ORC: &str = "is an option of OrcSerDe: there is no ORC here, write `type = \"parquet\"` in [stream.NAME.format]";

const ZSTD: &str = "zstd_level";
const FALSE_POSITIVES: &str = "bloom_filter_fpp";

/// What Firehose takes, its default of 256 MiB too. A row group has no more than is encoded at once all the same.
const BLOCK_BOUNDS: RangeInclusive<u64> = (1 << 20)..=(1 << 30);
const PAGE_BOUNDS: RangeInclusive<u64> = (8 << 10)..=(16 << 20);
const PAGE_SIZE: u64 = 1 << 20;
const PADDING_BOUNDS: RangeInclusive<u64> = 0..=(1 << 40);

/// Higher ones want tens of megabytes for each column that is being written.
const ZSTD_BOUNDS: RangeInclusive<u64> = 1..=9;
const ZSTD_LEVEL: i32 = 1;

/// Bytes to which statistics may be cut: the footer has them for each page of each column.
const STATISTICS_BOUNDS: RangeInclusive<u64> = 1..=1024;
const STATISTICS_LENGTH: u32 = 64;

/// In millionths.
const FALSE_POSITIVES_BOUNDS: RangeInclusive<u32> = 1_000..=500_000;
const USUAL_FALSE_POSITIVES: u32 = 50_000;

/// Each wants a megabyte or two while its row group is written.
const FILTERS_MAX: usize = 16;
const SORTED_MAX: usize = 8;

const TIMESTAMPS: [(&str, TimestampType); 3] = [
    ("micros", TimestampType::Micros),
    ("millis", TimestampType::Millis),
    ("int96", TimestampType::Int96),
];

/// Reads the layout of objects with these columns; `None`: they have a fault, which is reported.
pub(in crate::format::parquet) fn read(
    table: &mut FormatTable<'_, '_>,
    compression: Option<ParquetCompression>,
    columns: Option<&ColumnSettings>,
) -> Option<ParquetOptions> {
    let block_size = size(table, "block_size", BLOCK_BOUNDS, RUN_BYTES);
    let page_size = size(table, "page_size", PAGE_BOUNDS, PAGE_SIZE);
    let dictionary = flag(table, "dictionary");
    let versions = [("v1", WriterVersion::V1), ("v2", WriterVersion::V2)];
    let writer_version = table.word_or("writer_version", &versions, WriterVersion::V1);
    let padding = padding(table);
    let zstd_level = zstd_level(table, compression);
    let page_index = flag(table, "page_index");
    let length = integer(
        table,
        "statistics_length",
        STATISTICS_BOUNDS,
        u64::from(STATISTICS_LENGTH),
    );
    let timestamps = table.word_or("timestamp_type", &TIMESTAMPS, TimestampType::Micros);
    let named = Named::of(columns, timestamps.unwrap_or_default());
    let bloom_filters = named.bloom_filters(table);
    let sorted_by = named.sorted_by(table);
    padding?;
    Some(ParquetOptions {
        block_size: unless_usual(block_size?, RUN_BYTES),
        page_size: unless_usual(page_size?, PAGE_SIZE),
        without_dictionary: !dictionary?,
        writer_version: writer_version?,
        zstd_level: unless_usual(i32::try_from(zstd_level?).ok()?, ZSTD_LEVEL),
        bloom_filters: bloom_filters?,
        sorted_by: sorted_by?,
        without_page_index: !page_index?,
        statistics_length: unless_usual(u32::try_from(length?).ok()?, STATISTICS_LENGTH),
        timestamps: timestamps?,
    })
}

/// A setting that says what is so anyhow says nothing.
fn unless_usual<T: Copy + PartialEq>(found: T, usual: T) -> Option<T> {
    (found != usual).then_some(found)
}

/// What a key says, or what is usual where it is not there. `None`: it has a fault.
fn or_usual<T>(found: Option<T>, is_there: bool, usual: T) -> Option<T> {
    if is_there { found } else { Some(usual) }
}

fn size(
    table: &mut FormatTable<'_, '_>,
    key: &'static str,
    bounds: RangeInclusive<u64>,
    usual: u64,
) -> Option<u64> {
    let found = table.size(key, bounds).map(|size| size.value);
    or_usual(found, table.has(key), usual)
}

fn integer(
    table: &mut FormatTable<'_, '_>,
    key: &'static str,
    bounds: RangeInclusive<u64>,
    usual: u64,
) -> Option<u64> {
    let found = table.integer(key, bounds).map(|number| number.value);
    or_usual(found, table.has(key), usual)
}

/// What is so unless the table says that it is not.
fn flag(table: &mut FormatTable<'_, '_>, key: &'static str) -> Option<bool> {
    let found = table.boolean(key);
    or_usual(found, table.has(key), true)
}

/// `max_padding` is taken, since Firehose has it, and does nothing.
fn padding(table: &mut FormatTable<'_, '_>) -> Option<()> {
    let key = "max_padding";
    let padding = table.size(key, PADDING_BOUNDS);
    if padding.as_ref().is_some_and(|padding| padding.value > 0) {
        let message = format!("`{key}` does nothing here");
        let help = "row groups are padded to the blocks of HDFS; neither an object store nor a folder has such blocks";
        table.doubt(table.place_of(key), message, Some(help));
    }
    (padding.is_some() || !table.has(key)).then_some(())
}

fn zstd_level(
    table: &mut FormatTable<'_, '_>,
    compression: Option<ParquetCompression>,
) -> Option<u64> {
    match compression {
        Some(ParquetCompression::Zstd) | None => integer(table, ZSTD, ZSTD_BOUNDS, 1),
        Some(_) => {
            table.only_with(&[ZSTD], "`compression = \"zstd\"`");
            Some(1)
        }
    }
}

/// Columns that keys can name.
struct Named {
    /// `None`: the schema has a fault, or is not here yet; then any may be.
    fields: Option<Fields>,
    /// Whether they are learned, so that none can be named.
    is_learned: bool,
    timestamps: TimestampType,
}

impl Named {
    fn of(columns: Option<&ColumnSettings>, timestamps: TimestampType) -> Self {
        let is_learned = columns.is_some_and(|columns| columns.sample.is_some());
        let written = columns.filter(|columns| columns.table.is_none());
        let schema = written.and_then(|columns| Schema::parse(&columns.schema).ok());
        let schema = schema.filter(|_| !is_learned);
        Self {
            fields: schema.map(|schema| schema.arrow().fields().clone()),
            is_learned,
            timestamps,
        }
    }

    fn bloom_filters(&self, table: &mut FormatTable<'_, '_>) -> Option<BloomFilters> {
        let key = "bloom_filter_columns";
        let refused = |_: &[String], kind: &DataType| self.has_no_filter(kind);
        let found = self.list(table, key, FILTERS_MAX, |text| (text, false), refused);
        if !table.has(key) {
            table.only_with(&[FALSE_POSITIVES], "`bloom_filter_columns`");
            return Some(BloomFilters::default());
        }
        let share = table.fraction(FALSE_POSITIVES, FALSE_POSITIVES_BOUNDS);
        let share = or_usual(share, table.has(FALSE_POSITIVES), USUAL_FALSE_POSITIVES);
        let columns: Vec<_> = found?.into_iter().map(|(column, _)| column).collect();
        let share = unless_usual(share?, USUAL_FALSE_POSITIVES);
        let false_positives = share.filter(|_| !columns.is_empty());
        Some(BloomFilters {
            columns,
            false_positives,
        })
    }

    fn has_no_filter(&self, kind: &DataType) -> Option<&'static str> {
        Some(match kind {
            DataType::Boolean => "is a boolean: a filter of two values keeps nobody from looking",
            DataType::Timestamp(..) if self.timestamps == TimestampType::Int96 => {
                "is written as INT96, for which readers look into no filter"
            }
            kind if kind.is_nested() => "has parts: a filter is of values without parts",
            _ => return None,
        })
    }

    fn sorted_by(&self, table: &mut FormatTable<'_, '_>) -> Option<Vec<SortedBy>> {
        let refused = |path: &[String], kind: &DataType| self.has_no_order(path, kind);
        let found = self.list(table, "sorted_by", SORTED_MAX, direction, refused);
        let sorted = found?.into_iter();
        let sorted = sorted.map(|(column, descending)| SortedBy { column, descending });
        Some(sorted.collect())
    }

    fn has_no_order(&self, path: &[String], kind: &DataType) -> Option<&'static str> {
        Some(match kind {
            _ if path.len() > 1 => "is a field of a struct: rows are sorted by columns",
            DataType::Timestamp(..) if self.timestamps == TimestampType::Int96 => {
                "is written as INT96, for which Parquet knows no order"
            }
            kind if kind.is_nested() => "has parts: rows are sorted by values without parts",
            _ => return None,
        })
    }

    /// The columns that a list names, as they are declared. `refused` says why one of a type cannot be named.
    fn list(
        &self,
        table: &mut FormatTable<'_, '_>,
        key: &'static str,
        max: usize,
        split: fn(&str) -> (&str, bool),
        refused: impl Fn(&[String], &DataType) -> Option<&'static str>,
    ) -> Option<Vec<(String, bool)>> {
        let is_there = table.has(key);
        let written = table.list(key);
        let mut is_sound = true;
        if is_there && self.is_learned {
            let message = format!("`{key}` is for a schema that is written down");
            let help = "a schema that is learned takes what comes: write the columns, or remove it";
            table.fault(table.place_of(key), message, Some(help));
            return None;
        }
        if written.len() > max {
            let message = format!("`{key}` names more than {max} columns");
            table.fault(table.place_of(key), message, None);
            is_sound = false;
        }
        let (mut found, mut names) = (Vec::new(), BTreeSet::new());
        for text in &written {
            let place = text.origin.place(None);
            let (name, flag) = split(&text.value);
            let Some(column) = self.column(table, name, &place, &refused) else {
                is_sound = false;
                continue;
            };
            if !names.insert(column.clone()) {
                let message = format!("`{key}` names the column `{column}` twice");
                table.fault(place, message, None);
                is_sound = false;
            }
            found.push((column, flag));
        }
        is_sound.then_some(found)
    }

    fn column(
        &self,
        table: &FormatTable<'_, '_>,
        name: &str,
        place: &SourceSpan,
        refused: impl Fn(&[String], &DataType) -> Option<&'static str>,
    ) -> Option<String> {
        let Some(fields) = &self.fields else {
            return Some(name.to_owned());
        };
        let Some((path, kind)) = find(fields, name) else {
            let columns: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            let message = format!("the schema has no column `{name}`");
            let help = choose(name, &columns, '`');
            table.fault(place.clone(), message, Some(&help));
            return None;
        };
        if let Some(why) = refused(&path, kind) {
            table.fault(place.clone(), format!("`{name}` {why}"), None);
            return None;
        }
        Some(path.join("."))
    }
}

/// A column, and whether its greatest value comes first: `ts`, `ts asc`, `ts desc`.
fn direction(text: &str) -> (&str, bool) {
    match text.trim_end().rsplit_once([' ', '\t']) {
        Some((name, word)) if word.eq_ignore_ascii_case("desc") => (name.trim(), true),
        Some((name, word)) if word.eq_ignore_ascii_case("asc") => (name.trim(), false),
        _ => (text.trim(), false),
    }
}
