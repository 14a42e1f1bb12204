//! `strftime` of the C locale, with glibc's flags and widths.

use std::fmt::Write as _;

use firehose_calendar::{MONTHS, WEEKDAYS};

use super::{Time, days_to};

/// A conversion's flags and width: `%_5d`.
#[derive(Clone, Copy, Default)]
struct Style {
    pad: Option<char>,
    upper: bool,
    swap: bool,
    width: usize,
}

/// The text of a time; nothing if it is empty or too long for jq's buffer.
pub(super) fn text(time: &Time, format: &str) -> Option<String> {
    let max = format.len() + 100;
    let mut out = String::new();
    append(time, format, max, &mut out)?;
    (!out.is_empty() && out.len() < max).then_some(out)
}

/// Appends the text of a format, as long as it is shorter than `max`.
fn append(time: &Time, format: &str, max: usize, out: &mut String) -> Option<()> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let conversion = &rest[at..];
        let (style, after) = style(&conversion[1..])?;
        let after = after.strip_prefix(['E', 'O']).unwrap_or(after);
        let letter = after.chars().next();
        rest = &after[letter.map_or(0, char::len_utf8)..];
        if style.width >= max {
            return None;
        }
        let known = letter.is_some_and(|letter| convert(time, letter, style, max, out).is_some());
        if !known {
            // What is not known stands as it is; a modifier needs a letter.
            let length = conversion.len() - rest.len();
            out.push_str(&conversion[..length]);
        }
        if out.len() >= max {
            return None;
        }
    }
    out.push_str(rest);
    Some(())
}

fn style(mut rest: &str) -> Option<(Style, &str)> {
    let mut style = Style::default();
    while let Some(flag) = rest.chars().next() {
        match flag {
            '_' | '-' | '0' => style.pad = Some(flag),
            '^' => style.upper = true,
            '#' => style.swap = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > 0 {
        // What Rust takes as a width; the text that is made is shorter anyway.
        style.width = usize::from(rest[..digits].parse::<u16>().ok()?);
    }
    Some((style, &rest[digits..]))
}

/// Appends one conversion; nothing if there is no such letter.
fn convert(time: &Time, letter: char, style: Style, max: usize, out: &mut String) -> Option<()> {
    let hour12 = match time.hour {
        hour if hour > 12 => hour - 12,
        0 => 12,
        hour => hour,
    };
    let half = if time.hour > 11 { "PM" } else { "AM" };
    let mut number = |value: i64, digits: usize, pad: char| {
        let pad = style.pad.unwrap_or(pad);
        let width = style.width.max(if pad == '-' { 0 } else { digits });
        let _ = match pad {
            '_' => write!(out, "{value:width$}"),
            _ => write!(out, "{value:0width$}"),
        };
        Some(())
    };
    match letter {
        'C' => number(time.year.div_euclid(100), 1, '0'),
        'd' => number(time.day, 2, '0'),
        'e' => number(time.day, 2, '_'),
        'g' => number(iso_week(time).0.rem_euclid(100), 2, '0'),
        'G' => number(iso_week(time).0, 1, '0'),
        'H' => number(time.hour, 2, '0'),
        'I' => number(hour12, 2, '0'),
        'j' => number(time.yearday + 1, 3, '0'),
        'k' => number(time.hour, 2, '_'),
        'l' => number(hour12, 2, '_'),
        'm' => number(time.month + 1, 2, '0'),
        'M' => number(time.minute, 2, '0'),
        's' => number(time.epoch().unwrap_or(-1), 1, '0'),
        'S' => number(time.second, 2, '0'),
        'u' => number((time.weekday - 1).rem_euclid(7) + 1, 1, '0'),
        'U' => number((time.yearday - time.weekday + 7) / 7, 2, '0'),
        'V' => number(iso_week(time).1, 2, '0'),
        'w' => number(time.weekday, 1, '0'),
        'W' => number((time.yearday - (time.weekday - 1 + 7) % 7 + 7) / 7, 2, '0'),
        'y' => number(time.year.rem_euclid(100), 2, '0'),
        'Y' => number(time.year, 1, '0'),
        _ => {
            let mut text = String::new();
            match letter {
                '%' => text.push('%'),
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'a' => text.extend(name(&WEEKDAYS, time.weekday).chars().take(3)),
                'A' => text.push_str(name(&WEEKDAYS, time.weekday)),
                'b' | 'h' => text.extend(name(&MONTHS, time.month).chars().take(3)),
                'B' => text.push_str(name(&MONTHS, time.month)),
                'p' if style.swap => text.push_str(&half.to_ascii_lowercase()),
                'p' => text.push_str(half),
                'P' => text.push_str(&half.to_ascii_lowercase()),
                'Z' if style.swap => text.push_str("utc"),
                'Z' => text.push_str("UTC"),
                'z' => text.push_str("+0000"),
                'c' => append(time, "%a %b %e %H:%M:%S %Y", max, &mut text)?,
                'D' | 'x' => append(time, "%m/%d/%y", max, &mut text)?,
                'F' => append(time, "%Y-%m-%d", max, &mut text)?,
                'r' => append(time, "%I:%M:%S %p", max, &mut text)?,
                'R' => append(time, "%H:%M", max, &mut text)?,
                'T' | 'X' => append(time, "%H:%M:%S", max, &mut text)?,
                _ => return None,
            }
            if style.upper || style.swap && !matches!(letter, 'p' | 'Z') {
                text.make_ascii_uppercase();
            }
            let fill = if style.pad == Some('0') { "0" } else { " " };
            let missing = style.width.saturating_sub(text.len());
            out.push_str(&fill.repeat(missing));
            out.push_str(&text);
            Some(())
        }
    }
}

fn name(names: &[&'static str], index: i64) -> &'static str {
    let name = usize::try_from(index).ok().and_then(|at| names.get(at));
    name.copied().unwrap_or("?")
}

/// Year and week of ISO 8601.
fn iso_week(time: &Time) -> (i64, i64) {
    let length = |year| days_to(year + 1, 0) - days_to(year, 0);
    // Days since the Monday of the first week of the year that the day is counted in.
    let days = |yearday: i64| yearday - (yearday - time.weekday + 382) % 7 + 3;
    let (before, here) = (
        days(time.yearday + length(time.year - 1)),
        days(time.yearday),
    );
    let after = days(time.yearday - length(time.year));
    let (year, days) = match () {
        () if here < 0 => (time.year - 1, before),
        () if after >= 0 => (time.year + 1, after),
        () => (time.year, here),
    };
    (year, days / 7 + 1)
}
