//! When batches are due: at the end of their interval, when nothing more has come to them for long enough, or when the
//! time of events has passed their partition.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::Entry;
use super::watermark::Watermark;
use crate::checkpoint::{Lane, Window};
use crate::clock::Moment;
use crate::config::{BufferingSettings, StreamSettings};
use crate::pipeline::log::names::Names;
use crate::pipeline::windows::LaneWindows;

/// When batches of each lane are full.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Triggers {
    /// For data and error batches.
    pub data: BufferingSettings,
    /// For backup batches.
    pub backup: BufferingSettings,
    /// Where intervals begin and end that are counted by the clock.
    pub windows: LaneWindows,
    /// By how much an event may be late, where partitions end by events.
    pub lateness: Option<Duration>,
    /// What checkpoints can name: where that is objects alone, no batch is sealed without the others, and silence is
    /// that of all.
    pub names: Names,
}

impl Triggers {
    /// Those of a stream.
    pub(in crate::pipeline) fn of(
        settings: &StreamSettings,
        windows: LaneWindows,
        names: Names,
    ) -> Self {
        let backup = settings.backup.as_ref();
        Self {
            data: settings.buffering,
            backup: backup.map_or(settings.buffering, |backup| backup.buffering),
            windows,
            lateness: settings.watermark,
            names,
        }
    }

    /// The settings of a lane.
    pub(super) const fn lane(&self, lane: Lane) -> &BufferingSettings {
        match lane {
            Lane::Backup => &self.backup,
            Lane::Data | Lane::Error(_) => &self.data,
        }
    }

    /// How long a batch may stay open that opens when the wall clock shows `opened_ms`.
    pub(super) fn wait(&self, lane: Lane, window: Option<Window>, opened_ms: i64) -> Duration {
        match (self.windows.lane(lane), window) {
            (Some(windows), Some(window)) => windows.wait(opened_ms, window),
            _ => self.lane(lane).interval,
        }
    }

    /// Whether any batch is closed when nothing more comes.
    pub(super) const fn mind_silence(&self) -> bool {
        self.data.close_after.is_some() || self.backup.close_after.is_some()
    }

    /// When a batch is due, if nothing more comes.
    fn due(&self, entry: &Entry, newest: Moment) -> Moment {
        let Some(close_after) = self.lane(entry.lane).close_after else {
            return entry.ends;
        };
        let last = match self.names {
            Names::OpenBatches => entry.touched,
            Names::Objects => newest,
        };
        entry.ends.min(last.after(close_after))
    }
}

/// Open batches in the order in which they are to be looked at. What has come to a batch since it was put here makes
/// it due later, never earlier: that is found out when it is looked at.
#[derive(Debug, Default)]
pub(super) struct Dues {
    by_moment: BTreeSet<(Moment, Uuid)>,
    /// Those of partitions that end by the time of events, in the order in which they do.
    by_event: BTreeSet<(i64, Uuid)>,
    /// When something came to any batch for the last time.
    newest: Option<Moment>,
}

impl Dues {
    /// Something has come to a batch.
    pub(super) fn touch(&mut self, entry: &mut Entry, now: Moment) {
        entry.touched = now;
        self.newest = Some(now);
    }

    /// A batch has opened.
    pub(super) fn add(&mut self, entry: &mut Entry, triggers: &Triggers) {
        let newest = self
            .newest
            .map_or(entry.touched, |newest| newest.max(entry.touched));
        self.newest = Some(newest);
        entry.looked_at = triggers.due(entry, newest);
        self.by_moment.insert((entry.looked_at, entry.batch.id));
        if let Some(partition_ends) = entry.partition_ends {
            self.by_event.insert((partition_ends, entry.batch.id));
        }
    }

    /// A batch takes no more records.
    pub(super) fn remove(&mut self, entry: &Entry) {
        self.by_moment.remove(&(entry.looked_at, entry.batch.id));
        if let Some(partition_ends) = entry.partition_ends {
            self.by_event.remove(&(partition_ends, entry.batch.id));
        }
    }

    /// A batch whose partition is over.
    pub(super) fn next_over(&self, watermark: &Watermark) -> Option<Uuid> {
        let (partition_ends, id) = self.by_event.first()?;
        watermark.has_passed(*partition_ends).then_some(*id)
    }

    /// The batch that is to be looked at by now, if any is.
    pub(super) fn next(&self, now: Moment) -> Option<Uuid> {
        let (at, id) = self.by_moment.first()?;
        (*at <= now).then_some(*id)
    }

    /// Looks at a batch: whether it is due. Otherwise its turn comes again.
    pub(super) fn look(&mut self, entry: &mut Entry, triggers: &Triggers, now: Moment) -> bool {
        let due = triggers.due(entry, self.newest.unwrap_or(now));
        if due <= now {
            return true;
        }
        self.by_moment.remove(&(entry.looked_at, entry.batch.id));
        entry.looked_at = due;
        self.by_moment.insert((due, entry.batch.id));
        false
    }
}
