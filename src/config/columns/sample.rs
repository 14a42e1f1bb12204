//! Columns that are to be learned, as the config says it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::format::FormatTable;
use super::super::spans::StageField;
use super::{INFER, Sample};

const RECORDS_BOUNDS: RangeInclusive<u64> = 1..=10_000_000;
const BYTES_BOUNDS: RangeInclusive<u64> = (64 << 10)..=(256 << 20);
const TIME_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

/// What belongs to a schema that is learned.
const OF_SAMPLE: &[&str] = &[
    "infer_records",
    "infer_bytes",
    "infer_time",
    "infer_columns",
];

/// Rules that go with columns that are written down alone, and why.
const OF_DECLARED: [(&str, &str); 3] = [
    (
        "deserializer",
        "what is learned is read as openx reads it, which takes what comes: write the columns, or remove it",
    ),
    (
        "case_insensitive",
        "names that differ in case are learned as one column: write the columns, or remove it",
    ),
    (
        "column_to_json_key",
        "a column that is learned has the name of its field: write the columns, or remove it",
    ),
];

impl FormatTable<'_, '_> {
    /// `infer_records`, `infer_bytes` and `infer_time`, which belong to a schema that is learned; some rules do not.
    pub(super) fn sample(&mut self, schema: Option<&str>) -> Option<Sample> {
        let records = self.integer("infer_records", RECORDS_BOUNDS);
        let bytes = self.size("infer_bytes", BYTES_BOUNDS);
        let time = self.duration("infer_time", TIME_BOUNDS);
        if schema.is_none_or(|text| text.trim() != INFER) {
            for key in OF_SAMPLE.iter().filter(|key| self.has(key)) {
                let message = format!("`{key}` is for a schema that is learned");
                let help = "write schema = \"infer\", or remove it";
                self.fault(self.place_of(key), message, Some(help));
            }
            return None;
        }
        for &(rule, help) in OF_DECLARED.iter().filter(|(rule, _)| self.has(rule)) {
            let message = format!("`{rule}` is for a schema that is written down");
            self.fault(self.place_of(rule), message, Some(help));
        }
        let default = Sample::default();
        Some(Sample {
            records: records.map_or(default.records, |records| records.value),
            bytes: bytes.map_or(default.bytes, |bytes| bytes.value),
            time: time.map_or(default.time, |time| time.value),
        })
    }

    /// `infer_columns`: what is wrong in it is told when the format is compiled, as of a schema.
    pub(super) fn known_columns(&mut self) -> Option<String> {
        let Self {
            table,
            stream,
            spans,
            ..
        } = self;
        spans.keep(stream, StageField::Schema, table, "infer_columns")
    }
}
