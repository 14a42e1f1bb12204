//! The keys of declared columns, read. Names of columns are held against the schema here, where each has its place in the
//! file; what is wrong in the schema itself is told when the format is compiled.

use std::collections::BTreeMap;

use super::super::diagnostic::SourceSpan;
use super::super::format::FormatTable;
use super::super::text::Text;
use super::super::words;
use super::{
    ColumnRules, ColumnSettings, Deserializer, INFER, Misfit, Misfits, NameRules, TABLE,
    UNKNOWN_COLUMN, UnknownFields, named,
};

/// The keys that [`FormatTable::columns`] asks for: those of every format that has a schema.
pub(in crate::config) const KEYS: &[&str] = &[
    "schema",
    "schema_file",
    "glue_table",
    "glue_version",
    "glue_refresh",
    "glue_catalog_id",
    "glue_region",
    "glue_endpoint",
    "glue_profile",
    "infer_records",
    "infer_bytes",
    "infer_time",
    "infer_columns",
    "on_unknown_field",
    "unknown_column",
    "on_conversion_error",
    "case_insensitive",
    "dots_to_underscores",
    "column_to_json_key",
    "deserializer",
    "timestamp_formats",
    "timestamp_unit",
];

/// Those of them that are options of one of Firehose's deserializers.
const OF_OPENX: &[&str] = &[
    "case_insensitive",
    "dots_to_underscores",
    "column_to_json_key",
];

/// Bytes of a column's name, and of a member's.
const NAME_MAX: usize = 255;

const MISFITS: [(&str, Misfit); 2] = [("fail", Misfit::Fail), ("null", Misfit::Null)];

/// The names of a schema's columns, where it has no fault and the format takes them.
pub type ColumnNames = fn(&str) -> Option<Vec<String>>;

impl FormatTable<'_, '_> {
    /// Declared columns: `schema`, or the text of `schema_file`, or a table's, and how records become rows of them. What is in the text is
    /// judged when the format is compiled; `names` reads it so far that the other keys can be.
    pub fn columns(&mut self, names: ColumnNames) -> Option<ColumnSettings> {
        let schema = self.schema();
        let table = self.glue_table();
        let sample = self.sample(schema.as_deref());
        let known = self.known_columns();
        let columns = schema.as_deref().and_then(names);
        let columns = columns.as_deref();
        let known_names = known.as_deref().and_then(names);
        let unknown = self.unknown_fields(columns.or(known_names.as_deref()), names);
        let misfits = self.misfits(columns);
        let deserializer = self.deserializer();
        let names = match deserializer {
            Some(Deserializer::Hive) => {
                self.only_with(OF_OPENX, "`deserializer = \"openx\"`");
                Some(NameRules::default())
            }
            _ => self.names(columns),
        };
        let times = self.times();
        if sample.is_some() && unknown == Some(UnknownFields::Fail) {
            let key = "on_unknown_field";
            let message = format!("`{key} = \"fail\"` is for a schema that is written down");
            let help =
                "a field that is null everywhere has no column yet: write \"keep\", or remove it";
            self.fault(self.place_of(key), message, Some(help));
        }
        Some(ColumnSettings {
            schema: match (&sample, &table) {
                (Some(_), _) => INFER.to_owned(),
                (None, Some(_)) => TABLE.to_owned(),
                (None, None) => schema?,
            },
            sample,
            known,
            table,
            learned: false,
            rules: ColumnRules {
                unknown: unknown?,
                misfits: misfits?,
                names: names?,
                deserializer: deserializer?,
                structs_by_name: false,
                times: times?,
            },
        })
    }

    fn unknown_fields(
        &mut self,
        columns: Option<&[String]>,
        names: ColumnNames,
    ) -> Option<UnknownFields> {
        let words = ["ignore", "fail", "keep"].map(|word| (word, word));
        let Some(word) = self.word_or("on_unknown_field", &words, "ignore") else {
            self.accept(&["unknown_column"]);
            return None;
        };
        let unknown = match word {
            "fail" => UnknownFields::Fail,
            "keep" => {
                let column = self.unknown_column(columns, names)?;
                return Some(UnknownFields::Keep(column));
            }
            _ => UnknownFields::Ignore,
        };
        self.only_with(&["unknown_column"], "`on_unknown_field = \"keep\"`");
        Some(unknown)
    }

    fn unknown_column(&mut self, columns: Option<&[String]>, names: ColumnNames) -> Option<String> {
        let key = "unknown_column";
        let named = self.name_text(key, NAME_MAX);
        let (name, place) = if self.has(key) {
            (named?, self.place_of(key))
        } else {
            let place = self.place_of("on_unknown_field");
            (UNKNOWN_COLUMN.to_owned(), place)
        };
        let declared = columns.unwrap_or_default().iter();
        let mut declared = declared.filter(|column| column.eq_ignore_ascii_case(&name));
        if let Some(column) = declared.next() {
            let message = format!("`{column}` is a column of the schema already");
            let help = "name another one for what no column takes: unknown_column = \"…\"";
            self.fault(place, message, Some(help));
            return None;
        }
        if names(&format!("`{}` string", name.replace('`', "``"))).is_none() {
            let message = format!("`{name}` cannot be a column of this format");
            self.fault(place, message, None);
            return None;
        }
        Some(name)
    }

    fn misfits(&mut self, columns: Option<&[String]>) -> Option<Misfits> {
        let key = "on_conversion_error";
        if !self.is_table(key) {
            let default = self.word_or(key, &MISFITS, Misfit::Fail)?;
            let columns = BTreeMap::new();
            return Some(Misfits { default, columns });
        }
        let (mut default, mut of_columns) = (Misfit::Fail, BTreeMap::new());
        let mut is_sound = true;
        for (name, place, text) in self.table.table(key)?.entries_of_text() {
            let misfit = self.misfit(&text);
            let column = match name.as_str() {
                "default" => None,
                _ => Some(self.declared(&name, place.clone(), columns)),
            };
            match (column, misfit) {
                (None, Some(misfit)) => default = misfit,
                (Some(Some(column)), Some(misfit)) if named(&of_columns, &column).is_none() => {
                    of_columns.insert(column, misfit);
                }
                (Some(Some(column)), Some(_)) => {
                    self.twice(key, &column, place);
                    is_sound = false;
                }
                _ => is_sound = false,
            }
        }
        // What says the same as the default is the same.
        of_columns.retain(|_, misfit| *misfit != default);
        let columns = of_columns;
        is_sound.then_some(Misfits { default, columns })
    }

    fn misfit(&self, text: &Text) -> Option<Misfit> {
        let known = MISFITS.iter().find(|(word, _)| *word == text.value);
        if known.is_none() {
            let message = format!(
                "unknown word \"{}\" for a column of `on_conversion_error`",
                text.value
            );
            let help = words::choose(&text.value, &MISFITS.map(|(word, _)| word), '"');
            self.fault(text.origin.place(None), message, Some(&help));
        }
        known.map(|(_, misfit)| *misfit)
    }

    /// The column that a key of the user's own names, as it is declared. Where the schema has a fault, any may be.
    fn declared(
        &self,
        name: &str,
        place: SourceSpan,
        columns: Option<&[String]>,
    ) -> Option<String> {
        let Some(columns) = columns else {
            return Some(name.to_owned());
        };
        let found = columns
            .iter()
            .find(|column| column.eq_ignore_ascii_case(name));
        if found.is_none() {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let message = format!("the schema has no column `{name}`");
            let help = words::choose(name, &columns, '`');
            self.fault(place, message, Some(&help));
        }
        found.cloned()
    }

    /// A table of the user's has a column under two spellings, of which only one could count.
    fn twice(&self, table: &str, column: &str, place: SourceSpan) {
        let message = format!("`{table}` names the column `{column}` twice");
        let help = "here names of columns are one whatever their case: keep one of the two";
        self.fault(place, message, Some(help));
    }

    fn names(&mut self, columns: Option<&[String]>) -> Option<NameRules> {
        let flag = |table: &mut Self, key, default| {
            let is_there = table.has(key);
            table
                .boolean(key)
                .or_else(|| (!is_there).then_some(default))
        };
        let case_insensitive = flag(self, "case_insensitive", true);
        let dots_to_underscores = flag(self, "dots_to_underscores", false);
        let key = "column_to_json_key";
        let has_keys = self.has(key);
        let keys = self.table.table(key);
        let mut is_sound = case_insensitive.is_some() && dots_to_underscores.is_some();
        let mut rules = NameRules {
            case_sensitive: !case_insensitive.unwrap_or(true),
            dots_to_underscores: dots_to_underscores.unwrap_or_default(),
            json_keys: BTreeMap::new(),
        };
        if !has_keys {
            return is_sound.then_some(rules);
        }
        let mut places = BTreeMap::new();
        for (name, place, text) in keys?.entries_of_text() {
            let at = text.origin.place(None);
            let column = self.declared(&name, place.clone(), columns);
            if text.value.is_empty() || text.value.len() > NAME_MAX {
                let message = format!("the name of a member has 1 to {NAME_MAX} bytes");
                self.fault(at, message, None);
                is_sound = false;
            } else if let Some(column) = &column
                && named(&rules.json_keys, column).is_some()
            {
                self.twice(key, column, place);
                is_sound = false;
            } else if let Some(column) = column {
                places.insert(column.clone(), at);
                rules.json_keys.insert(column, text.value);
            } else {
                is_sound = false;
            }
        }
        let is_apart = self.are_apart(&rules, &places, columns.unwrap_or_default());
        // What says that a column has its own name says nothing.
        rules.json_keys.retain(|column, key| column != key);
        (is_sound && is_apart).then_some(rules)
    }

    /// Whether no two columns want one member.
    fn are_apart(
        &self,
        rules: &NameRules,
        places: &BTreeMap<String, SourceSpan>,
        columns: &[String],
    ) -> bool {
        let mut are_apart = true;
        for (column, place) in places {
            let key = rules.json_key(column);
            let others = columns.iter().filter(|other| *other != column);
            // Of two that are both named here the later one is told.
            let mut others = others.filter(|other| !places.contains_key(*other) || *other < column);
            if let Some(other) = others.find(|other| rules.are_one(rules.json_key(other), key)) {
                let message = format!("`{key}` is the member of the column `{other}`, too");
                let help = format!("name another member for `{column}`, or one for `{other}`");
                self.fault(place.clone(), message, Some(&help));
                are_apart = false;
            }
        }
        are_apart
    }
}
