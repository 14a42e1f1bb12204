//! The listener in front of an intake that keeps records in memory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{
    BufferingSettings, DestinationSettings, FormatSettings, HttpKey, PartitioningSettings,
    StreamSettings,
};
use crate::destination::FolderSettings;
use crate::format::{Compression, Delimiter, JsonSettings};
use crate::http::{ApiState, Limits, StreamInfo, serve};
use crate::position::Sequence;
use crate::source::direct_put::DirectPut;
use crate::source::{Accepted, Appending, Intake, PutBatch, Refused};
use crate::telemetry::{
    Failures, FieldCount, FieldCounts, FieldDrift, FieldDrifts, KnownFailure, Metrics,
    StatusSnapshot, StreamMetrics, StreamStatus,
};

/// An intake that keeps what it accepts in memory, in the order of acceptance.
pub(crate) struct Memory {
    /// The records accepted so far.
    pub(crate) records: Mutex<Vec<Vec<u8>>>,
    /// Bytes after which everything is refused.
    pub(super) room: Mutex<usize>,
    /// So many refusals more, and there is room again.
    pub(super) refusals: Mutex<Option<u32>>,
    /// An append adds a permit here, then waits for one at the gate and takes it.
    pub(crate) arrived: Semaphore,
    pub(crate) gate: Semaphore,
    pub(crate) status: Mutex<StatusSnapshot>,
    pub(crate) failures: Failures,
    pub(crate) fields: FieldCounts,
    pub(crate) drift: FieldDrifts,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            records: Mutex::default(),
            room: Mutex::new(usize::MAX),
            refusals: Mutex::default(),
            arrived: Semaphore::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            status: Mutex::default(),
            failures: Failures::default(),
            fields: FieldCounts::default(),
            drift: FieldDrifts::default(),
        })
    }

    pub(crate) fn set_room(&self, bytes: usize) {
        *self.room.lock().unwrap() = bytes;
    }

    pub(crate) fn make_room_after_refusals(&self, count: u32) {
        *self.refusals.lock().unwrap() = Some(count);
    }

    pub(crate) fn records(&self) -> Vec<Vec<u8>> {
        self.records.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.records.lock().unwrap().len()
    }
}

impl Intake for Memory {
    fn append(&self, batch: PutBatch) -> Appending<'_> {
        Box::pin(async move {
            self.arrived.add_permits(1);
            self.gate.acquire().await.unwrap().forget();
            let mut room = self.room.lock().unwrap();
            let Some(rest) = room.checked_sub(batch.data.len()) else {
                if let Some(left) = self.refusals.lock().unwrap().as_mut() {
                    *left -= 1;
                    *room = if *left == 0 { usize::MAX } else { *room };
                }
                return Err(Refused::Full {
                    stream: "clicks".into(),
                    limit: 7,
                });
            };
            *room = rest;
            let mut records = self.records.lock().unwrap();
            let first = Sequence::first_of(1).plus(records.len() as u64);
            let mut start = 0;
            for &end in &batch.ends {
                records.push(batch.data[start..end as usize].to_vec());
                start = end as usize;
            }
            Ok(Accepted {
                first,
                count: batch.len(),
            })
        })
    }
}

impl StreamStatus for Memory {
    fn snapshot(&self) -> StatusSnapshot {
        StatusSnapshot {
            records_in: self.count() as u64,
            ..self.status.lock().unwrap().clone()
        }
    }

    fn fields(&self) -> Vec<FieldCount> {
        self.fields.known()
    }

    fn drift(&self) -> Vec<FieldDrift> {
        self.drift.known()
    }

    fn failures(&self) -> Vec<KnownFailure> {
        self.failures.known()
    }
}

pub(crate) fn settings(name: &str) -> StreamSettings {
    StreamSettings {
        name: name.into(),
        source: DirectPut {
            journal_limit: 1 << 30,
        }
        .into(),
        parser: None,
        transforms: Vec::new(),
        deaggregate: true,
        partitioning: PartitioningSettings::default(),
        buffering: BufferingSettings::new(5 << 20, Duration::from_mins(5)),
        watermark: None,
        format: FormatSettings::new(JsonSettings {
            compression: Compression::Gzip,
            delimiter: Delimiter::Newline,
        }),
        only_json: false,
        destination: DestinationSettings {
            store: FolderSettings {
                path: PathBuf::from("/lake"),
            }
            .into(),
            errors: None,
            backup: None,
            prefix: None,
            late_prefix: None,
            error_prefix: None,
        },
        backup: None,
        catalog: None,
        spool_limit: 1 << 30,
    }
}

/// A listener that serves until the test ends it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) memory: Arc<Memory>,
    pub(super) stop: CancellationToken,
    pub(super) served: JoinHandle<std::io::Result<()>>,
    pub(super) client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    /// With one stream, `clicks`.
    pub(crate) async fn start() -> Self {
        Self::with(&["clicks"], Limits::default()).await
    }

    /// With these streams, all on one intake.
    pub(crate) async fn with(names: &[&str], limits: Limits) -> Self {
        Self::of(names.iter().map(|name| settings(name)).collect(), limits).await
    }

    /// With streams of these settings, all on one intake.
    pub(crate) async fn of(streams: Vec<StreamSettings>, limits: Limits) -> Self {
        Self::for_keys(streams, limits, &[]).await
    }

    /// The same, for those who have one of these keys.
    pub(crate) async fn for_keys(
        streams: Vec<StreamSettings>,
        limits: Limits,
        keys: &[HttpKey],
    ) -> Self {
        let memory = Memory::new();
        let metrics = Arc::new(Metrics::new().unwrap());
        let streams = streams.into_iter().map(|settings| StreamInfo {
            name: settings.name.clone(),
            created_at_ms: 1_700_000_000_500,
            intake: Some(memory.clone()),
            status: memory.clone(),
            metrics: StreamMetrics::new(&metrics, &settings.name),
            settings,
        });
        let clock = Clock::manual(1_700_000_100_000);
        let state = ApiState::new(streams, clock, metrics.clone(), limits);
        let state = Arc::new(state.with_keys(keys));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, state, stop.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            address,
            memory,
            stop,
            served,
            client,
        }
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let uri = format!("http://{}{path}", self.address);
        let mut request = axum::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text,
        }
    }

    pub(super) async fn put(&self, body: impl Into<Bytes>) -> Answer {
        self.ask("POST", "/streams/clicks/records", &[], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    /// Sends bytes as they are and reads until the server closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}
