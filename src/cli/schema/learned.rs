//! Columns that a stream has learned: of the daemon where it runs, and of the state folder where it does not.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use axum::http::Uri;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::super::put::find_daemon;
use super::super::{CommandError, runtime};
use crate::checkpoint::{CheckpointStore, STORE};
use crate::config::{Config, StreamSettings};
use crate::daemon;
use crate::disk::HostDisk;
use crate::schema::SchemaVersion;

/// Bytes of an answer: all versions that are kept, of the largest schemas that there are in practice.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What the daemon answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    versions: Vec<SchemaVersion>,
    #[serde(default)]
    error: String,
}

/// The versions that the columns of a stream have had, oldest first.
pub(super) fn versions(
    config: &Config,
    file: &Path,
    stream: &StreamSettings,
) -> Result<Vec<SchemaVersion>, CommandError> {
    // Whoever has the lock has the state: what a daemon writes is not to be read beside it.
    if let Ok(_lock) = daemon::lock(&config.state_dir) {
        let dir = config.state_dir.join(&stream.name);
        if !dir.join(STORE).exists() {
            return Ok(Vec::new());
        }
        let disk = HostDisk::new(&dir).with_context(|| format!("open {}", dir.display()))?;
        let state = CheckpointStore::peek(&disk, Path::new(STORE));
        let state = state.with_context(|| format!("read the state of {}", stream.name))?;
        return Ok(state.schemas);
    }
    let url = find_daemon(None, Some(file))?;
    Ok(runtime()?.block_on(ask(&url, &stream.name))?)
}

async fn ask(url: &str, stream: &str) -> anyhow::Result<Vec<SchemaVersion>> {
    let uri: Uri = format!("{url}/streams/{stream}/schema").parse()?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let asked = client.get(uri.clone()).await;
    let answer = asked.with_context(|| {
        format!(
            "the state is in use, and {uri} cannot be reached: does the daemon listen elsewhere?"
        )
    })?;
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
    let body = body.collect().await;
    let body = body.map_err(|error| anyhow!("the answer of {uri} broke off: {error}"))?;
    let answer: Answer = serde_json::from_slice(&body.to_bytes())
        .with_context(|| format!("{uri} gave something else than versions"))?;
    if !answer.error.is_empty() {
        return Err(anyhow!("{uri}: {}", answer.error));
    }
    Ok(answer.versions)
}
