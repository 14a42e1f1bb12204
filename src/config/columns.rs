//! What the config says of declared columns, whichever format writes them.

use serde::{Deserialize, Serialize};

use super::format::FormatTable;

/// The keys that [`FormatTable::columns`] asks for: those of every format that has a schema.
pub(super) const KEYS: &[&str] = &["schema", "schema_file"];

/// Declared columns, and how records become rows of them. As a part of a format's durable form it is flat among the keys
/// of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSettings {
    /// Hive column syntax: `name type, name type …`.
    pub schema: String,
}

impl ColumnSettings {
    /// Columns in Hive's syntax, and else what is so where the config says nothing.
    pub fn of(schema: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
        }
    }
}

impl FormatTable<'_, '_> {
    /// Declared columns: `schema`, or the text of `schema_file`, and how records become rows of them. What is in the text is
    /// judged when the format is compiled.
    pub fn columns(&mut self) -> Option<ColumnSettings> {
        let schema = self.schema();
        Some(ColumnSettings { schema: schema? })
    }
}
