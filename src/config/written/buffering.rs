//! When a batch is full: `[stream.NAME.buffering]`, and the same of a backup.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{GIB, KIB, MIB};
use crate::config::diagnostic::Diagnostic;
use crate::config::quantity::display_duration;
use crate::config::table::Table;
use crate::config::{Align, BufferingSettings, SizeOf};

/// Far beyond Firehose's 1 to 128 MiB; S3's largest object is 5 TiB, one upload of 10,000 parts.
const SIZE_BOUNDS: RangeInclusive<u64> = KIB..=5 * GIB;
const DAY: Duration = Duration::from_hours(24);
const INTERVAL_BOUNDS: RangeInclusive<Duration> = Duration::ZERO..=DAY;
/// Shorter ones are none that a clock shows.
const ALIGNED_MIN: Duration = Duration::from_secs(1);
/// Below it each look at the time would close something.
const CLOSE_AFTER_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;

/// What a stream has that says nothing about it.
pub(super) const DEFAULT: BufferingSettings =
    BufferingSettings::new(128 * MIB, Duration::from_mins(5));

/// Reads the table. What it does not say is as in `default`.
pub(super) fn read(
    mut table: Table<'_>,
    default: BufferingSettings,
    spool_limit: u64,
) -> BufferingSettings {
    let size = table.size("size", SIZE_BOUNDS);
    if let Some(size) = size.as_ref().filter(|size| size.value > spool_limit) {
        let place = table.file.place(size.at.clone());
        let message = "no batch can reach this size: it is more than `spool_limit`";
        let help = "batches are sealed early when the spool is full; raise `spool_limit`";
        table
            .file
            .report(Diagnostic::warning(place, message).help(help));
    }
    let sizes = [("records", SizeOf::Records), ("object", SizeOf::Object)];
    let size_of = table.word("size_of", &sizes);
    let interval = table.duration("interval", INTERVAL_BOUNDS);
    let choices = [("record", Align::Record), ("clock", Align::Clock)];
    let align = table.word("align", &choices);
    let close_after = table.duration("close_after", CLOSE_AFTER_BOUNDS);
    let settings = BufferingSettings {
        size: size.map_or(default.size, |size| size.value),
        size_of: size_of.map_or(default.size_of, |size_of| size_of.value),
        interval: interval
            .as_ref()
            .map_or(default.interval, |interval| interval.value),
        align: align.map_or(default.align, |align| align.value),
        close_after: close_after
            .map(|close_after| close_after.value)
            .or(default.close_after),
    };
    // What was written and could not be read is reported, and says nothing about the others.
    if interval.is_some() || !table.has("interval") {
        check(&table, &settings);
    }
    let settings = without_misfits(&table, settings);
    table.finish();
    settings
}

/// A backup with an interval of its own leaves what does not fit that to the stream.
fn without_misfits(table: &Table<'_>, settings: BufferingSettings) -> BufferingSettings {
    let fits = |close_after: &Duration| *close_after < settings.interval;
    let is_clock = settings.align == Align::Clock && settings.interval >= ALIGNED_MIN;
    BufferingSettings {
        align: if is_clock || table.has("align") {
            settings.align
        } else {
            Align::Record
        },
        close_after: settings.close_after.filter(fits),
        ..settings
    }
}

/// Says what of the settings does not go together.
fn check(table: &Table<'_>, settings: &BufferingSettings) {
    let interval = settings.interval;
    let shown = display_duration(interval);
    let of_interval = if table.has("interval") {
        format!("the `interval` of {shown}")
    } else {
        format!("the `interval`, which is {shown} here")
    };
    if let Some(close_after) = settings.close_after
        && close_after >= interval
        && table.has("close_after")
    {
        let message = format!(
            "`close_after` closes nothing: {} is not shorter than {of_interval}",
            display_duration(close_after)
        );
        let help = "what gets nothing more is closed before its interval has passed: write a shorter time, or \
                    remove `close_after`";
        table.fault(table.place_of("close_after"), message, Some(help));
    }
    if settings.align == Align::Record {
        return;
    }
    if interval < ALIGNED_MIN && table.has("align") {
        let message = format!(
            "`align = \"clock\"` needs an `interval` of at least {}, and it is {shown}",
            display_duration(ALIGNED_MIN)
        );
        let help = "write interval = \"1h\" for objects that end on the hour, or remove `align`";
        table.fault(table.place_of("interval"), message, Some(help));
    } else if interval >= ALIGNED_MIN && !DAY.as_millis().is_multiple_of(interval.as_millis()) {
        let message =
            format!("{of_interval} does not divide a day: the last object of each day is shorter");
        let help = "intervals are counted from midnight, by `partitioning.time_zone`; such as \"15m\", \"1h\" or \
                    \"6h\" come out even";
        table.doubt(table.place_of("interval"), message, Some(help));
    }
}
