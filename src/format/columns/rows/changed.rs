//! Whether a value is read back as another one than the record has.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use serde_json::Value;

use super::super::schema::HiveType;
use super::super::shown::shown;

const fn is_numeric(kind: &HiveType) -> bool {
    matches!(
        kind,
        HiveType::TinyInt
            | HiveType::SmallInt
            | HiveType::Int
            | HiveType::BigInt
            | HiveType::Float
            | HiveType::Double
            | HiveType::Decimal { .. }
    )
}

/// Whether a value without parts, whose text this is and which no pattern reads, is read back as another one.
pub(super) fn is_changed(
    kind: &HiveType,
    is_string: bool,
    text: &str,
    column: &ArrayRef,
    row: usize,
) -> bool {
    match kind {
        HiveType::String | HiveType::Varchar(_) | HiveType::Char(_) => {
            is_string && shown(column, row) != *text
        }
        HiveType::Timestamp => {
            let micros = column.as_primitive::<TimestampMicrosecondType>();
            is_cut(text, micros.value(row))
        }
        kind if is_numeric(kind) => !is_same_number(text, &shown(column, row)),
        _ => false,
    }
}

/// Whether a number of the record, or its text, is read back as the same number. What is no number is
/// not judged.
fn is_same_number(text: &str, shown: &Value) -> bool {
    let (one, other) = (Decimal::read(text), Decimal::read(&plain(shown)));
    one.is_none() || one == other
}

/// Whether a time in the record has digits that are not in what is read back.
fn is_cut(text: &str, micros: i64) -> bool {
    if let Some(written) = Decimal::read(text) {
        let units = ["e-6", "e-3", "", "e3"].map(|unit| Decimal::read(&format!("{micros}{unit}")));
        return !units.contains(&Some(written));
    }
    // A leap second has no place of its own.
    if text.contains(":60") {
        return true;
    }
    let fraction = text.split_once(['.', ',']).map_or("", |(_, rest)| rest);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    // Where it reads back as whole milliseconds, there were none finer, or they were cut.
    let kept = if micros % 1000 == 0 { 3 } else { 6 };
    digits.skip(kept).any(|digit| digit != b'0')
}

/// A number by its value: `1.50`, `15e-1` and `+01.5` are one.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Without zeros in front and behind; none is zero.
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let exponent: i64 = exponent.parse().ok()?;
        let kept = digits.trim_end_matches('0');
        let zeros = i64::try_from(digits.len() - kept.len()).ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let exponent = exponent.checked_add(zeros)?;
        let kept = kept.trim_start_matches('0').to_owned();
        let is_zero = kept.is_empty();
        Some(Self {
            negative: text.starts_with('-') && !is_zero,
            digits: kept,
            exponent: if is_zero { 0 } else { exponent },
        })
    }
}

/// A value without the quotes of a string.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
