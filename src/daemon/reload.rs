//! Loading of transform modules: at the start, when a file has changed, and all of them on SIGHUP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, timeout};

use crate::error::with_causes;
use crate::transform::{Loaded, Reload, Transforms};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the start waits for modules. Cached ones take milliseconds.
const WAIT_AT_START: Duration = Duration::from_secs(5);

/// The streams with modules.
pub(super) type Streams = BTreeMap<String, Arc<Transforms>>;

/// Loads all modules for the first time. Waits for them for a while, so that streams whose modules are
/// soon there refuse nobody; the others, and the listener, do not wait for the rest.
pub(super) async fn first(streams: &Streams) {
    let load = |(stream, transforms): (&String, &Arc<Transforms>)| {
        let (stream, transforms) = (stream.clone(), Arc::clone(transforms));
        tokio::spawn(async move { reload(&stream, transforms, false).await })
    };
    let loading: Vec<_> = streams.iter().map(load).collect();
    let all = async {
        for one in loading {
            // The task tells of its faults itself, and goes on when its handle is dropped.
            let _ = one.await;
        }
    };
    let _ = timeout(WAIT_AT_START, all).await;
}

/// Loads the modules of one stream now.
pub(super) async fn now(stream: &str, transforms: &Arc<Transforms>) -> anyhow::Result<()> {
    reload(stream, Arc::clone(transforms), false).await;
    match &*transforms.loaded().borrow() {
        Loaded::Chain(_) => Ok(()),
        Loaded::Refused(error) => anyhow::bail!("stream {stream}: {}", with_causes(&**error)),
        Loaded::NotYet => anyhow::bail!("stream {stream}: its modules could not be loaded"),
    }
}

/// Listens for SIGHUP, which would end the process otherwise.
pub(super) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reloads modules for as long as it is polled, those of each stream for themselves: one may take long. A
/// file that is being written is not a module yet: it is refused, and tried again when it has changed once
/// more.
pub(super) async fn watch(streams: Streams, mut hangups: Signal) {
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
            let (stream, transforms) = (stream.clone(), Arc::clone(transforms));
            tokio::spawn(async move { reload(&stream, transforms, asked).await });
        }
    }
}

async fn reload(stream: &str, transforms: Arc<Transforms>, asked: bool) {
    match tokio::task::spawn_blocking(move || transforms.reload(asked)).await {
        // The supervisor tells whether its stream can begin.
        Ok(Reload::Unchanged | Reload::First) => {}
        Ok(Reload::Replaced) => tracing::info!(stream, "new transform modules are at work"),
        Ok(Reload::Refused(error)) if error.passes() => tracing::warn!(
            stream,
            error = %with_causes(&error),
            "the new transform module cannot be loaded now: the old one goes on, and it is tried again"
        ),
        Ok(Reload::Refused(error)) => tracing::error!(
            stream,
            error = %with_causes(&error),
            "the new transform module cannot be used: the old one goes on"
        ),
        Err(panic) => tracing::error!(stream, %panic, "loading transform modules failed"),
    }
}
