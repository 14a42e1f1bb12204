//! What follows each record of a text.

use firehose_nearest::nearest;
use serde::{Deserialize, Serialize};

use super::durable::durable;
use crate::config::FormatTable;

/// Bytes of a delimiter of the user's.
const DELIMITER_MAX: usize = 256;

/// What follows each record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// A line feed.
    Newline,
    /// Nothing, as Firehose does by default.
    None,
    /// A text of the user's.
    Text(String),
}

/// Its durable form.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) enum DelimiterRow {
    Newline,
    #[default]
    None,
    Text(String),
}

durable!(DelimiterRow of enum Delimiter { Newline, None, Text(text) });

impl Delimiter {
    /// Whether records follow each other bare.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Reads `delimiter`, or takes `default` where there is none.
    pub(super) fn read(table: &mut FormatTable<'_, '_>, default: Self) -> Option<Self> {
        let is_there = table.has("delimiter");
        let Some((text, place)) = table.text("delimiter") else {
            return (!is_there).then_some(default);
        };
        match text.as_str() {
            "newline" => return Some(Self::Newline),
            "none" => return Some(Self::None),
            "" => {
                let help = "write \"none\" for no delimiter, \"newline\" or a text of your own";
                table.fault(place, "`delimiter` is empty".to_owned(), Some(help));
                return None;
            }
            long if long.len() > DELIMITER_MAX => {
                let message = format!("`delimiter` is longer than {DELIMITER_MAX} bytes");
                table.fault(place, message, None);
                return None;
            }
            _ => {}
        }
        if let Some(word) = nearest(&text, ["newline", "none"])
            && text.len() > 2
        {
            let message = format!("the text \"{text}\" itself will follow each record");
            let help = format!("did you mean \"{word}\"?");
            table.doubt(place, message, Some(&help));
        }
        Some(Self::Text(text))
    }
}
