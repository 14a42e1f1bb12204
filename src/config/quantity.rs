//! Sizes (`"128MiB"`) and durations (`"900s"`) as people write them.

use std::fmt;
use std::time::Duration;

/// Units of sizes, in bytes.
const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];
/// Units of durations, in milliseconds.
const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// What is wrong with a quantity, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QuantityFault {
    pub(super) message: String,
    pub(super) help: String,
}

impl fmt::Display for QuantityFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.message, self.help)
    }
}

/// A size as an argument of the command line.
pub fn parse_size(text: &str) -> Result<u64, String> {
    size(text).map_err(|fault| fault.to_string())
}

/// A duration as an argument of the command line.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|fault| fault.to_string())
}

/// Bytes: a number with one of KiB, MiB, GiB, kB, MB, GB, B or nothing after it.
pub(super) fn size(text: &str) -> Result<u64, QuantityFault> {
    let help = "write a whole number and KiB, MiB, GiB, kB, MB or GB, such as \"128MiB\"";
    let (number, unit) = split(text);
    let Some(count) = number else {
        return Err(not_a("size", text, help));
    };
    let unit = if unit.is_empty() { "B" } else { unit };
    scale(count, unit, &SIZES, text, "size", help)
}

/// A duration: a number with ms, s, m or h after it.
pub(super) fn duration(text: &str) -> Result<Duration, QuantityFault> {
    let help = "write a whole number and ms, s, m or h, such as \"900s\" or \"15m\"";
    let (number, unit) = split(text);
    let Some(count) = number else {
        return Err(not_a("duration", text, help));
    };
    if unit.is_empty() {
        return Err(QuantityFault {
            message: format!("the duration \"{text}\" has no unit"),
            help: format!("write \"{count}s\" for seconds or \"{count}m\" for minutes"),
        });
    }
    scale(count, unit, &DURATIONS, text, "duration", help).map(Duration::from_millis)
}

/// `15MiB` → `(Some(15), "MiB")`; `None` where there is no whole number in front.
fn split(text: &str) -> (Option<u64>, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (text[..end].parse().ok(), text[end..].trim_start())
}

fn not_a(kind: &str, text: &str, help: &str) -> QuantityFault {
    QuantityFault {
        message: format!("\"{text}\" is not a {kind}"),
        help: help.to_owned(),
    }
}

fn scale(
    count: u64,
    unit: &str,
    units: &[(&'static str, u64)],
    text: &str,
    kind: &str,
    help: &str,
) -> Result<u64, QuantityFault> {
    if let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) {
        return count
            .checked_mul(*factor)
            .ok_or_else(|| not_a(kind, text, help));
    }
    let help = match nearest_unit(unit, units) {
        Some(right) => format!("did you mean \"{count}{right}\"?"),
        None => help.to_owned(),
    };
    let message = if unit.starts_with(['.', ',']) {
        format!("\"{text}\" is not a whole number of a unit")
    } else {
        format!("unknown unit \"{unit}\" in the {kind} \"{text}\"")
    };
    Err(QuantityFault { message, help })
}

/// The unit that was meant: the same but for its case, or the one that shares its first letter. Slips, as
/// [`nearest`](firehose_nearest::nearest) counts them, tell nothing of words of one to three letters.
fn nearest_unit(unit: &str, units: &[(&'static str, u64)]) -> Option<&'static str> {
    let same_letters = |name: &str| name.eq_ignore_ascii_case(unit);
    let long_names = [
        ("min", "m"),
        ("sec", "s"),
        ("mil", "ms"),
        ("ms", "ms"),
        ("hou", "h"),
        ("hr", "h"),
    ];
    let first = unit.chars().next()?;
    let exact = units
        .iter()
        .map(|(name, _)| *name)
        .find(|name| same_letters(name));
    let long = long_names
        .into_iter()
        .find(|(start, _)| unit.to_ascii_lowercase().starts_with(start))
        .and_then(|(_, short)| {
            units
                .iter()
                .map(|(name, _)| *name)
                .find(|name| *name == short)
        });
    let initial = || {
        units
            .iter()
            .map(|(name, _)| *name)
            .find(|name| name.starts_with(first.to_ascii_uppercase()))
    };
    exact.or(long).or_else(initial)
}

/// A size the way people write it: the largest binary unit that divides it.
pub fn display_size(bytes: u64) -> String {
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match units
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// A duration the way people write it: the largest unit that divides it.
pub fn display_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units
        .into_iter()
        .find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{display_duration, display_size, duration, size};

    #[test]
    fn a_wrong_unit_is_answered_with_the_nearest_right_one() {
        for (text, right) in [
            ("128Mib", "128MiB"),
            ("128M", "128MiB"),
            ("1gb", "1GB"),
            ("5K", "5KiB"),
            ("7mb", "7MB"),
        ] {
            assert_eq!(
                size(text).unwrap_err().help,
                format!("did you mean \"{right}\"?"),
                "{text}"
            );
        }
        for (text, right) in [
            ("15min", "15m"),
            ("30 seconds", "30s"),
            ("2H", "2h"),
            ("5msec", "5ms"),
        ] {
            let help = duration(text).unwrap_err().help;
            assert_eq!(help, format!("did you mean \"{right}\"?"), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_bytes_as_a_size_and_a_fault_as_a_duration() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(
            duration("900").unwrap_err().message,
            "the duration \"900\" has no unit"
        );
    }

    #[test]
    fn what_does_not_fit_64_bits_is_a_fault() {
        assert!(size("99999999999999999999").is_err());
        assert!(size("18446744073709551615GiB").is_err());
        assert!(duration("18446744073709551615h").is_err());
    }

    proptest! {
        #[test]
        fn what_is_displayed_reads_back_as_the_same(value in 0_u64..1 << 40) {
            prop_assert_eq!(size(&display_size(value)), Ok(value));
            let time = Duration::from_millis(value);
            prop_assert_eq!(duration(&display_duration(time)), Ok(time));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = (size(&text), duration(&text));
        }
    }
}
