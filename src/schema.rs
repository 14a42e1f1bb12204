//! Columns that a stream has learned from its records, or read of a table, version by version: plain data, kept with the
//! checkpoint. And what becomes of the columns of a table that is to have those of a stream.

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
    /// The table whose columns they are, where they are one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableVersion>,
}

/// What tells a version from any other that its number may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaPin {
    /// Its number.
    pub version: u32,
    /// The name of its columns.
    pub hash: String,
    /// Where it lies: keys up to the number. The first daemons did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
}

/// A version of a table of the Glue Data Catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableVersion {
    /// What tells the table from others: `web.hits`.
    pub name: String,
    /// The catalog's own number of the version, where it tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When the table was made, in milliseconds since the Unix epoch, where the catalog tells it: one that is made again
    /// counts its versions anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
}

/// A column or a field that is new, or of another type than before. One that is gone has no type any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaChange {
    /// `user.id`, `lines[].price` for items and for values of maps.
    pub path: String,
    /// The type that it had; none of one that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The type that it has; empty of one that is gone.
    pub to: String,
}

/// What becomes of the columns of a table that somebody keeps, so that they take what objects have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableJoin {
    /// All of them, names and types: those that were there in their places, and the new ones behind.
    pub columns: Vec<(String, String)>,
    /// What has changed of them.
    pub changes: Vec<SchemaChange>,
    /// What stays as it is in the table, and is another in the objects.
    pub conflicts: Vec<ColumnConflict>,
}

/// A column or a field that has one type in a table and another in the objects, which no rule brings together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnConflict {
    /// `user.id`, `lines[].price` for items and for values of maps.
    pub path: String,
    /// Its type in the table.
    pub table: String,
    /// Its type in the objects.
    pub objects: String,
}

impl SchemaVersion {
    /// So many versions are kept, the last ones.
    pub const KEPT: u32 = 100;

    /// The name of the columns in the metadata of objects: 16 hexadecimal digits, the CRC-64/NVME of their text.
    pub fn hash(&self) -> String {
        hash(&self.columns)
    }

    /// Whether they were read of this table.
    pub fn is_of_table(&self, name: &str) -> bool {
        self.table.as_ref().is_some_and(|table| table.name == name)
    }
}

/// The same of columns in Hive's syntax, in one line.
pub fn hash(columns: &str) -> String {
    format!("{:016x}", crc_fast::crc64_nvme(columns.as_bytes()))
}

impl std::fmt::Display for TableVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(formatter, "{} version {version}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

impl std::fmt::Display for ColumnConflict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            path,
            table,
            objects,
        } = self;
        write!(
            formatter,
            "{path}: {table} in the table, {objects} in objects"
        )
    }
}

impl std::fmt::Display for SchemaChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, from, to } = self;
        match from {
            Some(from) if to.is_empty() => write!(formatter, "{path} {from} is gone"),
            Some(from) => write!(formatter, "{path} {from} → {to}"),
            None => write!(formatter, "{path} {to} is new"),
        }
    }
}
