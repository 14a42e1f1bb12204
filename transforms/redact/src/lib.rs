//! Fields of a JSON record are hashed, masked or removed; everything else passes byte for byte.
//!
//! ```toml
//! [stream.clicks.transform.config]
//! hash = ["user.email"]              # SHA-256, in hexadecimal, of salt and value
//! mask = ["card.number", "items.*.note"]
//! remove = ["user.ip"]
//! salt = "${REDACT_SALT}"            # default none
//! mask_text = "***"                  # the default
//! mask_keep_last = 4                 # characters at the end that stay; default 0
//! ```
//!
//! A path is `"user.email"` or, for keys with dots, `["user", "e.mail"]`; `*` is any key or element, a
//! number the element at that index. A path that leads nowhere is no fault. Of a text its meaning is
//! hashed (`"\u0061"` is `a`), of anything else its JSON text; `null` stays `null`. A hash without salt
//! hides nothing that can be guessed. A record that is not JSON fails: it goes to the error prefix as it
//! came, unredacted, so guard that prefix.

use firehose_transform::json::{self, Path, Value};
use firehose_transform::{Failure, Outcome, Record, Transform, export};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The `[config]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    hash: Vec<Path>,
    #[serde(default)]
    mask: Vec<Path>,
    #[serde(default)]
    remove: Vec<Path>,
    #[serde(default)]
    salt: String,
    #[serde(default = "stars")]
    mask_text: String,
    #[serde(default)]
    mask_keep_last: usize,
}

fn stars() -> String {
    "***".to_owned()
}

/// The transform.
pub struct Redact {
    rules: Vec<(Path, Action)>,
    /// Has taken in the salt.
    salted: Sha256,
    mask_text: String,
    mask_keep_last: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Hash,
    Mask,
    Remove,
}

/// What is left of a rule's path, and what to do where it ends.
type Rest<'a> = (&'a [String], Action);

impl Transform for Redact {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Failure> {
        // Of several rules for one field the first one counts: the strictest.
        let mut rules = Vec::new();
        for (paths, action) in [
            (config.remove, Action::Remove),
            (config.hash, Action::Hash),
            (config.mask, Action::Mask),
        ] {
            rules.extend(paths.into_iter().map(|path| (path, action)));
        }
        if rules.is_empty() {
            return Err("one of `hash`, `mask` and `remove` must name a field".into());
        }
        Ok(Self {
            rules,
            salted: Sha256::new_with_prefix(config.salt),
            mask_text: config.mask_text,
            mask_keep_last: config.mask_keep_last,
        })
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        let text = json::text(&record.data)?;
        let rules: Vec<Rest<'_>> = self
            .rules
            .iter()
            .map(|(path, action)| (path.steps(), *action))
            .collect();
        let mut out = Vec::with_capacity(text.len() + 64);
        self.write(text, &rules, &mut out)?;
        Ok(Outcome::ok(out))
    }
}

export!(Redact);

impl Redact {
    /// Appends a JSON text with the rules applied to what lies in it. Steps are bounded, so the depth
    /// is.
    fn write(&self, text: &str, rules: &[Rest<'_>], out: &mut Vec<u8>) -> Result<(), Failure> {
        match json::open(text)? {
            Value::Scalar(scalar) => out.extend_from_slice(scalar.as_bytes()),
            Value::Object(members) => {
                out.push(b'{');
                let start = out.len();
                for (key, value) in members {
                    self.write_item(
                        value,
                        Some(key),
                        start,
                        &inside(rules, |step| json::is_step(step, key)),
                        out,
                    )?;
                }
                out.push(b'}');
            }
            Value::Array(elements) => {
                out.push(b'[');
                let start = out.len();
                for (index, value) in elements.into_iter().enumerate() {
                    self.write_item(
                        value,
                        None,
                        start,
                        &inside(rules, |step| json::is_index(step, index)),
                        out,
                    )?;
                }
                out.push(b']');
            }
        }
        Ok(())
    }

    fn write_item(
        &self,
        value: &str,
        key: Option<json::Key<'_>>,
        start: usize,
        rules: &[Rest<'_>],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let action = rules
            .iter()
            .find(|(rest, _)| rest.is_empty())
            .map(|(_, action)| *action);
        if action == Some(Action::Remove) {
            return Ok(());
        }
        if out.len() > start {
            out.push(b',');
        }
        if let Some(key) = key {
            out.extend_from_slice(key.raw().as_bytes());
            out.push(b':');
        }
        match action {
            Some(_) if value == "null" => out.extend_from_slice(b"null"),
            Some(Action::Hash) => self.write_hash(value, out),
            Some(_) => self.write_mask(value, out),
            None if rules.is_empty() => out.extend_from_slice(value.as_bytes()),
            None => self.write(value, rules, out)?,
        }
        Ok(())
    }

    fn write_hash(&self, value: &str, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digest = self
            .salted
            .clone()
            .chain_update(json::plain(value).as_bytes())
            .finalize();
        out.push(b'"');
        for byte in digest {
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        out.push(b'"');
    }

    fn write_mask(&self, value: &str, out: &mut Vec<u8>) {
        let plain = json::plain(value);
        let mut masked = self.mask_text.clone();
        // A short value would be seen nearly whole, and of an object there is no meaningful end.
        let hidden = plain.chars().count().saturating_sub(self.mask_keep_last);
        if hidden >= self.mask_keep_last && !value.starts_with(['{', '[']) {
            masked.extend(plain.chars().skip(hidden));
        }
        json::write_string(&masked, out);
    }
}

/// The rules that lead into one item, one step on.
fn inside<'a>(rules: &[Rest<'a>], is_step: impl Fn(&str) -> bool) -> Vec<Rest<'a>> {
    rules
        .iter()
        .filter_map(|(rest, action)| match rest.split_first() {
            Some((step, rest)) if is_step(step) => Some((rest, *action)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::Redact>("pairs");
    }
}
