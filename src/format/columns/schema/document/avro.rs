//! Columns of an Avro schema: its types are the Hive types that Hive itself reads them as. A union is what it has beside
//! `null`, if that is one type; a name stands for what it names, which may not contain itself.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::DEPTH_MAX;
use super::{Column, fault};
use crate::format::FormatFault;

/// Bytes of the types of a record: a name may stand for what has the same name twice in it, and so on.
const TYPES_MAX: usize = 1 << 20;

/// The columns of a record.
pub(super) fn columns(schema: &Value) -> Result<Vec<Column>, FormatFault> {
    let record = schema.as_object().filter(|record| is_record(record));
    let Some(record) = record else {
        let help = "Hive columns, the answer of `aws glue get-table`, or an Avro schema whose type is \"record\"";
        return Err(FormatFault {
            at: None,
            message: "the document is neither a table of Glue's nor an Avro record".to_owned(),
            help: Some(format!("allowed: {help}")),
        });
    };
    let mut avro = Avro::default();
    let space = avro.enter(record, "");
    avro.fields(record, &space, 1)
}

fn is_record(schema: &Map<String, Value>) -> bool {
    let kind = schema.get("type").and_then(Value::as_str);
    matches!(kind, Some("record" | "error"))
}

/// What has been named so far, by its whole name: the type in Hive's syntax, or none while it is being read.
#[derive(Default)]
struct Avro {
    named: HashMap<String, Option<String>>,
}

impl Avro {
    /// Notes the name of a type that is being read; the space of names in it.
    fn enter(&mut self, schema: &Map<String, Value>, space: &str) -> String {
        let whole = whole_name(schema, space);
        let inner = whole.rsplit_once('.').map_or("", |(space, _)| space);
        let inner = inner.to_owned();
        self.named.insert(whole, None);
        inner
    }

    fn fields(
        &mut self,
        record: &Map<String, Value>,
        space: &str,
        depth: usize,
    ) -> Result<Vec<Column>, FormatFault> {
        let fields = record.get("fields").and_then(Value::as_array);
        let fields = fields.map_or(&[][..], Vec::as_slice);
        let (mut columns, mut bytes) = (Vec::new(), 0);
        for field in fields {
            let name = field.get("name").and_then(Value::as_str);
            let (Some(name), Some(kind)) = (name, field.get("type")) else {
                let message = "a field of the Avro record has no `name` or no `type`".to_owned();
                return Err(fault(None, message));
            };
            let kind = self
                .kind(kind, space, depth)
                .map_err(|why| fault(None, format!("field {name}: {}", why.message)))?;
            bytes += kind.len();
            if bytes > TYPES_MAX {
                let message =
                    format!("with all its names resolved a type is larger than {TYPES_MAX} bytes");
                return Err(fault(None, message));
            }
            columns.push(Column {
                name: name.to_owned(),
                kind,
            });
        }
        if columns.is_empty() {
            return Err(fault(None, "the Avro record has no fields".to_owned()));
        }
        Ok(columns)
    }

    fn kind(&mut self, schema: &Value, space: &str, depth: usize) -> Result<String, FormatFault> {
        if depth > DEPTH_MAX {
            return Err(fault(None, format!("types nest at most {DEPTH_MAX} deep")));
        }
        match schema {
            Value::String(word) => self.word(word, space),
            Value::Array(branches) => self.union(branches, space, depth),
            Value::Object(schema) => self.complex(schema, space, depth),
            _ => Err(fault(None, format!("{schema} is no Avro type"))),
        }
    }

    fn word(&self, word: &str, space: &str) -> Result<String, FormatFault> {
        let primitive = match word {
            "boolean" => "boolean",
            "int" => "int",
            "long" => "bigint",
            "float" => "float",
            "double" => "double",
            "bytes" => "binary",
            "string" => "string",
            "null" => {
                let message = "is always null, for which there is no column".to_owned();
                return Err(fault(None, message));
            }
            name => {
                let in_space = self.named.get(&qualified(name, space));
                return match in_space.or_else(|| self.named.get(name)) {
                    Some(Some(kind)) => Ok(kind.clone()),
                    Some(None) => Err(fault(
                        None,
                        format!("{name} contains itself, which no column does"),
                    )),
                    None => Err(fault(None, format!("no type is named {name} before"))),
                };
            }
        };
        Ok(primitive.to_owned())
    }

    fn union(
        &mut self,
        branches: &[Value],
        space: &str,
        depth: usize,
    ) -> Result<String, FormatFault> {
        let mut others = branches
            .iter()
            .filter(|branch| branch.as_str() != Some("null"));
        match (others.next(), others.next()) {
            (Some(only), None) => self.kind(only, space, depth),
            (None, _) => self.word("null", space),
            _ => {
                let message = "is a union of several types, and a column has one: only `null` may stand beside it";
                Err(fault(None, message.to_owned()))
            }
        }
    }

    fn complex(
        &mut self,
        schema: &Map<String, Value>,
        space: &str,
        depth: usize,
    ) -> Result<String, FormatFault> {
        if let Some(kind) = logical(schema) {
            if schema.contains_key("name") {
                self.named
                    .insert(whole_name(schema, space), Some(kind.clone()));
            }
            return Ok(kind);
        }
        let part = |key: &str| {
            let missing = || fault(None, format!("an Avro type has no `{key}`"));
            schema.get(key).ok_or_else(missing)
        };
        let kind = part("type")?;
        match kind.as_str() {
            Some("array") => Ok(format!(
                "array<{}>",
                self.kind(part("items")?, space, depth + 1)?
            )),
            Some("map") => Ok(format!(
                "map<string,{}>",
                self.kind(part("values")?, space, depth + 1)?
            )),
            Some("record" | "error") => {
                let inner = self.enter(schema, space);
                let fields = self.fields(schema, &inner, depth + 1)?;
                let fields: Vec<String> = fields
                    .iter()
                    .map(|Column { name, kind }| format!("`{}`:{kind}", name.replace('`', "``")))
                    .collect();
                let kind = format!("struct<{}>", fields.join(","));
                self.named
                    .insert(whole_name(schema, space), Some(kind.clone()));
                Ok(kind)
            }
            Some(word @ ("enum" | "fixed")) => {
                let kind = if word == "enum" { "string" } else { "binary" };
                self.named
                    .insert(whole_name(schema, space), Some(kind.to_owned()));
                Ok(kind.to_owned())
            }
            // A type may be wrapped, with properties of its own beside it.
            _ => self.kind(kind, space, depth + 1),
        }
    }
}

/// The Hive type of a logical type; unknown ones mean nothing, as Avro has it.
fn logical(schema: &Map<String, Value>) -> Option<String> {
    let number = |key: &str| schema.get(key).and_then(Value::as_u64);
    match schema.get("logicalType")?.as_str()? {
        "decimal" => Some(format!(
            "decimal({},{})",
            number("precision")?,
            number("scale").unwrap_or(0)
        )),
        "date" => Some("date".to_owned()),
        "timestamp-millis"
        | "timestamp-micros"
        | "timestamp-nanos"
        | "local-timestamp-millis"
        | "local-timestamp-micros"
        | "local-timestamp-nanos" => Some("timestamp".to_owned()),
        "uuid" => Some("string".to_owned()),
        _ => None,
    }
}

fn whole_name(schema: &Map<String, Value>, space: &str) -> String {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    let name = text("name").unwrap_or_default();
    qualified(name, text("namespace").unwrap_or(space))
}

fn qualified(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() {
        return name.to_owned();
    }
    format!("{space}.{name}")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::super::parse::parse;
    use super::super::tests::columns;

    #[test]
    fn an_avro_schema_is_what_hive_reads_it_as() {
        let record = |fields: &str| {
            format!(r#"{{"type":"record","name":"e","namespace":"a.b","fields":[{fields}]}}"#)
        };
        for (kind, expected) in [
            (r#""long""#, "bigint"),
            (r#""bytes""#, "binary"),
            (r#"["null","int"]"#, "int"),
            (
                r#"[{"type":"array","items":["string","null"]},"null"]"#,
                "array<string>",
            ),
            (r#"{"type":"map","values":"double"}"#, "map<string,double>"),
            (r#"{"type":"enum","name":"k","symbols":["A"]}"#, "string"),
            (r#"{"type":"fixed","name":"h","size":16}"#, "binary"),
            (
                r#"{"type":"long","logicalType":"timestamp-millis"}"#,
                "timestamp",
            ),
            (r#"{"type":"int","logicalType":"date"}"#, "date"),
            (r#"{"type":"int","logicalType":"time-millis"}"#, "int"),
            (r#"{"type":"string","avro.java.string":"String"}"#, "string"),
            (
                r#"{"type":{"type":"string","logicalType":"uuid"}}"#,
                "string",
            ),
            (
                r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
                "decimal(9,2)",
            ),
            (
                r#"{"type":"record","name":"g","fields":[{"name":"lat","type":"float"},{"name":"at","type":["null",{"type":"record","name":"p","fields":[{"name":"x","type":"int"}]}]}]}"#,
                "struct<lat:float,at:struct<x:int>>",
            ),
        ] {
            let text = record(&format!(r#"{{"name":"v","type":{kind}}}"#));
            assert_eq!(columns(&text), format!("v {expected}"));
            // As a registry answers.
            let answer = serde_json::json!({ "subject": "e-value", "id": 7, "schema": text });
            assert_eq!(columns(&answer.to_string()), format!("v {expected}"));
        }
        let twice = record(
            r#"{"name":"a","type":{"type":"record","name":"p","fields":[{"name":"x","type":"int"}]}},{"name":"b","type":"p"},{"name":"c","type":"a.b.p"}"#,
        );
        assert_eq!(
            columns(&twice),
            "a struct<x:int>, b struct<x:int>, c struct<x:int>"
        );
    }

    #[test]
    fn what_is_no_columns_says_why() {
        for (text, why) in [
            (
                r#"{"type":"record","name":"e","fields":[{"name":"v","type":["int","string"]}]}"#,
                "field v: is a union of several types",
            ),
            (
                r#"{"type":"record","name":"e","fields":[{"name":"v","type":"null"}]}"#,
                "field v: is always null",
            ),
            (
                r#"{"type":"record","name":"e","fields":[{"name":"v","type":"e"}]}"#,
                "field v: e contains itself",
            ),
            (
                r#"{"type":"record","name":"e","fields":[{"name":"v","type":"long2"}]}"#,
                "no type is named long2",
            ),
            (
                r#"{"type":"record","name":"e","fields":[]}"#,
                "has no fields",
            ),
            (
                r#"{"type":"enum","name":"e","symbols":[]}"#,
                "neither a table of Glue's nor an Avro record",
            ),
            (
                r#"{"Table":{"StorageDescriptor":{"Columns":[]}}}"#,
                "the table has no columns",
            ),
            (
                r#"{"Table":{"StorageDescriptor":{"Columns":[{"Name":"a"}]}}}"#,
                "has no `Name` or no `Type`",
            ),
            (
                r#"{"type":"record","name":"e","fields":[{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":99}}]}"#,
                "column v: ",
            ),
            ("[1]", "neither a table"),
        ] {
            let told = columns(text);
            assert!(told.contains(why), "{text}: {told}");
        }
        let broken = "{\n  \"type\": \"record\" \"name\"\n}";
        assert_eq!(columns(broken).split(':').next(), Some("\"\\\"\""));
        let deep = "{\"type\":\"array\",\"items\":".repeat(100) + "\"int\"" + &"}".repeat(100);
        let text =
            format!(r#"{{"type":"record","name":"e","fields":[{{"name":"v","type":{deep}}}]}}"#);
        assert!(parse(&text, |_| None).is_err());
        // Each type has the one before twice in it.
        let mut inner = r#""int""#.to_owned();
        let mut fields = String::new();
        for level in 0..28 {
            let _ = write!(
                fields,
                r#"{{"name":"f{level}","type":{{"type":"record","name":"r{level}","fields":[{{"name":"a","type":{inner}}},{{"name":"b","type":{inner}}}]}}}},"#
            );
            inner = format!("\"r{level}\"");
        }
        let text = format!(
            r#"{{"type":"record","name":"e","fields":[{}]}}"#,
            fields.trim_end_matches(',')
        );
        assert!(
            columns(&text).contains("larger than"),
            "{}",
            columns(&text).len()
        );
    }
}
