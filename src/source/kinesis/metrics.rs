//! The metrics of a stream that reads from Kinesis.

use std::sync::Arc;

use metrics::Unit;

use crate::telemetry::{Lag, LevelGauge, MetricInfo, Metrics, Total};

const REQUESTS: MetricInfo = count(
    "firehose_kinesis_requests_total",
    "Requests to Kinesis for records.",
);
const RECORDS: MetricInfo = count(
    "firehose_kinesis_records_total",
    "Records read from Kinesis; an aggregate is one.",
);
const BYTES: MetricInfo = MetricInfo {
    name: "firehose_kinesis_bytes_total",
    unit: Unit::Bytes,
    help: "Bytes of these records.",
};
const THROTTLES: MetricInfo = count(
    "firehose_kinesis_throttles_total",
    "Requests that Kinesis refused for being too many.",
);
const EXPIRED_ITERATORS: MetricInfo = count(
    "firehose_kinesis_expired_iterators_total",
    "Iterators that had expired and were made anew.",
);
const AGGREGATES: MetricInfo = count(
    "firehose_kinesis_aggregates_total",
    "Records that were aggregates of the Kinesis Producer Library.",
);
const BROKEN_AGGREGATES: MetricInfo = count(
    "firehose_kinesis_broken_aggregates_total",
    "Records that began like an aggregate and were none; they are delivered as they came.",
);
const FOREIGN_RECORDS: MetricInfo = count(
    "firehose_kinesis_foreign_records_total",
    "Records of aggregates whose key belongs to another shard; they are delivered.",
);
const RETENTION_GAPS: MetricInfo = count(
    "firehose_kinesis_retention_gaps_total",
    "Times that a shard's stream had forgotten what was not read yet, if anything had come: its retention was too short.",
);
const FRESH_STARTS: MetricInfo = count(
    "firehose_kinesis_fresh_starts_total",
    "Starts that found no position of the Kinesis stream in the state.",
);
const OPEN_SHARDS: MetricInfo = count(
    "firehose_kinesis_open_shards",
    "Shards that are being read.",
);
const BEHIND: MetricInfo = MetricInfo {
    name: "firehose_kinesis_behind_seconds",
    unit: Unit::Seconds,
    help: "How far behind its end a shard is read, by Kinesis' own account; where it cannot be read, since when.",
};

const fn count(name: &'static str, help: &'static str) -> MetricInfo {
    MetricInfo {
        name,
        unit: Unit::Count,
        help,
    }
}

/// The metrics of one Kinesis source: looked up once, then plain atomics. Cheap to clone; clones count
/// together. What is read again after a recovery counts again.
#[derive(Clone, Debug)]
pub(super) struct KinesisMetrics {
    /// Requests for records.
    pub(super) requests: Total,
    /// Records read as Kinesis counts them: an aggregate is one.
    pub(super) records: Total,
    /// Their bytes.
    pub(super) bytes: Total,
    /// Requests that Kinesis refused because they were too many or too large.
    pub(super) throttles: Total,
    /// Iterators that had expired and were made anew.
    pub(super) expired_iterators: Total,
    /// Records that were aggregates of the Kinesis Producer Library.
    pub(super) aggregates: Total,
    /// Records that look like aggregates and are not sound: delivered as they are.
    pub(super) broken_aggregates: Total,
    /// Records of aggregates whose key belongs to another shard: delivered, where KCL drops them.
    pub(super) foreign_records: Total,
    /// Shards of which records were gone before they were read.
    pub(super) retention_gaps: Total,
    /// Starts that found no position of the stream.
    pub(super) fresh_starts: Total,
    /// Shards that are being read.
    pub(super) open_shards: LevelGauge,
    metrics: Arc<Metrics>,
    stream: Arc<str>,
}

impl KinesisMetrics {
    /// The handles of delivery stream `stream`.
    pub(super) fn new(metrics: &Arc<Metrics>, stream: &str) -> Self {
        let total = |about: MetricInfo| metrics.source_counter(&about, stream);
        Self {
            requests: total(REQUESTS),
            records: total(RECORDS),
            bytes: total(BYTES),
            throttles: total(THROTTLES),
            expired_iterators: total(EXPIRED_ITERATORS),
            aggregates: total(AGGREGATES),
            broken_aggregates: total(BROKEN_AGGREGATES),
            foreign_records: total(FOREIGN_RECORDS),
            retention_gaps: total(RETENTION_GAPS),
            fresh_starts: total(FRESH_STARTS),
            open_shards: metrics.source_level(&OPEN_SHARDS, stream),
            metrics: Arc::clone(metrics),
            stream: stream.into(),
        }
    }

    /// How far behind reading of one shard is, as Kinesis said last.
    pub(super) fn behind(&self, shard: &str) -> Lag {
        self.metrics.source_lag(&BEHIND, &self.stream, shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_its_own_lag_which_ends_with_it() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let kinesis = KinesisMetrics::new(&metrics, "clicks");
        let (one, two) = (kinesis.behind("one"), kinesis.behind("two"));
        one.set(1500);
        two.set(20);
        let line = |shard: &str, value: &str| {
            format!(
                "firehose_kinesis_behind_seconds{{stream=\"clicks\",shard=\"{shard}\"}} {value}\n"
            )
        };
        assert!(metrics.render().contains(&line("one", "1.5")));
        drop(one);
        let page = metrics.render();
        assert!(page.contains(&line("one", "0")), "{page}");
        assert!(page.contains(&line("two", "0.02")), "{page}");
    }

    #[test]
    fn each_metric_appears_with_its_help() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let kinesis = KinesisMetrics::new(&metrics, "clicks");
        kinesis.open_shards.set(1);
        kinesis.behind("shard").set(3);
        let page = metrics.render();
        for about in [REQUESTS, BYTES, RETENTION_GAPS, OPEN_SHARDS, BEHIND] {
            let line = format!("# HELP {} {}\n", about.name, about.help);
            assert!(page.contains(&line), "{line}: {page}");
        }
    }
}
