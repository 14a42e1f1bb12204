//! `firehose check`: validates the config and says in a line or two what each stream does.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::{CommandError, places, settings};
use crate::config::{
    Align, BufferingSettings, FormatSettings, SizeOf, StreamSettings, TransformSettings,
    display_duration, display_size,
};

/// Checks the file and prints the summary to `out`, warnings to `err`.
pub(super) fn run(
    path: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut draft = settings::draft(path)?;
    let (config, spans) = (&draft.config, &draft.spans);
    draft.found.extend(places::unwritable(config, spans, true));
    draft.found.extend(places::left_behind(config, spans));
    let modules = settings::check_modules(config, spans)?;
    draft.found.extend(modules);
    let loaded = draft.sound()?;
    if !loaded.warnings.is_empty() {
        writeln!(err, "{}\n", loaded.warnings)?;
    }
    let streams = &loaded.config.streams;
    let count = streams.len();
    let noun = if count == 1 { "stream" } else { "streams" };
    writeln!(out, "{} is valid: {count} delivery {noun}", path.display())?;
    for stream in streams.values() {
        summary(stream, out)?;
    }
    Ok(())
}

/// What a stream does, in a line or two.
pub(super) fn summary(stream: &StreamSettings, out: &mut dyn Write) -> io::Result<()> {
    let mut steps = vec![stream.source.summary()];
    let parser = stream.parser.as_ref();
    steps.extend(parser.map(|parser| format!("parse {}", parser.word())));
    steps.extend(stream.transforms.iter().map(file_name));
    let partitioning = &stream.partitioning;
    if partitioning.query.is_some() {
        let prefix = stream.destination.prefix.as_deref().unwrap_or_default();
        steps.push(format!("jq {{{}}}", key_names(prefix).join(", ")));
    }
    if let Some(path) = &partitioning.event_time {
        steps.push(format!("event time {path}"));
    }
    steps.push(format(&stream.format));
    steps.push(store(stream));
    let buffering = &stream.buffering;
    let mut size = display_size(buffering.size);
    if buffering.size_of == SizeOf::Object {
        size.push_str(" of the object");
    }
    writeln!(
        out,
        "{}: {}; {size} or {}",
        stream.name,
        steps.join(" → "),
        times(buffering, stream.watermark)
    )?;
    if let Some(prefix) = &stream.destination.late_prefix {
        let place = stream.destination.store.location(&head(prefix));
        writeln!(out, "  late: under {place}")?;
    }
    if let Some(backup) = &stream.backup {
        let prefix = head(backup.prefix.as_deref().unwrap_or_default());
        let own = stream.destination.backup.as_ref();
        let place = own.map_or_else(|| prefix.clone(), |store| store.location(&prefix));
        writeln!(out, "  backup: {} under {place}", format(&backup.format))?;
    }
    if let Some(catalog) = &stream.catalog {
        let made = if catalog.creates() {
            ", made where it is missing"
        } else {
            ""
        };
        writeln!(out, "  catalog: {}{made}", catalog.name())?;
    }
    if let Some(store) = &stream.destination.errors {
        let destination = &stream.destination;
        let prefix = destination.error_prefix.as_ref();
        let prefix = head(
            prefix
                .or(destination.prefix.as_ref())
                .map_or("", |prefix| prefix),
        );
        writeln!(out, "  errors: under {}", store.location(&prefix))?;
    }
    Ok(())
}

/// After which time a batch is full.
fn times(buffering: &BufferingSettings, watermark: Option<Duration>) -> String {
    let mut times = display_duration(buffering.interval);
    if buffering.align == Align::Clock {
        times.push_str(" by the clock");
    }
    if let Some(close_after) = buffering.close_after {
        times.push_str(" or ");
        times.push_str(&display_duration(close_after));
        times.push_str(" of silence");
    }
    if let Some(lateness) = watermark {
        times.push_str(" or when events are ");
        times.push_str(&display_duration(lateness));
        times.push_str(" past its partition");
    }
    times
}

/// The file of a module without its folders.
fn file_name(transform: &TransformSettings) -> String {
    let name = transform.module.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The query's keys that a prefix uses, in their order.
fn key_names(prefix: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for piece in prefix.split("!{partitionKeyFromQuery:").skip(1) {
        let name = piece.split('}').next().unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn format(format: &FormatSettings) -> String {
    let columns = match (format.sample(), format.table()) {
        (Some(_), _) => ", columns learned".to_owned(),
        (None, Some(table)) => format!(", columns of Glue table {}", table.identity()),
        (None, None) => String::new(),
    };
    match format.compression() {
        "none" => format!("{}{columns}", format.word()),
        compression => format!("{} {compression}{columns}", format.word()),
    }
}

/// The store and the fixed beginning of the prefix.
fn store(stream: &StreamSettings) -> String {
    let destination = &stream.destination;
    let prefix = head(destination.prefix.as_deref().unwrap_or_default());
    destination.store.location(&prefix)
}

/// A prefix up to its first expression.
fn head(prefix: &str) -> String {
    let fixed = prefix.split("!{").next().unwrap_or_default();
    format!("{fixed}…")
}

#[cfg(test)]
mod tests;
