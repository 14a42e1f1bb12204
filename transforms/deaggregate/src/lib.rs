//! A record that holds several becomes that many, as by Firehose's RecordDeAggregation, without its limit
//! of 500.
//!
//! ```toml
//! [stream.clicks.transform.config]
//! type = "json"               # JSON objects one after the other, with or without space between them
//! # type = "delimited"
//! # delimiter = "####"        # the text between records (Firehose has it in base64)
//! ```
//!
//! As the first transform of a stream it is where Firehose has it. Each object stays byte for byte as it
//! is. Pieces without bytes are left out, so that a record of delimiters alone is dropped. With `"json"`
//! a record fails where it is anything but objects: an array, a text, a half object; nothing of it is
//! delivered then.

use firehose_transform::{Failure, Outcome, Record, Transform, export};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The `[config]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    r#type: Kind,
    delimiter: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Json,
    Delimited,
}

/// The transform.
pub enum Deaggregate {
    /// JSON objects one after the other.
    Json,
    /// Pieces between these bytes, of which there are some.
    Delimited(Vec<u8>),
}

impl Transform for Deaggregate {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Failure> {
        match (config.r#type, config.delimiter) {
            (Kind::Json, None) => Ok(Self::Json),
            (Kind::Json, Some(_)) => Err("`delimiter` is only for `type = \"delimited\"`".into()),
            (Kind::Delimited, Some(delimiter)) if !delimiter.is_empty() => {
                Ok(Self::Delimited(delimiter.into_bytes()))
            }
            (Kind::Delimited, _) => Err("`type = \"delimited\"` needs a `delimiter`".into()),
        }
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        match self {
            Self::Json => objects(&record.data),
            Self::Delimited(delimiter) => Ok(Outcome::many(pieces(&record.data, delimiter))),
        }
    }
}

fn objects(data: &[u8]) -> Result<Outcome, Failure> {
    let text = std::str::from_utf8(data).map_err(|_| "the record is not UTF-8")?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut objects = Vec::new();
    loop {
        let at = values.byte_offset();
        let Some(value) = values.next() else { break };
        let object = value?.get();
        if !object.starts_with('{') {
            return Err(format!("what begins at byte {at} is no JSON object").into());
        }
        objects.push(object);
    }
    if objects.is_empty() {
        return Err("there is no JSON object in it".into());
    }
    Ok(Outcome::many(objects))
}

/// What stands between the delimiters, but for what is empty.
fn pieces<'a>(data: &'a [u8], delimiter: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(data);
    let next = move || {
        let data = rest?;
        let found = data
            .windows(delimiter.len())
            .position(|window| window == delimiter);
        let (piece, after) = match found {
            Some(at) => (&data[..at], Some(&data[at + delimiter.len()..])),
            None => (data, None),
        };
        rest = after;
        Some(piece)
    };
    std::iter::from_fn(next).filter(|piece| !piece.is_empty())
}

export!(Deaggregate);

#[cfg(test)]
mod tests {
    use firehose_transform::{Outcome, Record, Transform as _};

    use super::Deaggregate;

    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<Deaggregate>("pairs");
    }

    #[test]
    fn there_is_no_limit_of_five_hundred() {
        let record = Record::new(r#"{"n":1}"#.repeat(2000));
        let outcome = Deaggregate::Json.transform(record);
        assert_eq!(outcome, Ok(Outcome::many(vec![r#"{"n":1}"#; 2000])));
    }
}
