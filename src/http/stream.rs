//! `GET /streams/NAME`: one delivery stream, its counts and what failed, as JSON.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{ApiState, StreamInfo, fields, json};
use crate::failure::ErrorOutputType;
use crate::telemetry::{
    CatalogStanding, FailureSample, KnownFailure, Reasons, StatusSnapshot, StreamState as Health,
};
use crate::telemetry::{StreamMetrics, StreamStatus, TableAccount};

/// The state of one stream; 404 for one that is not there.
pub(super) async fn show(State(state): State<Arc<ApiState>>, Path(name): Path<String>) -> Response {
    let Some((_, stream, metrics)) = state.shown().find(|(shown, ..)| *shown == name) else {
        let error = state.no_such_stream(&name, |_| true);
        return json(StatusCode::NOT_FOUND, &json!({ "error": error }));
    };
    let shown = describe(&name, stream, metrics, state.streams.get(&name));
    let mut answer = json(StatusCode::OK, &shown);
    // It holds pieces of records, which may be anything: nobody is to take them for a page.
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The part of a stream's state that `/readyz` shows too.
pub(super) fn health(state: &Health) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("state".into(), state.as_str().into());
    for (name, text) in [("cause", state.cause()), ("advice", state.advice())] {
        if let Some(text) = text {
            shown.insert(name.into(), text.into());
        }
    }
    shown
}

fn describe(
    name: &str,
    stream: &dyn StreamStatus,
    metrics: &StreamMetrics,
    info: Option<&StreamInfo>,
) -> Value {
    // Counted before the failures are asked for: what was read then is among them.
    let snapshot = stream.snapshot();
    let mut shown = health(&snapshot.state);
    shown.insert("name".into(), name.into());
    if let Some(StreamInfo { settings, .. }) = info {
        shown.insert("source".into(), settings.source.kind().word().into());
        shown.insert("format".into(), settings.format.word().into());
        let buffering = &settings.buffering;
        let interval_ms = u64::try_from(buffering.interval.as_millis()).unwrap_or(u64::MAX);
        let buffering = json!({ "sizeBytes": buffering.size, "intervalMs": interval_ms });
        shown.insert("buffering".into(), buffering);
    }
    shown.insert("since".into(), time(snapshot.since_ms));
    shown.insert("records".into(), records(&snapshot, metrics));
    let last_object = snapshot.last_object.as_ref().map(|object| {
        json!({ "key": object.key, "records": object.records, "bytes": object.bytes,
                "publishedAt": time(object.published_ms) })
    });
    let numbers = json!({
        "openPartitions": snapshot.open_partitions,
        "objectsWaiting": snapshot.sealed_waiting,
        "objectsPublished": metrics.delivered_objects.get(),
        "journalBytes": snapshot.journal_bytes,
        "spoolBytes": snapshot.spool_bytes,
        "oldestUnpublishedMs": snapshot.oldest_unpublished_age_ms,
        "lastCheckpointAt": snapshot.last_checkpoint_ms.map(time),
        "lastObject": last_object,
    });
    if let Value::Object(numbers) = numbers {
        shown.extend(numbers);
    }
    if let Some(second) = snapshot.watermark {
        shown.insert("watermark".into(), time(second.saturating_mul(1000)));
    }
    if snapshot.schema_version > 0 {
        shown.insert("schemaVersion".into(), snapshot.schema_version.into());
    }
    if let Some(TableAccount {
        name,
        read_ms,
        error,
    }) = &snapshot.table
    {
        let table = json!({ "name": name, "readAt": read_ms.map(time), "trouble": error });
        shown.insert("glueTable".into(), table);
    }
    if let Some(catalog) = &snapshot.catalog {
        shown.insert("catalog".into(), catalog_status(catalog));
    }
    shown.insert("fields".into(), fields::status(&stream.fields()));
    shown.insert("drift".into(), fields::drift(&stream.drift()));
    let failures = stream.failures();
    shown.insert("failures".into(), failures.iter().map(failure).collect());
    shown.into()
}

/// What is told to the stream's catalog.
fn catalog_status(catalog: &CatalogStanding) -> Value {
    json!({
        "table": catalog.name,
        "waiting": catalog.waiting,
        "waitingSince": catalog.waiting_since_ms.map(time),
        "told": catalog.told,
        "leftOut": catalog.left_out,
        "whyLeftOut": catalog.why_left_out,
        "trouble": catalog.error,
        "columnsTrouble": catalog.columns_error,
        "conflicts": catalog.conflicts,
    })
}

fn records(snapshot: &StatusSnapshot, metrics: &StreamMetrics) -> Value {
    let by_type = ErrorOutputType::ALL.iter().zip(snapshot.records_failed);
    let by_type: Map<String, Value> = by_type
        .map(|(kind, count)| (kind.as_str().to_owned(), count.into()))
        .collect();
    json!({
        "accepted": metrics.incoming_records.get(),
        "refused": metrics.refused_records.get(),
        "read": snapshot.records_in,
        "delivered": snapshot.records_delivered,
        "dropped": metrics.dropped_records.get(),
        "late": metrics.late_records.get(),
        "failed": snapshot.records_failed.iter().sum::<u64>(),
        "failedByType": by_type,
    })
}

/// What is known of one kind of failure.
fn failure(known: &KnownFailure) -> Value {
    let failed = &known.failed;
    let Reasons { told, others } = &failed.reasons;
    let reasons: Vec<Value> = told
        .iter()
        .map(|(message, count)| json!({ "message": message, "count": count }))
        .collect();
    let mut shown = json!({
        "type": failed.kind.output_type.as_str(),
        "code": failed.kind.code(),
        "count": failed.records,
        "firstMessage": failed.reasons.first(),
        "lastMessage": failed.last_message,
        "reasons": reasons,
        "otherReasons": others,
        "sample": sample(&failed.sample),
        "firstAt": time(known.first_ms),
        "lastAt": time(known.last_ms),
        "object": known.object,
    });
    if let Some((module, code)) = failed.kind.transform() {
        shown["transform"] = module.into();
        shown["transformCode"] = code.into();
    }
    shown
}

/// The beginning of a record: as text, or in base64 where it is none.
fn sample(sample: &FailureSample) -> Value {
    let mut shown = json!({ "bytes": sample.length, "shortened": sample.is_cut() });
    match sample.text() {
        Some(text) => shown["text"] = text.into(),
        None => shown["base64"] = STANDARD.encode(&sample.bytes).into(),
    }
    shown
}

/// Milliseconds since the epoch in RFC 3339.
pub(super) fn time(ms: i64) -> Value {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => format!("{time:.3}").into(),
        Err(_) => ms.into(),
    }
}
