//! Columns and their rules in the words of `DescribeDeliveryStream`.

use serde_json::{Map, Value, json};

use super::glue::GlueTable;
use super::{ColumnRules, Deserializer};

impl ColumnRules {
    /// `Deserializer` of the `InputFormatConfiguration`, with what is not Firehose's default.
    pub fn deserializer(&self) -> Value {
        let names = &self.names;
        let mut options = Map::new();
        if self.deserializer == Deserializer::Hive {
            if !self.times.formats.is_empty() {
                options.insert("TimestampFormats".into(), json!(self.times.formats));
            }
            return json!({ "HiveJsonSerDe": options });
        }
        if names.case_sensitive {
            options.insert("CaseInsensitive".into(), false.into());
        }
        if names.dots_to_underscores {
            options.insert("ConvertDotsInJsonKeysToUnderscores".into(), true.into());
        }
        if !names.json_keys.is_empty() {
            options.insert("ColumnToJsonKeyMappings".into(), json!(names.json_keys));
        }
        json!({ "OpenXJsonSerDe": options })
    }
}

impl GlueTable {
    /// `SchemaConfiguration`, beside the role and the region of the stream.
    pub fn configuration(&self, role: &str, region: &str) -> Value {
        let version = self.version.map(|version| version.to_string());
        let mut configuration = json!({
            "RoleARN": role,
            "DatabaseName": self.database,
            "TableName": self.name,
            "Region": self.region.as_deref().unwrap_or(region),
            "VersionId": version.as_deref().unwrap_or("LATEST"),
        });
        if let Some(catalog) = &self.catalog_id {
            configuration["CatalogId"] = catalog.as_str().into();
        }
        configuration
    }
}

#[cfg(test)]
mod tests {
    use super::super::glue::tests::table;
    use super::super::{NameRules, TimeRules};
    use super::*;

    #[test]
    fn options_have_the_names_that_they_have_at_firehose_where_they_are_not_its_defaults() {
        let text = |text: &str| text.to_owned();
        let usual = ColumnRules::default();
        assert_eq!(usual.deserializer(), json!({ "OpenXJsonSerDe": {} }));
        let openx = ColumnRules {
            names: NameRules {
                case_sensitive: true,
                dots_to_underscores: true,
                json_keys: [(text("ts"), text("timestamp"))].into(),
            },
            ..ColumnRules::default()
        };
        let expected = json!({ "OpenXJsonSerDe": {
            "CaseInsensitive": false,
            "ConvertDotsInJsonKeysToUnderscores": true,
            "ColumnToJsonKeyMappings": { "ts": "timestamp" },
        } });
        assert_eq!(openx.deserializer(), expected);
        let hive = ColumnRules {
            deserializer: Deserializer::Hive,
            times: TimeRules {
                formats: vec![text("dd/MM/yyyy"), text("millis")],
                ..TimeRules::default()
            },
            ..ColumnRules::default()
        };
        let expected = json!({ "HiveJsonSerDe": { "TimestampFormats": ["dd/MM/yyyy", "millis"] } });
        assert_eq!(hive.deserializer(), expected);
    }

    #[test]
    fn a_table_is_named_as_at_firehose() {
        let usual = table().configuration("role", "us-east-1");
        let expected = json!({ "RoleARN": "role", "DatabaseName": "web", "TableName": "hits",
            "Region": "us-east-1", "VersionId": "LATEST" });
        assert_eq!(usual, expected);
        let other = GlueTable {
            version: Some(3),
            catalog_id: Some("123456789012".into()),
            region: Some("eu-central-1".into()),
            ..table()
        };
        let expected = json!({ "RoleARN": "role", "DatabaseName": "web", "TableName": "hits",
            "Region": "eu-central-1", "VersionId": "3", "CatalogId": "123456789012" });
        assert_eq!(other.configuration("role", "us-east-1"), expected);
    }
}
