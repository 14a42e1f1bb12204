//! What became of a record in a module, as people read it and as `out` of pairs files writes it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::printable::printable;
use crate::transform::{Outcome, Output, Verdict};

/// One output or a list of one are the same, and so are none and a drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Fate {
    Outputs(Vec<(Vec<u8>, BTreeMap<String, String>)>),
    Dropped,
    Failed(String),
}

impl Fate {
    pub(in crate::cli) fn of(verdict: &Verdict) -> Self {
        let outputs = match verdict {
            Ok(Outcome::Ok(output)) => std::slice::from_ref(output),
            Ok(Outcome::Many(outputs)) => outputs.as_slice(),
            Ok(Outcome::Dropped) => &[],
            Ok(Outcome::Failed(message)) => return Self::Failed(message.clone()),
            Err((failure, _)) => return Self::Failed(failure.message.to_string()),
        };
        if outputs.is_empty() {
            return Self::Dropped;
        }
        let output =
            |Output { data, keys }: &Output| (data.to_vec(), keys.iter().cloned().collect());
        Self::Outputs(outputs.iter().map(output).collect())
    }

    /// In one word.
    pub(in crate::cli) const fn word(&self) -> &'static str {
        match self {
            Self::Outputs(_) => "ok",
            Self::Dropped => "dropped",
            Self::Failed(_) => "failed",
        }
    }

    /// The same for people.
    pub(in crate::cli) fn title(&self) -> String {
        match self {
            Self::Outputs(outputs) if outputs.len() > 1 => format!("{} outputs", outputs.len()),
            _ => self.word().to_owned(),
        }
    }

    /// All of it, line by line.
    pub(in crate::cli) fn lines(&self) -> Vec<String> {
        let outputs = match self {
            Self::Outputs(outputs) => outputs,
            Self::Dropped => return vec!["dropped".to_owned()],
            Self::Failed(message) => return vec![format!("failed  {}", printable(message))],
        };
        let mut lines = Vec::new();
        for (data, keys) in outputs {
            lines.push(match std::str::from_utf8(data) {
                Ok(text) => format!("out     {}", printable(text)),
                Err(_) => format!("base64  {}", STANDARD.encode(data)),
            });
            if !keys.is_empty() {
                let pair = |(name, value): (&String, &String)| format!("{name}={value}");
                let keys: Vec<String> = keys.iter().map(pair).collect();
                lines.push(format!("keys    {}", printable(&keys.join(", "))));
            }
        }
        lines
    }

    /// As `out` of pairs files.
    pub(in crate::cli) fn to_json(&self) -> Value {
        let output = |(data, keys): &(Vec<u8>, BTreeMap<String, String>)| {
            let mut full = match std::str::from_utf8(data) {
                Ok(text) if keys.is_empty() => return json!(text),
                Ok(text) => json!({"data": text}),
                Err(_) => json!({"data_base64": STANDARD.encode(data)}),
            };
            if !keys.is_empty() {
                full["keys"] = json!(keys);
            }
            full
        };
        match self {
            Self::Outputs(outputs) => outputs.iter().map(output).collect(),
            Self::Dropped => json!("dropped"),
            Self::Failed(message) => json!({"failed": message}),
        }
    }
}

/// What went wrong in a transform.
pub(in crate::cli) fn code(failure: &Failure) -> &'static str {
    let transform = failure.transform.as_ref();
    transform.map_or("", |transform| transform.code)
}
