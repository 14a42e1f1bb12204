//! The metrics of a stream that reads from Kinesis.

use std::sync::Arc;

use metrics::{Gauge, Label};

use super::{Metrics, Total, name};

/// The metrics of one Kinesis source: looked up once, then plain atomics. Cheap to clone; clones count
/// together. What is read again after a recovery counts again.
#[derive(Clone, Debug)]
pub struct KinesisMetrics {
    /// Requests for records.
    pub requests: Total,
    /// Records read as Kinesis counts them: an aggregate is one.
    pub records: Total,
    /// Their bytes.
    pub bytes: Total,
    /// Requests that Kinesis refused because they were too many or too large.
    pub throttles: Total,
    /// Iterators that had expired and were made anew.
    pub expired_iterators: Total,
    /// Records that were aggregates of the Kinesis Producer Library.
    pub aggregates: Total,
    /// Records that look like aggregates and are not sound: delivered as they are.
    pub broken_aggregates: Total,
    /// Records of aggregates whose key belongs to another shard: delivered, where KCL drops them.
    pub foreign_records: Total,
    /// Shards of which records were gone before they were read.
    pub retention_gaps: Total,
    /// Starts that found no position of the stream.
    pub fresh_starts: Total,
    /// Shards that are being read.
    pub open_shards: Level,
    metrics: Arc<Metrics>,
    stream: Arc<str>,
}

impl KinesisMetrics {
    /// The handles of delivery stream `stream`.
    pub fn new(metrics: &Arc<Metrics>, stream: &str) -> Self {
        let labels = || vec![Label::new("stream", stream.to_owned())];
        let total = |name| Total::new(metrics.counter(name, labels()));
        Self {
            requests: total(name::KINESIS_REQUESTS),
            records: total(name::KINESIS_RECORDS),
            bytes: total(name::KINESIS_BYTES),
            throttles: total(name::KINESIS_THROTTLES),
            expired_iterators: total(name::KINESIS_EXPIRED_ITERATORS),
            aggregates: total(name::KINESIS_AGGREGATES),
            broken_aggregates: total(name::KINESIS_BROKEN_AGGREGATES),
            foreign_records: total(name::KINESIS_FOREIGN_RECORDS),
            retention_gaps: total(name::KINESIS_RETENTION_GAPS),
            fresh_starts: total(name::KINESIS_FRESH_STARTS),
            open_shards: Level::new(metrics.gauge(name::KINESIS_OPEN_SHARDS, labels())),
            metrics: Arc::clone(metrics),
            stream: stream.into(),
        }
    }

    /// How far behind reading of one shard is.
    pub fn behind(&self, shard: &str) -> Behind {
        let labels = vec![
            Label::new("stream", self.stream.to_string()),
            Label::new("shard", shard.to_owned()),
        ];
        Behind(self.metrics.gauge(name::KINESIS_BEHIND, labels))
    }
}

/// A gauge that goes up and down with what exists.
#[derive(Clone, Debug)]
pub struct Level(Gauge);

impl Level {
    pub(super) fn new(gauge: Gauge) -> Self {
        Self(gauge)
    }

    /// So many there are.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point by format"
    )]
    pub fn set(&self, count: usize) {
        self.0.set(count as f64);
    }

    /// There is one more, until it is dropped.
    pub fn count(&self) -> Counted {
        self.0.increment(1.0);
        Counted(self.0.clone())
    }
}

/// Counts one of a gauge for as long as it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// The gauge of a shard; it falls to 0 when dropped.
#[derive(Debug)]
pub struct Behind(Gauge);

impl Behind {
    /// What Kinesis said last, in ms.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point by format"
    )]
    pub fn set(&self, behind_ms: i64) {
        self.0.set(behind_ms.max(0) as f64 / 1000.0);
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.0.set(0.0);
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
}
