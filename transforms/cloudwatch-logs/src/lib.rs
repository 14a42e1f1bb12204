//! CloudWatch Logs subscription data becomes one record for each log event. A subscription sends
//! gzipped JSON with many events in it; what is not gzipped is taken as that JSON.
//!
//! ```toml
//! [stream.logs.transform.config]
//! output = "message"          # the default: the event's text alone; "event": JSON with the event and
//!                             # where it came from
//! partition_keys = ["log_group", "log_stream", "owner"]     # keys to set; default none
//! ```
//!
//! `"event"` writes `{"id","timestamp","message","owner","logGroup","logStream"}`, and
//! `extractedFields` where the subscription's filter makes them. Control messages, by which AWS probes
//! a destination, are dropped. A record that is none of this fails, also one that unpacks to more than
//! 32 MiB.

use std::borrow::Cow;
use std::io::Read;

use firehose_transform::{Failure, Outcome, Output, Record, Transform, export, json};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

const UNPACKED_LIMIT: u64 = 32 << 20;

/// The `[config]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    output: Shape,
    #[serde(default)]
    partition_keys: Vec<PartitionKey>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Shape {
    #[default]
    Message,
    Event,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PartitionKey {
    LogGroup,
    LogStream,
    Owner,
}

/// The transform.
pub struct CloudWatchLogs {
    shape: Shape,
    partition_keys: Vec<PartitionKey>,
}

/// What a subscription sends. AWS may add fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    message_type: Cow<'a, str>,
    #[serde(borrow)]
    owner: Option<&'a RawValue>,
    #[serde(borrow)]
    log_group: Option<&'a RawValue>,
    #[serde(borrow)]
    log_stream: Option<&'a RawValue>,
    #[serde(borrow, default)]
    log_events: Vec<LogEvent<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEvent<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(borrow)]
    extracted_fields: Option<&'a RawValue>,
}

impl Transform for CloudWatchLogs {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Failure> {
        Ok(Self {
            shape: config.output,
            partition_keys: config.partition_keys,
        })
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        let data = unpacked(record.data)?;
        let envelope: Envelope<'_> = serde_json::from_str(json::text(&data)?)?;
        match &*envelope.message_type {
            "DATA_MESSAGE" => {}
            "CONTROL_MESSAGE" => return Ok(Outcome::Dropped),
            other => {
                return Err(format!(
                    "messageType is `{other}`, neither DATA_MESSAGE nor CONTROL_MESSAGE"
                )
                .into());
            }
        }
        let keys: Vec<(String, String)> = self
            .partition_keys
            .iter()
            .filter_map(|key| key.of(&envelope))
            .collect();
        let outputs = envelope.log_events.iter().map(|event| Output {
            data: match self.shape {
                Shape::Message => json::plain(event.message.get()).into_owned().into_bytes(),
                Shape::Event => event.with(&envelope),
            },
            partition_keys: keys.clone(),
        });
        Ok(Outcome::Many(outputs.collect()))
    }
}

export!(CloudWatchLogs);

/// The JSON of a record, which gzip's magic number says to unpack.
fn unpacked(data: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Ok(data);
    }
    let mut unpacked = Vec::with_capacity(8 * data.len());
    MultiGzDecoder::new(&data[..])
        .take(UNPACKED_LIMIT + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("gzip: {error}"))?;
    if unpacked.len() as u64 > UNPACKED_LIMIT {
        return Err("the record unpacks to more than 32 MiB".into());
    }
    Ok(unpacked)
}

impl PartitionKey {
    /// Its name and value, where the envelope has one.
    fn of(self, envelope: &Envelope<'_>) -> Option<(String, String)> {
        let (name, value) = match self {
            Self::LogGroup => ("log_group", envelope.log_group),
            Self::LogStream => ("log_stream", envelope.log_stream),
            Self::Owner => ("owner", envelope.owner),
        };
        Some((name.to_owned(), json::plain(value?.get()).into_owned()))
    }
}

impl LogEvent<'_> {
    /// The event and where it came from, as JSON. All values are JSON texts already.
    fn with(&self, envelope: &Envelope<'_>) -> Vec<u8> {
        let fields = [
            ("id", self.id),
            ("timestamp", self.timestamp),
            ("message", Some(self.message)),
            ("extractedFields", self.extracted_fields),
            ("owner", envelope.owner),
            ("logGroup", envelope.log_group),
            ("logStream", envelope.log_stream),
        ];
        let mut out = Vec::with_capacity(self.message.get().len() + 256);
        for (name, value) in fields {
            if let Some(value) = value {
                out.push(if out.is_empty() { b'{' } else { b',' });
                json::write_string(name, &mut out);
                out.push(b':');
                out.extend_from_slice(value.get().as_bytes());
            }
        }
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::CloudWatchLogs>("pairs");
    }
}
