//! Every metric by name, unit and help text, and the typed handles that count.
//!
//! Names follow Firehose's `CloudWatch` metrics in Prometheus style. Bytes and records are counted
//! in the size and number that the producer sent. Counters start at zero with the process.

mod coordination;
mod level;
mod transform;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::failure::ErrorOutputType;
use crate::telemetry::StatusSnapshot;
pub use coordination::CoordinationMetrics;
pub use level::{Counted, Lag, LevelGauge};
pub use transform::TransformMetrics;

/// Upper bounds of the buckets of every `_seconds` histogram: from a call of a fast module to a
/// publication that had to wait.
const SECONDS: [f64; 17] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// The names, in one place; every other mention is one of these constants.
mod name {
    pub(super) const INCOMING_REQUESTS: &str = "firehose_incoming_requests_total";
    pub(super) const INCOMING_RECORDS: &str = "firehose_incoming_records_total";
    pub(super) const INCOMING_BYTES: &str = "firehose_incoming_bytes_total";
    pub(super) const REFUSED_RECORDS: &str = "firehose_refused_records_total";
    pub(super) const TURNED_AWAY: &str = "firehose_turned_away_requests_total";
    pub(super) const PUT: &str = "firehose_put_seconds";
    pub(super) const READ_RECORDS: &str = "firehose_read_records_total";
    pub(super) const DELIVERED_RECORDS: &str = "firehose_delivered_records_total";
    pub(super) const DELIVERED_BYTES: &str = "firehose_delivered_bytes_total";
    pub(super) const DELIVERED_OBJECTS: &str = "firehose_delivered_objects_total";
    pub(super) const FAILED_RECORDS: &str = "firehose_failed_records_total";
    pub(super) const DROPPED_RECORDS: &str = "firehose_dropped_records_total";
    pub(super) const SEALED_EARLY: &str = "firehose_sealed_early_total";
    pub(super) const JOURNAL_LOST: &str = "firehose_journal_lost_records_total";
    pub(super) const JOURNAL_DOUBTFUL: &str = "firehose_journal_doubtful_total";
    pub(super) const QUARANTINED: &str = "firehose_quarantined_records_total";
    pub(super) const FLIPPED_BITS: &str = "firehose_spool_flipped_bits_total";
    pub(super) const COPIES_MENDED: &str = "firehose_checkpoint_copies_mended_total";
    pub(super) const PUBLISH_RETRIES: &str = "firehose_publish_retries_total";
    pub(super) const CHECKPOINT: &str = "firehose_checkpoint_seconds";
    pub(super) const READY: &str = "firehose_stream_ready";
    pub(super) const OPEN_PARTITIONS: &str = "firehose_open_partitions";
    pub(super) const SEALED_WAITING: &str = "firehose_sealed_waiting";
    pub(super) const JOURNAL_BYTES: &str = "firehose_journal_bytes";
    pub(super) const SPOOL_BYTES: &str = "firehose_spool_bytes";
    pub(super) const OLDEST_UNPUBLISHED: &str = "firehose_oldest_unpublished_seconds";
    pub(super) const TRANSFORM_CALLS: &str = "firehose_transform_calls_total";
    pub(super) const TRANSFORM_CALL: &str = "firehose_transform_call_seconds";
    pub(super) const TRANSFORM_RECORDS_IN: &str = "firehose_transform_incoming_records_total";
    pub(super) const TRANSFORM_BYTES_IN: &str = "firehose_transform_incoming_bytes_total";
    pub(super) const TRANSFORM_OUTCOMES: &str = "firehose_transform_outcomes_total";
    pub(super) const TRANSFORM_RECORDS_OUT: &str = "firehose_transform_outgoing_records_total";
    pub(super) const TRANSFORM_BYTES_OUT: &str = "firehose_transform_outgoing_bytes_total";
    pub(super) const TRANSFORM_BROKEN_CALLS: &str = "firehose_transform_broken_calls_total";
    pub(super) const TRANSFORM_RETRIES: &str = "firehose_transform_retries_total";
    pub(super) const TRANSFORM_STARTS: &str = "firehose_transform_instance_starts_total";
    pub(super) const TRANSFORM_LOG_LINES: &str = "firehose_transform_suppressed_log_lines_total";
    pub(super) const TRANSFORM_MEMORY: &str = "firehose_transform_memory_peak_bytes";
    pub(super) const TRANSFORM_COMPILE: &str = "firehose_transform_compile_seconds";
    pub(super) const TRANSFORM_CACHED: &str = "firehose_transform_compile_cached";
    pub(super) const TRANSFORM_RELOADS: &str = "firehose_transform_reloads_total";
    pub(super) const LEASES: &str = "firehose_leases";
    pub(super) const LEASES_TAKEN: &str = "firehose_leases_taken_total";
    pub(super) const LEASES_LOST: &str = "firehose_leases_lost_total";
    pub(super) const SHARED_CHECKPOINTS: &str = "firehose_shared_checkpoints_total";
    pub(super) const SCHEMA_VERSION: &str = "firehose_schema_version";
    pub(super) const CONNECTIONS: &str = "firehose_http_connections";
    pub(super) const BUILD_INFO: &str = "firehose_build_info";
}

/// Kind, unit and help text of every metric.
#[rustfmt::skip]
const DESCRIPTIONS: [(&str, MetricKind, Unit, &str); 48] = [
    (name::INCOMING_REQUESTS, MetricKind::Counter, Unit::Count, "Put requests answered with success."),
    (name::INCOMING_RECORDS, MetricKind::Counter, Unit::Count, "Records accepted (durable in the journal) and answered."),
    (name::INCOMING_BYTES, MetricKind::Counter, Unit::Bytes, "Bytes of accepted records."),
    (name::REFUSED_RECORDS, MetricKind::Counter, Unit::Count, "Records refused for want of room or because of a disk error; the producer was told."),
    (name::TURNED_AWAY, MetricKind::Counter, Unit::Count, "Put requests refused because all memory for bodies was taken; those of Firehose's API count for each stream."),
    (name::PUT, MetricKind::Histogram, Unit::Seconds, "From a checked put request to its durable acceptance."),
    (name::READ_RECORDS, MetricKind::Counter, Unit::Count, "Records read from the source and applied."),
    (name::DELIVERED_RECORDS, MetricKind::Counter, Unit::Count, "Records in published data objects."),
    (name::DELIVERED_BYTES, MetricKind::Counter, Unit::Bytes, "Bytes of published data objects as stored."),
    (name::DELIVERED_OBJECTS, MetricKind::Counter, Unit::Count, "Published objects: data, error and backup."),
    (name::FAILED_RECORDS, MetricKind::Counter, Unit::Count, "Records sent to the error prefix, by error output type."),
    (name::DROPPED_RECORDS, MetricKind::Counter, Unit::Count, "Records that a parser or a transform dropped on purpose."),
    (name::SEALED_EARLY, MetricKind::Counter, Unit::Count, "Batches sealed before size or interval because the spool was full."),
    (name::JOURNAL_LOST, MetricKind::Counter, Unit::Count, "Accepted, undelivered records that damage on disk has cost for sure, as far as the records around them tell."),
    (name::JOURNAL_DOUBTFUL, MetricKind::Counter, Unit::Count, "Places of the journal that are not whole, and nothing tells what stood there: writes broken off unacknowledged, or damage."),
    (name::QUARANTINED, MetricKind::Counter, Unit::Count, "Accepted records that were damaged in the spool, set aside and not delivered."),
    (name::FLIPPED_BITS, MetricKind::Counter, Unit::Count, "Flipped bits of the spool, put right by their checksum."),
    (name::COPIES_MENDED, MetricKind::Counter, Unit::Count, "Damage to one copy of the checkpoint store, mended from the other."),
    (name::PUBLISH_RETRIES, MetricKind::Counter, Unit::Count, "Publications tried again after an error."),
    (name::CHECKPOINT, MetricKind::Histogram, Unit::Seconds, "Time to make a checkpoint durable, the spool's fsync included."),
    (name::READY, MetricKind::Gauge, Unit::Count, "1 while the stream runs, 0 while it is stalled or stopped."),
    (name::OPEN_PARTITIONS, MetricKind::Gauge, Unit::Count, "Partitions with an open batch."),
    (name::SEALED_WAITING, MetricKind::Gauge, Unit::Count, "Sealed objects that wait to be published."),
    (name::JOURNAL_BYTES, MetricKind::Gauge, Unit::Bytes, "Bytes of the journal on disk."),
    (name::SPOOL_BYTES, MetricKind::Gauge, Unit::Bytes, "Bytes of the spool on disk."),
    (name::OLDEST_UNPUBLISHED, MetricKind::Gauge, Unit::Seconds, "Age of the oldest accepted record that is not yet published, in the journal too; 0 if all are."),
    (name::TRANSFORM_CALLS, MetricKind::Counter, Unit::Count, "Calls of the module with records."),
    (name::TRANSFORM_CALL, MetricKind::Histogram, Unit::Seconds, "Time that one call took."),
    (name::TRANSFORM_RECORDS_IN, MetricKind::Counter, Unit::Count, "Records that the module was given, each once."),
    (name::TRANSFORM_BYTES_IN, MetricKind::Counter, Unit::Bytes, "Bytes of these records."),
    (name::TRANSFORM_OUTCOMES, MetricKind::Counter, Unit::Count, "What became of these records: one came out, many, it was dropped, it failed."),
    (name::TRANSFORM_RECORDS_OUT, MetricKind::Counter, Unit::Count, "Records that came out."),
    (name::TRANSFORM_BYTES_OUT, MetricKind::Counter, Unit::Bytes, "Bytes of the records that came out."),
    (name::TRANSFORM_BROKEN_CALLS, MetricKind::Counter, Unit::Count, "Calls that broke, by cause; the instance went with each."),
    (name::TRANSFORM_RETRIES, MetricKind::Counter, Unit::Count, "Calls that were made again because the module refused the batch."),
    (name::TRANSFORM_STARTS, MetricKind::Counter, Unit::Count, "Instances started."),
    (name::TRANSFORM_LOG_LINES, MetricKind::Counter, Unit::Count, "Log lines of the module that were not written because there were too many."),
    (name::TRANSFORM_MEMORY, MetricKind::Gauge, Unit::Bytes, "The most memory that an instance has held."),
    (name::TRANSFORM_COMPILE, MetricKind::Gauge, Unit::Seconds, "Time that the last compilation of the module took."),
    (name::TRANSFORM_CACHED, MetricKind::Gauge, Unit::Count, "1 if the last compilation came from the cache."),
    (name::TRANSFORM_RELOADS, MetricKind::Counter, Unit::Count, "Replacements of the module while the stream ran, by result."),
    (name::LEASES, MetricKind::Gauge, Unit::Count, "Shards of a shared stream that this process holds the leases of."),
    (name::LEASES_TAKEN, MetricKind::Counter, Unit::Count, "Leases taken, new ones, expired ones and those of other workers."),
    (name::LEASES_LOST, MetricKind::Counter, Unit::Count, "Leases lost: another worker took them, or they could not be renewed in time."),
    (name::SHARED_CHECKPOINTS, MetricKind::Counter, Unit::Count, "Checkpoints that the lease table has."),
    (name::SCHEMA_VERSION, MetricKind::Gauge, Unit::Count, "Version of the columns that were learned from the records; 0 where none are. It grows by one when they take more."),
    (name::CONNECTIONS, MetricKind::Gauge, Unit::Count, "Open HTTP connections."),
    (name::BUILD_INFO, MetricKind::Gauge, Unit::Count, "1; the label names the version."),
];

/// What a source says of a metric that it keeps. The row in `docs/src/metrics.md` is checked against its name.
#[derive(Clone, Copy, Debug)]
pub struct MetricInfo {
    /// The name: `firehose_SOURCE_…`.
    pub name: &'static str,
    /// What is counted or measured.
    pub unit: Unit,
    /// One sentence.
    pub help: &'static str,
}

/// The process's metrics: makes the handles and renders the page.
pub struct Metrics {
    recorder: PrometheusRecorder,
    page: PrometheusHandle,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Metrics {
    /// An empty set of metrics. Nothing global: each daemon (and test) has its own.
    pub fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
            .build_recorder();
        for (name, kind, unit, help) in DESCRIPTIONS {
            let (name, unit) = (KeyName::from_const_str(name), Some(unit));
            match kind {
                MetricKind::Counter => recorder.describe_counter(name, unit, help.into()),
                MetricKind::Gauge => recorder.describe_gauge(name, unit, help.into()),
                MetricKind::Histogram => recorder.describe_histogram(name, unit, help.into()),
            }
        }
        let metrics = Self {
            page: recorder.handle(),
            recorder,
        };
        let version = Label::from_static_parts("version", env!("CARGO_PKG_VERSION"));
        metrics.gauge(name::BUILD_INFO, vec![version]).set(1.0);
        Ok(metrics)
    }

    /// The page in Prometheus' text format.
    pub fn render(&self) -> String {
        self.page.render()
    }

    /// Folds raw histogram samples into buckets. They pile up until then, so the HTTP server calls
    /// this every few seconds, scraped or not.
    pub fn run_upkeep(&self) {
        self.page.run_upkeep();
    }

    /// The gauge of open HTTP connections.
    pub fn connections(&self) -> Gauge {
        self.gauge(name::CONNECTIONS, Vec::new())
    }

    /// A counter of `stream` that a source keeps of itself.
    pub fn source_counter(&self, about: &MetricInfo, stream: &str) -> Total {
        let name = KeyName::from_const_str(about.name);
        self.recorder
            .describe_counter(name, Some(about.unit), about.help.into());
        Total::new(self.counter(about.name, vec![Label::new("stream", stream.to_owned())]))
    }

    /// A gauge of `stream` that a source keeps of itself.
    pub fn source_level(&self, about: &MetricInfo, stream: &str) -> LevelGauge {
        self.describe_gauge(about);
        LevelGauge::new(self.gauge(about.name, vec![Label::new("stream", stream.to_owned())]))
    }

    /// A gauge of seconds that a source keeps of one of its shards.
    pub fn source_lag(&self, about: &MetricInfo, stream: &str, shard: &str) -> Lag {
        self.describe_gauge(about);
        let labels = vec![
            Label::new("stream", stream.to_owned()),
            Label::new("shard", shard.to_owned()),
        ];
        Lag::new(self.gauge(about.name, labels))
    }

    fn describe_gauge(&self, about: &MetricInfo) {
        let name = KeyName::from_const_str(about.name);
        self.recorder
            .describe_gauge(name, Some(about.unit), about.help.into());
    }

    fn counter(&self, name: &'static str, labels: Vec<Label>) -> Counter {
        self.recorder
            .register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: Vec<Label>) -> Gauge {
        self.recorder
            .register_gauge(&Key::from_parts(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: Vec<Label>) -> Histogram {
        self.recorder
            .register_histogram(&Key::from_parts(name, labels), &METADATA)
    }
}

const METADATA: Metadata<'static> = Metadata::new("firehose", metrics::Level::INFO, None);

/// A counter that can also be read, so that a status needs no second book.
#[derive(Clone, Debug)]
pub struct Total {
    shown: Counter,
    total: Arc<AtomicU64>,
}

impl Total {
    fn new(shown: Counter) -> Self {
        Self {
            shown,
            total: Arc::default(),
        }
    }

    /// Counts `count` more.
    pub fn add(&self, count: u64) {
        self.shown.increment(count);
        self.total.fetch_add(count, Ordering::Relaxed);
    }

    /// The count since the process began.
    pub fn get(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// A histogram of durations.
#[derive(Clone, Debug)]
pub struct Timing(Histogram);

impl Timing {
    /// Notes one duration.
    pub fn record(&self, took: Duration) {
        self.0.record(took.as_secs_f64());
    }

    /// Notes the time since `start`.
    pub fn since(&self, start: Instant) {
        self.record(start.elapsed());
    }
}

/// The metrics of one delivery stream: looked up once, then plain atomics. Cheap to clone; clones
/// count together.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    /// Put requests answered with success.
    pub incoming_requests: Total,
    /// Records accepted and answered.
    pub incoming_records: Total,
    /// Bytes of accepted records.
    pub incoming_bytes: Total,
    /// Records refused.
    pub refused_records: Total,
    /// Requests that there was no memory for.
    pub turned_away: Total,
    /// From a checked put request to its durable acceptance.
    pub put: Timing,
    /// Records read from the source and applied.
    pub read_records: Total,
    /// Records in published data objects.
    pub delivered_records: Total,
    /// Bytes of published data objects as stored.
    pub delivered_bytes: Total,
    /// Published objects of any kind.
    pub delivered_objects: Total,
    /// Records dropped on purpose.
    pub dropped_records: Total,
    /// Batches sealed early.
    pub sealed_early: Total,
    /// Accepted records that damage in the journal has cost.
    pub journal_lost: Total,
    /// Ends of the journal that were not whole.
    pub journal_doubtful: Total,
    /// Accepted records that were damaged in the spool and set aside.
    pub quarantined: Total,
    /// Flipped bits of the spool that were put right.
    pub flipped_bits: Total,
    /// Damage to one copy of the checkpoint store.
    pub copies_mended: Total,
    /// Publications tried again.
    pub publish_retries: Total,
    /// Time to make a checkpoint durable.
    pub checkpoint: Timing,
    failed_records: [Total; ErrorOutputType::ALL.len()],
    gauges: Gauges,
}

/// Gauges that follow the stream's status.
#[derive(Clone, Debug)]
struct Gauges {
    ready: Gauge,
    open_partitions: Gauge,
    sealed_waiting: Gauge,
    journal_bytes: Gauge,
    spool_bytes: Gauge,
    oldest_unpublished: Gauge,
    schema_version: Gauge,
}

impl StreamMetrics {
    /// The handles of delivery stream `stream`. Asking twice for the same stream gives handles to
    /// the same series, but [`Total::get`] reads only what its own clones counted.
    pub fn new(metrics: &Metrics, stream: &str) -> Self {
        let labels = || vec![Label::new("stream", stream.to_owned())];
        let total = |name| Total::new(metrics.counter(name, labels()));
        let timing = |name| Timing(metrics.histogram(name, labels()));
        let gauge = |name| metrics.gauge(name, labels());
        Self {
            incoming_requests: total(name::INCOMING_REQUESTS),
            incoming_records: total(name::INCOMING_RECORDS),
            incoming_bytes: total(name::INCOMING_BYTES),
            refused_records: total(name::REFUSED_RECORDS),
            turned_away: total(name::TURNED_AWAY),
            put: timing(name::PUT),
            read_records: total(name::READ_RECORDS),
            delivered_records: total(name::DELIVERED_RECORDS),
            delivered_bytes: total(name::DELIVERED_BYTES),
            delivered_objects: total(name::DELIVERED_OBJECTS),
            dropped_records: total(name::DROPPED_RECORDS),
            sealed_early: total(name::SEALED_EARLY),
            journal_lost: total(name::JOURNAL_LOST),
            journal_doubtful: total(name::JOURNAL_DOUBTFUL),
            quarantined: total(name::QUARANTINED),
            flipped_bits: total(name::FLIPPED_BITS),
            copies_mended: total(name::COPIES_MENDED),
            publish_retries: total(name::PUBLISH_RETRIES),
            checkpoint: timing(name::CHECKPOINT),
            failed_records: ErrorOutputType::ALL.map(|kind| {
                let kind = Label::from_static_parts("type", kind.as_str());
                let labels = vec![Label::new("stream", stream.to_owned()), kind];
                Total::new(metrics.counter(name::FAILED_RECORDS, labels))
            }),
            gauges: Gauges {
                ready: gauge(name::READY),
                open_partitions: gauge(name::OPEN_PARTITIONS),
                sealed_waiting: gauge(name::SEALED_WAITING),
                journal_bytes: gauge(name::JOURNAL_BYTES),
                spool_bytes: gauge(name::SPOOL_BYTES),
                oldest_unpublished: gauge(name::OLDEST_UNPUBLISHED),
                schema_version: gauge(name::SCHEMA_VERSION),
            },
        }
    }

    /// The counter of records sent to the error prefix as `kind`.
    pub fn failed_records(&self, kind: ErrorOutputType) -> &Total {
        &self.failed_records[kind as usize]
    }

    /// The counts of records sent to the error prefix, in the order of [`ErrorOutputType::ALL`].
    pub fn failed_totals(&self) -> [u64; ErrorOutputType::ALL.len()] {
        self.failed_records.each_ref().map(Total::get)
    }

    /// Sets the gauges from a status; done for every scrape.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point by format"
    )]
    pub fn observe(&self, status: &StatusSnapshot) {
        let gauges = &self.gauges;
        gauges
            .ready
            .set(if status.state.is_ready() { 1.0 } else { 0.0 });
        gauges.open_partitions.set(status.open_partitions as f64);
        gauges.sealed_waiting.set(status.sealed_waiting as f64);
        gauges.journal_bytes.set(status.journal_bytes as f64);
        gauges.spool_bytes.set(status.spool_bytes as f64);
        gauges.schema_version.set(f64::from(status.schema_version));
        let age_ms = status.oldest_unpublished_age_ms.unwrap_or(0);
        gauges.oldest_unpublished.set(age_ms as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::StreamState;

    #[test]
    fn every_metric_appears_with_its_help_type_and_value() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let stream = StreamMetrics::new(&metrics, "clicks");
        CoordinationMetrics::new(&metrics, "clicks").held.set(1);
        stream.incoming_records.add(3);
        stream
            .failed_records(ErrorOutputType::FormatConversionFailed)
            .add(2);
        stream.put.record(Duration::from_millis(3));
        stream.checkpoint.record(Duration::from_millis(30));
        stream.observe(&StatusSnapshot {
            oldest_unpublished_age_ms: Some(1500),
            state: StreamState::Stalled { cause: "x".into() },
            ..StatusSnapshot::default()
        });
        TransformMetrics::new(&metrics, "clicks", "a.wasm", &["trap"])
            .call
            .record(Duration::from_micros(80));
        metrics.connections().set(1.0);
        let page = metrics.render();
        for (name, kind, _, help) in DESCRIPTIONS {
            assert!(
                page.contains(&format!("# HELP {name} {help}\n")),
                "{name}: {page}"
            );
            let kind = format!("{kind:?}").to_lowercase();
            assert!(
                page.contains(&format!("# TYPE {name} {kind}\n")),
                "{name}: {page}"
            );
        }
        for line in [
            "firehose_incoming_records_total{stream=\"clicks\"} 3",
            "firehose_failed_records_total{stream=\"clicks\",type=\"format-conversion-failed\"} 2",
            "firehose_failed_records_total{stream=\"clicks\",type=\"processing-failed\"} 0",
            "firehose_put_seconds_bucket{stream=\"clicks\",le=\"0.0025\"} 0",
            "firehose_put_seconds_bucket{stream=\"clicks\",le=\"0.005\"} 1",
            "firehose_oldest_unpublished_seconds{stream=\"clicks\"} 1.5",
            "firehose_stream_ready{stream=\"clicks\"} 0",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line}: {page}");
        }
    }

    #[test]
    fn clones_count_together_and_each_error_type_has_its_own_counter() {
        let metrics = Metrics::new().unwrap();
        let stream = StreamMetrics::new(&metrics, "clicks");
        let clone = stream.clone();
        for (index, kind) in ErrorOutputType::ALL.into_iter().enumerate() {
            clone.failed_records(kind).add(index as u64 + 1);
        }
        assert_eq!(stream.failed_totals(), [1, 2, 3, 4, 5]);
    }
}
