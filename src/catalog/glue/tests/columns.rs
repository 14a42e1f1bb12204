//! The columns of a table, which others keep and change meanwhile.

use super::scripted::Scripted;
use super::*;
use crate::catalog::port::TableObjects;
use crate::schema::SchemaChange;

/// Objects with one column, of one type.
#[derive(Debug)]
struct Took(&'static str);

impl TableObjects for Took {
    fn joined_to(&self, columns: &[(String, String)], keys: &[String]) -> TableJoin {
        assert_eq!(keys, ["k"]);
        let mut join = TableJoin {
            columns: columns.to_vec(),
            ..TableJoin::default()
        };
        let found = join.columns.iter_mut().find(|(name, _)| name == "took");
        let from = found.as_ref().map(|(_, kind)| kind.clone());
        let to = self.0.to_owned();
        if from.as_ref() == Some(&to) {
            return join;
        }
        match found {
            Some((_, kind)) => kind.clone_from(&to),
            None => join.columns.push(("took".to_owned(), to.clone())),
        }
        let path = "took".to_owned();
        join.changes.push(SchemaChange { path, from, to });
        join
    }

    fn location(&self) -> &'static str {
        "s3://lake/clicks/"
    }

    fn serde(&self) -> &'static str {
        "a.SerDe"
    }
}

fn wish(kind: &'static str) -> TableWish {
    TableWish {
        draft: None,
        objects: Some(Arc::new(Took(kind))),
    }
}

/// A table with all that Glue says of one.
fn table(version: &str, columns: &Value) -> Value {
    json!({
        "Name": "clicks",
        "DatabaseName": "lake",
        "CatalogId": "123456789012",
        "VersionId": version,
        "CreateTime": 1_764_000_000.5,
        "UpdateTime": 1_764_000_001.5,
        "CreatedBy": "arn:aws:iam::123456789012:user/ada",
        "IsRegisteredWithLakeFormation": false,
        "IsMultiDialectView": false,
        "Description": "clicks of all kinds",
        "Owner": "ada",
        "LastAccessTime": 1_764_000_002.0,
        "Retention": 3,
        "TableType": "EXTERNAL_TABLE",
        "ViewOriginalText": null,
        "Parameters": { "EXTERNAL": "TRUE", "own": "1" },
        "PartitionKeys": [{ "Name": "k", "Type": "string", "Comment": "a key" }],
        "StorageDescriptor": {
            "Columns": columns,
            "Location": "s3://lake/clicks/",
            "SerdeInfo": { "SerializationLibrary": "a.SerDe", "Parameters": { "x": "1" } },
            "SortColumns": [{ "Column": "id", "SortOrder": 1 }],
        },
    })
}

/// A Glue whose table anybody may change, and which goes by versions. Each of `refusals` is the answer to one `UpdateTable`;
/// somebody else changes the table just before the first.
async fn keeping(mut table: Value, refusals: Vec<&'static str>) -> Scripted {
    let mut refusals = refusals.into_iter();
    Scripted::start(move |operation, body| match operation {
        "GetTable" => Ok(json!({ "Table": table })),
        "UpdateTable" => {
            if let Some(code) = refusals.next() {
                table["VersionId"] = "8".into();
                let columns = table["StorageDescriptor"]["Columns"].as_array_mut();
                columns
                    .unwrap()
                    .push(json!({ "Name": "theirs", "Type": "date" }));
                return Err(code);
            }
            if body["VersionId"] != table["VersionId"] {
                return Err("ConcurrentModificationException");
            }
            table["StorageDescriptor"] = body["TableInput"]["StorageDescriptor"].clone();
            table["VersionId"] = "9".into();
            Ok(json!({}))
        }
        _ => Ok(json!({})),
    })
    .await
}

fn id() -> Value {
    json!({ "Name": "id", "Type": "bigint", "Comment": "whose" })
}

const PLACE: &str = "s3://lake/clicks/k=a/";

/// The columns that the partition of a call has.
fn of_partition(body: &Value) -> &Value {
    &body["PartitionInputList"][0]["StorageDescriptor"]["Columns"]
}

#[tokio::test]
async fn columns_come_behind_those_that_are_there_and_all_else_stays_as_it_is() {
    let scripted = keeping(table("7", &json!([id()])), Vec::new()).await;
    let places = [PLACE.to_owned()];
    let told = scripted.glue.tell(&places, &wish("bigint")).await.unwrap();
    assert_eq!(told.fates.unwrap(), [Fate::Told]);
    let changes = told.columns.unwrap().changes;
    assert_eq!(changes[0].to_string(), "took bigint is new");
    let asked = scripted.asked();
    let columns = json!([id(), { "Name": "took", "Type": "bigint" }]);
    let expected = json!({
        "DatabaseName": "lake",
        "VersionId": "7",
        "TableInput": {
            "Name": "clicks",
            "Description": "clicks of all kinds",
            "Owner": "ada",
            "LastAccessTime": 1_764_000_002.0,
            "Retention": 3,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": { "EXTERNAL": "TRUE", "own": "1" },
            "PartitionKeys": [{ "Name": "k", "Type": "string", "Comment": "a key" }],
            "StorageDescriptor": {
                "Columns": columns,
                "Location": "s3://lake/clicks/",
                "SerdeInfo": { "SerializationLibrary": "a.SerDe", "Parameters": { "x": "1" } },
                "SortColumns": [{ "Column": "id", "SortOrder": 1 }],
            },
        },
    });
    assert_eq!(asked[1], ("UpdateTable".to_owned(), expected));
    assert_eq!(of_partition(&asked[2].1), &columns);

    // Once is enough; a wider type takes the place of the narrower.
    let told = scripted.glue.tell(&[], &wish("bigint")).await.unwrap();
    assert_eq!(told.columns.unwrap().changes.len(), 0);
    assert_eq!(scripted.operations(), ["GetTable"]);
    let compared = scripted.glue.compare(&[], &wish("double")).await.unwrap();
    assert_eq!(
        compared.columns.unwrap().changes[0].to_string(),
        "took bigint → double"
    );
    assert_eq!(scripted.operations(), ["GetTable", "GetPartitions"]);
    scripted.glue.tell(&[], &wish("double")).await.unwrap();
    let asked = scripted.asked();
    let columns = &asked[1].1["TableInput"]["StorageDescriptor"]["Columns"];
    assert_eq!(
        columns,
        &json!([id(), { "Name": "took", "Type": "double" }])
    );
}

#[tokio::test]
async fn what_somebody_else_has_changed_meanwhile_is_kept() {
    let refusals = vec!["ConcurrentModificationException"];
    let scripted = keeping(table("7", &json!([id()])), refusals).await;
    let places = [PLACE.to_owned()];
    let told = scripted.glue.tell(&places, &wish("bigint")).await.unwrap();
    let error = told.columns.unwrap_err();
    assert_eq!(error.code, "ConcurrentModificationException");
    assert_eq!(error.advice, "", "it is tried again");
    // The partition waits for none of it, and has the columns of its objects.
    assert_eq!(told.fates.unwrap(), [Fate::Told]);
    let asked = scripted.asked();
    assert_eq!(
        of_partition(&asked[2].1),
        &json!([id(), { "Name": "took", "Type": "bigint" }])
    );
    let told = scripted.glue.tell(&[], &wish("bigint")).await.unwrap();
    assert_eq!(told.columns.unwrap().changes.len(), 1);
    let asked = scripted.asked();
    assert_eq!(asked[1].1["VersionId"], "8");
    assert_eq!(
        asked[1].1["TableInput"]["StorageDescriptor"]["Columns"],
        json!([
            id(),
            { "Name": "theirs", "Type": "date" },
            { "Name": "took", "Type": "bigint" },
        ])
    );
}

#[tokio::test]
async fn partitions_are_told_though_the_columns_cannot_be() {
    let scripted = keeping(table("7", &json!([id()])), vec!["AccessDeniedException"]).await;
    let places = [PLACE.to_owned()];
    let told = scripted.glue.tell(&places, &wish("bigint")).await.unwrap();
    assert_eq!(told.fates.unwrap(), [Fate::Told]);
    let error = told.columns.unwrap_err();
    assert!(error.advice.contains("glue:UpdateTable"), "{error}");
    // Nobody knows when the table will have more.
    assert_eq!(of_partition(&scripted.asked()[2].1), &json!([id()]));
}

#[tokio::test]
async fn tables_that_keep_their_columns_elsewhere_are_left_alone() {
    let usual = table("7", &json!([id()]));
    let with = |key: &str, value: Value| {
        let mut table = usual.clone();
        table[key] = value;
        table
    };
    let mut registered = usual.clone();
    registered["StorageDescriptor"]["SchemaReference"] = json!({ "SchemaVersionId": "1" });
    let mut read_otherwise = usual.clone();
    read_otherwise["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] = "other.SerDe".into();
    for (table, why) in [
        (
            with("Parameters", json!({ "table_type": "ICEBERG" })),
            "a table of ICEBERG",
        ),
        (
            with(
                "Parameters",
                json!({ "spark.sql.sources.provider": "delta" }),
            ),
            "a table of delta",
        ),
        (
            with("TargetTable", json!({ "Name": "other" })),
            "a link to another table",
        ),
        (
            with(
                "Parameters",
                json!({ "spark.sql.sources.provider": "parquet", "spark.sql.sources.schema": "{}" }),
            ),
            "Spark has made it",
        ),
        (registered, "Schema Registry"),
        (read_otherwise, "read with other.SerDe"),
    ] {
        let scripted = keeping(table, Vec::new()).await;
        let places = [PLACE.to_owned()];
        let told = scripted.glue.tell(&places, &wish("bigint")).await.unwrap();
        assert_eq!(told.fates.unwrap(), [Fate::Told]);
        let error = told.columns.unwrap_err();
        assert!(error.cause.contains(why), "{error}");
        assert!(error.advice.contains("update = false"), "{error}");
        assert_eq!(scripted.operations(), ["GetTable", "BatchCreatePartition"]);
    }
}

#[tokio::test]
async fn the_columns_of_a_table_that_lies_elsewhere_are_not_touched() {
    for location in [
        "s3://lake/orders/",
        "s3://lake/clicks/k=1/",
        "s3://other/clicks/",
    ] {
        let mut elsewhere = table("7", &json!([id()]));
        elsewhere["StorageDescriptor"]["Location"] = location.into();
        let scripted = keeping(elsewhere, Vec::new()).await;
        let compared = scripted.glue.compare(&[], &wish("bigint")).await.unwrap();
        let told = scripted.glue.tell(&[], &wish("bigint")).await.unwrap();
        let error = told.columns.unwrap_err();
        assert!(error.cause.contains("outside of its location"), "{error}");
        assert_eq!(compared.columns.unwrap_err(), error, "as it is told before");
        assert!(!scripted.operations().contains(&"UpdateTable".to_owned()));
    }
}

#[tokio::test]
async fn columns_are_told_where_partitions_are_refused() {
    let told_of = table("7", &json!([id()]));
    let scripted = Scripted::start(move |operation, _| match operation {
        "GetTable" => Ok(json!({ "Table": told_of })),
        "BatchCreatePartition" => Err("AccessDeniedException"),
        _ => Ok(json!({})),
    })
    .await;
    let places = [PLACE.to_owned()];
    let told = scripted.glue.tell(&places, &wish("bigint")).await.unwrap();
    let error = told.fates.unwrap_err();
    assert_eq!(error.code, "AccessDeniedException");
    let changes = told.columns.unwrap().changes;
    assert_eq!(changes[0].to_string(), "took bigint is new");
    let operations = ["GetTable", "UpdateTable", "BatchCreatePartition"];
    assert_eq!(scripted.operations(), operations);
}

#[tokio::test]
async fn a_table_that_is_missing_is_not_made_for_its_columns_alone() {
    let scripted = Scripted::start(|_, _| Err("EntityNotFoundException")).await;
    let wish = TableWish {
        draft: Some(draft()),
        ..wish("bigint")
    };
    let told = scripted.glue.tell(&[], &wish).await.unwrap();
    assert_eq!(
        (told.fates, told.columns),
        (Ok(vec![]), Ok(TableJoin::default()))
    );
    assert_eq!(scripted.operations(), ["GetTable"]);
}
