//! Every metric by name, kind, unit and help text. Names follow Firehose's `CloudWatch` metrics in Prometheus style.

use metrics::Unit;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// The names, in one place; every other mention is one of these constants.
pub(super) mod name {
    pub(in crate::telemetry::metrics) const INCOMING_REQUESTS: &str =
        "firehose_incoming_requests_total";
    pub(in crate::telemetry::metrics) const INCOMING_RECORDS: &str =
        "firehose_incoming_records_total";
    pub(in crate::telemetry::metrics) const INCOMING_BYTES: &str = "firehose_incoming_bytes_total";
    pub(in crate::telemetry::metrics) const REFUSED_RECORDS: &str =
        "firehose_refused_records_total";
    pub(in crate::telemetry::metrics) const TURNED_AWAY: &str =
        "firehose_turned_away_requests_total";
    pub(in crate::telemetry::metrics) const PUT: &str = "firehose_put_seconds";
    pub(in crate::telemetry::metrics) const READ_RECORDS: &str = "firehose_read_records_total";
    pub(in crate::telemetry::metrics) const DELIVERED_RECORDS: &str =
        "firehose_delivered_records_total";
    pub(in crate::telemetry::metrics) const DELIVERED_BYTES: &str =
        "firehose_delivered_bytes_total";
    pub(in crate::telemetry::metrics) const DELIVERED_OBJECTS: &str =
        "firehose_delivered_objects_total";
    pub(in crate::telemetry::metrics) const FAILED_RECORDS: &str = "firehose_failed_records_total";
    pub(in crate::telemetry::metrics) const DROPPED_RECORDS: &str =
        "firehose_dropped_records_total";
    pub(in crate::telemetry::metrics) const LATE_RECORDS: &str = "firehose_late_records_total";
    pub(in crate::telemetry::metrics) const SEALED_EARLY: &str = "firehose_sealed_early_total";
    pub(in crate::telemetry::metrics) const JOURNAL_LOST: &str =
        "firehose_journal_lost_records_total";
    pub(in crate::telemetry::metrics) const JOURNAL_DOUBTFUL: &str =
        "firehose_journal_doubtful_total";
    pub(in crate::telemetry::metrics) const QUARANTINED: &str =
        "firehose_quarantined_records_total";
    pub(in crate::telemetry::metrics) const FLIPPED_BITS: &str =
        "firehose_spool_flipped_bits_total";
    pub(in crate::telemetry::metrics) const COPIES_MENDED: &str =
        "firehose_checkpoint_copies_mended_total";
    pub(in crate::telemetry::metrics) const PUBLISH_RETRIES: &str =
        "firehose_publish_retries_total";
    pub(in crate::telemetry::metrics) const CHECKPOINT: &str = "firehose_checkpoint_seconds";
    pub(in crate::telemetry::metrics) const READY: &str = "firehose_stream_ready";
    pub(in crate::telemetry::metrics) const OPEN_PARTITIONS: &str = "firehose_open_partitions";
    pub(in crate::telemetry::metrics) const SEALED_WAITING: &str = "firehose_sealed_waiting";
    pub(in crate::telemetry::metrics) const JOURNAL_BYTES: &str = "firehose_journal_bytes";
    pub(in crate::telemetry::metrics) const SPOOL_BYTES: &str = "firehose_spool_bytes";
    pub(in crate::telemetry::metrics) const OLDEST_UNPUBLISHED: &str =
        "firehose_oldest_unpublished_seconds";
    pub(in crate::telemetry::metrics) const TRANSFORM_CALLS: &str =
        "firehose_transform_calls_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_CALL: &str =
        "firehose_transform_call_seconds";
    pub(in crate::telemetry::metrics) const TRANSFORM_RECORDS_IN: &str =
        "firehose_transform_incoming_records_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_BYTES_IN: &str =
        "firehose_transform_incoming_bytes_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_OUTCOMES: &str =
        "firehose_transform_outcomes_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_RECORDS_OUT: &str =
        "firehose_transform_outgoing_records_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_BYTES_OUT: &str =
        "firehose_transform_outgoing_bytes_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_BROKEN_CALLS: &str =
        "firehose_transform_broken_calls_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_RETRIES: &str =
        "firehose_transform_retries_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_STARTS: &str =
        "firehose_transform_instance_starts_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_LOG_LINES: &str =
        "firehose_transform_suppressed_log_lines_total";
    pub(in crate::telemetry::metrics) const TRANSFORM_MEMORY: &str =
        "firehose_transform_memory_peak_bytes";
    pub(in crate::telemetry::metrics) const TRANSFORM_COMPILE: &str =
        "firehose_transform_compile_seconds";
    pub(in crate::telemetry::metrics) const TRANSFORM_CACHED: &str =
        "firehose_transform_compile_cached";
    pub(in crate::telemetry::metrics) const TRANSFORM_RELOADS: &str =
        "firehose_transform_reloads_total";
    pub(in crate::telemetry::metrics) const LEASES: &str = "firehose_leases";
    pub(in crate::telemetry::metrics) const LEASES_TAKEN: &str = "firehose_leases_taken_total";
    pub(in crate::telemetry::metrics) const LEASES_LOST: &str = "firehose_leases_lost_total";
    pub(in crate::telemetry::metrics) const SHARED_CHECKPOINTS: &str =
        "firehose_shared_checkpoints_total";
    pub(in crate::telemetry::metrics) const SCHEMA_VERSION: &str = "firehose_schema_version";
    pub(in crate::telemetry::metrics) const TABLE_READ: &str =
        "firehose_schema_table_read_timestamp_seconds";
    pub(in crate::telemetry::metrics) const TABLE_FAILURES: &str =
        "firehose_schema_table_failures_total";
    pub(in crate::telemetry::metrics) const CATALOG_WAITING: &str =
        "firehose_catalog_waiting_partitions";
    pub(in crate::telemetry::metrics) const WATERMARK: &str =
        "firehose_watermark_timestamp_seconds";
    pub(in crate::telemetry::metrics) const CATALOG_OLDEST: &str =
        "firehose_catalog_oldest_waiting_seconds";
    pub(in crate::telemetry::metrics) const CATALOG_TOLD: &str =
        "firehose_catalog_told_partitions_total";
    pub(in crate::telemetry::metrics) const CATALOG_LEFT_OUT: &str =
        "firehose_catalog_left_out_partitions_total";
    pub(in crate::telemetry::metrics) const CATALOG_FAILURES: &str =
        "firehose_catalog_failures_total";
    pub(in crate::telemetry::metrics) const CATALOG_WIDENED: &str =
        "firehose_catalog_widened_columns_total";
    pub(in crate::telemetry::metrics) const CATALOG_CONFLICTS: &str =
        "firehose_catalog_column_conflicts";
    pub(in crate::telemetry::metrics) const UNKNOWN_FIELDS: &str =
        "firehose_unknown_field_records_total";
    pub(in crate::telemetry::metrics) const MISSING_FIELDS: &str =
        "firehose_missing_field_records_total";
    pub(in crate::telemetry::metrics) const NULLED_FIELDS: &str =
        "firehose_nulled_field_records_total";
    pub(in crate::telemetry::metrics) const COERCED_FIELDS: &str =
        "firehose_coerced_field_records_total";
    pub(in crate::telemetry::metrics) const SCHEMA_DRIFT: &str = "firehose_schema_drift";
    pub(in crate::telemetry::metrics) const REFUSED_REQUESTS: &str =
        "firehose_http_refused_requests_total";
    pub(in crate::telemetry::metrics) const CONNECTIONS: &str = "firehose_http_connections";
    pub(in crate::telemetry::metrics) const BUILD_INFO: &str = "firehose_build_info";
}

/// Kind, unit and help text of every metric.
#[rustfmt::skip]
pub(super) const DESCRIPTIONS: [(&str, MetricKind, Unit, &str); 65] = [
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
    (name::LATE_RECORDS, MetricKind::Counter, Unit::Count, "Records of partitions that the watermark had passed."),
    (name::WATERMARK, MetricKind::Gauge, Unit::Count, "The time that the watermark has reached, in seconds since 1970, of the shard that is furthest behind; 0 where the stream has none, or no event was read."),
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
    (name::SCHEMA_VERSION, MetricKind::Gauge, Unit::Count, "Version of the columns that were learned from the records, or read of a Glue table; 0 where none are. It grows by one when they change."),
    (name::TABLE_READ, MetricKind::Gauge, Unit::Count, "When the Glue table of the columns was last read, in seconds since 1970; 0 where it was not since the process began, or there is none."),
    (name::TABLE_FAILURES, MetricKind::Counter, Unit::Count, "Attempts in vain to read the Glue table of the columns, or to take what it says."),
    (name::CATALOG_WAITING, MetricKind::Gauge, Unit::Count, "Partitions with published objects that the catalog has not been told of yet."),
    (name::CATALOG_OLDEST, MetricKind::Gauge, Unit::Seconds, "Since when the oldest of them waits; 0 if none does."),
    (name::CATALOG_TOLD, MetricKind::Counter, Unit::Count, "Partitions that the catalog knows since it was told, or has known before."),
    (name::CATALOG_LEFT_OUT, MetricKind::Counter, Unit::Count, "Partitions that the catalog is not told of, by reason."),
    (name::CATALOG_FAILURES, MetricKind::Counter, Unit::Count, "Failures to tell the catalog, by its code; all that may succeed later is tried again."),
    (name::CATALOG_WIDENED, MetricKind::Counter, Unit::Count, "Columns and fields that the catalog's table was given, or whose type was made wider there."),
    (name::CATALOG_CONFLICTS, MetricKind::Gauge, Unit::Count, "Columns and fields that have another type in the catalog's table than in objects, and that no rule brings together."),
    (name::UNKNOWN_FIELDS, MetricKind::Counter, Unit::Count, "Records with a field that no column takes, by its path."),
    (name::MISSING_FIELDS, MetricKind::Counter, Unit::Count, "Records without the field of a column, by its path."),
    (name::NULLED_FIELDS, MetricKind::Counter, Unit::Count, "Records in which a column is null because a value does not fit."),
    (name::COERCED_FIELDS, MetricKind::Counter, Unit::Count, "Records with a value of another kind than its column, which takes it all the same, by the column's path."),
    (name::SCHEMA_DRIFT, MetricKind::Gauge, Unit::Count, "1 while a sample of the records shows a field that no column takes, or a column that gets no values any more, by path and kind; 0 once that is over."),
    (name::REFUSED_REQUESTS, MetricKind::Counter, Unit::Count, "Requests refused because they came without a key, with a wrong one, or with one that is not for what they ask, by reason."),
    (name::CONNECTIONS, MetricKind::Gauge, Unit::Count, "Open HTTP connections."),
    (name::BUILD_INFO, MetricKind::Gauge, Unit::Count, "1; the label names the version."),
];
