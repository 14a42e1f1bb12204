//! Columns that a stream has learned, or read of a Glue table: of the daemon where it runs, and of the state folder where it
//! does not. Where daemons share the stream they are in its bucket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::super::put::find_daemon;
use super::super::{CommandError, runtime};
use crate::checkpoint::{CheckpointStore, MIRROR, STORE};
use crate::config::{Config, StreamSettings};
use crate::disk::HostDisk;
use crate::pipeline;
use crate::schema::SchemaVersion;

/// Bytes of an answer: all versions that are kept, of the largest schemas that there are in practice.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the daemon answers.
#[derive(Deserialize)]
struct Answer {
    versions: Vec<SchemaVersion>,
}

/// The versions that the columns of a stream have had, oldest first. Nothing is locked, made or changed for it.
pub(super) fn versions(
    config: &Config,
    file: &Path,
    stream: &StreamSettings,
) -> Result<Vec<SchemaVersion>, CommandError> {
    if let Some(shared) = stream.source.coordination() {
        // What one daemon knows of them may be old.
        let agreed = pipeline::agreed_versions(stream, &shared.table);
        let agreed = runtime()?.block_on(agreed).map_err(anyhow::Error::from);
        return Ok(agreed?);
    }
    // What a daemon writes is not to be read beside it: it is asked first.
    let url = find_daemon(None, Some(file))?;
    if let Ok(told) = runtime()?.block_on(ask(&url, &stream.name)) {
        return Ok(told);
    }
    let dir = config.state_dir.join(&stream.name);
    if ![STORE, MIRROR].iter().any(|copy| dir.join(copy).exists()) {
        return Ok(Vec::new());
    }
    let disk = HostDisk::new(&dir).with_context(|| format!("open {}", dir.display()))?;
    let state = CheckpointStore::peek(&disk, Path::new(STORE));
    let state = state.with_context(|| {
        format!(
            "nothing answers at {url}, and the state of {} cannot be read",
            stream.name
        )
    })?;
    Ok(state.schemas)
}

/// Asks the daemon. The error says that nobody answers there who knows the stream.
async fn ask(url: &str, stream: &str) -> anyhow::Result<Vec<SchemaVersion>> {
    let uri: Uri = format!("{url}/streams/{stream}/schema").parse()?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let exchange = async {
        let answer = client.get(uri).await?;
        if answer.status() != StatusCode::OK {
            bail!("{}", answer.status());
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| anyhow!(error))?;
        let answer: Answer = serde_json::from_slice(&body.to_bytes())?;
        Ok(answer.versions)
    };
    tokio::time::timeout(PATIENCE, exchange).await?
}
