//! The files of inputs and outputs that transforms are tested with, one JSON object a line; the SDK
//! checks the same files without a daemon. `transforms/README.md` says how they are written.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::fate::Fate;

/// A line of a pairs file.
#[derive(Debug)]
pub(super) enum PairLine {
    /// The lines after it are for a module with this config, or it is refused for this reason.
    Config {
        config: String,
        refused: Option<String>,
    },
    /// A record, and what becomes of it.
    Pair { record: Vec<u8>, fate: Fate },
}

impl PairLine {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(match parse(text)? {
            WrittenLine::Config(WrittenConfig { config, error }) => Self::Config {
                config: config.to_string(),
                refused: error,
            },
            WrittenLine::Pair(WrittenPair {
                r#in,
                in_base64,
                out,
            }) => Self::Pair {
                record: bytes(r#in, in_base64)?,
                fate: out.read()?,
            },
        })
    }
}

/// Reads an `out`.
pub(super) fn parse_fate(text: &str) -> anyhow::Result<Fate> {
    parse::<WrittenFate>(text)?.read()
}

/// Reads a line's JSON. Whoever calls this says which line it is.
fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> anyhow::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let what = error.to_string();
        anyhow!(what.replace(" at line 1 column ", " at column "))
    })
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a line has either `config` or `in` (`in_base64`) and `out`"
)]
enum WrittenLine {
    Config(WrittenConfig),
    Pair(WrittenPair),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenConfig {
    config: Value,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPair {
    r#in: Option<String>,
    in_base64: Option<String>,
    out: WrittenFate,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "it is a list of outputs, \"dropped\" or {\"failed\": why}"
)]
enum WrittenFate {
    Outputs(Vec<WrittenOutput>),
    Failed { failed: String },
    Word(String),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an output is a text or has `data` (`data_base64`) and `keys`"
)]
enum WrittenOutput {
    Text(String),
    Full(FullOutput),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullOutput {
    data: Option<String>,
    data_base64: Option<String>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

impl WrittenFate {
    fn read(self) -> anyhow::Result<Fate> {
        let outputs = match self {
            Self::Failed { failed } => return Ok(Fate::Failed(failed)),
            Self::Word(word) if word == "dropped" => return Ok(Fate::Dropped),
            Self::Word(word) => bail!("\"{word}\" is no outcome; the only word is \"dropped\""),
            Self::Outputs(outputs) if outputs.is_empty() => return Ok(Fate::Dropped),
            Self::Outputs(outputs) => outputs,
        };
        let output = |output| match output {
            WrittenOutput::Text(text) => Ok((text.into_bytes(), BTreeMap::new())),
            WrittenOutput::Full(FullOutput {
                data,
                data_base64,
                keys,
            }) => Ok((bytes(data, data_base64)?, keys)),
        };
        let outputs: anyhow::Result<Vec<_>> = outputs.into_iter().map(output).collect();
        Ok(Fate::Outputs(outputs?))
    }
}

fn bytes(text: Option<String>, base64: Option<String>) -> anyhow::Result<Vec<u8>> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => STANDARD.decode(base64).context("not base64"),
        _ => bail!("data is either a text or base64"),
    }
}
