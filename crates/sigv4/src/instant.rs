//! When a request was signed.

use std::fmt;

use firehose_calendar::{DAY_SECONDS, Date, MONTHS, name_prefix};

use crate::{Refusal, SKEW_SECONDS};

/// A second since 1970; shown as signatures have it, `20150830T123600Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant(i64);

impl Instant {
    /// Of `20150830T123600Z`, as in `X-Amz-Date`, or `Sun, 30 Aug 2015 12:36:00 GMT`, as in `Date`.
    pub(crate) fn of(text: &[u8]) -> Result<Self, Refusal> {
        basic(text).or_else(|| of_http(text)).map(Self).ok_or_else(|| {
            Refusal::Incomplete(
                "Date must be in ISO-8601 'basic format' (20150830T123600Z). See http://en.wikipedia.org/wiki/ISO_8601"
                    .to_owned(),
            )
        })
    }

    /// Whether it is now, as far as clocks agree; or, where `expires` says for how long it is valid, not over.
    pub(crate) fn check(self, now: i64, expires: Option<i64>) -> Result<(), Refusal> {
        let (first, last) = (now - expires.unwrap_or(SKEW_SECONDS), now + SKEW_SECONDS);
        let minutes = SKEW_SECONDS / 60;
        let now = Self(now);
        if self.0 < first {
            let span = match expires {
                None => format!("{minutes} min."),
                Some(seconds) => format!("{seconds} s"),
            };
            let first = Self(first);
            return Err(Refusal::Skewed(format!(
                "Signature expired: {self} is now earlier than {first} ({now} - {span})"
            )));
        }
        if self.0 > last {
            let last = Self(last);
            return Err(Refusal::Skewed(format!(
                "Signature not yet current: {self} is still later than {last} ({now} + {minutes} min.)"
            )));
        }
        Ok(())
    }

    /// `20150830`.
    pub(crate) fn day(self) -> String {
        let text = self.to_string();
        text[..8].to_owned()
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, second) = (
            self.0.div_euclid(DAY_SECONDS),
            self.0.rem_euclid(DAY_SECONDS),
        );
        // Outside the years that have four digits, where only a clock that is wrong can be, something near is shown.
        let day = i32::try_from(day.clamp(-719_162, 2_932_896)).unwrap_or_default();
        let Date { year, month, day } = Date::of_day(day);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            formatter,
            "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"
        )
    }
}

fn basic(text: &[u8]) -> Option<i64> {
    if text.len() != 16 || text[8] != b'T' || text[15] != b'Z' {
        return None;
    }
    let day = Date::new(
        number(&text[..4])?,
        number(&text[4..6])?,
        number(&text[6..8])?,
    )?;
    second(day, &text[9..11], &text[11..13], &text[13..15])
}

/// The form of RFC 9110 that is not obsolete.
fn of_http(text: &[u8]) -> Option<i64> {
    if text.len() != 29
        || &text[3..5] != b", "
        || &text[25..] != b" GMT"
        || text[19] != b':'
        || text[22] != b':'
    {
        return None;
    }
    let (month, length) = name_prefix(&MONTHS, &text[8..12])?;
    if length != 3 || [text[7], text[11], text[16]] != [b' '; 3] {
        return None;
    }
    let day = Date::new(number(&text[12..16])?, month + 1, number(&text[5..7])?)?;
    second(day, &text[17..19], &text[20..22], &text[23..25])
}

fn second(day: Date, hour: &[u8], minute: &[u8], second: &[u8]) -> Option<i64> {
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let of_day = hour * 3600 + minute * 60 + second;
    Some(i64::from(day.day_since_epoch()) * DAY_SECONDS + i64::from(of_day))
}

fn number(digits: &[u8]) -> Option<i32> {
    let digit = |number: i32, byte: &u8| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i32::from(byte - b'0'))
    };
    digits.iter().try_fold(0, digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_time_are_read_and_the_first_is_shown() {
        for (text, second) in [
            ("20150830T123600Z", 1_440_938_160),
            ("Sun, 30 Aug 2015 12:36:00 GMT", 1_440_938_160),
            ("19700101T000000Z", 0),
            ("20240229T235959Z", 1_709_251_199),
        ] {
            assert_eq!(Instant::of(text.as_bytes()), Ok(Instant(second)), "{text}");
        }
        assert_eq!(Instant(1_440_938_160).to_string(), "20150830T123600Z");
        assert_eq!(Instant(1_440_938_160).day(), "20150830");
        for wrong in [
            "",
            "20150830T123600",
            "20150830T123600z",
            "2015-08-30T12:36:00Z",
            "20150230T123600Z",
            "20150830T243600Z",
            "20150830T123660Z",
            "2015083 T123600Z",
            "+0150830T123600Z",
            "Sun, 30 Aug 2015 12:36:00 CET",
            "Sun, 30 Aug 2015 12.36:00 GMT",
            "Sun, 30 Foo 2015 12:36:00 GMT",
            "Sun, 30 August 2015 12:36 GMT",
        ] {
            assert!(Instant::of(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn five_minutes_off_are_in_time_and_a_second_more_is_not() {
        let signed = Instant(1_440_938_160);
        let at = |now: i64| {
            signed
                .check(signed.0 + now, None)
                .map_err(|refusal| refusal.to_string())
        };
        assert_eq!((at(300), at(0), at(-300)), (Ok(()), Ok(()), Ok(())));
        let expired = "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)";
        assert_eq!(at(301), Err(expired.to_owned()));
        let early = "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z \
                     (20150830T123059Z + 5 min.)";
        assert_eq!(at(-301), Err(early.to_owned()));
        assert!(signed.check(signed.0 + 3600, Some(3600)).is_ok());
        let expired = signed
            .check(signed.0 + 3601, Some(3600))
            .unwrap_err()
            .to_string();
        assert!(expired.contains("(20150830T133601Z - 3600 s)"), "{expired}");
        // A clock of nonsense is told, too.
        assert!(signed.check(i64::MAX / 2, None).is_err());
        assert!(signed.check(-1 << 40, None).is_err());
    }
}
