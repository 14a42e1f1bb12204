//! Records in queues in memory: the smallest source that keeps all promises.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Asked, AwsSource, SourceKind, SourceSettings, SourceSpec, StreamType, Table};
use crate::error::StreamError;
use crate::position::{MissingRange, Position, Sequence};
use crate::record::ChunkBuilder;
use crate::shard::{ShardId, ShardState, SourceName};
use crate::source::{
    Context, Handle, Known, Next, Opened, Read, Reader, Source, SourceEntry, SourceEvent,
};

/// What the name of a queue in a state begins with.
const SCHEME: &str = "queue://";
/// Its only shard.
const SHARD: &str = "queue";
/// Bytes of a queue's name.
const NAME_MAX: usize = 128;

/// What the config says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    name: String,
}

/// `type = "queue"`: what stands in the list of sources.
pub(crate) const KIND: QueueKind = QueueKind;

/// The kind of sources that read a queue.
#[derive(Debug)]
pub(crate) struct QueueKind;

impl SourceKind for QueueKind {
    fn word(&self) -> &'static str {
        "queue"
    }

    fn keys(&self) -> &'static [&'static [&'static str]] {
        &[&["name"]]
    }

    fn read(&self, table: &mut Table<'_>, _stream: &str, _base: &Path) -> Option<SourceSettings> {
        table.require("name", "name it: name = \"clicks\"");
        let name = table.name_text("name", NAME_MAX)?;
        Some(Settings { name }.into())
    }

    fn noun(&self) -> &'static str {
        "queue"
    }

    fn owns(&self, name: &SourceName) -> bool {
        name.arn.starts_with(SCHEME)
    }

    fn of_state(&self, name: Option<&SourceName>, _local_bytes: u64) -> SourceSettings {
        let name = name.and_then(|name| name.arn.strip_prefix(SCHEME));
        let name = name.unwrap_or_default().to_owned();
        Settings { name }.into()
    }
}

impl SourceEntry for QueueKind {
    fn source<'a>(&self, settings: &'a SourceSettings) -> Option<&'a dyn Source> {
        settings.get::<Settings>().map(|own| own as &dyn Source)
    }
}

impl SourceSpec for Settings {
    fn kind(&self) -> &'static dyn SourceKind {
        &KIND
    }

    fn summary(&self) -> String {
        format!("queue {}", self.name)
    }

    fn does(&self) -> String {
        format!("reads the queue {}", self.name)
    }

    fn aws(&self, _asked: &Asked<'_>) -> AwsSource {
        AwsSource {
            stream_type: StreamType::Put,
            source: None,
        }
    }

    fn other_than(&self, name: &SourceName) -> Option<String> {
        let is_other = name.arn.strip_prefix(SCHEME) != Some(&self.name);
        is_other.then(|| self.name.clone())
    }

    fn put_elsewhere(&self) -> Option<&'static str> {
        Some("reads a queue: put records into that")
    }
}

impl Source for Settings {
    fn open(&self, known: Known, _context: Context) -> Result<Opened, StreamError> {
        let queue = Queue::open(&self.name);
        let mut events = Vec::new();
        let state = known.shards.get(SHARD);
        if state.is_none() {
            let found = vec![(ShardId::from(SHARD), ShardState::default())];
            events.push(SourceEvent::Found(found));
        }
        match known.source {
            None => events.push(SourceEvent::Named(queue.name.clone())),
            Some(name) if name == queue.name => {}
            Some(name) => return Err(another(&name)),
        }
        let last = state.and_then(|state| state.position?.sequence.narrow());
        let stop = CancellationToken::new();
        let reader = QueueReader {
            queue: queue.clone(),
            stop: stop.clone(),
            events,
            next: last.map_or(0, |last| last.0 + 1),
        };
        let handle = Arc::new(QueueHandle { queue, stop });
        Ok(Opened::new(handle, Box::new(reader), known.epoch))
    }
}

fn another(name: &SourceName) -> StreamError {
    StreamError::LoudStop {
        cause: format!("the state is of another {}", name.arn),
        advice:
            "a queue lives as long as its process: give the state up with `firehose state discard`"
                .to_owned(),
    }
}

/// A queue: records by their numbers, with the times of their arrival, in ms. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    name: SourceName,
    records: watch::Sender<Records>,
}

type Records = BTreeMap<u64, (i64, Vec<u8>)>;

/// All that there are in this process.
static QUEUES: Mutex<BTreeMap<String, Queue>> = Mutex::new(BTreeMap::new());

impl Queue {
    /// The one of that name: whoever opens it again finds what is in it.
    pub(crate) fn open(name: &str) -> Self {
        let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(name.to_owned()).or_insert_with(|| Self {
            name: SourceName {
                arn: format!("{SCHEME}{name}"),
                created_ms: Clock::system().now_ms(),
            },
            records: watch::Sender::new(Records::new()),
        });
        queue.clone()
    }

    /// Puts record number `number` into it; numbers rise.
    pub(crate) fn put(&self, number: u64, data: Vec<u8>) {
        let now_ms = Clock::system().now_ms();
        self.records.send_modify(|records| {
            records.insert(number, (now_ms, data));
        });
    }

    /// Loses a record.
    pub(crate) fn lose(&self, number: u64) {
        self.records.send_modify(|records| {
            records.remove(&number);
        });
    }
}

/// The end that is told.
struct QueueHandle {
    queue: Queue,
    stop: CancellationToken,
}

impl Handle for QueueHandle {
    fn release(&self, shards: &[(ShardId, ShardState)]) -> io::Result<()> {
        for (_, state) in shards {
            if let Some(last) = state.position.and_then(|last| last.sequence.narrow()) {
                let records = &self.queue.records;
                records.send_modify(|records| *records = records.split_off(&(last.0 + 1)));
            }
        }
        Ok(())
    }

    fn stop(&self) {
        self.stop.cancel();
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }
}

/// The end that gives.
struct QueueReader {
    queue: Queue,
    stop: CancellationToken,
    /// What the state does not know yet, last first.
    events: Vec<SourceEvent>,
    /// The number of the record that is given next.
    next: u64,
}

impl Reader for QueueReader {
    fn next(&mut self, max_bytes: usize) -> Next<'_> {
        Box::pin(async move {
            let mut records = self.queue.records.subscribe();
            while !self.stop.is_cancelled() {
                let read = self.read(&records.borrow_and_update(), max_bytes);
                if read.is_some() {
                    return Ok(read);
                }
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    _ = records.changed() => {}
                }
            }
            Ok(None)
        })
    }
}

impl QueueReader {
    /// What there is to give: all at once, so that nothing is lost with a future that is dropped.
    fn read(&mut self, records: &Records, max_bytes: usize) -> Option<Read> {
        if let Some(event) = self.events.pop() {
            return Some(Read {
                event: Some(event),
                ..Read::default()
            });
        }
        let first = *records.range(self.next..).next()?.0;
        let lost = MissingRange::between(Sequence(self.next), Sequence(first));
        let mut chunk = ChunkBuilder::of_shard(SHARD.into());
        self.next = first;
        for (number, (arrival_ms, data)) in records.range(first..) {
            if *number != self.next || chunk.bytes() >= max_bytes {
                break;
            }
            let position = Position::of(Sequence(*number));
            chunk.push_at(data, *arrival_ms, position, &[]);
            self.next += 1;
        }
        Some(Read {
            lost: lost.into_iter().collect(),
            chunk: chunk.finish(),
            event: None,
        })
    }
}
