//! What single values become in a column of some type, and what does not fit.
//!
//! - Text columns take strings, numbers (as written), booleans, and objects and arrays as compact
//!   JSON. More characters than `varchar(n)` or `char(n)` allow do not fit.
//! - Numeric columns take numbers and strings that hold a number. Integers take no fraction but
//!   `1.0` and `1e3`; decimals round half away from zero; what is out of range does not fit.
//! - `boolean` takes `true`, `false` and strings of these words; `binary` takes base64 text.
//! - `timestamp` takes what `times` reads. `date` takes a date as text, and no number: it
//!   could be days as well as seconds.

use std::borrow::Cow;

use base64::Engine as _;

use firehose_json::RawString;
use firehose_json::decimal::{self, WrittenNumber};

use super::builder::{Cells, Limit, Strings};
use super::cursor;
use super::decode::Scratch;
use super::fault::{Fault, Fit};
use super::times::Times;

impl Cells {
    /// Takes a string.
    pub(super) fn take_string(&mut self, raw: RawString<'_>, scratch: &mut Scratch) -> Fit<()> {
        if let Self::Text { strings, limit } = self {
            if raw.escaped {
                raw.decode(&mut strings.bytes).map_err(|at| lone(raw, at))?;
            } else {
                strings.bytes.extend_from_slice(raw.text);
            }
            return close_text(strings, *limit, raw.at);
        }
        let text = content(raw, &mut scratch.text)?;
        let parsed = || WrittenNumber::from_string(text);
        let taken = match self {
            Self::Boolean(values) => boolean(text).map(|value| values.append(value)),
            Self::Binary(strings) => {
                let decoded =
                    base64::engine::general_purpose::STANDARD.decode_vec(text, &mut strings.bytes);
                decoded.ok().map(|()| strings.close())
            }
            Self::Date(values) => scratch.times.date(text).map(|days| values.push(days)),
            Self::Timestamp(values) => scratch.times.text(text).map(|micros| values.push(micros)),
            _ => parsed().and_then(|number| self.push_number(number, &scratch.times)),
        };
        taken.ok_or_else(|| Fault::mismatch(raw.at, self.expected(), ""))
    }

    /// Takes a number that starts at byte `at`.
    pub(super) fn take_number(
        &mut self,
        number: WrittenNumber<'_>,
        at: usize,
        scratch: &Scratch,
    ) -> Fit<()> {
        if let Self::Text { strings, limit } = self {
            strings.bytes.extend_from_slice(number.text);
            return close_text(strings, *limit, at);
        }
        self.push_number(number, &scratch.times).ok_or_else(|| {
            let integral = matches!(
                self,
                Self::TinyInt(_) | Self::SmallInt(_) | Self::Int(_) | Self::BigInt(_)
            );
            let why = match (integral, number.scaled(0)) {
                (true, Some((_, false))) => "it has a fraction",
                (true, _) => "it is out of range",
                (false, _) if matches!(self, Self::Decimal { .. }) => "it has too many digits",
                _ => "",
            };
            Fault::mismatch(at, self.expected(), why)
        })
    }

    /// Takes an object or array, `json`, which starts at byte `at`.
    pub(super) fn take_json(&mut self, json: &[u8], at: usize) -> Fit<()> {
        let Self::Text { strings, limit } = self else {
            return Err(Fault::mismatch(at, self.expected(), ""));
        };
        cursor::compact(json, &mut strings.bytes);
        close_text(strings, *limit, at)
    }

    fn push_number(&mut self, number: WrittenNumber<'_>, times: &Times) -> Option<()> {
        match self {
            Self::TinyInt(values) => values.push(i8::try_from(number.to_i64()?).ok()?),
            Self::SmallInt(values) => values.push(i16::try_from(number.to_i64()?).ok()?),
            Self::Int(values) => values.push(i32::try_from(number.to_i64()?).ok()?),
            Self::BigInt(values) => values.push(number.to_i64()?),
            Self::Float(values) => values.push(number.to_f32()?),
            Self::Double(values) => values.push(number.to_f64()?),
            Self::Decimal {
                values,
                precision,
                scale,
            } => {
                let (value, _) = number.scaled(i32::from(*scale))?;
                let bound = decimal::power_of_ten(i32::from(*precision))?;
                (value.abs() < bound).then(|| values.push(value))?;
            }
            Self::Timestamp(values) => values.push(times.number(number)?),
            _ => return None,
        }
        Some(())
    }

    /// Takes a boolean that starts at byte `at`.
    pub(super) fn take_boolean(&mut self, value: bool, at: usize) -> Fit<()> {
        match self {
            Self::Boolean(values) => values.append(value),
            Self::Text { strings, limit } => {
                let word: &[u8] = if value { b"true" } else { b"false" };
                strings.bytes.extend_from_slice(word);
                return close_text(strings, *limit, at);
            }
            _ => return Err(Fault::mismatch(at, self.expected(), "")),
        }
        Ok(())
    }

    /// Whether it takes texts, and values of all other kinds as such.
    pub(super) const fn is_text(&self) -> bool {
        matches!(self, Self::Text { .. })
    }

    /// Whether a string can stand for a value though it is another kind of JSON: it holds a number, or a boolean.
    pub(super) const fn is_number(&self) -> bool {
        matches!(
            self,
            Self::Boolean(_)
                | Self::TinyInt(_)
                | Self::SmallInt(_)
                | Self::Int(_)
                | Self::BigInt(_)
                | Self::Float(_)
                | Self::Double(_)
                | Self::Decimal { .. }
        )
    }

    /// The Hive type, as a message names it.
    pub(super) fn expected(&self) -> Cow<'static, str> {
        match self {
            Self::Boolean(_) => "boolean".into(),
            Self::TinyInt(_) => "tinyint".into(),
            Self::SmallInt(_) => "smallint".into(),
            Self::Int(_) => "int".into(),
            Self::BigInt(_) => "bigint".into(),
            Self::Float(_) => "float".into(),
            Self::Double(_) => "double".into(),
            Self::Decimal {
                precision, scale, ..
            } => format!("decimal({precision},{scale})").into(),
            Self::Text {
                limit: Limit::None, ..
            } => "string".into(),
            Self::Text {
                limit: Limit::Varchar(most),
                ..
            } => format!("varchar({most})").into(),
            Self::Text {
                limit: Limit::Char(most),
                ..
            } => format!("char({most})").into(),
            Self::Binary(_) => "binary (base64 text)".into(),
            Self::Date(_) => "date".into(),
            Self::Timestamp(_) => "timestamp".into(),
            Self::List { .. } => "array".into(),
            Self::Map { .. } => "map (a JSON object)".into(),
            Self::Struct(_) => "struct (a JSON object)".into(),
        }
    }
}

/// Ends a text whose bytes were appended, if it is not too long.
fn close_text(strings: &mut Strings, limit: Limit, at: usize) -> Fit<()> {
    if let Limit::Varchar(most) | Limit::Char(most) = limit {
        let text = &strings.bytes[strings.start()..];
        // Characters are the bytes that continue none.
        let characters = text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        if characters > most as usize {
            let kind = if let Limit::Char(_) = limit {
                "char"
            } else {
                "varchar"
            };
            return Err(Fault::mismatch(
                at,
                format_args!("{kind}({most})"),
                "it is too long",
            ));
        }
    }
    strings.close();
    Ok(())
}

/// The text that a string stands for.
pub(super) fn content<'b>(raw: RawString<'b>, scratch: &'b mut Vec<u8>) -> Fit<&'b [u8]> {
    if !raw.escaped {
        return Ok(raw.text);
    }
    scratch.clear();
    raw.decode(scratch).map_err(|at| lone(raw, at))?;
    Ok(scratch)
}

fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else {
        text.eq_ignore_ascii_case(b"false").then_some(false)
    }
}

/// A surrogate without its partner at offset `at` of a string's inside.
#[cold]
fn lone(raw: RawString<'_>, at: usize) -> Fault {
    Fault::syntax(raw.at + 1 + at, "a surrogate to be followed by its partner")
}
