//! Columns as readers of Hive's classes find them in objects of a format that has fewer types than Hive.

use super::declared::Columns;
use super::schema::{Field, HiveType};
use crate::config::{FormatSettings, Reading};

impl Columns {
    /// The settings of a format with these columns, among which is that of what no other takes.
    pub fn of_format(&self, format: &FormatSettings) -> FormatSettings {
        let Some(settings) = format.columns() else {
            return format.clone();
        };
        let declared = self.clone().without_unknown_of(&settings.rules);
        format.of_columns(&declared.to_config())
    }

    /// These columns with the types that readers find in the objects.
    #[must_use]
    pub fn found(self, reading: Reading) -> Self {
        let found: fn(&HiveType) -> HiveType = match reading {
            Reading::ByName => return self,
            Reading::BySchema => of_schema,
            Reading::ByPlace => |_: &HiveType| HiveType::String,
        };
        Self::of(
            self.fields()
                .iter()
                .map(|field| of_field(field, found))
                .collect(),
        )
    }
}

fn of_field(field: &Field, found: fn(&HiveType) -> HiveType) -> Field {
    Field {
        name: field.name.clone(),
        kind: found(&field.kind),
    }
}

/// A schema of the objects' own has two sizes of integers, no bounds of texts, times as microseconds, and names as keys.
fn of_schema(kind: &HiveType) -> HiveType {
    match kind {
        HiveType::TinyInt | HiveType::SmallInt => HiveType::Int,
        HiveType::Varchar(_) | HiveType::Char(_) => HiveType::String,
        HiveType::Timestamp => HiveType::BigInt,
        HiveType::Array(item) => HiveType::Array(Box::new(of_schema(item))),
        HiveType::Map(key, value) => match of_schema(key) {
            HiveType::String => {
                let value = of_schema(value);
                HiveType::Map(Box::new(HiveType::String), Box::new(value))
            }
            key => {
                let part = |name: &str, kind| Field {
                    name: name.to_owned(),
                    kind,
                };
                let entry = vec![part("key", key), part("value", of_schema(value))];
                HiveType::Array(Box::new(HiveType::Struct(entry)))
            }
        },
        HiveType::Struct(fields) => {
            let fields = fields.iter().map(|field| of_field(field, of_schema));
            HiveType::Struct(fields.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_objects_lack_are_those_that_readers_find_there() {
        let columns = "a tinyint, b map<int,smallint>, c map<varchar(3),timestamp>, d array<struct<t:timestamp,x:date>>, e decimal(5,1)";
        for (reading, expected) in [
            (Reading::ByName, columns),
            (
                Reading::BySchema,
                "a int, b array<struct<key:int,value:int>>, c map<string,bigint>, d array<struct<t:bigint,x:date>>, e decimal(5,1)",
            ),
            (
                Reading::ByPlace,
                "a string, b string, c string, d string, e string",
            ),
        ] {
            let found = Columns::parse(columns).unwrap().found(reading);
            assert_eq!(found.to_config(), expected);
        }
    }
}
