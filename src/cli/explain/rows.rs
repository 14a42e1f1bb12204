//! The rows that a record becomes and what is not in them, as text and as JSON.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::format::{Changed, FieldPath, Row};
use crate::printable::printable;

/// Characters that are shown of one value or path.
const BRIEF: usize = 100;
/// Places that are shown in one line; `--json` shows all.
const PLACES_SHOWN: usize = 20;

pub(super) fn to_json(row: &Row) -> Value {
    let columns: Map<String, Value> = row.columns.iter().cloned().collect();
    let paths = |places: &[FieldPath]| -> Value {
        let paths = places.iter().map(|place| place.path.as_str());
        paths.collect()
    };
    let changed = row
        .changed
        .iter()
        .map(|Changed { place, from, to }| json!({ "column": place.path, "from": from, "to": to }));
    json!({
        "row": columns,
        "unknown": paths(&row.unknown),
        "missing": paths(&row.missing),
        "null": paths(&row.null),
        "repeated": paths(&row.repeated),
        "changed": changed.collect::<Value>(),
    })
}

pub(super) fn write_text(row: &Row, indent: &str, out: &mut dyn Write) -> io::Result<()> {
    let column = |(name, value): &(String, Value)| {
        let name = Value::from(name.as_str());
        format!("{name}:{}", brief(&value.to_string()))
    };
    let columns: Vec<String> = row.columns.iter().map(column).collect();
    writeln!(out, "{indent}   row     {{{}}}", columns.join(","))?;
    let path = |place: &FieldPath| brief(&place.path);
    let missing = row.missing.iter();
    let missing = missing.map(|place| format!("{} (missing)", path(place)));
    let null = row.null.iter().map(path);
    let changed = row.changed.iter().map(|Changed { place, from, to }| {
        let to = brief(&to.to_string());
        format!("{} {} → {to}", path(place), brief(from))
    });
    let lines: [(&str, Vec<String>, &str); 4] = [
        (
            "unknown",
            row.unknown.iter().map(path).collect(),
            " (in no column)",
        ),
        ("null", missing.chain(null).collect(), ""),
        ("changed", changed.collect(), ""),
        (
            "again",
            row.repeated.iter().map(path).collect(),
            " (the last one counts)",
        ),
    ];
    for (label, places, note) in lines {
        if places.is_empty() {
            continue;
        }
        let more = match places.len().saturating_sub(PLACES_SHOWN) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let places = &places[..places.len().min(PLACES_SHOWN)];
        let places = places.join(", ");
        writeln!(out, "{indent}   {label:<7} {places}{more}{note}")?;
    }
    Ok(())
}

/// Text without what steers a terminal, cut where it is long.
pub(super) fn brief(text: &str) -> String {
    let text = match text.char_indices().nth(BRIEF) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    printable(&text).into_owned()
}
