//! Health, readiness, metrics and the status page.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::escaped::Escaped;
use super::{ApiState, fields, json, stream};
use crate::telemetry::{FailureSample, KnownFailure, StatusSnapshot};

/// `GET /healthz`: the process is alive and answers.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &json!({ "status": "alive" }))
}

/// `GET /readyz`: 200 if every stream runs, else 503 with what each of the others says.
pub(super) async fn readyz(State(state): State<Arc<ApiState>>) -> Response {
    let mut streams = serde_json::Map::new();
    let mut ready = true;
    for (name, status, _) in state.shown() {
        let snapshot = status.snapshot();
        ready &= snapshot.state.is_ready();
        streams.insert(name.to_owned(), stream::health(&snapshot.state).into());
    }
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &json!({ "ready": ready, "streams": streams }))
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn metrics(State(state): State<Arc<ApiState>>) -> Response {
    for (name, stream, metrics) in state.shown() {
        let snapshot = stream.snapshot();
        metrics.observe(&snapshot);
        if let Some(catalog) = &snapshot.catalog {
            state
                .metrics
                .observe_catalog(name, catalog, state.clock.now_ms());
        }
        state.metrics.observe_fields(name, &stream.fields());
        state.metrics.observe_drift(name, &stream.drift());
    }
    let text = state.metrics.render();
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response()
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>firehose</title>
<meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"5\">
<style>
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222}
h1{font-size:1.3rem}h2{font-size:1.1rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .7rem;border-bottom:1px solid #ddd;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code{overflow-wrap:anywhere}
.running{color:#176d2b}.stalled,.stopped{color:#b3261e;font-weight:600}small{color:#666}
@media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}th,td{border-color:#3a3d44}
.running{color:#6fd08c}.stalled,.stopped{color:#ff8a80}small{color:#999}}
</style></head><body>
";

/// `GET /`: the status page. One page, no script, nothing fetched from elsewhere.
pub(super) async fn page(State(state): State<Arc<ApiState>>) -> Response {
    let mut html = String::from(HEAD);
    let version = env!("CARGO_PKG_VERSION");
    let now_ms = state.clock.now_ms();
    let _ = write!(
        html,
        "<h1>firehose <small>{version}</small></h1>\n<table>\n<tr><th>delivery stream<th>state\
         <th class=n>records in<th class=n>delivered<th class=n>failed<th class=n>open partitions\
         <th class=n>waiting<th class=n>journal<th class=n>spool<th class=n>oldest unpublished\
         <th>last object</tr>\n"
    );
    for (name, stream, _) in state.shown() {
        row(&mut html, name, &stream.snapshot(), now_ms);
    }
    html.push_str("</table>\n");
    failures(&mut html, &state, now_ms);
    fields::table(&mut html, &state);
    fields::drift_table(&mut html, &state);
    catalogs(&mut html, &state);
    if state.streams.is_empty() {
        html.push_str("<p>No delivery stream is defined in firehose.toml.</p>\n");
    }
    html.push_str(
        "<p><small>Put records: <code>POST /streams/NAME/records</code>, one a line, or Amazon \
         Data Firehose's API on <code>POST /</code>. Also <code>GET /streams/NAME</code>, <a href=\"/metrics\">/metrics</a>, \
         <a href=\"/readyz\">/readyz</a>, <a href=\"/healthz\">/healthz</a>.</small></p>\n\
         </body></html>\n",
    );
    // Nothing on the page may load anything: keys of objects are shown on it.
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    let headers: [(HeaderName, &str); 3] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, html).into_response()
}

fn row(html: &mut String, name: &str, status: &StatusSnapshot, now_ms: i64) {
    let state = status.state.as_str();
    let _ = write!(
        html,
        "<tr><td>{}<td><span class={state}>{state}</span>",
        Escaped(name)
    );
    for text in [status.state.cause(), status.state.advice()]
        .into_iter()
        .flatten()
    {
        let _ = write!(html, "<br><small>{}</small>", Escaped(text));
    }
    let failed: u64 = status.records_failed.iter().sum();
    let age = status
        .oldest_unpublished_age_ms
        .map_or_else(|| "–".to_owned(), duration);
    let _ = write!(
        html,
        "<td class=n>{}<td class=n>{}<td class=n>{failed}<td class=n>{}<td class=n>{}\
         <td class=n>{}<td class=n>{}<td class=n>{age}<td>",
        status.records_in,
        status.records_delivered,
        status.open_partitions,
        status.sealed_waiting,
        size(status.journal_bytes),
        size(status.spool_bytes),
    );
    match &status.last_object {
        None => html.push('–'),
        Some(object) => {
            let ago = u64::try_from(now_ms.saturating_sub(object.published_ms)).unwrap_or(0);
            let _ = write!(
                html,
                "<code>{}</code><br><small>{} records, {}, {} ago</small>",
                Escaped(&object.key),
                object.records,
                size(object.bytes),
                duration(ago),
            );
        }
    }
    html.push_str("</tr>\n");
}

/// What failed, by stream and code, if anything did.
fn failures(html: &mut String, state: &ApiState, now_ms: i64) {
    let mut shown = state
        .shown()
        .flat_map(|(name, stream, _)| {
            let known = stream.failures().into_iter();
            known.map(move |known| (name, known))
        })
        .peekable();
    if shown.peek().is_none() {
        return;
    }
    html.push_str(
        "<h2>Failed records</h2>\n<table>\n<tr><th>delivery stream<th>code<th class=n>records\
         <th>why<th>the first record<th>the last one</tr>\n",
    );
    for (name, known) in shown {
        failure(html, name, &known, now_ms);
    }
    html.push_str("</table>\n");
}

/// What is told to catalogs, if any stream has one.
fn catalogs(html: &mut String, state: &ApiState) {
    let shown = state.shown();
    let shown = shown.filter_map(|(name, stream, _)| Some((name, stream.snapshot().catalog?)));
    let mut shown = shown.peekable();
    if shown.peek().is_none() {
        return;
    }
    html.push_str(
        "<h2>Catalogs</h2>\n<table>\n<tr><th>delivery stream<th>table<th class=n>partitions told\
         <th class=n>waiting<th class=n>left out<th>why</tr>\n",
    );
    for (name, catalog) in shown {
        let _ = write!(
            html,
            "<tr><td><a href=\"/streams/{0}\">{0}</a><td>{1}<td class=n>{2}<td class=n>{3}<td class=n>{4}<td>",
            Escaped(name),
            Escaped(&catalog.name),
            catalog.told,
            catalog.waiting,
            catalog.left_out,
        );
        if let Some(error) = &catalog.error {
            let _ = write!(
                html,
                "<span class=stalled>not told now</span>: {}<br>",
                Escaped(error)
            );
        }
        if let Some(error) = &catalog.columns_error {
            let _ = write!(
                html,
                "<span class=stalled>columns not told now</span>: {}<br>",
                Escaped(error)
            );
        }
        for conflict in &catalog.conflicts {
            let _ = write!(html, "other type: {}<br>", Escaped(conflict));
        }
        if let Some(why) = &catalog.why_left_out {
            let _ = write!(html, "left out: {}", Escaped(why));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}

fn failure(html: &mut String, name: &str, known: &KnownFailure, now_ms: i64) {
    let KnownFailure {
        failed,
        last_ms,
        object,
        ..
    } = known;
    let kind = &failed.kind;
    let _ = write!(
        html,
        "<tr><td><a href=\"/streams/{0}\">{0}</a><td>{1}<br><code>{2}</code>",
        Escaped(name),
        kind.output_type.as_str(),
        Escaped(kind.code()),
    );
    if let Some((module, code)) = kind.transform() {
        let _ = write!(html, "<br><code>{code}</code> {}", Escaped(module));
    }
    let _ = write!(html, "<td class=n>{}<td>", failed.records);
    for (message, records) in &failed.reasons.told {
        let _ = write!(html, "{records} × {}<br>", Escaped(message));
    }
    if failed.reasons.others > 0 {
        let _ = write!(html, "{} × other reasons", failed.reasons.others);
    }
    html.push_str("<td><code>");
    let FailureSample { bytes, length } = &failed.sample;
    let _ = write!(html, "{}", Escaped(&String::from_utf8_lossy(bytes)));
    let ago = u64::try_from(now_ms.saturating_sub(*last_ms)).unwrap_or(0);
    let _ = writeln!(
        html,
        "</code><br><small>{}{length} bytes</small><td>{} ago<br><code>{}</code></tr>",
        if failed.sample.is_cut() { "… " } else { "" },
        duration(ago),
        Escaped(object),
    );
}

/// Bytes for people: three digits and a unit.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            let decimals = usize::from(unit != "B" && value < 100.0);
            return format!("{value:.decimals$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Milliseconds for people.
fn duration(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
