//! The durable form of declared columns: the part of a row that all formats with columns have in common.

use std::collections::BTreeMap;
use std::ops::Not;

use serde::{Deserialize, Serialize};

use crate::config::{
    ColumnRules, ColumnSettings, Deserializer, Misfit, Misfits, NameRules, NumberUnit, TimeRules,
    UnknownFields,
};
use crate::format::durable::{Durable, durable, is_default};

/// Flat among the keys of a format's row.
#[derive(Serialize, Deserialize)]
pub(in crate::format) struct ColumnsRow {
    schema: String,
    #[serde(default, skip_serializing_if = "Not::not")]
    learned: bool,
    /// [`ColumnRules::structs_by_name`], where it is not what `learned` is: rows from before it was written, whose structs took
    /// no arrays, are read as what they were where their columns had been learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    structs_by_name: Option<bool>,
    #[serde(default, skip_serializing_if = "is_default")]
    rules: RulesRow,
}

// No batch is opened before columns that are learned or a table's are known, and then what they came from does not
// matter.
impl Durable for ColumnsRow {
    type Settings = ColumnSettings;

    fn of(settings: &ColumnSettings) -> Self {
        let ColumnSettings {
            schema,
            learned,
            rules,
            sample: _,
            known: _,
            table: _,
        } = settings;
        let by_name = rules.structs_by_name;
        Self {
            schema: schema.clone(),
            learned: *learned,
            structs_by_name: (by_name != *learned).then_some(by_name),
            rules: RulesRow::of(rules),
        }
    }

    fn settings(self) -> ColumnSettings {
        ColumnSettings {
            learned: self.learned,
            rules: ColumnRules {
                structs_by_name: self.structs_by_name.unwrap_or(self.learned),
                ..self.rules.settings()
            },
            ..ColumnSettings::of(self.schema)
        }
    }
}

/// How records become rows.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::format) struct RulesRow {
    #[serde(skip_serializing_if = "is_default")]
    unknown: UnknownRow,
    #[serde(skip_serializing_if = "is_default")]
    misfits: MisfitsRow,
    #[serde(skip_serializing_if = "is_default")]
    names: NamesRow,
    #[serde(skip_serializing_if = "is_default")]
    deserializer: DeserializerRow,
    #[serde(skip_serializing_if = "is_default")]
    times: TimesRow,
}

// Whether structs go by name alone stands beside the rules: what is usual follows from where the columns come from.
durable!(RulesRow of ColumnRules { unknown, misfits, names, deserializer, times } without { structs_by_name });

#[derive(Default, PartialEq, Serialize, Deserialize)]
enum UnknownRow {
    #[default]
    Ignore,
    Fail,
    Keep(String),
}

durable!(UnknownRow of enum UnknownFields { Ignore, Fail, Keep(column) });

#[derive(Default, PartialEq, Serialize, Deserialize)]
enum DeserializerRow {
    #[default]
    OpenX,
    Hive,
}

durable!(DeserializerRow of enum Deserializer { OpenX, Hive });

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct TimesRow {
    #[serde(skip_serializing_if = "is_default")]
    formats: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    unit: Option<UnitRow>,
}

// The format says it of itself, whenever it is compiled.
durable!(TimesRow of TimeRules { formats, unit } without { whole_millis });

#[derive(PartialEq, Serialize, Deserialize)]
enum UnitRow {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

durable!(UnitRow of enum NumberUnit { Seconds, Millis, Micros, Nanos });

#[derive(Default, PartialEq, Serialize, Deserialize)]
enum MisfitRow {
    #[default]
    Fail,
    Null,
}

durable!(MisfitRow of enum Misfit { Fail, Null });

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct MisfitsRow {
    #[serde(skip_serializing_if = "is_default")]
    default: MisfitRow,
    #[serde(skip_serializing_if = "is_default")]
    columns: BTreeMap<String, MisfitRow>,
}

durable!(MisfitsRow of Misfits { default, columns });

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct NamesRow {
    #[serde(skip_serializing_if = "is_default")]
    case_sensitive: bool,
    #[serde(skip_serializing_if = "is_default")]
    dots_to_underscores: bool,
    #[serde(skip_serializing_if = "is_default")]
    json_keys: BTreeMap<String, String>,
}

durable!(NamesRow of NameRules { case_sensitive, dots_to_underscores, json_keys });
