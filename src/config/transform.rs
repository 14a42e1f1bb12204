//! The modules of a stream, and their limits.

use std::path::PathBuf;
use std::time::Duration;

/// Modules in a row. Each keeps instances on every core, so the number is bounded.
pub const TRANSFORMS_MAX: usize = 16;

/// What it may take to compile a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of memory. What the module may hold of functions, types and the like grows with it.
    pub memory: u64,
    /// CPU time.
    pub timeout: Duration,
}

impl Default for CompileLimits {
    /// A component with a whole Python in it takes up to three quarters of the memory and a sixth of the
    /// time.
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            timeout: Duration::from_mins(2),
        }
    }
}

/// A WebAssembly module that changes records, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformSettings {
    /// The module's name in messages and metrics: the path as the config file has it.
    pub name: String,
    /// The file: a component, or a core module that can be made one.
    pub module: PathBuf,
    /// What it may take to compile it.
    pub compile: CompileLimits,
    /// How long one call may take.
    pub timeout: Duration,
    /// Bytes of memory that one instance may take.
    pub memory: u64,
    /// Bytes of records, keys and messages that one call may return.
    pub output: u64,
    /// Log lines a second; further ones are counted only.
    pub log_lines: u64,
    /// How long an instance lives.
    pub isolation: Isolation,
    /// The `[config]` table as a JSON object, for the module's `configure`.
    pub config: String,
}

impl TransformSettings {
    /// A module, named as its path is written, with what holds where the file says nothing.
    pub fn of(module: PathBuf) -> Self {
        Self {
            name: module.display().to_string(),
            module,
            compile: CompileLimits::default(),
            timeout: Duration::from_secs(1),
            memory: 64 << 20,
            // What a Lambda function may answer.
            output: 6 << 20,
            log_lines: 100,
            isolation: Isolation::default(),
            config: "{}".to_owned(),
        }
    }
}

/// How long an instance of a module lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    /// From call to call, until it fails.
    #[default]
    Reuse,
    /// For one call.
    Batch,
}
