//! Subscriptions of the strict server: events of AWS' binary event stream, on HTTP/1.1.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::World;

/// How long one lives: the service's five minutes, shortened.
const LIFE: Duration = Duration::from_secs(2);
const RECORDS_OF_AN_EVENT: usize = 2;

/// The answer to a request that is allowed.
pub(super) fn begin(world: &mut World, shared: &Arc<Mutex<World>>, body: &Value) -> Body {
    let id = body["ShardId"].as_str().unwrap();
    let at = world.shards.iter().position(|shard| shard.id == id);
    let at = at.unwrap();
    let position = &body["StartingPosition"];
    let kind = position["Type"].as_str().unwrap();
    let shard = &world.shards[at];
    let index = World::index(
        shard,
        kind,
        &position["SequenceNumber"],
        &position["Timestamp"],
    );
    let (index, begun) = (index.unwrap(), shard.subscribed_at);
    // As on the wire: what is not read yet is bounded.
    let (events, receiver) = mpsc::channel(1);
    if world.silent > 0 {
        world.silent -= 1;
        return Body::new(Events(receiver));
    }
    let pushing = Pushing {
        shared: Arc::clone(shared),
        shard: id.to_owned(),
        index,
        begun,
        events,
    };
    tokio::spawn(pushing.run());
    Body::new(Events(receiver))
}

struct Pushing {
    shared: Arc<Mutex<World>>,
    shard: String,
    index: usize,
    begun: Option<Instant>,
    events: mpsc::Sender<Bytes>,
}

impl Pushing {
    async fn run(mut self) {
        loop {
            let Some((event, is_last)) = self.event() else {
                return;
            };
            if self.events.send(framed(&event)).await.is_err() || is_last {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The next event, and whether the shard ends with it; `None`: the subscription is over.
    fn event(&mut self) -> Option<(Value, bool)> {
        let mut world = self.shared.lock().unwrap();
        let mut shards = world.shards.iter();
        let at = shards.position(|shard| shard.id == self.shard)?;
        let is_over = self.begun.is_none_or(|begun| begun.elapsed() > LIFE);
        if is_over || world.is_down || world.shards[at].subscribed_at != self.begun {
            return None;
        }
        let (most, forgotten) = world.pages.pop_front().unwrap_or((RECORDS_OF_AN_EVENT, 0));
        let shard = &mut world.shards[at];
        shard.forgotten = shard.forgotten.max(forgotten);
        let shard = &world.shards[at];
        self.index = self.index.max(shard.forgotten);
        let end = shard.records.len().min(self.index + most);
        let records = shard.records.get(self.index..end).unwrap_or_default();
        self.index = self.index.max(end);
        let left = shard.records.get(self.index);
        let now_ms = crate::clock::Clock::system().now_ms();
        let before = self.index.checked_sub(1);
        let seen = before.map_or(0, |before| shard.records[before].sequence);
        let mut event = json!({
            "Records": records.iter().map(super::FakeRecord::to_json).collect::<Vec<_>>(),
            "ContinuationSequenceNumber": seen.to_string(),
            "MillisBehindLatest": left.map_or(0, |record| now_ms - record.arrival_ms),
        });
        let is_last = left.is_none() && shard.is_closed;
        if is_last {
            let children = world.shards.iter();
            let children = children.filter(|child| child.parents.contains(&self.shard));
            let children = children.map(|child| {
                json!({
                    "ShardId": child.id, "ParentShards": child.parents,
                    "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "1" },
                })
            });
            event["ChildShards"] = children.collect();
        }
        Some((event, is_last))
    }
}

/// The body of the answer.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.get_mut().0.poll_recv(context);
        event.map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

/// A message of the event stream: lengths, headers, payload, each part with its CRC-32.
fn framed(event: &Value) -> Bytes {
    let mut headers = Vec::new();
    for (name, value) in [
        (":message-type", "event"),
        (":event-type", "SubscribeToShardEvent"),
        (":content-type", "application/x-amz-json-1.1"),
    ] {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7); // a string
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let payload = event.to_string().into_bytes();
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let mut message = Vec::new();
    message.extend_from_slice(&length(headers.len() + payload.len() + 16));
    message.extend_from_slice(&length(headers.len()));
    message.extend_from_slice(&crc32(&message));
    message.extend_from_slice(&headers);
    message.extend_from_slice(&payload);
    let checksum = crc32(&message);
    message.extend_from_slice(&checksum);
    message.into()
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes);
    u32::try_from(sum).unwrap().to_be_bytes()
}
