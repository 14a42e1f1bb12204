//! Broken-down times as jq has them: `gmtime`, `mktime`, `strftime`, `strptime`.
//!
//! All of it is UTC and the C locale, with no clock and no time-zone database, and takes any year
//! that a C `int` holds, as jq 1.6 on glibc does.

use firehose_calendar::{self as calendar, CYCLE_DAYS, DAY_SECONDS, Date};

use super::super::meter::charge;
use super::super::value::{Error, Value};
use super::math::{to_int, to_long};

mod format;
mod parse;

/// Days of the calendar's cycle of 400 years. Years outside the range of `Date` are shifted into it by whole cycles.
const CYCLE: i64 = CYCLE_DAYS as i64;

/// C's `struct tm`, with the whole year and the month from 0.
#[derive(Clone, Copy, Debug, Default)]
struct Time {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    weekday: i64,
    yearday: i64,
}

impl Time {
    fn from_epoch(seconds: i64) -> Option<Self> {
        let (days, second) = (
            seconds.div_euclid(DAY_SECONDS),
            seconds.rem_euclid(DAY_SECONDS),
        );
        let (cycles, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
        let date = Date::of_day(i32::try_from(day).ok()?);
        let year = i64::from(date.year) + 400 * cycles;
        i32::try_from(year - 1900).ok()?;
        Some(Self {
            year,
            month: i64::from(date.month) - 1,
            day: date.day.into(),
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            weekday: weekday(days),
            yearday: i64::from(date.day_of_year()) - 1,
        })
    }

    /// Seconds of the epoch; fields beyond their bounds carry over.
    fn epoch(&self) -> Option<i64> {
        let days = days_to(self.year, self.month) + self.day - 1;
        let seconds = days * DAY_SECONDS + self.hour * 3600 + self.minute * 60 + self.second;
        Self::from_epoch(seconds).map(|_| seconds)
    }

    fn from_value(value: &Value) -> Option<Self> {
        let Value::Array(array) = value else {
            return None;
        };
        let field = |index: usize| match array.items.get(index) {
            Some(Value::Number(number)) => Some(i64::from(to_int(number.float()))),
            _ => None,
        };
        Some(Self {
            year: field(0)?,
            month: field(1)?,
            day: field(2)?,
            hour: field(3)?,
            minute: field(4)?,
            second: field(5)?,
            weekday: field(6)?,
            yearday: field(7)?,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "fields are C integers")]
    fn into_items(self) -> Vec<Value> {
        [
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
            self.weekday,
            self.yearday,
        ]
        .map(|field| Value::float(field as f64))
        .into()
    }
}

/// Days from the epoch to the first of a month, which may be beyond its year.
#[expect(clippy::cast_possible_truncation, reason = "below 12 and 400")]
fn days_to(year: i64, month: i64) -> i64 {
    let (year, month) = (year + month.div_euclid(12), month.rem_euclid(12));
    let first = Date {
        year: year.rem_euclid(400) as i32,
        month: month as i32 + 1,
        day: 1,
    };
    CYCLE * year.div_euclid(400) + i64::from(first.day_since_epoch())
}

fn weekday(days: i64) -> i64 {
    calendar::weekday(days).into()
}

pub(super) fn gmtime(value: &Value) -> Result<Value, Error> {
    let Value::Number(number) = value else {
        return Err(Error::typ(value.clone(), "number"));
    };
    let seconds = number.float();
    let time = Time::from_epoch(to_long(seconds))
        .ok_or_else(|| Error::str(format_args!("{value} is no time that a calendar has")))?;
    let mut items = time.into_items();
    #[expect(clippy::cast_precision_loss, reason = "below 60")]
    let whole = time.second as f64;
    items[5] = Value::float(whole + (seconds - seconds.floor()));
    Ok(Value::array(items))
}

pub(super) fn mktime(value: &Value) -> Result<Value, Error> {
    let time = Time::from_value(value)
        .ok_or_else(|| Error::str("mktime requires parsed datetime inputs"))?;
    match time.epoch() {
        // C's way to say that it failed.
        None | Some(-1) => Err(Error::str("invalid gmtime representation")),
        #[expect(clippy::cast_precision_loss, reason = "as in jq")]
        Some(seconds) => Ok(Value::float(seconds as f64)),
    }
}

pub(super) fn strftime(value: Value, format: &Value) -> Result<Value, Error> {
    let value = match value {
        Value::Number(_) => gmtime(&value)?,
        value => value,
    };
    let (Some(time), Value::Text(format)) = (Time::from_value(&value), format) else {
        let message = "strftime/1 requires parsed datetime inputs and a string format";
        return Err(Error::str(message));
    };
    let format = until_nul(str::from_utf8(format).unwrap_or(""));
    charge(1 + format.len());
    let text = format::text(&time, format)
        .ok_or_else(|| Error::str("strftime/1: the text is empty or too long"))?;
    Ok(Value::text(text))
}

pub(super) fn strptime(value: &Value, format: &Value) -> Result<Value, Error> {
    let (Value::Text(text), Value::Text(format)) = (value, format) else {
        let message = "strptime/1 requires string inputs and arguments";
        return Err(Error::str(message));
    };
    charge(1 + format.len() + text.len() / 16);
    let text = until_nul(str::from_utf8(text).unwrap_or(""));
    let format = until_nul(str::from_utf8(format).unwrap_or(""));
    let parsed = parse::time(text, format);
    let (time, rest) = parsed.ok_or_else(|| {
        let message = format_args!("date \"{text}\" does not match format \"{format}\"");
        Error::str(message)
    })?;
    let mut items = time.into_items();
    if !rest.is_empty() {
        items.push(Value::text(rest.to_owned()));
    }
    Ok(Value::array(items))
}

/// What C sees of a text.
fn until_nul(text: &str) -> &str {
    text.split('\0').next().unwrap_or("")
}
