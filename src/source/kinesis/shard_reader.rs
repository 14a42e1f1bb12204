//! The loop of one shard: asks for what comes next, gives it on, and asks again when it has been taken.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::client::{IteratorStart, KinesisClient};
use super::error::KinesisError;
use super::feed::{Fed, Feed};
use super::gap::{Gap, SeenPage, Watch};
use super::page::{Emitter, read_sequence};
use super::retention::Retention;
use super::shards::Ready;
use super::{Halt, ReaderContext, ShardRead};
use crate::error::with_causes;
use crate::retry;
use crate::shard::{ShardId, ShardStart};
use crate::source::SourceEvent;
use crate::telemetry::Lag;

/// A shard at its end says so to the checkpoint this often.
const TELL_EVERY: Duration = Duration::from_mins(1);
/// Faults that may pass, of whatever kind, are told when so many have come in a row.
const TOLD_AFTER: u32 = 3;
/// Delays of a throttled request begin here in the schedule.
const THROTTLED_FROM: u32 = 3;

/// What the loops of all shards share.
#[derive(Clone)]
pub(super) struct ShardContext {
    pub(super) client: KinesisClient,
    pub(super) context: ReaderContext,
    pub(super) reads: mpsc::Sender<ShardRead>,
    pub(super) retention: Retention,
    /// The registered consumer that subscribes, where shards are not polled.
    pub(super) consumer: Option<Arc<str>>,
}

/// Why a loop has ended.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// All of the shard has been given.
    Ended(ShardId),
    /// The stream does not know the shard, or our place in it.
    Missing(Ready, String),
    /// Reading is over.
    Halted,
}

/// Reads a shard to its end.
pub(super) async fn read(shared: ShardContext, ready: Ready) -> ReadOutcome {
    let mut shard_reader = ShardReader::new(shared, ready);
    match shard_reader.run().await {
        Ok(outcome) => outcome,
        Err(Halt::Closed) => ReadOutcome::Halted,
        Err(Halt::Failed(error)) => {
            let _ = shard_reader.shared.reads.send(Err(error)).await;
            ReadOutcome::Halted
        }
    }
}

struct ShardReader {
    shared: ShardContext,
    ready: Ready,
    feed: Feed,
    emitter: Emitter,
    behind: Lag,
    watch: Watch,
    told: Instant,
    attempt: u32,
}

impl ShardReader {
    fn new(shared: ShardContext, ready: Ready) -> Self {
        let metrics = &shared.context.metrics;
        let emitter = Emitter::new(
            &ready.id,
            ready.range,
            ready.state.position,
            metrics,
            &shared.reads,
        );
        let feed = match &shared.consumer {
            None => Feed::polling(),
            Some(consumer) => Feed::fan_out(consumer),
        };
        Self {
            feed,
            behind: metrics.behind(&ready.id),
            emitter,
            watch: Watch::of(&ready.state),
            shared,
            ready,
            told: Instant::now(),
            attempt: 0,
        }
    }

    async fn run(&mut self) -> Result<ReadOutcome, Halt> {
        loop {
            let asked_ms = self.shared.context.clock.now_ms();
            let fed = match self.next().await {
                Ok(Some(fed)) => fed,
                Ok(None) => continue,
                Err(error) if self.is_lost(&error) => return Ok(self.missing(&error)),
                Err(error) => {
                    self.back_off(&error).await;
                    continue;
                }
            };
            self.well();
            if self.take(fed, asked_ms).await? {
                return Ok(ReadOutcome::Ended(ShardId::clone(&self.ready.id)));
            }
        }
    }

    /// What comes after all that was given.
    async fn next(&mut self) -> Result<Option<Fed>, KinesisError> {
        let (client, shard) = (&self.shared.client, &*self.ready.id);
        let requests = &self.shared.context.metrics.requests;
        let given = self.emitter.given().map(|position| position.sequence);
        let now_ms = self.shared.context.clock.now_ms();
        let kept_since_ms = self.shared.retention.kept_since_ms(now_ms);
        // Not at the same record again and again. Polling goes on from page to page, and subscriptions one behind the
        // other, where they come to an end before the record that is awaited, or the first one after it, has come.
        let may_begin = if self.feed.is_polling() {
            self.watch.has_moved(given)
        } else {
            !self.watch.is_awaited()
        };
        if may_begin && self.watch.is_overtaken(kept_since_ms) {
            self.feed.begin_anew();
        }
        if self.feed.is_polling() {
            requests.add(1);
        }
        if self.feed.begin(client, shard, self.at(), now_ms).await? {
            if !self.feed.is_polling() {
                requests.add(1);
            }
            // A second one at the end would pass over what came since the first.
            self.ready.is_fresh = false;
            let gap = self.watch.begin(given, kept_since_ms);
            self.tell(gap);
        }
        let room = &self.shared.context.room;
        self.feed.next(client, shard, room).await
    }

    /// Where a new iterator or subscription begins.
    fn at(&self) -> IteratorStart {
        match (self.emitter.given(), self.ready.state.start) {
            // The record itself, not the one after it: more of it may be to come, and where it is not
            // there any more the stream has forgotten what we have not read.
            (Some(position), _) => IteratorStart::Sequence(position.sequence),
            (None, ShardStart::TrimHorizon) => IteratorStart::TrimHorizon,
            (None, ShardStart::Latest(_)) if self.ready.is_fresh => IteratorStart::Latest,
            (None, ShardStart::Latest(ms) | ShardStart::Time(ms)) => IteratorStart::Time(ms),
        }
    }

    /// Whether the shard is not there, or is not the one that our position is in.
    fn is_lost(&self, error: &KinesisError) -> bool {
        match error {
            KinesisError::Missing(_) => true,
            KinesisError::Place(_) => self.emitter.given().is_some(),
            _ => false,
        }
    }

    /// The shard, to be read on after what was given if it is there after all.
    fn missing(&self, error: &KinesisError) -> ReadOutcome {
        let mut ready = self.ready.clone();
        ready.state.position = self.emitter.given();
        ready.state.until_ms = self.watch.until_ms();
        ReadOutcome::Missing(ready, with_causes(error))
    }

    /// Gives all of a page that was asked for at that time. True: it was the last.
    async fn take(&mut self, fed: Fed, asked_ms: i64) -> Result<bool, Halt> {
        let Fed { page, held } = fed;
        self.emitter.hold(held);
        let metrics = &self.shared.context.metrics;
        metrics.records.add(page.records.len() as u64);
        metrics.bytes.add(page.bytes());
        if let Some(behind_ms) = page.behind_ms {
            self.behind.set(behind_ms);
        }
        let first = page.records.first();
        let first = first.map(|first| read_sequence(&first.sequence, &self.ready.id));
        let seen = SeenPage {
            first: first.transpose()?,
            is_last: page.next.is_none() || page.behind_ms == Some(0),
            until_ms: page.until_ms(self.feed.asked_ms(asked_ms)),
        };
        let kept_since_ms = self.shared.retention.kept_since_ms(asked_ms);
        let gap = self.watch.see(seen, kept_since_ms);
        self.tell(gap);
        self.emitter.give(&page.records, asked_ms).await?;
        let shard = ShardId::clone(&self.ready.id);
        let due = !page.records.is_empty() || self.told.elapsed() >= TELL_EVERY;
        let event = match self.watch.until_ms().filter(|_| due) {
            Some(until_ms) => {
                self.told = Instant::now();
                Some(SourceEvent::Until(ShardId::clone(&shard), until_ms))
            }
            None => None,
        };
        self.emitter.flush(event).await?;
        self.emitter.let_go();
        let is_end = page.next.is_none();
        if is_end {
            self.emitter.flush(Some(SourceEvent::Ended(shard))).await?;
        }
        Ok(is_end)
    }

    fn tell(&self, gap: Option<Gap>) {
        if let Some(gap) = gap {
            report_gap(&self.shared.context, &self.ready.id, gap);
        }
    }

    fn well(&mut self) {
        self.attempt = 0;
        self.shared.context.health.well(&self.ready.id);
    }

    /// Tells at once what needs a person, and what may pass when it has not for a while; waits.
    async fn back_off(&mut self, error: &KinesisError) {
        self.attempt += 1;
        let ReaderContext {
            stream,
            metrics,
            health,
            ..
        } = &self.shared.context;
        let (shard, cause) = (&*self.ready.id, with_causes(error));
        let (attempt, most, is_lasting) = match error {
            KinesisError::Throttled(_) => {
                metrics.throttles.add(1);
                (self.attempt + THROTTLED_FROM, retry::TRANSIENT_MAX, false)
            }
            KinesisError::Iterator(_) => {
                metrics.expired_iterators.add(1);
                (self.attempt, retry::TRANSIENT_MAX, false)
            }
            KinesisError::Transient(_) => (self.attempt, retry::TRANSIENT_MAX, false),
            KinesisError::Permanent(_) | KinesisError::Missing(_) | KinesisError::Place(_) => {
                (self.attempt, retry::PERMANENT_MAX, true)
            }
        };
        // Now and then each of them is in the order of things.
        let is_usual = matches!(
            error,
            KinesisError::Throttled(_) | KinesisError::Iterator(_)
        );
        let is_told = is_lasting || self.attempt >= TOLD_AFTER;
        if is_lasting {
            if let Some(unsaid) = health.repeats().due_alike("shard", &cause) {
                tracing::error!(stream, shard, cause, unsaid, "the shard cannot be read");
            }
        } else if is_usual && !is_told {
            tracing::debug!(stream, shard, cause, "reading is tried again");
        } else if let Some(unsaid) = health.repeats().due_alike("reading", &cause) {
            tracing::warn!(stream, shard, cause, unsaid, "reading is tried again");
        }
        if is_told {
            health.failing(shard, cause);
            self.fall_behind();
        }
        tokio::time::sleep(retry::delay(attempt, most)).await;
    }

    /// Kinesis does not tell how far behind reading is: at most by what came since it last told.
    fn fall_behind(&self) {
        let now_ms = self.shared.context.clock.now_ms();
        if let Some(until_ms) = self.watch.until_ms() {
            self.behind.set(now_ms.saturating_sub(until_ms));
        }
    }
}

/// Shouts that the stream has forgotten a time before it was read; what came in it, nobody knows.
pub(super) fn report_gap(context: &ReaderContext, shard: &str, gap: Gap) {
    context.metrics.retention_gaps.add(1);
    let after = gap
        .after
        .map_or_else(|| "nothing".to_owned(), |after| after.to_string());
    let until = gap
        .since_ms
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let until = until.map_or_else(|| "an unknown time".to_owned(), |time| time.to_string());
    tracing::error!(
        stream = context.stream,
        shard,
        after,
        until,
        "RECORDS MAY BE LOST: the Kinesis stream has forgotten a time of this shard that was not read: \
         what arrived in it, if anything did, is lost; all that had arrived until then is read. \
         Stop the daemon for less long, or raise the stream's retention. Raise it while the daemon runs and has \
         caught up: else the next start does not see what was lost before"
    );
}
