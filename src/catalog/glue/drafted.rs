//! A table as Glue is told to make it: what Athena's own `CREATE EXTERNAL TABLE` leaves there.

use serde_json::{Value, json};

use super::TableDraft;

/// A `TableInput`.
pub(super) fn table_input(name: &str, draft: &TableDraft) -> Value {
    let columns = draft.columns.iter();
    // Glue has all names in small letters.
    let columns = columns.map(|(name, kind)| json!({ "Name": name.to_lowercase(), "Type": kind }));
    let keys = draft.keys.iter();
    let keys = keys.map(|key| json!({ "Name": key, "Type": "string" }));
    let classes = &draft.classes;
    json!({
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": { "EXTERNAL": "TRUE", "classification": classes.classification },
        "PartitionKeys": keys.collect::<Vec<_>>(),
        "StorageDescriptor": {
            "Columns": columns.collect::<Vec<_>>(),
            "Location": draft.location,
            "InputFormat": classes.input_format,
            "OutputFormat": classes.output_format,
            "Compressed": false,
            "NumberOfBuckets": -1,
            "SerdeInfo": {
                "SerializationLibrary": classes.serde,
                "Parameters": { "serialization.format": "1" },
            },
            "StoredAsSubDirectories": false,
        },
    })
}
