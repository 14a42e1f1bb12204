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

use firehose_transform::json::{self, Value};
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
    separator: String,
    arrays: Arrays,
}

impl Transform for Flatten {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Failure> {
        Ok(Self {
            separator: config.separator,
            arrays: config.arrays,
        })
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        let text = json::text(&record.data)?;
        let Value::Object(members) = json::open(text)? else {
            return Err("the record is no JSON object".into());
        };
        let mut flat = Flat {
            options: self,
            name: String::new(),
            names: Vec::with_capacity(2 * members.len()),
            out: Vec::with_capacity(text.len() + text.len() / 2),
        };
        flat.out.push(b'{');
        flat.object(members, 1)?;
        flat.out.push(b'}');
        flat.check_names()?;
        Ok(Outcome::ok(flat.out))
    }
}

export!(Flatten);

/// A record on its way to one level.
struct Flat<'a> {
    options: &'a Flatten,
    /// The name of the field that is looked at.
    name: String,
    /// Where the names of all fields lie in `out`.
    names: Vec<Range<usize>>,
    out: Vec<u8>,
}

impl Flat<'_> {
    fn object(&mut self, members: Vec<(json::Key<'_>, &str)>, depth: usize) -> Result<(), Failure> {
        for (key, value) in members {
            self.item(&key.name(), value, depth)?;
        }
        Ok(())
    }

    /// A member or an element, whose name is that of what holds it and its own.
    fn item(&mut self, name: &str, value: &str, depth: usize) -> Result<(), Failure> {
        let outer = self.name.len();
        if depth > 1 {
            self.name.push_str(&self.options.separator);
        }
        self.name.push_str(name);
        self.value(value, depth)?;
        self.name.truncate(outer);
        Ok(())
    }

    fn value(&mut self, value: &str, depth: usize) -> Result<(), Failure> {
        let opens = match value.as_bytes().first() {
            Some(b'{') => true,
            Some(b'[') => self.options.arrays == Arrays::Index,
            _ => false,
        };
        if opens && depth == json::MAX_DEPTH {
            return Err(format!("nested deeper than {} levels", json::MAX_DEPTH).into());
        }
        match opens.then(|| json::open(value)).transpose()? {
            Some(Value::Object(members)) if !members.is_empty() => {
                self.object(members, depth + 1)?;
            }
            Some(Value::Array(elements)) if !elements.is_empty() => {
                for (index, element) in elements.into_iter().enumerate() {
                    self.item(&index.to_string(), element, depth + 1)?;
                }
            }
            _ => {
                if !self.names.is_empty() {
                    self.out.push(b',');
                }
                let start = self.out.len();
                json::write_string(&self.name, &mut self.out);
                self.names.push(start..self.out.len());
                self.out.push(b':');
                self.out.extend_from_slice(value.as_bytes());
            }
        }
        Ok(())
    }

    /// Two fields that end up with one name would be one field to whoever reads the record.
    fn check_names(&mut self) -> Result<(), Failure> {
        let name = |range: &Range<usize>| &self.out[range.clone()];
        self.names.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        match self
            .names
            .windows(2)
            .find(|pair| name(&pair[0]) == name(&pair[1]))
        {
            None => Ok(()),
            Some(pair) => Err(format!(
                "two fields become {}",
                String::from_utf8_lossy(name(&pair[0]))
            )
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::Flatten>("pairs");
    }
}
