//! Hot reload of transform modules: when a file has changed, and all of them on SIGHUP.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::transform::{Reload, Transforms};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Listens for SIGHUP, which would end the process otherwise.
pub(super) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reloads modules for as long as it is polled. A file that is being written is not a module yet:
/// it is refused, and tried again when it has changed once more.
pub(super) async fn watch(streams: Vec<(String, Arc<Transforms>)>, mut hangups: Signal) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = hangups.recv() => true,
            _ = look.tick(), if !streams.is_empty() => false,
        };
        if asked {
            tracing::info!(
                streams = streams.len(),
                "SIGHUP: loading transform modules anew; the config is read at the next start"
            );
        }
        for (stream, transforms) in &streams {
            let transforms = Arc::clone(transforms);
            let reload = tokio::task::spawn_blocking(move || transforms.reload(asked)).await;
            match reload {
                Ok(Reload::Unchanged) => {}
                Ok(Reload::Replaced) => tracing::info!(stream, "new transform modules are at work"),
                Ok(Reload::Refused(error)) => tracing::error!(
                    stream,
                    %error,
                    "the new transform module cannot be used: the old one goes on"
                ),
                Err(panic) => tracing::error!(stream, %panic, "loading transform modules failed"),
            }
        }
    }
}
