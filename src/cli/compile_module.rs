//! `firehose compile-module`: the process in which modules are compiled. Only `firehose` itself runs it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::CommandError;
use crate::transform::compiler::{self, CompileTask};

/// What the parent asks for.
#[derive(Debug, Args)]
pub(super) struct CompileModuleArgs {
    /// Bytes of memory.
    #[arg(long)]
    memory: u64,
    /// Seconds of CPU time.
    #[arg(long)]
    seconds: u64,
    /// Loops ask whether they may go on.
    #[arg(long)]
    patient: bool,
    /// Where compiled code is kept.
    #[arg(long)]
    cache: Option<PathBuf>,
}

/// Compiles what stands on standard input.
pub(super) fn run(args: CompileModuleArgs, out: &mut dyn Write) -> Result<(), CommandError> {
    let CompileModuleArgs {
        memory,
        seconds,
        patient,
        cache,
    } = args;
    let task = CompileTask {
        cache,
        patient,
        memory,
        seconds,
    };
    Ok(compiler::serve(&task, &mut std::io::stdin(), out)?)
}
