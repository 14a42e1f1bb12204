//! Columns that are to be learned, as the config says it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::format::FormatTable;
use super::read::RULES;
use super::{INFER, Sample};

const RECORDS_BOUNDS: RangeInclusive<u64> = 1..=10_000_000;
const BYTES_BOUNDS: RangeInclusive<u64> = (64 << 10)..=(256 << 20);
const TIME_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

impl FormatTable<'_, '_> {
    /// `infer_records`, `infer_bytes` and `infer_time`, which belong to a schema that is learned; rules for columns that the
    /// config knows do not.
    pub(super) fn sample(&mut self, schema: Option<&str>) -> Option<Sample> {
        let records = self.integer("infer_records", RECORDS_BOUNDS);
        let bytes = self.size("infer_bytes", BYTES_BOUNDS);
        let time = self.duration("infer_time", TIME_BOUNDS);
        if schema.is_none_or(|text| text.trim() != INFER) {
            let bounds = ["infer_records", "infer_bytes", "infer_time"];
            for bound in bounds.into_iter().filter(|bound| self.has(bound)) {
                let message = format!("`{bound}` is for a schema that is learned");
                let help = "write schema = \"infer\", or remove it";
                self.fault(self.place_of(bound), message, Some(help));
            }
            return None;
        }
        for rule in RULES.iter().filter(|rule| self.has(rule)) {
            let message = format!("`{rule}` is for a schema that is written down");
            let help = "a schema that is learned takes what comes: write the columns, or remove it";
            self.fault(self.place_of(rule), message, Some(help));
        }
        let default = Sample::default();
        Some(Sample {
            records: records.map_or(default.records, |records| records.value),
            bytes: bytes.map_or(default.bytes, |bytes| bytes.value),
            time: time.map_or(default.time, |time| time.value),
        })
    }
}
