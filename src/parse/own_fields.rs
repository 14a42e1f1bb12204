//! Logs whose fields the user chooses from a list that AWS has: read from `fields`, spelled as AWS does. AWS adds fields:
//! one that is not known here is a text.

use super::fields::{FIELDS_MAX, Field, NAME_MAX, Type};
use crate::config::{Table, choose};

/// The key.
pub(super) const KEY: &str = "fields";

/// What a kind of logs can have.
#[derive(Debug)]
pub(super) struct KnownFields {
    /// What they are, for messages: `VPC flow logs`.
    pub(super) logs: &'static str,
    /// The fields of a log that names none, in order.
    pub(super) default: &'static [(&'static str, Type)],
    /// What others have beside.
    pub(super) further: &'static [(&'static str, Type)],
    /// The column of a field, as AWS' tables name it.
    pub(super) column: fn(&str) -> String,
}

/// A field as AWS spells it, and as it comes out.
pub(super) type OwnField = (String, Field);

impl KnownFields {
    /// Reads the fields of a log, or takes the default. `None`: one has a fault.
    pub(super) fn read(&self, table: &mut Table<'_>) -> Option<Vec<OwnField>> {
        let is_there = table.has(KEY);
        let named = table.list(KEY);
        if !is_there {
            let default = self.default.iter();
            let default = default.map(|(name, kind)| self.field(name, *kind));
            return Some(default.collect());
        }
        let known = || self.default.iter().chain(self.further);
        let mut fields: Vec<OwnField> = Vec::new();
        for text in &named {
            let (name, place) = (text.value.as_str(), text.origin.place(None));
            if !is_name(name) {
                let message = format!("\"{name}\" cannot be the name of a field");
                let help = "names have letters, digits, `-`, `_` and `()`: \"srcaddr\", \"cs(User-Agent)\"";
                table.fault(place, message, Some(help));
                return None;
            }
            let kind = known().find(|(known, _)| *known == name);
            if kind.is_none() {
                let words: Vec<&str> = known().map(|(name, _)| *name).collect();
                let message = format!(
                    "\"{name}\" is no field of {} that is known here: it is taken as a text",
                    self.logs
                );
                let help = choose(name, &words, '"');
                // Without a word that is near it is no misspelling.
                let help = help.starts_with("did").then_some(help.as_str());
                table.doubt(place.clone(), message, help);
            }
            let field = self.field(name, kind.map_or(Type::Text, |(_, kind)| *kind));
            if fields.iter().any(|(_, other)| other.name == field.1.name) {
                let message = format!("`{KEY}` names \"{name}\" twice");
                table.fault(place, message, None);
                return None;
            }
            fields.push(field);
        }
        if fields.is_empty() || fields.len() > FIELDS_MAX {
            let message = format!("`{KEY}` names no field");
            let help = "name them in the order in which they stand in a line";
            table.fault(table.place_of(KEY), message, Some(help));
            return None;
        }
        Some(fields)
    }

    fn field(&self, name: &str, kind: Type) -> OwnField {
        (name.to_owned(), Field::new((self.column)(name), kind))
    }
}

/// Whether AWS may name a field so some day.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_()".contains(&byte);
    !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(is_allowed)
}
