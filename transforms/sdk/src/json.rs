//! JSON without a tree: a text is opened one level at a time, and what lies deeper stays the text
//! that it was. So fields keep their order and numbers their digits (`1.0`, 2^53 + 1), and what a
//! transform does not look at is copied and never built.

mod reader;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Deserializer;

use crate::Failure;

pub use reader::Reader;

/// How many levels a transform should go down: beyond it a text is hostile, and the guest's stack
/// small.
pub const MAX_DEPTH: usize = 128;

/// One level of a JSON text.
#[derive(Debug)]
pub enum Value<'a> {
    /// An object's members, in their order; a key that is there twice is here twice.
    Object(Vec<(Key<'a>, &'a str)>),
    /// An array's elements.
    Array(Vec<&'a str>),
    /// A string, a number, `true`, `false` or `null`.
    Scalar(&'a str),
}

/// Opens a JSON text. It is checked to the end.
pub fn open(text: &str) -> Result<Value<'_>, Failure> {
    let mut reader = Reader::new(text);
    let value = match reader.peek() {
        Some(b'{') => {
            let mut members = Vec::with_capacity(8);
            reader.members(|reader, key| {
                members.push((key, reader.value()?));
                Ok(())
            })?;
            Value::Object(members)
        }
        Some(b'[') => {
            let mut elements = Vec::with_capacity(8);
            reader.elements(|reader, _| {
                elements.push(reader.value()?);
                Ok(())
            })?;
            Value::Array(elements)
        }
        _ => Value::Scalar(reader.value()?),
    };
    reader.end()?;
    Ok(value)
}

/// The JSON text that a record is.
pub fn text(data: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(data).map_err(|_| "the record is not UTF-8".into())
}

/// The text of a JSON string without quotes and escapes; any other JSON text as it is.
pub fn plain(text: &str) -> Cow<'_, str> {
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        // What cannot be read was no JSON string: the caller did not get it from `open`.
        Some(_) => serde_json::from_str(text).map_or(Cow::Borrowed(text), Cow::Owned),
        None => Cow::Borrowed(text),
    }
}

/// Appends a text as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// A key as it stands in its object, quotes and all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    /// As it stands in the text.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// What it means: `"\u0065mail"` is `email`.
    pub fn name(self) -> Cow<'a, str> {
        plain(self.0)
    }
}

/// A way to a field: in a `[config]` table either `"user.email"` or, for keys with dots in them,
/// `["user", "e.mail"]`. `*` is any key or any element, a number also the element at that index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// Its steps.
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// The text of the field that it leads to in a JSON text; of several the first.
    pub fn find<'a>(&self, text: &'a str) -> Result<Option<&'a str>, Failure> {
        find(&self.0, text)
    }
}

fn find<'a>(steps: &[String], text: &'a str) -> Result<Option<&'a str>, Failure> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok(Some(text));
    };
    match open(text)? {
        Value::Object(members) => {
            for (key, value) in members {
                if is_step(step, key)
                    && let Some(found) = find(rest, value)?
                {
                    return Ok(Some(found));
                }
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.into_iter().enumerate() {
                if is_index(step, index)
                    && let Some(found) = find(rest, value)?
                {
                    return Ok(Some(found));
                }
            }
        }
        Value::Scalar(_) => {}
    }
    Ok(None)
}

/// Whether a path's step leads into the member with this key.
pub fn is_step(step: &str, key: Key<'_>) -> bool {
    step == "*" || key.name() == step
}

/// Whether a path's step leads into the element at this index.
pub fn is_index(step: &str, index: usize) -> bool {
    step == "*" || step.parse() == Ok(index)
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a path is a text like \"user.email\" or a list of keys"
        )]
        enum Written {
            Dotted(String),
            Steps(Vec<String>),
        }
        let steps: Vec<String> = match Written::deserialize(deserializer)? {
            Written::Dotted(path) => path.split('.').map(str::to_owned).collect(),
            Written::Steps(steps) => steps,
        };
        if steps.iter().any(String::is_empty) || steps.is_empty() {
            return Err(serde::de::Error::custom("a path has an empty step"));
        }
        if steps.len() > MAX_DEPTH {
            return Err(serde::de::Error::custom("a path has more than 128 steps"));
        }
        Ok(Self(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_keeps_its_texts() {
        let text = r#" {"b": 1.0, "\u0061" : [1, {"x":2}], "b":"\n" } "#;
        let Value::Object(members) = open(text).expect("valid") else {
            panic!("an object");
        };
        let seen: Vec<_> = members
            .iter()
            .map(|(k, v)| (k.raw(), k.name().into_owned(), *v))
            .collect();
        assert_eq!(
            seen,
            [
                (r#""b""#, "b".to_owned(), "1.0"),
                (r#""\u0061""#, "a".to_owned(), r#"[1, {"x":2}]"#),
                (r#""b""#, "b".to_owned(), r#""\n""#),
            ]
        );
        assert!(open("{} x").is_err());
        assert!(open(r#"{"a":[}"#).is_err());
        assert!(open("").is_err());
    }

    #[test]
    fn what_is_json_is_what_serde_json_takes() {
        let parts = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "\n",
            "\"",
            "\"a\"",
            "\"\\n\"",
            "\"\\u00e9\"",
            "\"\\u00g0\"",
            "\"\\x\"",
            "\"12345678\"",
            "\"1234567\\\"\"",
            "\"\u{1}\"",
            "\"é\u{1f980}\"",
            "0",
            "-",
            "-0",
            "01",
            "1.",
            "1.5",
            ".5",
            "1e5",
            "1E+05",
            "1e",
            "-1.0e-1",
            "true",
            "false",
            "null",
            "nul",
            "\"k\":",
            "{}",
            "[]",
            "[1,2]",
            "{\"k\":[{}]}",
        ];
        let mut random = 1_u64;
        let mut valid = 0;
        for _ in 0..300_000 {
            let mut text = String::new();
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let mut draw = random >> 8;
            for _ in 0..=draw % 7 {
                draw /= 7;
                text.push_str(parts[usize::try_from(draw % 36).expect("small")]);
                draw /= 36;
            }
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            assert_eq!(open(&text).is_ok(), theirs, "{text}");
            valid += u32::from(theirs);
        }
        assert!(valid > 1_000, "{valid}");
    }

    #[test]
    fn hostile_depth_is_refused() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(open(&nested(MAX_DEPTH)).is_ok());
        assert!(open(&nested(MAX_DEPTH + 2)).is_err());
    }

    #[test]
    fn paths_find_fields() {
        let path = |json| serde_json::from_str::<Path>(json).expect("a path");
        let text = r#"{"a":{"b.c":[{"d":1},{"d":2,"e":3}]}}"#;
        assert_eq!(path(r#"["a","b.c","*","e"]"#).find(text), Ok(Some("3")));
        assert_eq!(path(r#"["a","b.c","1","d"]"#).find(text), Ok(Some("2")));
        assert_eq!(path(r#""a.b.c""#).find(text), Ok(None));
        assert!(serde_json::from_str::<Path>(r#""a..b""#).is_err());
    }
}
