//! `firehose schema`: columns for a stream that has none yet, and those that a stream has for others to read.

mod athena;
mod history;
mod infer;
mod learned;
mod projection;
mod sample;
mod show;

use std::io::Write;
use std::path::Path;

use clap::Subcommand;

use super::CommandError;
use crate::config::{Config, StreamSettings};
use crate::format::Columns;

/// What is done with columns.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Read sample records and print columns that fit them all, as the config takes them.
    Infer(infer::InferArgs),
    /// Print how the columns of a stream have changed that it learns from its records.
    History(history::HistoryArgs),
    /// Print the columns of a stream, as the config, Athena or Spark takes them.
    Show(show::ShowArgs),
}

/// The columns of a stream's objects: those that the format declares, or the learned ones in force.
pub(super) fn columns_in_force(
    config: &Config,
    file: &Path,
    stream: &StreamSettings,
) -> Result<Columns, CommandError> {
    show::in_force(config, file, stream, None)
}

/// Runs `firehose schema …`.
pub(super) fn run(
    command: &SchemaCommand,
    config: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    match command {
        SchemaCommand::Infer(args) => infer::run(args, out, err),
        SchemaCommand::History(args) => history::run(args, config, out),
        SchemaCommand::Show(args) => show::run(args, config, out),
    }
}

#[cfg(test)]
mod tests;
