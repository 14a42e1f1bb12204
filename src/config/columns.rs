//! What the config says of declared columns, whichever format writes them.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::format::FormatTable;

/// The keys that [`FormatTable::columns`] asks for: those of every format that has a schema.
pub(super) const KEYS: &[&str] = &[
    "schema",
    "schema_file",
    "infer_records",
    "infer_bytes",
    "infer_time",
];

/// What stands in place of columns that are to be learned.
const INFER: &str = "infer";

const RECORDS_BOUNDS: RangeInclusive<u64> = 1..=10_000_000;
const BYTES_BOUNDS: RangeInclusive<u64> = (64 << 10)..=(256 << 20);
const TIME_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

/// Declared columns, and how records become rows of them. As a part of a format's durable form it is flat among the keys
/// of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSettings {
    /// Hive column syntax: `name type, name type …`; the word `infer` where they are to be learned.
    pub schema: String,
    /// What they are to be learned from. No batch is opened before they are.
    #[serde(skip)]
    pub sample: Option<Sample>,
    /// They were learned: objects name them by their hash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learned: bool,
}

/// How much of a stream's first records says what columns it has: what comes first ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// So many records.
    pub records: u64,
    /// So many bytes of them.
    pub bytes: u64,
    /// So long after the first one.
    pub time: Duration,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            records: 10_000,
            bytes: 8 << 20,
            time: Duration::from_secs(10),
        }
    }
}

impl ColumnSettings {
    /// Columns in Hive's syntax, and else what is so where the config says nothing.
    pub fn of(schema: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            sample: None,
            learned: false,
        }
    }

    /// The same with columns that were learned, in Hive's syntax.
    #[must_use]
    pub fn with_learned(&self, schema: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            sample: None,
            learned: true,
        }
    }
}

impl FormatTable<'_, '_> {
    /// Declared columns: `schema`, or the text of `schema_file`, and how records become rows of them. What is in the text is
    /// judged when the format is compiled.
    pub fn columns(&mut self) -> Option<ColumnSettings> {
        let schema = self.schema();
        let records = self.integer("infer_records", RECORDS_BOUNDS);
        let bytes = self.size("infer_bytes", BYTES_BOUNDS);
        let time = self.duration("infer_time", TIME_BOUNDS);
        let is_inferred = schema.as_ref().is_some_and(|text| text.trim() == INFER);
        if !is_inferred {
            let bounds = ["infer_records", "infer_bytes", "infer_time"];
            for bound in bounds.into_iter().filter(|bound| self.has(bound)) {
                let message = format!("`{bound}` is for a schema that is learned");
                let help = "write schema = \"infer\", or remove it";
                self.fault(self.place_of(bound), message, Some(help));
            }
            return schema.map(ColumnSettings::of);
        }
        let default = Sample::default();
        let sample = Sample {
            records: records.map_or(default.records, |records| records.value),
            bytes: bytes.map_or(default.bytes, |bytes| bytes.value),
            time: time.map_or(default.time, |time| time.value),
        };
        Some(ColumnSettings {
            sample: Some(sample),
            ..ColumnSettings::of(INFER)
        })
    }
}
