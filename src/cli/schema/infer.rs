//! `firehose schema infer`: columns that fit sample records, ready for `schema` in the config.
//!
//! The columns are output; what was seen, and what has no column, is said beside. In the end each record of the
//! sample is converted with the columns, as the daemon would.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Value, json};

use super::super::CommandError;
use super::super::lines::open;
use super::super::shown::shown;
use super::sample::{SampleItem, SampleReader, unpacked};
use crate::config::{display_size, parse_size};
use crate::format::{Finding, Inference, Remark, Style, Trial};

/// Refused records of which it is said why.
const REFUSED_TOLD: usize = 10;

/// Arguments of `schema infer`.
#[derive(Debug, Args)]
pub struct InferArgs {
    /// Sample records as JSON, a text a line or one after the other, plain or in gzip; `-` reads standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Read so many records at most.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    records: u64,
    /// Read so many bytes at most, unpacked.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    bytes: u64,
    /// One JSON document, with the columns and all that was seen.
    #[arg(long)]
    json: bool,
}

/// What was read, and what came of it.
struct InferReport {
    inference: Inference,
    /// Records that were observed.
    records: u64,
    /// Lines of what was not, and why; of some of it.
    refused: Vec<(u64, String)>,
    /// How often there was something that was not observed.
    refusals: u64,
    /// What said that no more be read.
    bound: Option<String>,
}

/// Infers columns from the sample; none at all are a failure.
pub(super) fn run(
    args: &InferArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let name = args.file.display();
    let input = unpacked(open(&args.file)?);
    let input = input.with_context(|| format!("{name} cannot be read"))?;
    let mut report = InferReport {
        inference: Inference::default(),
        records: 0,
        refused: Vec::new(),
        refusals: 0,
        bound: None,
    };
    let mut sample = SampleReader::new(input, args.bytes);
    let kept = report.read(&mut sample, args);
    let kept = kept.with_context(|| format!("{name} cannot be read"))?;
    let columns = report.inference.columns();
    let text = columns.lines(Style::Config);
    if !columns.is_empty() {
        report.convert(&text, &kept)?;
    }
    if args.json {
        writeln!(out, "{}", report.to_json(&text))?;
    } else {
        if !columns.is_empty() {
            writeln!(out, "{text}")?;
        }
        report.write(err)?;
    }
    if columns.is_empty() {
        return Err(anyhow!("nothing in the sample has a type, so there is no column").into());
    }
    Ok(())
}

impl InferReport {
    /// Observes the sample; gives its records back, with their lines.
    fn read(
        &mut self,
        sample: &mut SampleReader<impl io::BufRead>,
        args: &InferArgs,
    ) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut kept = Vec::new();
        // A record too many is not waited for.
        while self.records < args.records
            && let Some(next) = sample.next()?
        {
            let (line, data) = match next {
                SampleItem::Record(line, data) => (line, data),
                SampleItem::Unreadable(line, why) => {
                    self.refuse(line, why);
                    continue;
                }
            };
            match self.inference.observe(&data) {
                Ok(()) => {
                    self.records += 1;
                    kept.push((line, data));
                }
                Err(failure) => self.refuse(line, failure.message.into_owned()),
            }
        }
        if self.records == args.records {
            self.bound = Some(format!("--records {}", args.records));
        } else if sample.is_cut() {
            self.bound = Some(format!("--bytes {}", display_size(args.bytes)));
        }
        Ok(kept)
    }

    /// Converts the sample; what the bounds of a single record do not let pass is told.
    fn convert(&mut self, text: &str, kept: &[(u64, Vec<u8>)]) -> Result<(), CommandError> {
        let trial = Trial::of(text);
        let mut trial = trial.map_err(|fault| anyhow!("the columns are none: {fault}\n{text}"))?;
        for (line, data) in kept {
            if let Err(failure) = trial.convert(data) {
                self.refuse(*line, failure.message.into_owned());
            }
        }
        Ok(())
    }

    fn refuse(&mut self, line: u64, why: String) {
        self.refusals += 1;
        if self.refused.len() < REFUSED_TOLD {
            self.refused.push((line, why));
        }
    }

    fn write(&self, err: &mut dyn Write) -> io::Result<()> {
        let noun = if self.records == 1 {
            "record"
        } else {
            "records"
        };
        write!(err, "seen in {} {noun}", self.records)?;
        if let Some(bound) = &self.bound {
            write!(err, " (stopped at {bound})")?;
        }
        writeln!(err, ":")?;
        let findings = self.inference.findings();
        let width = findings.iter().map(|finding| finding.path.chars().count());
        let width = width.max().unwrap_or(0).min(40);
        let (typed, others): (Vec<_>, Vec<_>) =
            findings.iter().partition(|finding| finding.kind.is_some());
        for finding in typed {
            writeln!(err, "  {:width$}  {}", shown(&finding.path), seen(finding))?;
        }
        if !others.is_empty() || self.inference.left_out() > 0 {
            writeln!(err, "in no column:")?;
        }
        for finding in others {
            writeln!(err, "  {:width$}  {}", shown(&finding.path), seen(finding))?;
        }
        if self.inference.left_out() > 0 {
            let count = self.inference.left_out();
            writeln!(err, "  {count} members more, beyond the bounds of a schema")?;
        }
        if self.refusals > 0 {
            writeln!(err, "not fit for any column: {}", self.refusals)?;
        }
        for (line, why) in &self.refused {
            writeln!(err, "  line {line}: {}", shown(why))?;
        }
        if self.refusals > self.refused.len() as u64 {
            writeln!(err, "  …")?;
        }
        Ok(())
    }

    fn to_json(&self, text: &str) -> Value {
        let columns = self.inference.columns().texts(Style::Config).into_iter();
        let columns: Vec<Value> = columns
            .map(|(name, kind)| json!({ "name": name, "type": kind }))
            .collect();
        let refused = self.refused.iter();
        let refused: Vec<Value> = refused
            .map(|(line, why)| json!({ "line": line, "reason": why }))
            .collect();
        let findings: Vec<Value> = self.inference.findings().iter().map(finding_json).collect();
        json!({
            "schema": text,
            "columns": columns,
            "records": self.records,
            "rows": self.inference.rows(),
            "bound": self.bound,
            "seen": findings,
            "leftOut": self.inference.left_out(),
            "refusals": self.refusals,
            "refused": refused,
        })
    }
}

/// How often what was seen, and what should be known of it.
fn seen(finding: &Finding) -> String {
    let Finding { values, of, .. } = finding;
    let mut text = format!("in {values}");
    if values != of {
        _ = write!(text, " of {of}");
    }
    let counts = finding.seen.iter();
    let counts: Vec<String> = counts
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    if !counts.is_empty() {
        _ = write!(text, ": {}", counts.join(", "));
    }
    if let Some(kind) = &finding.kind {
        _ = write!(text, " → {}", shown(kind));
    }
    let remarks: Vec<String> = finding.remarks.iter().map(Remark::to_string).collect();
    if !remarks.is_empty() {
        _ = write!(text, "; {}", remarks.join("; "));
    }
    text
}

fn finding_json(finding: &Finding) -> Value {
    let seen: serde_json::Map<String, Value> = finding
        .seen
        .iter()
        .map(|(kind, count)| ((*kind).to_owned(), json!(count)))
        .collect();
    let remarks: Vec<&str> = finding.remarks.iter().map(|remark| remark.word()).collect();
    json!({
        "path": finding.path,
        "type": finding.kind,
        "values": finding.values,
        "of": finding.of,
        "seen": seen,
        "remarks": remarks,
    })
}
