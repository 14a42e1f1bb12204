//! Fields that found no column, and columns that found no field, as a stream's status and the status page show them.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::ApiState;
use super::escaped::Escaped;
use crate::telemetry::{FieldCount, FieldFate};

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
    if let Some(more) = counts.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = write!(html, "<small>and {more} more</small>");
    }
}
