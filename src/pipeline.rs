//! One delivery stream: the only owner of its state.
//!
//! The loop waits for one event, applies it, and restores its invariants: what is due is sealed,
//! what is full is encoded, what changed is checkpointed, what a checkpoint lists is published.
//! Work that takes CPU or I/O is handed out and comes back as an event; nothing else touches the
//! state.

mod again;
mod agreeing;
mod agreement;
mod apply;
mod backlog;
mod checkpointing;
mod claim;
mod claiming;
mod commit;
mod drafted;
mod drift;
mod encode;
mod event;
mod failures;
mod filling;
mod followed;
mod footprint;
mod formats;
mod given;
mod hurry;
mod learning;
mod log;
mod mend;
mod moving;
mod outputs;
mod prefixes;
mod publish;
mod quarantine;
mod recovery;
mod refused;
mod report;
mod room;
mod route;
mod router;
mod seal;
mod settle;
mod shortage;
mod status;
mod stopping;
mod table;
mod telling;
mod waiting;
mod windows;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::budget::Share;
use crate::checkpoint::Lane;
use crate::clock::{Clock, Moment};
use crate::config::StreamSettings;
use crate::destination::{Destination, PublishError};
use crate::disk::Reserve;
use crate::error::StreamError;
use crate::protocol::Protocol;
use crate::source::{Handle, Room};
use crate::spool::Spool;
use crate::telemetry::{Metrics, StreamState};
use crate::transform::Transforms;

pub use again::{Tried, Wanted, is_there, try_again};
use agreeing::Agreeing;
use backlog::Backlog;
pub use claim::Claim;
pub use drafted::{draft_fault, out_of_place, table_draft, table_objects, updates};
use drift::Drift;
pub use encode::EncoderPool;
use encode::Piece;
use event::Event;
pub use footprint::Footprint;
use given::Given;
use learning::Learning;
use log::names::Names;
pub use log::{
    Body, LeaseLog, Listed, LocalLog, Log, SCRATCH, SharedLog, SharedPlace, Taken, agreed_versions,
    connect_shared, open_shared, scratch,
};
use log::{CheckpointLog, Due, Outcome, Recovered, Standing};
use moving::Moving;
pub use outputs::Outputs;
pub use prefixes::{MadeUp, prefix_faults};
pub use recovery::state::RecoveredState;
pub use recovery::{QUARANTINE_DIR, REWRITTEN, SPOOL_DIR, open, reserve_bytes};
use route::Routed;
use shortage::ReserveStep;
pub use status::{Landed, Observation, Status};
use stopping::Stopping;
use table::{BatchTable, Triggers};
pub use telling::KnownPlaces;
use telling::Telling;
use waiting::Waiting;
pub use workers::Workers;

/// How often the loop looks at the time when nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// What a pipeline shares with the rest of the process.
#[derive(Clone, Debug)]
pub struct StreamContext {
    /// Time.
    pub clock: Clock,
    /// The stream's share of the threads for CPU work.
    pub workers: Workers,
    /// What changes the stream's records on their way.
    pub transforms: Option<Arc<Transforms>>,
    /// What this stream's batches may take of the memory for all.
    pub memory: Arc<Share>,
    /// What the stream keeps back for a full disk.
    pub reserve: Arc<Reserve>,
    /// The stream's state for the outside.
    pub status: Arc<Status>,
    /// All metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Threads that take records to their partitions: the same share, or threads of the stream's own where
    /// it has modules, which may take their time.
    pub routing: Workers,
    /// Encoders that no pipeline of the stream uses just now.
    pub encoders: Arc<EncoderPool>,
    /// Memory for what the stream's source reads ahead, until it is in batches.
    pub read_room: Room,
    /// Where the stream's catalog is known to know of objects.
    pub known_places: KnownPlaces,
}

/// The running pipeline of one delivery stream.
pub struct Pipeline {
    settings: Arc<StreamSettings>,
    context: StreamContext,
    outputs: Arc<Outputs>,
    source: Arc<dyn Handle>,
    spool: Arc<Spool>,
    log: Box<dyn CheckpointLog>,
    /// The stores, by name, that are open and at which our epoch is claimed.
    destinations: BTreeMap<String, Destination>,
    events: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,

    /// What may be done, and what the next checkpoint takes in beside changed batches.
    protocol: Protocol,
    /// Accepted and not applied; where the source accepts records here.
    backlog: Option<Backlog>,
    table: BatchTable,
    /// What is held until the columns of data are known, where those are learned.
    learning: Option<Learning>,
    /// What waits until the daemons agree on columns, where several learn them.
    agreeing: Option<Agreeing>,
    /// What looks for fields that lose their columns, where data has columns.
    drift: Option<Drift>,
    /// Why no columns could be learned, where they could not.
    unlearned: String,
    /// The table whose columns data has, where they are one's.
    given: Option<Given>,
    waiting: Waiting,
    telling: Telling,
    moving: Moving,
    /// What is to be encoded, oldest first.
    encode_queue: VecDeque<(Uuid, Piece)>,
    /// What is encoded when a full disk has room for it.
    put_off: VecDeque<(Uuid, Piece)>,
    encoding: usize,
    /// Open batches with requests of their uploads under way.
    filling: usize,
    /// The source has ended: everything is sealed and published, then the pipeline stops.
    ending: bool,
    stopping: Stopping,
    /// All that is open is being sealed, for a checkpoint that can name nothing open: until then nothing more is applied.
    gathering: bool,
    /// Whether everything that was open when the source ended, or gathering began, is sealed.
    all_sealed: bool,

    /// Since when a job on the disk is under way.
    writing_since: Option<Instant>,
    /// So many ticks in a row have found no memory left.
    tight: u32,
    /// When the reserve was last tried to be made again, or the room of a full disk looked at.
    reserve_tried: Instant,
    step: ReserveStep,
    /// Since when records wait and none are read.
    standing: Option<Moment>,
    /// Since when records may wait where they cannot be read.
    unread: Option<Moment>,
}

/// Runs a stream from what [`open`] found until its source has been stopped and everything is
/// published, or until an error. After an error nothing durable is lost: open the state again.
pub async fn run(
    recovered: RecoveredState<impl Into<Log>>,
    settings: Arc<StreamSettings>,
    context: StreamContext,
) -> Result<(), StreamError> {
    run_with(recovered.with_log(), settings, context).await
}

async fn run_with(
    recovered: RecoveredState<Log>,
    settings: Arc<StreamSettings>,
    context: StreamContext,
) -> Result<(), StreamError> {
    let (events, inbox) = mpsc::unbounded_channel();
    let stopping = Stopping::default();
    let mut log = recovered.log.into_inner();
    let (claim, held) =
        match log.recovered(&recovered.outputs, &settings.name, context.clock.now_ms()) {
            Recovered::ToBeClaimed(claim) => (Some(claim), None),
            Recovered::Claimed {
                destination,
                listed,
            } => (None, Some((destination, listed))),
        };
    let claiming = claim.map(|claim| {
        let named = recovered.sealed.iter().map(|object| object.id).collect();
        claim::claim_all(&settings, &claim, &named, &events, &stopping.at_once)
    });
    let routed = router::start(recovered.reader, Arc::clone(&recovered.outputs), &context);
    let triggers = Triggers::of(&settings, recovered.outputs.windows().clone(), log.names());
    let mut table = BatchTable::new(triggers);
    let mut waiting = Waiting::for_stores(recovered.outputs.stores().each());
    for sealed in &recovered.sealed {
        waiting.add(sealed, context.clock.moment_of(sealed.arrival_ms));
    }
    let has_ended = held.is_some() && recovered.shards.values().all(|state| state.ended);
    let mut protocol = match &held {
        None => Protocol::recovered(recovered.shards, &recovered.open, recovered.sealed),
        Some((_, listed)) => Protocol::taken_over(recovered.shards, Listed::objects(listed)),
    };
    table.learn_event(recovered.newest_event);
    table.reload(recovered.open, &context.clock);
    let mut destinations = BTreeMap::new();
    if let Some((destination, listed)) = held {
        let store = recovered.outputs.store(Lane::Data);
        protocol.claimed(store);
        for listed in listed {
            let since = context.clock.moment_of(listed.object.arrival_ms);
            waiting.add_listed(&listed, since);
        }
        waiting.opened(store);
        destinations.insert(store.to_owned(), destination);
        context.status.set_state(StreamState::Running);
    }
    let unread = (recovered.unread).map(|of| (of.next, context.clock.moment_of(of.oldest_ms)));
    let backlog = (recovered.source.next_sequence()).map(|next| Backlog::from(next, unread));
    let formats = &recovered.outputs.formats;
    let learning = Learning::begin(formats, &settings, &context);
    let at_once = (&events, &stopping.at_once);
    let given = Given::begin(&settings, &context, formats, log.agreement(), at_once);
    let telling = Telling::resumed(&settings, recovered.untold, has_ended, &context);
    let mut pipeline = Pipeline {
        drift: Drift::begin(&settings, &context.status),
        settings,
        context,
        outputs: recovered.outputs,
        source: recovered.source,
        spool: recovered.spool,
        agreeing: log.agreement().map(Agreeing::new),
        log,
        destinations,
        events,
        inbox,
        protocol,
        backlog,
        table,
        learning,
        unlearned: String::new(),
        given,
        waiting,
        telling,
        moving: Moving::default(),
        encode_queue: VecDeque::new(),
        put_off: VecDeque::new(),
        encoding: 0,
        filling: 0,
        ending: false,
        stopping,
        gathering: false,
        all_sealed: false,
        writing_since: None,
        tight: 0,
        #[expect(clippy::disallowed_methods, reason = "it is tried again after a while")]
        reserve_tried: Instant::now(),
        step: ReserveStep::default(),
        standing: None,
        unread: None,
    };
    pipeline.resume_batches();
    let result = pipeline.turn(routed).await;
    drop(claiming);
    pipeline.wind_down().await;
    // What has come since the last tick waits, too.
    pipeline.report();
    pipeline.context.status.set_held_up(None, None);
    // A stream that recovers goes on to tell.
    let is_over = matches!(&result, Ok(()) | Err(StreamError::LoudStop { .. }));
    pipeline.tell_of_failures(is_over);
    // A stream that does not run leaves its share to the others.
    pipeline.context.memory.hold(0);
    if matches!(&result, Err(StreamError::DiskFull { .. })) {
        pipeline.give_up_reserve().await;
    }
    result
}

impl Pipeline {
    async fn turn(
        &mut self,
        mut routed: mpsc::Receiver<Result<Routed, StreamError>>,
    ) -> Result<(), StreamError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let abandoned = self.log.abandoned();
        while !abandoned.is_cancelled() {
            self.restore_invariants()?;
            if self.is_done() {
                return self.ended();
            }
            if let Some(left) = self.given_up() {
                return Err(left);
            }
            let may_read = self.may_read();
            tokio::select! {
                biased;
                () = abandoned.cancelled() => {}
                Some(event) = self.inbox.recv() => self.apply_event(event)?,
                chunk = routed.recv(), if may_read => match chunk {
                    Some(chunk) => self.take_chunk(chunk?)?,
                    None => self.ending = true,
                },
                _ = tick.tick() => {
                    self.mind_the_memory();
                    self.mind_the_room();
                    self.move_what_waits();
                    self.mind_the_stop();
                    self.mind_the_drift();
                    self.report();
                }
            }
        }
        // What is not in a durable checkpoint is for whoever holds the lease next.
        Ok(())
    }

    /// Waits for the jobs under way. What they write is named by no checkpoint yet, or repeats
    /// what one names.
    async fn wind_down(&mut self) {
        self.log.wind_down().await;
        while self.writing_since.is_some()
            || self.encoding > 0
            || self.filling > 0
            || self.waiting.is_busy()
        {
            match self.inbox.recv().await {
                Some(Event::Checkpointed(_)) => self.writing_since = None,
                Some(Event::Encoded(_)) => self.encoding -= 1,
                Some(Event::Filled(..)) => self.filling -= 1,
                Some(Event::Sent { store, .. }) => {
                    self.waiting.sent(&store, true, std::iter::empty());
                }
                Some(Event::Mended(..) | Event::Moved(_)) => self.waiting.landed(),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn restore_invariants(&mut self) -> Result<(), StreamError> {
        self.mind_the_sample()?;
        self.mind_the_agreement()?;
        let held = self.held_memory() + self.drift.as_ref().map_or(0, Drift::memory);
        self.context.memory.hold(self.table.memory() + held);
        let now = self.context.clock.moment();
        match self.log.names() {
            Names::OpenBatches => {
                while let Some(id) = self.table.next_due(now) {
                    self.seal(id);
                }
            }
            Names::Objects => self.gather_when_due(now),
        }
        // A sealed batch may still fail records when it is encoded: their error batches are sealed when all are known.
        let is_last = self.ending || self.gathering;
        if is_last && (self.encoding == 0 || !self.all_sealed) {
            self.all_sealed = true;
            self.seal_all();
        }
        self.seal_early();
        self.dispatch_encoding();
        self.begin_checkpoint()?;
        self.dispatch();
        self.tell_the_catalog();
        Ok(())
    }

    /// Begins to gather when a checkpoint of all that is open is due.
    fn gather_when_due(&mut self, now: Moment) {
        if self.gathering {
            return;
        }
        let is_batch_due = self.table.next_due(now).is_some();
        let due = self.log.is_due(&Standing {
            frontiers: self.protocol.frontiers(),
            open: self.table.len(),
            is_batch_due,
            is_short: self.is_short() && !self.has_room(),
            is_last: self.ending,
        });
        self.gathering = due != Due::No;
        if due == Due::ForRoom {
            let open = self.table.len() as u64;
            self.context.status.metrics().sealed_early.add(open);
        }
    }

    /// Whether all that this process can do has been done.
    fn is_done(&self) -> bool {
        self.ending
            && self.table.is_empty()
            && !self.is_agreeing()
            && self.waiting.len() == self.waiting.stranded()
            && self.writing_since.is_none()
            && !self.has_changes()
            && !self.gathering
            && self.log.is_settled()
            && self.may_leave_the_catalog()
    }

    fn apply_event(&mut self, event: Event) -> Result<(), StreamError> {
        match event {
            Event::Encoded(done) => {
                self.encoding -= 1;
                for done in done.map_err(|error| self.disk_error("encode a batch", error))? {
                    self.apply_encoded(done);
                }
            }
            Event::Checkpointed(result) => {
                self.writing_since = None;
                let committed = result.map_err(|error| self.checkpoint_error(error))?;
                self.apply_written(committed)?;
            }
            Event::Claimed {
                store,
                destination,
                conditional,
            } => self.claimed(store, destination, conditional),
            Event::ClaimStalled(store, error) => self.not_claimed(&store, error),
            Event::Sent {
                store,
                begun,
                published,
            } => {
                let is_there = |sent: &_| matches!(sent, Ok(()) | Err(PublishError::Partly(_)));
                let has_arrived = published.iter().any(|(_, sent)| is_there(sent))
                    || begun.iter().any(|(_, begun)| begun.is_ok());
                let ids = published.iter().map(|(id, _)| *id);
                let ids = ids.chain(begun.iter().map(|(id, _)| *id));
                self.waiting.sent(&store, has_arrived, ids);
                for (id, begun) in begun {
                    self.apply_begun(id, begun)?;
                }
                for (id, result) in published {
                    self.apply_sent(id, result)?;
                }
            }
            Event::Mended(id, mended) => self.apply_mended(id, *mended)?,
            Event::Moved(copied) => self.apply_moved(copied)?,
            Event::Filled(id, result) => self.apply_filled(id, result)?,
            Event::SharedCheckpoint(made) => {
                if made.is_ok() {
                    self.stopping.went_well(self.outputs.store(Lane::Data));
                }
                self.settle(Outcome::Shared(*made))?;
            }
            Event::CheckpointDelayed(error) => self.checkpoint_delayed(error)?,
            Event::Agreed(answer) => self.agreed(answer),
            Event::AgreementDelayed(error) => self.agreement_delayed(error),
            Event::Told(places, told) => self.apply_told(places, told),
            Event::RetryDue(id) => self.waiting.retry_due(id),
            Event::Room(bytes) => self.look_at_the_room(bytes),
            Event::Table(told) => self.hear_of_table(*told),
            Event::Heard(heard) => self.heard_of_table(*heard),
            Event::Failed(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
