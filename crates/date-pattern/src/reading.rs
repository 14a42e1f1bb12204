//! Texts of times, read by a pattern.
//!
//! A number on its own may have fewer digits than letters, as in Joda-Time, which Firehose uses: `MM` takes `9`. A year
//! is the exception: `yyyy` takes four digits, `yy` two. Where another number follows, it has exactly as many digits
//! as letters: `yyyyMMdd`. What the pattern leaves out is the first of its kind: midnight, 1 January. Without an offset
//! the time is UTC.

use std::ops::RangeInclusive;

use firehose_calendar::{self as calendar, DAY_SECONDS, Date, timestamp};

use super::{DatePattern, PatternFault, Token};

/// Letters that can be read, for help texts.
const LETTERS: &str = "y u M L d D E a H h K k m s S Z X x z";

/// A pattern by which texts are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateReader {
    tokens: Vec<Token>,
}

/// What a text has said so far.
#[derive(Debug, Default)]
struct Found {
    year: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    weekday: Option<i32>,
    /// From 0 to 23.
    hour: i32,
    /// From 0 to 11, and whether it is after noon.
    half: Option<i32>,
    is_afternoon: bool,
    minute: i32,
    second: i32,
    micros: i32,
    offset: i32,
}

impl DateReader {
    /// Compiles a pattern that says at least the year.
    pub fn parse(pattern: &str) -> Result<Self, PatternFault> {
        let DatePattern { tokens } = DatePattern::parse(pattern)?;
        let fault = |message: String, help: Option<String>| PatternFault {
            at: 0..pattern.len(),
            message,
            help,
        };
        let letters = || {
            tokens.iter().filter_map(|token| match token {
                Token::Field(letter, _) => Some(*letter),
                Token::Literal(_) => None,
            })
        };
        if let Some(letter) = letters().find(|letter| !LETTERS.contains(*letter)) {
            let message = format!("no time can be read by the pattern letter '{letter}'");
            return Err(fault(message, Some(format!("letters: {LETTERS}"))));
        }
        if !letters().any(|letter| matches!(letter, 'y' | 'u')) {
            let message = "the pattern says no year".to_owned();
            return Err(fault(message, Some("the year is \"yyyy\"".to_owned())));
        }
        let halves = letters().any(|letter| matches!(letter, 'h' | 'K'));
        if halves != letters().any(|letter| letter == 'a') {
            let message = "hours of half a day and which half it is belong together".to_owned();
            let help = "write \"hh … a\", or \"HH\" for the hour of the day";
            return Err(fault(message, Some(help.to_owned())));
        }
        Ok(Self { tokens })
    }

    /// Microseconds since 1970 of a text that is as the pattern says, in the years 1 to 9999.
    pub fn read(&self, text: &[u8]) -> Option<i64> {
        self.found(text)?.micros()
    }

    /// Days since 1970 of the date that such a text says, whatever its offset: the day it was where it was written.
    pub fn read_date(&self, text: &[u8]) -> Option<i32> {
        let day = self.found(text)?.day()?;
        (1..=9999).contains(&Date::of_day(day).year).then_some(day)
    }

    fn found(&self, text: &[u8]) -> Option<Found> {
        let mut found = Found::default();
        let mut rest = text;
        for (index, token) in self.tokens.iter().enumerate() {
            rest = match token {
                Token::Literal(literal) => rest.strip_prefix(literal.as_bytes())?,
                Token::Field(letter, count) => {
                    let next = self.tokens.get(index + 1);
                    let is_packed = next.is_some_and(is_number);
                    found.field(*letter, *count, is_packed, rest)?
                }
            };
        }
        rest.is_empty().then_some(found)
    }
}

/// Whether a token stands for digits.
fn is_number(token: &Token) -> bool {
    match token {
        Token::Literal(literal) => literal.starts_with(|first: char| first.is_ascii_digit()),
        Token::Field('M' | 'L', 3..) | Token::Field('E' | 'a' | 'Z' | 'X' | 'x' | 'z', _) => false,
        Token::Field(..) => true,
    }
}

impl Found {
    /// Reads one field; returns what follows.
    fn field<'a>(
        &mut self,
        letter: char,
        count: usize,
        is_packed: bool,
        text: &'a [u8],
    ) -> Option<&'a [u8]> {
        // Some number of so many digits at most, all of them where another number follows.
        let digits = |most: usize| {
            let most = if is_packed { count } else { most.max(count) };
            let least = if is_packed { count } else { 1 };
            number(text, least, most)
        };
        let within = |(value, rest), range: RangeInclusive<i32>| {
            range.contains(&value).then_some((value, rest))
        };
        let rest = match letter {
            'y' | 'u' if count == 2 => {
                let (year, rest) = number(text, 2, 2)?;
                self.year = Some(2000 + year);
                rest
            }
            'y' | 'u' => {
                let (year, rest) = number(text, count.min(4), 4.max(count))?;
                self.year = Some(year);
                rest
            }
            'M' | 'L' if count > 2 => {
                let (month, rest) = name(&calendar::MONTHS, text)?;
                self.month = Some(month + 1);
                rest
            }
            'E' => {
                let (weekday, rest) = name(&calendar::WEEKDAYS, text)?;
                self.weekday = Some(weekday);
                rest
            }
            'a' => {
                let (half, rest) = text.split_at_checked(2)?;
                self.is_afternoon = half.eq_ignore_ascii_case(b"PM");
                (self.is_afternoon || half.eq_ignore_ascii_case(b"AM")).then_some(rest)?
            }
            'S' => {
                let (micros, rest) = fraction(text, if is_packed { count } else { 9 })?;
                self.micros = micros;
                rest
            }
            'Z' | 'X' | 'x' | 'z' => {
                let (offset, rest) = offset(text)?;
                self.offset = offset;
                rest
            }
            'D' => {
                let (day, rest) = digits(3)?;
                self.day_of_year = Some(day);
                rest
            }
            _ => {
                let (place, range) = match letter {
                    'M' | 'L' => (self.month.insert(0), 1..=12),
                    'd' => (self.day.insert(0), 1..=31),
                    'H' => (&mut self.hour, 0..=23),
                    'k' => (&mut self.hour, 1..=24),
                    'h' => (self.half.insert(0), 1..=12),
                    'K' => (self.half.insert(0), 0..=11),
                    'm' => (&mut self.minute, 0..=59),
                    's' => (&mut self.second, 0..=60),
                    _ => return None,
                };
                let (value, rest) = within(digits(2)?, range)?;
                *place = match letter {
                    'k' => value % 24,
                    'h' => value % 12,
                    _ => value,
                };
                rest
            }
        };
        Some(rest)
    }

    /// The day that is said, since 1970.
    fn day(&self) -> Option<i32> {
        let year = self.year?;
        let month = self.month.unwrap_or(1);
        let mut day = Date::new(year, month, self.day.unwrap_or(1))?.day_since_epoch();
        if let Some(of_year) = self.day_of_year {
            let found = Date::new(year, 1, 1)?.day_since_epoch() + of_year - 1;
            // What says the day twice says the same.
            let is_said = self.month.is_some() || self.day.is_some();
            (of_year > 0 && Date::of_day(found).year == year).then_some(())?;
            (!is_said || day == found).then_some(())?;
            day = found;
        }
        let weekday = self
            .weekday
            .unwrap_or_else(|| calendar::weekday(day.into()));
        (weekday == calendar::weekday(day.into())).then_some(day)
    }

    fn micros(&self) -> Option<i64> {
        let day = self.day()?;
        let hour = match self.half {
            Some(half) => half + if self.is_afternoon { 12 } else { 0 },
            None => self.hour,
        };
        // A leap second is the one before it, as in POSIX time.
        let second = hour * 3600 + self.minute * 60 + self.second.min(59);
        let seconds = i64::from(day) * DAY_SECONDS + i64::from(second - self.offset);
        timestamp::in_range(seconds * timestamp::MICROS + i64::from(self.micros))
    }
}

/// A number of so many digits, and what follows.
fn number(text: &[u8], least: usize, most: usize) -> Option<(i32, &[u8])> {
    let digits = text.iter().take(most.min(9));
    let length = digits.take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(length)?;
    let value = digits
        .iter()
        .fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    (length >= least).then_some((value, rest))
}

/// Microseconds of the digits of a second's fraction, at most so many of them, and what follows.
fn fraction(text: &[u8], most: usize) -> Option<(i32, &[u8])> {
    let (_, rest) = number(text, 1, most)?;
    let digits = &text[..text.len() - rest.len()];
    let micros = (0..6).fold(0, |value, at| {
        value * 10 + digits.get(at).map_or(0, |digit| i32::from(digit - b'0'))
    });
    Some((micros, rest))
}

/// Which of the names a text begins with, and what follows.
fn name<'a>(names: &[&str], text: &'a [u8]) -> Option<(i32, &'a [u8])> {
    let (index, length) = calendar::name_prefix(names, text)?;
    Some((index, &text[length..]))
}

/// Seconds east of UTC, and what follows: `Z`, `UTC`, `GMT`, `+02`, `+0200` or `+02:00`.
fn offset(text: &[u8]) -> Option<(i32, &[u8])> {
    for name in ["UTC", "GMT", "Z"] {
        if let Some(head) = text.get(..name.len())
            && head.eq_ignore_ascii_case(name.as_bytes())
        {
            return Some((0, &text[name.len()..]));
        }
    }
    // The longest one that is one.
    [6, 5, 3].into_iter().find_map(|length| {
        let (head, rest) = text.split_at_checked(length)?;
        Some((timestamp::offset(head)?, rest))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::DateReader;
    use crate::{DatePattern, Zone};

    fn read(pattern: &str, text: &str) -> Option<String> {
        let micros = DateReader::parse(pattern).unwrap().read(text.as_bytes())?;
        let time = jiff::Timestamp::from_microsecond(micros).unwrap();
        Some(time.to_string())
    }

    #[test]
    fn texts_are_read_as_their_pattern_says() {
        for (pattern, text, expected) in [
            ("dd/MM/yyyy", "28/02/2026", "2026-02-28T00:00:00Z"),
            ("d/M/yyyy H:m", "7/9/2026 1:2", "2026-09-07T01:02:00Z"),
            ("dd/MM/yyyy", "7/9/2026", "2026-09-07T00:00:00Z"),
            ("yyyyMMddHHmmss", "20260228012203", "2026-02-28T01:22:03Z"),
            (
                "yyyyMMddHHmmssSSS",
                "20260228012203045",
                "2026-02-28T01:22:03.045Z",
            ),
            (
                "yyyy-MM-dd HH:mm:ss.S",
                "2026-02-28 01:22:03.123456789",
                "2026-02-28T01:22:03.123456Z",
            ),
            (
                "EEE MMM dd HH:mm:ss z yyyy",
                "Sat Feb 28 01:22:03 UTC 2026",
                "2026-02-28T01:22:03Z",
            ),
            (
                "dd/MMM/yyyy:HH:mm:ss Z",
                "28/Feb/2026:01:22:03 +0130",
                "2026-02-27T23:52:03Z",
            ),
            (
                "EEEE, d MMMM yyyy",
                "saturday, 28 FEBRUARY 2026",
                "2026-02-28T00:00:00Z",
            ),
            (
                "MM/dd/yy hh:mm a",
                "02/28/26 12:05 AM",
                "2026-02-28T00:05:00Z",
            ),
            (
                "MM/dd/yy KK:mm a",
                "02/28/26 11:05 pm",
                "2026-02-28T23:05:00Z",
            ),
            ("yyyy-DDD kk", "2026-059 24", "2026-02-28T00:00:00Z"),
            (
                "yyyy-MM-dd'T'HH:mm:ssXXX",
                "2026-02-28T01:22:03-05:00",
                "2026-02-28T06:22:03Z",
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ssX",
                "2026-02-28T01:22:60Z",
                "2026-02-28T01:22:59Z",
            ),
            ("yyyy", "0001", "0001-01-01T00:00:00Z"),
            (
                "yyyy-MM-dd HH:mm:ss",
                "1583-01-01 00:00:00",
                "1583-01-01T00:00:00Z",
            ),
            (
                "yyyy-MM-dd HH:mm:ss.SSS",
                "1969-12-31 23:59:59.5",
                "1969-12-31T23:59:59.5Z",
            ),
        ] {
            assert_eq!(
                read(pattern, text).as_deref(),
                Some(expected),
                "{pattern}: {text}"
            );
        }
    }

    #[test]
    fn a_date_is_the_one_that_is_written_whatever_the_offset() {
        for (pattern, text, expected) in [
            (
                "yyyy-MM-dd'T'HH:mm:ssXXX",
                "2026-03-01T00:30:00+02:00",
                Some(20_513),
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ssXXX",
                "2026-03-01T23:30:00-05:00",
                Some(20_513),
            ),
            ("yyyy-DDD HH:mm Z", "2026-060 00:30 +0200", Some(20_513)),
            ("yyyy-MM-dd'T'HHX", "0001-01-01T00+01", Some(-719_162)),
            ("yyyy-MM-dd'T'HHX", "9999-12-31T23-01", Some(2_932_896)),
            ("yyyy-MM-dd", "0000-12-31", None),
            ("yyyy-MM-dd EEE", "2026-03-01 Mon", None),
            ("yyyy-MM-dd HH", "2026-03-01 24", None),
        ] {
            let read = DateReader::parse(pattern)
                .unwrap()
                .read_date(text.as_bytes());
            assert_eq!(read, expected, "{pattern}: {text}");
        }
    }

    #[test]
    fn what_is_not_as_the_pattern_says_is_no_time() {
        for (pattern, text) in [
            ("dd/MM/yyyy", "31/02/2026"),
            ("dd/MM/yyyy", "28/02/26"),
            ("dd/MM/yyyy", "28/02/2026 "),
            ("dd/MM/yyyy", "28-02-2026"),
            ("dd/MM/yyyy", ""),
            ("yyyyMMdd", "2026228"),
            ("yyyy-MM-dd HH:mm", "2026-02-28 24:00"),
            ("yyyy-MM-dd hh:mm a", "2026-02-28 13:00 PM"),
            ("yyyy-MM-dd EEE", "2026-02-28 Fri"),
            ("yyyy-DDD", "2026-366"),
            ("yyyy-DDD", "2026-000"),
            ("yyyy-MM-dd DDD", "2026-02-28 060"),
            ("yyyy-MM-dd z", "2026-02-28 CET"),
            ("yyyy-MM-dd'T'HHX", "0001-01-01T00+01"),
            ("yyyyy", "10000"),
            ("yyyy", "0000"),
        ] {
            assert_eq!(read(pattern, text), None, "{pattern}: {text}");
        }
    }

    #[test]
    fn patterns_that_nothing_can_be_read_by_say_why() {
        for (pattern, expected) in [
            ("MM-dd", "the pattern says no year"),
            ("YYYY-ww", "no time can be read by the pattern letter 'Y'"),
            ("yyyy VV", "no time can be read by the pattern letter 'V'"),
            (
                "yyyy-MM-dd hh:mm",
                "hours of half a day and which half it is belong together",
            ),
            (
                "yyyy-MM-dd HH:mm a",
                "hours of half a day and which half it is belong together",
            ),
            ("yyyy-MM-ddTHH", "the pattern letter 'T' is not supported"),
        ] {
            let fault = DateReader::parse(pattern).unwrap_err();
            assert_eq!(fault.message, expected, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn what_a_pattern_writes_it_reads(
            second in -62_135_596_800_i64..253_402_300_800,
            pattern in prop::sample::select(vec![
                "yyyy-MM-dd HH:mm:ss", "yyyyMMddHHmmss", "EEEE d MMM yyyy hh:mm:ss a",
                "ss.mm.kk dd/MM/yyyy", "yyyy'D'DDD KK:mm:ss a Z", "uuuu-LL-dd'T'HH:mm:ssXXX",
            ]),
        ) {
            let zone = Zone::find(Some("UTC")).unwrap();
            let mut text = String::new();
            DatePattern::parse(pattern).unwrap().format(&zone.at(second), &zone, &mut text);
            let read = DateReader::parse(pattern).unwrap().read(text.as_bytes());
            prop_assert_eq!(read, Some(second * 1_000_000), "{}", text);
        }

        #[test]
        fn no_text_is_too_much(pattern in "[yMdHhamsSEZXzDk'/: -]{0,12}", text in "\\PC{0,24}") {
            if let Ok(reader) = DateReader::parse(&pattern) {
                let _ = reader.read(text.as_bytes());
            }
        }
    }
}
