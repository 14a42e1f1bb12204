//! The config file, compiled as far as can be without touching anything: what the loader cannot
//! judge (queries, prefixes, schemas) is judged by the stages that will run it, and each of their
//! faults is shown at its place in the file.

use std::ops::Range;
use std::path::Path;
use std::slice::from_ref;
use std::sync::Arc;

use super::{CommandError, compiled};
use crate::config::{
    self, Config, Diagnostic, Diagnostics, Loaded, SpanMap, StageField, StreamSettings, choose,
    display_size,
};
use crate::format::{Format, FormatFault};
use crate::partition::{ErrorPrefix, Field, PartitionFault, Partitioner};
use crate::transform::{Chain, Observer};

/// Loads the file and compiles its expressions; the environment is the process's own.
pub(super) fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    let mut loaded = config::load(path, &|name| std::env::var(name).ok())?;
    let faults = check_stages(&loaded.config, &loaded.spans);
    if !faults.is_empty() {
        let mut found = faults;
        found.extend(loaded.warnings);
        return Err(found);
    }
    loaded.warnings.extend(disk_room(&loaded.config));
    Ok(loaded)
}

/// The stream of that name.
pub(super) fn stream<'c>(
    config: &'c Config,
    name: &str,
) -> Result<&'c StreamSettings, CommandError> {
    config.streams.get(name).ok_or_else(|| {
        let names: Vec<&str> = config.streams.keys().map(String::as_str).collect();
        let help = choose(name, &names, '"');
        CommandError::Usage(format!("the config has no stream \"{name}\"; {help}"))
    })
}

/// Everything that the stages refuse to compile.
pub(super) fn check_stages(config: &Config, spans: &SpanMap) -> Diagnostics {
    let mut found = Diagnostics::default();
    for stream in config.streams.values() {
        for PartitionFault {
            field,
            at,
            message,
            help,
        } in partition_faults(stream)
        {
            found.push(diagnostic(
                stream,
                spans,
                stage_field(field),
                at,
                message,
                help,
            ));
        }
        if let Err(FormatFault { at, message, help }) = Format::compile(&stream.format) {
            found.push(diagnostic(
                stream,
                spans,
                StageField::Schema,
                at,
                message,
                help,
            ));
        }
    }
    found
}

/// What is wrong with the streams' modules: each is compiled and tried out with its config. That
/// takes its time and the daemon does it when it starts, so only `check` asks.
pub(super) fn check_modules(config: &Config, spans: &SpanMap) -> anyhow::Result<Diagnostics> {
    let mut found = Diagnostics::default();
    let has_transforms = |stream: &&StreamSettings| !stream.transforms.is_empty();
    let streams: Vec<_> = config.streams.values().filter(has_transforms).collect();
    if streams.is_empty() {
        return Ok(found);
    }
    let engine = compiled::engine()?;
    let silent = Observer::of_log(Arc::new(|_, _| {}))?;
    for stream in streams {
        for (index, settings) in stream.transforms.iter().enumerate() {
            let (one, silent) = (from_ref(settings), from_ref(&silent));
            if let Err(error) = Chain::load(&engine, &stream.name, one, silent) {
                let (field, message) = (StageField::Module(index), error.to_string());
                found.push(diagnostic(stream, spans, field, None, message, None));
            }
        }
    }
    Ok(found)
}

fn partition_faults(stream: &StreamSettings) -> Vec<PartitionFault> {
    let partitioning = &stream.partitioning;
    let time_zone = partitioning.time_zone.as_deref();
    let prefix = stream.destination.prefix.as_deref();
    let error_prefix = stream.destination.error_prefix.as_deref();
    let has_transforms = !stream.transforms.is_empty();
    let data = Partitioner::compile(partitioning, has_transforms, prefix).err();
    let errors = ErrorPrefix::compile(error_prefix, prefix, time_zone).err();
    let backup = stream
        .backup
        .as_ref()
        .and_then(|backup| Partitioner::compile_backup(backup.prefix.as_deref(), time_zone).err());
    [data, errors, backup]
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}

const fn stage_field(field: Field) -> StageField {
    match field {
        Field::Query => StageField::Query,
        Field::EventTime => StageField::EventTime,
        Field::Prefix => StageField::Prefix,
        Field::ErrorPrefix => StageField::ErrorPrefix,
        Field::BackupPrefix => StageField::BackupPrefix,
        Field::TimeZone => StageField::TimeZone,
    }
}

fn diagnostic(
    stream: &StreamSettings,
    spans: &SpanMap,
    field: StageField,
    at: Option<Range<usize>>,
    message: String,
    help: Option<String>,
) -> Diagnostic {
    let mut diagnostic = match spans.place(&stream.name, field, at) {
        Some(place) => Diagnostic::fault(place, message),
        None => Diagnostic::placeless(format!("stream {}: {message}", stream.name)),
    };
    let own = format!("[stream.{}", stream.name);
    diagnostic.help = help.map(|help| help.replace("[stream.NAME", &own));
    diagnostic
}

/// Warns when journals and spools may grow beyond what the disk has free.
fn disk_room(config: &Config) -> Option<Diagnostic> {
    let existing = config.state_dir.ancestors().find(|dir| dir.is_dir());
    let dir = existing.unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(dir).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let limits = config.streams.values().map(|stream| {
        let journal = stream.source.journal_limit();
        journal.saturating_add(stream.spool_limit)
    });
    let limit = limits.fold(0, u64::saturating_add);
    (limit > free).then(|| {
        let message = format!(
            "journal_limit and spool_limit of all streams add up to {}, but {} has {} free",
            display_size(limit),
            config.state_dir.display(),
            display_size(free >> 20 << 20),
        );
        Diagnostic::doubt(message).help("lower the limits, or put state_dir on a larger disk")
    })
}
