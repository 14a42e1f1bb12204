//! How columns read times, by the settings.

use firehose_calendar::timestamp;
use firehose_date_pattern::DateReader;
use firehose_json::decimal::WrittenNumber;

use crate::config::{ColumnRules, Deserializer, MILLIS, NumberUnit};

/// What texts and numbers of times are read as.
#[derive(Debug)]
pub(super) struct Times {
    /// Tried first, in this order.
    patterns: Vec<DateReader>,
    usual: Usual,
    /// Whether all is read as it is where the settings say nothing.
    is_usual: bool,
    /// `None`: a number is no time.
    unit: Option<timestamp::Unit>,
    /// Whether what is finer than a millisecond is cut.
    whole_millis: bool,
}

/// Which texts are read that are like no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usual {
    /// All that [`timestamp`] reads.
    All,
    /// `yyyy-[M]M-[d]d [H]H:[m]m:[s]s[.S…]`, as `java.sql.Timestamp.valueOf` has it.
    Sql,
    None,
}

impl Default for Times {
    fn default() -> Self {
        Self::new(&ColumnRules::default())
    }
}

impl Times {
    pub(super) fn new(rules: &ColumnRules) -> Self {
        let times = &rules.times;
        let patterns = times.formats.iter().filter(|format| *format != MILLIS);
        let said = times.unit_said().map(|unit| match unit {
            NumberUnit::Seconds => timestamp::Unit::Seconds,
            NumberUnit::Millis => timestamp::Unit::Millis,
            NumberUnit::Micros => timestamp::Unit::Micros,
            NumberUnit::Nanos => timestamp::Unit::Nanos,
        });
        let (usual, unit) = match rules.deserializer {
            Deserializer::OpenX => (Usual::All, Some(said.unwrap_or_default())),
            Deserializer::Hive if times.formats.is_empty() => (Usual::Sql, said),
            Deserializer::Hive => (Usual::None, said),
        };
        Self {
            // The reader of the config has taken each.
            patterns: patterns
                .filter_map(|format| DateReader::parse(format).ok())
                .collect(),
            usual,
            is_usual: usual == Usual::All
                && times.formats.is_empty()
                && times.unit.is_none()
                && !times.whole_millis,
            unit,
            whole_millis: times.whole_millis,
        }
    }

    /// Microseconds since 1970 of a text.
    #[inline]
    pub(super) fn text(&self, text: &[u8]) -> Option<i64> {
        if self.is_usual {
            return timestamp::from_text(text);
        }
        self.rare_text(text)
    }

    fn rare_text(&self, text: &[u8]) -> Option<i64> {
        let number = || timestamp::from_number_in(WrittenNumber::from_string(text)?, self.unit?);
        let usual = || match self.usual {
            Usual::All => timestamp::from_text_in(text, self.unit?),
            Usual::Sql => sql(text).or_else(number),
            Usual::None => number(),
        };
        let micros = self.by_pattern(text).or_else(usual);
        micros.map(|micros| self.cut(micros))
    }

    /// The time as a column keeps it: cut, never rounded, also before 1970.
    fn cut(&self, micros: i64) -> i64 {
        if self.whole_millis {
            micros - micros.rem_euclid(1000)
        } else {
            micros
        }
    }

    fn by_pattern(&self, text: &[u8]) -> Option<i64> {
        self.patterns.iter().find_map(|pattern| pattern.read(text))
    }

    /// The same of a number.
    #[inline]
    pub(super) fn number(&self, number: WrittenNumber<'_>) -> Option<i64> {
        let micros = timestamp::from_number_in(number, self.unit?);
        micros.map(|micros| self.cut(micros))
    }

    /// Days since 1970 of a text that is a date, or that says one by a pattern: the one that is written, before any offset.
    pub(super) fn date(&self, text: &[u8]) -> Option<i32> {
        let by_pattern = || {
            self.patterns
                .iter()
                .find_map(|pattern| pattern.read_date(text))
        };
        timestamp::date_from_text(text).or_else(by_pattern)
    }
}

/// A date, a space, and a time with its seconds: nothing else but space around them.
fn sql(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let mut parts = text.splitn(2, |byte| *byte == b' ');
    let (date, time) = (parts.next()?, parts.next()?);
    let is_time = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.');
    let colons = memchr::memchr_iter(b':', time).count();
    (timestamp::date_from_text(date).is_some() && colons == 2 && time.iter().all(is_time))
        .then(|| timestamp::from_text(text))?
}
