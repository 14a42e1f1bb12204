//! `GET /streams/NAME/schema`: the columns that a stream has learned, or read of a Glue table, version by version, as JSON.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::{ApiState, json, stream};

/// The versions, oldest first; none where the columns are declared or not known yet. 404 for a stream that is not there.
pub(super) async fn show(State(state): State<Arc<ApiState>>, Path(name): Path<String>) -> Response {
    let Some((_, status, _)) = state.shown().find(|(shown, ..)| *shown == name) else {
        let error = state.no_such_stream(&name, |_| true);
        return json(StatusCode::NOT_FOUND, &json!({ "error": error }));
    };
    let versions = status.schema().into_iter();
    let versions: Vec<Value> = versions
        .map(|version| {
            let mut shown = json!({ "version": version.version, "at": stream::time(version.at_ms), "at_ms": version.at_ms,
                    "hash": version.hash(), "columns": version.columns, "changes": version.changes });
            if let Some(table) = &version.table {
                shown["table"] = json!(table);
            }
            shown
        })
        .collect();
    json(
        StatusCode::OK,
        &json!({ "name": name, "versions": versions }),
    )
}
