//! `[stream.X.source]` with `type = "kinesis"`.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::answer::ANSWER_BYTES_MAX;
use super::lister::Lister;
use super::{KinesisMetrics, ReaderContext};
use crate::config::access::{self, NAME_MAX};
use crate::config::{
    Asked, AwsAccess, AwsSource, Clash, CoordinationSettings, Diagnostic, SourceKind,
    SourceSettings, SourceSpec, StartSettings, StreamType, Table, coordination,
};
use crate::error::StreamError;
use crate::shard::{Pending, ShardLister, SourceName};
use crate::source::{Context, Known, Only, Opened, Shareable, Source, SourceEntry};

/// The keys that only this kind has, beside those of [`access::KEYS`].
const KEYS: &[&str] = &[
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
/// The region in ARNs where the settings name none.
const DEFAULT_REGION: &str = "us-east-1";

/// What `SOURCES` registers.
pub const KIND: KinesisKind = KinesisKind;

/// The kind of sources that read a Kinesis data stream.
#[derive(Debug)]
pub struct KinesisKind;

/// A Kinesis data stream and how to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KinesisSettings {
    /// The stream's name.
    pub stream: String,
    /// Its ARN, where the file names it so.
    pub arn: Option<String>,
    /// Where reading begins when the state holds nothing of the stream.
    pub start: StartSettings,
    /// How records come from there.
    pub consumer: ConsumerSettings,
    /// How Kinesis is reached.
    pub access: AwsAccess,
    /// How several daemons share the stream, if they do.
    pub coordination: Option<CoordinationSettings>,
}

/// How records come from a Kinesis stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerSettings {
    /// Each shard is asked; its throughput is shared with all who do.
    Polling,
    /// Each shard is subscribed to, by a registered consumer with a throughput of its own.
    FanOut {
        /// The consumer's name; registered where it is not yet.
        name: String,
    },
}

impl SourceKind for KinesisKind {
    fn word(&self) -> &'static str {
        "kinesis"
    }

    fn keys(&self) -> &'static [&'static [&'static str]] {
        &[KEYS, access::KEYS]
    }

    fn read(&self, table: &mut Table<'_>, stream: &str, base: &Path) -> Option<SourceSettings> {
        read(table, stream, base).map(SourceSettings::from)
    }

    fn noun(&self) -> &'static str {
        "Kinesis stream"
    }

    fn owns(&self, name: &SourceName) -> bool {
        name.arn.starts_with("arn:")
    }

    fn of_state(&self, name: Option<&SourceName>, _: u64) -> SourceSettings {
        let arn = name.map(|name| name.arn.clone());
        KinesisSettings {
            stream: arn.clone().unwrap_or_default(),
            arn,
            start: StartSettings::TrimHorizon,
            consumer: ConsumerSettings::Polling,
            access: AwsAccess::default(),
            coordination: None,
        }
        .into()
    }
}

impl SourceEntry for KinesisKind {
    fn source<'a>(&self, settings: &'a SourceSettings) -> Option<&'a dyn Source> {
        settings
            .get::<KinesisSettings>()
            .map(|own| own as &dyn Source)
    }
}

impl SourceSpec for KinesisSettings {
    fn kind(&self) -> &'static dyn SourceKind {
        &KIND
    }

    fn summary(&self) -> String {
        let shared = self.coordination.as_ref();
        let leases = shared.map(|leases| format!(", shared by table {}", leases.table));
        format!("kinesis {}{}", self.stream, leases.unwrap_or_default())
    }

    fn does(&self) -> String {
        format!("reads the Kinesis stream {}", self.stream)
    }

    fn aws(&self, asked: &Asked<'_>) -> AwsSource {
        // From which time of arrival on records are delivered: 0 is the oldest there is.
        let start_ms = match self.start {
            StartSettings::TrimHorizon => 0,
            StartSettings::Latest => asked.created_ms,
            StartSettings::Time(ms) => ms,
        };
        AwsSource {
            stream_type: StreamType::Stream,
            source: Some(json!({ "KinesisStreamSourceDescription": {
                "KinesisStreamARN": self.arn_in(asked.account),
                "RoleARN": asked.role,
                "DeliveryStartTimestamp": seconds(start_ms),
            }})),
        }
    }

    fn stream(&self) -> Option<&str> {
        Some(&self.stream)
    }

    fn other_than(&self, name: &SourceName) -> Option<String> {
        let is_other = name.arn.rsplit('/').next() != Some(&*self.stream);
        is_other.then(|| self.stream.clone())
    }

    fn put_elsewhere(&self) -> Option<&'static str> {
        Some("reads from Kinesis: put records into its Kinesis stream")
    }

    fn room_bytes(&self) -> u64 {
        ANSWER_BYTES_MAX
    }

    fn clash(&self, other: &dyn SourceSpec) -> Option<Clash> {
        let other: &Self = (other as &dyn std::any::Any).downcast_ref()?;
        if self.has_table_of(other) {
            return Some(Clash {
                what: "have the same lease table, so that each would read only some of the shards",
                help: "give each a `lease_table` of its own",
            });
        }
        self.is_consumer_of(other).then_some(Clash {
            what: "are the same consumer of one Kinesis stream, so that each would take the shards over from the \
                   other",
            help: "give each a `consumer_name` of its own",
        })
    }

    fn coordination(&self) -> Option<&CoordinationSettings> {
        self.coordination.as_ref()
    }

    fn alone(&self) -> Option<SourceSettings> {
        self.coordination.as_ref()?;
        let alone = Self {
            coordination: None,
            ..self.clone()
        };
        Some(alone.into())
    }
}

impl Source for KinesisSettings {
    fn shared(&self) -> Option<&dyn Shareable> {
        self.coordination.is_some().then_some(self)
    }

    fn open(&self, known: Known, context: Context) -> Result<Opened, StreamError> {
        let epoch = known.epoch;
        let (kinesis, reader) = super::open(self.clone(), known, ReaderContext::of(context));
        Ok(Opened::new(Arc::new(kinesis), Box::new(reader), epoch))
    }
}

impl Shareable for KinesisSettings {
    fn start(&self) -> StartSettings {
        self.start
    }

    fn lister(&self) -> Arc<dyn ShardLister> {
        Arc::new(Lister::new(self.clone()))
    }

    fn retention_ms(&self) -> Pending<'static, Result<i64, String>> {
        let lister = Lister::new(self.clone());
        Box::pin(async move { lister.retention_ms().await })
    }

    fn open_shard(&self, only: Only, context: Context) -> Opened {
        let (kinesis, reader) = super::open_shard(self.clone(), only, ReaderContext::of(context));
        // The lease counts what an epoch does elsewhere.
        Opened::new(Arc::new(kinesis), Box::new(reader), 0)
    }
}

impl ReaderContext {
    fn of(context: Context) -> Self {
        Self {
            metrics: KinesisMetrics::new(&context.metrics, &context.stream),
            stream: context.stream,
            clock: context.clock,
            health: context.health,
            room: context.room,
        }
    }
}

impl KinesisSettings {
    fn arn_in(&self, account: &str) -> String {
        self.arn.clone().unwrap_or_else(|| {
            let region = self.access.region.as_deref().unwrap_or(DEFAULT_REGION);
            let name = &self.stream;
            format!("arn:aws:kinesis:{region}:{account}:stream/{name}")
        })
    }

    fn has_table_of(&self, other: &Self) -> bool {
        match (&self.coordination, &other.coordination) {
            (Some(one), Some(other)) => one.table == other.table && one.access == other.access,
            _ => false,
        }
    }

    fn is_consumer_of(&self, other: &Self) -> bool {
        self.consumer != ConsumerSettings::Polling
            && self.consumer == other.consumer
            && self.stream == other.stream
            && self.access == other.access
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 fit 53 bits"
)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Reads the table; `None` when a part cannot be had (the fault is reported).
fn read(table: &mut Table<'_>, delivery_stream: &str, base: &Path) -> Option<KinesisSettings> {
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
    let StreamName { stream, arn } = named?;
    if let Some(Arn { region, .. }) = arn.as_deref().and_then(Arn::parse) {
        match &access.region {
            Some(other) if other != region => {
                let message = format!("the stream's ARN says region {region}, `region` {other}");
                let fault = Diagnostic::fault(region_place, message);
                table.report(fault.help("remove `region`"));
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
    table.report(fault);
    None
}

/// Kinesis' rule for the names of streams and consumers.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=KINESIS_NAME_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

struct StreamName {
    stream: String,
    arn: Option<String>,
}

/// The stream's name, or its ARN.
fn stream(table: &mut Table<'_>) -> Option<StreamName> {
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
        table.report(fault);
        return None;
    }
    Some(StreamName { stream: name, arn })
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
    table.report(fault.help(help));
    None
}

#[cfg(test)]
mod tests;
