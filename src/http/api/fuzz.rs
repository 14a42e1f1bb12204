//! Bodies of `PutRecord` and `PutRecordBatch` as producers may send them.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::put::{put_record, put_record_batch};
use crate::clock::Clock;
use crate::config;
use crate::http::entry::Caller;
use crate::http::{ApiState, Limits, StreamInfo};
use crate::position::Sequence;
use crate::registry::registry;
use crate::source::{Accepted, Appending, Intake, PutBatch};
use crate::telemetry::{
    FieldCount, KnownFailure, Metrics, StatusSnapshot, StreamMetrics, StreamStatus,
};

const CONFIG: &str = r#"
state_dir = "state"
[stream.clicks.source]
type = "direct-put"
[stream.clicks.destination]
type = "folder"
path = "lake"
error_prefix = "errors/!{firehose:error-output-type}/"
"#;

/// Takes everything, and keeps it until it is asked.
#[derive(Default)]
struct Taken(Mutex<Vec<Vec<u8>>>);

impl Taken {
    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intake for Taken {
    fn append(&self, batch: PutBatch) -> Appending<'_> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(batch.records().map(<[u8]>::to_vec));
        let first = Sequence::first_of(1);
        let count = batch.len();
        Box::pin(std::future::ready(Ok(Accepted { first, count })))
    }
}

impl StreamStatus for Taken {
    fn snapshot(&self) -> StatusSnapshot {
        StatusSnapshot::default()
    }

    fn fields(&self) -> Vec<FieldCount> {
        Vec::new()
    }

    fn failures(&self) -> Vec<KnownFailure> {
        Vec::new()
    }
}

thread_local! {
    static STATE: (ApiState, Arc<Taken>) = state();
}

fn state() -> (ApiState, Arc<Taken>) {
    let loaded = config::parse(CONFIG, "firehose.toml".as_ref(), &|_| None, &registry());
    let mut config = loaded.expect("the config is sound").config;
    let settings = config.streams.remove("clicks").expect("it has the stream");
    let metrics = Arc::new(Metrics::new().expect("their names are good"));
    let taken = Arc::new(Taken::default());
    let stream = StreamInfo {
        name: settings.name.clone(),
        created_at_ms: 0,
        intake: Some(taken.clone()),
        status: taken.clone(),
        metrics: StreamMetrics::new(&metrics, &settings.name),
        settings,
    };
    let clock = Clock::manual(0);
    let state = ApiState::new([stream], clock, metrics, Limits::default());
    (state, taken)
}

/// The body of `PutRecord` and of `PutRecordBatch`: what is accepted is what its base64 says, in order; where
/// it is refused, nothing is.
pub fn api_body(body: &[u8]) {
    STATE.with(|(state, taken)| {
        for is_batch in [false, true] {
            let answer = if is_batch {
                ready(put_record_batch(state, &Caller::default(), body))
            } else {
                ready(put_record(state, &Caller::default(), body))
            };
            let taken = taken.take();
            match answer {
                Ok(answer) => {
                    let answer: Option<Value> = serde_json::from_str(&answer).ok();
                    assert!(answer.is_some(), "an answer that is no JSON");
                    assert_eq!(Some(taken), sent(body, is_batch), "accepted, and sent");
                }
                Err(_) => assert!(taken.is_empty(), "refused, and accepted"),
            }
        }
    });
}

/// The records of a request that was accepted, as another reader finds them.
fn sent(body: &[u8], is_batch: bool) -> Option<Vec<Vec<u8>>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let one = [request["Record"].clone()];
    let records = if is_batch {
        request["Records"].as_array()?
    } else {
        &one[..]
    };
    let data = records.iter().map(|record| record["Data"].as_str());
    data.map(|data| STANDARD.decode(data?).ok()).collect()
}

/// What is done without waiting.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("nothing here is to be waited for"),
    }
}
