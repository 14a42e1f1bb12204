//! The command line: one file per subcommand below this one.
//!
//! Results go to the writer for output, everything about the run to the one for errors. Exit
//! codes: 0 done, 1 failed, 2 usage or config.

#![expect(
    clippy::disallowed_methods,
    reason = "commands work for a person who waits, on that person's files"
)]

pub mod catalog;
mod causes;
pub mod check;
mod compile_module;
mod compiled;
pub mod demo;
pub mod explain;
mod lines;
mod places;
pub mod put;
pub mod run;
pub mod schema;
mod settings;
mod shown;
pub mod state;
pub mod transform;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::config::Diagnostics;
use crate::error::with_causes;
use crate::transform::compiler;

/// What the process says when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// It was tried and failed.
    Failed = 1,
    /// The command line or the config is wrong: nothing was tried.
    Usage = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a subcommand ended without being done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The config has faults.
    #[error("{0}\n")]
    Config(Diagnostics),
    /// The arguments do not fit the config or each other.
    #[error("{0}")]
    Usage(String),
    /// It was tried and failed.
    #[error("{}", with_causes(.0.as_ref()))]
    Failed(anyhow::Error),
    /// It was tried and failed, and the log says why.
    #[error("see the log")]
    Logged,
    /// Output or input broke off.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Diagnostics> for CommandError {
    fn from(faults: Diagnostics) -> Self {
        Self::Config(faults)
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<put::PutError> for CommandError {
    fn from(error: put::PutError) -> Self {
        match error {
            put::PutError::Usage(message) => Self::Usage(message),
            put::PutError::Failed(message) => Self::Failed(anyhow::anyhow!(message)),
        }
    }
}

/// A delivery daemon: what Amazon Data Firehose does, in one binary and one file.
#[derive(Debug, Parser)]
#[command(
    name = "firehose",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or config."
)]
struct CommandLine {
    #[command(flatten)]
    config: ConfigFile,
    /// What to do; `run` when left out.
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration; `firehose.toml` here when left out.
    #[arg(long = "config", global = true, value_name = "FILE")]
    path: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Accept records and deliver them until stopped (the default).
    Run,
    /// Validate the config, compile queries, prefixes, schemas and modules; leave the state alone.
    Check,
    /// Show what would happen to records, line by line; write nothing.
    Explain(explain::ExplainArgs),
    Put(put::PutArgs),
    /// Tell a stream's catalog of partitions.
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// Find columns for records, or show those of a stream to catalogues and engines.
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Look after the state folder of a stopped daemon.
    #[command(subcommand)]
    State(state::StateCommand),
    /// Write, test and measure WebAssembly transforms; no daemon is needed.
    #[command(subcommand)]
    Transform(transform::TransformCommand),
    /// Compile the module on standard input, for a parent process.
    #[command(name = compiler::SUBCOMMAND, hide = true)]
    CompileModule(compile_module::CompileModuleArgs),
    /// Run an embedded stream with a sample producer and show what lands.
    Demo(demo::DemoArgs),
}

/// Runs the command line and says how it ended.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(other) => return answer(&other, out, err),
    };
    let ended = dispatch(line, out, err).and_then(|()| Ok(out.flush()?));
    let Err(error) = ended else { return Exit::Done };
    let exit = match &error {
        // Whoever read our output has seen enough: `firehose check | head -1`.
        CommandError::Io(cause) if cause.kind() == io::ErrorKind::BrokenPipe => return Exit::Done,
        CommandError::Config(_) | CommandError::Usage(_) => Exit::Usage,
        CommandError::Logged => return Exit::Failed,
        CommandError::Failed(_) | CommandError::Io(_) => Exit::Failed,
    };
    let label = if matches!(error, CommandError::Config(_)) {
        ""
    } else {
        "error: "
    };
    // Nobody is left to be told when this fails.
    let _ = writeln!(err, "{label}{}", error.to_string().trim_end());
    exit
}

/// What clap has to say: help and version are output, the rest is a usage error.
fn answer(said: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let text = said.render();
    let asked = matches!(
        said.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    // Nobody is left to be told when this fails.
    if asked {
        let _ = write!(out, "{text}");
        Exit::Done
    } else {
        let _ = write!(err, "{text}");
        Exit::Usage
    }
}

fn dispatch(
    line: CommandLine,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let named = line.config.path;
    let config = named.clone().unwrap_or_else(|| "firehose.toml".into());
    match line.command.unwrap_or(Command::Run) {
        Command::Run => run::run(config, err),
        Command::Check => check::run(&config, out, err),
        Command::Explain(args) => explain::run(&config, &args, out, err),
        Command::Put(args) => {
            Ok(runtime()?.block_on(put::run(&args, named.as_deref(), out, err))?)
        }
        Command::Catalog(command) => catalog::run(&command, &config, out),
        Command::Schema(command) => schema::run(&command, &config, out, err),
        Command::State(command) => state::run(&command, &config, out),
        Command::Transform(command) => transform::run(&command, &config, out, err),
        Command::CompileModule(args) => compile_module::run(args, out),
        Command::Demo(args) => demo::run(&args, out),
    }
}

/// The runtime of the subcommands that serve or send.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

#[cfg(test)]
mod tests;
