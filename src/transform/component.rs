//! From a file's bytes to a component: core modules are made one, and imports are looked through.

use std::panic::catch_unwind;

use anyhow::{Context as _, bail};
use wasmtime::Module;
use wasmtime::component::Component;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::abi::{HOST, TYPES};
use super::sandbox;

/// The contract.
pub const WIT: &str = include_str!("../../transforms/wit/transform.wit");

/// The world that modules are made for.
pub const CONTRACT: &str = "firehose:transform/transform@1.0.0";
const MAGIC: &[u8] = b"\0asm";
/// The version field of a core module, and of a component.
const CORE: [u8; 4] = [1, 0, 0, 0];
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// What the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A component.
    Component,
    /// A core module, as `cargo build --target wasm32-unknown-unknown` leaves it.
    Core,
}

/// Makes a component of a file.
pub(super) fn from_file(
    engine: &wasmtime::Engine,
    bytes: Vec<u8>,
) -> anyhow::Result<(Kind, Vec<u8>)> {
    let version = bytes
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.first_chunk::<4>());
    match version {
        Some(&COMPONENT) => Ok((Kind::Component, bytes)),
        Some(&CORE) => {
            // What follows panics on a torn module, and may on a torn section of its own.
            Module::validate(engine, &bytes)
                .map_err(|error| anyhow::anyhow!("not a valid WebAssembly module: {error:#}"))?;
            let component = catch_unwind(|| componentize(bytes));
            let component = component.unwrap_or_else(|_| bail!("{FOREIGN}"))?;
            Ok((Kind::Core, component))
        }
        Some(other) => bail!("unknown WebAssembly version {other:?}"),
        None => bail!("not a WebAssembly file"),
    }
}

/// Wraps a core module. What toolchains leave in the section `component-type` says which world it is
/// made for; a module written by hand has none and is taken for the world `transform`.
fn componentize(mut core: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let (stripped, _) = wit_component::metadata::decode(&core).context(FOREIGN)?;
    if stripped.is_none() {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("transform.wit", WIT)?;
        let world = resolve.select_world(&[package], Some("transform"))?;
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;
    }
    let mut encoder = ComponentEncoder::default().validate(true);
    encoder = encoder.module(&core).context(FOREIGN)?;
    encoder.encode().context(FOREIGN)
}

const FOREIGN: &str = "the module does not fit the world `transform` of firehose:transform@1.0.0";

/// The imports of a component, by name. An import that no transform may have is an error.
pub(super) fn imports(component: &Component) -> anyhow::Result<Vec<String>> {
    let ty = component.component_type();
    let names = ty
        .imports(component.engine())
        .map(|(name, _)| name.to_owned());
    let names: Vec<String> = names.collect();
    for name in &names {
        let known = name == TYPES || name == HOST || is_sandboxed(name);
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
