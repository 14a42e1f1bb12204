//! Shared checkpoints: what a machine that holds the lease on a shard leaves for whoever holds it next.
//!
//! No local disk is trusted. When a checkpoint is due nothing more is applied until all open batches of
//! the shard are sealed and encoded; then every object is brought to the destination as an upload, the
//! body that lists them is written, and one conditional write to the lease makes it durable. Only then
//! is anything published: what the list names. The spool is room to work in, and begins empty.

mod body;
mod make;
mod open;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::Pipeline;
use super::commit::{self, DraftBatch};
use super::report::Trouble;
use super::table::Entry;
use crate::checkpoint::{Lane, SealedObject};
use crate::clock::Moment;
use crate::coordination::{BodyName, Lost};
use crate::destination::{Destination, PublishError};
use crate::error::StreamError;
use crate::failpoint;
use crate::protocol::Changes;
use crate::shard::{ShardId, ShardState, SourceName};
pub(super) use body::Range;
pub use body::{Body, Listed};
pub(super) use make::Made;
use make::Making;
pub use make::Tenure;
pub use open::{SCRATCH, Taken, connect_shared, open_shared, scratch};

/// Objects that are published leave the list within this time, when nothing else makes a checkpoint.
const UNLIST_AFTER: Duration = Duration::from_secs(5);
/// So long a pipeline that has ended waits for bodies to be removed.
const TIDY_UP: Duration = Duration::from_secs(3);
/// How often the position of a shard is made durable when it gives no record that is kept.
const IDLE_EVERY: Duration = Duration::from_mins(1);

/// What a pipeline knows of its lease and of the checkpoints that it makes there.
pub struct Shared {
    tenure: Arc<dyn Tenure>,
    destination: Destination,
    /// Where bodies go: their keys up to the random name.
    bodies: String,
    /// As the last durable checkpoint has it.
    known: Known,
    /// The body of that checkpoint; there is none before the first.
    body: Option<BodyName>,
    shard: ShardId,
    /// What that checkpoint lists, until the pipeline takes it over.
    listed: Vec<Listed>,
    /// A checkpoint is due: nothing is applied until all that is open is encoded.
    gathering: bool,
    /// Objects in their final bytes that no durable checkpoint lists.
    gathered: Vec<(SealedObject, Moment)>,
    making: Option<Underway>,
    /// Why it was tried in vain, since one was last made.
    trouble: Option<Trouble>,
    made: Instant,
    /// Bodies that nothing names any more, on their way out.
    removing: JoinSet<()>,
    abandoned: CancellationToken,
}

/// A checkpoint that is being made.
struct Underway {
    _task: AbortOnDropHandle<()>,
    /// The objects that it adds to the list: since when their first records wait.
    waits_since: HashMap<Uuid, Moment>,
}

/// What is known of the shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    state: ShardState,
    source: Option<SourceName>,
}

impl Shared {
    /// Where what is listed is published.
    pub(super) const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What the checkpoint that was taken over lists.
    pub(super) fn take_listed(&mut self) -> Vec<Listed> {
        std::mem::take(&mut self.listed)
    }

    /// Cancelled when the lease is lost or must go: nothing is begun any more.
    pub(super) const fn abandoned(&self) -> &CancellationToken {
        &self.abandoned
    }

    /// Whether applying waits for all that is open to be encoded.
    pub(super) const fn is_gathering(&self) -> bool {
        self.gathering
    }

    /// Whether everything that was gathered is in a durable checkpoint.
    pub(super) fn is_settled(&self) -> bool {
        !self.gathering && self.gathered.is_empty() && self.making.is_none()
    }

    /// Objects in their final bytes, for the next checkpoint.
    pub(super) fn gather(&mut self, sealed: SealedObject, since: Moment) {
        self.gathered.push((sealed, since));
    }

    /// A batch is full: all are sealed.
    pub(super) const fn begin_gathering(&mut self) {
        self.gathering = true;
    }

    /// Sealed objects that no durable checkpoint lists: how many, and since when their oldest record waits.
    pub(super) fn unlisted(&self) -> (u64, Option<Moment>) {
        let making = self.making.iter();
        let making = making.flat_map(|making| making.waits_since.values());
        let gathered = self.gathered.iter().map(|(_, since)| since);
        let objects = making.chain(gathered);
        (objects.clone().count() as u64, objects.min().copied())
    }

    /// What keeps a checkpoint from being made.
    pub(super) const fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Stops what is under way, and waits a moment for what is left to be tidied up.
    pub(super) async fn wind_down(&mut self) {
        self.making = None;
        let removed = async { while self.removing.join_next().await.is_some() {} };
        tokio::select! {
            () = removed => {}
            () = self.abandoned.cancelled() => {}
            () = tokio::time::sleep(TIDY_UP) => {}
        }
    }
}

impl Pipeline {
    /// Begins to gather when a shared checkpoint is due.
    pub(super) fn gather_when_due(&mut self) {
        if !self.checkpoints.is_gathering()
            && self.is_shared_due()
            && let Some(shared) = self.checkpoints.shared_mut()
        {
            shared.begin_gathering();
        }
    }

    /// Takes the next step towards a shared checkpoint: spools what is encoded, and makes it when all is.
    pub(super) fn mind_the_lease(&mut self) -> Result<(), StreamError> {
        if !self.checkpointing {
            self.spill();
        }
        self.make_shared()
    }

    fn is_shared_due(&mut self) -> bool {
        let Some(shared) = self.checkpoints.shared() else {
            return false;
        };
        let (is_free, since) = (shared.making.is_none(), shared.made.elapsed());
        let has_news = self.protocol.frontiers().has_changes();
        let is_last = self.ending && (has_news || !self.table.is_empty());
        let is_idle = self.table.is_empty() && since >= IDLE_EVERY;
        if self.protocol.frontiers().is_urgent() || is_last || (has_news && is_idle) {
            return true;
        }
        if !is_free || self.table.is_empty() {
            return false;
        }
        if self.is_short() && !self.has_room() {
            let open = self.table.len() as u64;
            self.around.status.metrics().sealed_early.add(open);
            return true;
        }
        let now = self.around.clock.moment();
        self.table.next_due(now).is_some()
    }

    /// Writes batches to the spool: those that are encoded for the next checkpoint, or all, when they
    /// take too much memory. Nothing durable names the spool, so nothing is synced.
    fn spill(&mut self) {
        let sealed = self.protocol.spill();
        let is_much = self.is_unspooled_much();
        let stays = |_: &_| false;
        let row = |entry: &Entry| DraftBatch::of(entry, None, &stays);
        let batches: Vec<DraftBatch> = if is_much {
            let dirty = self.table.take_dirty().into_iter();
            let entries = dirty.filter_map(|id| self.table.get(id));
            entries.map(row).collect()
        } else {
            let entries = sealed.iter().filter_map(|id| self.table.get(*id));
            entries.map(row).collect()
        };
        // What was replaced may still be read by a job.
        let is_read = self.encoding > 0;
        let frees = !is_read && self.protocol.frees() && self.is_spool_full();
        if batches.is_empty() && !frees {
            return;
        }
        let freed = self.protocol.free_unnamed(is_read);
        let spool = Arc::clone(&self.spool);
        self.spawn_checkpoint(move || commit::spill(batches, &sealed, &freed, &spool));
    }

    /// Makes a checkpoint of all that was gathered, or one that only forgets what is published.
    fn make_shared(&mut self) -> Result<(), StreamError> {
        let is_encoded = self.table.is_empty() && !self.checkpointing;
        let is_published = self.protocol.unrecorded() == self.protocol.listed();
        let Some(shared) = self.checkpoints.shared_mut() else {
            return Ok(());
        };
        if shared.making.is_some() {
            return Ok(());
        }
        let mut next = shared.known.clone();
        let (mut sealed, mut waits_since) = (Vec::new(), HashMap::new());
        if shared.gathering && is_encoded {
            shared.gathering = false;
            self.all_sealed = false;
            next.learn(self.protocol.hand_over(self.table.len())?);
            (sealed, waits_since) = std::mem::take(&mut shared.gathered)
                .into_iter()
                .map(|(object, since)| {
                    let id = object.id;
                    (object, (id, since))
                })
                .unzip();
        }
        let is_time = shared.made.elapsed() >= UNLIST_AFTER || (self.ending && is_published);
        let forgets = self.protocol.unrecorded() > 0 && is_time;
        if next == shared.known && sealed.is_empty() && !forgets {
            return Ok(());
        }
        shared.made = Instant::now();
        let unlisted = self.protocol.unlist();
        let making = Making {
            range: Range {
                after: shared.known.state.position,
                up_to: next.state.position,
            },
            body: Body::new(&shared.shard, next, self.waiting.listed(&self.protocol)),
            sealed,
            unlisted,
            bodies: shared.bodies.clone(),
            tenure: Arc::clone(&shared.tenure),
            destination: shared.destination.clone(),
            outputs: Arc::clone(&self.outputs),
            spool: Arc::clone(&self.spool),
            events: self.events.clone(),
        };
        shared.making = Some(Underway {
            _task: AbortOnDropHandle::new(tokio::spawn(making.run())),
            waits_since,
        });
        Ok(())
    }

    /// Takes over that a checkpoint is durable, or that the lease is lost. What it lists is published
    /// from now on.
    pub(super) fn apply_made(&mut self, made: Result<Made, Lost>) -> Result<(), StreamError> {
        let Some(shared) = self.checkpoints.shared_mut() else {
            return Ok(());
        };
        let underway = shared.making.take();
        shared.trouble = None;
        let waits_since = underway.map_or_else(HashMap::new, |underway| underway.waits_since);
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                let (stream, shard) = (&self.settings.name, &*shared.shard);
                tracing::warn!(stream, shard, %error, "the shard is left to others");
                shared.abandoned.cancel();
                return Ok(());
            }
        };
        self.stopping.went_well(self.outputs.store(Lane::Data));
        let took = shared.made.elapsed();
        if let Some(preceding) = std::mem::replace(&mut shared.body, made.name) {
            let destination = shared.destination.clone();
            while shared.removing.try_join_next().is_some() {}
            shared
                .removing
                .spawn(make::remove_body(destination, preceding));
        }
        shared.known = made.known;
        for id in made.unlisted {
            failpoint::hit("published-after-record");
            self.protocol.forget(id)?;
            self.waiting.remove(id);
        }
        for listed in made.listed {
            let since = waits_since.get(&listed.object.id).copied();
            let arrival_ms = listed.object.arrival_ms;
            let since = since.unwrap_or_else(|| self.around.clock.moment_of(arrival_ms));
            self.waiting.add_listed(&listed, since);
            self.protocol.list_prepared(listed.object);
        }
        self.around.status.checkpointed(took);
        Ok(())
    }

    /// Says what keeps a checkpoint from being made; it is tried again.
    pub(super) fn not_made(&mut self, trouble: PublishError) {
        let stream = &self.settings.name;
        let status = &self.around.status;
        if let Some(unsaid) = status.repeats().due_alike("making", &trouble.to_string()) {
            tracing::warn!(stream, cause = %trouble, unsaid, "a checkpoint is still being made");
        }
        status.metrics().publish_retries.add(1);
        let now = self.around.clock.moment();
        if let Some(shared) = self.checkpoints.shared_mut() {
            let before = shared.trouble.take();
            shared.trouble = Some(Trouble::again(before, trouble.clone(), now));
        }
        self.stopping
            .failed(self.outputs.store(Lane::Data), trouble);
    }
}

impl Known {
    fn learn(&mut self, changes: Changes) {
        if let Some((_, state)) = changes.shards.into_iter().next() {
            self.state = state;
        }
        self.source = changes.source.or_else(|| self.source.take());
    }
}
