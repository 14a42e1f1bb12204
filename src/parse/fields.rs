//! Fields of a line: their names, what their texts are read as, and the JSON object that they make.

use std::collections::HashSet;

use super::port::{Fault, quoted};
use crate::config::{Table, Text, choose};

/// Fields that a line may have.
pub(super) const FIELDS_MAX: usize = 1024;
/// Bytes of a field's name.
pub(super) const NAME_MAX: usize = 256;

/// What the text of a field is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    /// A whole number of any length.
    Int,
    Float,
    Bool,
}

/// The types, as the config and messages name them.
pub(super) const TYPES: [(&str, Type); 4] = [
    ("string", Type::Text),
    ("int", Type::Int),
    ("float", Type::Float),
    ("bool", Type::Bool),
];

impl Type {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        let mut types = TYPES.iter();
        let word = types.find(|(_, kind)| *kind == self);
        word.map_or("", |(word, _)| word)
    }
}

/// A named field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// The name as it begins a member: quotes, escapes and colon.
    pub(super) member: Vec<u8>,
    pub(super) kind: Type,
    /// Whether an empty text is a null.
    pub(super) or_null: bool,
}

impl Field {
    pub(super) fn new(name: impl Into<String>, kind: Type) -> Self {
        let name = name.into();
        let mut member = Vec::new();
        push_text(&name, &mut member);
        member.push(b':');
        Self {
            name,
            member,
            kind,
            or_null: false,
        }
    }

    /// Reads one that is written as `name`, `name:type` or `name:type?`.
    pub(super) fn read(table: &Table<'_>, text: &Text) -> Option<Self> {
        let (name, kind) = match text.value.rsplit_once(':') {
            Some((name, kind)) => (name, kind),
            None => (text.value.as_str(), "string"),
        };
        let word = kind.strip_suffix('?').unwrap_or(kind);
        if name.is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
            let message = format!("\"{}\" names no field", text.value);
            let help = format!(
                "write \"name\" or \"name:type\"; a name has 1 to {NAME_MAX} bytes and no control character"
            );
            table.fault(text.origin.place(None), message, Some(&help));
            return None;
        }
        let Some((_, found)) = TYPES.iter().find(|(type_word, _)| *type_word == word) else {
            let words = TYPES.map(|(word, _)| word);
            let message = format!("unknown type \"{word}\" of the field `{name}`");
            let at = name.len() + 1..text.value.len();
            let place = text.origin.place(Some(at));
            table.fault(place, message, Some(&choose(word, &words, '"')));
            return None;
        };
        Some(Self {
            or_null: kind != word,
            ..Self::new(name, *found)
        })
    }

    /// Reads a list of them, which names none twice. `None`: one has a fault.
    pub(super) fn read_all(table: &mut Table<'_>, key: &'static str) -> Option<Vec<Self>> {
        let texts = table.list(key);
        if texts.len() > FIELDS_MAX {
            let message = format!("`{key}` names more than {FIELDS_MAX} fields");
            table.fault(table.place_of(key), message, None);
            return None;
        }
        let mut names = HashSet::new();
        let mut fields = Vec::with_capacity(texts.len());
        for text in &texts {
            let field = Self::read(table, text)?;
            if !names.insert(field.name.clone()) {
                let message = format!("`{key}` names the field `{}` twice", field.name);
                let help = "a JSON object has each name once";
                table.fault(text.origin.place(None), message, Some(help));
                return None;
            }
            fields.push(field);
        }
        Some(fields)
    }

    /// Appends the member of a text.
    pub(super) fn push(&self, text: &str, out: &mut ObjectWriter<'_>) -> Result<(), Fault> {
        if self.or_null && text.is_empty() {
            self.push_null(out);
            return Ok(());
        }
        out.member(&self.member);
        let fits = match self.kind {
            Type::Text => {
                push_text(text, out.text);
                true
            }
            Type::Int => push_number(text, false, out.text),
            Type::Float => push_number(text, true, out.text),
            Type::Bool => {
                out.text.extend_from_slice(text.as_bytes());
                matches!(text, "true" | "false")
            }
        };
        if fits {
            return Ok(());
        }
        let word = self.kind.word();
        let found = quoted(text);
        Err(Fault::mismatch(format!(
            "field `{}`: expected {word}, found {found}",
            self.name
        )))
    }

    /// Appends the member of a null.
    pub(super) fn push_null(&self, out: &mut ObjectWriter<'_>) {
        out.member(&self.member);
        out.text.extend_from_slice(b"null");
    }
}

/// A JSON object that is being written: whoever begins it ends it.
pub(super) struct ObjectWriter<'o> {
    pub(super) text: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    pub(super) fn begin(text: &'o mut Vec<u8>) -> Self {
        text.push(b'{');
        Self {
            text,
            is_empty: true,
        }
    }

    /// Appends the name of a member and its colon, as [`name_of`] has them.
    pub(super) fn member(&mut self, name: &[u8]) {
        if !self.is_empty {
            self.text.push(b',');
        }
        self.is_empty = false;
        self.text.extend_from_slice(name);
    }

    pub(super) fn end(self) {
        self.text.push(b'}');
    }
}

/// Appends a text as a JSON string.
pub(super) fn push_text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"\\u00",
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        out.extend_from_slice(escape);
        if escape.len() == 4 {
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
        start = at + 1;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

/// Appends a number as JSON knows it: it loses a `+` and leading zeros, and gets one before a
/// point. Whether it is one.
pub(super) fn push_number(text: &str, may_be_float: bool, out: &mut Vec<u8>) -> bool {
    let (sign, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (&b"-"[..], rest),
        [b'+', rest @ ..] | rest => (&b""[..], rest),
    };
    let digits = |bytes: &[u8]| {
        bytes
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let whole = digits(rest);
    let mut end = whole;
    if may_be_float && rest.get(end) == Some(&b'.') {
        let behind = digits(&rest[end + 1..]);
        if behind == 0 {
            return false;
        }
        end += 1 + behind;
    }
    if end == 0 {
        return false;
    }
    if may_be_float && matches!(rest.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        let power = digits(&rest[end + 1 + signed..]);
        if power == 0 {
            return false;
        }
        end += 1 + signed + power;
    }
    // JSON has no infinity, which readers would take a number beyond all others for.
    let is_finite = || text.parse().is_ok_and(f64::is_finite);
    if end != rest.len() || !is_finite() {
        return false;
    }
    let zeros = rest[..whole.saturating_sub(1)]
        .iter()
        .take_while(|byte| **byte == b'0');
    let zeros = zeros.count();
    out.extend_from_slice(sign);
    if whole == 0 {
        out.push(b'0');
    }
    out.extend_from_slice(&rest[zeros..]);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str, may_be_float: bool) -> Option<String> {
        let mut out = Vec::new();
        push_number(text, may_be_float, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_lose_what_json_does_not_know_and_no_digit() {
        for (text, int, float) in [
            ("0", Some("0"), Some("0")),
            ("-007", Some("-7"), Some("-7")),
            ("+00", Some("0"), Some("0")),
            (
                "12345678901234567890123",
                Some("12345678901234567890123"),
                Some("12345678901234567890123"),
            ),
            ("01.500", None, Some("1.500")),
            ("-.5e+07", None, Some("-0.5e+07")),
            ("1E9", None, Some("1E9")),
            ("", None, None),
            ("-", None, None),
            ("e5", None, None),
            ("1.", None, None),
            ("1e", None, None),
            ("1e308", None, Some("1e308")),
            ("-1e309", None, None),
            ("0x1", None, None),
            ("1 ", None, None),
            ("NaN", None, None),
        ] {
            assert_eq!(number(text, false).as_deref(), int, "{text}");
            assert_eq!(number(text, true).as_deref(), float, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_for_a_number_is_the_same_number_in_json(text in "[-+]?[0-9.eE+-]{0,12}") {
            if let Some(written) = number(&text, true) {
                let value = |text: &str| text.parse::<f64>().unwrap();
                prop_assert!(firehose_json::is_one(written.as_bytes()), "{written}");
                prop_assert!(serde_json::from_str::<f64>(&written).is_ok(), "{written}");
                prop_assert_eq!(value(&written).to_bits(), value(&text).to_bits());
            }
        }

        #[test]
        fn texts_are_read_as_they_were(text: String) {
            let mut out = Vec::new();
            push_text(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
