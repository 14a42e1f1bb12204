//! A table of the Glue Data Catalog, asked for the columns that its objects have.

use std::fmt;

use serde_json::{Value, json};

use super::json::{GLUE, JsonService, ServiceError};
use crate::config::{AwsAccess, GlueTable};

/// Asks for one table.
#[derive(Clone, Debug)]
pub struct TableReader {
    service: JsonService,
    /// For people.
    table: String,
    operation: &'static str,
    request: Value,
}

/// What the catalog says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableAnswer {
    /// The part of the answer that says what columns objects have, as `aws glue get-table` prints it.
    pub document: String,
    /// The catalog's number of the version.
    pub version: Option<String>,
    /// When the table was made, in milliseconds since the Unix epoch.
    pub created_ms: Option<i64>,
}

/// Why a table could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    /// What was asked, and what was said.
    pub cause: String,
    /// What a person can do, where something is to be done.
    pub advice: Option<String>,
}

impl fmt::Display for TableError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.advice {
            Some(advice) => write!(formatter, "{} ({advice})", self.cause),
            None => formatter.write_str(&self.cause),
        }
    }
}

impl TableReader {
    /// A client that asks once each time.
    pub async fn connect(table: &GlueTable, access: &AwsAccess) -> Result<Self, TableError> {
        let service = JsonService::connect(&GLUE, "`glue_endpoint` of the format", access).await;
        let service = service.ok_or_else(|| TableError {
            cause: "no region is known for the Glue Data Catalog".to_owned(),
            advice: Some("set `glue_region`, or AWS_REGION".to_owned()),
        })?;
        let GlueTable { database, name, .. } = table;
        let (operation, mut request) = match table.version {
            None => (
                "GetTable",
                json!({ "DatabaseName": database, "Name": name }),
            ),
            Some(version) => (
                "GetTableVersion",
                json!({ "DatabaseName": database, "TableName": name, "VersionId": version.to_string() }),
            ),
        };
        if let Some(catalog) = &table.catalog_id {
            request["CatalogId"] = catalog.as_str().into();
        }
        Ok(Self {
            service,
            table: format!("{database}.{name}"),
            operation,
            request,
        })
    }

    /// Asks, once.
    pub async fn ask(&self) -> Result<TableAnswer, TableError> {
        let answer = self.service.call(self.operation, &self.request).await;
        let answer = answer.map_err(|error| self.failed(&error))?;
        read(&answer).ok_or_else(|| TableError {
            cause: format!("{} answers without a table", self.service.endpoint().name()),
            advice: Some(NOT_GLUE.to_owned()),
        })
    }

    fn failed(&self, error: &ServiceError) -> TableError {
        let advice = advice(error, &self.table, self.operation);
        TableError {
            cause: error.to_string(),
            advice,
        }
    }
}

const NOT_GLUE: &str = "what answers there is not Glue: check `glue_endpoint`";

fn read(answer: &Value) -> Option<TableAnswer> {
    let version = answer.get("TableVersion");
    let table = version.unwrap_or(answer).get("Table")?;
    let number = [version, Some(table)].into_iter().flatten();
    let mut number = number.filter_map(|of| of.get("VersionId")?.as_str());
    let columns = table.pointer("/StorageDescriptor/Columns");
    let columns = columns.cloned().unwrap_or_else(|| json!([]));
    Some(TableAnswer {
        document: json!({ "StorageDescriptor": { "Columns": columns } }).to_string(),
        version: number.next().map(str::to_owned),
        created_ms: table.get("CreateTime").and_then(milliseconds),
    })
}

/// A time, which AWS writes in seconds, with a fraction.
fn milliseconds(time: &Value) -> Option<i64> {
    let seconds = time.as_f64().filter(|seconds| seconds.is_finite())?;
    let milliseconds = std::time::Duration::try_from_secs_f64(seconds)
        .ok()?
        .as_millis();
    i64::try_from(milliseconds).ok()
}

/// What to mend, where something is.
fn advice(error: &ServiceError, table: &str, operation: &str) -> Option<String> {
    let failure = &error.failure;
    if failure.unsent {
        return Some(
            "no request could be made: check the credentials (`glue_profile`, those of the destination, the \
             environment), `glue_endpoint` and `glue_region`"
                .to_owned(),
        );
    }
    if failure.refuses_credentials() {
        let advice =
            "check the credentials: `glue_profile`, those of the destination, the environment";
        return Some(advice.to_owned());
    }
    match error.code() {
        "EntityNotFoundException" => Some(format!(
            "`glue_table` names {table}: make it, or check `glue_table`, `glue_version`, `glue_catalog_id` and \
             `glue_region`"
        )),
        "AccessDeniedException" | "AccessDenied" => Some(format!(
            "allow these credentials glue:{operation} on the table {table}, its database and the catalog"
        )),
        _ if failure.lacks_operation() => Some(NOT_GLUE.to_owned()),
        _ if failure.blames_request() => Some(
            "Glue refuses the request; its message says why. Check `glue_table`, `glue_catalog_id` and \
             `glue_region`"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_version_of_one_are_read_alike_and_partition_keys_are_no_columns() {
        let table = json!({ "Name": "hits", "VersionId": "7", "CreateTime": 1_796_000_000.25, "PartitionKeys": [{ "Name": "day", "Type": "string" }],
            "StorageDescriptor": { "Location": "s3://lake", "Columns": [{ "Name": "id", "Type": "bigint" }] } });
        let expected = TableAnswer {
            document: r#"{"StorageDescriptor":{"Columns":[{"Name":"id","Type":"bigint"}]}}"#
                .to_owned(),
            version: Some("7".to_owned()),
            created_ms: Some(1_796_000_000_250),
        };
        assert_eq!(read(&json!({ "Table": table })), Some(expected.clone()));
        let version = json!({ "TableVersion": { "VersionId": "7", "Table": table } });
        assert_eq!(read(&version), Some(expected));
        assert_eq!(read(&json!({ "TableList": [] })), None);
        for time in [json!(-1), json!("2026-11-30"), json!(1e300)] {
            let answer = read(&json!({ "Table": { "CreateTime": time } }));
            assert_eq!(answer.unwrap().created_ms, None, "{time}");
        }
    }

    #[test]
    fn what_is_to_be_mended_is_said_where_a_person_has_to() {
        let said = |status, code: &str| {
            let error = ServiceError::for_tests("GetTable", status, code);
            let advice = advice(&error, "web.hits", "GetTable");
            TableError {
                cause: error.to_string(),
                advice,
            }
            .to_string()
        };
        assert_eq!(
            said(400, "EntityNotFoundException"),
            "GetTable: EntityNotFoundException: no (`glue_table` names web.hits: make it, or check \
             `glue_table`, `glue_version`, `glue_catalog_id` and `glue_region`)"
        );
        assert_eq!(
            said(400, "AccessDeniedException"),
            "GetTable: AccessDeniedException: no (allow these credentials glue:GetTable on the table \
             web.hits, its database and the catalog)"
        );
        assert!(said(400, "ExpiredTokenException").contains("check the credentials"));
        assert!(said(404, "").contains("is not Glue"));
        assert!(said(400, "InvalidInputException").contains("refuses the request"));
        assert_eq!(
            said(500, "InternalServiceException"),
            "GetTable: InternalServiceException: no"
        );
    }
}
