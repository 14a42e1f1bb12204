//! Adds a field to JSON objects by way of a tree of values, as most transforms do it that are written with
//! `serde_json`: the benchmark's example of a transform in Rust. Members come out sorted by name; whoever
//! wants them as they came reads with `firehose_transform::json`.
//!
//! ```toml
//! [stream.clicks.transform.config]
//! name = "env"
//! value = "production"
//! ```
//!
//! A record that is no JSON object fails. `event_type` = "test" is left out.

use firehose_transform::{Failure, Outcome, Record, Transform, export};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The transform, and its `[config]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonValue {
    name: String,
    value: Value,
}

impl Transform for JsonValue {
    type Config = Self;

    fn configure(config: Self) -> Result<Self, Failure> {
        Ok(config)
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        let mut members: Map<String, Value> = serde_json::from_slice(&record.data)?;
        if members.get("event_type").and_then(Value::as_str) == Some("test") {
            return Ok(Outcome::Dropped);
        }
        members.insert(self.name.clone(), self.value.clone());
        Ok(Outcome::ok(serde_json::to_vec(&members)?))
    }
}

export!(JsonValue);

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::JsonValue>("pairs");
    }
}
