//! `firehose schema show`: the columns of a stream as others take them.

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::super::lines::open;
use super::super::{CommandError, settings};
use super::athena::AthenaTable;
use super::learned;
use crate::config::{Config, GlueTable, StreamSettings};
use crate::format::{Columns, FORMATS, Style};
use crate::partition::{Partition, PartitionValue, PrefixLayout};
use crate::schema::SchemaVersion;

/// Bytes of a file of columns, as of `schema_file`.
const COLUMNS_MAX: u64 = 1 << 20;

/// Arguments of `schema show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The delivery stream.
    stream: String,
    /// For whom.
    #[arg(long = "as", value_name = "READER", value_enum, default_value_t = SchemaReader::Hive)]
    reader: SchemaReader,
    /// Columns of a stream whose format declares none, as `schema infer` prints them; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    columns: Option<PathBuf>,
}

/// Who is to read the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SchemaReader {
    /// The columns, a line each; the config takes them, too.
    Hive,
    /// A statement that declares the table, with its partitions.
    Athena,
    /// The columns as a DDL text for `schema(…)` of a reader.
    Spark,
    /// One JSON document, with place and partitions.
    Json,
}

/// Shows the columns; a stream without any is a usage error, which says what to write.
pub(super) fn run(args: &ShowArgs, config: &Path, out: &mut dyn Write) -> Result<(), CommandError> {
    let loaded = settings::load(config)?;
    let stream = settings::stream(&loaded.config, &args.stream)?;
    let columns = in_force(&loaded.config, config, stream, args.columns.as_deref())?;
    let layout = PrefixLayout::of(stream.destination.prefix.as_deref());
    match args.reader {
        SchemaReader::Hive => writeln!(out, "{}", columns.lines(Style::Hive))?,
        SchemaReader::Spark => writeln!(out, "{}", columns.lines(Style::Spark))?,
        SchemaReader::Json => writeln!(out, "{}", document(stream, &columns, &layout))?,
        SchemaReader::Athena => {
            let table = AthenaTable::of(stream, columns, &layout).map_err(CommandError::Usage)?;
            write!(out, "{table}")?;
        }
    }
    Ok(())
}

/// The columns that are in force, or those of a file of columns.
pub(super) fn in_force(
    config: &Config,
    config_file: &Path,
    stream: &StreamSettings,
    file: Option<&Path>,
) -> Result<Columns, CommandError> {
    if stream.format.come_later() && file.is_none() {
        let versions = learned::versions(config, config_file, stream)?;
        newest(stream, &versions)
    } else {
        columns(stream, file)
    }
}

/// The learned columns that are in force.
fn newest(stream: &StreamSettings, versions: &[SchemaVersion]) -> Result<Columns, CommandError> {
    let name = &stream.name;
    let kept = match stream.format.table().map(GlueTable::identity) {
        Some(table) => versions
            .iter()
            .rev()
            .find(|version| version.is_of_table(&table)),
        None => versions.last(),
    };
    let Some(newest) = kept else {
        if let Some(table) = stream.format.table() {
            let (database, table) = (&table.database, &table.name);
            return Err(CommandError::Usage(format!(
                "stream \"{name}\" has no columns yet: it has never read its Glue table {database}.{table}\n  \
                 help: what the catalog says: aws glue get-table --database-name {database} --name {table}"
            )));
        }
        return Err(CommandError::Usage(format!(
            "stream \"{name}\" has learned no columns yet: send it records first\n  \
             help: columns for a sample of them: firehose schema infer SAMPLE"
        )));
    };
    let columns = Columns::parse(&newest.columns);
    let columns =
        columns.map_err(|fault| CommandError::Failed(anyhow!("the state of {name}: {fault}")))?;
    match stream.format.columns() {
        Some(settings) => Ok(columns.with_unknown_of(&settings.rules)),
        None => Ok(columns),
    }
}

/// The columns that the format declares, or those of the file where it declares none.
fn columns(stream: &StreamSettings, file: Option<&Path>) -> Result<Columns, CommandError> {
    let declared = stream.format.columns();
    let declared = declared.filter(|columns| !columns.come_later());
    let parsed = match (declared, file) {
        (Some(_), Some(_)) => {
            let message = format!(
                "stream \"{}\" declares its columns in the config: leave --columns out",
                stream.name
            );
            return Err(CommandError::Usage(message));
        }
        (Some(columns), None) => Columns::of_settings(columns),
        (None, Some(file)) => Columns::parse(&read(file)?),
        (None, None) => return Err(CommandError::Usage(without_columns(stream))),
    };
    let at = file.map_or_else(|| stream.name.clone(), |file| file.display().to_string());
    parsed.map_err(|fault| CommandError::Usage(format!("{at}: {fault}")))
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = open(file)?.take(COLUMNS_MAX + 1).read_to_string(&mut text);
    let name = file.display();
    read.with_context(|| format!("{name} cannot be read"))?;
    if text.len() as u64 > COLUMNS_MAX {
        return Err(anyhow!("{name} is larger than {COLUMNS_MAX} bytes"));
    }
    Ok(text)
}

fn without_columns(stream: &StreamSettings) -> String {
    let (name, format) = (&stream.name, stream.format.word());
    let with = FORMATS.iter().filter(|kind| kind.schema().is_some());
    let with: Vec<String> = with.map(|kind| format!("\"{}\"", kind.word())).collect();
    format!(
        "stream \"{name}\" has no schema: its format, {format}, declares no columns\n  \
         help: find columns for a sample of its records: firehose schema infer SAMPLE > columns.sql\n  \
         help: to deliver columns, write type = {} and schema_file = \"columns.sql\" in [stream.{name}.format]\n  \
         help: to read its objects as they are, name them here: firehose schema show {name} --columns columns.sql",
        with.join(" or "),
    )
}

fn document(
    stream: &StreamSettings,
    columns: &Columns,
    layout: &PrefixLayout,
) -> serde_json::Value {
    let texts = columns.texts(Style::Config).into_iter();
    let columns: Vec<_> = texts
        .zip(columns.names())
        .map(|((_, kind), name)| json!({ "name": name, "type": kind }))
        .collect();
    let partitions: Vec<_> = layout.partitions.iter().map(partition).collect();
    json!({
        "stream": stream.name,
        "format": stream.format.word(),
        "location": stream.destination.store.location(&layout.head),
        "columns": columns,
        "partitions": partitions,
        "template": layout.template,
        "hivePartitions": layout.is_hive,
    })
}

fn partition(partition: &Partition) -> serde_json::Value {
    let name = &partition.name;
    match &partition.value {
        PartitionValue::Time { pattern, of_event } => {
            let of = if *of_event { "event-time" } else { "arrival" };
            json!({ "name": name, "of": of, "pattern": pattern })
        }
        PartitionValue::Key => json!({ "name": name, "of": "key" }),
        PartitionValue::Random => json!({ "name": name, "of": "random" }),
    }
}
