//! Tests from files of inputs and outputs, one JSON object a line. `transforms/README.md` says how
//! they are written; the daemon's own tests run the same files against the built modules.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::resume_unwind;
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
    if let Err(why) = check_folder::<T>(&folder) {
        // A place in this file and a backtrace say nothing about the pairs.
        eprintln!("{why}");
        resume_unwind(Box::new(why));
    }
}

fn check_folder<T: Transform>(folder: &Path) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files = 0;
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            check_lines::<T>(&text, &path.display().to_string())?;
            files += 1;
        }
    }
    if files == 0 {
        return Err(format!("{} has no .jsonl file", folder.display()));
    }
    Ok(())
}

fn check_lines<T: Transform>(text: &str, file: &str) -> Result<(), String> {
    // The transform, or why there is none.
    let mut transform: Option<Result<T, String>> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let at = |why: String| format!("{file}:{number}: {why}");
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line).map_err(|e| at(e.to_string()))? {
            Line::Config(Config { config, error }) => {
                let configured = configured::<T>(&config.to_string());
                let why = configured.as_ref().err();
                if why != error.as_ref() {
                    return Err(at(differ("config", &error, &why)));
                }
                transform = Some(configured);
            }
            Line::Pair(pair) => {
                // Without a line that names a config it is empty.
                let transform = transform
                    .get_or_insert_with(|| configured::<T>("{}"))
                    .as_mut()
                    .map_err(|why| at(format!("the config is refused: {why}")))?;
                let record = Record::new(bytes(pair.r#in, pair.in_base64).map_err(at)?);
                let outcome = transform
                    .transform(record)
                    .unwrap_or_else(|failure| Outcome::Failed(failure.into_text()));
                let (seen, expected) = (seen(outcome), expected(pair.out).map_err(at)?);
                if seen != expected {
                    return Err(at(differ("record", &expected, &seen)));
                }
            }
        }
    }
    Ok(())
}

fn configured<T: Transform>(config: &str) -> Result<T, String> {
    guest::configured(config).map_err(Failure::into_text)
}

fn differ(what: &str, expected: &impl Debug, seen: &impl Debug) -> String {
    format!("{what} not as expected\n - {expected:?}\n + {seen:?}")
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

fn expected(out: Out) -> Result<Seen, String> {
    let output = |one| match one {
        One::Text(text) => Ok((readable(text.as_bytes()), BTreeMap::new())),
        One::Full(full) => Ok((readable(&bytes(full.data, full.data_base64)?), full.keys)),
    };
    Ok(match out {
        Out::Failed { failed } => Seen::Failed(failed),
        Out::Word(word) if word == "dropped" => Seen::Dropped,
        Out::Word(word) => {
            return Err(format!(
                "\"{word}\" is no outcome; the only word is \"dropped\""
            ));
        }
        Out::Outputs(outputs) if outputs.is_empty() => Seen::Dropped,
        Out::Outputs(outputs) => {
            let outputs: Result<Vec<_>, String> = outputs.into_iter().map(output).collect();
            Seen::Outputs(outputs?)
        }
    })
}

/// Bytes as an error message can show them.
fn readable(data: &[u8]) -> String {
    String::from_utf8(data.to_vec()).unwrap_or_else(|_| format!("{data:?}"))
}

fn bytes(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => from_base64(&base64).ok_or_else(|| "not base64".to_owned()),
        _ => Err("data is either a text or base64".to_owned()),
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

#[cfg(test)]
mod tests {
    use super::check_lines;
    use crate::{Failure, NoConfig, Outcome, Record, Transform};

    struct Upper;

    impl Transform for Upper {
        type Config = NoConfig;

        fn configure(_: NoConfig) -> Result<Self, Failure> {
            Ok(Self)
        }

        fn transform(&mut self, mut record: Record) -> Result<Outcome, Failure> {
            record.data.make_ascii_uppercase();
            Ok(Outcome::ok(record.data))
        }
    }

    struct Picky;

    impl Transform for Picky {
        type Config = std::collections::BTreeMap<String, String>;

        fn configure(config: Self::Config) -> Result<Self, Failure> {
            let known = config.contains_key("a").then_some(Self);
            known.ok_or_else(|| "missing field `a`".into())
        }

        fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
            Ok(Outcome::ok(record.data))
        }
    }

    #[test]
    fn a_config_is_wanted_only_by_what_wants_one() {
        let upper = |lines| check_lines::<Upper>(lines, "pairs.jsonl");
        let picky = |lines| check_lines::<Picky>(lines, "pairs.jsonl");
        assert_eq!(upper("{\"in\":\"a\",\"out\":[\"A\"]}\n\n"), Ok(()));
        assert_eq!(
            picky("\n{\"in\":\"a\",\"out\":[\"a\"]}\n"),
            Err("pairs.jsonl:2: the config is refused: missing field `a`".to_owned())
        );
        let both = "{\"config\":{},\"error\":\"missing field `a`\"}\n{\"config\":{\"a\":\"\"}}\n";
        assert_eq!(
            picky(&format!("{both}{{\"in\":\"a\",\"out\":[\"a\"]}}")),
            Ok(())
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (line, why) in [
            (
                "{\"in\":\"a\",\"out\":[\"b\"]}",
                "record not as expected\n - ",
            ),
            (
                "{\"in\":\"a\",\"out\":\"droped\"}",
                "\"droped\" is no outcome",
            ),
            ("{\"in_base64\":\"!\",\"out\":[]}", "not base64"),
            ("{\"out\":[]}", "data is either a text or base64"),
            (
                "{\"config\":{},\"error\":\"no\"}",
                "config not as expected\n - ",
            ),
            ("{", "EOF while parsing"),
        ] {
            let said = check_lines::<Upper>(line, "pairs.jsonl").unwrap_err();
            let at = format!("pairs.jsonl:1: {why}");
            assert!(said.starts_with(&at), "{said}");
        }
    }
}
