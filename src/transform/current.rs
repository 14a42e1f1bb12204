//! The modules that a stream works with now, and their replacement while it runs.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;
use std::{fmt, fs};

use super::engine::Engine;
use super::host::LogSink;
use super::module::LoadError;
use super::{Chain, Level};
use crate::config::TransformSettings;

/// The transforms of a running stream. Chunks that are taken up after a replacement go through the
/// new modules, those before went through the old ones: a change falls between two chunks, as every
/// checkpoint does.
pub struct Transforms {
    stream: String,
    settings: Vec<TransformSettings>,
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
    /// Loads the modules of a stream.
    pub fn load(
        engine: &Engine,
        stream: &str,
        settings: &[TransformSettings],
    ) -> Result<Self, LoadError> {
        let seen = stamps(settings);
        let chain = Chain::load(engine, stream, settings, |settings| log(stream, settings))?;
        Ok(Self {
            stream: stream.to_owned(),
            settings: settings.to_vec(),
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
        let log = |settings: &TransformSettings| log(&self.stream, settings);
        match Chain::load(&self.engine, &self.stream, &self.settings, log) {
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
