//! The columns in Avro's words, and the names that it takes.
//!
//! Every value may be null, and has null as its default, so that readers with another schema go on. A record is named by
//! its path: that of `a.b` is `b_record` in the namespace `row.a`, and stays so whatever columns come beside it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_avro::schema::SCHEMA_METADATA_KEY;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use serde_json::{Value, json};

/// The name of a row, and the namespace of what is in it.
const ROW: &str = "row";

/// Why Avro takes no such name, if it does not (specification, Names).
pub(super) fn refused(name: &str) -> Option<String> {
    let mut characters = name.chars();
    let is_start = |first: char| first.is_ascii_alphabetic() || first == '_';
    let is_name = characters.next().is_some_and(is_start)
        && characters.all(|next| next.is_ascii_alphanumeric() || next == '_');
    (!is_name).then(|| {
        "cannot be a name in Avro: such names have ASCII letters, digits and `_` only, and begin with no digit"
            .to_owned()
    })
}

/// The schema of rows with these columns.
pub(super) fn written(columns: &Fields) -> String {
    record(ROW, None, ROW, columns).to_string()
}

/// The columns with their schema in Avro's words, where the writer of values looks for it.
pub(super) fn with_words(columns: &Schema, written: &str) -> SchemaRef {
    let metadata = HashMap::from([(SCHEMA_METADATA_KEY.to_owned(), written.to_owned())]);
    Arc::new(Schema::new_with_metadata(
        columns.fields().clone(),
        metadata,
    ))
}

/// A record; `inside` is the namespace of what is in it.
fn record(name: &str, namespace: Option<&str>, inside: &str, fields: &Fields) -> Value {
    let fields = fields.iter().map(|field| {
        let kind = site(field, field.name(), inside);
        if field.is_nullable() {
            json!({ "name": field.name(), "type": kind, "default": null })
        } else {
            json!({ "name": field.name(), "type": kind })
        }
    });
    let mut record =
        json!({ "type": "record", "name": name, "fields": fields.collect::<Vec<_>>() });
    if let Some(namespace) = namespace {
        record["namespace"] = namespace.into();
    }
    record
}

/// What may stand in a place: a null or a value of the type, the latter alone where it is never null. A record in it is
/// named after `name`.
fn site(field: &Field, name: &str, namespace: &str) -> Value {
    let kind = kind(field.data_type(), name, namespace);
    if field.is_nullable() {
        json!(["null", kind])
    } else {
        kind
    }
}

fn kind(kind: &DataType, name: &str, namespace: &str) -> Value {
    match kind {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int".into(),
        DataType::Int64 => "long".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal128(precision, scale) => json!({
            "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale,
        }),
        DataType::Utf8 => "string".into(),
        DataType::Date32 => json!({ "type": "int", "logicalType": "date" }),
        DataType::Timestamp(..) => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        DataType::List(items) => {
            json!({ "type": "array", "items": site(items, name, namespace) })
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(entry) = entries.data_type() else {
                return Value::Null;
            };
            json!({ "type": "map", "values": site(&entry[1], name, namespace) })
        }
        DataType::Struct(fields) => {
            let inside = format!("{namespace}.{name}");
            record(&format!("{name}_record"), Some(namespace), &inside, fields)
        }
        // Binary: the columns have no others.
        _ => "bytes".into(),
    }
}
