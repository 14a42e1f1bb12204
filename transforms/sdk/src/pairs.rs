//! Tests from files of inputs and outputs, one JSON object a line. `transforms/README.md` says how
//! they are written; the daemon's own tests run the same files against the built modules.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use serde::Deserialize;
use serde_json::Value;

use crate::{Failure, Outcome, Output, Record, Transform, guest};

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a line has either `config` or `in` (`in_base64`) and `out`"
)]
enum Line {
    Config(Config),
    Pair(Pair),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    config: Value,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    r#in: Option<String>,
    in_base64: Option<String>,
    out: Out,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "`out` is a list, \"dropped\" or {\"failed\": why}"
)]
enum Out {
    Outputs(Vec<One>),
    Failed { failed: String },
    Word(String),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an output is a text or has `data` (`data_base64`) and `keys`"
)]
enum One {
    Text(String),
    Full(Full),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    data: Option<String>,
    data_base64: Option<String>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

/// What an outcome comes to: one output or several of them look the same from outside, and none is
/// a drop.
#[derive(Debug, PartialEq)]
enum Seen {
    Outputs(Vec<(String, BTreeMap<String, String>)>),
    Dropped,
    Failed(String),
}

/// Runs a transform against all `.jsonl` files of a folder in the crate.
///
/// # Panics
/// With the file, the line and both outcomes, where they differ.
pub fn check<T: Transform>(folder: &str) {
    let folder = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(folder);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("a folder can be read").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            check_file::<T>(&path);
            files += 1;
        }
    }
    assert!(files > 0, "{} has no .jsonl file", folder.display());
}

fn check_file<T: Transform>(path: &Path) {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut transform: Option<T> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{}:{number}", path.display());
        let line = serde_json::from_str(line).unwrap_or_else(|e| panic!("{place}: {e}"));
        match line {
            Line::Config(Config { config, error }) => {
                let configured = guest::configured::<T>(&config.to_string());
                let why = configured.as_ref().err().cloned().map(Failure::into_text);
                assert_eq!(why, error, "{place}: configure");
                transform = configured.ok();
            }
            Line::Pair(pair) => {
                let transform = transform
                    .as_mut()
                    .unwrap_or_else(|| panic!("{place}: no config before it that works"));
                let record = Record::new(bytes(pair.r#in, pair.in_base64, &place));
                let outcome = transform
                    .transform(record)
                    .unwrap_or_else(|failure| Outcome::Failed(failure.into_text()));
                assert_eq!(seen(outcome), expected(pair.out, &place), "{place}");
            }
        }
    }
}

fn seen(outcome: Outcome) -> Seen {
    let outputs = match outcome {
        Outcome::Ok(output) => vec![output],
        Outcome::Many(outputs) if !outputs.is_empty() => outputs,
        Outcome::Many(_) | Outcome::Dropped => return Seen::Dropped,
        Outcome::Failed(why) => return Seen::Failed(why),
    };
    let output = |Output {
                      data,
                      partition_keys,
                  }| (readable(&data), partition_keys.into_iter().collect());
    Seen::Outputs(outputs.into_iter().map(output).collect())
}

fn expected(out: Out, place: &str) -> Seen {
    match out {
        Out::Failed { failed } => Seen::Failed(failed),
        Out::Word(word) => {
            assert_eq!(word, "dropped", "{place}: `out`");
            Seen::Dropped
        }
        Out::Outputs(outputs) => {
            let output = |one| match one {
                One::Text(text) => (readable(text.as_bytes()), BTreeMap::new()),
                One::Full(full) => (
                    readable(&bytes(full.data, full.data_base64, place)),
                    full.keys,
                ),
            };
            Seen::Outputs(outputs.into_iter().map(output).collect())
        }
    }
}

/// Bytes as an error message can show them.
fn readable(data: &[u8]) -> String {
    String::from_utf8(data.to_vec()).unwrap_or_else(|_| format!("{data:?}"))
}

fn bytes(text: Option<String>, base64: Option<String>, place: &str) -> Vec<u8> {
    match (text, base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(base64)) => {
            from_base64(&base64).unwrap_or_else(|| panic!("{place}: not base64"))
        }
        _ => panic!("{place}: either a text or base64"),
    }
}

/// Four digits of six bits are three bytes; `=` fills up the last four.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|d| *d == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}
