//! The event's time: what a record may call a time, and how it becomes text.

use super::date_pattern::{DatePattern, Zone};

/// First second of year 1 and first second past year 9999.
const YEARS: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

/// Numbers of at least this size are milliseconds, smaller ones seconds (as Firehose's own JSON
/// reader decides it).
const MILLISECONDS_FROM: f64 = 1e12;

/// An epoch number as second of the epoch, if it lies in the years 1 to 9999.
pub(super) fn from_number(number: f64) -> Option<i64> {
    let milliseconds = number.abs() >= MILLISECONDS_FROM;
    from_number_of_seconds(if milliseconds {
        number / 1000.0
    } else {
        number
    })
}

/// Seconds of the epoch without their fraction, if they lie in the years 1 to 9999.
pub(super) fn from_number_of_seconds(seconds: f64) -> Option<i64> {
    let seconds = seconds.floor();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float cast saturates; NaN is refused"
    )]
    let whole = (!seconds.is_nan()).then_some(seconds as i64)?;
    YEARS.contains(&whole).then_some(whole)
}

/// RFC 3339, or `yyyy-MM-dd HH:mm:ss` (UTC), as second of the epoch. A fraction is cut off.
pub(super) fn from_text(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else {
        return None;
    };
    let year = digits(&[y1, y2, y3, y4])?;
    let (month, day) = (digits(&[m1, m2])?, digits(&[d1, d2])?);
    let (&separator, rest) = rest.split_first()?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [h1, h2, b':', i1, i2, b':', s1, s2] = *time else {
        return None;
    };
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[i1, i2])?, digits(&[s1, s2])?);
    // RFC 3339 writes leap seconds as :60; they count as the second before, as in POSIX time.
    let in_day = hour <= 23 && minute <= 59 && second <= 60;
    if year == 0 || !(1..=12).contains(&month) || !in_day {
        return None;
    }
    if day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let zone = match rest.split_first() {
        Some((b'.', fraction)) => {
            let end = fraction.iter().position(|byte| !byte.is_ascii_digit());
            let end = end.unwrap_or(fraction.len());
            if end == 0 {
                return None;
            }
            &fraction[end..]
        }
        _ => rest,
    };
    let offset = match (separator, zone) {
        (b' ', []) => 0,
        (b'T' | b't' | b' ', zone) => offset(zone)?,
        _ => return None,
    };
    let second_of_day = hour * 3600 + minute * 60 + second.min(59);
    let at = days_from_civil(year, month, day) * 86_400 + second_of_day - offset;
    YEARS.contains(&at).then_some(at)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// `Z` or `±HH:MM` as seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            Some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a Gregorian date, counted in years that begin in March, so that the
/// leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// The patterns of a prefix's `!{eventTime:…}` expressions, in order.
#[derive(Clone, Debug)]
pub(super) struct EventTimePatterns {
    pub(super) patterns: Vec<DatePattern>,
    granularity: i64,
}

impl EventTimePatterns {
    pub(super) fn new(patterns: Vec<DatePattern>) -> Self {
        let granularity = patterns
            .iter()
            .map(DatePattern::granularity)
            .min()
            .unwrap_or(1);
        Self {
            patterns,
            granularity,
        }
    }
}

/// Formatted times of the last stretches of time seen: events come roughly in order, so most
/// records find theirs here.
#[derive(Clone, Debug)]
pub(super) struct EventTimeCache {
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Seconds of the epoch that have this text.
    valid: std::ops::Range<i64>,
    text: String,
    ends: Vec<usize>,
}

/// Slots of the cache, a power of two: an hour apart at the coarsest granularity is four slots.
const SLOTS: usize = 64;

impl EventTimeCache {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![Slot::default(); SLOTS],
        }
    }

    /// The texts of all patterns at an instant.
    pub(super) fn texts(
        &mut self,
        patterns: &EventTimePatterns,
        zone: &Zone,
        at: i64,
    ) -> Texts<'_> {
        let stretch = at.div_euclid(patterns.granularity);
        let index = usize::try_from(stretch.rem_euclid(64)).unwrap_or(0);
        let slot = &mut self.slots[index];
        if !slot.valid.contains(&at) {
            slot.fill(patterns, zone, at);
        }
        Texts(slot)
    }
}

/// The texts of all patterns at one instant.
pub(super) struct Texts<'a>(&'a Slot);

impl Texts<'_> {
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

impl Slot {
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
        let local = zone.at(at);
        for pattern in &patterns.patterns {
            pattern.format(&local, zone, &mut self.text);
            self.ends.push(self.text.len());
        }
    }
}

#[cfg(test)]
mod tests;
