//! Dates and timestamps as text and as numbers.
//!
//! Timestamps are what Firehose's `OpenX` deserializer reads: `yyyy-MM-dd'T'HH:mm:ss[.S{1,9}]['Z']`,
//! `yyyy-[M]M-[d]d [H]H:[m]m:[s]s[.S{1,9}]`, and seconds or milliseconds since the epoch as a number
//! or a string with a number. Beyond it, an offset from UTC may follow the time (`+01:00`, `-0530`).
//! Times without one are UTC. Digits below the microsecond are cut off. The years are 1 to 9999:
//! readers' own types end there.

use super::number::Number;

const MICROS: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Numbers below this are seconds since the epoch, from this on milliseconds.
const MILLIS_FROM: i128 = 1_000_000_000_000;

/// 0001-01-01 and the end of 9999-12-31 in microseconds.
const RANGE: std::ops::RangeInclusive<i64> =
    -62_135_596_800 * MICROS..=253_402_300_800 * MICROS - 1;

/// Microseconds since the epoch of a timestamp as text.
#[inline]
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let (date, short, rest) = civil(text)?;
    let (separator, rest) = rest.split_first()?;
    let least = match separator {
        b'T' if !short => 2,
        b' ' => 1,
        _ => return None,
    };
    let (hour, rest) = digits(rest, least, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(b":")?, least, 2)?;
    let (second, rest) = digits(rest.strip_prefix(b":")?, least, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, rest) = match rest.strip_prefix(b".") {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    let seconds = i64::from(date) * DAY_SECONDS + i64::from(hour * 3600 + minute * 60 + second)
        - offset(rest)?;
    let value = seconds * MICROS + i64::from(micros);
    RANGE.contains(&value).then_some(value)
}

/// Microseconds since the epoch of a number: seconds, or milliseconds from 10^12 on (either way by
/// magnitude), with any fraction.
pub(super) fn epoch(number: Number<'_>) -> Option<i64> {
    // Nanoseconds first, because digits below the microsecond are cut off, not rounded.
    let (mut nanos, _) = number.scaled(9)?;
    if nanos.abs() >= MILLIS_FROM * 1_000_000_000 {
        nanos /= 1000;
    }
    let value = i64::try_from(nanos / 1000).ok()?;
    RANGE.contains(&value).then_some(value)
}

/// Days since the epoch of `yyyy-[M]M-[d]d`.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let (days, _, rest) = civil(text)?;
    rest.is_empty().then_some(days)
}

/// Days since the epoch, whether month or day had one digit, and what follows the date.
#[inline]
fn civil(text: &[u8]) -> Option<(i32, bool, &[u8])> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix(b"-")?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix(b"-")?, 1, 2)?;
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let short = text.len() - rest.len() < "yyyy-MM-dd".len();
    Some((days_since_epoch(year, month, day), short, rest))
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

/// One to nine digits of a second in microseconds, and what follows.
fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let (value, rest) = text.split_at(count);
    let micros = (0..6).map(|at| value.get(at).map_or(0, |digit| i32::from(digit - b'0')));
    Some((micros.fold(0, |micros, digit| micros * 10 + digit), rest))
}

/// Seconds east of UTC: nothing and `Z` are UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [] | [b'Z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2, 2)?;
    let (minutes, rest) = digits(rest.strip_prefix(b":").unwrap_or(rest), 2, 2)?;
    (rest.is_empty() && hours < 24 && minutes < 60)
        .then(|| i64::from(sign * (hours * 3600 + minutes * 60)))
}

fn days_of_month(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, years counted from March so that the
/// leap day comes last.
fn days_since_epoch(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Number, date, epoch, timestamp};

    fn number(text: &str) -> Number<'_> {
        Number::read(text.as_bytes()).unwrap().0
    }

    #[test]
    fn every_form_of_the_same_instant_reads_alike() {
        let instant = Some(1_788_744_123_456_000);
        for text in [
            "2026-09-07T01:22:03.456Z",
            "2026-09-07T01:22:03.456",
            "2026-09-07T01:22:03.456000999Z",
            "2026-09-07 01:22:03.456",
            "2026-9-7 1:22:3.456",
            "2026-09-07T03:22:03.456+02:00",
            "2026-09-06T19:52:03.456-0530",
        ] {
            assert_eq!(timestamp(text.as_bytes()), instant, "{text}");
        }
        for text in [
            "1788744123456",
            "1788744123.456",
            "1788744123456.0",
            "1.788744123456e9",
        ] {
            assert_eq!(epoch(number(text)), instant, "{text}");
        }
        assert_eq!(epoch(number("0")), Some(0));
        assert_eq!(epoch(number("-1.5")), Some(-1_500_000));
        assert_eq!(epoch(number("999999999999")), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-09-07",
            "2026-9-07T01:22:03Z",
            "2026-09-07T1:22:03Z",
            "2026-09-07T01:22Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-09-07T24:00:00Z",
            "2026-09-07T23:59:60Z",
            "2026-09-07T01:22:03.Z",
            "2026-09-07T01:22:03.1234567890Z",
            "2026-09-07T01:22:03 UTC",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "12026-09-07T01:22:03Z",
        ] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
        assert_eq!(date(b"2026-09-07 "), None);
        assert_eq!(epoch(number("1e300")), None);
    }

    proptest! {
        #[test]
        fn agrees_with_another_calendar(micros in super::RANGE) {
            // Its own bounds are a few hours inside ours.
            let Ok(instant) = jiff::Timestamp::from_microsecond(micros) else { return Ok(()) };
            let zoned = instant.to_zoned(jiff::tz::TimeZone::UTC);
            prop_assume!(zoned.year() >= 1);
            prop_assert_eq!(timestamp(zoned.strftime("%Y-%m-%dT%H:%M:%S%.fZ").to_string().as_bytes()), Some(micros));
            let days = i32::try_from(micros.div_euclid(super::DAY_SECONDS * super::MICROS)).unwrap();
            prop_assert_eq!(date(zoned.strftime("%Y-%m-%d").to_string().as_bytes()), Some(days));
        }
    }
}
