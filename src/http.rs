//! The HTTP listener: Firehose's own API, line-wise puts, health, metrics, the status page.
//!
//! | request | answer |
//! |---|---|
//! | `POST /` | Amazon Data Firehose's AWS JSON 1.1 protocol (`http/api.rs`) |
//! | `POST /streams/NAME/records` | records as lines or as JSON (`http/records.rs`) |
//! | `GET /streams/NAME` | one stream, its counts and what failed (`http/stream.rs`) |
//! | `GET /streams/NAME/schema` | the columns that it has learned (`http/schema.rs`) |
//! | `GET /healthz` | 200 while the process lives |
//! | `GET /readyz` | 200, or 503 with the causes while a stream is stalled or stopped |
//! | `GET /metrics` | Prometheus text |
//! | `GET /` | the status page |
//!
//! Where the config has keys, who puts or has streams described must have one (`http/entry.rs`); all else is shown to
//! everybody, and nothing is encrypted. What pages of others make a browser send is refused (`http/cross_origin.rs`).

mod api;
mod bodies;
mod body;
mod connection_activity;
mod content;
mod cross_origin;
mod decoding;
mod entry;
mod escaped;
mod fields;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod lines;
mod observe;
mod places;
mod records;
mod schema;
mod server;
mod stream;
mod values;
mod watched;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use firehose_nearest::nearest;

use crate::clock::Clock;
use crate::config::{HttpKey, HttpSettings, StreamSettings};
use crate::printable::printable_json;
use crate::source::Intake;
use crate::telemetry::{Metrics, StreamMetrics, StreamStatus};

pub use server::{KEPT, serve};

/// Characters of a delivery stream's name.
const NAME_LENGTH_MAX: usize = 64;

/// One delivery stream as the HTTP listener sees it.
#[derive(Clone)]
pub struct StreamInfo {
    /// The stream's name.
    pub name: String,
    /// When its state was created, in milliseconds since the Unix epoch (`CreateTimestamp`).
    pub created_at_ms: i64,
    /// Its settings, for `DescribeDeliveryStream`.
    pub settings: StreamSettings,
    /// Its door; `None`: it reads from elsewhere, and takes records from nobody else.
    pub intake: Option<Arc<dyn Intake>>,
    /// Its state.
    pub status: Arc<dyn StreamStatus>,
    /// Its counters, shared with its pipeline.
    pub metrics: StreamMetrics,
}

impl fmt::Debug for StreamInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StreamInfo")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// State on disk of a stream that the config does not name: it is shown, and takes no records.
#[derive(Clone)]
pub struct Orphan {
    /// The stream's name.
    pub name: String,
    /// What is wrong.
    pub status: Arc<dyn StreamStatus>,
    /// Its gauges.
    pub metrics: StreamMetrics,
}

impl fmt::Debug for Orphan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Orphan")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Bounds on connections and bodies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at once. When all are taken the longest idle one gives way, or else the one that is slowest
    /// with a body or with taking answers; while all are busy, more get health, readiness and metrics, or 503.
    pub connections: usize,
    /// Bytes of request bodies in memory at once, all connections together; more wait, and make the slow give
    /// way.
    pub body_memory: usize,
    /// How long a request may wait for its share of `body_memory`.
    pub body_wait: Duration,
    /// How long a connection may be idle, or take to send a request's head.
    pub head: Duration,
    /// How long the next 32 KiB of a body may take, or its end: at least 1.1 KB come in a second.
    pub body_pace: Duration,
    /// How long a whole body may take.
    pub body_total: Duration,
    /// How long the client may take for the next 32 KiB of its answers, or for all there is of them, once they
    /// do not fit the socket's buffer any more.
    pub answer_pace: Duration,
    /// How long requests under way may take once a stop has begun.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: HttpSettings::default().connections,
            body_memory: 64 << 20,
            body_wait: Duration::from_secs(10),
            head: Duration::from_mins(1),
            body_pace: Duration::from_secs(30),
            body_total: Duration::from_mins(5),
            answer_pace: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// What the requests work on.
#[derive(Debug)]
pub struct ApiState {
    streams: BTreeMap<String, StreamInfo>,
    orphans: Vec<Orphan>,
    clock: Clock,
    metrics: Arc<Metrics>,
    limits: Limits,
    bodies: Arc<bodies::BodyMemory>,
    /// Whether all streams have been told of somebody turned away since the last was let in.
    told_all: AtomicBool,
    hosts: cross_origin::Hosts,
    keys: entry::Keys,
}

impl ApiState {
    /// The state for these streams.
    pub fn new(
        streams: impl IntoIterator<Item = StreamInfo>,
        clock: Clock,
        metrics: Arc<Metrics>,
        limits: Limits,
    ) -> Self {
        let streams = streams
            .into_iter()
            .map(|stream| (stream.name.clone(), stream))
            .collect();
        let bodies = bodies::BodyMemory::new(limits.body_memory, limits.body_wait);
        Self {
            streams,
            orphans: Vec::new(),
            clock,
            keys: entry::Keys::new(&[], &metrics),
            metrics,
            limits,
            bodies,
            told_all: AtomicBool::new(false),
            hosts: cross_origin::Hosts::new(Vec::new()),
        }
    }

    /// The same, and what else is to be shown.
    #[must_use]
    pub fn with_orphans(self, orphans: Vec<Orphan>) -> Self {
        Self { orphans, ..self }
    }

    /// The same, answering to these names too.
    #[must_use]
    pub fn with_hosts(self, listed: Vec<String>) -> Self {
        let hosts = cross_origin::Hosts::new(listed);
        Self { hosts, ..self }
    }

    /// The same, for those alone who have one of these keys.
    #[must_use]
    pub fn with_keys(self, keys: &[HttpKey]) -> Self {
        let keys = entry::Keys::new(keys, &self.metrics);
        Self { keys, ..self }
    }

    /// Everything that is shown: name, state, gauges.
    fn shown(&self) -> impl Iterator<Item = (&str, &dyn StreamStatus, &StreamMetrics)> {
        let streams = self.streams.values();
        let streams = streams.map(|stream| (&*stream.name, &*stream.status, &stream.metrics));
        let orphans = self.orphans.iter();
        streams.chain(orphans.map(|orphan| (&*orphan.name, &*orphan.status, &orphan.metrics)))
    }

    /// Tells a stream of a request that there was no memory for; all streams, where the request did not get as far as
    /// naming its stream.
    fn turned_away(&self, name: Option<&str>, error: &body::BodyError) {
        let is_busy = matches!(error, body::BodyError::Busy);
        if !is_busy && !matches!(error, body::BodyError::GaveWay) {
            return;
        }
        let is_its = |stream: &&StreamInfo| name.is_none_or(|name| name == stream.name);
        for stream in self.streams.values().filter(is_its) {
            let Some(intake) = &stream.intake else {
                continue;
            };
            stream.metrics.turned_away.add(1);
            // A client that gave way was slow, or had the most: that may be its own doing.
            if is_busy {
                let is_own = name.is_some();
                intake.turned_away(&error.to_string(), self.limits.body_wait, is_own);
            }
        }
        if is_busy && name.is_none() {
            self.told_all.store(true, Ordering::Relaxed);
        }
    }

    /// A body was read whole. If streams were told of somebody turned away who may have been another's, that is over.
    fn let_in(&self) {
        if self.told_all.load(Ordering::Relaxed) && self.told_all.swap(false, Ordering::Relaxed) {
            let intakes = self
                .streams
                .values()
                .filter_map(|stream| stream.intake.as_ref());
            intakes.for_each(|intake| intake.let_in());
        }
    }

    /// What is said of a stream that is not there, with the nearest name of those that may be told.
    fn no_such_stream(&self, name: &str, may_be_told: impl Fn(&str) -> bool) -> String {
        let names = self.streams.keys().map(String::as_str);
        let names = names.filter(|name| may_be_told(name));
        let hint = match nearest(name, names) {
            Some(near) => format!("; did you mean {near}?"),
            None => String::new(),
        };
        format!("no delivery stream is named {name:?}{hint}")
    }
}

/// The routes.
fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/", get(observe::page).post(api::answer))
        .route("/streams/{name}", get(stream::show))
        .route("/streams/{name}/schema", get(schema::show))
        .route("/streams/{name}/records", post(records::put))
        .route("/healthz", get(observe::healthz))
        .route("/readyz", get(observe::readyz))
        .route("/metrics", get(observe::metrics))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(
            Arc::clone(&state),
            cross_origin::keep_out,
        ))
        .with_state(state)
}

async fn no_such_path(uri: axum::http::Uri) -> Response {
    let error = format!(
        "no {} here: POST /streams/NAME/records, POST / (Amazon Data Firehose API), \
         GET /streams/NAME, /streams/NAME/schema, /healthz, /readyz, /metrics, /",
        uri.path()
    );
    json(
        StatusCode::NOT_FOUND,
        &serde_json::json!({ "error": error }),
    )
}

async fn wrong_method(method: axum::http::Method, uri: axum::http::Uri) -> Response {
    let error = format!(
        "{} does not take {method}: see the Allow header",
        uri.path()
    );
    json(
        StatusCode::METHOD_NOT_ALLOWED,
        &serde_json::json!({ "error": error }),
    )
}

/// A plain JSON answer with a newline at its end, for people with curl.
fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        printable_json(&format!("{value}\n")).into_owned(),
    )
        .into_response()
}
