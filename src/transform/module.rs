//! A module, loaded: compiled, linked, and tried out with its config.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::InstancePre;

use super::component::{self, Kind, World};
use super::engine::Engine;
use super::fault::Broken;
use super::host::{Host, Log};
use super::instance::{Fresh, Instance};
use super::meter::Loops;
use super::observer::Observer;
use super::shape;
use super::versions::{Compilation, Versions};
use crate::config::{CompileLimits, Isolation, TransformSettings, display_size};

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("transform module {module}: {cause}")]
pub struct LoadError {
    /// The module, as the config names it.
    pub module: String,
    /// What is wrong with it.
    pub cause: String,
}

impl LoadError {
    /// What a person can do for a stream that stands still for it.
    pub fn advice(&self) -> String {
        format!(
            "put a module that can be used at {}, and the stream begins by itself; what `firehose \
             check` says of it must be mended. Changes of the config count from the next start",
            self.module
        )
    }
}

/// What is known of a loaded module.
#[derive(Clone, Debug)]
pub struct About {
    /// What the file holds.
    pub kind: Kind,
    /// Bytes of the file.
    pub size: u64,
    /// CRC-64/NVME of the file.
    pub crc64: u64,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// The form in which it takes records.
    pub world: World,
    /// How long compiling took, or reading from the cache.
    pub compile_time: Duration,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// A module with its settings, ready to be instantiated on any thread.
#[derive(Clone)]
pub struct Module {
    settings: TransformSettings,
    name: Arc<str>,
    stream: Arc<str>,
    engine: Engine,
    versions: Arc<Versions>,
    log: Arc<Log>,
    observer: Observer,
    about: About,
    /// Whether it is called with one record at a time.
    one_by_one: bool,
}

impl Module {
    /// Reads, compiles and links the module, and starts one instance to see that it takes its config.
    pub(super) fn load(
        engine: &Engine,
        stream: &str,
        settings: &TransformSettings,
        observer: &Observer,
    ) -> Result<Self, LoadError> {
        let module = Self::compile(engine, stream, settings, observer)?;
        module.try_out()?;
        Ok(module)
    }

    /// Reads, compiles and links the module. Nothing of it runs: it may not be as the contract has
    /// it, and not take its config.
    pub fn compile(
        engine: &Engine,
        stream: &str,
        settings: &TransformSettings,
        observer: &Observer,
    ) -> Result<Self, LoadError> {
        let fault = |cause: String| LoadError {
            module: settings.name.clone(),
            cause,
        };
        let limits = settings.compile;
        let bytes = read(&settings.module, &limits).map_err(&fault)?;
        let (size, crc64) = (bytes.len() as u64, crc_fast::crc64_nvme(&bytes));
        let (versions, compilation) = Versions::compile(engine, bytes, limits).map_err(&fault)?;
        observer
            .metrics
            .compiled(compilation.time, compilation.cached);
        let imports = versions.imports().to_vec();
        Ok(Self {
            name: settings.name.as_str().into(),
            stream: stream.into(),
            engine: engine.clone(),
            log: Arc::new(Log::new(observer.clone(), settings.log_lines)),
            observer: observer.clone(),
            one_by_one: imports.iter().any(|import| component::is_sandboxed(import)),
            about: About {
                kind: compilation.kind,
                size,
                crc64,
                imports,
                world: versions.world(),
                compile_time: compilation.time,
                cached: compilation.cached,
            },
            versions: Arc::new(versions),
            settings: settings.clone(),
        })
    }

    /// The same module with another config, which is not tried out.
    #[must_use]
    pub fn with_config(&self, config: String) -> Self {
        let settings = TransformSettings {
            config,
            ..self.settings.clone()
        };
        Self {
            settings,
            ..self.clone()
        }
    }

    /// Starts an instance to see that its exports are as the contract has them, whatever config it
    /// wants.
    pub fn check_exports(&self) -> Result<(), LoadError> {
        let fresh = Fresh::start(self).map(drop);
        fresh.map_err(|broken| self.fault(broken))
    }

    /// Starts an instance to see that it takes its config. Returns the memory that it then holds, in
    /// bytes.
    pub fn try_out(&self) -> Result<usize, LoadError> {
        let instance = Instance::start(self).map_err(|broken| self.fault(broken))?;
        Ok(instance.memory().0)
    }

    fn fault(&self, broken: Broken) -> LoadError {
        LoadError {
            module: self.name.to_string(),
            cause: broken.message,
        }
    }

    /// Its name in messages: the path as configured.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is known of it.
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// Log lines that were not written for being too many.
    pub fn suppressed_log_lines(&self) -> u64 {
        self.observer.metrics.suppressed_log_lines.get()
    }

    pub(super) const fn observer(&self) -> &Observer {
        &self.observer
    }

    pub(super) fn engine(&self) -> &wasmtime::Engine {
        self.engine.get()
    }

    /// The version to start instances of, and what its loops do.
    pub(super) fn pre(&self) -> Option<(&InstancePre<Host>, Loops)> {
        self.versions.current()
    }

    /// After a call that gave up or ran over its time: from now on loops have all the time that
    /// `timeout` gives. False: that cannot be.
    pub(super) fn become_patient(&self) -> bool {
        self.versions.become_patient(&self.engine, |compilation| {
            let (module, Compilation { time, cached, .. }) = (&*self.name, compilation);
            tracing::info!(
                module,
                ?time,
                "a loop ran for long: compiled for long loops"
            );
            self.observer.metrics.compiled(time, cached);
        })
    }

    /// The data of a new store, for an instance whose loops do that.
    pub(super) fn host(&self, loops: Loops) -> Host {
        let memory = usize::try_from(self.settings.memory).unwrap_or(usize::MAX);
        Host::new(
            Arc::clone(&self.log),
            Arc::clone(&self.stream),
            memory,
            self.versions.instances(),
            loops,
        )
    }

    /// What a call may take.
    pub(super) const fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    pub(super) fn output_limit(&self) -> usize {
        usize::try_from(self.settings.output).unwrap_or(usize::MAX / 2)
    }

    pub(super) fn config(&self) -> &str {
        &self.settings.config
    }

    /// Whether each record has a call of its own.
    pub const fn one_by_one(&self) -> bool {
        self.one_by_one
    }

    /// Whether an instance that holds so much memory serves for another call.
    pub(super) fn keeps(&self, memory: usize) -> bool {
        // One that has taken most of what it may have would break in the middle of a call some day.
        self.settings.isolation == Isolation::Reuse
            && (memory as u64) < self.settings.memory / 4 * 3
    }
}

fn read(path: &Path, limits: &CompileLimits) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        // Opening a pipe would wait for its writer.
        return Err("it is not a file".to_owned());
    }
    let size = metadata.len();
    let most = shape::file_bytes_max(limits);
    let too_large = |size| {
        let memory = display_size(limits.memory);
        format!("the file has {size} bytes; with compile_memory = \"{memory}\" it may have {most}")
    };
    if size > most {
        return Err(too_large(size));
    }
    // It may grow while it is read.
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    file.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}
