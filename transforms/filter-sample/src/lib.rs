//! Records are kept or dropped by a condition, by chance, or both. What is kept passes byte for byte.
//!
//! ```toml
//! [stream.clicks.transform.config]
//! action = "keep"                     # what happens to records for which all conditions hold: "keep"
//!                                     # (the default; the others are dropped) or "drop"
//! sample = 0.1                        # of what is kept this part stays; the default is 1.0
//! sample_by = "user.id"               # all records with one value stay or go together; the default is
//!                                     # each record by its own bytes
//! [[stream.clicks.transform.config.when]]
//! field = "level"
//! one_of = ["error", "warn"]
//! [[stream.clicks.transform.config.when]]
//! field = "ms"
//! at_least = 100
//! ```
//!
//! A condition has one test: `equals`, `not_equals` (one text, number, `true` or `false`), `one_of` (a
//! list of them), `contains`, `starts_with` (a text), `at_least`, `at_most` (a number), `exists` (`true`
//! or `false`). A field that is missing or `null` does not exist, and holds for `not_equals` and
//! `exists = false` only. Texts are equal by their meaning, numbers by their value.
//!
//! Chance is a hash: the same record or value is decided the same way everywhere and for ever. A record
//! that is not JSON fails where a condition or `sample_by` looks into it.

use std::borrow::Cow;

use firehose_transform::json::{self, Path};
use firehose_transform::{Failure, Outcome, Record, Transform, export};
use serde::Deserialize;

/// The `[config]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    action: Action,
    #[serde(default)]
    when: Vec<Condition>,
    #[serde(default = "all")]
    sample: f64,
    sample_by: Option<Path>,
}

fn all() -> f64 {
    1.0
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Keep,
    Drop,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    field: Path,
    equals: Option<Scalar>,
    not_equals: Option<Scalar>,
    one_of: Option<Vec<Scalar>>,
    contains: Option<String>,
    starts_with: Option<String>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    exists: Option<bool>,
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "a condition compares with a text, a number, true or false"
)]
enum Scalar {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

/// The transform.
pub struct FilterSample {
    action: Action,
    when: Vec<(Path, Test)>,
    /// Hashes up to this one stay; nothing means all.
    limit: Option<u64>,
    sample_by: Option<Path>,
}

enum Test {
    OneOf(Vec<Scalar>),
    NotEquals(Scalar),
    Contains(String),
    StartsWith(String),
    AtLeast(f64),
    AtMost(f64),
    Exists(bool),
}

impl Transform for FilterSample {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Failure> {
        if !(0.0..=1.0).contains(&config.sample) {
            return Err("`sample` must lie between 0.0 and 1.0".into());
        }
        if config.action == Action::Drop && config.when.is_empty() {
            return Err("`action` is \"drop\", but no `when` says what".into());
        }
        Ok(Self {
            action: config.action,
            when: config
                .when
                .into_iter()
                .map(Condition::test)
                .collect::<Result<_, _>>()?,
            limit: limit(config.sample),
            sample_by: config.sample_by,
        })
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        let kept = self.is_wanted(&record.data)? && self.is_in_sample(&record.data)?;
        Ok(if kept {
            Outcome::ok(record.data)
        } else {
            Outcome::Dropped
        })
    }
}

export!(FilterSample);

impl FilterSample {
    fn is_wanted(&self, data: &[u8]) -> Result<bool, Failure> {
        if self.when.is_empty() {
            return Ok(true);
        }
        let text = json::text(data)?;
        let mut all = true;
        for (path, test) in &self.when {
            let value = path.find(text)?.filter(|value| *value != "null");
            if !test.holds(value) {
                all = false;
                break;
            }
        }
        Ok(all == (self.action == Action::Keep))
    }

    fn is_in_sample(&self, data: &[u8]) -> Result<bool, Failure> {
        let Some(limit) = self.limit else {
            return Ok(true);
        };
        let value = match &self.sample_by {
            Some(path) => path.find(json::text(data)?)?.map(json::plain),
            None => None,
        };
        let value = value.as_deref().map_or(data, str::as_bytes);
        Ok(limit > 0 && hash(value) <= limit)
    }
}

impl Condition {
    fn test(self) -> Result<(Path, Test), Failure> {
        let tests = [
            self.equals.map(|value| Test::OneOf(vec![value])),
            self.not_equals.map(Test::NotEquals),
            self.one_of.map(Test::OneOf),
            self.contains.map(Test::Contains),
            self.starts_with.map(Test::StartsWith),
            self.at_least.map(Test::AtLeast),
            self.at_most.map(Test::AtMost),
            self.exists.map(Test::Exists),
        ];
        let mut tests = tests.into_iter().flatten();
        match (tests.next(), tests.next()) {
            (Some(test), None) => Ok((self.field, test)),
            _ => Err(format!(
                "the condition on `{}` must have exactly one test",
                self.field.steps().join(".")
            )
            .into()),
        }
    }
}

impl Test {
    /// Whether it holds for a field's JSON text.
    fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::NotEquals(_) | Self::Exists(false));
        };
        match self {
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted.is(value)),
            Self::NotEquals(unwanted) => !unwanted.is(value),
            Self::Contains(part) => text(value).is_some_and(|text| text.contains(part)),
            Self::StartsWith(start) => text(value).is_some_and(|text| text.starts_with(start)),
            Self::AtLeast(least) => number(value).is_some_and(|number| number >= *least),
            Self::AtMost(most) => number(value).is_some_and(|number| number <= *most),
            Self::Exists(exists) => *exists,
        }
    }
}

impl Scalar {
    fn is(&self, value: &str) -> bool {
        match self {
            Self::Bool(wanted) => value == if *wanted { "true" } else { "false" },
            // Digit by digit where both are whole: an id beyond 2^53 has neighbours.
            Self::Integer(wanted) => match value.parse::<i64>() {
                Ok(whole) => whole == *wanted,
                #[expect(clippy::cast_precision_loss, reason = "the other one is a float")]
                Err(_) => number(value) == Some(*wanted as f64),
            },
            Self::Number(wanted) => number(value) == Some(*wanted),
            Self::Text(wanted) => text(value).is_some_and(|text| text == *wanted),
        }
    }
}

fn text(value: &str) -> Option<Cow<'_, str>> {
    value.starts_with('"').then(|| json::plain(value))
}

fn number(value: &str) -> Option<f64> {
    // Of all JSON texts only numbers are numbers to `parse`.
    value.parse().ok()
}

/// The largest hash that stays.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of all hashes need not be exact"
)]
fn limit(sample: f64) -> Option<u64> {
    (sample < 1.0).then_some((sample * u64::MAX as f64) as u64)
}

/// FNV-1a with a finish that spreads its bits evenly. It must never change: a sample would.
fn hash(data: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in data {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::FilterSample>("pairs");
    }

    #[test]
    fn a_sample_has_its_size() {
        let limit = super::limit(0.1).expect("less than all");
        let stay = (0..100_000)
            .filter(|n: &i32| super::hash(n.to_string().as_bytes()) <= limit)
            .count();
        assert!((9_700..10_300).contains(&stay), "{stay}");
    }
}
