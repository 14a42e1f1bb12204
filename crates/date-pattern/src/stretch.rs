//! Stretches of time in which patterns give one text: where such a stretch ends, and whether its text comes again.

use firehose_calendar::{self as calendar, DAY_SECONDS, Date};

use super::{DatePattern, Local, Token, Zone};

/// Weeks of a year, the longest that a text may be followed through, and its zone's changes.
const STEPS_MAX: usize = 100;

impl DatePattern {
    /// The first second behind `at` at which one of the patterns gives another text. `None`: there is none
    /// up to the year 9999.
    pub fn text_ends(patterns: &[Self], zone: &Zone, at: i64) -> Option<i64> {
        let texts = |at: i64| {
            let (local, mut text) = (zone.at(at), String::new());
            for pattern in patterns {
                pattern.format(&local, zone, &mut text);
                text.push('\0');
            }
            text
        };
        let letters = Letters::of(patterns);
        let (text, mut from) = (texts(at), at);
        for _ in 0..STEPS_MAX {
            let step = letters.next_step(&zone.at(from));
            let change = zone.next_change(from);
            let next = match (step, change) {
                (Some(step), Some(change)) => step.min(change),
                (Some(next), None) | (None, Some(next)) => next,
                (None, None) => return None,
            };
            if !calendar::SECONDS.contains(&next) {
                return None;
            }
            if texts(next) != text {
                return Some(next);
            }
            from = next;
        }
        None
    }

    /// The first of the patterns whose text comes again, another hour, day or year, because none of them says which.
    /// `None`: together they name the time. What a clock shows twice when it is set back counts once.
    pub fn comes_again(patterns: &[Self]) -> Option<usize> {
        let all = Letters::of(patterns);
        let is_named = |pattern: &Self| {
            let mut fields = pattern.fields();
            all.has("yuY") && fields.all(|(letter, _)| all.names(letter))
        };
        patterns.iter().position(|pattern| !is_named(pattern))
    }

    fn fields(&self) -> impl Iterator<Item = (char, usize)> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Field(letter, count) => Some((*letter, *count)),
            Token::Literal(_) => None,
        })
    }
}

/// The letters of some patterns.
struct Letters(Vec<(char, usize)>);

impl Letters {
    fn of(patterns: &[DatePattern]) -> Self {
        Self(patterns.iter().flat_map(DatePattern::fields).collect())
    }

    fn has(&self, letters: &str) -> bool {
        let mut own = self.0.iter();
        own.any(|(letter, _)| letters.contains(*letter))
    }

    /// The same, but for names of one letter, which several have.
    fn has_telling(&self, letters: &str) -> bool {
        let mut own = self.0.iter();
        own.any(|(letter, count)| *count < 5 && letters.contains(*letter))
    }

    fn has_year(&self) -> bool {
        self.has("yu")
    }

    fn has_date(&self) -> bool {
        let by_month = self.has("d") && self.has_telling("ML") && self.has_year();
        let by_week = self.has_telling("Ee") && self.has("w") && self.has("Y");
        by_month || by_week || (self.has("D") && self.has_year())
    }

    fn has_hour(&self) -> bool {
        self.has_date() && (self.has("Hk") || (self.has("hK") && self.has("a")))
    }

    /// Whether they say of which day, or the like, it is what this letter shows.
    fn names(&self, letter: char) -> bool {
        match letter {
            's' => self.has_hour() && self.has("m"),
            'm' | 'h' | 'K' => self.has_hour(),
            // A zone's clock is set back to what it was in each year, as days and hours come again.
            'a' | 'H' | 'k' | 'd' | 'E' | 'e' | 'z' | 'Z' | 'X' | 'x' | 'O' => self.has_date(),
            'M' | 'L' => self.has_year() && (self.has_telling("ML") || self.has_date()),
            'Q' | 'D' => self.has_year(),
            'w' => self.has("Y"),
            // Years, and the zone's name.
            _ => true,
        }
    }

    /// When a letter may show something else next, if the zone's clock is not set before.
    fn next_step(&self, at: &Local) -> Option<i64> {
        let second = i64::from(at.second_of_day);
        let clock = [("s", 1), ("m", 60), ("HkhK", 3600), ("a", DAY_SECONDS / 2)];
        let clock = clock.into_iter().find(|(letters, _)| self.has(letters));
        if let Some((_, unit)) = clock {
            return Some(at.instant + unit - second % unit);
        }
        let month = at.date.month;
        let days = [
            ("dDEe", 1),
            ("wY", 7 - at.weekday),
            ("ML", days_behind(at.date, month)),
            ("Q", days_behind(at.date, (month + 2) / 3 * 3)),
            ("yu", days_behind(at.date, 12)),
        ];
        let days = days.into_iter().filter(|(letters, _)| self.has(letters));
        let days = days.map(|(_, days)| days).min()?;
        Some(at.instant + i64::from(days) * DAY_SECONDS - second)
    }
}

/// Days from a date to the one behind the end of a month of its year.
const fn days_behind(date: Date, month: i32) -> i32 {
    let first = Date {
        year: date.year + month / 12,
        month: month % 12 + 1,
        day: 1,
    };
    first.day_since_epoch() - date.day_since_epoch()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn patterns(texts: &[&str]) -> Vec<DatePattern> {
        let patterns = texts.iter().map(|text| DatePattern::parse(text).unwrap());
        patterns.collect()
    }

    fn at(text: &str) -> i64 {
        firehose_calendar::timestamp::from_text(text.as_bytes()).unwrap() / 1_000_000
    }

    #[test]
    fn a_text_ends_where_its_finest_field_changes_by_the_zones_clock() {
        for (texts, zone, time, end) in [
            (
                &["yyyy/MM/dd/HH"][..],
                "UTC",
                "2026-12-01T10:59:59Z",
                "2026-12-01T11:00:00Z",
            ),
            (
                &["yyyy/MM/dd/HH"],
                "Asia/Kathmandu",
                "2026-12-01T10:20:00Z",
                "2026-12-01T11:15:00Z",
            ),
            (
                &["yyyy", "MM", "dd"],
                "America/New_York",
                "2026-12-01T05:00:00Z",
                "2026-12-02T05:00:00Z",
            ),
            (
                &["yyyy-MM"],
                "UTC",
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                &["yyyy'Q'Q"],
                "UTC",
                "2026-05-01T00:00:00Z",
                "2026-07-01T00:00:00Z",
            ),
            (
                &["yyyy"],
                "Europe/Berlin",
                "2026-01-01T00:00:00Z",
                "2026-12-31T23:00:00Z",
            ),
            (
                &["YYYY-ww"],
                "UTC",
                "2025-12-30T00:00:00Z",
                "2026-01-04T00:00:00Z",
            ),
            (
                &["yyyy-DDD a"],
                "UTC",
                "2026-12-01T00:00:00Z",
                "2026-12-01T12:00:00Z",
            ),
            (
                &["yyyy-MM-dd HH:mm:ss"],
                "UTC",
                "2026-12-01T00:00:00Z",
                "2026-12-01T00:00:01Z",
            ),
            // The clock goes from 3 back to 2, and from 2 on to 3.
            (
                &["yyyy/MM/dd/HH"],
                "Europe/Berlin",
                "2026-10-25T00:00:00Z",
                "2026-10-25T02:00:00Z",
            ),
            (
                &["yyyy/MM/dd/HH z"],
                "Europe/Berlin",
                "2026-10-25T00:00:00Z",
                "2026-10-25T01:00:00Z",
            ),
            (
                &["yyyy/MM/dd"],
                "Europe/Berlin",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            // By half an hour, and at midnight.
            (
                &["yyyy/MM/dd/HH"],
                "Australia/Lord_Howe",
                "2026-04-04T14:30:00Z",
                "2026-04-04T15:30:00Z",
            ),
            (
                &["yyyy/MM/dd"],
                "America/Havana",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
        ] {
            let zone = Zone::find(Some(zone)).unwrap();
            let found = DatePattern::text_ends(&patterns(texts), &zone, at(time));
            assert_eq!(found, Some(at(end)), "{texts:?} at {time}");
        }
        let utc = Zone::utc();
        let last = *calendar::SECONDS.end();
        for (texts, time) in [(&["yyyy/MM/dd"], last), (&["'all'"], 0), (&["VV"], 0)] {
            assert_eq!(
                DatePattern::text_ends(&patterns(texts), &utc, time),
                None,
                "{texts:?}"
            );
        }
    }

    #[test]
    fn patterns_that_leave_out_which_day_or_year_it_is_come_again() {
        for texts in [
            &["yyyy/MM/dd/HH"][..],
            &["yyyy", "MM", "dd", "HH", "mm"],
            &["'year='yyyy", "'month='MMM"],
            &["yyyy"],
            &["YYYY-ww"],
            &["YYYY-ww-EEE HH:mm:ss.SSS"],
            &["yyyyDDD hh a"],
            &["yy'Q'Q VV"],
            &["yyyy-MM-dd Z"],
        ] {
            assert_eq!(
                DatePattern::comes_again(&patterns(texts)),
                None,
                "{texts:?}"
            );
        }
        for (texts, which) in [
            (&["HH"][..], 0),
            (&["yyyy/MM", "HH"], 1),
            (&["yyyy", "dd"], 1),
            (&["yyyy/MMMMM/dd"], 0),
            (&["yyyy/MM/dd/mm"], 0),
            (&["yyyy/MM/dd/hh"], 0),
            (&["yyyy/MM/dd", "HH", "ss"], 2),
            (&["yyyy-ww"], 0),
            (&["YYYY-MM"], 0),
            (&["MM/dd"], 0),
            (&["VV"], 0),
            (&["'all'"], 0),
            (&["yyyy/MMMMM"], 0),
            (&["yyyy z"], 0),
            (&["yyyy/MM/EEE"], 0),
        ] {
            assert_eq!(
                DatePattern::comes_again(&patterns(texts)),
                Some(which),
                "{texts:?}"
            );
        }
    }

    const PATTERNS: &[&[&str]] = &[
        &["yyyy/MM/dd/HH"],
        &["yyyy-MM-dd"],
        &["yyyy", "MM", "dd", "HH", "mm"],
        &["YYYY-ww"],
        &["yyyy-MM"],
        &["yyyy-MM-dd hh a z"],
        &["yyyy-DDD a"],
        &["yyyy'Q'Q"],
        &["yyyy", "YYYY"],
        &["yyyyMMddHHmmss"],
    ];

    proptest! {
        /// Near the days on which clocks are set, and anywhere.
        #[test]
        fn every_second_of_a_stretch_has_its_text_and_the_one_behind_it_another(
            texts in select(PATTERNS),
            zone in select(&[
                "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu",
                "America/St_Johns", "Africa/Casablanca", "Pacific/Apia",
            ][..]),
            day in prop_oneof![
                select(&["2026-10-25", "2026-03-29", "2026-11-01", "2026-03-08", "2026-04-05", "2011-12-30"][..])
                    .prop_map(|day| at(&format!("{day}T00:00:00Z"))),
                -62_000_000_000_i64..253_000_000_000,
            ],
            second in -100_000_i64..100_000,
        ) {
            let (patterns, zone) = (patterns(texts), Zone::find(Some(zone)).unwrap());
            let at = day + second;
            let text = |at| {
                let mut text = String::new();
                for pattern in &patterns {
                    pattern.format(&zone.at(at), &zone, &mut text);
                    text.push('|');
                }
                text
            };
            let end = DatePattern::text_ends(&patterns, &zone, at).unwrap();
            prop_assert!(end > at);
            let is_long = end - at > 4_000;
            let every = if is_long { (end - at) / 1_000 } else { 1 };
            let mut seconds: Vec<i64> = (at..end).step_by(usize::try_from(every).unwrap()).collect();
            seconds.extend((1..90).map(|before| end - before).filter(|before| *before >= at));
            for second in seconds {
                prop_assert_eq!(text(second), text(at), "{} s on", second - at);
            }
            prop_assert_ne!(text(end), text(at));
        }
    }
}
