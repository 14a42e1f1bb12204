//! `firehose schema history`: how the columns of a stream have changed that it has learned.

use std::io::Write;
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::super::{CommandError, settings};
use super::learned;
use crate::format::Columns;
use crate::schema::SchemaVersion;

/// Arguments of `schema history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The delivery stream.
    stream: String,
    /// One JSON document, with the columns of each version.
    #[arg(long)]
    json: bool,
}

/// Shows the versions, newest first.
pub(super) fn run(
    args: &HistoryArgs,
    config: &Path,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let loaded = settings::load(config)?;
    let stream = settings::stream(&loaded.config, &args.stream)?;
    if stream.format.sample().is_none() {
        let name = &stream.name;
        return Err(CommandError::Usage(format!(
            "stream \"{name}\" learns no columns: its format does not say schema = \"infer\"\n  \
             help: the columns that it declares: firehose schema show {name}"
        )));
    }
    let versions = learned::versions(&loaded.config, config, stream)?;
    if args.json {
        let versions: Vec<_> = versions.iter().rev().map(document).collect();
        writeln!(
            out,
            "{}",
            json!({ "stream": stream.name, "versions": versions })
        )?;
        return Ok(());
    }
    if versions.is_empty() {
        writeln!(out, "nothing is learned yet: no records have come")?;
    }
    for version in versions.iter().rev() {
        let SchemaVersion {
            version: number,
            changes,
            ..
        } = version;
        writeln!(
            out,
            "version {number}, {}, {}",
            time(version),
            version.hash()
        )?;
        for change in changes {
            writeln!(out, "  {change}")?;
        }
        if changes.is_empty() {
            let columns = Columns::parse(&version.columns);
            let count = columns.map_or(0, |columns| columns.names().len());
            writeln!(out, "  {count} columns")?;
        }
    }
    Ok(())
}

fn document(version: &SchemaVersion) -> serde_json::Value {
    json!({ "version": version.version, "at": time(version), "hash": version.hash(),
            "columns": version.columns, "changes": version.changes })
}

fn time(version: &SchemaVersion) -> String {
    let time = jiff::Timestamp::from_millisecond(version.at_ms);
    time.map_or_else(|_| version.at_ms.to_string(), |time| format!("{time:.3}"))
}
