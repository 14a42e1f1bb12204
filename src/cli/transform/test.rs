//! `firehose transform test`: records through one module, exactly as the daemon would take them, and
//! what becomes of each.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::super::CommandError;
use super::super::lines::{Length, next_line, open};
use super::host::{CompiledModule, HostArgs};
use super::pairs::{PairLine, parse_fate};
use super::report::{Expected, Report};
use crate::error::with_causes;
use crate::position::Sequence;
use crate::record::ChunkBuilder;
use crate::transform::Workshop;

/// Records go through the module in chunks of about so many bytes, as they come out of the journal.
const CHUNK_BYTES: usize = 1 << 20;

/// How a pairs file is written.
const PAIRS: &str = r#"A pairs file has one JSON object a line:
  {"in": "a record", "out": ["an output"]}       "in_base64" for bytes that are no text
  {"in": "a record", "out": "dropped"}
  {"in": "a record", "out": {"failed": "why"}}
  {"config": {"key": "value"}}                   the config of the lines after it
  {"config": {}, "error": "why"}                 a config that must be refused so
An output with partition keys is {"data": "…", "keys": {"name": "value"}}; "data_base64" for bytes.
Before the first line with a config it is that of --module-config or --stream, or empty."#;

/// Arguments of `transform test`.
#[derive(Debug, Args)]
#[command(after_long_help = PAIRS, after_help = PAIRS)]
pub struct TestArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Records, one a line; `-` reads standard input.
    input: PathBuf,
    /// What shall become of the records, a JSON line for each: a list of outputs, "dropped" or
    /// {"failed": why}. Only differences are shown; the exit code is 1 if there are any.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// INPUT is a pairs file: configs, records and what shall become of them. Only differences are
    /// shown; the exit code is 1 if there are any. The lines are described at the end of this help.
    #[arg(long, conflicts_with = "expect")]
    pairs: bool,
    /// When the records arrive, in milliseconds since 1970: the time that modules see.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    arrival: i64,
    /// One JSON document for each record; the summary goes to standard error.
    #[arg(long)]
    json: bool,
}

/// Tests the module; differences are a failure.
pub(super) fn run(
    args: &TestArgs,
    config: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let host = CompiledModule::compile(&args.host, config)?;
    let input = open(&args.input)?;
    let report = Report::new(args.json, args.expect.is_some() || args.pairs, out, err);
    let mut run = Run {
        host,
        arrival_ms: args.arrival,
        workshop: None,
        refused: None,
        chunk: ChunkBuilder::with_room(0, 0),
        waiting: Vec::new(),
        next: Sequence(0),
        report,
    };
    if args.pairs {
        run.pairs(input, &args.input)?;
    } else {
        run.lines(input, args.expect.as_deref())?;
    }
    run.report.finish(&run.host)
}

struct Run<'r> {
    host: CompiledModule,
    arrival_ms: i64,
    /// Where the records go; `None` while there is no config that the module takes.
    workshop: Option<Workshop>,
    /// The last line with a config, if the module refused that.
    refused: Option<u64>,
    /// Records that have not gone through the module yet,
    chunk: ChunkBuilder,
    /// and for each its line, and what it shall become.
    waiting: Vec<(u64, Option<Expected>)>,
    next: Sequence,
    report: Report<'r>,
}

impl Run<'_> {
    /// Records one a line, expectations in a file of their own.
    fn lines(
        &mut self,
        mut input: impl BufRead,
        expect: Option<&Path>,
    ) -> Result<(), CommandError> {
        let mut expected = expect.map(read_expected).transpose()?.map(Vec::into_iter);
        let workshop = self.host.workshop(None).map_err(anyhow::Error::from);
        self.report.log(&self.host)?;
        self.workshop = Some(workshop?);
        let (mut number, mut line) = (0, Vec::new());
        while let Some(length) = next_line(&mut input, &mut line)? {
            number += 1;
            match length {
                Length::Empty => {}
                Length::TooLong => {
                    self.flush()?;
                    self.report.refused(number)?;
                }
                Length::Fits => {
                    let expected = expected.as_mut();
                    let expected = expected.map(|rest| rest.next().unwrap_or_default());
                    self.push(number, &line, expected)?;
                }
            }
        }
        self.flush()?;
        for unmet in expected.into_iter().flatten() {
            self.report.unmet(&unmet)?;
        }
        Ok(())
    }

    /// Configs, records and expectations in one file.
    fn pairs(&mut self, input: impl BufRead, path: &Path) -> Result<(), CommandError> {
        for (number, text) in (1..).zip(input.lines()) {
            let place = || format!("{}:{number}", path.display());
            let text = text.with_context(place)?;
            if text.trim().is_empty() {
                continue;
            }
            match PairLine::parse(&text).with_context(place)? {
                PairLine::Config { config, refused } => {
                    self.flush()?;
                    self.configure(number, config, refused.as_deref())?;
                }
                PairLine::Pair { record, fate } => {
                    if let Some(line) = self.refused {
                        let why =
                            "no record can go through the module, which has refused the config";
                        return Err(anyhow!("{}: {why} of line {line}", place()).into());
                    }
                    if self.workshop.is_none() {
                        self.begin(&place())?;
                    }
                    self.push(number, &record, Some(Expected::here(fate)))?;
                }
            }
        }
        self.flush()
    }

    /// Has a workshop without a line that names a config.
    fn begin(&mut self, place: &str) -> Result<(), CommandError> {
        let workshop = self.host.workshop(None);
        self.report.log(&self.host)?;
        self.workshop = Some(workshop.map_err(|error| {
            let help = "a line {\"config\": {…}} before it gives another config";
            anyhow!("{place}: {}; {help}", with_causes(&error))
        })?);
        Ok(())
    }

    fn configure(
        &mut self,
        line: u64,
        config: String,
        refused: Option<&str>,
    ) -> Result<(), CommandError> {
        let tried = self.host.workshop(Some(config));
        self.report.log(&self.host)?;
        let why = tried.as_ref().err().map(|error| {
            let cause = error.cause();
            cause.strip_prefix("configure: ").unwrap_or(cause)
        });
        self.report.config(line, why, refused)?;
        self.refused = tried.is_err().then_some(line);
        self.retire(tried.ok());
        Ok(())
    }

    /// Replaces the workshop.
    fn retire(&mut self, successor: Option<Workshop>) {
        if let Some(old) = std::mem::replace(&mut self.workshop, successor) {
            self.report.memory(&old);
        }
    }

    fn push(
        &mut self,
        line: u64,
        record: &[u8],
        expected: Option<Expected>,
    ) -> Result<(), CommandError> {
        self.chunk.push(record, self.arrival_ms, self.next);
        self.next = self.next.plus(1);
        self.waiting.push((line, expected));
        if self.chunk.bytes() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes what waits through the module.
    fn flush(&mut self) -> Result<(), CommandError> {
        let empty = ChunkBuilder::with_room(0, 0);
        let chunk = std::mem::replace(&mut self.chunk, empty).finish();
        let Some(workshop) = self.workshop.as_mut().filter(|_| !chunk.is_empty()) else {
            return Ok(());
        };
        let begun = Instant::now();
        let verdicts = workshop.step(0, &chunk);
        self.report.took(begun.elapsed());
        self.report.memory(workshop);
        self.report.log(&self.host)?;
        for ((line, expected), verdict) in self.waiting.drain(..).zip(verdicts) {
            self.report.record(line, &verdict, expected)?;
        }
        Ok(())
    }
}

/// Reads the file of `--expect`.
fn read_expected(path: &Path) -> anyhow::Result<Vec<Expected>> {
    let mut all = Vec::new();
    for (number, line) in (1_u64..).zip(open(path)?.lines()) {
        let place = format!("{}:{number}", path.display());
        let line = line.with_context(|| place.clone())?;
        if !line.trim().is_empty() {
            let fate = parse_fate(&line).with_context(|| place.clone())?;
            all.push(Expected::at(place, fate));
        }
    }
    Ok(all)
}
