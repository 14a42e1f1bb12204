//! What an object looks like inside: records in, object bytes out.
//!
//! Formats are behind one port ([`Compiler`], [`Encode`]), each in a file of its own, and stand in one list
//! ([`FORMATS`]). What one looks like to the rest is its [`Shape`].

use std::ops::Deref;
use std::sync::Arc;

use crate::config::{ColumnSettings, FormatSettings};
use crate::schema;

mod archive;
mod avro;
mod codec;
mod columns;
mod csv;
mod delimiter;
mod durable;
mod frame;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod gzip;
mod json;
mod lines;
mod parquet;
mod port;
mod raw;
mod snappy;
mod text;

pub use avro::{AvroCompression, AvroSettings};
pub use columns::{
    Changed, Columns, Familiar, FieldPath, Finding, Inference, Remark, Row, Style, Survey, Trial,
    ValueCount, Widening,
};
pub use csv::CsvSettings;
pub use delimiter::Delimiter;
pub use json::JsonSettings;
pub use parquet::{
    BloomFilters, ParquetCompression, ParquetOptions, ParquetSettings, SortedBy, TimestampType,
    WriterVersion,
};
pub use port::{Compiler, Encode, Encoder, Footer, FormatFault, Head, RUN_BYTES, Shape};
pub use raw::RawSettings;
pub use text::Compression;

/// The formats that there are, in the order in which messages name them; the first is that of a table without `type`.
pub const FORMATS: &[&dyn Compiler] = &[
    &json::JsonKind,
    &raw::RawKind,
    &parquet::ParquetKind,
    &csv::CsvFormatKind,
    &avro::AvroKind,
];

/// Formats of Firehose's that are not built in: why, and what to write instead.
pub const ABSENT: &[(&str, [&str; 2])] = &[(
    "orc",
    [
        "no ORC is written: there is one writer of it for Rust (orc-rust 0.9), which knows no lists, maps, structs and \
         decimals, and leaves out the statistics by which readers pass over what they do not need",
        "write type = \"parquet\", which takes the same columns: whatever reads ORC in a lake reads that, too (Athena, Hive, \
         Spark, Trino)",
    ],
)];

/// The format of a stream that says nothing about it: JSON lines without compression.
pub fn of_streams() -> FormatSettings {
    let settings = JsonSettings {
        compression: Compression::None,
        delimiter: Delimiter::Newline,
    };
    settings.into()
}

/// The format of a backup that says nothing about it: each record as it came and a line feed.
pub fn of_backups() -> FormatSettings {
    let settings = RawSettings {
        compression: Compression::None,
        delimiter: Delimiter::Newline,
    };
    settings.into()
}

/// The format of error objects, whose records are finished lines.
pub fn of_errors() -> FormatSettings {
    let settings = RawSettings {
        compression: Compression::None,
        delimiter: Delimiter::None,
    };
    settings.into()
}

/// The settings whose durable form this is. `None`: of no format that this version knows.
pub fn of_row(row: &str) -> Option<FormatSettings> {
    FORMATS.iter().find_map(|format| format.of_row(row))
}

/// A compiled format: immutable, shared by all workers of a stream.
#[derive(Clone, Debug)]
pub struct Format {
    encode: Arc<dyn Encode>,
    /// The name of its columns, where they were learned or read.
    schema: Option<Arc<str>>,
}

impl Format {
    /// What a [`Compiler`] makes of settings.
    pub fn new(encode: impl Encode + 'static) -> Self {
        Self {
            encode: Arc::new(encode),
            schema: None,
        }
    }

    /// The name of its columns in the metadata of objects, where they were learned or read.
    pub fn schema(&self) -> Option<&Arc<str>> {
        self.schema.as_ref()
    }

    /// Compiles settings. The fault says which bytes of the schema are wrong and why.
    /// Two columns stand in for those that are not known yet.
    pub fn compile(settings: &FormatSettings) -> Result<Self, FormatFault> {
        let later = settings.columns().filter(|columns| columns.come_later());
        let stand_in = later.and_then(|columns| settings.with_columns(stand_in(columns)));
        let settings = stand_in.as_ref().unwrap_or(settings);
        let mut compiled = FORMATS.iter().filter_map(|format| format.compile(settings));
        // Settings come from the reader of the config, which reads them by the same list.
        let unknown = || FormatFault {
            at: None,
            message: format!("no format that this version knows is {:?}", settings.word()),
            help: None,
        };
        let mut compiled = compiled.next().unwrap_or_else(|| Err(unknown()))?;
        let learned = settings.columns().filter(|columns| columns.learned);
        compiled.schema = learned.map(|columns| schema::hash(&columns.schema).into());
        Ok(compiled)
    }
}

/// What stands in for columns that are not known yet. Rules may name columns that these are not.
fn stand_in(columns: &ColumnSettings) -> ColumnSettings {
    let known = columns.known.as_deref();
    let known = known.map(|known| known.trim_end().trim_end_matches(','));
    // Places in what is known stay what they are.
    ColumnSettings::of(format!(
        "{}, stand_in_for_the_rest string",
        known.unwrap_or("unknown string")
    ))
}

impl Deref for Format {
    type Target = dyn Encode;

    fn deref(&self) -> &Self::Target {
        &*self.encode
    }
}

#[cfg(test)]
mod tests;
