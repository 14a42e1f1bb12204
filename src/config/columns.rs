//! What the config says of declared columns, whichever format writes them.

use std::collections::BTreeMap;
use std::time::Duration;

mod aws;
pub(super) mod glue;
pub(super) mod read;
mod sample;
mod table;
mod times;

use glue::GlueTable;

/// What stands in place of columns that are to be learned.
const INFER: &str = "infer";
/// What stands in place of those that are a table's.
const TABLE: &str = "glue_table";

/// The column of what no other takes, where the config names none.
const UNKNOWN_COLUMN: &str = "_unknown";

/// Declared columns, and how records become rows of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSettings {
    /// Hive column syntax: `name type, name type …`; a word where the config does not say what they are.
    pub schema: String,
    /// What they are to be learned from. No batch is opened before they are.
    pub sample: Option<Sample>,
    /// Those of them that are known, where they are to be learned: in Hive's syntax.
    pub known: Option<String>,
    /// The table whose columns they are. No batch is opened before it was read once.
    pub table: Option<GlueTable>,
    /// They were learned, or read of a table: objects name them by their hash.
    pub learned: bool,
    /// How records become rows.
    pub rules: ColumnRules,
}

/// How much of a stream's first records says what columns it has: what comes first ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// So many records.
    pub records: u64,
    /// So many bytes of them.
    pub bytes: u64,
    /// So long after the first one.
    pub time: Duration,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            records: 10_000,
            bytes: 8 << 20,
            time: Duration::from_secs(10),
        }
    }
}

impl ColumnSettings {
    /// Columns in Hive's syntax, and else what is so where the config says nothing.
    pub fn of(schema: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            sample: None,
            known: None,
            table: None,
            learned: false,
            rules: ColumnRules::default(),
        }
    }

    /// Whether what they are is not known from the config: they are learned, or a table's.
    pub const fn come_later(&self) -> bool {
        self.sample.is_some() || self.table.is_some()
    }

    /// The same with columns that were learned or read, in Hive's syntax. Fields that come of a sample have no order that
    /// means anything, those of a table have one.
    #[must_use]
    pub fn with_learned(&self, schema: &str) -> Self {
        let is_chance = self.sample.is_some();
        Self {
            schema: schema.to_owned(),
            sample: None,
            known: None,
            table: None,
            learned: true,
            rules: ColumnRules {
                structs_by_name: self.rules.structs_by_name || is_chance,
                ..self.rules.clone()
            },
        }
    }
}

/// How records become rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnRules {
    /// What becomes of members that no column takes.
    pub unknown: UnknownFields,
    /// What becomes of values that do not fit the type of their column.
    pub misfits: Misfits,
    /// Which member is which column's.
    pub names: NameRules,
    /// Which of Firehose's deserializers it is read as.
    pub deserializer: Deserializer,
    /// Whether a struct takes no array, whose items would be its fields by their places: where fields are learned, their
    /// order is chance ([`ColumnSettings::with_learned`]). With Hive's deserializer it never does.
    pub structs_by_name: bool,
    /// How times are read.
    pub times: TimeRules,
}

/// What becomes of members that no column takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// They are left out of the row.
    #[default]
    Ignore,
    /// The record fails.
    Fail,
    /// They are kept as one JSON text in the column of this name.
    Keep(String),
}

/// Which of Firehose's deserializers records are read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deserializer {
    /// That of `OpenX`, which makes a value fit where it can.
    #[default]
    OpenX,
    /// That of Hive, which does not.
    Hive,
}

/// How times are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeRules {
    /// Patterns of texts in their order; [`MILLIS`] says that numbers are milliseconds.
    pub formats: Vec<String>,
    /// What numbers count, where it does not follow from their magnitude.
    pub unit: Option<NumberUnit>,
    /// Whether times are cut to milliseconds. It is the format that says so of itself, when it is compiled.
    pub whole_millis: bool,
}

/// Firehose's word among patterns for numbers of milliseconds.
pub const MILLIS: &str = "millis";

impl TimeRules {
    /// Whether the patterns say what numbers count.
    fn has_millis(&self) -> bool {
        self.formats.iter().any(|format| format == MILLIS)
    }

    /// What numbers count, if anything says it.
    pub fn unit_said(&self) -> Option<NumberUnit> {
        self.unit
            .or_else(|| self.has_millis().then_some(NumberUnit::Millis))
    }
}

/// What a number counts since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// What is said of a column by its name, whose case does not count: where columns are learned, or are a table's, the
/// user cannot know how they will be spelled.
fn named<'a, T>(of_columns: &'a BTreeMap<String, T>, column: &str) -> Option<&'a T> {
    of_columns.get(column).or_else(|| {
        let mut entries = of_columns.iter();
        let found = entries.find(|(name, _)| name.eq_ignore_ascii_case(column));
        found.map(|(_, said)| said)
    })
}

/// What becomes of a value that does not fit the type of its column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Misfit {
    /// The record fails.
    #[default]
    Fail,
    /// The column is null.
    Null,
}

/// The same by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfits {
    /// Of all columns that are not named.
    pub default: Misfit,
    /// Of those that are, by their names as they are declared; as the user writes them where columns are not known yet.
    pub columns: BTreeMap<String, Misfit>,
}

impl Misfits {
    /// Those of a column.
    pub fn of(&self, column: &str) -> Misfit {
        named(&self.columns, column)
            .copied()
            .unwrap_or(self.default)
    }
}

/// Which member of a record is which column's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// Whether `Id` is another name than `id`.
    pub case_sensitive: bool,
    /// Whether `a.b` in a record is the column or field `a_b`.
    pub dots_to_underscores: bool,
    /// Columns whose members have other names than they, and those; columns are named as in [`Misfits::columns`].
    pub json_keys: BTreeMap<String, String>,
}

impl NameRules {
    /// The name of a column's member.
    pub fn json_key<'a>(&'a self, column: &'a str) -> &'a str {
        named(&self.json_keys, column).map_or(column, String::as_str)
    }

    /// Whether two names of members are one.
    pub fn are_one(&self, one: &str, other: &str) -> bool {
        one == other || (!self.case_sensitive && one.eq_ignore_ascii_case(other))
    }
}
