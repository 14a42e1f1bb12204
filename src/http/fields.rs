//! Fields that found no column, and columns that found no field, as a stream's status and the status page show them.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::ApiState;
use super::escaped::Escaped;
use crate::telemetry::{DriftKind, FieldCount, FieldDrift, FieldFate};

/// So many of each fate are shown on the page, those of the most records; the stream's status has all.
const SHOWN: usize = 10;

/// Records by path, for each fate.
pub(super) fn status(counts: &[FieldCount]) -> Value {
    let of_fate = |fate: FieldFate| {
        let counts = counts.iter().filter(move |count| count.fate == fate);
        let counts = counts.map(|count| (count.path.clone(), count.records.into()));
        let counts: Map<String, Value> = counts.collect();
        (fate.as_str().to_owned(), counts.into())
    };
    Value::Object(FieldFate::ALL.into_iter().map(of_fate).collect())
}

/// The table of all streams, if there is anything in it.
pub(super) fn table(html: &mut String, state: &ApiState) {
    let shown = state.shown();
    let shown = shown.map(|(name, stream, _)| (name, stream.fields()));
    let shown: Vec<_> = shown.filter(|(_, counts)| !counts.is_empty()).collect();
    if shown.is_empty() {
        return;
    }
    html.push_str(
        "<h2>Fields and columns</h2>\n<table>\n<tr><th>delivery stream<th>in no column<th>missing\
         <th>null, for want of a value that fits<th>taken, though of another kind</tr>\n",
    );
    for (name, counts) in shown {
        let _ = write!(
            html,
            "<tr><td><a href=\"/streams/{0}\">{0}</a>",
            Escaped(name)
        );
        for fate in FieldFate::ALL {
            html.push_str("<td>");
            cell(html, &counts, fate);
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}

fn cell(html: &mut String, counts: &[FieldCount], fate: FieldFate) {
    let mut counts: Vec<_> = counts.iter().filter(|count| count.fate == fate).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.records));
    for FieldCount { path, records, .. } in counts.iter().take(SHOWN) {
        let _ = write!(html, "{records} × <code>{}</code><br>", Escaped(path));
    }
    more(html, counts.len());
}

/// Says how many there are beyond those that are shown.
fn more(html: &mut String, all: usize) {
    if let Some(more) = all.checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = write!(html, "<small>and {more} more</small>");
    }
}

/// Paths of fields and columns that have lost each other by now, for each kind.
pub(super) fn drift(drifts: &[FieldDrift]) -> Value {
    let of_kind = |kind: DriftKind| {
        let paths: Vec<Value> = lasting(drifts, kind).map(Value::from).collect();
        (kind.as_str().to_owned(), paths.into())
    };
    Value::Object(DriftKind::ALL.into_iter().map(of_kind).collect())
}

fn lasting(drifts: &[FieldDrift], kind: DriftKind) -> impl Iterator<Item = &str> {
    let lasting = drifts.iter().filter(|drift| drift.lasts);
    let of_kind = lasting.filter(move |drift| drift.kind == kind);
    of_kind.map(|drift| drift.path.as_str())
}

/// The same of all streams as a table, if there is anything in it.
pub(super) fn drift_table(html: &mut String, state: &ApiState) {
    let shown = state.shown();
    let shown = shown.map(|(name, stream, _)| (name, stream.drift()));
    let shown: Vec<_> = shown
        .filter(|(_, drifts)| drifts.iter().any(|drift| drift.lasts))
        .collect();
    if shown.is_empty() {
        return;
    }
    html.push_str(
        "<h2>Schema drift</h2>\n<table>\n<tr><th>delivery stream<th>fields of the last records that no column takes\
         <th>columns that get no values any more</tr>\n",
    );
    for (name, drifts) in shown {
        let _ = write!(
            html,
            "<tr><td><a href=\"/streams/{0}\">{0}</a>",
            Escaped(name)
        );
        for kind in DriftKind::ALL {
            html.push_str("<td>");
            for path in lasting(&drifts, kind).take(SHOWN) {
                let _ = write!(html, "<code>{}</code><br>", Escaped(path));
            }
            more(html, lasting(&drifts, kind).count());
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}
