//! What a pattern can say of a place between two characters.

/// A condition on a place; words are of ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Start,
    End,
    LineStart,
    LineEnd,
    /// Lines that end with `\r`, `\n` or both.
    LineStartCrlf,
    LineEndCrlf,
    Word,
    NotWord,
    WordStart,
    WordEnd,
    WordStartHalf,
    WordEndHalf,
}

impl Look {
    /// Whether it is true at a byte of a text.
    pub(super) fn holds(self, text: &str, at: usize) -> bool {
        let text = text.as_bytes();
        let before = at.checked_sub(1).map(|before| text[before]);
        let after = text.get(at).copied();
        let is_word = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match self {
            Self::Start => before.is_none(),
            Self::End => after.is_none(),
            Self::LineStart => matches!(before, None | Some(b'\n')),
            Self::LineEnd => matches!(after, None | Some(b'\n')),
            Self::LineStartCrlf => {
                matches!(before, None | Some(b'\n'))
                    || before == Some(b'\r') && after != Some(b'\n')
            }
            Self::LineEndCrlf => {
                matches!(after, None | Some(b'\r')) || after == Some(b'\n') && before != Some(b'\r')
            }
            Self::Word => is_word(before) != is_word(after),
            Self::NotWord => is_word(before) == is_word(after),
            Self::WordStart => !is_word(before) && is_word(after),
            Self::WordEnd => is_word(before) && !is_word(after),
            Self::WordStartHalf => !is_word(before),
            Self::WordEndHalf => !is_word(after),
        }
    }
}
