//! Declared columns as text: what a config, a catalogue or an engine is given of them.

use std::fmt::{self, Write as _};

use super::schema::{self, Field, HiveType};
use super::{unknown_column, with_unknown};
use crate::config::{ColumnRules, ColumnSettings};
use crate::format::FormatFault;

/// Declared columns, as somebody else is to read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    fields: Vec<Field>,
}

/// Who reads them. Every style is one that [`Columns::parse`] reads, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `schema` of the config: names stand in backquotes where the parser needs it.
    Config,
    /// Hive and Athena: every name stands in backquotes, whatever words are reserved there.
    Hive,
    /// Spark: the same, with its types in capitals.
    Spark,
}

impl Columns {
    /// Reads columns in Hive's syntax; the fault points into the text.
    pub fn parse(text: &str) -> Result<Self, FormatFault> {
        let fields = schema::parse(text, |_| None)?;
        Ok(Self { fields })
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All columns of a format: those of its schema, and that of what no other takes.
    pub fn of_settings(settings: &ColumnSettings) -> Result<Self, FormatFault> {
        Ok(Self::parse(&settings.schema)?.with_unknown_of(&settings.rules))
    }

    /// These, and that of what no other takes, if the rules name one.
    #[must_use]
    pub fn with_unknown_of(self, rules: &ColumnRules) -> Self {
        Self {
            fields: with_unknown(self.fields, rules),
        }
    }

    /// These without the last one, where it is that of what no other takes.
    #[must_use]
    pub fn without_unknown_of(mut self, rules: &ColumnRules) -> Self {
        let unknown = unknown_column(rules);
        let is_it = |field: &Field| {
            unknown.as_ref().is_some_and(|unknown| {
                field.name.eq_ignore_ascii_case(&unknown.name) && field.kind == unknown.kind
            })
        };
        self.fields.pop_if(|field| is_it(field));
        self
    }

    pub(super) fn of(fields: Vec<Field>) -> Self {
        Self { fields }
    }

    /// Whether there are none; none can be declared so.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The names as they are declared, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Each column's name and type, in order.
    pub fn texts(&self, style: Style) -> Vec<(String, String)> {
        let text = |field: &Field| {
            let kind = TypeText(&field.kind, style);
            (quoted(&field.name, style), kind.to_string())
        };
        self.fields.iter().map(text).collect()
    }

    /// Those whose names `takes` takes, and inside them the fields of which that is so.
    #[must_use]
    pub fn with_names(mut self, takes: &dyn Fn(&str) -> bool) -> Self {
        keep_named(&mut self.fields, takes);
        self
    }

    /// The columns that `keep` says, by name.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.fields.retain(|field| keep(&field.name));
        self
    }

    /// As the config takes them, in one line.
    pub fn to_config(&self) -> String {
        let texts = self.texts(Style::Config);
        let columns: Vec<String> = texts
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        columns.join(", ")
    }

    /// A column a line, with commas between them.
    pub fn lines(&self, style: Style) -> String {
        let texts = self.texts(style);
        let lines: Vec<String> = texts
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        lines.join(",\n")
    }
}

fn keep_named(fields: &mut Vec<Field>, takes: &dyn Fn(&str) -> bool) {
    fields.retain_mut(|field| takes(&field.name) && has_named(&mut field.kind, takes));
}

/// Takes fields out that have other names; whether anything is left.
fn has_named(kind: &mut HiveType, takes: &dyn Fn(&str) -> bool) -> bool {
    match kind {
        HiveType::Struct(fields) => {
            keep_named(fields, takes);
            !fields.is_empty()
        }
        HiveType::Array(inner) | HiveType::Map(_, inner) => has_named(inner, takes),
        _ => true,
    }
}

/// The name as that reader takes it.
fn quoted(name: &str, style: Style) -> String {
    if style == Style::Config && !name.is_empty() && name.chars().all(schema::is_name_char) {
        return name.to_owned();
    }
    format!("`{}`", name.replace('`', "``"))
}

struct TypeText<'a>(&'a HiveType, Style);

impl fmt::Display for TypeText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, style) = *self;
        let mut word = |word: &str| match style {
            Style::Spark => formatter.write_str(&word.to_ascii_uppercase()),
            Style::Config | Style::Hive => formatter.write_str(word),
        };
        let is_bounded = matches!(kind, HiveType::Varchar(_) | HiveType::Char(_));
        if style == Style::Spark && is_bounded {
            // Readers are not given bounds: `DataFrameReader.schema` refuses them.
            return word(word_of(&HiveType::String));
        }
        word(word_of(kind))?;
        match kind {
            HiveType::Decimal { precision, scale } => write!(formatter, "({precision},{scale})"),
            HiveType::Varchar(most) | HiveType::Char(most) => write!(formatter, "({most})"),
            HiveType::Array(item) => write!(formatter, "<{}>", Self(item, style)),
            HiveType::Map(key, value) => {
                write!(formatter, "<{},{}>", Self(key, style), Self(value, style))
            }
            HiveType::Struct(fields) => {
                let mut between = '<';
                for field in fields {
                    let name = quoted(&field.name, style);
                    write!(formatter, "{between}{name}:{}", Self(&field.kind, style))?;
                    between = ',';
                }
                formatter.write_char('>')
            }
            _ => Ok(()),
        }
    }
}

const fn word_of(kind: &HiveType) -> &'static str {
    match kind {
        HiveType::Boolean => "boolean",
        HiveType::TinyInt => "tinyint",
        HiveType::SmallInt => "smallint",
        HiveType::Int => "int",
        HiveType::BigInt => "bigint",
        HiveType::Float => "float",
        HiveType::Double => "double",
        HiveType::Decimal { .. } => "decimal",
        HiveType::String => "string",
        HiveType::Varchar(_) => "varchar",
        HiveType::Char(_) => "char",
        HiveType::Binary => "binary",
        HiveType::Date => "date",
        HiveType::Timestamp => "timestamp",
        HiveType::Array(_) => "array",
        HiveType::Map(..) => "map",
        HiveType::Struct(_) => "struct",
    }
}

/// The type in the words of the config.
pub(super) fn type_text(kind: &HiveType) -> String {
    TypeText(kind, Style::Config).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Any type that can be declared.
    pub(in crate::format::columns) fn kind() -> impl Strategy<Value = HiveType> {
        let decimal = (1_u8..=38).prop_flat_map(|precision| {
            let scale = 0..=precision;
            scale.prop_map(move |scale| HiveType::Decimal { precision, scale })
        });
        let leaf = prop_oneof![
            prop::sample::select(vec![
                HiveType::Boolean,
                HiveType::TinyInt,
                HiveType::SmallInt,
                HiveType::Int,
                HiveType::BigInt,
                HiveType::Float,
                HiveType::Double,
                HiveType::String,
                HiveType::Binary,
                HiveType::Date,
                HiveType::Timestamp,
            ]),
            decimal,
            (1_u32..=65_535).prop_map(HiveType::Varchar),
            (1_u32..=255).prop_map(HiveType::Char),
        ];
        leaf.clone().prop_recursive(4, 24, 4, move |inner| {
            let map = (leaf.clone(), inner.clone());
            prop_oneof![
                inner
                    .clone()
                    .prop_map(|item| HiveType::Array(Box::new(item))),
                map.prop_map(|(key, value)| HiveType::Map(Box::new(key), Box::new(value))),
                fields(inner).prop_map(HiveType::Struct),
            ]
        })
    }

    /// Fields of such types, each with a name of its own.
    pub(in crate::format::columns) fn fields(
        kind: impl Strategy<Value = HiveType>,
    ) -> impl Strategy<Value = Vec<Field>> {
        let name = prop_oneof![
            "[a-z]{1,3}",
            "comment|order|date",
            "[a-zA-Z `.@$-]{1,4}",
            any::<String>()
        ];
        vec((name, kind), 1..5).prop_map(|fields| {
            let numbered = fields.into_iter().enumerate();
            // The number keeps names apart.
            let field = |(number, (name, kind))| Field {
                name: format!("{name}{number}"),
                kind,
            };
            numbered.map(field).collect()
        })
    }

    proptest! {
        #[test]
        fn every_style_is_read_back(fields in fields(kind())) {
            let columns = Columns::of(fields);
            for style in [Style::Config, Style::Hive] {
                let text = columns.lines(style);
                let parsed = Columns::parse(&text);
                prop_assert_eq!(parsed.as_ref(), Ok(&columns), "{}", text);
            }
            // It has no bounds of texts.
            let text = columns.lines(Style::Spark);
            let parsed = Columns::parse(&text).unwrap();
            prop_assert_eq!(parsed.lines(Style::Spark), text);
        }
    }

    #[test]
    fn names_are_quoted_for_who_reads_them() {
        let columns =
            Columns::parse("id int, `a b` struct<`x``y`:decimal(10,2), order:map<string,int>>");
        let columns = columns.unwrap();
        for (style, expected) in [
            (
                Style::Config,
                "id int,\n`a b` struct<`x``y`:decimal(10,2),order:map<string,int>>",
            ),
            (
                Style::Hive,
                "`id` int,\n`a b` struct<`x``y`:decimal(10,2),`order`:map<string,int>>",
            ),
            (
                Style::Spark,
                "`id` INT,\n`a b` STRUCT<`x``y`:DECIMAL(10,2),`order`:MAP<STRING,INT>>",
            ),
        ] {
            assert_eq!(columns.lines(style), expected);
        }
    }
}
