//! Stamps JSON objects with the environment that they come from.
//!
//! ```toml
//! [stream.NAME.transform.config]
//! env = "production"
//! ```

use firehose_transform::json::{self, Value};
use firehose_transform::{Failure, Outcome, Record, Transform, export};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    env: String,
}

struct Stamp {
    env: String,
}

impl Transform for Stamp {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Failure> {
        if config.env.is_empty() {
            return Err("`env` is empty".into());
        }
        Ok(Self { env: config.env })
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        let Value::Object(members) = json::open(json::text(&record.data)?)? else {
            return Err("the record is no JSON object".into());
        };
        if members.is_empty() {
            return Ok(Outcome::Dropped);
        }
        let mut out = vec![b'{'];
        for (key, value) in members {
            out.extend_from_slice(key.raw().as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
            out.push(b',');
        }
        out.extend_from_slice(b"\"env\":");
        json::write_string(&self.env, &mut out);
        out.push(b'}');
        Ok(Outcome::ok(out).with_key("env", &self.env))
    }
}

export!(Stamp);

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::Stamp>(".");
    }
}
