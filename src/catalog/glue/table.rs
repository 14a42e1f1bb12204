//! A table as Glue tells it, and its partitions and its columns as Glue is told them.

use serde_json::{Value, json};

use super::drafted::{input_of, table_input};
use super::{TableDraft, places, strings};
use crate::catalog::port::TableObjects;
use crate::schema::TableJoin;

/// Kinds of tables that keep their columns beside the objects: what Glue has of them is a copy.
const OF_OTHERS: &[&str] = &["iceberg", "delta", "hudi"];

/// Parameters in which Spark keeps the columns of a table that it has made, and goes by them.
const OF_SPARK: &str = "spark.sql.sources.schema";

/// A table over objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToldTable {
    location: String,
    keys: Vec<String>,
    /// Everything that Glue keeps of the storage: it is the partitions' too.
    storage: Value,
    /// All of it, as it would be told.
    input: Value,
    /// Glue's number of the version.
    version: Option<String>,
    /// Why its columns are not to be changed there.
    fixed: Option<String>,
}

impl ToldTable {
    /// The table of an answer to `GetTable`. The error says why objects cannot be of it.
    pub(super) fn of(answer: &Value) -> Result<Self, String> {
        Self::of_table(&answer["Table"])
    }

    /// The table that would be made.
    pub(super) fn drafted(name: &str, draft: &TableDraft) -> Self {
        let input = table_input(name, draft);
        Self {
            location: draft.location.clone(),
            keys: draft.keys.clone(),
            storage: input["StorageDescriptor"].clone(),
            input,
            version: None,
            fixed: None,
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
            input: input_of(table),
            version: table["VersionId"].as_str().map(str::to_owned),
            fixed: fixed(table),
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

    /// What becomes of its columns where they are to take what objects have. The error says why they may not change.
    pub(super) fn join(&self, objects: &dyn TableObjects) -> Result<TableJoin, String> {
        let join = self.joined(objects);
        match self.fixed(objects) {
            Some(why) if !join.changes.is_empty() => Err(why),
            _ => Ok(join),
        }
    }

    fn joined(&self, objects: &dyn TableObjects) -> TableJoin {
        let columns = self.storage["Columns"].as_array().into_iter().flatten();
        let columns = columns.map(|column| {
            let text = |key: &str| column[key].as_str().unwrap_or_default().to_owned();
            (text("Name"), text("Type"))
        });
        objects.joined_to(&columns.collect::<Vec<_>>(), &self.keys)
    }

    /// Why its columns are not to be changed for such objects. Whoever names a wrong table finds it as it was.
    fn fixed(&self, objects: &dyn TableObjects) -> Option<String> {
        if self.fixed.is_some() {
            return self.fixed.clone();
        }
        let (location, lie_at) = (&self.location, objects.location());
        if places::below(location, lie_at).is_none() {
            return Some(format!(
                "the stream's objects lie at {lie_at}, outside of its location {location}"
            ));
        }
        let serde = self.storage["SerdeInfo"]["SerializationLibrary"].as_str();
        let other = serde.filter(|serde| !serde.is_empty() && *serde != objects.serde())?;
        Some(format!(
            "it is read with {other}, and the stream's objects with {}",
            objects.serde()
        ))
    }

    /// The same table with these columns, of which the first are its own: what else is known of those stays.
    pub(super) fn with_columns(&self, columns: &[(String, String)]) -> Self {
        let before = self.storage["Columns"].as_array();
        let before = before.map_or(&[][..], Vec::as_slice);
        let columns = columns.iter().enumerate().map(|(place, (name, kind))| {
            let mut column = before.get(place).cloned();
            let column = column.get_or_insert_with(|| json!({ "Name": name }));
            column["Type"] = kind.as_str().into();
            column.take()
        });
        let mut table = self.clone();
        table.storage["Columns"] = columns.collect();
        table.input["StorageDescriptor"] = table.storage.clone();
        table
    }

    /// The body of `UpdateTable`, but for the database: it changes nothing if somebody has changed the table meanwhile.
    pub(super) fn update(&self) -> Value {
        let mut body = json!({ "TableInput": self.input });
        if let Some(version) = &self.version {
            body["VersionId"] = version.as_str().into();
        }
        body
    }
}

/// Why the columns of a table are not to be changed in Glue.
fn fixed(table: &Value) -> Option<String> {
    if table["TargetTable"].is_object() {
        return Some("it is a link to another table".to_owned());
    }
    if table["StorageDescriptor"]["SchemaReference"].is_object() {
        return Some("they are those of a schema in the Glue Schema Registry".to_owned());
    }
    let parameters = &table["Parameters"];
    let kinds = ["table_type", "spark.sql.sources.provider"];
    let kinds = kinds.into_iter().filter_map(|key| parameters[key].as_str());
    let mut of_others = kinds.filter(|kind| OF_OTHERS.contains(&&*kind.to_lowercase()));
    if let Some(kind) = of_others.next() {
        return Some(format!(
            "it is a table of {kind}, which keeps them beside its objects"
        ));
    }
    let mut names = parameters.as_object()?.keys();
    let is_of_spark = names.any(|name| name.starts_with(OF_SPARK));
    is_of_spark
        .then(|| "Spark has made it, and keeps them in the table's parameters, too".to_owned())
}
