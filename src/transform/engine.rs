//! The process's WebAssembly engine, and the cache of what it has compiled.

#![expect(
    clippy::disallowed_methods,
    reason = "the cache of compiled modules is a folder"
)]

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use firehose_wasm_meter::Loops;
use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, OptLevel};

use super::component::ComponentKind;
use super::turns::Turns;
use super::{component, shape};
use crate::config::CompileLimits;

/// Bytes of stack that a guest may use. The threads that run guests have four times as much.
const GUEST_STACK_BYTES: usize = 512 << 10;

/// The process that compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompilerProcess {
    /// This process, whatever it takes: for tests, benchmarks, and the child itself.
    Here,
    /// A child of it, which is held to limits, and never this process.
    Child,
    /// A child of it; where the code cannot be kept for this process, it once more: within the limits, as has
    /// been seen. For commands that somebody waits for.
    ChildFirst,
}

impl CompilerProcess {
    /// A daemon's, which is the `firehose` binary. Unit tests are another.
    pub const fn of_daemon() -> Self {
        if cfg!(test) { Self::Here } else { Self::Child }
    }

    /// That of another command.
    pub const fn of_command() -> Self {
        if cfg!(test) {
            Self::Here
        } else {
            Self::ChildFirst
        }
    }
}

/// Where compiled code has come from, and gone to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// It was in the cache.
    Cached,
    /// It is new, and in the cache now.
    Kept,
    /// It is new, and the cache does not have it.
    Unkept,
}

/// The engine. Cheap to clone; one a process.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    pub(super) cache: Option<Cache>,
    compiler: CompilerProcess,
    pub(super) turns: Arc<Turns>,
    /// One at a time, so that a cache hit can be told from another's.
    loading: Arc<Mutex<()>>,
    pub(super) stopping: Arc<AtomicBool>,
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
pub(super) struct PreparedComponent {
    /// What the file holds.
    pub(super) kind: ComponentKind,
    /// Core instances that it may have.
    pub(super) instances: usize,
    pub(super) component: Vec<u8>,
}

impl Engine {
    /// Starts the engine. Compiled code is kept in `cache`, a folder of the daemon's own, where one
    /// is given: it is trusted, so only this user may write there.
    pub fn start(cache: Option<&Path>, compiler: CompilerProcess) -> anyhow::Result<Self> {
        Self::with(cache, compiler, true)
    }

    /// Starts an engine that cannot interrupt a call: what interruption costs is measured against it.
    #[cfg(feature = "failpoints")]
    pub fn start_uninterruptible() -> anyhow::Result<Self> {
        Self::with(None, CompilerProcess::Here, false)
    }

    fn with(
        cache: Option<&Path>,
        compiler: CompilerProcess,
        interruptible: bool,
    ) -> anyhow::Result<Self> {
        let cache = cache.map(open_cache).transpose()?;
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            // Most of what is put into modules hardly ever runs.
            .wasm_branch_hinting(true)
            .cranelift_opt_level(OptLevel::Speed)
            .max_wasm_stack(GUEST_STACK_BYTES)
            // Where a child compiles there is nothing left to do.
            .parallel_compilation(compiler != CompilerProcess::Child)
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

    /// The process that compiles.
    pub(super) const fn compiler(&self) -> CompilerProcess {
        self.compiler
    }

    /// Makes of a file what is to be compiled.
    pub(super) fn prepare(
        &self,
        file: &[u8],
        loops: Loops,
        limits: &CompileLimits,
    ) -> anyhow::Result<PreparedComponent> {
        let kind = component::kind(file)?;
        let instances = shape::check(file, limits)?;
        let component = component::of(&self.engine, kind, file)?;
        let component = if self.interruptible {
            firehose_wasm_meter::component(&component, loops)?
        } else {
            component.into_owned()
        };
        Ok(PreparedComponent {
            kind,
            instances,
            component,
        })
    }

    /// Takes a component's code from the cache, or compiles it here and now.
    pub(super) fn load(&self, component: &[u8]) -> anyhow::Result<(Component, Code)> {
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        // The cache counts as a miss only what it has kept.
        let counted = || {
            let cache = self.cache.as_ref();
            cache.map(|cache| (cache.cache_hits(), cache.cache_misses()))
        };
        let before = counted();
        let component = Component::new(&self.engine, component)
            .map_err(|error| anyhow::anyhow!("cannot be compiled: {error:#}"))?;
        let code = match (before, counted()) {
            (Some((before, _)), Some((hits, _))) if hits > before => Code::Cached,
            (Some((_, before)), Some((_, misses))) if misses > before => Code::Kept,
            _ => Code::Unkept,
        };
        Ok((component, code))
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
