//! `[stream.X.source]`.

use std::path::Path;

use super::access::{self, NAME_MAX};
use super::{GIB, MIB, TIB, coordination};
use crate::config::diagnostic::Diagnostic;
use crate::config::table::Table;
use crate::config::{ConsumerSettings, KinesisSettings, SourceSettings, StartSettings};

const DEFAULT_JOURNAL_LIMIT: u64 = 4 * GIB;
/// Keys that only `type = "direct-put"` has.
const DIRECT_PUT_KEYS: &[&str] = &["journal_limit"];
/// Keys that only `type = "kinesis"` has, beside those of [`access::KEYS`].
const KINESIS_KEYS: &[&str] = &[
    "stream",
    "start",
    "consumer",
    "consumer_name",
    "coordination",
    "lease_table",
    "dynamodb_endpoint",
    "worker",
    "failover",
];
/// Kinesis' limit of the names of streams and consumers.
const KINESIS_NAME_MAX: usize = 128;

#[derive(Clone, Copy)]
enum Kind {
    DirectPut,
    Kinesis,
}

/// Reads the table; `None` when a part cannot be had (the fault is reported).
pub(super) fn read(stream: &str, mut table: Table<'_>, base: &Path) -> Option<SourceSettings> {
    if !table.has("type") {
        table.missing("type", "write type = \"direct-put\" or type = \"kinesis\"");
    }
    let kinds = [("direct-put", Kind::DirectPut), ("kinesis", Kind::Kinesis)];
    let source = match table.word("type", &kinds).map(|found| found.value) {
        Some(Kind::DirectPut) => {
            table.only_with(KINESIS_KEYS, "`type = \"kinesis\"`");
            table.only_with(access::KEYS, "`type = \"kinesis\"`");
            let limit = table.size("journal_limit", MIB..=64 * TIB);
            let journal_limit = limit.map_or(DEFAULT_JOURNAL_LIMIT, |limit| limit.value);
            Some(SourceSettings::DirectPut { journal_limit })
        }
        Some(Kind::Kinesis) => kinesis(&mut table, stream, base)
            .map(|settings| SourceSettings::Kinesis(Box::new(settings))),
        None => {
            table.accept(DIRECT_PUT_KEYS);
            table.accept(KINESIS_KEYS);
            table.accept(access::KEYS);
            None
        }
    };
    table.finish();
    source
}

fn kinesis(table: &mut Table<'_>, delivery_stream: &str, base: &Path) -> Option<KinesisSettings> {
    table.only_with(DIRECT_PUT_KEYS, "`type = \"direct-put\"`");
    if !table.has("stream") {
        let help = "name the Kinesis data stream, or give its ARN: stream = \"clicks\"";
        table.missing("stream", help);
    }
    let named = stream(table);
    let start = start(table);
    let consumer = consumer(table, delivery_stream);
    let coordination = coordination::read(table, delivery_stream);
    let region_place = table.place_of("region");
    let mut access = access::read(table, base);
    let Named { stream, arn } = named?;
    if let Some(Arn { region, .. }) = arn.as_deref().and_then(Arn::parse) {
        match &access.region {
            Some(other) if other != region => {
                let message = format!("the stream's ARN says region {region}, `region` {other}");
                let fault = Diagnostic::fault(region_place, message);
                table.file.report(fault.help("remove `region`"));
            }
            _ => access.region = Some(region.to_owned()),
        }
    }
    Some(KinesisSettings {
        coordination: coordination.map(|read| read.reached_like(&access)),
        stream,
        arn,
        start: start?,
        consumer: consumer?,
        access,
    })
}

/// How records come, and the name of the consumer that is registered for it.
fn consumer(table: &mut Table<'_>, delivery_stream: &str) -> Option<ConsumerSettings> {
    let ways = [("polling", false), ("enhanced-fan-out", true)];
    let is_fan_out = table.word_or("consumer", &ways, false)?;
    if !is_fan_out {
        table.only_with(&["consumer_name"], "`consumer = \"enhanced-fan-out\"`");
        return Some(ConsumerSettings::Polling);
    }
    let place = table.place_of("consumer_name");
    let name = if table.has("consumer_name") {
        table.name_text("consumer_name", NAME_MAX)?
    } else {
        format!("firehose-{delivery_stream}")
    };
    if is_name(&name) {
        return Some(ConsumerSettings::FanOut { name });
    }
    let message = format!("\"{name}\" cannot be the name of a consumer");
    let help = "a name has 1 to 128 of letters, digits, `_`, `.` and `-`";
    let fault = Diagnostic::fault(place, message).help(help);
    table.file.report(fault);
    None
}

/// Kinesis' rule for the names of streams and consumers.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=KINESIS_NAME_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

struct Named {
    stream: String,
    arn: Option<String>,
}

/// The stream's name, or its ARN.
fn stream(table: &mut Table<'_>) -> Option<Named> {
    let place = table.place_of("stream");
    let text = table.name_text("stream", NAME_MAX)?;
    let (name, arn) = match Arn::parse(&text) {
        Some(arn) => (arn.name.to_owned(), Some(text.clone())),
        None => (text.clone(), None),
    };
    if !is_name(&name) {
        let message = format!("\"{text}\" is neither the name nor the ARN of a Kinesis stream");
        let help = "a name has 1 to 128 of letters, digits, `_`, `.` and `-`; an ARN looks like \
                    \"arn:aws:kinesis:eu-central-1:123456789012:stream/clicks\"";
        let fault = Diagnostic::fault(place, message).help(help);
        table.file.report(fault);
        return None;
    }
    Some(Named { stream: name, arn })
}

/// `arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME`, taken apart.
struct Arn<'a> {
    region: &'a str,
    name: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", _, "kinesis", region, _, resource] = *parts else {
            return None;
        };
        let name = resource.strip_prefix("stream/")?;
        (!region.is_empty()).then_some(Self { region, name })
    }
}

fn start(table: &mut Table<'_>) -> Option<StartSettings> {
    if !table.has("start") {
        return Some(StartSettings::TrimHorizon);
    }
    let text = table.string("start")?;
    match text.value.as_str() {
        "trim-horizon" => return Some(StartSettings::TrimHorizon),
        "latest" => return Some(StartSettings::Latest),
        written => {
            if let Ok(time) = written.parse::<jiff::Timestamp>() {
                return Some(StartSettings::Time(time.as_millisecond()));
            }
        }
    }
    let message = format!("\"{}\" is no place to start at", text.value);
    let help = "write \"trim-horizon\" (the oldest record that the stream keeps), \"latest\", or a \
                time such as \"2026-11-25T08:00:00Z\"";
    let fault = Diagnostic::fault(text.origin.place(None), message);
    table.file.report(fault.help(help));
    None
}
