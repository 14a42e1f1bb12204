//! `firehose schema history`: how the columns of a stream have changed that it has learned, or read of a Glue table.

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
    if !stream.format.come_later() {
        let name = &stream.name;
        return Err(CommandError::Usage(format!(
            "stream \"{name}\" learns no columns: its format says neither schema = \"infer\" nor glue_table\n  \
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
        let why = match stream.format.table() {
            Some(_) => "nothing is kept yet: the Glue table was never read",
            None => "nothing is learned yet: no records have come",
        };
        writeln!(out, "{why}")?;
    }
    for version in versions.iter().rev() {
        let SchemaVersion {
            version: number,
            changes,
            table,
            ..
        } = version;
        let (time, hash) = (time(version), version.hash());
        match table {
            Some(table) => writeln!(out, "version {number}, {time}, {hash}, {table}")?,
            None => writeln!(out, "version {number}, {time}, {hash}")?,
        }
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
    let mut document = json!({ "version": version.version, "at": time(version), "hash": version.hash(),
            "columns": version.columns, "changes": version.changes });
    if let Some(table) = &version.table {
        document["table"] = json!(table);
    }
    document
}

fn time(version: &SchemaVersion) -> String {
    let time = jiff::Timestamp::from_millisecond(version.at_ms);
    time.map_or_else(|_| version.at_ms.to_string(), |time| format!("{time:.3}"))
}
