//! Columns of a document that others have written: a table of Glue's, an Avro schema. It becomes columns in Hive's syntax,
//! which are judged as those are that a person writes.
//!
//! | document | told by |
//! |---|---|
//! | `aws glue get-table`, its `Table` alone, or the `TableInput` of a template | `StorageDescriptor` |
//! | an Avro schema, whose top is a record | `"type": "record"` |
//! | what a schema registry answers | `schema`, which is an Avro schema as a text |

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Value;

use super::Field;
use super::parse::parse_columns;
use crate::format::FormatFault;

mod avro;

/// Whether a text is a document, not columns.
pub(super) fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// The columns of a document.
pub(super) fn parse(
    text: &str,
    refused: fn(&str) -> Option<String>,
) -> Result<Vec<Field>, FormatFault> {
    let document: Value = serde_json::from_str(text).map_err(|error| {
        let message = format!("the schema begins as a JSON document does, and is none: {error}");
        fault(Some(position(text, error.line(), error.column())), message)
    })?;
    let columns = columns(&document)?;
    let (mut hive, mut ends) = (String::new(), Vec::new());
    for Column { name, kind } in &columns {
        let _ = writeln!(hive, "`{}` {kind},", name.replace('`', "``"));
        ends.push(hive.len());
    }
    parse_columns(&hive, refused).map_err(|of_hive| {
        let at = of_hive.at.as_ref().map_or(0, |at| at.start);
        let index = ends.iter().position(|end| at < *end);
        let Some(Column { name, kind }) = index.and_then(|index| columns.get(index)) else {
            return FormatFault {
                at: None,
                ..of_hive
            };
        };
        FormatFault {
            at: only(text, kind).or_else(|| only(text, name)),
            message: format!("column {name}: {}", of_hive.message),
            help: of_hive.help,
        }
    })
}

/// A column as the document has it, its type in Hive's syntax.
struct Column {
    name: String,
    kind: String,
}

fn columns(document: &Value) -> Result<Vec<Column>, FormatFault> {
    let table = ["Table", "TableInput"]
        .iter()
        .find_map(|key| document.get(key));
    let table = table.unwrap_or(document);
    if let Some(storage) = table.get("StorageDescriptor") {
        return of_glue(storage);
    }
    match document.get("schema") {
        Some(Value::String(inner)) => {
            let inner: Value = serde_json::from_str(inner).map_err(|error| {
                fault(
                    None,
                    format!("`schema` of the document is no JSON: {error}"),
                )
            })?;
            avro::columns(&inner)
        }
        Some(inner) => avro::columns(inner),
        None => avro::columns(document),
    }
}

fn of_glue(storage: &Value) -> Result<Vec<Column>, FormatFault> {
    let columns = storage.get("Columns").and_then(Value::as_array);
    let columns = columns.map_or(&[][..], Vec::as_slice);
    let column = |column: &Value| {
        let text = |key: &str| column.get(key).and_then(Value::as_str).map(str::to_owned);
        let (name, kind) = text("Name").zip(text("Type")).ok_or_else(|| {
            let message = "a column of the table has no `Name` or no `Type`".to_owned();
            fault(None, message)
        })?;
        Ok(Column { name, kind })
    };
    if columns.is_empty() {
        let message = "the table has no columns: its `StorageDescriptor` names none".to_owned();
        return Err(fault(None, message));
    }
    columns.iter().map(column).collect()
}

fn fault(at: Option<Range<usize>>, message: String) -> FormatFault {
    FormatFault {
        at,
        message,
        help: None,
    }
}

/// Where a text stands in the document, if that is one place.
fn only(document: &str, text: &str) -> Option<Range<usize>> {
    let quoted = Value::from(text).to_string();
    let mut found = document.match_indices(&quoted);
    let (at, _) = found.next()?;
    found.next().is_none().then_some(at..at + quoted.len())
}

/// The byte at a line and a column, both counted from 1.
fn position(text: &str, line: usize, column: usize) -> Range<usize> {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let len = text[at..].chars().next().map_or(0, char::len_utf8);
    at..at + len
}

#[cfg(test)]
pub(super) mod tests {
    use crate::format::columns::Columns;

    pub(in crate::format::columns::schema) fn columns(text: &str) -> String {
        match Columns::parse(text) {
            Ok(columns) => columns.to_config(),
            Err(fault) => {
                let at = fault.at.map(|at| &text[at]);
                format!("{:?}: {}", at.unwrap_or_default(), fault.message)
            }
        }
    }

    /// As `aws glue get-table` prints it, shortened.
    const TABLE: &str = r#"{ "Table": { "Name": "clicks", "DatabaseName": "web",
      "StorageDescriptor": { "Columns": [
        { "Name": "id", "Type": "bigint", "Comment": "" },
        { "Name": "user", "Type": "struct<name:string,tags:array<string>>" },
        { "Name": "price", "Type": "decimal(10,2)" } ] },
      "PartitionKeys": [ { "Name": "day", "Type": "string" } ] } }"#;

    #[test]
    fn a_table_of_glue_has_the_columns_that_its_objects_have() {
        let expected =
            "id bigint, user struct<name:string,tags:array<string>>, price decimal(10,2)";
        assert_eq!(columns(TABLE), expected);
        let inner = TABLE
            .trim_start_matches("{ \"Table\": ")
            .trim_end_matches(" }");
        assert_eq!(columns(&format!("{inner} }}")), expected);
        assert_eq!(
            columns(&TABLE.replace("\"Table\"", "\"TableInput\"")),
            expected
        );
        let foreign = TABLE.replace("bigint", "set<int>");
        assert!(
            columns(&foreign).starts_with("\"\\\"set<int>\\\"\": column id: "),
            "{}",
            columns(&foreign)
        );
    }
}
