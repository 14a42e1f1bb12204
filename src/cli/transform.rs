//! `firehose transform`: the tools for those who write transforms. They run modules in the host that
//! the daemon runs, with its limits.

mod bench;
pub(super) mod fate;
mod host;
mod inspect;
pub(super) mod log;
mod pairs;
mod report;
mod test;

use std::io::Write;
use std::path::Path;

use clap::Subcommand;

use super::CommandError;

/// What is done with a module.
#[derive(Debug, Subcommand)]
pub enum TransformCommand {
    /// Run records through a module and show what becomes of each.
    Test(test::TestArgs),
    /// Measure how fast a module is.
    Bench(bench::BenchArgs),
    /// Show what a module is and whether it can be used.
    Inspect(inspect::InspectArgs),
}

/// Runs `firehose transform …`.
pub(super) fn run(
    command: &TransformCommand,
    config: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    match command {
        TransformCommand::Test(args) => test::run(args, config, out, err),
        TransformCommand::Bench(args) => bench::run(args, config, out, err),
        TransformCommand::Inspect(args) => inspect::run(args, config, out, err),
    }
}

#[cfg(test)]
mod tests;
