//! The typed handles that count; every metric by name is in `described`.
//!
//! Bytes and records are counted in the size and number that the producer sent. Counters start at zero with the process.

mod catalog;
mod coordination;
mod described;
mod fields;
mod level;
mod refused;
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
pub use catalog::CatalogMetrics;
pub use coordination::CoordinationMetrics;
use described::{DESCRIPTIONS, MetricKind, name};
pub use level::{Counted, Lag, LevelGauge};
pub use refused::RefusedRequests;
pub use transform::TransformMetrics;

/// Upper bounds of the buckets of every `_seconds` histogram: from a call of a fast module to a
/// publication that had to wait.
const SECONDS: [f64; 17] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
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
    /// Records of partitions that the time of events had passed.
    pub late_records: Total,
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
    /// Attempts in vain to read the table of the columns, or to take what it says.
    pub table_failures: Total,
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
    watermark: Gauge,
    schema_version: Gauge,
    table_read: Gauge,
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
            late_records: total(name::LATE_RECORDS),
            sealed_early: total(name::SEALED_EARLY),
            journal_lost: total(name::JOURNAL_LOST),
            journal_doubtful: total(name::JOURNAL_DOUBTFUL),
            quarantined: total(name::QUARANTINED),
            flipped_bits: total(name::FLIPPED_BITS),
            copies_mended: total(name::COPIES_MENDED),
            publish_retries: total(name::PUBLISH_RETRIES),
            table_failures: total(name::TABLE_FAILURES),
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
                watermark: gauge(name::WATERMARK),
                schema_version: gauge(name::SCHEMA_VERSION),
                table_read: gauge(name::TABLE_READ),
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
        let read_ms = status.table.as_ref().and_then(|table| table.read_ms);
        gauges.table_read.set(read_ms.unwrap_or(0) as f64 / 1000.0);
        let age_ms = status.oldest_unpublished_age_ms.unwrap_or(0);
        gauges.oldest_unpublished.set(age_ms as f64 / 1000.0);
        gauges.watermark.set(status.watermark.unwrap_or(0) as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{
        CatalogStanding, DriftKind, FieldDrifts, FieldFate, FieldTally, StreamState,
    };

    #[test]
    fn every_metric_appears_with_its_help_type_and_value() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let stream = StreamMetrics::new(&metrics, "clicks");
        CoordinationMetrics::new(&metrics, "clicks").held.set(1);
        CatalogMetrics::new(&metrics, "clicks").failed("AccessDeniedException");
        metrics.observe_catalog("clicks", &CatalogStanding::default(), 0);
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
        RefusedRequests::new(&metrics).count("missing");
        let mut fields = FieldTally::default();
        for fate in FieldFate::ALL {
            fields.add(fate, Some("a"), 1);
        }
        metrics.observe_fields("clicks", &fields.iter().cloned().collect::<Vec<_>>());
        let drifts = FieldDrifts::default();
        drifts.begin(DriftKind::Missing, "a");
        metrics.observe_drift("clicks", &drifts.known());
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
            "firehose_schema_drift{stream=\"clicks\",kind=\"missing\",field=\"a\"} 1",
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
