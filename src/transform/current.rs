//! The modules that a stream works with now, and their replacement while it runs.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;
use std::{fmt, fs};

use super::engine::Engine;

use super::module::LoadError;
use super::{Chain, Level, LogSink, Observer};
use crate::config::TransformSettings;
use crate::telemetry::Metrics;

/// The transforms of a running stream. Chunks that are taken up after a replacement go through the
/// new modules, those before went through the old ones: a change falls between two chunks, as every
/// checkpoint does.
pub struct Transforms {
    stream: String,
    settings: Vec<TransformSettings>,
    observers: Vec<Observer>,
    engine: Engine,
    current: RwLock<Arc<Chain>>,
    /// What the files looked like when they were last loaded, or tried to be.
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// What tells that a file has changed.
type Stamp = (SystemTime, u64);

/// What a look at the files has led to.
#[derive(Debug)]
pub enum Reload {
    /// They are as they were.
    Unchanged,
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
    /// Loads the modules of a stream, which will count in `metrics`.
    pub fn load(
        engine: &Engine,
        stream: &str,
        settings: &[TransformSettings],
        metrics: &Metrics,
    ) -> Result<Self, LoadError> {
        let seen = stamps(settings);
        let observer = |settings: &TransformSettings| {
            Observer::new(metrics, stream, &settings.name, log(stream, settings))
        };
        let observers: Vec<Observer> = settings.iter().map(observer).collect();
        let chain = Chain::load(engine, stream, settings, &observers)?;
        Ok(Self {
            stream: stream.to_owned(),
            settings: settings.to_vec(),
            observers,
            engine: engine.clone(),
            current: RwLock::new(Arc::new(chain)),
            seen: Mutex::new(seen),
        })
    }

    /// The modules of now.
    pub fn current(&self) -> Arc<Chain> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files and replaces the modules if one has changed, or if `anyway`. Takes as long
    /// as compiling takes; the stream goes on meanwhile.
    pub fn reload(&self, anyway: bool) -> Reload {
        let now = stamps(&self.settings);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !anyway && *seen == now {
            return Reload::Unchanged;
        }
        seen.clone_from(&now);
        let loaded = Chain::load(&self.engine, &self.stream, &self.settings, &self.observers);
        for Observer { metrics, .. } in &self.observers {
            let count = if loaded.is_ok() {
                &metrics.reloads
            } else {
                &metrics.failed_reloads
            };
            count.add(1);
        }
        match loaded {
            Ok(chain) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(chain);
                Reload::Replaced
            }
            Err(error) => Reload::Refused(error),
        }
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
