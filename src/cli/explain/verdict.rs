//! What would become of a record, as text and as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::super::lines::refusal;
use super::super::shown::shown;
use super::super::transform::fate::Fate;
use super::rows;
use crate::failure::Failure;
use crate::format::Row;
use crate::parse::ParsedPiece;

/// What would become of a record.
pub(super) enum Explanation {
    /// The stream has no transforms.
    Plain {
        delivery: Delivery,
        backup: Option<String>,
    },
    /// The stream has no transforms, and the record is several JSON texts.
    Deaggregated {
        deliveries: Vec<Delivery>,
        backup: Option<String>,
    },
    /// It has transforms, or a parser.
    Transformed {
        parsed: Option<ParseStep>,
        steps: Vec<ModuleStep>,
        deliveries: Vec<Delivery>,
        dropped: u64,
        backup: Option<String>,
    },
    /// Larger than the API accepts.
    Refused,
}

/// What the parser makes of the record.
pub(super) struct ParseStep {
    parser: &'static str,
    fate: Fate,
    failed: usize,
}

/// What one module makes of the record, or of an output of the module before.
pub(super) struct ModuleStep {
    /// Place of the module in the chain.
    pub(super) at: usize,
    pub(super) module: String,
    /// Which output of the modules before, if any are before.
    pub(super) input: Option<u32>,
    pub(super) fate: Fate,
    /// Code and number of calls of a failure.
    pub(super) failure: Option<(&'static str, u32)>,
}

/// Where the record, or one output of the transforms, would go.
pub(super) enum Delivery {
    Delivered {
        output: Option<u32>,
        /// Which of several JSON texts of the record, or of the output.
        text: Option<u32>,
        keys: Vec<(String, String)>,
        object: String,
        /// The object it would go to if its partition were over.
        late: Option<String>,
        /// For formats with columns.
        rows: Vec<Row>,
    },
    Failed {
        output: Option<u32>,
        text: Option<u32>,
        failure: Failure,
        object: String,
        line: Vec<u8>,
    },
}

impl Explanation {
    pub(super) fn to_json(&self, number: u64) -> Value {
        match self {
            Self::Plain { delivery, backup } => {
                let mut said = delivery.to_json();
                said["line"] = json!(number);
                said["backup"] = json!(backup);
                said
            }
            Self::Deaggregated { deliveries, backup } => {
                let deliveries: Vec<Value> = deliveries.iter().map(Delivery::to_json).collect();
                json!({"line": number, "outcome": "deaggregated", "deliveries": deliveries,
                       "backup": backup})
            }
            Self::Transformed {
                parsed,
                steps,
                deliveries,
                dropped,
                backup,
            } => {
                let outcome = outcome(parsed.as_ref(), steps);
                let steps: Vec<Value> = steps.iter().map(ModuleStep::to_json).collect();
                let delivery = |delivery: &Delivery| {
                    let mut said = delivery.to_json();
                    said["output"] = json!(delivery.output());
                    said
                };
                let deliveries: Vec<Value> = deliveries.iter().map(delivery).collect();
                let mut said = json!({"line": number, "outcome": outcome, "transforms": steps,
                                      "deliveries": deliveries, "dropped": dropped, "backup": backup});
                if let Some(step) = parsed {
                    said["parse"] = step.to_json();
                }
                said
            }
            Self::Refused => json!({"line": number, "outcome": "refused",
                                    "errorMessage": refusal()}),
        }
    }

    pub(super) fn write_text(&self, number: u64, out: &mut dyn Write) -> io::Result<()> {
        let backup = match self {
            Self::Plain { delivery, backup } => {
                writeln!(out, "{number}: {}", delivery.title())?;
                delivery.write_text("", out)?;
                backup
            }
            Self::Deaggregated { deliveries, backup } => {
                writeln!(out, "{number}: {} JSON texts", deliveries.len())?;
                for delivery in deliveries {
                    delivery.write_part(out)?;
                }
                backup
            }
            Self::Transformed {
                parsed,
                steps,
                deliveries,
                dropped,
                backup,
            } => {
                writeln!(out, "{number}: {}", outcome(parsed.as_ref(), steps))?;
                if let Some(step) = parsed {
                    step.write_text(out)?;
                }
                for step in steps {
                    step.write_text(out)?;
                }
                for delivery in deliveries {
                    delivery.write_part(out)?;
                }
                if *dropped > 0 {
                    writeln!(out, "   {dropped} dropped")?;
                }
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

/// What a parser and modules have done, in a word.
const fn outcome(parsed: Option<&ParseStep>, steps: &[ModuleStep]) -> &'static str {
    match parsed {
        Some(_) if steps.is_empty() => "parsed",
        _ => "transformed",
    }
}

impl ParseStep {
    pub(super) fn of(parser: &'static str, piece: &ParsedPiece) -> Self {
        let outputs = piece.outputs.iter();
        let outputs: Vec<_> = outputs
            .map(|record| (record.data.to_vec(), BTreeMap::new()))
            .collect();
        let fate = match piece.failed.first() {
            Some(failed) if outputs.is_empty() => Fate::Failed(failed.failure.message.to_string()),
            None if outputs.is_empty() => Fate::Dropped,
            _ => Fate::Outputs(outputs),
        };
        Self {
            parser,
            fate,
            failed: piece.failed.len(),
        }
    }

    fn to_json(&self) -> Value {
        json!({"type": self.parser, "outcome": self.fate.word(), "out": self.fate.to_json(),
               "failed": self.failed})
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "   {}: {}", self.parser, self.fate.title())?;
        if let (Fate::Outputs(_), 1..) = (&self.fate, self.failed) {
            write!(out, ", {} failed", self.failed)?;
        }
        writeln!(out)?;
        write_outputs(&self.fate, out)
    }
}

/// What comes out, below the line of a step.
fn write_outputs(fate: &Fate, out: &mut dyn Write) -> io::Result<()> {
    if let Fate::Outputs(_) = fate {
        for line in fate.lines() {
            writeln!(out, "      {}", shown(&line))?;
        }
    }
    Ok(())
}

impl ModuleStep {
    fn to_json(&self) -> Value {
        let mut said = json!({"module": self.module, "output": self.input,
                              "outcome": self.fate.word(), "out": self.fate.to_json()});
        if let Some((code, attempts)) = self.failure {
            said["errorCode"] = json!(code);
            said["attempts"] = json!(attempts);
        }
        said
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "   {}", self.module)?;
        if let Some(input) = self.input {
            write!(out, " of output {input}")?;
        }
        writeln!(out, ": {}", self.fate.title())?;
        write_outputs(&self.fate, out)
    }
}

impl Delivery {
    const fn output(&self) -> Option<u32> {
        match self {
            Self::Delivered { output, .. } | Self::Failed { output, .. } => *output,
        }
    }

    /// One of several deliveries of a record.
    fn write_part(&self, out: &mut dyn Write) -> io::Result<()> {
        let what = match (self.output(), self.text()) {
            (Some(output), Some(text)) => format!("output {output}, text {text}"),
            (Some(output), None) => format!("output {output}"),
            (None, Some(text)) => format!("text {text}"),
            (None, None) => "record".to_owned(),
        };
        writeln!(out, "   {what} {}", self.title())?;
        self.write_text("   ", out)
    }

    const fn text(&self) -> Option<u32> {
        match self {
            Self::Delivered { text, .. } | Self::Failed { text, .. } => *text,
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Delivered { .. } => "delivered".to_owned(),
            Self::Failed { failure, .. } => format!("failed, {}", failure.output_type.as_str()),
        }
    }

    fn to_json(&self) -> Value {
        let mut said = match self {
            Self::Delivered {
                keys,
                object,
                late,
                rows,
                ..
            } => {
                let pair = |(name, value): &(String, String)| (name.clone(), json!(value));
                let keys: Map<String, Value> = keys.iter().map(pair).collect();
                let mut said = json!({"outcome": "delivered", "keys": keys, "object": object});
                if let Some(late) = late {
                    said["late"] = json!(late);
                }
                if !rows.is_empty() {
                    said["rows"] = rows.iter().map(rows::to_json).collect();
                }
                said
            }
            Self::Failed {
                failure,
                object,
                line,
                ..
            } => {
                let line: Value = serde_json::from_slice(line).unwrap_or_default();
                json!({"outcome": "failed", "errorOutputType": failure.output_type.as_str(),
                       "errorCode": failure.code, "errorMessage": failure.message,
                       "object": object, "errorRecord": line})
            }
        };
        if let Some(text) = self.text() {
            said["text"] = json!(text);
        }
        said
    }

    fn write_text(&self, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Delivered {
                keys,
                object,
                late,
                rows,
                ..
            } => {
                if !keys.is_empty() {
                    let pair = |(name, value): &(String, String)| format!("{name}={value}");
                    let keys: Vec<String> = keys.iter().map(pair).collect();
                    writeln!(out, "{indent}   keys    {}", shown(&keys.join(", ")))?;
                }
                writeln!(out, "{indent}   object  {}", shown(object))?;
                if let Some(late) = late {
                    writeln!(out, "{indent}   late    {}", shown(late))?;
                }
                rows.iter()
                    .try_for_each(|row| rows::write_text(row, indent, out))
            }
            Self::Failed {
                failure,
                object,
                line,
                ..
            } => {
                let (code, message) = (&failure.code, shown(&failure.message));
                writeln!(out, "{indent}   why     {code}: {message}")?;
                writeln!(out, "{indent}   object  {}", shown(object))?;
                let line = String::from_utf8_lossy(line);
                writeln!(out, "{indent}   line    {}", shown(line.trim_end()))
            }
        }
    }
}
