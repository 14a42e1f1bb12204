//! `firehose explain`: what would happen to records, one input line each. Nothing is written.
//!
//! The stream's own compiled outputs answer, the ones that the daemon runs. Each record is judged
//! by itself, as if it were the first of its batch: what depends on others (a full journal, the
//! limit of open partitions) is not foreseen.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::lines::{Length, next_line, open, refusal};
use super::shown::shown;
use super::{CommandError, settings};
use crate::checkpoint::Lane;
use crate::clock::Clock;
use crate::config::{StoreSettings, StreamSettings};
use crate::failure::Failure;
use crate::format::{Encoder, Format};
use crate::partition::Scratch;
use crate::pipeline::Outputs;
use crate::position::Position;
use crate::record::Record;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The delivery stream.
    pub stream: String,
    /// Records, one a line; `-` reads standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// One JSON document for each record.
    #[arg(long)]
    pub json: bool,
}

/// Explains every line of the file to `out`.
pub(super) fn run(
    config: &Path,
    args: &ExplainArgs,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let loaded = settings::load(config)?;
    let stream = settings::stream(&loaded.config, &args.stream)?;
    let now_ms = Clock::system().now_ms();
    explain(stream, open(&args.file)?, args.json, now_ms, out)
}

/// Explains the lines of `input` as records that arrive at `now_ms`.
pub(super) fn explain(
    stream: &StreamSettings,
    mut input: impl BufRead,
    as_json: bool,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut explainer = Explainer::new(stream, now_ms)?;
    let mut line = Vec::new();
    let (mut number, mut counts) = (0_u64, Counts::default());
    while let Some(length) = next_line(&mut input, &mut line)? {
        number += 1;
        let verdict = match length {
            Length::Empty => continue,
            Length::Fits => explainer.judge(&line),
            Length::TooLong => Verdict::Refused,
        };
        counts.add(&verdict);
        if as_json {
            writeln!(out, "{}", verdict.to_json(number))?;
        } else {
            verdict.write_text(number, out)?;
        }
    }
    if !as_json {
        let Counts {
            delivered,
            failed,
            refused,
        } = counts;
        writeln!(
            out,
            "{delivered} delivered, {failed} failed, {refused} refused"
        )?;
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    delivered: u64,
    failed: u64,
    refused: u64,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Delivered { .. } => self.delivered += 1,
            Verdict::Failed { .. } => self.failed += 1,
            Verdict::Refused => self.refused += 1,
        }
    }
}

/// What would become of a record.
enum Verdict {
    Delivered {
        keys: Vec<(String, String)>,
        object: String,
        backup: Option<String>,
    },
    Failed {
        failure: Failure,
        object: String,
        line: Vec<u8>,
        backup: Option<String>,
    },
    /// Larger than the API accepts.
    Refused,
}

/// A stream's outputs with a worker's scratch.
struct Explainer<'s> {
    stream: &'s StreamSettings,
    outputs: Outputs,
    scratch: Scratch,
    format: Format,
    encoder: Encoder,
    now_ms: i64,
}

impl<'s> Explainer<'s> {
    fn new(stream: &'s StreamSettings, now_ms: i64) -> anyhow::Result<Self> {
        let outputs = Outputs::compile(stream, BTreeMap::new()).map_err(anyhow::Error::msg)?;
        let format = Format::compile(&stream.format)?;
        let (scratch, encoder) = (outputs.partitioner.scratch(), format.encoder());
        Ok(Self {
            stream,
            outputs,
            scratch,
            format,
            encoder,
            now_ms,
        })
    }

    fn judge(&mut self, data: &[u8]) -> Verdict {
        let record = Record::new(data, self.now_ms, Position::default());
        let backup = self.outputs.has_backup().then(|| {
            let identity = self.outputs.backup_identity();
            self.location(Lane::Backup, &identity)
        });
        match self.partition(&record) {
            Ok((keys, identity)) => Verdict::Delivered {
                keys,
                object: self.location(Lane::Data, &identity),
                backup,
            },
            Err(failure) => {
                let mut line = Vec::new();
                failure.write_line(&record, 1, self.now_ms, &mut line);
                let object = self.location(Lane::Error(failure.output_type), "");
                Verdict::Failed {
                    failure,
                    object,
                    line,
                    backup,
                }
            }
        }
    }

    /// Keys and identity of the record's partition, if it has one and fits the format.
    fn partition(
        &mut self,
        record: &Record<'_>,
    ) -> Result<(Vec<(String, String)>, String), Failure> {
        let mut identity = Vec::new();
        self.outputs
            .partitioner
            .partition(&mut self.scratch, record, &mut identity)?;
        let keys = self.outputs.partitioner.keys(&mut self.scratch, record)?;
        self.format.check(&mut self.encoder, record)?;
        // Identities are put together from text; nothing is lost here.
        Ok((keys, String::from_utf8_lossy(&identity).into_owned()))
    }

    /// Where the object would be if a batch opened now.
    fn location(&self, lane: Lane, identity: &str) -> String {
        let key = self
            .outputs
            .target(lane, identity, self.now_ms, Uuid::nil())
            .key;
        let nil = Uuid::nil().to_string();
        let key = match key.rsplit_once(&nil) {
            Some((head, extension)) => format!("{head}<uuid>{extension}"),
            None => key,
        };
        match &self.stream.destination.store {
            StoreSettings::Folder { path } => path.join(key).display().to_string(),
            StoreSettings::S3(s3) => format!("s3://{}/{key}", s3.bucket),
        }
    }
}

impl Verdict {
    fn to_json(&self, number: u64) -> Value {
        match self {
            Self::Delivered {
                keys,
                object,
                backup,
            } => {
                let keys: serde_json::Map<String, Value> = keys
                    .iter()
                    .map(|(name, value)| (name.clone(), json!(value)))
                    .collect();
                json!({"line": number, "outcome": "delivered", "keys": keys, "object": object,
                       "backup": backup})
            }
            Self::Failed {
                failure,
                object,
                line,
                backup,
            } => {
                let line: Value = serde_json::from_slice(line).unwrap_or_default();
                json!({"line": number, "outcome": "failed",
                       "errorOutputType": failure.output_type.as_str(), "errorCode": failure.code,
                       "errorMessage": failure.message, "object": object, "errorRecord": line,
                       "backup": backup})
            }
            Self::Refused => json!({"line": number, "outcome": "refused",
                                    "errorMessage": refusal()}),
        }
    }

    fn write_text(&self, number: u64, out: &mut dyn Write) -> io::Result<()> {
        let backup = match self {
            Self::Delivered {
                keys,
                object,
                backup,
            } => {
                writeln!(out, "{number}: delivered")?;
                if !keys.is_empty() {
                    let pair = |(name, value): &(String, String)| format!("{name}={value}");
                    let keys: Vec<String> = keys.iter().map(pair).collect();
                    writeln!(out, "   keys    {}", shown(&keys.join(", ")))?;
                }
                writeln!(out, "   object  {}", shown(object))?;
                backup
            }
            Self::Failed {
                failure,
                object,
                line,
                backup,
            } => {
                let output_type = failure.output_type.as_str();
                writeln!(out, "{number}: failed, {output_type}")?;
                writeln!(
                    out,
                    "   why     {}: {}",
                    failure.code,
                    shown(&failure.message)
                )?;
                writeln!(out, "   object  {}", shown(object))?;
                let line = String::from_utf8_lossy(line);
                writeln!(out, "   line    {}", shown(line.trim_end()))?;
                backup
            }
            Self::Refused => return writeln!(out, "{number}: refused, {}", refusal()),
        };
        match backup {
            Some(backup) => writeln!(out, "   backup  {}", shown(backup)),
            None => Ok(()),
        }
    }
}
