//! Lists of strings in a table.

use toml::de::DeValue;

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
}
