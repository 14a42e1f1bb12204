//! Columns that a stream has learned from its records, version by version: plain data, kept with the checkpoint.

use serde::{Deserialize, Serialize};

/// The columns as they were from some moment on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaVersion {
    /// 1 for the first ones; one more for each that takes more.
    pub version: u32,
    /// Since when, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// In Hive's syntax, in one line.
    pub columns: String,
    /// What is new in them; of the first ones nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<SchemaChange>,
}

/// A column or a field that is new, or takes more than before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaChange {
    /// `user.id`, `lines[].price` for items and for values of maps.
    pub path: String,
    /// The type that it had; none of one that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The type that it has.
    pub to: String,
}

impl SchemaVersion {
    /// So many versions are kept, the last ones.
    pub const KEPT: u32 = 100;

    /// The name of the columns in the metadata of objects: 16 hexadecimal digits, the CRC-64/NVME of their text.
    pub fn hash(&self) -> String {
        hash(&self.columns)
    }
}

/// The same of columns in Hive's syntax, in one line.
pub fn hash(columns: &str) -> String {
    format!("{:016x}", crc_fast::crc64_nvme(columns.as_bytes()))
}

impl std::fmt::Display for SchemaChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, from, to } = self;
        match from {
            Some(from) => write!(formatter, "{path} {from} → {to}"),
            None => write!(formatter, "{path} {to} is new"),
        }
    }
}
