//! Lists of strings in a table, and tables that are one.

use std::borrow::Cow;

use toml::de::DeValue;

use super::super::diagnostic::SourceSpan;
use super::super::text::Text;
use super::Table;

impl Table<'_> {
    /// An array of strings; those that are none are reported and left out.
    pub fn list(&mut self, key: &'static str) -> Vec<Text> {
        let Some((_, value)) = self.entry(key) else {
            return Vec::new();
        };
        let DeValue::Array(elements) = value.get_ref() else {
            self.wrong_type(key, value, "an array of strings");
            return Vec::new();
        };
        let text = |element: &toml::Spanned<DeValue<'_>>| {
            let DeValue::String(decoded) = element.get_ref() else {
                self.wrong_type(key, element, "an array of strings");
                return None;
            };
            self.file.expand(decoded, element.span())
        };
        elements.iter().filter_map(text).collect()
    }

    /// Whether the value of a key is a table, where either may be; it does not become a known key.
    pub fn is_table(&self, key: &str) -> bool {
        let value = self.entries.get(key).map(toml::Spanned::get_ref);
        matches!(value, Some(DeValue::Table(_)))
    }

    /// Whether the value of a key is a list with nothing in it; it does not become a known key.
    pub fn is_empty_list(&self, key: &str) -> bool {
        let value = self.entries.get(key).map(toml::Spanned::get_ref);
        matches!(value, Some(DeValue::Array(elements)) if elements.is_empty())
    }

    /// Whether the value of a key is a string; it does not become a known key.
    pub fn is_string(&self, key: &str) -> bool {
        let value = self.entries.get(key).map(toml::Spanned::get_ref);
        matches!(value, Some(DeValue::String(_)))
    }

    /// All strings in this one, with their names and the places of these: its keys are the user's own.
    pub fn entries_of_text(self) -> Vec<(String, SourceSpan, Text)> {
        let text = |key: &str, value: &toml::Spanned<DeValue<'_>>| {
            let DeValue::String(decoded) = value.get_ref() else {
                self.wrong_type(key, value, "a string");
                return None;
            };
            self.file.expand(decoded, value.span())
        };
        let read = |(key, value): (&toml::Spanned<_>, _)| {
            let name: &Cow<'_, str> = key.get_ref();
            let place = self.file.place(key.span());
            Some((name.to_string(), place, text(name, value)?))
        };
        self.entries.iter().filter_map(read).collect()
    }
}
