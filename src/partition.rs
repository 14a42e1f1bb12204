//! Sorting records into partitions: jq keys, event time and prefix expressions (Firehose's dynamic
//! partitioning and custom prefixes).

mod date_pattern;
mod error_prefix;
mod escape;
mod event_time;
mod expression;
mod fault;
mod jq;
mod template;

use jaq_json::{Val, read};

pub use date_pattern::Zone;
pub use error_prefix::{ErrorPrefix, object_name};
pub use fault::{Field, PartitionFault};

use crate::config::{KeyValues, PartitioningSettings};
use crate::failure::{ErrorOutputType, Failure};
use crate::nesting;
use crate::record::Record;
use event_time::{EventTimeCache, EventTimePatterns};
use expression::{Part, Piece};
use template::{Template, Values};

/// A stream's partitioning, compiled once and shared by all workers.
pub struct Partitioner {
    template: Template,
    zone: Zone,
    key_names: Vec<String>,
    query: Option<jq::Query>,
    event_time: Option<(jq::Query, EventTimePatterns)>,
    key_values: KeyValues,
}

/// What a worker reuses from record to record.
pub struct Scratch {
    times: EventTimeCache,
    /// Key values of the record at hand, one after the other.
    values: Vec<u8>,
    ends: Vec<usize>,
}

impl Partitioner {
    /// Compiles `partitioning` and `destination.prefix` of a stream.
    pub fn compile(
        _stream: &str,
        settings: &PartitioningSettings,
        prefix: Option<&str>,
    ) -> Result<Self, Vec<PartitionFault>> {
        Self::compile_field(settings, prefix, Field::Prefix)
    }

    /// Compiles `backup.prefix`: no keys, no event time.
    pub fn compile_backup(
        prefix: Option<&str>,
        time_zone: Option<&str>,
    ) -> Result<Self, Vec<PartitionFault>> {
        let settings = PartitioningSettings {
            time_zone: time_zone.map(Into::into),
            ..PartitioningSettings::default()
        };
        Self::compile_field(&settings, prefix, Field::BackupPrefix)
    }

    fn compile_field(
        settings: &PartitioningSettings,
        prefix: Option<&str>,
        field: Field,
    ) -> Result<Self, Vec<PartitionFault>> {
        let mut faults = Vec::new();
        let zone = template::zone(settings.time_zone.as_deref(), &mut faults);
        let text = prefix.unwrap_or("");
        let pieces = expression::parse(text, field, &mut faults);
        let mut key_names: Vec<String> = Vec::new();
        for piece in &pieces {
            if let Part::Key(name) = &piece.part
                && !key_names.contains(name)
            {
                key_names.push(name.clone());
            }
        }
        let mut compile = |text: &Option<String>, field| {
            let compiled = jq::Query::compile(text.as_ref()?, field);
            compiled.map_err(|found| faults.extend(found)).ok()
        };
        let query = compile(&settings.query, Field::Query);
        let event_time = compile(&settings.event_time, Field::EventTime);
        faults.extend(unmatched(settings, &pieces));
        let mut parts = expression::joined(pieces);
        template::check(&parts, &zone, field, &mut faults);
        if !expression::has_expression(text) {
            parts.push(expression::default_time());
        }
        let index = |name: &str| key_names.iter().position(|key| key == name).unwrap_or(0);
        let (template, patterns) = Template::new(parts, &zone, index);
        if !faults.is_empty() {
            return Err(faults);
        }
        let event_time = event_time.map(|query| (query, EventTimePatterns::new(patterns)));
        let key_values = settings.key_values;
        Ok(Self {
            template,
            zone,
            key_names,
            query,
            event_time,
            key_values,
        })
    }

    /// Appends the record's partition identity to `out`: the evaluated prefix in which
    /// `!{timestamp:…}` and `!{firehose:random-string}` remain holes. Nothing is appended when the
    /// record fails.
    pub fn partition(
        &self,
        scratch: &mut Scratch,
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
        scratch: &mut Scratch,
        record: &Record<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let start = out.len();
        let at = self.extract(scratch, record)?;
        let Scratch {
            times,
            values,
            ends,
        } = scratch;
        let times = match (&self.event_time, at) {
            (Some((_, patterns)), Some(at)) => Some(times.texts(patterns, &self.zone, at)),
            _ => None,
        };
        let key = |index: usize| {
            let begin = if index == 0 { 0 } else { ends[index - 1] };
            &values[begin..ends[index]]
        };
        let escaped = self.key_values == KeyValues::Escaped;
        self.template.write(
            &Values {
                key: &key,
                times: times.as_ref(),
            },
            escaped,
            out,
        );
        let identity = &out[start..];
        self.template.fits(identity).map_err(failed)?;
        if !escaped {
            if values.iter().any(u8::is_ascii_control) {
                return Err(failed(
                    "partitionKeys values must not hold control characters",
                ));
            }
            escape::stays_below(identity).map_err(|refusal| {
                failed(match refusal {
                    escape::Refusal::DotSegment => {
                        "partitionKeys values must not make a path of \".\" or \"..\""
                    }
                    escape::Refusal::Absolute => {
                        "partitionKeys values must not make a key that begins with a slash"
                    }
                })
            })?;
        }
        Ok(())
    }

    /// Fills the holes when a batch opens: arrival time of its first record, random strings drawn
    /// now.
    pub fn open_prefix(&self, identity: &[u8], arrival_ms: i64) -> String {
        self.template.open(identity, &self.zone, arrival_ms)
    }

    /// Names and values that sort the record, as they were before escaping: the keys of the query
    /// that the prefix uses, and the event time in RFC 3339.
    pub fn keys(
        &self,
        scratch: &mut Scratch,
        record: &Record<'_>,
    ) -> Result<Vec<(String, String)>, Failure> {
        let at = self.extract(scratch, record)?;
        let mut keys = Vec::with_capacity(self.key_names.len() + 1);
        let mut start = 0;
        for (name, &end) in self.key_names.iter().zip(&scratch.ends) {
            let value = String::from_utf8_lossy(&scratch.values[start..end]).into_owned();
            keys.push((name.clone(), value));
            start = end;
        }
        if let Some(at) = at {
            keys.push(("eventTime".into(), self.zone.at(at).timestamp().to_string()));
        }
        Ok(keys)
    }

    /// What a worker reuses from record to record.
    pub fn scratch(&self) -> Scratch {
        Scratch {
            times: EventTimeCache::new(),
            values: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Whether all records have one identity, so that none need be looked at.
    pub fn is_static(&self) -> bool {
        self.template.is_static() && self.query.is_none()
    }

    /// The time zone of the stream's timestamps, for [`object_name`].
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Puts the values of the keys into the scratch, and returns the event time's second.
    fn extract(&self, scratch: &mut Scratch, record: &Record<'_>) -> Result<Option<i64>, Failure> {
        scratch.values.clear();
        scratch.ends.clear();
        if self.query.is_none() && self.event_time.is_none() {
            return Ok(None);
        }
        if nesting::exceeds(record.data, nesting::NESTING_MAX) {
            let max = nesting::NESTING_MAX;
            return Err(failed(format!("the record nests deeper than {max} levels")));
        }
        let input =
            read::parse_single(record.data).map_err(|_| failed("Non JSON record provided"))?;
        if let Some(query) = &self.query {
            let output = query.run(input.clone()).map_err(failed)?;
            let Val::Obj(object) = output else {
                return Err(failed("the query must return one object"));
            };
            for name in &self.key_names {
                let value = object.get(&Val::utf8_str(name.clone()));
                match value {
                    Some(Val::TStr(text)) if !text.is_empty() => {
                        scratch.values.extend_from_slice(text);
                    }
                    Some(value @ (Val::Num(_) | Val::Bool(_))) => {
                        scratch
                            .values
                            .extend_from_slice(value.to_string().as_bytes());
                    }
                    Some(Val::Arr(_) | Val::Obj(_)) => {
                        return Err(failed(
                            "partitionKeys values must be text, numbers or booleans",
                        ));
                    }
                    _ => return Err(failed("partitionKeys values must not be null or empty")),
                }
                scratch.ends.push(scratch.values.len());
            }
        }
        let Some((query, _)) = &self.event_time else {
            return Ok(None);
        };
        let output = query.run(input).map_err(failed)?;
        let at = match &output {
            Val::Num(number) => {
                event_time::from_number(number.to_string().parse().unwrap_or(f64::NAN))
            }
            Val::TStr(text) => event_time::from_text(text),
            _ => None,
        };
        at.map(Some)
            .ok_or_else(|| failed("the event time is no time"))
    }
}

/// Keys and event time must be both given and used, as Firehose demands of keys.
fn unmatched(settings: &PartitioningSettings, pieces: &[Piece]) -> Vec<PartitionFault> {
    let mut faults = Vec::new();
    let used = |wanted: fn(&Part) -> bool| pieces.iter().find(|piece| wanted(&piece.part));
    if let (Some(piece), None) = (used(|part| matches!(part, Part::Key(_))), &settings.query) {
        let fault = PartitionFault::at(
            Field::Prefix,
            piece.at.clone(),
            "the prefix uses a partition key, but there is no partitioning.query",
        );
        faults.push(fault.help("query = '{name: .path}'"));
    }
    let event_time = used(|part| matches!(part, Part::EventTime(_)));
    if let (Some(piece), None) = (event_time, &settings.event_time) {
        let fault = PartitionFault::at(
            Field::Prefix,
            piece.at.clone(),
            "the prefix uses eventTime, but there is no partitioning.event_time",
        );
        faults.push(fault.help("event_time = '.path.to.the.time'"));
    }
    faults
}

fn failed(message: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(
        ErrorOutputType::MetadataExtractionFailed,
        "DynamicPartitioning.MetadataExtractionFailed",
        message,
    )
}

#[cfg(test)]
mod tests;
