//! Who reads what: connects, finds the shards, and has each read when it is its turn.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Description, KinesisClient};
use super::error::KinesisError;
use super::gap::Gap;
use super::retention::{ASK_EVERY, Retention};
use super::shard_reader::{self, ReadOutcome, ShardContext};
use super::shards::{ListingChange, Ready, Shards};
use super::{ConsumerSettings, Halt, KinesisSettings, ReaderContext, ShardRead};
use crate::clock::utc;
use crate::error::{StreamError, with_causes};
use crate::retry;
use crate::shard::{ShardId, SourceName};
use crate::source::{Known, Only, Read, SourceEvent};

/// How often shards are listed when nothing asks for it.
const LIST_EVERY: Duration = Duration::from_mins(1);
/// How often while children are missing.
pub(super) const LIST_SOON: Duration = Duration::from_secs(2);
/// The part of the source's health that is not one shard's.
const STREAM: &str = "";

/// Reads a stream from where the state has it.
pub(super) struct Conductor {
    settings: KinesisSettings,
    source: Option<SourceName>,
    shards: Shards,
    /// Where one shard alone is to be read.
    only: Option<Only>,
    pub(super) context: ReaderContext,
    /// Shards of which a durable checkpoint has all.
    durable: mpsc::UnboundedReceiver<ShardId>,
}

impl Conductor {
    pub(super) fn new(
        settings: KinesisSettings,
        known: Known,
        only: Option<Only>,
        context: ReaderContext,
        durable: mpsc::UnboundedReceiver<ShardId>,
    ) -> Self {
        Self {
            settings,
            source: known.source,
            shards: Shards::new(known.shards),
            only,
            context,
            durable,
        }
    }

    /// Reads until nobody takes what is read any more, or until an error that it hands over.
    pub(super) async fn run(mut self, reads: mpsc::Sender<ShardRead>) {
        let ended = match self.only.clone() {
            None => self.conduct(&reads).await,
            Some(only) => self.read_alone(only, &reads).await,
        };
        if let Err(Halt::Failed(error)) = ended {
            let _ = reads.send(Err(error)).await;
        }
    }

    /// Connects, and sees to it that the stream is the one that the state is of.
    pub(super) async fn begin(
        &mut self,
        reads: &mpsc::Sender<ShardRead>,
    ) -> Result<ShardContext, Halt> {
        let stream = &self.settings.stream;
        let connecting = format!("Kinesis stream {stream} has not answered yet");
        self.context.health.failing(self.part(), connecting);
        let (client, description) = self.connect().await;
        self.check_name(&description, reads).await?;
        Ok(ShardContext {
            context: self.context.clone(),
            reads: reads.clone(),
            retention: Retention::of(
                client.clone(),
                description.retention_ms,
                ASK_EVERY,
                self.context.clock.clone(),
            ),
            consumer: self.consumer(&client, &description.name.arn).await,
            client,
        })
    }

    /// The part of the source's health that is told of what concerns all that is read here.
    pub(super) fn part(&self) -> &str {
        self.only.as_ref().map_or(STREAM, |only| &only.shard)
    }

    async fn conduct(&mut self, reads: &mpsc::Sender<ShardRead>) -> Result<(), Halt> {
        let shared = self.begin(reads).await?;
        if self.shards.is_empty() {
            self.context.metrics.fresh_starts.add(1);
            tracing::warn!(
                stream = self.context.stream,
                kinesis = self.source.as_ref().map(|source| &source.arn),
                start = ?self.settings.start,
                "the state knows no position in this Kinesis stream: reading begins at `start`. \
                 Where it was read before, a lost `state_dir` means that records are delivered again"
            );
        }
        let mut reading = JoinSet::new();
        let mut count = 0;
        // Those whose loops found that they are not there, to be looked up in the next listing.
        let mut missing: Vec<(Ready, String)> = Vec::new();
        self.list(&shared, &mut missing, &mut reading, &mut count)
            .await?;
        let mut next_listing = Instant::now() + LIST_EVERY;
        loop {
            for ready in self.shards.ready() {
                count += 1;
                reading.spawn(shard_reader::read(shared.clone(), ready));
            }
            self.context.metrics.open_shards.set(count);
            tokio::select! {
                () = tokio::time::sleep_until(next_listing) => {
                    self.list(&shared, &mut missing, &mut reading, &mut count).await?;
                    let is_short = self.shards.lacks_children();
                    next_listing = Instant::now() + if is_short { LIST_SOON } else { LIST_EVERY };
                }
                Some(shard) = self.durable.recv() => {
                    self.shards.ended(&shard);
                    next_listing = next_listing.min(Instant::now() + Duration::from_millis(50));
                }
                Some(ended) = reading.join_next() => {
                    count -= 1;
                    match ended {
                        Ok(ReadOutcome::Ended(shard)) => {
                            let stream = &self.context.stream;
                            tracing::info!(stream, shard = &*shard, "all of the shard is read");
                            next_listing = Instant::now();
                        }
                        Ok(ReadOutcome::Missing(ready, cause)) => {
                            missing.push((ready, cause));
                            next_listing = next_listing.min(Instant::now() + LIST_SOON);
                        }
                        Ok(ReadOutcome::Halted) => return Err(Halt::Closed),
                        Err(panic) => return Err(Halt::Failed(StreamError::State {
                            action: "read a shard",
                            cause: panic.into(),
                        })),
                    }
                }
            }
        }
    }

    /// Asks the stream what it is, for as long as it takes.
    async fn connect(&self) -> (KinesisClient, Description) {
        let mut attempt = 0;
        loop {
            let asked = async {
                let client = KinesisClient::connect(&self.settings).await?;
                let description = client.describe().await?;
                Ok::<_, KinesisError>((client, description))
            };
            match asked.await {
                Ok(found) => {
                    self.context.health.well(self.part());
                    return found;
                }
                Err(error) => {
                    attempt += 1;
                    self.wait_out(&error, attempt).await;
                }
            }
        }
    }

    /// The registered consumer that is to subscribe, if one is; registered where it is not yet, for as
    /// long as it takes.
    async fn consumer(&self, client: &KinesisClient, stream_arn: &str) -> Option<Arc<str>> {
        let ConsumerSettings::FanOut { name } = &self.settings.consumer else {
            return None;
        };
        let mut attempt = 0;
        loop {
            match client.consumer(stream_arn, name).await {
                Ok(consumer) => {
                    self.context.health.well(self.part());
                    return Some(consumer.into());
                }
                Err(error) => {
                    attempt += 1;
                    self.wait_out(&error, attempt).await;
                }
            }
        }
    }

    /// Tells what is wrong with the stream as a whole, and waits.
    pub(super) async fn wait_out(&self, error: &KinesisError, attempt: u32) {
        let stream = &self.context.stream;
        let (cause, most) = match error {
            KinesisError::Missing(cause) => {
                let advice = "create the stream, or check `stream`, `region` and `endpoint` of the \
                              source";
                let told = format!("{}: {advice}", with_causes(cause));
                (told, retry::PERMANENT_MAX)
            }
            KinesisError::Permanent(_) => (with_causes(error), retry::PERMANENT_MAX),
            _ => (with_causes(error), retry::TRANSIENT_MAX),
        };
        if let Some(unsaid) = self.context.health.repeats().due("stream", &cause) {
            tracing::warn!(stream, cause, unsaid, "the Kinesis stream cannot be read");
        }
        self.context.health.failing(self.part(), cause);
        tokio::time::sleep(retry::delay(attempt, most)).await;
    }

    /// The state is of this very stream, or of none yet.
    pub(super) async fn check_name(
        &mut self,
        description: &Description,
        reads: &mpsc::Sender<ShardRead>,
    ) -> Result<(), Halt> {
        let name = &description.name;
        match &self.source {
            Some(known) if known == name => Ok(()),
            Some(known) => Err(Halt::Failed(StreamError::LoudStop {
                cause: format!(
                    "the state is of Kinesis stream {} created at {}, but the source is {} created \
                     at {}: positions in one mean nothing in the other",
                    known.arn,
                    utc(known.created_ms),
                    name.arn,
                    utc(name.created_ms),
                ),
                advice: format!(
                    "name the former stream again, or stop the daemon, deliver what the state holds \
                     with `firehose state drain {0}` and give it up with `firehose state discard {0} --yes`",
                    self.context.stream
                ),
            })),
            None => {
                self.source = Some(name.clone());
                tell(reads, SourceEvent::Named(name.clone())).await
            }
        }
    }

    /// Lists the shards and tells what has changed. A failed listing is tried again, not waited for.
    async fn list(
        &mut self,
        shared: &ShardContext,
        missing: &mut Vec<(Ready, String)>,
        reading: &mut JoinSet<ReadOutcome>,
        count: &mut usize,
    ) -> Result<(), Halt> {
        let mut attempt = 0;
        let (listed, description, asked_ms) = loop {
            let asked_ms = self.context.clock.now_ms();
            let asked = async {
                // Where shards are missing, the stream itself may be another one by now.
                let description = if missing.is_empty() {
                    None
                } else {
                    Some(shared.client.describe().await?)
                };
                Ok::<_, KinesisError>((shared.client.shards().await?, description, asked_ms))
            };
            match asked.await {
                Ok(listed) => break listed,
                Err(error) => {
                    attempt += 1;
                    self.wait_out(&error, attempt).await;
                }
            }
        };
        self.context.health.well(self.part());
        if let Some(description) = description {
            self.check_name(&description, &shared.reads).await?;
        }
        let start = self.settings.start;
        let ListingChange { found, forgotten } = self.shards.list(&listed, start, asked_ms);
        if !found.is_empty() {
            let shards = found.len();
            tracing::info!(stream = self.context.stream, shards, "shards found");
            tell(&shared.reads, SourceEvent::Found(found)).await?;
        }
        if !forgotten.is_empty() {
            tell(&shared.reads, SourceEvent::Forgotten(forgotten)).await?;
        }
        let there: BTreeSet<&str> = listed.iter().map(|shard| &*shard.id).collect();
        for (ready, cause) in missing.drain(..) {
            if there.contains(&*ready.id) {
                self.context.health.failing(&ready.id, cause);
                *count += 1;
                reading.spawn(shard_reader::read(shared.clone(), ready));
            } else {
                self.forgotten(ready, &shared.reads).await?;
            }
        }
        Ok(())
    }

    /// The stream has forgotten a shard that was to be read: its last records are gone with it.
    pub(super) async fn forgotten(
        &self,
        shard: Ready,
        reads: &mpsc::Sender<ShardRead>,
    ) -> Result<(), Halt> {
        self.context.health.well(&shard.id);
        shard_reader::report_gap(&self.context, &shard.id, Gap::behind(&shard.state));
        tell(reads, SourceEvent::Ended(shard.id)).await
    }
}

async fn tell(reads: &mpsc::Sender<ShardRead>, event: SourceEvent) -> Result<(), Halt> {
    let read = Read {
        event: Some(event),
        ..Read::default()
    };
    reads.send(Ok(read)).await.map_err(|_| Halt::Closed)
}
