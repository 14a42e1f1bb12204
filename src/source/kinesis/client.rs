//! The four requests that are made of Kinesis, each once; whoever asks tries again.

use std::error::Error;
use std::time::Duration;

use aws_sdk_kinesis::Client as Sdk;
use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{
    ConsumerStatus, Record, Shard, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};

use super::KinesisSettings;
use super::error::KinesisError;
use super::hash::HashRange;
use super::page::{KinesisRecord, Page};
use crate::aws::{self, Endpoint, RequestError};
use crate::position::SequenceNumber;
use crate::shard::{ShardId, SourceName};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Far above what an answer of 10 MiB takes.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// An event comes every few seconds, with records or without.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// Shards of one answer.
const SHARDS_PAGE: i32 = 1000;

/// One Kinesis data stream.
#[derive(Clone, Debug)]
pub(super) struct KinesisClient {
    sdk: Sdk,
    endpoint: Endpoint,
    stream: String,
    arn: Option<String>,
}

/// What a stream says of itself.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) name: SourceName,
    /// How long it keeps records, in ms.
    pub(super) retention_ms: i64,
}

/// A shard as the stream lists it.
#[derive(Clone, Debug)]
pub(super) struct ShardDescription {
    pub(super) id: ShardId,
    pub(super) parents: Vec<String>,
    pub(super) range: HashRange,
    /// It takes no more records.
    pub(super) is_closed: bool,
}

/// Where an iterator begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IteratorStart {
    TrimHorizon,
    Latest,
    /// Arrival, in ms.
    Time(i64),
    /// This record, if it is still there, or the first after it.
    Sequence(SequenceNumber),
    /// The first after this number.
    After(SequenceNumber),
}

impl KinesisClient {
    /// A client that sends each request once.
    pub(super) async fn connect(settings: &KinesisSettings) -> Result<Self, KinesisError> {
        let found = aws::find(&settings.access).await;
        let found = found.ok_or_else(|| {
            let cause = format!("no region is known for Kinesis stream {}", settings.stream);
            let cause = RequestError::from(cause);
            KinesisError::Permanent(cause.advised("set the source's `region`, or AWS_REGION"))
        })?;
        let timeouts = aws::timeouts(CONNECT_TIMEOUT, REQUEST_TIMEOUT);
        let endpoint = Endpoint::of(
            "Kinesis",
            "`endpoint` of the source",
            &settings.access,
            &found,
        );
        let config = aws::client_config!(aws_sdk_kinesis, &found, endpoint, timeouts)
            // A subscription may be silent, and is not read while nobody takes records.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Ok(Self {
            sdk: Sdk::from_conf(config.build()),
            endpoint,
            stream: settings.stream.clone(),
            arn: settings.arn.clone(),
        })
    }

    fn named(&self) -> String {
        format!("Kinesis stream {}", self.stream)
    }

    fn failed<E>(
        &self,
        error: &SdkError<E, HttpResponse>,
        operation: &str,
        of: &str,
    ) -> KinesisError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        KinesisError::of(error, operation, of, &self.endpoint)
    }

    /// What the stream says of itself.
    pub(super) async fn describe(&self) -> Result<Description, KinesisError> {
        let request = self.sdk.describe_stream_summary();
        let request = request
            .stream_name(&self.stream)
            .set_stream_arn(self.arn.clone());
        let answer = request.send().await;
        let answer =
            answer.map_err(|error| self.failed(&error, "DescribeStreamSummary", &self.named()))?;
        let Some(summary) = answer.stream_description_summary else {
            let asked = format!("DescribeStreamSummary of {}", self.named());
            return Err(KinesisError::empty(asked));
        };
        Ok(Description {
            name: SourceName {
                arn: summary.stream_arn,
                created_ms: ms(Some(summary.stream_creation_timestamp)).unwrap_or_default(),
            },
            retention_ms: i64::from(summary.retention_period_hours) * 3_600_000,
        })
    }

    /// All shards of which records are kept.
    pub(super) async fn shards(&self) -> Result<Vec<ShardDescription>, KinesisError> {
        let mut shards = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self.sdk.list_shards();
            // What comes after a page is told by its token alone.
            let request = match token.take() {
                Some(token) => request.next_token(token),
                None => request
                    .stream_name(&self.stream)
                    .set_stream_arn(self.arn.clone())
                    .max_results(SHARDS_PAGE),
            };
            let answer = request.send().await;
            let answer =
                answer.map_err(|error| self.failed(&error, "ListShards", &self.named()))?;
            shards.extend(answer.shards.unwrap_or_default().into_iter().map(listed));
            token = answer.next_token;
            if token.is_none() {
                return Ok(shards);
            }
        }
    }

    /// An iterator of a shard; it is good for five minutes.
    pub(super) async fn iterator(
        &self,
        shard: &str,
        at: IteratorStart,
    ) -> Result<String, KinesisError> {
        let request = self.sdk.get_shard_iterator();
        let request = request
            .stream_name(&self.stream)
            .set_stream_arn(self.arn.clone())
            .shard_id(shard);
        let request = match at {
            IteratorStart::TrimHorizon => {
                request.shard_iterator_type(ShardIteratorType::TrimHorizon)
            }
            IteratorStart::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
            IteratorStart::Time(ms) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(ms)),
            IteratorStart::Sequence(number) => request
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(number.to_string()),
            IteratorStart::After(number) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(number.to_string()),
        };
        let answer = request.send().await;
        let of = || format!("{shard} of {}", self.named());
        let answer = answer.map_err(|error| self.failed(&error, "GetShardIterator", &of()))?;
        let iterator = answer.shard_iterator;
        iterator.ok_or_else(|| KinesisError::empty(format!("GetShardIterator of {}", of())))
    }

    /// The consumer of that name, registered where it is not yet. It can subscribe once it is active.
    pub(super) async fn consumer(
        &self,
        stream_arn: &str,
        name: &str,
    ) -> Result<String, KinesisError> {
        let of = || format!("consumer {name} of {}", self.named());
        let request = self.sdk.describe_stream_consumer();
        let answer = request
            .stream_arn(stream_arn)
            .consumer_name(name)
            .send()
            .await;
        let answer = answer.map_err(|error| self.failed(&error, "DescribeStreamConsumer", &of()));
        let registered = match answer {
            Ok(answer) => answer.consumer_description,
            Err(KinesisError::Missing(_)) => {
                let request = self.sdk.register_stream_consumer();
                let request = request.stream_arn(stream_arn).consumer_name(name);
                let answer = request.send().await;
                answer.map_err(|error| self.failed(&error, "RegisterStreamConsumer", &of()))?;
                None
            }
            Err(error) => return Err(error),
        };
        let active = registered.filter(|found| found.consumer_status == ConsumerStatus::Active);
        let Some(active) = active else {
            let cause = format!("{} is not active yet", of());
            return Err(KinesisError::Transient(cause.into()));
        };
        Ok(active.consumer_arn)
    }

    /// Subscribes a consumer to a shard, for five minutes at most.
    pub(super) async fn subscribe(
        &self,
        consumer: &str,
        shard: &str,
        at: IteratorStart,
    ) -> Result<Subscription, KinesisError> {
        let position = StartingPosition::builder();
        let position = match at {
            IteratorStart::TrimHorizon => position.r#type(ShardIteratorType::TrimHorizon),
            IteratorStart::Latest => position.r#type(ShardIteratorType::Latest),
            IteratorStart::Time(ms) => position
                .r#type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(ms)),
            IteratorStart::Sequence(number) => position
                .r#type(ShardIteratorType::AtSequenceNumber)
                .sequence_number(number.to_string()),
            IteratorStart::After(number) => position
                .r#type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(number.to_string()),
        };
        let of = format!("{shard} of {}", self.named());
        let position = position.build().map_err(|error| {
            let asked = format!("SubscribeToShard of {of}");
            let cause = RequestError::because(asked, error.to_string());
            KinesisError::Permanent(cause.advised("this should not be: report it"))
        })?;
        let request = self.sdk.subscribe_to_shard();
        let request = request
            .consumer_arn(consumer)
            .shard_id(shard)
            .starting_position(position);
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.failed(&error, "SubscribeToShard", &of))?;
        Ok(Subscription {
            events: answer.event_stream,
            has_given: false,
            of,
        })
    }

    /// What comes at an iterator.
    pub(super) async fn page(&self, shard: &str, iterator: &str) -> Result<Page, KinesisError> {
        let request = self.sdk.get_records().shard_iterator(iterator);
        let answer = request.set_stream_arn(self.arn.clone()).send().await;
        let of = || format!("{shard} of {}", self.named());
        let answer = answer.map_err(|error| self.failed(&error, "GetRecords", &of()))?;
        Ok(Page {
            records: answer.records.into_iter().map(record).collect(),
            next: answer.next_shard_iterator,
            behind_ms: answer.millis_behind_latest,
        })
    }
}

/// Records that Kinesis pushes.
#[derive(Debug)]
pub(super) struct Subscription {
    events: EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>,
    has_given: bool,
    of: String,
}

impl Subscription {
    /// What comes next, whose `next` is the number to go on at; `None`: its time is over. One that ends before anything
    /// has come, with records or without, is a fault.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, KinesisError> {
        let event = tokio::time::timeout(SILENCE_MAX, self.events.recv()).await;
        let fault = |said: &str| {
            let asked = format!("SubscribeToShard of {}", self.of);
            KinesisError::Transient(RequestError::because(asked, said.to_owned()))
        };
        let event = event.map_err(|_| fault("nothing came"))?;
        let event = event.map_err(|error| KinesisError::of_event(&error, &self.of))?;
        if event.is_none() && !self.has_given {
            return Err(fault("it ended at once"));
        }
        self.has_given = true;
        match event {
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => {
                let is_end = event
                    .child_shards
                    .is_some_and(|children| !children.is_empty())
                    || event.continuation_sequence_number.is_empty();
                Ok(Some(Page {
                    records: event.records.into_iter().map(record).collect(),
                    next: (!is_end).then_some(event.continuation_sequence_number),
                    behind_ms: Some(event.millis_behind_latest),
                }))
            }
            // An event of a kind that came after this version: nothing of ours.
            Some(_) => Ok(Some(Page {
                next: Some(String::new()),
                ..Page::default()
            })),
            None => Ok(None),
        }
    }
}

fn record(record: Record) -> KinesisRecord {
    KinesisRecord {
        arrival_ms: ms(record.approximate_arrival_timestamp),
        sequence: record.sequence_number,
        partition_key: record.partition_key.unwrap_or_default(),
        data: record.data.into_inner(),
    }
}

fn ms(time: Option<DateTime>) -> Option<i64> {
    time?.to_millis().ok()
}

fn listed(shard: Shard) -> ShardDescription {
    let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
    let range = shard.hash_key_range.as_ref();
    let sequences = shard.sequence_number_range.as_ref();
    ShardDescription {
        id: shard.shard_id.into(),
        parents: parents.into_iter().flatten().collect(),
        range: HashRange::parse(
            range.map_or("", |range| &range.starting_hash_key),
            range.map_or("", |range| &range.ending_hash_key),
        ),
        is_closed: sequences.is_some_and(|range| range.ending_sequence_number.is_some()),
    }
}
