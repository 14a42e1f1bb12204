//! `[[stream.X.transform]]`: the modules that change records, in the order of the file.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{GIB, KIB, MIB};
use crate::config::diagnostic::Diagnostic;
use crate::config::document::json_object;
use crate::config::spans::{SpanMap, StageField};
use crate::config::table::Table;
use crate::config::text::TextOrigin;
use crate::config::{CompileLimits, Isolation, TRANSFORMS_MAX, TransformSettings};

const TIMEOUT_BOUNDS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(5);
/// From little more than a stack to all that 32 bits can address.
const MEMORY_BOUNDS: RangeInclusive<u64> = MIB..=4 * GIB;
const OUTPUT_BOUNDS: RangeInclusive<u64> = 64 * KIB..=256 * MIB;
/// From what the smallest module takes to more than any machine has to spare.
const COMPILE_MEMORY_BOUNDS: RangeInclusive<u64> = 128 * MIB..=256 * GIB;
const COMPILE_TIMEOUT_BOUNDS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(1);
const LOG_LINES_BOUNDS: RangeInclusive<u64> = 0..=1_000_000;

/// Reads a stream's transforms.
pub(super) fn read_all(
    stream: &str,
    table: &mut Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> Vec<TransformSettings> {
    let tables = table.elements("transform");
    if tables.is_empty() && table.has("transform") {
        spans.keep_unread(stream, StageField::Module(0));
    }
    if let Some(beyond) = tables.get(TRANSFORMS_MAX) {
        let message = format!("{} transforms in [stream.{stream}]", tables.len());
        let help = format!("a stream may have {TRANSFORMS_MAX}");
        let fault = Diagnostic::fault(beyond.place(), message).help(help);
        table.file.report(fault);
    }
    let read = |(index, mut table): (usize, Table<'_>)| {
        let place = table.place_of("module");
        spans.keep_origin(stream, StageField::Module(index), TextOrigin::at(place));
        let settings = read(&mut table, base);
        table.finish();
        if settings.is_none() {
            spans.keep_unread(stream, StageField::Module(index));
        }
        settings
    };
    tables.into_iter().enumerate().filter_map(read).collect()
}

/// Reads one; `None` when its module or config cannot be had (the fault is reported).
fn read(table: &mut Table<'_>, base: &Path) -> Option<TransformSettings> {
    let module = module(table, base);
    let compile_memory = table.size("compile_memory", COMPILE_MEMORY_BOUNDS);
    let compile_timeout = table.duration("compile_timeout", COMPILE_TIMEOUT_BOUNDS);
    let timeout = table.duration("timeout", TIMEOUT_BOUNDS);
    let memory = table.size("memory", MEMORY_BOUNDS);
    let output = table.size("output", OUTPUT_BOUNDS);
    let log_lines = table.integer("log_lines", LOG_LINES_BOUNDS);
    let lives = [("reuse", Isolation::Reuse), ("batch", Isolation::Batch)];
    let isolation = table.word("isolation", &lives);
    let config = table
        .table("config")
        .map_or_else(|| Some("{}".to_owned()), json_object);
    let (name, module) = module?;
    let default = TransformSettings::of(module);
    let compile = default.compile;
    let compile = CompileLimits {
        memory: compile_memory.map_or(compile.memory, |memory| memory.value),
        timeout: compile_timeout.map_or(compile.timeout, |timeout| timeout.value),
    };
    Some(TransformSettings {
        name,
        compile,
        timeout: timeout.map_or(default.timeout, |timeout| timeout.value),
        memory: memory.map_or(default.memory, |memory| memory.value),
        output: output.map_or(default.output, |output| output.value),
        log_lines: log_lines.map_or(default.log_lines, |lines| lines.value),
        isolation: isolation.map_or(default.isolation, |life| life.value),
        config: config?,
        ..default
    })
}

/// The module's path as it is written, and where it is. Whether there is a module the transforms judge:
/// it may come while the daemon runs.
fn module(table: &mut Table<'_>, base: &Path) -> Option<(String, PathBuf)> {
    if !table.has("module") {
        table.missing(
            "module",
            "name the WebAssembly file: module = \"csv-to-json.wasm\"",
        );
    }
    let written = crate::config::path::path(table, "module")?;
    Some((written.display().to_string(), base.join(&written)))
}
