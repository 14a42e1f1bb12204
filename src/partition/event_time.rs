//! The event's time: from what a record calls a time to the texts of a prefix.

use firehose_calendar::timestamp;
use firehose_date_pattern::{DatePattern, Zone};

/// A number that counts from the epoch, in a unit that its magnitude says, as second of the epoch.
pub(super) fn from_number(number: f64) -> Option<i64> {
    timestamp::seconds_from_float(number)
}

/// A time as text, as second of the epoch. A fraction is cut off.
pub(super) fn from_text(text: &[u8]) -> Option<i64> {
    timestamp::from_text(text).map(|micros| micros.div_euclid(timestamp::MICROS))
}

/// The patterns of `!{eventTime:…}` expressions, in order: those of the prefix, and behind them those of another one.
#[derive(Clone, Debug)]
pub(super) struct EventTimePatterns {
    pub(super) patterns: Vec<DatePattern>,
    of_prefix: usize,
    granularity: i64,
}

impl EventTimePatterns {
    pub(super) fn new(mut patterns: Vec<DatePattern>, others: Vec<DatePattern>) -> Self {
        let of_prefix = patterns.len();
        patterns.extend(others);
        let granularity = patterns
            .iter()
            .map(DatePattern::granularity)
            .min()
            .unwrap_or(1);
        Self {
            patterns,
            of_prefix,
            granularity,
        }
    }
}

/// Formatted times of the last stretches of time seen: events come roughly in order, so most
/// records find theirs here.
#[derive(Clone, Debug)]
pub(super) struct EventTimeCache {
    slots: Vec<TimeSlot>,
}

#[derive(Clone, Debug, Default)]
struct TimeSlot {
    /// Seconds of the epoch that have this text.
    valid: std::ops::Range<i64>,
    text: String,
    ends: Vec<usize>,
    /// The first second of another text of the prefix, once it was asked for.
    passed_at: Option<i64>,
}

/// Slots of the cache, a power of two: an hour apart at the coarsest granularity is four slots.
const SLOTS: usize = 64;

impl EventTimeCache {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![TimeSlot::default(); SLOTS],
        }
    }

    /// The texts of all patterns at an instant.
    pub(super) fn texts(
        &mut self,
        patterns: &EventTimePatterns,
        zone: &Zone,
        at: i64,
    ) -> FormattedTimes<'_> {
        FormattedTimes(self.slot(patterns, zone, at))
    }

    /// The first second behind an instant at which the prefix has another text; `i64::MAX` where there is none.
    pub(super) fn passed_at(&mut self, patterns: &EventTimePatterns, zone: &Zone, at: i64) -> i64 {
        let slot = self.slot(patterns, zone, at);
        *slot.passed_at.get_or_insert_with(|| {
            let of_prefix = &patterns.patterns[..patterns.of_prefix];
            DatePattern::text_ends(of_prefix, zone, at).unwrap_or(i64::MAX)
        })
    }

    fn slot(&mut self, patterns: &EventTimePatterns, zone: &Zone, at: i64) -> &mut TimeSlot {
        let stretch = at.div_euclid(patterns.granularity);
        let index = usize::try_from(stretch.rem_euclid(64)).unwrap_or(0);
        let slot = &mut self.slots[index];
        if !slot.valid.contains(&at) {
            slot.fill(patterns, zone, at);
        }
        slot
    }
}

/// The texts of all patterns at one instant.
pub(super) struct FormattedTimes<'a>(&'a TimeSlot);

impl FormattedTimes<'_> {
    /// The text of the pattern with that index.
    pub(super) fn get(&self, index: usize) -> &str {
        let start = if index == 0 {
            0
        } else {
            self.0.ends[index - 1]
        };
        &self.0.text[start..self.0.ends[index]]
    }
}

impl TimeSlot {
    fn fill(&mut self, patterns: &EventTimePatterns, zone: &Zone, at: i64) {
        let granularity = patterns.granularity;
        let start = at.div_euclid(granularity) * granularity;
        // Local fields turn over with the stretch only where the zone's offset is a multiple of
        // it and does not change inside it.
        let steady = [start, start + granularity - 1]
            .map(|edge| zone.offset_seconds(edge))
            .iter()
            .all(|offset| offset % granularity == 0 && *offset == zone.offset_seconds(at));
        self.valid = if steady {
            start..start + granularity
        } else {
            at..at + 1
        };
        self.text.clear();
        self.ends.clear();
        self.passed_at = None;
        let local = zone.at(at);
        for pattern in &patterns.patterns {
            pattern.format(&local, zone, &mut self.text);
            self.ends.push(self.text.len());
        }
    }
}

#[cfg(test)]
mod tests;
