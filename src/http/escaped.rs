//! Text within HTML.

use std::fmt::Write as _;

use crate::printable::steers;

/// Text as HTML shows it. What steers a terminal or turns the direction of writing is shown as its number.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                hidden if steers(hidden) => {
                    write!(formatter, "{}", hidden.escape_default())?;
                }
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}
