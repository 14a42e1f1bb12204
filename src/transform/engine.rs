//! The process's WebAssembly engine: compiles modules, and keeps what it compiled.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, OptLevel};

use super::meter::{self, Loops};

/// Bytes of stack that a guest may use. The threads that run guests have four times as much.
const GUEST_STACK_BYTES: usize = 512 << 10;

/// The engine. Cheap to clone; one a process.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    cache: Option<Cache>,
    /// One compilation at a time, so that a cache hit can be told from another's.
    compiling: Arc<Mutex<()>>,
    /// Whether calls can be interrupted.
    interruptible: bool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Engine")
    }
}

/// A compiled component and what it took.
pub(super) struct Compiled {
    pub(super) component: Component,
    pub(super) time: Duration,
    pub(super) cached: bool,
}

impl Engine {
    /// Starts the engine. Compiled code is kept in `cache`, a folder of the daemon's own, where one
    /// is given: it is trusted, so only this user may write there.
    pub fn start(cache: Option<&Path>) -> anyhow::Result<Self> {
        Self::with(cache, true)
    }

    /// Starts an engine that cannot interrupt a call: what interruption costs is measured against it.
    #[cfg(feature = "failpoints")]
    pub fn start_uninterruptible() -> anyhow::Result<Self> {
        Self::with(None, false)
    }

    fn with(cache: Option<&Path>, interruptible: bool) -> anyhow::Result<Self> {
        let cache = cache.map(open_cache).transpose()?;
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            // Of what is put into modules most is hardly ever run.
            .wasm_branch_hinting(true)
            .cranelift_opt_level(OptLevel::Speed)
            .max_wasm_stack(GUEST_STACK_BYTES)
            .cache(cache.clone());
        let engine = wasmtime::Engine::new(&config)
            .map_err(|error| anyhow::anyhow!("start the WebAssembly engine: {error:#}"))?;
        Ok(Self {
            engine,
            cache,
            compiling: Arc::default(),
            interruptible,
        })
    }

    pub(super) fn get(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Compiles a component so that its calls can be interrupted.
    pub(super) fn compile(&self, component: &[u8], loops: Loops) -> anyhow::Result<Compiled> {
        let metered = self
            .interruptible
            .then(|| meter::component(component, loops));
        let metered = metered.transpose()?;
        let component = metered.as_deref().unwrap_or(component);
        let _one = self
            .compiling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let hits = self.cache.as_ref().map_or(0, Cache::cache_hits);
        let begun = Instant::now();
        let component = Component::new(&self.engine, component)
            .map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Ok(Compiled {
            component,
            time: begun.elapsed(),
            cached: self.cache.as_ref().map_or(0, Cache::cache_hits) > hits,
        })
    }
}

fn open_cache(dir: &Path) -> anyhow::Result<Cache> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("create {}", dir.display()))?;
    let dir = dir
        .canonicalize()
        .with_context(|| format!("open {}", dir.display()))?;
    let mut config = CacheConfig::new();
    config.with_directory(dir);
    Cache::new(config)
        .map_err(|error| anyhow::anyhow!("open the cache of compiled modules: {error:#}"))
}
