//! `firehose explain`: what would happen to records, one input line each. Nothing is written.
//!
//! The stream's own compiled outputs and modules answer, the ones that the daemon runs. Each record
//! is judged by itself, as if it were the first of its batch: what depends on others (a full journal,
//! the limit of open partitions) is not foreseen.
//! For columns the rows are shown as they will be read back, and what of the record is not in them.

mod counts;
mod judge;
mod rows;
mod verdict;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::lines::{Length, next_line, open};
use super::{CommandError, settings};
use crate::clock::Clock;
use crate::config::StreamSettings;
use counts::Counts;
use judge::Judge;
use verdict::Explanation;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The delivery stream.
    pub stream: String,
    /// Records, one a line; `-` reads standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// One JSON document for each record, and a last one with the counts.
    #[arg(long)]
    pub json: bool,
}

/// Explains every line of the file to `out`; what modules log goes to `err`.
pub(super) fn run(
    config: &Path,
    args: &ExplainArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let loaded = settings::load(config)?;
    let stream = settings::stream(&loaded.config, &args.stream)?;
    let now_ms = Clock::system().now_ms();
    explain(stream, open(&args.file)?, args.json, now_ms, out, err)
}

/// Explains the lines of `input` as records that arrive at `now_ms`.
pub(super) fn explain(
    stream: &StreamSettings,
    mut input: impl BufRead,
    as_json: bool,
    now_ms: i64,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut judge = Judge::new(stream, now_ms)?;
    let mut line = Vec::new();
    let (mut number, mut counts) = (0_u64, Counts::default());
    while let Some(length) = next_line(&mut input, &mut line)? {
        number += 1;
        let verdict = match length {
            Length::Empty => continue,
            Length::Fits => judge.judge(&line),
            Length::TooLong => Explanation::Refused,
        };
        judge.log().write(err)?;
        counts.add(&verdict);
        if as_json {
            writeln!(out, "{}", verdict.to_json(number))?;
        } else {
            verdict.write_text(number, out)?;
        }
    }
    if as_json {
        writeln!(out, "{}", counts.to_json())?;
    } else {
        counts.write_text(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
