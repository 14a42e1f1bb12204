//! Java's `DateTimeFormatter` patterns, and the zones that they are filled in for, as in `!{timestamp:yyyy/MM/dd}`; and the
//! other way round, texts read by such a pattern ([`DateReader`]).
//!
//! Letters and counts follow `java.time.format.DateTimeFormatterBuilder.appendPattern` with the
//! locale en-US, which is what Firehose shows: English names, weeks that begin on Sunday. Times
//! have second precision: `S` and `n` yield zeros, as Firehose does.

use std::fmt::Write as _;
use std::ops::Range;

use firehose_calendar as calendar;

mod reading;
mod stretch;
mod zone;

pub use reading::DateReader;
pub use zone::{Local, Zone};

/// Letters of a pattern that are understood, for help texts.
const LETTERS: &str = "G y u Y Q M L w d D E e a H h K k m s S n z Z X x V";

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatePattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(String),
    Field(char, usize),
}

/// What is wrong with a pattern, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct PatternFault {
    /// Bytes inside the pattern.
    pub at: Range<usize>,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl DatePattern {
    /// Compiles a pattern.
    pub fn parse(pattern: &str) -> Result<Self, PatternFault> {
        let mut tokens = Vec::new();
        let mut rest = pattern.char_indices().peekable();
        while let Some((start, letter)) = rest.next() {
            match letter {
                '\'' => {
                    let text = quoted(pattern, start)?;
                    let end = start + 1 + text.len() + 1;
                    while rest.next_if(|(at, _)| *at < end).is_some() {}
                    let text = if text.is_empty() {
                        "'".into()
                    } else {
                        text.replace("''", "'")
                    };
                    literal(&mut tokens, &text);
                }
                'A'..='Z' | 'a'..='z' => {
                    let mut count = 1;
                    while rest.next_if(|(_, next)| *next == letter).is_some() {
                        count += 1;
                    }
                    check(letter, count).map_err(|fault| fault.found_at(start..start + count))?;
                    tokens.push(Token::Field(letter, count));
                }
                '[' | ']' | '{' | '}' | '#' => {
                    return Err(PatternFault {
                        at: start..start + 1,
                        message: format!("'{letter}' has no meaning here"),
                        help: Some(format!("write '{letter}' in single quotes to mean itself")),
                    });
                }
                _ => literal(&mut tokens, letter.encode_utf8(&mut [0; 4])),
            }
        }
        Ok(Self { tokens })
    }

    /// The text of a pattern that has no field.
    pub fn constant(&self) -> Option<&str> {
        match self.tokens.as_slice() {
            [] => Some(""),
            [Token::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// How long a stretch of time yields the same text, in seconds, where the zone's offset is a
    /// multiple of it.
    pub fn granularity(&self) -> i64 {
        let of = |token: &Token| match token {
            Token::Field('s', _) => 1,
            Token::Field('m', _) => 60,
            _ => 900,
        };
        self.tokens.iter().map(of).min().unwrap_or(900)
    }

    /// A text as long as that of any instant of the years 1 to 9999.
    pub fn widest(&self, zone: &Zone) -> String {
        let of = |token: &Token| {
            let width = match token {
                Token::Literal(text) => return text.clone(),
                Token::Field('G' | 'Q', 4) => "Before Christ".len(),
                Token::Field('V', _) => return zone.name.clone(),
                Token::Field('Z' | 'X' | 'x', _) => "GMT+00:00:00".len(),
                Token::Field('E' | 'z', _) | Token::Field('M' | 'L' | 'e', 3..) => {
                    "September".len()
                }
                // East of UTC the last year is 10000, which four letters sign.
                Token::Field('y' | 'u' | 'Y', count) => (*count).max("+10000".len()),
                Token::Field(_, count) => (*count).max(3),
            };
            "x".repeat(width)
        };
        self.tokens.iter().map(of).collect()
    }

    /// Appends the text of an instant.
    pub fn format(&self, at: &Local, zone: &Zone, out: &mut String) {
        for token in &self.tokens {
            match token {
                Token::Literal(text) => out.push_str(text),
                Token::Field(letter, count) => field(*letter, *count, at, zone, out),
            }
        }
    }
}

impl PatternFault {
    fn found_at(self, at: Range<usize>) -> Self {
        Self { at, ..self }
    }
}

/// The text between the quote at `start` and the one that ends it; `''` inside stands for one.
fn quoted(pattern: &str, start: usize) -> Result<&str, PatternFault> {
    let text = &pattern[start + 1..];
    let mut end = 0;
    while let Some(found) = text[end..].find('\'') {
        end += found;
        if end == 0 || !text[end + 1..].starts_with('\'') {
            return Ok(&text[..end]);
        }
        end += 2;
    }
    Err(PatternFault {
        at: start..pattern.len(),
        message: "the quoted text has no end".into(),
        help: Some("write two single quotes ('') for a quote itself".into()),
    })
}

fn literal(tokens: &mut Vec<Token>, text: &str) {
    if let Some(Token::Literal(before)) = tokens.last_mut() {
        before.push_str(text);
    } else {
        tokens.push(Token::Literal(text.into()));
    }
}

/// Java's limits on how often a letter may stand in a row.
fn check(letter: char, count: usize) -> Result<(), PatternFault> {
    let allowed = match letter {
        'a' => 1..=1,
        'd' | 'h' | 'H' | 'k' | 'K' | 'm' | 's' | 'w' => 1..=2,
        'D' | 'z' => 1..=3,
        'M' | 'L' | 'Q' | 'E' | 'e' | 'G' | 'X' | 'x' | 'Z' => 1..=5,
        'y' | 'u' | 'Y' | 'S' | 'n' => 1..=9,
        'V' => 2..=2,
        _ => {
            return Err(PatternFault {
                at: 0..0,
                message: format!("the pattern letter '{letter}' is not supported"),
                help: Some(format!("letters: {LETTERS}; other text in single quotes")),
            });
        }
    };
    if allowed.contains(&count) {
        return Ok(());
    }
    let written = letter.to_string().repeat(count.min(24));
    let limits = match (allowed.start(), allowed.end()) {
        (1, 1) => "once".into(),
        (from, to) if from == to => format!("exactly {from} times"),
        (_, to) => format!("at most {to} times"),
    };
    Err(PatternFault {
        at: 0..0,
        message: format!("\"{written}\": the pattern letter '{letter}' may stand {limits}"),
        help: (letter == 'd').then(|| "the day of the year is \"DDD\"".into()),
    })
}

fn field(letter: char, count: usize, at: &Local, zone: &Zone, out: &mut String) {
    let number = |out: &mut String, value: i32| {
        write!(out, "{value:0count$}").expect("a string takes any text");
    };
    let calendar::Date {
        year: this_year,
        month,
        day,
    } = at.date;
    let [hour, minute, second] = at.clock();
    match letter {
        'u' => year(this_year, count, out),
        'y' => year(year_of_era(this_year), count, out),
        'Y' => year(us_week(at).0, count, out),
        'w' => number(out, us_week(at).1),
        'Q' => quarter((month + 2) / 3, count, out),
        'M' | 'L' if count > 2 => name(&calendar::MONTHS, month - 1, count, out),
        'M' | 'L' => number(out, month),
        'd' => number(out, day),
        'D' => number(out, at.date.day_of_year()),
        'e' if count < 3 => number(out, at.weekday + 1),
        'E' | 'e' => name(&calendar::WEEKDAYS, at.weekday, count.max(3), out),
        'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
        'H' => number(out, hour),
        'k' => number(out, if hour == 0 { 24 } else { hour }),
        'K' => number(out, hour % 12),
        'h' => number(out, if hour % 12 == 0 { 12 } else { hour % 12 }),
        'm' => number(out, minute),
        's' => number(out, second),
        'S' | 'n' => number(out, 0),
        'G' => out.push_str(match (this_year > 0, count) {
            (true, 4) => "Anno Domini",
            (true, 5) => "A",
            (true, _) => "AD",
            (false, 4) => "Before Christ",
            (false, 5) => "B",
            (false, _) => "BC",
        }),
        'V' => out.push_str(&zone.name),
        'z' => zone.write_short_name(at.instant, out),
        _ => offset(letter, count, at.offset, out),
    }
}

fn quarter(quarter: i32, count: usize, out: &mut String) {
    let suffix = ["st", "nd", "rd"]
        .get(usize::try_from(quarter - 1).unwrap_or(3))
        .unwrap_or(&"th");
    let written = match count {
        1 | 5 => write!(out, "{quarter}"),
        2 => write!(out, "{quarter:02}"),
        3 => write!(out, "Q{quarter}"),
        _ => write!(out, "{quarter}{suffix} quarter"),
    };
    written.expect("a string takes any text");
}

const fn year_of_era(year: i32) -> i32 {
    if year > 0 { year } else { 1 - year }
}

/// Java's year: two letters keep the last two digits, four and more sign what they cannot hold.
fn year(year: i32, count: usize, out: &mut String) {
    let written = match count {
        2 => write!(out, "{:02}", year % 100),
        4.. if year.to_string().len() > count => write!(out, "+{year}"),
        _ => write!(out, "{year:0count$}"),
    };
    written.expect("a string takes any text");
}

/// Short, full and one-letter names by the number of pattern letters.
fn name(names: &[&str], index: i32, count: usize, out: &mut String) {
    let full = usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index));
    let full = full.unwrap_or(&"");
    out.push_str(match count {
        4 => full,
        5 => full.get(..1).unwrap_or(full),
        _ => full.get(..3).unwrap_or(full),
    });
}

/// Week-based year and week in the United States: weeks begin on Sunday, the first is the one
/// with the first of January.
fn us_week(at: &Local) -> (i32, i32) {
    let calendar::Date { year, month, day } = at.date;
    // From Sunday to Saturday.
    if month == 12 && day + 6 - at.weekday > 31 {
        return (year + 1, 1);
    }
    let before = at.date.day_of_year() - 1;
    let first = (at.weekday - before).rem_euclid(7);
    (year, (before + first) / 7 + 1)
}

/// `X`, `x` and `Z`: the offset from UTC.
fn offset(letter: char, count: usize, seconds: i32, out: &mut String) {
    let is_long = matches!((letter, count), ('X' | 'x' | 'Z', 4 | 5));
    // An offset that would be written as zero has no sign of its own.
    let seconds = if is_long || seconds.abs() >= 60 {
        seconds
    } else {
        0
    };
    if seconds == 0 && (letter == 'X' || (letter == 'Z' && count == 5)) {
        out.push('Z');
        return;
    }
    if letter == 'Z' && count == 4 {
        out.push_str("GMT");
        if seconds == 0 {
            return;
        }
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes, rest) = (
        seconds.abs() / 3600,
        seconds.abs() / 60 % 60,
        seconds.abs() % 60,
    );
    let colon = match (letter, count) {
        ('Z', 4 | 5) | ('X' | 'x', 3 | 5) => ":",
        _ => "",
    };
    let written = match (letter, count) {
        ('X' | 'x', 1) if minutes == 0 => write!(out, "{sign}{hours:02}"),
        _ if is_long && rest != 0 => {
            write!(out, "{sign}{hours:02}{colon}{minutes:02}{colon}{rest:02}")
        }
        _ => write!(out, "{sign}{hours:02}{colon}{minutes:02}"),
    };
    written.expect("a string takes any text");
}

#[cfg(test)]
mod tests;
