//! What a pattern can say of a place between two characters.

use super::class::Class;

/// A condition on a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Start,
    End,
    /// The end, or before a line feed that is the last character.
    LastLineEnd,
    LineStart,
    LineEnd,
    Word,
    NotWord,
}

impl Look {
    /// Whether it is true at a byte of a text, where a character begins or the text ends.
    pub(super) fn holds(self, text: &str, at: usize) -> bool {
        let (before, after) = (&text[..at], &text[at..]);
        let is_word = |char: Option<char>| match char {
            Some(char) if char.is_ascii() => char.is_ascii_alphanumeric() || char == '_',
            Some(char) => Class::is_word(char),
            None => false,
        };
        let is_edge = || is_word(before.chars().next_back()) != is_word(after.chars().next());
        match self {
            Self::Start => at == 0,
            Self::End => after.is_empty(),
            Self::LastLineEnd => matches!(after, "" | "\n"),
            // No line begins behind the last line feed.
            Self::LineStart => at == 0 || before.ends_with('\n') && !after.is_empty(),
            Self::LineEnd => after.is_empty() || after.starts_with('\n'),
            Self::Word => is_edge(),
            Self::NotWord => !is_edge(),
        }
    }
}
