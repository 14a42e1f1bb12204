//! The Gregorian calendar, reaching back before its invention: days and dates.
//!
//! Not jiff's, whose years end with 9999: east of Greenwich clocks are in 10000 by then, and jq counts any
//! year that a C `int` holds. Nor is jiff's faster where it matters, in columns of times: 4.6 ns from a
//! date to its day, here 2.4 (back 4.2, here 8.6: once an hour of event time).

pub mod timestamp;

/// First and last second of the years 1 to 9999, UTC: what readers' own types can hold.
pub const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Seconds of a day.
pub const DAY_SECONDS: i64 = 86_400;

/// Days of 400 years, after which the calendar comes again, weekdays too.
pub const CYCLE_DAYS: i32 = 146_097;

/// English names of the months.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// English names of the days of the week, from Sunday.
pub const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Which of some English names a text begins with, whole or by its first three letters, in any case: its index, and the
/// length of what stands there.
pub fn name_prefix(names: &[&str], text: &[u8]) -> Option<(i32, usize)> {
    let begins = |name: &str| {
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name.as_bytes())
            .then_some(name.len())
    };
    (0..).zip(names).find_map(|(index, name)| {
        let length = begins(name).or_else(|| begins(name.get(..3)?))?;
        Some((index, length))
    })
}

/// The day of the week, from 0, a Sunday, of a day since 1970-01-01, a Thursday.
#[expect(clippy::cast_possible_truncation, reason = "below 7")]
pub const fn weekday(day: i64) -> i32 {
    (day + 4).rem_euclid(7) as i32
}

/// A date; months and days count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year; 0 is the one before year 1.
    pub year: i32,
    /// 1–12.
    pub month: i32,
    /// 1–31.
    pub day: i32,
}

impl Date {
    /// The date, if there is one of these numbers and it lies in the years 1 to 9999.
    #[inline]
    pub fn new(year: i32, month: i32, day: i32) -> Option<Self> {
        let is_one = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day);
        is_one.then_some(Self { year, month, day })
    }

    /// The date of a day since 1970-01-01, in the years 0 to 10000.
    pub const fn of_day(day: i32) -> Self {
        // Years are counted from March 1 of year -400, so that the leap day is a year's last.
        let day = day + 719_468 + CYCLE_DAYS;
        let (era, of_era) = (day / CYCLE_DAYS, day % CYCLE_DAYS);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153; // 0 is March
        Self {
            year: year + 400 * (era - 1) + if month < 10 { 0 } else { 1 },
            month: if month < 10 { month + 3 } else { month - 9 },
            day: of_year - (153 * month + 2) / 5 + 1,
        }
    }

    /// Days since 1970-01-01.
    #[inline]
    pub const fn day_since_epoch(self) -> i32 {
        // Years begin in March, as above. No year before 0 is asked for, but January of 0 belongs to -1.
        let march = self.month > 2;
        let year = self.year + if march { 400 } else { 399 };
        let of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468 - CYCLE_DAYS
    }

    /// The day of the year, from 1 on.
    pub const fn day_of_year(self) -> i32 {
        let first = Self {
            month: 1,
            day: 1,
            ..self
        };
        self.day_since_epoch() - first.day_since_epoch() + 1
    }
}

const fn days_of_month(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Date;

    /// What the other calendar, which ends with 9999, says of a day.
    fn agrees(day: i32) {
        let date = Date::of_day(day);
        let other = jiff::civil::date(1970, 1, 1)
            .checked_add(jiff::Span::new().days(day))
            .unwrap();
        let [year, day_of_year] = [other.year(), other.day_of_year()].map(i32::from);
        let [month, of_month] = [other.month(), other.day()].map(i32::from);
        let found = (date.year, date.month, date.day, date.day_of_year());
        assert_eq!(found, (year, month, of_month, day_of_year));
        assert_eq!(date.day_since_epoch(), day);
        let weekday = i32::from(other.weekday().to_sunday_zero_offset());
        assert_eq!(super::weekday(day.into()), weekday);
        let named = Date::new(year, month, of_month);
        assert_eq!(named, (year > 0).then_some(date));
    }

    proptest! {
        #[test]
        fn days_and_dates_agree_with_another_calendar(day in -719_528..2_932_897) {
            agrees(day);
        }
    }

    #[test]
    fn the_edges_of_years_agree_with_another_calendar() {
        for year in (0..=400).chain(1899..=2101).chain(9900..=9999) {
            let first = jiff::civil::date(year, 1, 1);
            let first = (first - jiff::civil::date(1970, 1, 1)).get_days();
            for day in [0, 58, 59, 60, 364] {
                agrees(first + day);
            }
        }
        let next = Date::of_day(2_932_897);
        assert_eq!((next.year, next.month, next.day), (10_000, 1, 1));
        assert_eq!((next.day_since_epoch(), next.day_of_year()), (2_932_897, 1));
    }

    #[test]
    fn a_text_begins_with_a_name_or_with_its_first_three_letters() {
        for (text, expected) in [
            ("January 1", Some((0, 7))),
            ("jan 1", Some((0, 3))),
            ("Janu", Some((0, 3))),
            ("MAYBE", Some((4, 3))),
            ("september", Some((8, 9))),
            ("Ja", None),
            ("1 January", None),
            ("", None),
        ] {
            let found = super::name_prefix(&super::MONTHS, text.as_bytes());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for (year, month, day) in [
            (2026, 2, 29),
            (1900, 2, 29),
            (2026, 4, 31),
            (2026, 0, 1),
            (2026, 13, 1),
            (2026, 1, 0),
            (2026, 1, 32),
            (0, 1, 1),
            (10_000, 1, 1),
        ] {
            assert_eq!(Date::new(year, month, day), None);
        }
    }
}
