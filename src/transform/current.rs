//! The modules that a stream works with now, and their replacement while it runs.

#![expect(
    clippy::disallowed_methods,
    reason = "modules are files that may be replaced, and loading is measured"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Instant, SystemTime};
use std::{fmt, fs};

use tokio::sync::watch;

use super::backoff::Backoff;
use super::engine::Engine;
use super::module::LoadError;
use super::{Chain, Level, LogSink, Observer};
use crate::config::TransformSettings;
use crate::telemetry::Metrics;

/// The transforms of a stream. Pieces of chunks that are taken up after a replacement go through the new
/// modules, those before went through the old ones; one that waits for an old module ends before the call
/// that does, so that what waits is taken up anew. Frontiers stand between pieces.
pub struct Transforms {
    stream: String,
    settings: Vec<TransformSettings>,
    observers: Vec<Observer>,
    engine: Engine,
    current: watch::Sender<Loaded>,
    /// Somebody wants them loaded whether they have changed or not.
    asked: AtomicBool,
    seen: Mutex<SeenFiles>,
}

/// What is known of the files.
#[derive(Default)]
struct SeenFiles {
    /// What they looked like when they were last loaded, or tried to be.
    files: Option<Vec<Option<Stamp>>>,
    /// They could not be loaded then, for a reason that passes.
    again: Option<Backoff>,
}

/// What a stream has to work with.
#[derive(Clone)]
pub enum Loaded {
    /// They have not been loaded yet.
    NotYet,
    /// Nothing: the modules cannot be used, and there were none before.
    Refused(Arc<LoadError>),
    /// These modules.
    Chain(Arc<Chain>),
}

/// What tells that a file has changed.
type Stamp = (SystemTime, u64);

/// What a look at the files has led to.
#[derive(Debug)]
pub enum Reload {
    /// They are as they were, or somebody else is loading them.
    Unchanged,
    /// Of a stream that had no modules at work: see [`Transforms::loaded`].
    First,
    /// New modules are at work.
    Replaced,
    /// The new modules cannot be used; the old ones go on.
    Refused(LoadError),
}

impl fmt::Debug for Transforms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transforms")
    }
}

impl Transforms {
    /// The transforms of a stream, which will count in `metrics`. Nothing is loaded before
    /// [`Transforms::reload`].
    pub fn new(
        engine: &Engine,
        stream: &str,
        settings: &[TransformSettings],
        metrics: &Metrics,
    ) -> Self {
        let observer = |settings: &TransformSettings| {
            Observer::new(metrics, stream, &settings.name, log(stream, settings))
        };
        Self {
            stream: stream.to_owned(),
            settings: settings.to_vec(),
            observers: settings.iter().map(observer).collect(),
            engine: engine.clone(),
            current: watch::Sender::new(Loaded::NotYet),
            asked: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    /// What the stream has to work with, now and later.
    pub fn loaded(&self) -> watch::Receiver<Loaded> {
        self.current.subscribe()
    }

    /// Whether modules are at work.
    pub fn is_ready(&self) -> bool {
        matches!(*self.current.borrow(), Loaded::Chain(_))
    }

    /// The modules that are at work.
    pub fn current(&self) -> Arc<Chain> {
        match &*self.current.borrow() {
            Loaded::Chain(chain) => Arc::clone(chain),
            // Records must not pass as they are.
            _ => unreachable!("a stream begins when its modules are loaded"),
        }
    }

    /// Looks at the files and replaces the modules if one has changed, if it is time to try again, or if
    /// `anyway`: now, or at the next look if somebody is loading them. Takes as long as compiling takes; the
    /// stream goes on meanwhile.
    pub fn reload(&self, anyway: bool) -> Reload {
        if anyway {
            self.asked.store(true, Ordering::Relaxed);
        }
        let mut seen = match self.seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Reload::Unchanged,
        };
        let files = Some(stamps(&self.settings));
        let has_changed = seen.files != files;
        let is_due = seen.again.as_ref().is_some_and(Backoff::is_due);
        let is_asked = self.asked.swap(false, Ordering::Relaxed);
        if !has_changed && !is_due && !is_asked {
            return Reload::Unchanged;
        }
        seen.files = files;
        let failed_before = seen.again.take().filter(|_| !has_changed);
        let begun = Instant::now();
        let is_first = !self.is_ready();
        let loaded = Chain::load(&self.engine, &self.stream, &self.settings, &self.observers);
        if loaded.as_ref().is_err_and(LoadError::passes) {
            let mut again = failed_before.unwrap_or_default();
            again.failed(begun.elapsed());
            seen.again = Some(again);
        }
        match loaded {
            Ok(chain) => {
                let chain = Loaded::Chain(Arc::new(chain));
                let before = self.current.send_replace(chain);
                // What waits for them finds the new ones in their place.
                if let Loaded::Chain(before) = before {
                    before.replace();
                }
            }
            Err(error) if is_first => {
                self.current.send_replace(Loaded::Refused(Arc::new(error)));
            }
            Err(error) => {
                for Observer { metrics, .. } in &self.observers {
                    metrics.failed_reloads.add(1);
                }
                return Reload::Refused(error);
            }
        }
        if is_first {
            return Reload::First;
        }
        for Observer { metrics, .. } in &self.observers {
            metrics.reloads.add(1);
        }
        Reload::Replaced
    }
}

fn stamps(settings: &[TransformSettings]) -> Vec<Option<Stamp>> {
    let stamp = |settings: &TransformSettings| {
        let metadata = fs::metadata(&settings.module).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    settings.iter().map(stamp).collect()
}

/// Lines of a module in the daemon's log.
fn log(stream: &str, settings: &TransformSettings) -> LogSink {
    let (stream, module) = (stream.to_owned(), settings.name.clone());
    Arc::new(move |level, line| match level {
        Level::Error => tracing::error!(stream, module, "{line}"),
        Level::Warn => tracing::warn!(stream, module, "{line}"),
        Level::Info => tracing::info!(stream, module, "{line}"),
        Level::Debug => tracing::debug!(stream, module, "{line}"),
    })
}
