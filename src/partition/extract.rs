//! From a record to the values that sort it: partition keys, of the query and of transforms, and
//! event time.

use std::borrow::Cow;

use firehose_calendar::timestamp;
use firehose_jq::{self as jq, Query, Value};
use firehose_json::nesting::{self, NESTING_MAX};
use firehose_nearest::nearest;
use jaq_core::load::parse::Term;

use super::event_time;
use super::expression::{PrefixPart, SpannedPart};
use super::fault::{PartitionFault, PartitionSetting};
use super::paths::{self, Odd, Paths, Scalar};
use super::{Plan, UnreadSettings};
use crate::config::PartitioningSettings;
use crate::failure::{ErrorOutputType, Failure};
use crate::record::Record;

/// What a stream's query, event time and transforms yield, compiled.
pub(super) struct Extractor {
    /// Names of the query's keys that the prefix uses, in order of first use. Their values come first.
    query_keys: Vec<String>,
    /// Names of the transforms' keys that the prefix uses, likewise.
    transform_keys: Vec<String>,
    query: Option<Query>,
    event_time: Option<Query>,
    fast: Option<Fast>,
}

/// Both as one scan. Columns of the keys stand in the order of the names, the event time last.
struct Fast {
    paths: Paths,
    event_time: bool,
}

/// The values of one record; reused for the next.
#[derive(Default)]
pub(super) struct Extracted {
    /// Key values, one after the other.
    pub(super) values: Vec<u8>,
    ends: Vec<usize>,
    /// Second of the epoch.
    pub(super) event_time: Option<i64>,
}

impl Extracted {
    /// The value of the key with that index.
    pub(super) fn value(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.values[start..self.ends[index]]
    }

    fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.ends.push(self.values.len());
    }

    fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
        self.event_time = None;
    }
}

impl Extractor {
    /// Compiles query and event time for a prefix of these pieces.
    pub(super) fn compile(
        plan: &Plan<'_>,
        pieces: &[SpannedPart],
        faults: &mut Vec<PartitionFault>,
    ) -> Self {
        // Nobody knows what a prefix uses that cannot be read.
        let of_prefix = [PartitionSetting::Prefix, PartitionSetting::LatePrefix];
        let unread = UnreadSettings {
            prefix: plan.unread.prefix
                || plan.unread.late_prefix
                || faults.iter().any(|fault| of_prefix.contains(&fault.field)),
            ..plan.unread
        };
        let settings = plan.settings;
        let (mut query_keys, mut transform_keys) = (Vec::new(), Vec::new());
        for piece in pieces {
            let (names, name) = match &piece.part {
                PrefixPart::QueryKey(name) => (&mut query_keys, name),
                PrefixPart::TransformKey(name) => (&mut transform_keys, name),
                _ => continue,
            };
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let mut compile = |text: &Option<String>, field| {
            let compiled = Query::compile(text.as_ref()?);
            let found = |found: jq::QueryFault| PartitionFault::of_query(field, found);
            compiled
                .map_err(|faulty| faults.extend(faulty.into_iter().map(found)))
                .ok()
        };
        let query = compile(&settings.query, PartitionSetting::Query);
        let event_time = compile(&settings.event_time, PartitionSetting::EventTime);
        unusable_queries(settings, faults);
        let is_query_sound = faults
            .iter()
            .all(|fault| fault.field != PartitionSetting::Query);
        if is_query_sound && !unread.query {
            unmatched_keys(settings, pieces, query.as_ref(), unread.prefix, faults);
        }
        unmatched_transform_keys(plan.has_transforms, pieces, faults);
        unmatched_event_time(settings, pieces, unread, faults);
        let fast = match faults.as_slice() {
            [] => jq::on_deep_stack(|| Fast::compile(settings, &query_keys))
                .ok()
                .flatten(),
            _ => None,
        };
        let mut extractor = Self {
            query_keys,
            transform_keys,
            query,
            event_time,
            fast,
        };
        if faults.is_empty() {
            faults.extend(extractor.failing_constants(settings));
        }
        extractor
    }

    /// Faults of queries that look at no record and fail: so does every record then.
    fn failing_constants(&mut self, settings: &PartitioningSettings) -> Vec<PartitionFault> {
        let is_constant = |text: &Option<String>| {
            let text = text.as_deref()?;
            let parsed = jq::on_deep_stack(|| Some(jq::is_constant(&jq::parse(text).ok()?)));
            parsed.ok().flatten().filter(|is_constant| *is_constant)
        };
        let mut faults = Vec::new();
        let mut judge = |extractor: &Self, field| {
            if let Err(failure) = extractor.evaluate(b"{}", &mut Extracted::default()) {
                let message = format!("every record would fail: {}", failure.message);
                faults.push(PartitionFault::whole(field, message));
            }
        };
        if is_constant(&settings.query).is_some() {
            let event_time = self.event_time.take();
            judge(self, PartitionSetting::Query);
            self.event_time = event_time;
        }
        if is_constant(&settings.event_time).is_some() {
            let query = self.query.take();
            judge(self, PartitionSetting::EventTime);
            self.query = query;
        }
        faults
    }

    /// Names of the keys that the prefix uses, in the order of their values.
    pub(super) fn key_names(&self) -> impl Iterator<Item = &str> {
        let names = self.query_keys.iter().chain(&self.transform_keys);
        names.map(String::as_str)
    }

    /// The index of the value of a part that is a key.
    pub(super) fn key_index(&self, part: &PrefixPart) -> usize {
        let (names, before, name) = match part {
            PrefixPart::TransformKey(name) => (&self.transform_keys, self.query_keys.len(), name),
            PrefixPart::QueryKey(name) => (&self.query_keys, 0, name),
            _ => return 0,
        };
        before + names.iter().position(|key| key == name).unwrap_or(0)
    }

    /// Lets the scan of a record stop where all values are found.
    pub(super) fn stop_early(&mut self) {
        if let Some(fast) = &mut self.fast {
            fast.paths.stop_early();
        }
    }

    /// Takes the values from a record.
    pub(super) fn extract(&self, record: &Record<'_>, out: &mut Extracted) -> Result<(), Failure> {
        out.clear();
        let scanned = self.fast.as_ref().is_some_and(|fast| {
            fast.extract(record.data, self.query_keys.len(), out)
                .is_ok()
        });
        if !scanned {
            out.clear();
            self.evaluate(record.data, out)?;
        }
        for name in &self.transform_keys {
            // Of two values that were set for a name the last one counts.
            let set = record.keys.iter().rfind(|(key, _)| key == name);
            match set {
                Some((_, value)) if !value.is_empty() => out.push(value.as_bytes()),
                Some(_) => return Err(unusable(NULL_OR_EMPTY, name, "is empty")),
                None => return Err(unusable(NULL_OR_EMPTY, name, "was set by no transform")),
            }
        }
        Ok(())
    }

    /// Takes the values of query and event time from a record by jaq alone.
    pub(super) fn evaluate(&self, record: &[u8], out: &mut Extracted) -> Result<(), Failure> {
        if self.query.is_none() && self.event_time.is_none() {
            return Ok(());
        }
        let input = jq::read(record).map_err(|unread| match unread {
            jq::ReadError::Malformed if nesting::exceeds(record, NESTING_MAX) => {
                failed(format!("the record nests deeper than {NESTING_MAX} levels"))
            }
            jq::ReadError::Malformed => failed("Non JSON record provided"),
            jq::ReadError::TooMany => {
                failed("the record has more values than a query may be given")
            }
        })?;
        if let Some(query) = &self.query {
            let output = query.run(input.clone()).map_err(failed)?;
            self.take_keys(&output, out)?;
        }
        let Some(query) = &self.event_time else {
            return Ok(());
        };
        let output = query
            .run(input)
            .map_err(|why| failed(format!("event_time: {why}")))?;
        let at = match &output {
            Value::Number(number) => event_time::from_number(number.float()),
            Value::Text(text) => event_time::from_text(text),
            _ => None,
        };
        let Some(at) = at else {
            let found = excerpt(&output.to_string());
            let allowed = timestamp::FORMS;
            return Err(failed(format!(
                "event_time: found {found}, expected {allowed}"
            )));
        };
        out.event_time = Some(at);
        Ok(())
    }

    fn take_keys(&self, output: &Value, out: &mut Extracted) -> Result<(), Failure> {
        let Some(entries) = jq::entries(output) else {
            return Err(failed("the query must return one object"));
        };
        for (name, value) in entries {
            let (rule, what) = match value {
                Value::Null => (NULL_OR_EMPTY, "is null"),
                Value::Text(text) if text.is_empty() => (NULL_OR_EMPTY, "is empty"),
                Value::Number(number) if number.float().is_nan() => (NULL_OR_EMPTY, "is NaN"),
                Value::Array(_) => (ARRAY_OR_OBJECT, "is an array"),
                Value::Object(_) => (ARRAY_OR_OBJECT, "is an object"),
                _ => continue,
            };
            return Err(unusable(rule, &String::from_utf8_lossy(name), what));
        }
        for name in &self.query_keys {
            match jq::get(output, name) {
                Some(Value::Text(text)) => out.values.extend_from_slice(text),
                Some(Value::Number(number)) => number.render(&mut out.values),
                Some(Value::Bool(true)) => out.values.extend_from_slice(b"true"),
                Some(Value::Bool(false)) => out.values.extend_from_slice(b"false"),
                _ => {
                    let what = "is not in the query's object";
                    return Err(unusable(NULL_OR_EMPTY, name, what));
                }
            }
            out.ends.push(out.values.len());
        }
        Ok(())
    }
}

/// Characters of a value that a message quotes at most.
const EXCERPT: usize = 60;

/// A text, cut short where it is long.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Firehose's own words.
const NULL_OR_EMPTY: &str = "partitionKeys values must not be null or empty";
const ARRAY_OR_OBJECT: &str = "partitionKeys values must not be arrays or objects";
/// The longest part of a key's name in a message, in characters.
const NAME_CHARS_MAX: usize = 64;

/// A key's value breaks a rule: the rule first, then which key and how.
fn unusable(rule: &str, name: &str, what: &str) -> Failure {
    failed(format!("{rule}: {} {what}", named(name)))
}

/// A key in a message.
pub(super) fn named(name: &str) -> String {
    let cut = name.char_indices().nth(NAME_CHARS_MAX);
    let (name, more) = cut.map_or((name, ""), |(at, _)| (&name[..at], "…"));
    format!("key {name:?}{more}")
}

/// A record that cannot be sorted.
pub(super) fn failed(message: impl Into<Cow<'static, str>>) -> Failure {
    Failure::new(
        ErrorOutputType::MetadataExtractionFailed,
        "DynamicPartitioning.MetadataExtractionFailed",
        message,
    )
}

impl Fast {
    fn compile(settings: &PartitioningSettings, query_keys: &[String]) -> Option<Self> {
        let mut columns = Vec::new();
        if let Some(text) = &settings.query {
            let named = paths::query_columns(text)?;
            for key in query_keys {
                columns.push(named.iter().find(|(name, _)| name == key)?.1.clone());
            }
            if columns.len() < named.len() {
                return None;
            }
        }
        if let Some(text) = &settings.event_time {
            columns.push(paths::event_time_column(text)?);
        }
        let event_time = settings.event_time.is_some();
        (!columns.is_empty()).then(|| {
            Some(Self {
                paths: Paths::new(columns)?,
                event_time,
            })
        })?
    }

    fn extract(&self, record: &[u8], keys: usize, out: &mut Extracted) -> Result<(), Odd> {
        let mut row = self.paths.row();
        row.scan(record)?;
        for column in 0..keys {
            row.text(column, &mut out.values)?;
            out.ends.push(out.values.len());
        }
        if self.event_time {
            let start = out.values.len();
            let at = match row.scalar(keys, &mut out.values)? {
                Scalar::Number(number) => event_time::from_number(number),
                Scalar::Text => event_time::from_text(&out.values[start..]),
            };
            out.values.truncate(start);
            out.event_time = Some(at.ok_or(Odd)?);
        }
        Ok(())
    }
}

/// Every key of the query must be used in the prefix and the other way round, as Firehose demands.
fn unmatched_keys(
    settings: &PartitioningSettings,
    pieces: &[SpannedPart],
    query: Option<&Query>,
    is_prefix_unread: bool,
    faults: &mut Vec<PartitionFault>,
) {
    let used = |piece: &SpannedPart| match &piece.part {
        PrefixPart::QueryKey(name) => Some((name.clone(), (piece.field, piece.at.clone()))),
        _ => None,
    };
    let used: Vec<_> = pieces.iter().filter_map(used).collect();
    let Some(text) = &settings.query else {
        faults.extend(used.iter().map(|(name, (field, at))| {
            let message = "the prefix uses a partition key, but there is no partitioning.query";
            PartitionFault::at(*field, at.clone(), message)
                .help(format!("query = '{{{name}: .path.to.it}}'"))
        }));
        return;
    };
    let Some(query) = query else { return };
    let Some(keys) = &query.keys else {
        if used.is_empty() && !text.is_empty() && !is_prefix_unread {
            faults.push(
                PartitionFault::whole(
                    PartitionSetting::Prefix,
                    "the prefix uses none of the query's keys",
                )
                .help("!{partitionKeyFromQuery:name}"),
            );
        }
        return;
    };
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    for (name, (field, at)) in &used {
        if !names.contains(&name.as_str()) {
            let message = format!("the query returns no key \"{name}\"");
            let fault = PartitionFault::at(*field, at.clone(), message);
            faults.push(fault.help(match nearest(name, names.iter().copied()) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("keys of the query: {}", names.join(", ")),
            }));
        }
    }
    if is_prefix_unread {
        return;
    }
    for key in keys
        .iter()
        .filter(|key| !used.iter().any(|(name, _)| *name == key.name))
    {
        let message = format!("the prefix does not use the key \"{}\"", key.name);
        faults.push(
            PartitionFault::at(PartitionSetting::Query, key.at.clone(), message).help(format!(
                "put !{{partitionKeyFromQuery:{}}} into the prefix, or remove the key",
                key.name
            )),
        );
    }
}

/// Somebody must set the keys that the prefix takes from transforms.
fn unmatched_transform_keys(
    has_transforms: bool,
    pieces: &[SpannedPart],
    faults: &mut Vec<PartitionFault>,
) {
    if has_transforms {
        return;
    }
    for piece in pieces {
        let PrefixPart::TransformKey(name) = &piece.part else {
            continue;
        };
        let message = "the prefix takes a key from a transform, but the stream has none";
        let fault = PartitionFault::at(piece.field, piece.at.clone(), message);
        faults.push(fault.help(format!(
            "add a [[stream.NAME.transform]], or take the key from a jq query: \
             !{{partitionKeyFromQuery:{name}}}"
        )));
    }
}

/// Queries that can never give what is asked of them, where that is certain.
fn unusable_queries(settings: &PartitioningSettings, faults: &mut Vec<PartitionFault>) {
    let mut judge = |text: &Option<String>, field, why: fn(&Term<&str>) -> Option<String>, help| {
        let Some(text) = text else { return };
        let why = jq::on_deep_stack(|| why(&jq::parse(text).ok()?));
        let why = why.ok().flatten();
        faults.extend(why.map(|why| PartitionFault::whole(field, why).help(help)));
    };
    let help = "write an object of keys, such as '{event_type: .event_type}'";
    judge(
        &settings.query,
        PartitionSetting::Query,
        jq::never_keys,
        help,
    );
    let help = "write the path to the time, such as '.ts'";
    judge(
        &settings.event_time,
        PartitionSetting::EventTime,
        jq::never_time,
        help,
    );
}

fn unmatched_event_time(
    settings: &PartitioningSettings,
    pieces: &[SpannedPart],
    unread: UnreadSettings,
    faults: &mut Vec<PartitionFault>,
) {
    let is_used = |piece: &&SpannedPart| matches!(piece.part, PrefixPart::EventTime(_));
    let used = pieces.iter().filter(is_used);
    // What is late is so because of the time that the prefix has.
    let is_of_prefix = |piece: &&SpannedPart| piece.field == PartitionSetting::Prefix;
    match (used.clone().next(), &settings.event_time) {
        (Some(piece), None) if !unread.event_time => {
            let message = "the prefix uses eventTime, but there is no partitioning.event_time";
            let fault = PartitionFault::at(piece.field, piece.at.clone(), message);
            faults.push(fault.help("event_time = '.path.to.the.time'"));
        }
        (_, Some(_)) if !used.clone().any(|piece| is_of_prefix(&piece)) && !unread.prefix => faults
            .push(
                PartitionFault::whole(
                    PartitionSetting::EventTime,
                    "the prefix does not use the event time",
                )
                .help("put !{eventTime:yyyy} and the like into the prefix, or remove event_time"),
            ),
        _ => {}
    }
}
