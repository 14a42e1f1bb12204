//! A module, loaded: compiled and linked.

#![expect(clippy::disallowed_methods, reason = "modules are files")]

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use firehose_wasm_meter::Loops;
use wasmtime::component::InstancePre;

use super::compiler::NotCompiled;
use super::component::{self, ComponentKind, World};
use super::engine::{CompilerProcess, Engine};
use super::host::{Host, ModuleLog};
use super::observer::Observer;
use super::patient::{Tries, Waited};
use super::shape;
use super::versions::{Compilation, Versions};
use crate::config::{CompileLimits, Isolation, TransformSettings, display_size};

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("transform module {module}")]
pub struct LoadError {
    /// The module, as the config names it.
    pub module: String,
    #[source]
    pub(super) cause: NotCompiled,
}

impl LoadError {
    /// What is wrong with the module.
    pub fn cause(&self) -> &str {
        &self.cause.cause
    }

    /// Nothing is wrong with the module: the same file may be loaded another time.
    pub const fn passes(&self) -> bool {
        self.cause.passes
    }

    /// Whether what was compiled has found no room on the disk.
    pub fn wants_room(&self) -> bool {
        let signs = ["No space left on device", "Disk quota exceeded"];
        self.passes() && signs.iter().any(|sign| self.cause().contains(sign))
    }

    /// What a person can do for a stream that stands still for it.
    pub fn advice(&self) -> String {
        if self.passes() {
            return format!(
                "{} is not at fault: it is tried again by itself, once a minute at least, and the stream \
                 begins as soon as that goes well",
                self.module
            );
        }
        format!(
            "put a module that can be used at {}, and the stream begins by itself; what `firehose \
             check` says of it must be mended. Changes of the config count from the next start",
            self.module
        )
    }
}

/// What is known of a loaded module.
#[derive(Clone, Debug)]
pub struct ModuleInfo {
    /// What the file holds.
    pub kind: ComponentKind,
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
    log: Arc<ModuleLog>,
    observer: Observer,
    about: ModuleInfo,
    /// Whether it is called with one record at a time.
    one_by_one: bool,
}

impl Module {
    /// Reads, compiles and links the module. Nothing of it runs: it may not be as the contract has
    /// it, and not take its config.
    pub fn compile(
        engine: &Engine,
        stream: &str,
        settings: &TransformSettings,
        observer: &Observer,
    ) -> Result<Self, LoadError> {
        let fault = |cause| LoadError {
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
            log: Arc::new(ModuleLog::new(observer.clone(), settings.log_lines)),
            observer: observer.clone(),
            one_by_one: imports.iter().any(|import| component::is_sandboxed(import)),
            about: ModuleInfo {
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

    /// Its name in messages: the path as configured.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is known of it.
    pub const fn about(&self) -> &ModuleInfo {
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

    /// After a call that ran over its time: soon loops have all the time that `timeout` gives.
    pub(super) fn begin_patience(&self) {
        let module = self.clone();
        let patient = self.versions.patient();
        patient.begin(move || module.make_patient());
    }

    /// After a call that gave up: returns when loops have all the time that `timeout` gives. A daemon waits
    /// for as long as that takes, or until the module is replaced. An error says why it cannot be.
    pub(super) fn wait_for_patience(&self) -> Result<Waited, NotCompiled> {
        let tries = if self.engine.compiler() == CompilerProcess::Child {
            Tries::AsManyAsItTakes
        } else {
            Tries::One
        };
        self.patience(tries)
    }

    pub(super) fn patience(&self, tries: Tries) -> Result<Waited, NotCompiled> {
        let module = self.clone();
        let patient = self.versions.patient();
        patient.wait(tries, move || module.make_patient())
    }

    /// Other modules have taken its place: nobody shall wait for it any longer.
    pub(super) fn replace(&self) {
        self.versions.patient().replace();
    }

    fn make_patient(&self) -> Result<InstancePre<Host>, NotCompiled> {
        let (module, stream) = (&*self.name, &*self.stream);
        match self.versions.compile_patient(&self.engine) {
            Ok((patient, Compilation { time, cached, .. })) => {
                tracing::info!(
                    module,
                    ?time,
                    "a loop ran for long: compiled for long loops"
                );
                self.observer.metrics.compiled(time, cached);
                Ok(patient)
            }
            Err(fault) => {
                let NotCompiled { cause, passes } = &fault;
                tracing::warn!(
                    stream,
                    module,
                    cause,
                    tried_again = passes,
                    "a loop ran for long, and the module cannot be compiled for long loops: what needs it waits if \
                     that is tried again, and fails if not"
                );
                Err(fault)
            }
        }
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

fn read(path: &Path, limits: &CompileLimits) -> Result<Vec<u8>, NotCompiled> {
    // A file that is put there is noticed; that one can be read again is not.
    let cannot = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => NotCompiled::from(anyhow!("{error}")),
        _ => NotCompiled::passing(error.to_string()),
    };
    let metadata = fs::metadata(path).map_err(cannot)?;
    if !metadata.is_file() {
        // Opening a pipe would wait for its writer.
        return Err(anyhow!("it is not a file").into());
    }
    let size = metadata.len();
    let most = shape::file_bytes_max(limits);
    let too_large = |size| {
        let memory = display_size(limits.memory);
        anyhow!("the file has {size} bytes; with compile_memory = \"{memory}\" it may have {most}")
    };
    if size > most {
        return Err(too_large(size).into());
    }
    // It may grow while it is read.
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    file.map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64).into());
    }
    Ok(bytes)
}
