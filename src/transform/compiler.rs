//! Compiling in a process of its own. A compiler takes memory and time as its input wants, and can break:
//! what happens to the child costs one module, and the daemon goes on.
//!
//! The child is the same binary. It binds itself to its limits before it reads the module from its
//! standard input, and leaves what it has compiled in the cache. It answers with a line of JSON and the
//! component as it was compiled, by which the parent finds it in the cache. Where the cache cannot keep it
//! (there is none, or the disk is full) the child says why, and a daemon does without the module until it can.
//!
//! Reading order: this file (what is said between the two), `parent`, `child`, `unkept`.

mod child;
mod parent;
mod unkept;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::component::ComponentKind;
use crate::config::{CompileLimits, display_size};

pub use child::serve;
pub(super) use parent::{ChildResult, compile};

/// The subcommand that is the child.
pub const SUBCOMMAND: &str = "compile-module";

/// One in so many bytes of `compile_memory` may come out: as a component, and as machine code.
const OUTCOME_PART: u64 = 4;
/// Bytes of the answer's first line, and of what a child says on its standard error.
const TEXT_BYTES_MAX: u64 = 16 << 10;

/// What a child is to do, as its command line has it.
#[derive(Clone, Debug)]
pub struct CompileTask {
    /// Where compiled code is kept.
    pub cache: Option<PathBuf>,
    /// Whether loops ask, where they would give up otherwise.
    pub patient: bool,
    /// Bytes of memory.
    pub memory: u64,
    /// Seconds of CPU time.
    pub seconds: u64,
}

impl CompileTask {
    /// The command line behind the program's name.
    pub fn arguments(&self) -> Vec<OsString> {
        let (memory, seconds) = (self.memory.to_string(), self.seconds.to_string());
        let words = [SUBCOMMAND, "--memory", &memory, "--seconds", &seconds];
        let mut arguments: Vec<OsString> = words.map(OsString::from).into();
        if self.patient {
            arguments.push("--patient".into());
        }
        if let Some(cache) = &self.cache {
            arguments.extend(["--cache".into(), cache.into()]);
        }
        arguments
    }

    fn limits(&self) -> CompileLimits {
        CompileLimits {
            memory: self.memory,
            timeout: Duration::from_secs(self.seconds),
        }
    }
}

/// The first line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CompilerReply {
    /// The component follows, of so many bytes.
    Compiled {
        kind: ComponentKind,
        instances: usize,
        cached: bool,
        /// Why the cache does not have the code.
        unkept: Option<String>,
        bytes: u64,
    },
    Refused(String),
}

/// Bytes that may come out.
const fn outcome_max(limits: &CompileLimits) -> u64 {
    limits.memory / OUTCOME_PART
}

/// Why there is no compiled module. A text, and no source: most come over a pipe from the process that compiles, and all
/// are kept for whoever asks again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}")]
pub(super) struct NotCompiled {
    /// One sentence.
    pub(super) cause: String,
    /// It is the machine's fault, not the module's: the same file may be compiled another time.
    pub(super) passes: bool,
}

impl NotCompiled {
    /// For a reason that passes.
    pub(super) fn passing(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            passes: true,
        }
    }

    /// For something that is wrong with the module.
    pub(super) fn of_module(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            passes: false,
        }
    }
}

/// Something is wrong with the module.
impl From<anyhow::Error> for NotCompiled {
    fn from(error: anyhow::Error) -> Self {
        Self::of_module(format!("{error:#}"))
    }
}

fn too_large(limits: &CompileLimits) -> String {
    format!(
        "compiling it takes more than compile_memory = \"{}\": raise that if the module is worth it",
        display_size(limits.memory)
    )
}

#[cfg(test)]
mod tests;
