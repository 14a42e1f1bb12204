//! `watermark` in `[stream.NAME.buffering]`: by how much an event may be late.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::PartitioningSettings;
use crate::config::diagnostic::{Diagnostic, SourceSpan};
use crate::config::spans::{SpanMap, StageField};
use crate::config::table::{FileContext, Table};

/// What comes a week late is read from elsewhere.
const BOUNDS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(7 * 24);

/// The setting as it is written.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    /// By how much an event may be late; `None`: that was not said, or cannot be read.
    pub(super) lateness: Option<Duration>,
    place: Option<SourceSpan>,
}

/// Reads it from the table that it stands in, if there is one.
pub(super) fn read(table: Option<&mut Table<'_>>) -> Watermark {
    let Some(table) = table else {
        return Watermark::default();
    };
    Watermark {
        lateness: (table.duration("watermark", BOUNDS)).map(|lateness| lateness.value),
        place: (table.has("watermark")).then(|| table.place_of("watermark")),
    }
}

impl Watermark {
    /// Whether the file has it, in whatever form.
    pub(super) const fn is_written(&self) -> bool {
        self.place.is_some()
    }

    /// Says what is missing where nothing tells the time of an event. Where one half is there, what is said
    /// of that names the other.
    pub(super) fn check(
        &self,
        stream: &str,
        partitioning: &PartitioningSettings,
        prefix: Option<&str>,
        spans: &SpanMap,
        file: &FileContext<'_>,
    ) {
        let is_unread = |field| spans.is_unread(stream, field);
        let is_used = prefix.is_some_and(|prefix| prefix.contains("!{eventTime:"));
        let is_any = partitioning.event_time.is_some()
            || is_used
            || is_unread(StageField::EventTime)
            || is_unread(StageField::Prefix);
        if let (Some(place), false) = (&self.place, is_any) {
            let message = "`watermark` needs partitions by the time of events, and there are none";
            let help = format!(
                "write event_time = '.path.to.the.time' into [stream.{stream}.partitioning], and \
                 !{{eventTime:yyyy/MM/dd/HH}}/ or the like into the `prefix`"
            );
            file.report(Diagnostic::fault(place.clone(), message).help(help));
        }
    }
}
