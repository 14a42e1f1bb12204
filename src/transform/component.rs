//! From a file's bytes to a component: core modules are made one, and imports are looked through.

use std::borrow::Cow;
use std::panic::catch_unwind;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};
use wasmtime::Module;
use wasmtime::component::Component;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::abi::{HOST, PACKED, TRANSFORM, TRANSFORM_PACKED, TYPES};
use super::sandbox;

/// The contract.
pub const WIT: &str = include_str!("../../transforms/wit/transform.wit");

const MAGIC: &[u8] = b"\0asm";
/// The version field of a core module, and of a component.
const CORE: [u8; 4] = [1, 0, 0, 0];
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// What a component's file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ComponentKind {
    /// A component.
    Component,
    /// A core module, as `cargo build --target wasm32-unknown-unknown` leaves it.
    Core,
}

/// The form in which a module takes its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Record by record: `transform`.
    Plain,
    /// In a few long lists: `transform-packed`.
    Packed,
}

impl World {
    const fn of(is_packed: bool) -> Self {
        if is_packed { Self::Packed } else { Self::Plain }
    }

    /// Of a component, by its exports; whether they are as the world has them shows when it starts.
    pub(super) fn of_component(component: &Component) -> Self {
        let ty = component.component_type();
        let mut exports = ty.exports(component.engine());
        Self::of(exports.any(|(name, _)| name == TRANSFORM_PACKED))
    }

    /// Its name in the contract, and that of its export.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => TRANSFORM,
            Self::Packed => TRANSFORM_PACKED,
        }
    }
}

/// What a file holds, by its first bytes.
pub(super) fn kind(file: &[u8]) -> anyhow::Result<ComponentKind> {
    let version = file
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.first_chunk::<4>());
    match version {
        Some(&COMPONENT) => Ok(ComponentKind::Component),
        Some(&CORE) => Ok(ComponentKind::Core),
        Some(other) => bail!("unknown WebAssembly version {other:?}"),
        None => bail!("not a WebAssembly file"),
    }
}

/// The component that a file is, or is made to be.
pub(super) fn of<'f>(
    engine: &wasmtime::Engine,
    kind: ComponentKind,
    file: &'f [u8],
) -> anyhow::Result<Cow<'f, [u8]>> {
    if kind == ComponentKind::Component {
        return Ok(Cow::Borrowed(file));
    }
    // What follows panics on a torn module, and may on a torn section of its own.
    Module::validate(engine, file)
        .map_err(|error| anyhow::anyhow!("not a valid WebAssembly module: {error:#}"))?;
    let component = catch_unwind(|| componentize(file.to_vec()));
    let component = component.unwrap_or_else(|_| bail!("{FOREIGN}"))?;
    Ok(Cow::Owned(component))
}

/// Wraps a core module. What toolchains leave in the section `component-type` says which world it is
/// made for; a module written by hand has none, and is taken for the world whose export it has.
fn componentize(mut core: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let (stripped, _) = wit_component::metadata::decode(&core).context(FOREIGN)?;
    if stripped.is_none() {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("transform.wit", WIT)?;
        let is_packed = exports(&core)?.contains(&TRANSFORM_PACKED);
        let world = World::of(is_packed).name();
        let world = resolve.select_world(&[package], Some(world))?;
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;
    }
    let mut encoder = ComponentEncoder::default().validate(true);
    encoder = encoder.module(&core).context(FOREIGN)?;
    encoder.encode().context(FOREIGN)
}

const FOREIGN: &str = "the module does not fit a world of firehose:transform@1.0.0: `transform` or `transform-packed`";

/// Names of a core module's exports.
fn exports(core: &[u8]) -> anyhow::Result<Vec<&str>> {
    for section in Parser::new(0).parse_all(core) {
        if let Payload::ExportSection(exports) = section? {
            let names = exports.into_iter().map(|export| Ok(export?.name));
            return names.collect();
        }
    }
    Ok(Vec::new())
}

/// The imports of a component, by name. An import that no transform may have is an error.
pub(super) fn imports(component: &Component) -> anyhow::Result<Vec<String>> {
    let ty = component.component_type();
    let names = ty
        .imports(component.engine())
        .map(|(name, _)| name.to_owned());
    let names: Vec<String> = names.collect();
    for name in &names {
        let known = [TYPES, PACKED, HOST].contains(&&**name) || is_sandboxed(name);
        if !known {
            let hint = if name.starts_with("wasi:") {
                "; build the module without WASI (componentize-py and componentize-qjs: --stub-wasi; \
                 Rust: --target wasm32-unknown-unknown)"
            } else {
                ""
            };
            bail!("the module imports `{name}`, which transforms cannot have{hint}");
        }
    }
    Ok(names)
}

/// Whether an import is one of the deterministic stand-ins for WASI.
pub(super) fn is_sandboxed(import: &str) -> bool {
    let mut parts = import.splitn(2, '@');
    let interface = parts.next().unwrap_or_default();
    let version = parts.next().unwrap_or_default();
    sandbox::INTERFACES.contains(&interface) && version.starts_with("0.2.")
}
