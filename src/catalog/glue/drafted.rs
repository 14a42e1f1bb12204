//! A table as Glue is told to make it: what Athena's own `CREATE EXTERNAL TABLE` leaves there. And one that is there as Glue
//! is told to change it: as it is.

use serde_json::{Map, Value, json};

use super::TableDraft;
use crate::config::Parameters;

/// What a `TableInput` has of all that a `Table` has, but for what tables over objects have not. What Glue says of its own
/// accord, as of when the table was made and by whom, it refuses to be told.
const INPUT: &[&str] = &[
    "Name",
    "Description",
    "Owner",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
];

/// The `TableInput` that leaves a table as it is.
pub(super) fn input_of(table: &Value) -> Value {
    let of = |key: &&str| table.get(*key).filter(|value| !value.is_null());
    let kept = INPUT.iter().filter_map(|key| Some((*key, of(key)?)));
    let kept = kept.map(|(key, value)| (key.to_owned(), value.clone()));
    Value::Object(kept.collect::<Map<String, Value>>())
}

/// A `TableInput`.
pub(super) fn table_input(name: &str, draft: &TableDraft) -> Value {
    let columns = draft.columns.iter();
    // Glue has all names in small letters.
    let columns = columns.map(|(name, kind)| json!({ "Name": name.to_lowercase(), "Type": kind }));
    let keys = draft.keys.iter();
    let keys = keys.map(|key| json!({ "Name": key, "Type": "string" }));
    let classes = &draft.classes;
    let parameters = |of: &Parameters| {
        let each = of
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)));
        each.collect::<Map<String, Value>>()
    };
    let mut of_table = parameters(&classes.parameters);
    of_table.insert("EXTERNAL".to_owned(), "TRUE".into());
    of_table.insert("classification".to_owned(), classes.classification.into());
    json!({
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": of_table,
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
                "Parameters": parameters(&classes.serde_parameters),
            },
            "StoredAsSubDirectories": false,
        },
    })
}
