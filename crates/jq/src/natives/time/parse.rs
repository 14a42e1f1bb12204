//! `strptime` of the C locale, as glibc has it.

use firehose_calendar::{MONTHS, WEEKDAYS, name_prefix};

use super::{Time, days_to, weekday};

/// jq's marks of fields that no conversion has set.
const NO_WEEKDAY: i64 = 8;
const NO_YEARDAY: i64 = 367;

/// What has been read, and which of it.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, as in glibc"
)]
struct TimeParser<'a> {
    rest: &'a str,
    time: Time,
    century: Option<i64>,
    /// The year has two digits, to which a century may be added.
    short_year: bool,
    half_day: bool,
    afternoon: bool,
    month: bool,
    day: bool,
    weekday: bool,
    yearday: bool,
    /// Some part of a date was read, so that the other parts follow from it.
    date: bool,
    week: Option<Week>,
}

/// A week of the year, which begins on Sunday (0) or Monday (1).
#[derive(Clone, Copy)]
struct Week {
    number: i64,
    start: i64,
}

/// Reads a time; what is left must begin with white space.
pub(super) fn time<'a>(text: &'a str, format: &str) -> Option<(Time, &'a str)> {
    let mut parser = TimeParser {
        rest: text,
        time: Time {
            year: 1900,
            weekday: NO_WEEKDAY,
            yearday: NO_YEARDAY,
            ..Time::default()
        },
        ..TimeParser::default()
    };
    parser.read(format)?;
    let rest = parser.rest;
    (rest.is_empty() || rest.starts_with(is_space)).then(|| (parser.finish(), rest))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

impl TimeParser<'_> {
    fn read(&mut self, format: &str) -> Option<()> {
        let mut format = format.chars();
        while let Some(c) = format.next() {
            if is_space(c) {
                self.rest = self.rest.trim_start_matches(is_space);
            } else if c == '%' {
                let modifiers = ['-', '_', '0', '^', '#'];
                let mut letter = format.find(|c| !modifiers.contains(c))?;
                if matches!(letter, 'E' | 'O') {
                    letter = format.next()?;
                }
                self.convert(letter)?;
            } else {
                self.rest = self.rest.strip_prefix(c)?;
            }
        }
        Some(())
    }

    fn number(&mut self, from: i64, to: i64, digits: usize) -> Option<i64> {
        self.rest = self.rest.trim_start_matches(' ');
        let mut value = 0;
        let mut count = 0;
        for digit in self.rest.bytes().take(digits) {
            if !digit.is_ascii_digit() || count > 0 && value * 10 > to {
                break;
            }
            value = value * 10 + i64::from(digit - b'0');
            count += 1;
        }
        self.rest = &self.rest[count..];
        (count > 0 && (from..=to).contains(&value)).then_some(value)
    }

    fn name(&mut self, names: &[&str]) -> Option<i64> {
        let (index, length) = name_prefix(names, self.rest.as_bytes())?;
        self.rest = &self.rest[length..];
        Some(index.into())
    }

    fn convert(&mut self, letter: char) -> Option<()> {
        match letter {
            '%' => self.rest = self.rest.strip_prefix('%')?,
            'n' | 't' => self.rest = self.rest.trim_start_matches(is_space),
            'a' | 'A' => (self.time.weekday, self.weekday) = (self.name(&WEEKDAYS)?, true),
            'u' => (self.time.weekday, self.weekday) = (self.number(1, 7, 1)? % 7, true),
            'w' => (self.time.weekday, self.weekday) = (self.number(0, 6, 1)?, true),
            'b' | 'B' | 'h' => {
                (self.time.month, self.month) = (self.name(&MONTHS)?, true);
                self.date = true;
            }
            'm' => {
                (self.time.month, self.month) = (self.number(1, 12, 2)? - 1, true);
                self.date = true;
            }
            'd' | 'e' => {
                (self.time.day, self.day) = (self.number(1, 31, 2)?, true);
                self.date = true;
            }
            'j' => (self.time.yearday, self.yearday) = (self.number(1, 366, 3)? - 1, true),
            'C' => (self.century, self.date) = (Some(self.number(0, 99, 2)?), true),
            'y' => {
                let year = self.number(0, 99, 2)?;
                self.time.year = year + if year >= 69 { 1900 } else { 2000 };
                (self.short_year, self.date) = (true, true);
            }
            'Y' => {
                self.time.year = self.number(0, 9999, 4)?;
                (self.short_year, self.date) = (false, true);
            }
            'H' | 'k' => (self.time.hour, self.half_day) = (self.number(0, 23, 2)?, false),
            'I' | 'l' => (self.time.hour, self.half_day) = (self.number(1, 12, 2)? % 12, true),
            'M' => self.time.minute = self.number(0, 59, 2)?,
            'S' => self.time.second = self.number(0, 61, 2)?,
            'p' => {
                let half = self.rest.get(..2)?.to_ascii_uppercase();
                self.afternoon = half == "PM";
                if !self.afternoon && half != "AM" {
                    return None;
                }
                self.rest = &self.rest[2..];
            }
            'U' | 'W' => {
                let number = self.number(0, 53, 2)?;
                let start = i64::from(letter == 'W');
                self.week = Some(Week { number, start });
            }
            'V' => drop(self.number(0, 53, 2)?),
            'g' => drop(self.number(0, 99, 2)?),
            'G' => {
                let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
                if rest.len() == self.rest.len() {
                    return None;
                }
                self.rest = rest;
            }
            's' => {
                let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
                let digits = &self.rest[..self.rest.len() - rest.len()];
                self.time = Time::from_epoch(digits.parse().ok()?)?;
                self.rest = rest;
            }
            'z' => self.offset()?,
            'Z' => {
                self.rest = self.rest.trim_start_matches(is_space);
                self.rest = self.rest.trim_start_matches(|c| !is_space(c));
            }
            'c' => self.read("%a %b %e %H:%M:%S %Y")?,
            'D' | 'x' => self.read("%m/%d/%y")?,
            'F' => self.read("%Y-%m-%d")?,
            'r' => self.read("%I:%M:%S %p")?,
            'R' => self.read("%H:%M")?,
            'T' | 'X' => self.read("%H:%M:%S")?,
            _ => return None,
        }
        Some(())
    }

    /// Reads an offset from UTC, which counts for nothing.
    fn offset(&mut self) -> Option<()> {
        self.rest = self.rest.trim_start_matches(' ');
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        let rest = self.rest.strip_prefix(['+', '-'])?.as_bytes();
        let (mut at, mut digits, mut value) = (0, 0, 0);
        while digits < 4 && rest.get(at).is_some_and(u8::is_ascii_digit) {
            value = value * 10 + u32::from(rest[at] - b'0');
            (at, digits) = (at + 1, digits + 1);
            let colon = rest.get(at) == Some(&b':');
            if colon && digits == 2 && rest.get(at + 1).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
        }
        if digits != 2 && (digits != 4 || value % 100 >= 60) {
            return None;
        }
        self.rest = &self.rest[1 + at..];
        Some(())
    }

    /// The fields that follow from those that were read.
    fn finish(&mut self) -> Time {
        let time = &mut self.time;
        if self.half_day && self.afternoon {
            time.hour += 12;
        }
        if let Some(century) = self.century {
            let year = if self.short_year {
                time.year.rem_euclid(100)
            } else {
                0
            };
            time.year = century * 100 + year;
        }
        let day_number = |time: &Time| days_to(time.year, time.month) + time.day - 1;
        let yearday = |time: &Time| day_number(time) - days_to(time.year, 0);
        // Month and day from the day of the year, where they are missing.
        let month_and_day = |time: &mut Time, month: bool, day: bool| {
            let to = |month| days_to(time.year, month) - days_to(time.year, 0);
            let found = (1..12).take_while(|next| to(*next) <= time.yearday).last();
            let found = found.unwrap_or(0);
            let found_day = time.yearday - to(found) + 1;
            if !month {
                time.month = found;
            }
            if !day {
                time.day = found_day;
            }
        };
        if self.date && !self.weekday {
            if !(self.month && self.day) && self.yearday {
                month_and_day(time, self.month, self.day);
                (self.month, self.day) = (true, true);
            }
            time.weekday = weekday(day_number(time));
        }
        if self.date && !self.yearday {
            time.yearday = yearday(time);
        }
        if let Some(Week { number, start }) = self.week.filter(|_| self.weekday) {
            let first = weekday(days_to(time.year, 0));
            if !self.yearday {
                let in_week = (time.weekday - start + 7) % 7;
                time.yearday = (7 - (first - start)) % 7 + (number - 1) * 7 + in_week;
            }
            month_and_day(time, self.month, self.day);
        }
        *time
    }
}
