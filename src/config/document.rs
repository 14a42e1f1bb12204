//! A table of the user's own values, as a JSON object.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::table::{FileContext, Table};

/// How deep arrays and tables may nest: less than what JSON readers accept.
const NESTING_MAX: usize = 64;

/// The table with its variables expanded, as the text of a JSON object; `None` when one of its values
/// has a fault.
pub(super) fn json_object(table: Table<'_>) -> Option<String> {
    let file = table.file;
    object(file, table.into_entries(), NESTING_MAX).map(|object| Value::from(object).to_string())
}

fn object(
    file: &FileContext<'_>,
    entries: &DeTable<'_>,
    levels: usize,
) -> Option<Map<String, Value>> {
    let entries = entries.iter();
    // All of them are read before any is missed, so that all faults are seen.
    let read: Vec<_> = entries
        .map(|(key, entry)| Some((key.get_ref().to_string(), value(file, entry, levels)?)))
        .collect();
    read.into_iter().collect()
}

fn value(file: &FileContext<'_>, written: &Spanned<DeValue<'_>>, levels: usize) -> Option<Value> {
    let at = written.span();
    Some(match written.get_ref() {
        DeValue::Array(_) | DeValue::Table(_) if levels == 0 => {
            let message = format!("the table nests deeper than {NESTING_MAX} levels");
            file.fault(at, message, "make it flatter, or write its parts as text");
            return None;
        }
        DeValue::Table(entries) => object(file, entries, levels - 1)?.into(),
        DeValue::Array(elements) => {
            let elements = elements.iter();
            let read: Vec<_> = elements
                .map(|element| value(file, element, levels - 1))
                .collect();
            Value::Array(read.into_iter().collect::<Option<_>>()?)
        }
        DeValue::String(decoded) => file.expand(decoded, at)?.value.into(),
        DeValue::Boolean(boolean) => (*boolean).into(),
        DeValue::Datetime(datetime) => datetime.to_string().into(),
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
            if number.is_none() {
                let message = format!("{integer} does not fit into 64 bits");
                file.fault(at, message, format!("write it as text: \"{integer}\""));
            }
            number?.into()
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            if number.is_none() {
                let message = format!("JSON has no number for {float}");
                file.fault(at, message, format!("write it as text: \"{float}\""));
            }
            number?.into()
        }
    })
}
