//! The config file, compiled as far as can be without touching anything: what the loader cannot
//! judge (queries, prefixes, schemas) is judged by the stages that will run it, and each of their
//! faults is shown at its place in the file.

use std::ops::Range;
use std::path::Path;
use std::slice::from_ref;
use std::sync::Arc;

use super::{CommandError, compiled};
use crate::config::{
    self, Config, ConfigDraft, Diagnostic, Diagnostics, LoadedConfig, SpanMap, StageField,
    StreamSettings, TRANSFORMS_MAX, choose, display_size,
};
use crate::error::with_causes;
use crate::format::{Format, FormatFault};
use crate::partition::{PartitionFault, PartitionSetting, UnreadSettings};
use crate::pipeline::{self, MadeUp};
use crate::registry::registry;
use crate::transform::{Chain, Observer};

/// Loads the file and compiles its expressions; the environment is the process's own.
pub(super) fn load(path: &Path) -> Result<LoadedConfig, Diagnostics> {
    draft(path)?.sound()
}

/// The same, with all that was found, even where some of it is a fault.
pub(super) fn draft(path: &Path) -> Result<ConfigDraft, Diagnostics> {
    let mut draft = config::draft(path, &|name| std::env::var(name).ok(), &registry())?;
    draft
        .found
        .extend(check_stages(&draft.config, &draft.spans));
    if !draft.found.has_faults() {
        draft.found.extend(disk_room(&draft.config));
    }
    Ok(draft)
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

/// Everything that the stages refuse to compile of what could be read.
pub(super) fn check_stages(config: &Config, spans: &SpanMap) -> Diagnostics {
    let mut found = Diagnostics::default();
    for stream in config.streams.values() {
        for PartitionFault {
            field,
            at,
            message,
            help,
            is_transient: _,
        } in pipeline::prefix_faults(stream, made_up(stream, spans))
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
        let is_read = |field| !spans.is_unread(&stream.name, field);
        let is_drafted = [StageField::Schema, StageField::Prefix, StageField::Store];
        if is_drafted.into_iter().all(is_read)
            && let Some((message, help)) = pipeline::draft_fault(stream)
        {
            let (field, help) = (StageField::Catalog, Some(help));
            found.push(diagnostic(stream, spans, field, None, message, help));
        }
        let is_schema_unread = spans.is_unread(&stream.name, StageField::Schema);
        if !is_schema_unread
            && let Err(FormatFault { at, message, help }) = Format::compile(&stream.format)
        {
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
        // Modules that could not be read are missing from the settings.
        let is_read = |index: &usize| !spans.is_unread(&stream.name, StageField::Module(*index));
        for (index, settings) in (0..).filter(is_read).zip(&stream.transforms) {
            let (one, silent) = (from_ref(settings), from_ref(&silent));
            if let Err(error) = Chain::load(&engine, &stream.name, one, silent) {
                let (field, message) = (StageField::Module(index), with_causes(&error));
                let help = (!settings.module.is_file())
                    .then(|| "a relative path starts at the folder of the config file".to_owned());
                found.push(diagnostic(stream, spans, field, None, message, help));
            }
        }
    }
    Ok(found)
}

/// What of a stream's settings stands in the place of values that could not be read.
fn made_up(stream: &StreamSettings, spans: &SpanMap) -> MadeUp {
    let is_unread = |field| spans.is_unread(&stream.name, field);
    MadeUp {
        values: UnreadSettings {
            query: is_unread(StageField::Query),
            event_time: is_unread(StageField::EventTime),
            prefix: is_unread(StageField::Prefix),
            late_prefix: is_unread(StageField::LatePrefix),
        },
        error_prefix: is_unread(StageField::ErrorPrefix),
        store: [
            StageField::Store,
            StageField::ErrorStore,
            StageField::BackupStore,
        ]
        .into_iter()
        .any(is_unread),
        transforms: (0..TRANSFORMS_MAX).any(|index| is_unread(StageField::Module(index))),
    }
}

const fn stage_field(field: PartitionSetting) -> StageField {
    match field {
        PartitionSetting::Query => StageField::Query,
        PartitionSetting::EventTime => StageField::EventTime,
        PartitionSetting::Prefix => StageField::Prefix,
        PartitionSetting::LatePrefix => StageField::LatePrefix,
        PartitionSetting::ErrorPrefix => StageField::ErrorPrefix,
        PartitionSetting::BackupPrefix => StageField::BackupPrefix,
        PartitionSetting::TimeZone => StageField::TimeZone,
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
        let journal = stream.source.disk_limit();
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
