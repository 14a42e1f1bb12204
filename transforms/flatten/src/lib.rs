//! Nested JSON objects become one level of fields: `{"user":{"id":1}}` becomes `{"user_id":1}`. Values
//! keep their text and their order.
//!
//! ```toml
//! [stream.clicks.transform.config]
//! separator = "_"        # the default
//! arrays = "keep"        # the default: an array stays one value; "index" makes a field of each element
//! ```
//!
//! An empty object or, with `"index"`, an empty array stays what it is. A record that is no JSON object,
//! is nested deeper than 128 levels, or would have one field twice, fails.

use std::ops::Range;

use firehose_transform::json::{self, Key, Reader};
use firehose_transform::{Failure, Outcome, Record, Transform, export};
use serde::Deserialize;

/// The `[config]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "underscore")]
    separator: String,
    #[serde(default)]
    arrays: Arrays,
}

fn underscore() -> String {
    "_".to_owned()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Arrays {
    #[default]
    Keep,
    Index,
}

/// The transform.
pub struct Flatten {
    /// As it stands in a JSON string.
    separator: Vec<u8>,
    arrays: Arrays,
}

impl Transform for Flatten {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Failure> {
        Ok(Self {
            separator: escaped(&config.separator),
            arrays: config.arrays,
        })
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        let text = json::text(&record.data)?;
        let mut reader = Reader::new(text);
        let is_object = reader.peek() == Some(b'{');
        let mut flat = Flat {
            separator: &self.separator,
            arrays: self.arrays,
            name: Vec::with_capacity(64),
            names: Vec::with_capacity(32),
            seen: [0; 16],
            is_suspicious: false,
            out: Vec::with_capacity(text.len() + text.len() / 2),
        };
        flat.out.push(b'{');
        flat.value(&mut reader, 0)?;
        reader.end()?;
        if !is_object {
            return Err("the record is no JSON object".into());
        }
        flat.out.push(b'}');
        flat.check_names()?;
        Ok(Outcome::ok(flat.out))
    }
}

export!(Flatten);

/// A record on its way to one level.
struct Flat<'a> {
    separator: &'a [u8],
    arrays: Arrays,
    /// The name of the field that is looked at, as a JSON string without its quotes.
    name: Vec<u8>,
    /// Where the names of all fields lie in `out`.
    names: Vec<Range<usize>>,
    /// One bit for each hash of a name,
    seen: [u64; 16],
    /// and whether two names have had the same one: they may be the same name.
    is_suspicious: bool,
    out: Vec<u8>,
}

impl Flat<'_> {
    /// Steps over a value. The record itself is at depth 0 and has no name.
    fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Failure> {
        let opened = match reader.peek() {
            Some(open @ b'{') => open,
            Some(open @ b'[') if self.arrays == Arrays::Index => open,
            _ => {
                self.write(reader.value()?);
                return Ok(());
            }
        };
        if depth == json::MAX_DEPTH {
            return Err(format!("nested deeper than {} levels", json::MAX_DEPTH).into());
        }
        let outer = self.name.len();
        if depth > 0 {
            self.name.extend_from_slice(self.separator);
        }
        let inner = self.name.len();
        let mut is_empty = true;
        if opened == b'{' {
            reader.members(|reader, key| {
                is_empty = false;
                self.name.truncate(inner);
                self.push_key(key);
                self.value(reader, depth + 1)
            })?;
        } else {
            reader.elements(|reader, index| {
                is_empty = false;
                self.name.truncate(inner);
                self.name.extend_from_slice(index.to_string().as_bytes());
                self.value(reader, depth + 1)
            })?;
        }
        self.name.truncate(outer);
        if is_empty && depth > 0 {
            self.write(if opened == b'{' { "{}" } else { "[]" });
        }
        Ok(())
    }

    /// A key stands in the text as it would be written, unless it has escapes: they may be others.
    fn push_key(&mut self, key: Key<'_>) {
        let raw = key.raw();
        if raw.contains('\\') {
            self.name.extend_from_slice(&escaped(&key.name()));
        } else {
            self.name
                .extend_from_slice(&raw.as_bytes()[1..raw.len() - 1]);
        }
    }

    /// Writes a field.
    fn write(&mut self, value: &str) {
        if !self.names.is_empty() {
            self.out.push(b',');
        }
        self.out.push(b'"');
        let start = self.out.len();
        self.out.extend_from_slice(&self.name);
        self.names.push(start..self.out.len());
        let hash = hash(&self.name);
        let (word, bit) = (&mut self.seen[usize::from(hash >> 6)], 1 << (hash & 63));
        self.is_suspicious |= *word & bit != 0;
        *word |= bit;
        self.out.extend_from_slice(b"\":");
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Two fields that end up with one name would be one field to whoever reads the record.
    fn check_names(&mut self) -> Result<(), Failure> {
        if !self.is_suspicious {
            return Ok(());
        }
        let name = |range: &Range<usize>| &self.out[range.clone()];
        self.names.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        match self
            .names
            .windows(2)
            .find(|pair| name(&pair[0]) == name(&pair[1]))
        {
            None => Ok(()),
            Some(pair) => Err(format!(
                "two fields become \"{}\"",
                String::from_utf8_lossy(name(&pair[0]))
            )
            .into()),
        }
    }
}

/// A text as a JSON string, without its quotes.
fn escaped(text: &str) -> Vec<u8> {
    let mut string = Vec::with_capacity(text.len() + 2);
    json::write_string(text, &mut string);
    string.pop();
    string.split_off(1)
}

/// Ten bits that tell most names apart, from eight bytes at a time.
fn hash(name: &[u8]) -> u16 {
    let mix = |hash: u64, part: u64| {
        let mixed = (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    };
    let (parts, rest) = name.as_chunks::<8>();
    let hash = parts.iter().fold(name.len() as u64, |hash, part| {
        mix(hash, u64::from_le_bytes(*part))
    });
    let hash = rest
        .iter()
        .fold(hash, |hash, byte| mix(hash, u64::from(*byte)));
    (hash & 0x3ff) as u16
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::Flatten>("pairs");
    }
}
