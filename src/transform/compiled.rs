//! A component's machine code, compiled here or by a child, as the engine is set.

#![expect(clippy::disallowed_methods, reason = "compiling is measured")]

use std::time::{Duration, Instant};

use firehose_wasm_meter::Loops;
use wasmtime::component::Component;

use super::compiler::{self, ChildResult, NotCompiled};
use super::component::ComponentKind;
use super::engine::{Code, CompilerProcess, Engine, PreparedComponent};
use crate::config::CompileLimits;

/// A compiled component and what it took.
pub(super) struct Compiled {
    pub(super) component: Component,
    /// What the file holds.
    pub(super) kind: ComponentKind,
    /// Core instances that it may have.
    pub(super) instances: usize,
    pub(super) time: Duration,
    pub(super) cached: bool,
}

impl Engine {
    /// Compiles a file so that calls of its functions can be interrupted.
    pub(super) fn compile(
        &self,
        file: &[u8],
        loops: Loops,
        limits: &CompileLimits,
    ) -> Result<Compiled, NotCompiled> {
        if self.compiler() == CompilerProcess::Here {
            let begun = Instant::now();
            let prepared = self.prepare(file, loops, limits)?;
            return Ok(self.loaded(&prepared, begun, None)?);
        }
        let _turn = self.turns.take(limits.memory, &self.stopping);
        let begun = Instant::now();
        let cache = self.cache.as_ref().map(|cache| cache.directory().as_path());
        let done = compiler::compile(file, loops, limits, cache, &self.stopping)?;
        let ChildResult {
            prepared,
            cached,
            unkept,
        } = done;
        if let Some(cause) = unkept.filter(|_| self.compiler() == CompilerProcess::Child) {
            return Err(NotCompiled::passing(cause));
        }
        Ok(self.loaded(&prepared, begun, Some(cached))?)
    }

    fn loaded(
        &self,
        prepared: &PreparedComponent,
        begun: Instant,
        cached: Option<bool>,
    ) -> anyhow::Result<Compiled> {
        let (component, code) = self.load(&prepared.component)?;
        if self.compiler() == CompilerProcess::Child && code != Code::Cached {
            // This happens only if somebody has removed the code in the meantime.
            tracing::warn!(
                "what the compiler had kept was gone: the module was compiled once more"
            );
        }
        Ok(Compiled {
            component,
            kind: prepared.kind,
            instances: prepared.instances,
            time: begun.elapsed(),
            cached: cached.unwrap_or(code == Code::Cached),
        })
    }
}
