//! Times as records write them: one reader for the event time and for columns.
//!
//! A text is `yyyy-[M]M-[d]d`, then nothing, or `T` or a space and `[H]H:[m]m[:[s]s[.S…]]`, then nothing,
//! `Z` or an offset from UTC, `±HH`, `±HHMM` or `±HH:MM`; letters may be small. It is UTC where nothing else is
//! said. `:60` is what it is in POSIX time, the second before. A number, as such or as a text, counts from the
//! epoch: seconds, or milliseconds from 10^12 on, as Firehose's `OpenX` deserializer has it; microseconds from 10^15 on
//! and nanoseconds from 10^18 on, which it does not read. The same holds below zero. Digits below the microsecond are
//! cut off, towards the past. Everything lies in the years 1 to 9999, UTC: readers' own types end there.
//!
//! jiff's parser takes other forms, and for the usual one 43 ns; this one takes 13, for each value of a
//! column and each record's event time.

use std::ops::RangeInclusive;

use firehose_json::decimal::WrittenNumber;

use crate::{DAY_SECONDS, Date, SECONDS};

/// Microseconds of a second.
pub const MICROS: i64 = 1_000_000;

/// What is allowed, for messages.
pub const FORMS: &str = "yyyy-MM-dd, yyyy-MM-ddTHH:mm:ss with or without an offset (or a space for the T), or \
     seconds, milliseconds, microseconds or nanoseconds since 1970, of the years 1 to 9999";

const RANGE: RangeInclusive<i64> =
    *SECONDS.start() * MICROS..=*SECONDS.end() * MICROS + (MICROS - 1);

/// Numbers of at least this size are milliseconds, smaller ones seconds…
const MILLIS_FROM: i64 = 1_000_000_000_000;
/// …and of this size microseconds, which begin in 2001: milliseconds are in the year 9999 long before…
const MICROS_FROM: i64 = 1000 * MILLIS_FROM;
/// …and of this size nanoseconds, also from 2001 on.
const NANOS_FROM: i64 = 1000 * MICROS_FROM;

/// What a number counts since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, milliseconds, microseconds or nanoseconds, by its magnitude.
    #[default]
    ByMagnitude,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// Microseconds since the epoch of a text: a time, a date, which begins at its midnight, or a number.
#[inline]
pub fn from_text(text: &[u8]) -> Option<i64> {
    from_text_in(text, Unit::ByMagnitude)
}

/// The same where it is known what numbers count.
#[inline]
pub fn from_text_in(text: &[u8], unit: Unit) -> Option<i64> {
    let (days, second, rest) = match usual(text) {
        Some((days, second)) => (days, second, &text[USUAL..]),
        None => return from_rare_text(text, unit),
    };
    moment(days, second, rest)
}

/// Length of `yyyy-MM-ddTHH:mm:ss`.
const USUAL: usize = 19;

/// The day and its second where a text begins with `yyyy-MM-ddTHH:mm:ss`, as nearly all do.
#[inline]
fn usual(text: &[u8]) -> Option<(i32, i32)> {
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't' | b' ',
        h1,
        h2,
        b':',
        i1,
        i2,
        b':',
        s1,
        s2,
    ] = *text.first_chunk::<USUAL>()?
    else {
        return None;
    };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let date = Date::new(year, pair(m1, m2)?, pair(d1, d2)?)?;
    let second = second_of_day(pair(h1, h2)?, pair(i1, i2)?, pair(s1, s2)?)?;
    Some((date.day_since_epoch(), second))
}

#[inline]
fn pair(tens: u8, ones: u8) -> Option<i32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i32::from(tens * 10 + ones))
}

/// All other forms.
fn from_rare_text(text: &[u8], unit: Unit) -> Option<i64> {
    let Some((date, rest)) = leading_date(text) else {
        return from_number_in(WrittenNumber::from_string(text)?, unit);
    };
    let days = date.day_since_epoch();
    let rest = match rest {
        [] => return moment(days, 0, rest),
        [b'T' | b't' | b' ', rest @ ..] => rest,
        _ => return None,
    };
    let (hour, rest) = digits(rest, 1, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(b":")?, 1, 2)?;
    let Some(rest) = rest.strip_prefix(b":") else {
        // Java leaves seconds out where they are zero.
        let zone = if rest.first() == Some(&b'.') {
            None
        } else {
            Some(rest)
        };
        return moment(days, second_of_day(hour, minute, 0)?, zone?);
    };
    let (second, rest) = digits(rest, 1, 2)?;
    moment(days, second_of_day(hour, minute, second)?, rest)
}

/// The moment of a day's second, after which a fraction and an offset may follow.
#[inline]
fn moment(days: i32, second: i32, rest: &[u8]) -> Option<i64> {
    let (micros, rest) = match rest {
        [b'.', rest @ ..] => fraction(rest)?,
        _ => (0, rest),
    };
    let local = i64::from(days) * DAY_SECONDS + i64::from(second);
    let value = (local - i64::from(offset(rest)?)) * MICROS + i64::from(micros);
    in_range(value)
}

/// Microseconds since the epoch of a number that counts what its magnitude says.
pub fn from_number(number: WrittenNumber<'_>) -> Option<i64> {
    let seconds = number.floor(6)?;
    let is_from = |least: i64| seconds.abs() >= i128::from(least) * i128::from(MICROS);
    let micros = if !is_from(MILLIS_FROM) {
        seconds
    } else if !is_from(MICROS_FROM) {
        number.floor(3)?
    } else if !is_from(NANOS_FROM) {
        number.floor(0)?
    } else {
        number.floor(-3)?
    };
    in_range(i64::try_from(micros).ok()?)
}

/// Microseconds since the epoch of a number, where it is known what it counts.
pub fn from_number_in(number: WrittenNumber<'_>, unit: Unit) -> Option<i64> {
    let scale = match unit {
        Unit::ByMagnitude => return from_number(number),
        Unit::Seconds => 6,
        Unit::Millis => 3,
        Unit::Micros => 0,
        Unit::Nanos => -3,
    };
    in_range(i64::try_from(number.floor(scale)?).ok()?)
}

/// Microseconds since the epoch, if they lie in the years that there are here.
pub fn in_range(micros: i64) -> Option<i64> {
    RANGE.contains(&micros).then_some(micros)
}

/// The same of a float, which is what jq has: whole seconds.
pub fn seconds_from_float(number: f64) -> Option<i64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a power of ten, which a float has exactly up to the 22nd"
    )]
    let is_from = |least: i64| number.abs() >= least as f64;
    let of_second = if !is_from(MILLIS_FROM) {
        return whole_seconds(number);
    } else if !is_from(MICROS_FROM) {
        1e3
    } else if !is_from(NANOS_FROM) {
        1e6
    } else {
        1e9
    };
    // Whole ones before the division, which rounds.
    whole_seconds((number.floor() / of_second).floor())
}

/// Seconds since the epoch without their fraction.
fn whole_seconds(seconds: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float cast saturates; NaN is refused"
    )]
    let whole = (!seconds.is_nan()).then_some(seconds.floor() as i64)?;
    SECONDS.contains(&whole).then_some(whole)
}

/// Days since the epoch of a text that is a date, and nothing else.
pub fn date_from_text(text: &[u8]) -> Option<i32> {
    let (date, rest) = leading_date(text)?;
    rest.is_empty().then(|| date.day_since_epoch())
}

/// The date of `yyyy-[M]M-[d]d`, and what follows.
fn leading_date(text: &[u8]) -> Option<(Date, &[u8])> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix(b"-")?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix(b"-")?, 1, 2)?;
    Some((Date::new(year, month, day)?, rest))
}

#[inline]
fn second_of_day(hour: i32, minute: i32, second: i32) -> Option<i32> {
    // A leap second counts as the second before, as in POSIX time.
    (hour <= 23 && minute <= 59 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// A number of `least` to `most` digits, and what follows.
#[inline]
fn digits(text: &[u8], least: usize, most: usize) -> Option<(i32, &[u8])> {
    let mut value = 0;
    let mut at = 0;
    while at < most
        && let Some(digit @ b'0'..=b'9') = text.get(at)
    {
        value = value * 10 + i32::from(digit - b'0');
        at += 1;
    }
    (at >= least).then_some((value, &text[at..]))
}

/// The digits of a second's fraction in microseconds, and what follows.
#[inline]
fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let (mut micros, mut at) = (0, 0);
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        if at < 6 {
            micros = micros * 10 + i32::from(digit - b'0');
        }
        at += 1;
    }
    let missing = [1_000_000, 100_000, 10_000, 1000, 100, 10];
    (at > 0).then(|| (micros * missing.get(at).unwrap_or(&1), &text[at..]))
}

/// Seconds east of UTC; nothing is UTC.
#[inline]
pub fn offset(text: &[u8]) -> Option<i32> {
    let (sign, rest) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match *rest {
        [h1, h2] => (pair(h1, h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (pair(h1, h2)?, pair(m1, m2)?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then(|| sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests;
