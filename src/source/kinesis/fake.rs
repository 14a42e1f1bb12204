//! A strict Kinesis for the tests: it keeps the service's limits, lag, retention and expiry, which the
//! servers that can be had do not, and fails as it is told.

mod subscription;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::{ConsumerSettings, KinesisSettings};
use crate::config::{AwsAccess, Secret, StartSettings};

/// Shards of one page of a listing.
const LISTED: usize = 2;
const PAGE_BYTES: usize = 10 << 20;
const BYTES_A_SECOND: usize = 2 << 20;
const REQUESTS_A_SECOND: usize = 5;
pub(crate) const RETENTION_MS: i64 = 24 * 3_600_000;

/// The server; it ends when this is dropped.
pub(crate) struct Fake {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    _serving: AbortOnDropHandle<()>,
}

/// What the stream holds, and what was asked of it.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) created_s: i64,
    pub(crate) retention_hours: i64,
    pub(crate) shards: Vec<FakeShard>,
    /// Iterators of an earlier one have expired.
    pub(crate) generation: u64,
    /// Operations that fail next, with their codes.
    pub(crate) faults: VecDeque<(&'static str, &'static str)>,
    /// Whatever is asked for fails, and subscriptions end.
    pub(crate) is_down: bool,
    /// How many records the next answers or events hold at most, and up to how many the stream has forgotten by each.
    pub(crate) pages: VecDeque<(usize, usize)>,
    /// Requests for records beyond the limits.
    pub(crate) violations: usize,
    /// Requests for records that were answered.
    pub(crate) answered: usize,
    /// So many of the next subscriptions end at once.
    pub(crate) silent: usize,
    /// Subscriptions that were begun.
    pub(crate) subscriptions: usize,
    /// Where the last of them began.
    pub(crate) subscribed_from: Value,
    pub(crate) is_registered: bool,
    /// Descriptions of the consumer before it is active.
    pub(crate) registering: usize,
}

/// A shard of it.
#[derive(Default, Clone)]
pub(crate) struct FakeShard {
    pub(crate) id: String,
    pub(crate) parents: Vec<String>,
    pub(crate) records: Vec<FakeRecord>,
    /// So many of the records are forgotten.
    pub(crate) forgotten: usize,
    pub(crate) is_closed: bool,
    asked: VecDeque<Instant>,
    free_at: Option<Instant>,
    /// When the last subscription began; a later one takes it over.
    pub(crate) subscribed_at: Option<Instant>,
}

#[derive(Clone)]
pub(crate) struct FakeRecord {
    pub(crate) sequence: u64,
    pub(crate) arrival_ms: i64,
    pub(crate) data: Vec<u8>,
}

impl FakeShard {
    pub(crate) fn new(id: &str, parents: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// With these records, numbered from 1 on, that arrived at that time.
    pub(crate) fn with(mut self, arrival_ms: i64, records: &[&[u8]]) -> Self {
        for data in records {
            let sequence = self.records.len() as u64 + 1;
            self.records.push(FakeRecord {
                sequence,
                arrival_ms,
                data: data.to_vec(),
            });
        }
        self
    }

    pub(crate) fn closed(mut self) -> Self {
        self.is_closed = true;
        self
    }
}

impl FakeRecord {
    fn to_json(&self) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "a time in seconds")]
        let arrival = self.arrival_ms as f64 / 1000.0;
        json!({
            "SequenceNumber": self.sequence.to_string(), "PartitionKey": "key",
            "ApproximateArrivalTimestamp": arrival, "Data": STANDARD.encode(&self.data),
        })
    }
}

impl Fake {
    pub(crate) async fn start(shards: Vec<FakeShard>) -> Self {
        let world = Arc::new(Mutex::new(World {
            created_s: 1_700_000_000,
            retention_hours: RETENTION_MS / 3_600_000,
            shards,
            ..World::default()
        }));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&world));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            world,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn settings(&self, start: StartSettings) -> KinesisSettings {
        KinesisSettings {
            stream: "clicks".into(),
            arn: None,
            start,
            coordination: None,
            consumer: ConsumerSettings::Polling,
            access: AwsAccess {
                region: Some("us-east-1".into()),
                endpoint: Some(format!("http://{}", self.address)),
                profile: None,
                access_key_id: Some("A".into()),
                secret_access_key: Some(Secret("S".into())),
            },
        }
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<World>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.strip_prefix("Kinesis_20131202.").unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut world = shared.lock().unwrap();
    match world.answer(operation, &body) {
        Ok(_) if operation == "SubscribeToShard" => {
            Response::new(subscription::begin(&mut world, &shared, &body))
        }
        Ok(answer) => Response::new(answer.to_string().into()),
        Err(code) => {
            let body = json!({ "__type": code, "message": "as it was told" });
            let mut refused = Response::new(Body::from(body.to_string()));
            *refused.status_mut() = axum::http::StatusCode::BAD_REQUEST;
            refused
        }
    }
}

impl World {
    pub(crate) fn name(&self) -> crate::shard::SourceName {
        crate::shard::SourceName {
            arn: "arn:aws:kinesis:us-east-1:1:stream/clicks".into(),
            created_ms: self.created_s * 1000,
        }
    }

    fn answer(&mut self, operation: &str, body: &Value) -> Result<Value, &'static str> {
        if self.is_down {
            return Err("InternalFailure");
        }
        if let Some(at) = self.faults.iter().position(|(of, _)| *of == operation) {
            return Err(self.faults.remove(at).unwrap().1);
        }
        match operation {
            "DescribeStreamSummary" => Ok(json!({ "StreamDescriptionSummary": {
                "StreamName": "clicks", "StreamARN": self.name().arn, "StreamStatus": "ACTIVE",
                "RetentionPeriodHours": self.retention_hours, "EnhancedMonitoring": [],
                "StreamCreationTimestamp": self.created_s, "OpenShardCount": 1,
            }})),
            "ListShards" => Ok(self.list(body)),
            "GetShardIterator" => self.iterator(body),
            "GetRecords" => self.records(body),
            "DescribeStreamConsumer" | "RegisterStreamConsumer" => self.consumer(operation),
            "SubscribeToShard" => self.may_subscribe(body),
            _ => Err("UnknownOperationException"),
        }
    }

    fn list(&self, body: &Value) -> Value {
        let token = body["NextToken"].as_str();
        assert!(
            token.is_none() || body["StreamName"].is_null(),
            "one of both"
        );
        let from: usize = token.map_or(0, |token| token.parse().unwrap());
        let page = self.shards.iter().skip(from).take(LISTED);
        let shards: Vec<Value> = page
            .map(|shard| {
                let mut listed = json!({
                    "ShardId": shard.id,
                    "HashKeyRange": {
                        "StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string(),
                    },
                    "SequenceNumberRange": { "StartingSequenceNumber": "0" },
                });
                for (key, parent) in ["ParentShardId", "AdjacentParentShardId"]
                    .iter()
                    .zip(&shard.parents)
                {
                    listed[key] = parent.as_str().into();
                }
                if shard.is_closed {
                    let range = &mut listed["SequenceNumberRange"];
                    range["EndingSequenceNumber"] = "9223372036854775807".into();
                }
                listed
            })
            .collect();
        let next = from + LISTED;
        if next < self.shards.len() {
            json!({ "Shards": shards, "NextToken": next.to_string() })
        } else {
            json!({ "Shards": shards })
        }
    }

    fn consumer(&mut self, operation: &str) -> Result<Value, &'static str> {
        let key = match operation {
            "RegisterStreamConsumer" => {
                self.is_registered = true;
                "Consumer"
            }
            _ if !self.is_registered => return Err("ResourceNotFoundException"),
            _ => "ConsumerDescription",
        };
        let is_active = self.registering == 0;
        self.registering = self.registering.saturating_sub(1);
        Ok(json!({ key: {
            "ConsumerName": "firehose-clicks", "ConsumerARN": "arn:consumer",
            "ConsumerStatus": if is_active { "ACTIVE" } else { "CREATING" },
            "ConsumerCreationTimestamp": self.created_s, "StreamARN": self.name().arn,
        }}))
    }

    fn may_subscribe(&mut self, body: &Value) -> Result<Value, &'static str> {
        let id = body["ShardId"].as_str().unwrap();
        let shard = self.shards.iter_mut().find(|shard| shard.id == id);
        let shard = shard.ok_or("ResourceNotFoundException")?;
        let recently = Duration::from_secs(5);
        if shard
            .subscribed_at
            .is_some_and(|at| at.elapsed() < recently)
        {
            self.violations += 1;
            return Err("ResourceInUseException");
        }
        shard.subscribed_at = Some(Instant::now());
        self.subscriptions += 1;
        self.subscribed_from = body["StartingPosition"].clone();
        Ok(Value::Null)
    }

    /// Where reading begins that is asked for in these words.
    fn index(shard: &FakeShard, kind: &str, number: &Value, time: &Value) -> Option<usize> {
        let records = &shard.records;
        let number = || number.as_str()?.parse::<u64>().ok();
        Some(match kind {
            "TRIM_HORIZON" => 0,
            "LATEST" => records.len(),
            "AT_SEQUENCE_NUMBER" => {
                let number = number()?;
                records.partition_point(|record| record.sequence < number)
            }
            "AFTER_SEQUENCE_NUMBER" => {
                let number = number()?;
                records.partition_point(|record| record.sequence <= number)
            }
            "AT_TIMESTAMP" => {
                #[expect(clippy::cast_possible_truncation, reason = "a time in ms")]
                let ms = (time.as_f64().unwrap() * 1000.0).round() as i64;
                records.partition_point(|record| record.arrival_ms < ms)
            }
            other => panic!("{other}"),
        })
    }

    /// Iterators name generation, shard and the index of the next record.
    fn iterator(&self, body: &Value) -> Result<Value, &'static str> {
        let id = body["ShardId"].as_str().unwrap();
        let at = self.shards.iter().position(|shard| shard.id == id);
        let at = at.ok_or("ResourceNotFoundException")?;
        let kind = body["ShardIteratorType"].as_str().unwrap();
        let index = Self::index(
            &self.shards[at],
            kind,
            &body["StartingSequenceNumber"],
            &body["Timestamp"],
        );
        let index = index.ok_or("InvalidArgumentException")?;
        let generation = self.generation;
        Ok(json!({ "ShardIterator": format!("{generation}/{at}/{index}") }))
    }

    fn records(&mut self, body: &Value) -> Result<Value, &'static str> {
        let iterator = body["ShardIterator"].as_str().unwrap();
        let parts: Vec<usize> = iterator
            .split('/')
            .map(|part| part.parse().unwrap())
            .collect();
        let [generation, at, index] = *parts else {
            panic!("{iterator}")
        };
        if generation as u64 != self.generation {
            return Err("ExpiredIteratorException");
        }
        let now = Instant::now();
        let shard = self.shards.get_mut(at);
        let shard = shard.ok_or("ResourceNotFoundException")?;
        let second = now.checked_sub(Duration::from_secs(1)).unwrap();
        shard.asked.retain(|asked| *asked > second);
        let is_busy = shard.free_at.is_some_and(|free_at| free_at > now);
        if shard.asked.len() >= REQUESTS_A_SECOND || is_busy {
            self.violations += 1;
            return Err("ProvisionedThroughputExceededException");
        }
        shard.asked.push_back(now);
        let (mut bytes, mut records) = (0, Vec::new());
        let mut next = index.max(shard.forgotten);
        let (most, forgotten) = self.pages.pop_front().unwrap_or((usize::MAX, 0));
        shard.forgotten = shard.forgotten.max(forgotten);
        while let Some(record) = shard.records.get(next).filter(|_| records.len() < most) {
            if bytes > 0 && bytes + record.data.len() > PAGE_BYTES {
                break;
            }
            bytes += record.data.len();
            records.push(record.to_json());
            next += 1;
        }
        let busy = Duration::from_millis((bytes * 1000 / BYTES_A_SECOND) as u64);
        // As the service: a burst is allowed, and paid for.
        shard.free_at = (bytes >= BYTES_A_SECOND).then(|| now + busy);
        self.answered += 1;
        let left = shard.records.get(next);
        let now_ms = crate::clock::Clock::system().now_ms();
        let mut answer = json!({
            "Records": records,
            "MillisBehindLatest": left.map_or(0, |record| now_ms - record.arrival_ms),
        });
        if left.is_some() || !shard.is_closed {
            answer["NextShardIterator"] = format!("{generation}/{at}/{next}").into();
        }
        Ok(answer)
    }
}
