//! Intervals that are counted by the clock: the windows into which arrivals fall, and how long a batch of one waits.
//!
//! A day is cut from its midnight on, by the clock of the stream's time zone: at `interval`, at twice that, and so on
//! up to the next midnight. Where that clock is set, for summer or winter, a window ends too: so none is longer than
//! the interval, and the next ones end where the clock shows multiples again.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::checkpoint::{Lane, Window};
use crate::config::{Align, BufferingSettings};
use crate::partition::Zone;

const DAY_MS: i64 = 86_400_000;
/// Years 1 to 9999, beyond which no zone has a clock.
const TIMES_MS: RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
/// What arrived just before a window ended is still on its way then: its batch waits for one part in so many of the
/// interval…
const LAG_PART: i64 = 60;
/// …and for so long at most, in ms.
const LAG_MAX_MS: i64 = 5_000;

/// The windows of one stream.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    every_ms: i64,
    zone: Zone,
}

/// The windows of each lane that has some.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneWindows {
    /// Of data and errors.
    data: Option<Windows>,
    backup: Option<Windows>,
}

impl LaneWindows {
    /// Those that the settings of data and backup ask for, in this zone.
    pub(super) fn of(
        data: BufferingSettings,
        backup: Option<BufferingSettings>,
        zone: &Zone,
    ) -> Self {
        Self {
            data: Windows::of_interval(data, zone),
            backup: backup.and_then(|backup| Windows::of_interval(backup, zone)),
        }
    }

    /// Those of a lane.
    pub(super) const fn lane(&self, lane: Lane) -> Option<&Windows> {
        match lane {
            Lane::Data | Lane::Error(_) => self.data.as_ref(),
            Lane::Backup => self.backup.as_ref(),
        }
    }

    /// The window of a lane into which something falls that arrived then; `None`: it has none.
    pub(super) fn find(&self, lane: Lane, arrival_ms: i64) -> Option<Window> {
        Some(self.lane(lane)?.find(arrival_ms))
    }
}

impl Windows {
    fn of_interval(buffering: BufferingSettings, zone: &Zone) -> Option<Self> {
        let every_ms = i64::try_from(buffering.interval.as_millis()).ok()?;
        let is_aligned = buffering.align == Align::Clock && every_ms > 0;
        is_aligned.then(|| Self {
            every_ms,
            zone: zone.clone(),
        })
    }

    /// The window that holds this time.
    pub(super) fn find(&self, at_ms: i64) -> Window {
        let at_ms = at_ms.clamp(*TIMES_MS.start(), *TIMES_MS.end());
        let at = at_ms.div_euclid(1000);
        let offset = self.zone.offset_seconds(at);
        let has_offset = |at| self.zone.offset_seconds(at) == offset;
        let shift_ms = offset * 1000;
        let local_ms = at_ms + shift_ms;
        let midnight_ms = local_ms.div_euclid(DAY_MS) * DAY_MS;
        let start_ms = local_ms - (local_ms - midnight_ms) % self.every_ms;
        let end_ms = (start_ms + self.every_ms).min(midnight_ms + DAY_MS);
        let (mut start_ms, mut end_ms) = (start_ms - shift_ms, end_ms - shift_ms);
        let (first, last) = (start_ms.div_euclid(1000), (end_ms - 1).div_euclid(1000));
        if !has_offset(first) {
            start_ms = first_of(first, at, has_offset) * 1000;
        }
        if !has_offset(last) {
            end_ms = first_of(at, last, |at| !has_offset(at)) * 1000;
        }
        Window { start_ms, end_ms }
    }

    /// How long a batch of `window` waits that opens when the wall clock shows `opened_ms`: up to the window's end, or
    /// to the end of the one in which it opens, where that is later, since what arrived earlier may be long behind.
    pub(super) fn wait(&self, opened_ms: i64, window: Window) -> Duration {
        let lag_ms = (self.every_ms / LAG_PART).min(LAG_MAX_MS);
        let opened_in = self.find(opened_ms.saturating_sub(lag_ms));
        let end_ms = opened_in.end_ms.max(window.end_ms) + lag_ms;
        // What arrived in the future did so by a clock that was set back since.
        let wait_ms = end_ms.saturating_sub(opened_ms);
        let wait_ms = wait_ms.clamp(0, self.every_ms + lag_ms);
        Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
    }
}

/// The first second of which `wanted` is true, which it is of `yes` and not of `no`, and turns once between.
fn first_of(mut no: i64, mut yes: i64, wanted: impl Fn(i64) -> bool) -> i64 {
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if wanted(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    yes
}

#[cfg(test)]
mod tests;
