//! Shared checkpoints: what a machine that holds the lease on a shard leaves for whoever holds it next.
//!
//! No local disk is trusted. When a checkpoint is due nothing more is applied until all open batches of
//! the shard are sealed and encoded; then every object is brought to the destination as an upload, the
//! body that lists them is written, and one conditional write to the lease makes it durable. Only then
//! is anything published: what the list names. The spool is room to work in, and begins empty.

#![expect(
    clippy::disallowed_methods,
    reason = "checkpoints are measured, and tidying up has its time"
)]

pub(in crate::pipeline) mod body;
mod make;
mod open;
mod place;
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

use super::super::agreement::SchemaAgreement;
use super::super::commit::{self, DraftBatch};
use super::super::outputs::Outputs;
use super::super::table::Entry;
use super::super::waiting::lasting::LastingError;
use super::names::Names;
use super::{CheckpointLog, DiskJob, Due, Outcome, PipelineState, Recovered, Settled, Standing};
use crate::checkpoint::UntoldPlace;
use crate::clock::Moment;
use crate::coordination::{BodyName, Lost};
use crate::destination::Destination;
use crate::error::StreamError;
use crate::protocol::{Changes, HandOver};
use crate::shard::{Pending, ShardId, ShardState, SourceName};
pub use body::{Body, Listed};
use body::{Range, SharedCheckpoint};
use make::CheckpointTask;
pub use make::LeaseLog;
pub use open::{SCRATCH, Taken, open_shared, scratch};
pub use place::{SharedPlace, agreed_versions, connect_shared};

/// Objects that are published leave the list within this time, when nothing else makes a checkpoint.
const UNLIST_AFTER: Duration = Duration::from_secs(5);
/// So long a pipeline that has ended waits for bodies to be removed.
const TIDY_UP: Duration = Duration::from_secs(3);
/// How often the position of a shard is made durable when it gives no record that is kept.
const IDLE_EVERY: Duration = Duration::from_mins(1);

/// The checkpoints of one shard, for as long as its lease is held.
pub struct SharedLog {
    stream: String,
    lease: Arc<dyn LeaseLog>,
    destination: Destination,
    /// With whom columns are agreed on, where the config does not say them.
    agreement: Option<Arc<SchemaAgreement>>,
    /// Where bodies go: their keys up to the random name.
    bodies: String,
    /// As the last durable checkpoint has it.
    known: KnownShard,
    /// The body of that checkpoint; there is none before the first.
    body: Option<BodyName>,
    shard: ShardId,
    /// What that checkpoint lists, until the pipeline takes it over.
    listed: Vec<Listed>,
    /// Objects in their final bytes that no durable checkpoint lists: since when their first records wait.
    gathered: HashMap<Uuid, Moment>,
    making: Option<Underway>,
    /// Why it was tried in vain, since one was last made.
    lasting_error: Option<LastingError>,
    /// When the last one was begun.
    begun: Instant,
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
struct KnownShard {
    state: ShardState,
    source: Option<SourceName>,
    /// The time of the newest event up to there, where partitions end by events.
    newest_event: Option<i64>,
    /// Places of published objects that the catalog has not been told of: an object leaves the list with the checkpoint
    /// that takes its place in.
    untold: Vec<UntoldPlace>,
}

impl CheckpointLog for SharedLog {
    fn names(&self) -> Names {
        Names::Objects
    }

    fn recovered(&mut self, _outputs: &Outputs, _stream: &str, _now_ms: i64) -> Recovered {
        Recovered::Claimed {
            destination: self.destination.clone(),
            listed: std::mem::take(&mut self.listed),
        }
    }

    fn is_due(&self, standing: &Standing<'_>) -> Due {
        let (is_empty, has_news) = (standing.open == 0, standing.frontiers.has_changes());
        let is_last = standing.is_last && (has_news || !is_empty);
        let is_idle = is_empty && self.begun.elapsed() >= IDLE_EVERY;
        if standing.frontiers.is_urgent() || is_last || (has_news && is_idle) {
            Due::Yes
        } else if self.making.is_some() || is_empty {
            Due::No
        } else if standing.is_short {
            Due::ForRoom
        } else if standing.is_batch_due {
            Due::Yes
        } else {
            Due::No
        }
    }

    /// Spools what is encoded, and makes a checkpoint when all is.
    fn begin(&mut self, mut now: PipelineState<'_>) -> Result<Option<DiskJob>, StreamError> {
        let job = if now.is_writing {
            None
        } else {
            spill(&mut now)?
        };
        now.is_writing |= job.is_some();
        self.make(&mut now)?;
        Ok(job)
    }

    fn settle(&mut self, outcome: Outcome) -> Settled {
        match outcome {
            Outcome::Written { gathered, .. } => self.gathered.extend(gathered),
            Outcome::Shared(Ok(made)) => return self.made(made),
            Outcome::Shared(Err(error)) => self.lost(&error),
            Outcome::Delayed(error, now) => {
                let before = self.lasting_error.take();
                self.lasting_error = Some(LastingError::again(before, error, now));
            }
        }
        Settled::default()
    }

    fn is_settled(&self) -> bool {
        self.gathered.is_empty() && self.making.is_none()
    }

    fn unlisted(&self) -> (u64, Option<Moment>) {
        let making = self.making.iter();
        let making = making.flat_map(|making| making.waits_since.values());
        let objects = making.chain(self.gathered.values());
        (objects.clone().count() as u64, objects.min().copied())
    }

    fn lasting_error(&self) -> Option<&LastingError> {
        self.lasting_error.as_ref()
    }

    fn agreement(&self) -> Option<Arc<SchemaAgreement>> {
        self.agreement.clone()
    }

    fn abandoned(&self) -> CancellationToken {
        self.abandoned.clone()
    }

    fn leave(&self) -> bool {
        self.abandoned.cancel();
        true
    }

    fn wind_down(&mut self) -> Pending<'_, ()> {
        self.making = None;
        Box::pin(async move {
            let removed = async { while self.removing.join_next().await.is_some() {} };
            tokio::select! {
                () = removed => {}
                () = self.abandoned.cancelled() => {}
                () = tokio::time::sleep(TIDY_UP) => {}
            }
        })
    }
}

impl SharedLog {
    /// Makes a checkpoint of all that was gathered, or one that only forgets what is published, or told.
    fn make(&mut self, now: &mut PipelineState<'_>) -> Result<(), StreamError> {
        if self.making.is_some() {
            return Ok(());
        }
        let is_encoded = now.table.is_empty() && !now.is_writing;
        let hands_over = *now.gathering && is_encoded;
        let is_published = now.protocol.unrecorded() == now.protocol.listed();
        let is_time = self.begun.elapsed() >= UNLIST_AFTER || (now.is_last && is_published);
        let has_done = now.protocol.unrecorded() > 0 || now.telling.has_changes();
        let forgets = has_done && is_time;
        let draft = if hands_over {
            *now.gathering = false;
            now.protocol.hand_over(now.table.len())?
        } else if forgets {
            now.protocol.unlist()?
        } else {
            None
        };
        let Some(draft) = draft else {
            return Ok(());
        };
        let mut next = self.known.clone();
        next.learn(draft.changes());
        now.telling.take_changes().carry_out(&mut next.untold);
        // While anything is open, events count that no checkpoint has.
        if hands_over {
            next.newest_event = next.newest_event.max(now.table.newest_event());
        }
        if next == self.known && draft.objects().is_empty() && !forgets {
            return now.protocol.withdraw(draft);
        }
        self.begin_making(draft, next, now);
        Ok(())
    }

    fn begin_making(&mut self, draft: HandOver, next: KnownShard, now: &PipelineState<'_>) {
        self.begun = Instant::now();
        let objects = draft.objects().iter();
        let waits_since = objects.filter_map(|object| self.gathered.remove_entry(&object.id));
        let waits_since = waits_since.collect();
        let mut body = Body::new(&self.shard, next, now.waiting.listed(now.protocol));
        body.schema = self.agreement.as_ref().and_then(|agreed| agreed.pin());
        let position = body.state.position;
        let making = CheckpointTask {
            range: Range {
                after: self.known.state.position,
                up_to: position,
            },
            body,
            draft,
            bodies: self.bodies.clone(),
            lease: Arc::clone(&self.lease),
            destination: self.destination.clone(),
            outputs: Arc::clone(now.outputs),
            spool: Arc::clone(now.spool),
            events: now.events.clone(),
            at_once: now.at_once.clone(),
        };
        self.making = Some(Underway {
            _task: AbortOnDropHandle::new(tokio::spawn(making.run())),
            waits_since,
        });
    }

    /// A checkpoint is durable. What it lists is published from now on.
    fn made(&mut self, made: SharedCheckpoint) -> Settled {
        let underway = self.making.take();
        self.lasting_error = None;
        let waits_since = underway.map_or_else(HashMap::new, |underway| underway.waits_since);
        if let Some(preceding) = std::mem::replace(&mut self.body, made.name) {
            let destination = self.destination.clone();
            while self.removing.try_join_next().is_some() {}
            self.removing
                .spawn(make::remove_body(destination, preceding));
        }
        self.known = *made.known;
        let listed = made.listed.into_iter().map(|listed| {
            let id = listed.object.id;
            (id, (listed, waits_since.get(&id).copied()))
        });
        Settled {
            durable: Some(made.durable),
            listed: listed.collect(),
            took: Some(self.begun.elapsed()),
            ..Settled::default()
        }
    }

    fn lost(&mut self, error: &Lost) {
        self.making = None;
        self.lasting_error = None;
        let (stream, shard) = (&self.stream, &*self.shard);
        tracing::warn!(stream, shard, %error, "the shard is left to others");
        self.abandoned.cancel();
    }
}

/// Writes batches to the spool: those that are encoded for the next checkpoint, or all, when they
/// take too much memory. Nothing durable names the spool, so nothing is synced.
fn spill(now: &mut PipelineState<'_>) -> Result<Option<DiskJob>, StreamError> {
    let sealed = now.protocol.spill();
    let ids = if now.is_unspooled_much {
        now.table.take_dirty()
    } else {
        sealed.batches().collect()
    };
    let stays = |_: &_| false;
    let row = |entry: &Entry| DraftBatch::of(entry, None, &stays);
    let entries = ids.into_iter().filter_map(|id| now.table.get(id));
    let batches: Vec<DraftBatch> = entries.map(row).collect();
    // What was replaced may still be read by a job.
    let is_read = now.is_encoding;
    let frees = !is_read && now.protocol.frees() && now.is_spool_full;
    if batches.is_empty() && !frees {
        return Ok(None);
    }
    let freed = now.protocol.free_unnamed(is_read)?;
    let spool = Arc::clone(now.spool);
    Ok(Some(Box::new(move || {
        commit::spill(batches, sealed, &freed, &spool)
    })))
}

impl KnownShard {
    fn learn(&mut self, changes: &Changes) {
        if let Some((_, state)) = changes.shards.first() {
            self.state = state.clone();
        }
        if let Some(source) = &changes.source {
            self.source = Some(source.clone());
        }
    }
}
