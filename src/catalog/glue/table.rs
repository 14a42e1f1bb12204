//! A table as Glue tells it, and its partitions as Glue is told them.

use serde_json::{Value, json};

use super::drafted::table_input;
use super::{TableDraft, places, strings};

/// What of a table its partitions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToldTable {
    location: String,
    keys: Vec<String>,
    /// Everything that Glue keeps of the storage: it is the partitions' too.
    storage: Value,
}

impl ToldTable {
    /// The table of an answer to `GetTable`. The error says why objects cannot be of it.
    pub(super) fn of(answer: &Value) -> Result<Self, String> {
        Self::of_table(&answer["Table"])
    }

    /// The table that would be made.
    pub(super) fn drafted(draft: &TableDraft) -> Self {
        let table = table_input("", draft);
        Self {
            location: draft.location.clone(),
            keys: draft.keys.clone(),
            storage: table["StorageDescriptor"].clone(),
        }
    }

    fn of_table(table: &Value) -> Result<Self, String> {
        let storage = &table["StorageDescriptor"];
        let location = storage["Location"].as_str().unwrap_or_default();
        if location.is_empty() {
            return Err("the table has no location: it is a view, or not over objects".to_owned());
        }
        let names = table["PartitionKeys"].as_array().into_iter().flatten();
        let names: Value = names.map(|key| key["Name"].clone()).collect();
        Ok(Self {
            location: location.to_owned(),
            keys: strings(&names),
            storage: storage.clone(),
        })
    }

    /// The values of the partition that a place is; empty where the table has no partitions.
    pub(super) fn values(&self, place: &str) -> Result<Vec<String>, String> {
        places::values(&self.location, &self.keys, place)
    }

    /// A `PartitionInput`.
    pub(super) fn partition(&self, values: &[String], place: &str) -> Value {
        let mut storage = self.storage.clone();
        storage["Location"] = place.into();
        json!({ "Values": values, "StorageDescriptor": storage })
    }
}
