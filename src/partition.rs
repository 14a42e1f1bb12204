//! Sorting records into partitions: keys of jq and of transforms, event time and prefix expressions
//! (Firehose's dynamic partitioning and custom prefixes).

mod error_prefix;
mod escape;
mod event_time;
mod expression;
mod extract;
mod fault;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod key_rule;
mod late;
mod layout;
mod paths;
mod template;

pub use error_prefix::{ErrorPrefix, before_object_name, object_name};
pub use expression::has_expression;
pub use fault::{PartitionFault, PartitionSetting};
pub use firehose_date_pattern::Zone;
pub use key_rule::KeyRule;
pub use late::Event;
pub use layout::{Partition, PartitionValue, PrefixLayout};

use firehose_jq as jq;

use crate::config::{KeyValues, PartitioningSettings};
use crate::failure::Failure;
use crate::record::Record;
use event_time::{EventTimeCache, EventTimePatterns};
use expression::{PrefixPart, SpannedPart};
use extract::{Extracted, Extractor, failed, named};
use late::LateTemplate;
use template::{RecordValues, Template};

/// What a query may burn for a record.
pub const FUEL: u64 = jq::FUEL;

/// What queries have burned on this thread, ever more; only differences mean something.
pub fn fuel_burned() -> u64 {
    jq::burned()
}

/// A stream's partitioning, compiled once and shared by all workers.
pub struct Partitioner {
    template: Template,
    zone: Zone,
    extractor: Extractor,
    times: EventTimePatterns,
    key_values: KeyValues,
    /// Where what is late goes, where that is elsewhere.
    late: Option<LateTemplate>,
    /// Whether anybody asks when a partition's time is over.
    minds_events: bool,
}

/// What a worker reuses from record to record.
pub struct PartitionScratch {
    times: EventTimeCache,
    extracted: Extracted,
}

/// What a prefix is compiled with.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Query, event time and time zone.
    pub settings: &'a PartitioningSettings,
    /// Only what a transform made can have the keys of `!{partitionKeyFromTransform:…}`.
    pub has_transforms: bool,
    /// The prefix as it is written.
    pub prefix: Option<&'a str>,
    /// Whether a partition is sealed when the time of events has passed it.
    pub has_watermark: bool,
    /// The prefix, as it is written, of records that come after that.
    pub late_prefix: Option<&'a str>,
    /// What the destination says to keys.
    pub rule: &'a KeyRule,
    /// What could not be read.
    pub unread: UnreadSettings,
}

/// Values that the config has and that could not be read: nothing is said of what belongs to them.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts, none of which says another"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnreadSettings {
    /// `query`.
    pub query: bool,
    /// `event_time`.
    pub event_time: bool,
    /// `prefix`.
    pub prefix: bool,
    /// `late_prefix`.
    pub late_prefix: bool,
}

impl Partitioner {
    /// Compiles `partitioning` and `destination.prefix` of a stream.
    pub fn compile(plan: &Plan<'_>) -> Result<Self, Vec<PartitionFault>> {
        Self::compile_field(plan, PartitionSetting::Prefix)
    }

    /// Compiles `backup.prefix`: no keys, no event time.
    pub fn compile_backup(
        prefix: Option<&str>,
        time_zone: Option<&str>,
        rule: &KeyRule,
    ) -> Result<Self, Vec<PartitionFault>> {
        let settings = PartitioningSettings {
            time_zone: time_zone.map(Into::into),
            ..PartitioningSettings::default()
        };
        let plan = Plan {
            settings: &settings,
            has_transforms: false,
            prefix,
            has_watermark: false,
            late_prefix: None,
            rule,
            unread: UnreadSettings::default(),
        };
        Self::compile_field(&plan, PartitionSetting::BackupPrefix)
    }

    fn compile_field(
        plan: &Plan<'_>,
        field: PartitionSetting,
    ) -> Result<Self, Vec<PartitionFault>> {
        let (settings, rule) = (plan.settings, plan.rule);
        let mut faults = Vec::new();
        let zone = template::zone(settings.time_zone.as_deref(), &mut faults);
        let text = plan.prefix.unwrap_or("");
        let mut pieces = expression::parse(text, field, &mut faults);
        let late = plan.late_prefix.map(|text| {
            let pieces = expression::parse(text, PartitionSetting::LatePrefix, &mut faults);
            (text, pieces)
        });
        if plan.has_watermark {
            faults.extend(late::comes_again(&pieces));
        }
        let of_prefix = pieces.len();
        pieces.extend(late.iter().flat_map(|(_, pieces)| pieces).cloned());
        let extractor = Extractor::compile(plan, &pieces, &mut faults);
        pieces.truncate(of_prefix);
        let parts = parts(text, pieces, &zone, (field, rule), &mut faults);
        let key = |part: &PrefixPart| extractor.key_index(part);
        let (template, times) = Template::new(parts, 0, &zone, rule, key);
        let (late, late_times) = match late {
            Some((text, pieces)) => {
                let of = (PartitionSetting::LatePrefix, rule);
                let parts = self::parts(text, pieces, &zone, of, &mut faults);
                let (template, times) = Template::new(parts, times.len(), &zone, rule, key);
                (Some(LateTemplate(template)), times)
            }
            None => (None, Vec::new()),
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            template,
            zone,
            extractor,
            times: EventTimePatterns::new(times, late_times),
            key_values: settings.key_values,
            late,
            minds_events: plan.has_watermark,
        })
    }

    /// Appends the record's partition identity to `out`: the evaluated prefix in which
    /// `!{timestamp:…}` and `!{firehose:random-string}` remain holes. Nothing is appended when the
    /// record fails.
    pub fn partition(
        &self,
        scratch: &mut PartitionScratch,
        record: &Record<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let start = out.len();
        let done = self.write_identity(scratch, record, out);
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn write_identity(
        &self,
        scratch: &mut PartitionScratch,
        record: &Record<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let start = out.len();
        self.extractor.extract(record, &mut scratch.extracted)?;
        self.write(&self.template, scratch, out);
        let (extracted, escaped) = (&scratch.extracted, self.is_escaped());
        let identity = &out[start..];
        if self.template.is_static() {
            return Ok(()); // its length was checked when it was compiled
        }
        if !escaped {
            let is_odd = |(index, _): &(usize, &str)| {
                let value = extracted.value(*index);
                value.iter().any(u8::is_ascii_control)
            };
            let odd = self.extractor.key_names().enumerate().find(is_odd);
            if let Some((_, name)) = odd {
                let message = format!(
                    "partitionKeys values must not hold control characters: {}",
                    named(name)
                );
                return Err(failed(message));
            }
            escape::stays_below(identity).map_err(|refusal| {
                failed(match refusal {
                    escape::UnusableKey::DotSegment => {
                        "partitionKeys values must not make a path of \".\" or \"..\""
                    }
                    escape::UnusableKey::Absolute => {
                        "partitionKeys values must not make a key that begins with a slash"
                    }
                })
            })?;
        }
        self.template.fits(identity, escaped).map_err(|why| {
            let names = self.extractor.key_names().enumerate();
            let longest = names.max_by_key(|(index, _)| extracted.value(*index).len());
            failed(match longest {
                Some((_, name)) => format!("{why}; the longest value is that of {}", named(name)),
                None => why,
            })
        })
    }

    /// Appends what becomes of a template with the values that were taken from a record.
    fn write(&self, template: &Template, scratch: &mut PartitionScratch, out: &mut Vec<u8>) {
        let PartitionScratch { times, extracted } = scratch;
        let times = extracted
            .event_time
            .map(|at| times.texts(&self.times, &self.zone, at));
        let key = |index: usize| extracted.value(index);
        let values = RecordValues {
            key: &key,
            times: times.as_ref(),
        };
        template.write(&values, self.is_escaped(), out);
    }

    fn is_escaped(&self) -> bool {
        self.key_values == KeyValues::Escaped
    }

    /// Lets the scan of a record stop where all its values are found, unless a key may come again
    /// behind them (the last one counts): for formats that parse every record whole anyway, which
    /// then find what is malformed behind them.
    #[must_use]
    pub fn trusting_the_rest(mut self) -> Self {
        self.extractor.stop_early();
        self
    }

    /// Fills the holes when a batch opens: arrival time of its first record, random strings drawn
    /// now.
    pub fn open_prefix(&self, identity: &[u8], arrival_ms: i64) -> String {
        let late = self.late.as_ref().and_then(|late| late.own(identity));
        let (template, identity) = late.unwrap_or((&self.template, identity));
        template.open(identity, &self.zone, arrival_ms)
    }

    /// Names and values that sort the record, as they were before escaping: the keys that the prefix
    /// uses, those of the query before those of transforms, and the event time in RFC 3339.
    pub fn keys(
        &self,
        scratch: &mut PartitionScratch,
        record: &Record<'_>,
    ) -> Result<Vec<(String, String)>, Failure> {
        let extracted = &mut scratch.extracted;
        self.extractor.extract(record, extracted)?;
        let value = |index| String::from_utf8_lossy(extracted.value(index)).into_owned();
        let names = self.extractor.key_names().enumerate();
        let mut keys: Vec<_> = names
            .map(|(index, name)| (name.to_owned(), value(index)))
            .collect();
        if let Some(at) = extracted.event_time {
            keys.push(("eventTime".into(), Zone::utc().at(at).to_string()));
        }
        Ok(keys)
    }

    /// What a worker reuses from record to record.
    pub fn scratch(&self) -> PartitionScratch {
        PartitionScratch {
            times: EventTimeCache::new(),
            extracted: Extracted::default(),
        }
    }

    /// Whether all records have one identity, so that none need be looked at.
    pub fn is_static(&self) -> bool {
        self.template.is_static()
    }

    /// The text before the first expression: what the keys of all objects begin with.
    pub fn literal(&self) -> &str {
        self.template.literal()
    }

    /// The time zone of the stream's timestamps, for [`object_name`].
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

/// The parts of a prefix as it is evaluated.
fn parts(
    text: &str,
    pieces: Vec<SpannedPart>,
    zone: &Zone,
    (field, rule): (PartitionSetting, &KeyRule),
    faults: &mut Vec<PartitionFault>,
) -> Vec<PrefixPart> {
    let is_bare = !expression::has_expression(text);
    let mut parts = expression::joined(pieces);
    if faults.iter().all(|fault| fault.field != field) {
        template::check(&parts, is_bare, zone, field, rule, faults);
    }
    if is_bare {
        parts.push(expression::default_time());
    }
    parts
}

#[cfg(test)]
mod tests;
