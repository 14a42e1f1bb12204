//! What `firehose transform test` says: the records' fates or where they are not as expected, and a
//! summary.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::anyhow;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::super::CommandError;
use super::super::lines::refusal;
use super::super::shown::{plural, shown};
use super::fate::{Fate, code};
use super::host::CompiledModule;
use crate::printable::printable;
use crate::transform::{Verdict, Workshop};

/// What is to become of a record.
#[derive(Default)]
pub(super) struct Expected {
    /// Where that is written, if not in the record's own line.
    place: Option<String>,
    /// `None` where the file has ended.
    fate: Option<Fate>,
}

impl Expected {
    /// What the record's own line says.
    pub(super) const fn here(fate: Fate) -> Self {
        Self {
            place: None,
            fate: Some(fate),
        }
    }

    /// What another file says.
    pub(super) const fn at(place: String, fate: Fate) -> Self {
        Self {
            place: Some(place),
            fate: Some(fate),
        }
    }

    fn lines(&self) -> Vec<String> {
        self.fate.as_ref().map_or_else(Vec::new, Fate::lines)
    }
}

/// Writes as it goes.
pub(super) struct Report<'w> {
    as_json: bool,
    /// Whether only differences are shown.
    only_differences: bool,
    out: &'w mut dyn Write,
    err: &'w mut dyn Write,
    records: u64,
    passed: u64,
    outputs: u64,
    dropped: u64,
    failed: BTreeMap<&'static str, u64>,
    refused: u64,
    compared: u64,
    differences: u64,
    took: Duration,
    memory_peak: usize,
    log_lines: u64,
}

impl<'w> Report<'w> {
    pub(super) fn new(
        as_json: bool,
        only_differences: bool,
        out: &'w mut dyn Write,
        err: &'w mut dyn Write,
    ) -> Self {
        Self {
            as_json,
            only_differences,
            out,
            err,
            records: 0,
            passed: 0,
            outputs: 0,
            dropped: 0,
            failed: BTreeMap::new(),
            refused: 0,
            compared: 0,
            differences: 0,
            took: Duration::ZERO,
            memory_peak: 0,
            log_lines: 0,
        }
    }

    /// Time in the module.
    pub(super) fn took(&mut self, time: Duration) {
        self.took += time;
    }

    /// Memory that instances have held.
    pub(super) fn memory(&mut self, workshop: &Workshop) {
        let peaks = workshop.memory_peaks();
        self.memory_peak = peaks.fold(self.memory_peak, usize::max);
    }

    /// Writes what the module has logged since.
    pub(super) fn log(&mut self, host: &CompiledModule) -> io::Result<()> {
        self.log_lines += host.log.write(self.err)?;
        Ok(())
    }

    /// A line that is no record.
    pub(super) fn refused(&mut self, line: u64) -> io::Result<()> {
        self.refused += 1;
        if self.as_json {
            let refused = json!({"line": line, "outcome": "refused", "errorMessage": refusal()});
            return writeln!(self.out, "{refused}");
        }
        writeln!(self.out, "{line}: refused, {}", refusal())
    }

    /// An expectation without a record.
    pub(super) fn unmet(&mut self, expected: &Expected) -> io::Result<()> {
        self.compared += 1;
        self.differences += 1;
        if self.as_json {
            let fate = expected.fate.as_ref().map(Fate::to_json);
            return writeln!(self.out, "{}", json!({"outcome": null, "expected": fate}));
        }
        let place = expected.place.as_deref().unwrap_or_default();
        let title = format!("{place} expects a record more");
        self.differs(&title, &expected.lines(), &[])
    }

    /// A record that went through the module.
    pub(super) fn record(
        &mut self,
        line: u64,
        verdict: &Verdict,
        expected: Option<Expected>,
    ) -> io::Result<()> {
        let fate = Fate::of(verdict);
        self.count(&fate, verdict);
        let differs = expected
            .as_ref()
            .is_some_and(|it| it.fate.as_ref() != Some(&fate));
        self.compared += u64::from(expected.is_some());
        self.differences += u64::from(differs);
        if self.as_json {
            let mut said = to_json(line, &fate, verdict);
            if let Some(expected) = expected.filter(|_| differs) {
                said["expected"] = expected.fate.as_ref().map_or(Value::Null, Fate::to_json);
            }
            return writeln!(self.out, "{said}");
        }
        match expected {
            Some(expected) if differs => {
                let title = match (&expected.place, &expected.fate) {
                    (_, None) => format!("{line}: nothing more is expected"),
                    (Some(place), _) => format!("{line}: not as {place} expects"),
                    (None, _) => format!("{line}: not as expected"),
                };
                let mut found = fate.lines();
                if let Err((failure, _)) = verdict
                    && code(failure) != RECORD_FAILED
                {
                    found.push(format!("code    {}", code(failure)));
                }
                self.differs(&title, &expected.lines(), &found)
            }
            _ if self.only_differences => Ok(()),
            _ => self.show(line, &fate, verdict),
        }
    }

    fn count(&mut self, fate: &Fate, verdict: &Verdict) {
        self.records += 1;
        match (fate, verdict) {
            (Fate::Outputs(outputs), _) => {
                self.passed += 1;
                self.outputs += outputs.len() as u64;
            }
            (_, Err((failure, _))) => *self.failed.entry(code(failure)).or_default() += 1,
            _ => self.dropped += 1,
        }
    }

    fn show(&mut self, line: u64, fate: &Fate, verdict: &Verdict) -> io::Result<()> {
        let out = &mut self.out;
        if let Err((failure, attempts)) = verdict {
            let (code, noun) = (code(failure), plural(u64::from(*attempts), "attempt"));
            writeln!(out, "{line}: failed, {code}, {noun}")?;
            return writeln!(out, "   why     {}", shown(&failure.message));
        }
        writeln!(out, "{line}: {}", fate.title())?;
        if let Fate::Outputs(_) = fate {
            for line in fate.lines() {
                writeln!(out, "   {}", shown(&line))?;
            }
        }
        Ok(())
    }

    /// A config, and why the module refuses it, if it does.
    pub(super) fn config(
        &mut self,
        line: u64,
        refused: Option<&str>,
        expected: Option<&str>,
    ) -> io::Result<()> {
        let differs = refused != expected;
        self.compared += 1;
        self.differences += u64::from(differs);
        if self.as_json {
            let mut said = json!({"line": line, "outcome": "configured", "error": refused});
            if differs {
                said["expected"] = json!({"error": expected});
            }
            return writeln!(self.out, "{said}");
        }
        if !differs {
            return Ok(());
        }
        let lines = |refused: Option<&str>| match refused {
            Some(why) => [format!("refused {}", printable(why))],
            None => ["accepted".to_owned()],
        };
        let title = format!("{line}: config not as expected");
        self.differs(&title, &lines(expected), &lines(refused))
    }

    /// Shows two lists of lines: what they share at both ends once, the rest of each.
    fn differs(&mut self, title: &str, expected: &[String], found: &[String]) -> io::Result<()> {
        let shared = |pairs: &mut dyn Iterator<Item = (&String, &String)>| {
            pairs.take_while(|(one, other)| one == other).count()
        };
        let head = shared(&mut expected.iter().zip(found));
        let (expected, found_rest) = (&expected[head..], &found[head..]);
        let tail = shared(&mut expected.iter().rev().zip(found_rest.iter().rev()));
        let (missing, _) = expected.split_at(expected.len() - tail);
        let (extra, tail) = found_rest.split_at(found_rest.len() - tail);
        let out = &mut self.out;
        writeln!(out, "{title}")?;
        for (sign, lines) in [
            (' ', &found[..head]),
            ('-', missing),
            ('+', extra),
            (' ', tail),
        ] {
            for line in lines {
                writeln!(out, " {sign} {line}")?;
            }
        }
        Ok(())
    }

    /// The summary. Differences are a failure.
    pub(super) fn finish(self, host: &CompiledModule) -> Result<(), CommandError> {
        let to: &mut dyn Write = if self.as_json { self.err } else { self.out };
        let failed: u64 = self.failed.values().sum();
        let mut counts = vec![
            format!(
                "{} passed with {}",
                self.passed,
                plural(self.outputs, "output")
            ),
            format!("{} dropped", self.dropped),
            format!("{failed} failed"),
        ];
        if self.refused > 0 {
            counts.push(format!("{} refused", self.refused));
        }
        writeln!(
            to,
            "{}: {}",
            plural(self.records, "record"),
            counts.join(", ")
        )?;
        for (code, count) in &self.failed {
            writeln!(to, "   {count} {code}")?;
        }
        if self.records > 0 {
            let records = u32::try_from(self.records).unwrap_or(u32::MAX);
            let (each, memory) = (self.took / records, HumanBytes(self.memory_peak as u64));
            write!(to, "{each:.1?} a record, {memory} of memory at most, ")?;
        }
        write!(to, "{}", plural(self.log_lines, "log line"))?;
        match host.module.suppressed_log_lines() {
            0 => writeln!(to)?,
            more => writeln!(to, ", {more} more beyond the limit")?,
        }
        if self.differences > 0 {
            let (differences, compared) = (self.differences, self.compared);
            return Err(anyhow!("{differences} of {compared} are not as expected").into());
        }
        if self.compared > 0 {
            writeln!(to, "all {} are as expected", self.compared)?;
        }
        Ok(())
    }
}

/// What a module says that fails a record on purpose.
const RECORD_FAILED: &str = "Transform.RecordFailed";

fn to_json(line: u64, fate: &Fate, verdict: &Verdict) -> Value {
    let mut said = json!({"line": line, "outcome": fate.word(), "out": fate.to_json()});
    if let Err((failure, attempts)) = verdict {
        said["errorCode"] = json!(code(failure));
        said["attempts"] = json!(attempts);
    }
    said
}
