//! The process's WebAssembly engine: has modules compiled, and keeps what was compiled.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, OptLevel};

use super::compiler::{self, NotCompiled, Turns};
use super::component::Kind;
use super::meter::{self, Loops};
use super::{component, shape};
use crate::config::CompileLimits;

/// Bytes of stack that a guest may use. The threads that run guests have four times as much.
const GUEST_STACK_BYTES: usize = 512 << 10;

/// Who compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// This process, whatever it takes: for tests, benchmarks, and the child itself.
    Here,
    /// A child of it, which is held to limits.
    Child,
}

impl Compiler {
    /// A child, wherever this process is the `firehose` binary. Unit tests are another.
    pub const fn of_binary() -> Self {
        if cfg!(test) { Self::Here } else { Self::Child }
    }
}

/// The engine. Cheap to clone; one a process.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    cache: Option<Cache>,
    compiler: Compiler,
    turns: Arc<Turns>,
    /// One at a time, so that a cache hit can be told from another's.
    loading: Arc<Mutex<()>>,
    stopping: Arc<AtomicBool>,
    /// Whether calls can be interrupted.
    interruptible: bool,
}

/// Ends compilations when it is dropped: the process need not wait for them.
#[derive(Debug)]
pub struct EndsCompiling(Arc<AtomicBool>);

impl Drop for EndsCompiling {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Engine")
    }
}

/// A file's component as it is compiled.
pub(super) struct Prepared {
    /// What the file holds.
    pub(super) kind: Kind,
    /// Core instances that it may have.
    pub(super) instances: usize,
    pub(super) component: Vec<u8>,
}

/// A compiled component and what it took.
pub(super) struct Compiled {
    pub(super) component: Component,
    /// What the file holds.
    pub(super) kind: Kind,
    /// Core instances that it may have.
    pub(super) instances: usize,
    pub(super) time: Duration,
    pub(super) cached: bool,
}

impl Engine {
    /// Starts the engine. Compiled code is kept in `cache`, a folder of the daemon's own, where one
    /// is given: it is trusted, so only this user may write there.
    pub fn start(cache: Option<&Path>, compiler: Compiler) -> anyhow::Result<Self> {
        Self::with(cache, compiler, true)
    }

    /// Starts an engine that cannot interrupt a call: what interruption costs is measured against it.
    #[cfg(feature = "failpoints")]
    pub fn start_uninterruptible() -> anyhow::Result<Self> {
        Self::with(None, Compiler::Here, false)
    }

    fn with(cache: Option<&Path>, compiler: Compiler, interruptible: bool) -> anyhow::Result<Self> {
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
            compiler,
            turns: Arc::default(),
            loading: Arc::default(),
            stopping: Arc::default(),
            interruptible,
        })
    }

    pub(super) fn get(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// What ends compilations when the process stops.
    pub fn ends_compiling(&self) -> EndsCompiling {
        EndsCompiling(Arc::clone(&self.stopping))
    }

    /// Who compiles.
    pub(super) const fn compiler(&self) -> Compiler {
        self.compiler
    }

    /// Compiles a file so that calls of its functions can be interrupted.
    pub(super) fn compile(
        &self,
        file: &[u8],
        loops: Loops,
        limits: &CompileLimits,
    ) -> Result<Compiled, NotCompiled> {
        if self.compiler == Compiler::Here {
            let begun = Instant::now();
            let prepared = self.prepare(file, loops, limits)?;
            return Ok(self.loaded(prepared, begun, None)?);
        }
        let _turn = self.turns.take(limits.memory, &self.stopping);
        let begun = Instant::now();
        let cache = self.cache.as_ref().map(|cache| cache.directory().as_path());
        let (prepared, cached) = compiler::compile(file, loops, limits, cache, &self.stopping)?;
        Ok(self.loaded(prepared, begun, Some(cached))?)
    }

    fn loaded(
        &self,
        prepared: Prepared,
        begun: Instant,
        cached: Option<bool>,
    ) -> anyhow::Result<Compiled> {
        let (component, found) = self.load(&prepared.component)?;
        Ok(Compiled {
            component,
            kind: prepared.kind,
            instances: prepared.instances,
            time: begun.elapsed(),
            cached: cached.unwrap_or(found),
        })
    }

    /// Makes of a file what is to be compiled.
    pub(super) fn prepare(
        &self,
        file: &[u8],
        loops: Loops,
        limits: &CompileLimits,
    ) -> anyhow::Result<Prepared> {
        let kind = component::kind(file)?;
        let instances = shape::check(file, limits)?;
        let component = component::of(&self.engine, kind, file)?;
        let component = if self.interruptible {
            meter::component(&component, loops)?
        } else {
            component.into_owned()
        };
        Ok(Prepared {
            kind,
            instances,
            component,
        })
    }

    /// Takes a component's code from the cache, or compiles it here and now; whether it was there.
    pub(super) fn load(&self, component: &[u8]) -> anyhow::Result<(Component, bool)> {
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = || self.cache.as_ref().map_or(0, Cache::cache_hits);
        let before = hits();
        let component = Component::new(&self.engine, component)
            .map_err(|error| anyhow::anyhow!("cannot be compiled: {error:#}"))?;
        Ok((component, hits() > before))
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
