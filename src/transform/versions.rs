//! The two versions of a module. The swift one gives up where a loop takes long; most never do. The
//! patient one is made when that happens, and may take all the time that the settings give a call.

use std::sync::Arc;
use std::time::Duration;

use firehose_wasm_meter::Loops;
use wasmtime::component::{Component, InstancePre, Linker};

use super::compiled::Compiled;
use super::compiler::NotCompiled;
use super::component::{self, ComponentKind, World};
use super::engine::Engine;
use super::host::{self, Host};
use super::patient::Patient;
use super::sandbox;
use crate::config::CompileLimits;

/// Larger modules are patient from the beginning: compiling them takes long, and the interpreters
/// that they hold do all their work in one loop.
const SWIFT_BYTES_MAX: usize = 1 << 20;

/// A module, compiled and linked.
pub(super) struct Versions {
    file: Vec<u8>,
    limits: CompileLimits,
    instances: usize,
    imports: Vec<String>,
    world: World,
    swift: Option<InstancePre<Host>>,
    patient: Arc<Patient<InstancePre<Host>>>,
}

/// How compiling went.
pub(super) struct Compilation {
    /// What the file holds.
    pub(super) kind: ComponentKind,
    pub(super) time: Duration,
    /// Whether it came from the cache.
    pub(super) cached: bool,
}

impl Versions {
    /// Compiles and links a file. An error names what it is about.
    pub(super) fn compile(
        engine: &Engine,
        file: Vec<u8>,
        limits: CompileLimits,
    ) -> Result<(Self, Compilation), NotCompiled> {
        let loops = if file.len() > SWIFT_BYTES_MAX {
            Loops::Ask
        } else {
            Loops::GiveUp
        };
        let compiled = engine.compile(&file, loops, &limits)?;
        let imports = component::imports(&compiled.component)?;
        let pre = link(engine, &compiled.component, &imports)
            .map_err(|error| anyhow::anyhow!("does not fit the contract: {error:#}"))?;
        let mut versions = Self {
            file,
            limits,
            instances: compiled.instances,
            imports,
            world: World::of_component(&compiled.component),
            swift: None,
            patient: Arc::default(),
        };
        match loops {
            Loops::GiveUp => versions.swift = Some(pre),
            Loops::Ask => versions.patient = Arc::new(Patient::of(pre)),
        }
        Ok((versions, compiled.into()))
    }

    /// Core instances that it may have.
    pub(super) const fn instances(&self) -> usize {
        self.instances
    }

    /// Interfaces that it imports.
    pub(super) fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The form in which it takes records.
    pub(super) const fn world(&self) -> World {
        self.world
    }

    /// The version to start instances of, and what its loops do.
    pub(super) fn current(&self) -> Option<(&InstancePre<Host>, Loops)> {
        let swift = self.swift.as_ref().map(|pre| (pre, Loops::GiveUp));
        self.patient.get().map(|pre| (pre, Loops::Ask)).or(swift)
    }

    /// The patient version, which is current as soon as it is there.
    pub(super) const fn patient(&self) -> &Arc<Patient<InstancePre<Host>>> {
        &self.patient
    }

    /// Compiles and links the patient version.
    pub(super) fn compile_patient(
        &self,
        engine: &Engine,
    ) -> Result<(InstancePre<Host>, Compilation), NotCompiled> {
        let compiled = engine.compile(&self.file, Loops::Ask, &self.limits)?;
        let pre = link(engine, &compiled.component, &self.imports)
            .map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Ok((pre, compiled.into()))
    }
}

impl From<Compiled> for Compilation {
    fn from(compiled: Compiled) -> Self {
        Self {
            kind: compiled.kind,
            time: compiled.time,
            cached: compiled.cached,
        }
    }
}

fn link(
    engine: &Engine,
    component: &Component,
    imports: &[String],
) -> wasmtime::Result<InstancePre<Host>> {
    let mut linker = Linker::new(engine.get());
    host::link(&mut linker)?;
    for import in imports
        .iter()
        .filter(|import| component::is_sandboxed(import))
    {
        sandbox::link(&mut linker, import)?;
    }
    linker.instantiate_pre(component)
}
