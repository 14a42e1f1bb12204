//! How many records would go where, why some would fail, and what would get lost of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::super::causes::FailureCause;
use super::super::lines::refusal;
use super::rows::brief;
use super::verdict::{Delivery, Explanation};
use crate::format::{FieldPath, Row};
use crate::telemetry::Tally;

/// At most so many fields are counted by themselves.
const FIELDS_MAX: usize = 1000;
/// At most so many fields are shown: those that most records have.
const FIELDS_SHOWN: usize = 10;

/// Counts of records, or of outputs of transforms.
#[derive(Default)]
pub(super) struct Counts {
    delivered: u64,
    failed: u64,
    refused: u64,
    /// For streams with transforms.
    dropped: Option<u64>,
    causes: Tally,
    losses: [Losses; Loss::ALL.len()],
}

/// What may get lost of a record that becomes a row.
#[derive(Clone, Copy)]
enum Loss {
    Unknown,
    Missing,
    Null,
    Changed,
    Repeated,
}

/// The number of records, by field.
#[derive(Default)]
struct Losses {
    fields: BTreeMap<String, u64>,
    /// The same for fields that are not counted by themselves.
    others: u64,
}

impl Loss {
    const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Missing,
        Self::Null,
        Self::Changed,
        Self::Repeated,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::Null => "null",
            Self::Changed => "changed",
            Self::Repeated => "repeated",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "in no column",
            Self::Missing => "null, missing in the record",
            Self::Null => "null, as in the record",
            Self::Changed => "changed",
            Self::Repeated => "more than once in the record, the last one counts",
        }
    }

    fn places(self, row: &Row) -> Vec<&FieldPath> {
        match self {
            Self::Unknown => row.unknown.iter().collect(),
            Self::Missing => row.missing.iter().collect(),
            Self::Null => row.null.iter().collect(),
            Self::Changed => row.changed.iter().map(|changed| &changed.place).collect(),
            Self::Repeated => row.repeated.iter().collect(),
        }
    }
}

impl Losses {
    /// Counts a record in which these fields are concerned.
    fn add(&mut self, fields: BTreeSet<&str>) {
        for field in fields {
            if let Some(count) = self.fields.get_mut(field) {
                *count += 1;
            } else if self.fields.len() < FIELDS_MAX {
                self.fields.insert(field.to_owned(), 1);
            } else {
                self.others += 1;
            }
        }
    }

    fn to_json(&self) -> Value {
        let fields = self.fields.iter();
        let fields: Map<String, Value> = fields
            .map(|(field, count)| (field.clone(), (*count).into()))
            .collect();
        fields.into()
    }
}

impl Counts {
    pub(super) fn add(&mut self, verdict: &Explanation) {
        match verdict {
            Explanation::Plain { delivery, .. } => self.add_delivery(delivery),
            Explanation::Deaggregated { deliveries, .. } => {
                for delivery in deliveries {
                    self.add_delivery(delivery);
                }
            }
            Explanation::Transformed {
                deliveries,
                dropped,
                ..
            } => {
                for delivery in deliveries {
                    self.add_delivery(delivery);
                }
                *self.dropped.get_or_insert_default() += dropped;
            }
            Explanation::Refused => self.refused += 1,
        }
    }

    fn add_delivery(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Delivered { rows, .. } => {
                self.delivered += 1;
                for (loss, losses) in Loss::ALL.into_iter().zip(&mut self.losses) {
                    let places = rows.iter().flat_map(|row| loss.places(row));
                    losses.add(places.map(|place| place.field.as_str()).collect());
                }
            }
            Delivery::Failed { failure, .. } => {
                self.failed += 1;
                self.causes.add(failure, b"");
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let failures = self.causes.iter().map(|failed| {
            let reasons = failed.reasons.told.iter();
            let reasons: Value = reasons
                .map(|(message, count)| json!({ "message": message, "count": count }))
                .collect();
            let mut said = json!({
                "type": failed.kind.output_type.as_str(), "code": failed.kind.code(),
                "count": failed.records, "reasons": reasons,
                "otherReasons": failed.reasons.others,
            });
            if let Some((module, code)) = failed.kind.transform() {
                said["transform"] = module.into();
                said["transformCode"] = code.into();
            }
            said
        });
        let mut said = json!({
            "outcome": "summary", "delivered": self.delivered, "failed": self.failed,
            "refused": self.refused, "failures": failures.collect::<Value>(),
        });
        if let Some(dropped) = self.dropped {
            said["dropped"] = dropped.into();
        }
        for (loss, losses) in Loss::ALL.into_iter().zip(&self.losses) {
            said[loss.word()] = losses.to_json();
        }
        said
    }

    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{} delivered, ", self.delivered)?;
        if let Some(dropped) = self.dropped {
            write!(out, "{dropped} dropped, ")?;
        }
        writeln!(out, "{} failed, {} refused", self.failed, self.refused)?;
        for failed in self.causes.iter() {
            FailureCause::of(failed).write(out)?;
        }
        if self.refused > 0 {
            writeln!(out, "   {} refused: {}", self.refused, refusal())?;
        }
        for (loss, losses) in Loss::ALL.into_iter().zip(&self.losses) {
            let mut fields: Vec<_> = losses.fields.iter().collect();
            if fields.is_empty() {
                continue;
            }
            fields.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let shown = fields.iter().take(FIELDS_SHOWN);
            let shown = shown.map(|(field, count)| format!("{} in {count}", brief(field)));
            let shown: Vec<String> = shown.collect();
            write!(out, "   {}: {}", loss.sentence(), shown.join(", "))?;
            let is_all = fields.len() <= FIELDS_SHOWN && losses.others == 0;
            writeln!(out, "{}", if is_all { "" } else { ", and more" })?;
        }
        Ok(())
    }
}
