//! Delivers what the state of one stream holds, without taking records: the daemon's own stop,
//! begun at once.

use std::path::Path;

use anyhow::bail;
use tokio_util::sync::CancellationToken;

use super::holdings::Holdings;
use super::{Common, reload};
use crate::config::{Config, SourceSettings, StreamSettings};
use crate::telemetry::StreamStatus as _;

/// The source that the state is of: nothing is read from it, but it is what the state must match.
/// The settings of another stream may name one of another kind.
fn source_of(dir: &Path, source: SourceSettings) -> anyhow::Result<SourceSettings> {
    let held = Holdings::read(dir, 1)?;
    Ok(match held.kind {
        Some(kind) if kind.word() != source.kind().word() => {
            kind.of_state(held.source.as_ref(), held.local.disk_bytes)
        }
        // What is on this machine's disk is from when it read alone.
        _ => source.alone().unwrap_or(source),
    })
}

/// What was delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drained {
    /// Objects: data, error, backup.
    pub(crate) objects: u64,
    /// Records in data objects.
    pub(crate) records: u64,
    /// Records in error objects.
    pub(crate) failed: u64,
}

/// Publishes everything that the state of the stream `settings.name` holds, exactly as a running
/// daemon would; for as long as it takes, until SIGINT, or until what is left needs a person. The caller
/// holds the lock.
pub(crate) async fn drain(
    config: &Config,
    mut settings: StreamSettings,
) -> anyhow::Result<Drained> {
    let dir = config.state_dir.join(&settings.name);
    settings.source = source_of(&dir, settings.source)?;
    let common = Common::new(config)?;
    let transforms = common.transforms(&settings);
    if let Some(transforms) = &transforms {
        reload::now(&settings.name, transforms).await?;
    }
    let supervisor = common.open(&config.state_dir, settings, transforms, None);
    let supervisor = supervisor.await?;
    let status = supervisor.status();
    let stop = CancellationToken::new();
    stop.cancel();
    let clean = tokio::select! {
        clean = supervisor.run(stop, CancellationToken::new()) => clean,
        _ = tokio::signal::ctrl_c() => {
            bail!("stopped before all was delivered: what is left is safe where it lies")
        }
    };
    let state = status.snapshot().state;
    if !clean {
        let cause = state.cause().unwrap_or("the stream has stopped");
        bail!("{cause} ({})", state.advice().unwrap_or("see the log"));
    }
    let held = tokio::task::spawn_blocking(move || Holdings::read(&dir, 1)).await??;
    if !held.is_delivered() {
        bail!("there is still {}: run it again", held.undelivered());
    }
    let metrics = status.metrics();
    Ok(Drained {
        objects: metrics.delivered_objects.get(),
        records: metrics.delivered_records.get(),
        failed: metrics.failed_totals().iter().sum(),
    })
}
