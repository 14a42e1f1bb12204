//! Partition projection: by it Athena knows the partitions of a table without a catalogue that lists them.
//!
//! A year, a month, a day, an hour or a minute alone is an integer; a time that begins with its year and leaves nothing
//! out is a date; what else stands in keys must be named by each query (`injected`).

use firehose_date_pattern::{DatePattern, Zone};

use crate::partition::{Partition, PartitionValue};

/// Years before this one have no partitions.
pub(super) const FIRST_YEAR: u32 = 2020;
/// Nor have those after this one.
const LAST_YEAR: u32 = 2040;
/// 2020-01-01T00:00:00Z, in seconds since 1970.
const FIRST_SECOND: i64 = 1_577_836_800;

/// What Athena is told of a partition's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Projection {
    /// The type of its column.
    pub(super) kind: &'static str,
    /// Properties, without `projection.NAME.` before them.
    pub(super) properties: Vec<(&'static str, String)>,
}

/// Fields of a time, from the largest on: their letters in patterns, and what Athena calls their unit.
const FIELDS: [(&[char], &str); 6] = [
    (&['y', 'u'], "YEARS"),
    (&['M', 'L'], "MONTHS"),
    (&['d'], "DAYS"),
    (&['H'], "HOURS"),
    (&['m'], "MINUTES"),
    (&['s'], "SECONDS"),
];

impl Projection {
    /// The projection of a value of `zone`. None of what no query can know.
    pub(super) fn of(partition: &Partition, is_utc: bool) -> Option<Self> {
        match &partition.value {
            PartitionValue::Random => None,
            PartitionValue::Key => Some(Self::injected()),
            PartitionValue::Time { pattern, .. } => {
                let number = Self::integer(pattern);
                let date = || Self::date(pattern, is_utc);
                Some(number.or_else(date).unwrap_or_else(Self::injected))
            }
        }
    }

    pub(super) fn is_injected(&self) -> bool {
        self.properties.iter().any(|(_, value)| value == "injected")
    }

    fn injected() -> Self {
        Self {
            kind: "string",
            properties: vec![("type", "injected".to_owned())],
        }
    }

    /// A field of a time alone.
    fn integer(pattern: &str) -> Option<Self> {
        let range = match pattern {
            "yyyy" | "uuuu" => format!("{FIRST_YEAR},{LAST_YEAR}"),
            "MM" | "M" => "1,12".to_owned(),
            "dd" | "d" => "1,31".to_owned(),
            "HH" | "H" => "0,23".to_owned(),
            "mm" | "m" => "0,59".to_owned(),
            _ => return None,
        };
        let mut properties = vec![("type", "integer".to_owned()), ("range", range)];
        if pattern.len() > 1 {
            properties.push(("digits", pattern.len().to_string()));
        }
        let kind = "int";
        Some(Self { kind, properties })
    }

    /// A year and what follows it in a time, down to some field.
    fn date(pattern: &str, is_utc: bool) -> Option<Self> {
        let fields = fields(pattern);
        let is_next = |(at, letter): (usize, &char)| {
            FIELDS
                .get(at)
                .is_some_and(|(letters, _)| letters.contains(letter))
        };
        let (_, unit) = *FIELDS.get(fields.len().checked_sub(1)?)?;
        if !fields.iter().enumerate().all(is_next) {
            return None;
        }
        let (mut first, utc) = (String::new(), Zone::utc());
        let compiled = DatePattern::parse(pattern).ok()?;
        compiled.format(&utc.at(FIRST_SECOND), &utc, &mut first);
        // `NOW` is in UTC, and elsewhere it may be tomorrow.
        let last = if is_utc { "NOW" } else { "NOW+1DAY" };
        let properties = vec![
            ("type", "date".to_owned()),
            ("format", pattern.to_owned()),
            ("range", format!("{first},{last}")),
            ("interval", "1".to_owned()),
            ("interval.unit", unit.to_owned()),
        ];
        let kind = "string";
        Some(Self { kind, properties })
    }
}

/// The letters of a pattern's fields in their order, one for each run.
fn fields(pattern: &str) -> Vec<char> {
    let mut fields = Vec::new();
    let (mut is_quoted, mut before) = (false, ' ');
    for c in pattern.chars() {
        is_quoted ^= c == '\'';
        if !is_quoted && c.is_ascii_alphabetic() && c != before {
            fields.push(c);
        }
        before = if is_quoted { ' ' } else { c };
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type of the column and properties of a time by this pattern.
    fn told(pattern: &str, is_utc: bool) -> String {
        let partition = Partition {
            name: "p".to_owned(),
            value: PartitionValue::Time {
                pattern: pattern.to_owned(),
                of_event: false,
            },
        };
        let Projection { kind, properties } = Projection::of(&partition, is_utc).unwrap();
        let properties = properties
            .iter()
            .map(|(name, value)| format!(" {name}={value}"));
        format!("{kind}{}", properties.collect::<String>())
    }

    #[test]
    fn times_are_integers_or_dates_and_what_is_neither_is_injected() {
        for (pattern, expected) in [
            ("yyyy", "int type=integer range=2020,2040 digits=4"),
            ("MM", "int type=integer range=1,12 digits=2"),
            ("d", "int type=integer range=1,31"),
            ("HH", "int type=integer range=0,23 digits=2"),
            (
                "yyyy-MM-dd",
                "string type=date format=yyyy-MM-dd range=2020-01-01,NOW interval=1 interval.unit=DAYS",
            ),
            (
                "yyyy/MM/dd/HH",
                "string type=date format=yyyy/MM/dd/HH range=2020/01/01/00,NOW interval=1 interval.unit=HOURS",
            ),
            (
                "uuuuMM'/h'",
                "string type=date format=uuuuMM'/h' range=202001/h,NOW interval=1 interval.unit=MONTHS",
            ),
            ("yyyy-dd", "string type=injected"),
            ("MM-dd", "string type=injected"),
            ("YYYY-'W'ww", "string type=injected"),
            ("EEE", "string type=injected"),
            ("yyyy-MM-dd yyyy", "string type=injected"),
        ] {
            assert_eq!(told(pattern, true), expected, "{pattern}");
        }
        assert!(told("yyyy-MM-dd", false).contains("range=2020-01-01,NOW+1DAY "));
    }
}
