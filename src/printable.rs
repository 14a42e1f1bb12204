//! Text of others, made safe to look at: a character that would steer a terminal, or make a line look different from
//! what it is, is replaced by its number, and a password in a URL is left out.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

/// Whether a character does something to what stands around it.
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text, with each character that would steer a terminal replaced.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, steers, |character, into| {
        into.extend(character.escape_default());
    })
}

/// The same for text of several lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let steers_lines = |character| steers(character) && !matches!(character, '\n' | '\t');
    escaped(text, steers_lines, |character, into| {
        into.extend(character.escape_default());
    })
}

/// A text of JSON that means the same and in which nothing steers but the line ends between its tokens.
pub fn printable_json(text: &str) -> Cow<'_, str> {
    // Inside of strings JSON escapes the controls of ASCII by itself, all but one.
    let steers_json = |character: char| steers(character) && character >= '\u{7f}';
    escaped(text, steers_json, |character, into| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = fmt::Write::write_fmt(into, format_args!("\\u{unit:04x}"));
        }
    })
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else {
        return text.into();
    };
    let mut safe = text[..first].to_owned();
    for character in text[first..].chars() {
        if is_escaped(character) {
            escape(character, &mut safe);
        } else {
            safe.push(character);
        }
    }
    safe.into()
}

/// A word as a POSIX shell takes it, whatever is in it.
pub fn shell_word(word: &str) -> Cow<'_, str> {
    // Only NUL cannot be in one, nor in any argument or path.
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

/// Text without what stands before the `@` of a URL's host: a user's name and password. A URL's authority ends only
/// with what no user's name or password may have in it, so that more is left out rather than less.
pub fn without_password(text: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (before, behind) = rest.split_at(scheme + 3);
        let is_end = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '`' | '\\');
        let authority = &behind[..behind.find(is_end).unwrap_or(behind.len())];
        safe.push_str(before);
        rest = behind;
        if let Some(at) = authority.rfind('@') {
            safe.push('…');
            rest = &behind[at..];
        }
    }
    if safe.is_empty() {
        return text.into();
    }
    safe.push_str(rest);
    safe.into()
}

/// A writer to a terminal: nothing that is written steers it.
#[derive(Debug)]
pub struct Printable<W> {
    to: W,
    /// The beginning of a character of which the rest is to come.
    begun: Vec<u8>,
}

impl<W: Write> Printable<W> {
    /// A writer to `to`.
    pub const fn new(to: W) -> Self {
        Self {
            to,
            begun: Vec::new(),
        }
    }
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut safe = String::new();
        for chunk in all.utf8_chunks() {
            safe.push_str(&printable_lines(chunk.valid()));
            let is_begun = std::str::from_utf8(chunk.invalid())
                .is_err_and(|fault| fault.error_len().is_none());
            if is_begun && all.ends_with(chunk.invalid()) {
                chunk.invalid().clone_into(&mut self.begun);
            } else {
                for byte in chunk.invalid() {
                    let _ = fmt::Write::write_fmt(&mut safe, format_args!("\\x{byte:02x}"));
                }
            }
        }
        self.to.write_all(safe.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_is_shown_as_its_number() {
        assert_eq!(printable("é 漢 \"x\""), "é 漢 \"x\"");
        assert_eq!(
            printable("a\u{1b}[2J\nb\r\u{9b}1m\u{202e}c\u{7f}"),
            "a\\u{1b}[2J\\nb\\r\\u{9b}1m\\u{202e}c\\u{7f}"
        );
        assert_eq!(printable_lines("a\n\tb\u{7}"), "a\n\tb\\u{7}");
    }

    #[test]
    fn a_password_is_no_part_of_what_is_shown_of_a_url() {
        for (text, shown) in [
            ("http://host/a@b", "http://host/a@b"),
            ("at http://u:p@host:1/x, then", "at http://…@host:1/x, then"),
            ("\"https://u:p@ss@h\"", "\"https://…@h\""),
            (
                "s3://lake/who@where http://:p@h http://u@h",
                "s3://lake/who@where http://…@h http://…@h",
            ),
            ("http://u:hunter,2@host", "http://…@host"),
            ("'http://u:it's@host', then", "'http://…@host', then"),
            ("://", "://"),
            ("no@url", "no@url"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_steers_whatever_is_written_and_in_whatever_pieces(
            bytes in proptest::collection::vec(prop_oneof![
                any::<u8>(),
                proptest::sample::select(&b"\x1b[\x9b\xc2\xe2\x80\xae\n"[..]),
            ], 0..60),
            pieces in 1..9_usize,
        ) {
            let mut writer = Printable::new(Vec::new());
            for piece in bytes.chunks(pieces) {
                writer.write_all(piece).unwrap();
            }
            let shown = String::from_utf8(writer.to).unwrap();
            prop_assert!(!shown.contains(|c| steers(c) && c != '\n' && c != '\t'), "{shown:?}");
        }

        #[test]
        fn no_piece_of_a_password_survives_whatever_userinfo(
            // All that RFC 3986 allows there, and what others write.
            userinfo in "([a-zA-Z0-9._~!$&'()*+,;=:@|<>^{}é-]|%[0-9A-F]{2}){0,20}",
            before in "(a |see |'|\"|x=|s3://lake/k, |http://v@w:1/)?",
            behind in "(:9000)?(/p|\\?q|#f|, then|'|\"|`)?",
        ) {
            let shown = without_password(&format!("{before}http://{userinfo}@host{behind}")).into_owned();
            let before = without_password(&before).into_owned();
            prop_assert_eq!(shown, format!("{before}http://…@host{behind}"));
        }

        #[test]
        fn text_that_does_not_steer_stays_as_it_is(text in "[a-zé漢🙂 \n]{0,20}", pieces in 1..5_usize) {
            let mut writer = Printable::new(Vec::new());
            for piece in text.as_bytes().chunks(pieces) {
                writer.write_all(piece).unwrap();
            }
            prop_assert_eq!(String::from_utf8(writer.to).unwrap(), text);
        }

        #[test]
        fn a_shell_has_each_word_as_it_was(
            words in proptest::collection::vec(prop_oneof![
                "[ -~\n\té漢🙂]{0,12}",
                "[ '\"`$\\\\!*?~#&;|<>(){}=-]{0,12}",
            ], 1..20),
        ) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let quoted: Vec<_> = words.iter().map(|word| shell_word(word)).collect();
            let line = format!("printf '%s\\0' {}", quoted.join(" "));
            let said = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            prop_assert_eq!(said.split_terminator('\0').collect::<Vec<_>>(), words, "{}", line);
        }

        #[test]
        fn json_means_the_same(text in any::<String>()) {
            let value = serde_json::json!({ "k": text, "\u{202e}": "\u{9b}\u{7f}\u{e0041}" });
            let json = value.to_string();
            let shown = printable_json(&json);
            prop_assert!(!shown.contains(steers));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
