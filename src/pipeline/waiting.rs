//! Sealed objects that wait until their publication is recorded: a queue for each store, and when each is tried.

#![expect(
    clippy::disallowed_methods,
    reason = "what is refused is sent again after a while"
)]

pub(super) mod lasting;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::event::Event;
use super::log::shared::body::{Listed, Range};
use crate::checkpoint::SealedObject;
use crate::clock::Moment;
use crate::destination::{PublishError, SentPart};
use crate::printable::shell_word;
use crate::protocol::{Gone, Protocol};
use crate::retry;
use lasting::LastingError;

/// Sealed objects whose publication is not recorded yet: when each is tried. What may be done for one is for the
/// protocol to say, which has its row.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    objects: HashMap<Uuid, WaitingObject, foldhash::fast::RandomState>,
    /// One for each store that the config names: none waits for another.
    queues: Vec<Queue>,
    /// Objects of other stores than those.
    stranded: usize,
    /// Publications and other jobs under way.
    jobs: usize,
}

/// What is sent to one store.
#[derive(Debug)]
struct Queue {
    store: String,
    /// See [`Waiting::takes`].
    takes: bool,
    /// Objects whose publication is not recorded, and those of them that wait for their next attempt.
    objects: usize,
    resting: usize,
    /// Objects to be sent next.
    next: VecDeque<Uuid>,
    /// Groups under way.
    in_flight: usize,
}

#[derive(Debug)]
struct WaitingObject {
    /// The queue of its store; none where it is stranded.
    queue: Option<usize>,
    /// Since when its first record waits.
    waits_since: Moment,
    /// What a shared checkpoint says of it beside.
    prepared: Option<Prepared>,
    attempts: u32,
    /// It is among those to be sent next.
    is_queued: bool,
    /// It waits for its next attempt.
    rests: bool,
    /// Why it was sent in vain, since it last was not.
    lasting_error: Option<LastingError>,
}

/// An object of which all bytes are at the destination.
#[derive(Debug)]
struct Prepared {
    parts: Arc<[SentPart]>,
    range: Range,
}

/// What is to be done about an object that could not be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// It is tried again by itself; the cause is worth a warning.
    Retry(String),
    /// It is tried again slowly; a person should look.
    Stalled(String),
    /// Its upload is forgotten in a checkpoint first.
    Forgotten,
    /// The stream must stop.
    Stop {
        /// What was found.
        cause: String,
        /// What a person can do.
        advice: String,
    },
}

impl Waiting {
    /// Nothing, for stores of these names.
    pub(super) fn for_stores(stores: Vec<&str>) -> Self {
        let queue = |store: &str| Queue {
            store: store.to_owned(),
            takes: false,
            objects: 0,
            resting: 0,
            next: VecDeque::new(),
            in_flight: 0,
        };
        Self {
            queues: stores.into_iter().map(queue).collect(),
            ..Self::default()
        }
    }

    /// Adds an object that a durable checkpoint lists.
    pub(super) fn add(&mut self, sealed: &SealedObject, since: Moment) {
        self.insert(sealed, since, None);
    }

    /// Adds an object that a durable shared checkpoint lists.
    pub(super) fn add_listed(&mut self, listed: &Listed, since: Moment) {
        let prepared = Prepared {
            parts: listed.parts.clone().into(),
            range: listed.range,
        };
        self.insert(&listed.object, since, Some(prepared));
    }

    fn insert(&mut self, sealed: &SealedObject, waits_since: Moment, prepared: Option<Prepared>) {
        let store = &sealed.target.store;
        let queue = self.queues.iter().position(|queue| queue.store == *store);
        match queue {
            Some(at) => {
                self.queues[at].objects += 1;
                self.queues[at].next.push_back(sealed.id);
            }
            None => self.stranded += 1,
        }
        let object = WaitingObject {
            queue,
            waits_since,
            prepared,
            attempts: 0,
            is_queued: queue.is_some(),
            rests: false,
            lasting_error: None,
        };
        self.objects.insert(sealed.id, object);
    }

    /// What a shared checkpoint lists on: all that may not be visible yet.
    pub(super) fn listed(&self, protocol: &Protocol) -> Vec<Listed> {
        let listed = protocol.unpublished().filter_map(|object| {
            let prepared = self.objects.get(&object.id)?.prepared.as_ref()?;
            Some(Listed {
                object: object.clone(),
                parts: prepared.parts.to_vec(),
                range: prepared.range,
            })
        });
        listed.collect()
    }

    /// Notes that a store is claimed.
    pub(super) fn opened(&mut self, store: &str) {
        if let Some(queue) = self.queue_mut(store) {
            queue.takes = true;
        }
    }

    /// Whether a store takes objects: it is claimed, and something of the last group that was sent there has arrived,
    /// unless that was of objects alone that it had refused before, which says nothing of others.
    pub(super) fn takes(&self, store: &str) -> bool {
        let mut queues = self.queues.iter();
        queues.any(|queue| queue.store == store && queue.takes)
    }

    /// Whether an object is on its way to a store that takes objects: what it has of the spool comes back soon.
    pub(super) fn moves(&self) -> bool {
        let moves = |queue: &Queue| queue.takes && queue.objects > queue.resting;
        self.queues.iter().any(moves)
    }

    /// Stores that objects wait for, and that take none.
    pub(super) fn stuck_at(&self) -> Vec<&str> {
        let stuck = self
            .queues
            .iter()
            .filter(|queue| !queue.takes && queue.objects > 0);
        stuck.map(|queue| &*queue.store).collect()
    }

    /// Bytes of the spool that do not come back for now: those of objects for stores that take none, and of objects
    /// that wait for their next attempt.
    pub(super) fn stuck_bytes(&self, protocol: &Protocol) -> u64 {
        let stuck = protocol.unpublished().filter(|row| self.is_stuck(row.id));
        let extents = stuck.flat_map(|row| &row.extents);
        extents.map(|extent| u64::from(extent.len)).sum()
    }

    /// Takes the next objects for a store, at most `group` of them, unless `most` groups are under way there already.
    pub(super) fn next(&mut self, store: &str, most: usize, group: usize) -> Option<Vec<Uuid>> {
        let queue = self.queue_mut(store)?;
        if queue.in_flight >= most || queue.next.is_empty() {
            return None;
        }
        let count = queue.next.len().min(group);
        let ids: Vec<Uuid> = queue.next.drain(..count).collect();
        for id in &ids {
            if let Some(object) = self.objects.get_mut(id) {
                object.is_queued = false;
            }
        }
        Some(ids)
    }

    /// Whether the bytes of an object do not leave the spool for now.
    pub(super) fn is_stuck(&self, id: Uuid) -> bool {
        self.objects
            .get(&id)
            .is_some_and(|object| self.is_stuck_now(object))
    }

    fn is_stuck_now(&self, object: &WaitingObject) -> bool {
        let takes = object.queue.is_some_and(|at| self.queues[at].takes);
        object.rests || !takes
    }

    /// Notes that a group is sent to a store.
    pub(super) fn sending(&mut self, store: &str) {
        self.begun();
        if let Some(queue) = self.queue_mut(store) {
            queue.in_flight += 1;
        }
    }

    /// All parts of an object's upload, where its bytes are at the destination.
    pub(super) fn parts(&self, id: Uuid) -> Option<Arc<[SentPart]>> {
        let prepared = self.objects.get(&id)?.prepared.as_ref()?;
        Some(Arc::clone(&prepared.parts))
    }

    /// Notes that a job has come to an end.
    pub(super) fn landed(&mut self) {
        self.jobs -= 1;
    }

    /// Notes that a group of publications to a store, of these objects, has come to an end, and whether anything of it
    /// has arrived.
    pub(super) fn sent(
        &mut self,
        store: &str,
        has_arrived: bool,
        mut ids: impl Iterator<Item = Uuid>,
    ) {
        self.landed();
        let is_new = |id| {
            self.objects
                .get(&id)
                .is_some_and(|object| object.attempts == 0)
        };
        let says_something = has_arrived || ids.any(is_new);
        if let Some(queue) = self.queue_mut(store) {
            queue.in_flight -= 1;
            if says_something {
                queue.takes = has_arrived;
            }
        }
    }

    fn queue_mut(&mut self, store: &str) -> Option<&mut Queue> {
        self.queues.iter_mut().find(|queue| queue.store == store)
    }

    /// Since when the first record of an object waits.
    pub(super) fn since(&self, id: Uuid) -> Option<Moment> {
        self.objects.get(&id).map(|object| object.waits_since)
    }

    /// Forgets an object whose publication is recorded.
    pub(super) fn remove(&mut self, id: Uuid) {
        let object = self.objects.remove(&id);
        if let Some(at) = object.and_then(|object| object.queue) {
            self.queues[at].objects -= 1;
        }
    }

    /// Decides about a failed attempt, and schedules the next where there is one.
    pub(super) fn set_back(
        &mut self,
        sealed: &SealedObject,
        error: PublishError,
        gone: Option<Gone>,
        now: Moment,
        events: &UnboundedSender<Event>,
    ) -> Setback {
        let id = sealed.id;
        let Some(object) = self.objects.get_mut(&id) else {
            return Setback::Retry(error.to_string());
        };
        object.attempts += 1;
        let attempts = object.attempts;
        let before = object.lasting_error.take();
        object.lasting_error = Some(LastingError::again(before, error.clone(), now));
        let (setback, max) = match error {
            error @ (PublishError::Transient(_)
            | PublishError::Unreachable { .. }
            | PublishError::Damaged(_)) => {
                (Setback::Retry(error.to_string()), retry::TRANSIENT_MAX)
            }
            error @ (PublishError::Permanent { .. } | PublishError::Partly(_)) => {
                (Setback::Stalled(error.to_string()), retry::PERMANENT_MAX)
            }
            PublishError::UploadGone => match (gone, &object.prepared) {
                (Some(Gone::Forgotten), _) => return Setback::Forgotten,
                (Some(Gone::Lost), Some(prepared)) => return prepared.vanished(sealed),
                _ => (Setback::Retry(error.to_string()), retry::TRANSIENT_MAX),
            },
            PublishError::Foreign { cause, advice, .. } => return Setback::Stop { cause, advice },
        };
        let rested = std::mem::replace(&mut object.rests, true);
        if let (false, Some(at)) = (rested, object.queue) {
            self.queues[at].resting += 1;
        }
        let events = events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(retry::delay(attempts, max)).await;
            let _ = events.send(Event::RetryDue(id));
        });
        setback
    }

    /// The back-off of an object is over; it may have been cut short.
    pub(super) fn retry_due(&mut self, id: Uuid) {
        if self.objects.get(&id).is_some_and(|object| object.rests) {
            self.retry(id);
        }
    }

    /// Queues everything that waits for its next attempt.
    pub(super) fn retry_at_once(&mut self) {
        let resting = self.objects.iter().filter(|(_, object)| object.rests);
        for id in resting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.retry_due(id);
        }
    }

    /// Why nothing that is left for `store` can be published, where that needs a person.
    pub(super) fn refused(&self, protocol: &Protocol, store: &str) -> Option<&PublishError> {
        let mut left = unpublished(protocol, store).map(|object| self.objects.get(&object.id));
        let first = left.next()??;
        let is_refused = |object: &WaitingObject| object.rests && object.is_refused();
        let is_other = |object: Option<&WaitingObject>| !object.is_some_and(is_refused);
        let mut queues = self.queues.iter();
        let is_queued = queues.any(|queue| queue.store == store && !queue.next.is_empty());
        if self.is_busy() || is_queued || !is_refused(first) || left.any(is_other) {
            return None;
        }
        first.lasting_error.as_ref().map(|lasting| &lasting.error)
    }

    /// What keeps an object from being published to a store: what needs a person before all else, then what has
    /// lasted for longest.
    pub(super) fn lasting_error(&self, protocol: &Protocol, store: &str) -> Option<&LastingError> {
        let objects = unpublished(protocol, store);
        let objects = objects.filter_map(|object| self.objects.get(&object.id));
        let lasting = objects.filter_map(|object| object.lasting_error.as_ref());
        lasting.min_by_key(|error| (!error.needs_a_person(), error.since))
    }

    fn unpublished<'a>(&'a self, protocol: &Protocol) -> impl Iterator<Item = &'a WaitingObject> {
        let unpublished = protocol.unpublished();
        unpublished.filter_map(|object| self.objects.get(&object.id))
    }

    /// A checkpoint names an object as it is now: it is queued again, unless it waits for its next attempt.
    pub(super) fn updated(&mut self, id: Uuid) {
        if self.objects.get(&id).is_some_and(|object| !object.rests) {
            self.retry(id);
        }
    }

    /// Queues an object again, once.
    fn retry(&mut self, id: Uuid) {
        let Some(object) = self.objects.get_mut(&id) else {
            return;
        };
        let rested = std::mem::take(&mut object.rests);
        if let Some(at) = object.queue {
            self.queues[at].resting -= usize::from(rested);
            if !std::mem::replace(&mut object.is_queued, true) {
                self.queues[at].next.push_back(id);
            }
        }
    }

    /// Notes that a job beside the publications is under way; it ends as they do.
    pub(super) const fn begun(&mut self) {
        self.jobs += 1;
    }

    /// Objects not yet published and recorded.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Objects that wait for a store that the config no longer names.
    pub(super) const fn stranded(&self) -> usize {
        self.stranded
    }

    /// Whether a publication or another job is under way.
    pub(super) const fn is_busy(&self) -> bool {
        self.jobs > 0
    }

    /// Since when the oldest record waits that is in an object not yet published.
    pub(super) fn waits_since(&self, protocol: &Protocol) -> Option<Moment> {
        let unpublished = self.unpublished(protocol);
        unpublished.map(|object| object.waits_since).min()
    }
}

fn unpublished<'a>(
    protocol: &'a Protocol,
    store: &'a str,
) -> impl Iterator<Item = &'a SealedObject> {
    let unpublished = protocol.unpublished();
    unpublished.filter(move |object| object.target.store == store)
}

/// Objects for `store` that are not published: how many, and their records.
pub(super) fn left_for(protocol: &Protocol, store: &str) -> (u64, u64) {
    let records = unpublished(protocol, store).map(|object| object.records);
    (unpublished(protocol, store).count() as u64, records.sum())
}

impl WaitingObject {
    /// Whether a person must do something before it can be published.
    fn is_refused(&self) -> bool {
        self.lasting_error
            .as_ref()
            .is_some_and(LastingError::needs_a_person)
    }
}

impl Prepared {
    /// The bytes are gone; their records are not, for as long as the source keeps them.
    fn vanished(&self, object: &SealedObject) -> Setback {
        let upload = object.upload_id.as_deref().unwrap_or("unknown");
        Setback::Stop {
            cause: format!(
                "upload {upload} of {}/{} has vanished before it was completed: it held {} records, \
                 which stand in the shard {}",
                object.target.store, object.target.key, object.records, self.range
            ),
            advice: format!(
                "a rule of the bucket that aborts incomplete uploads must leave them for longer than the \
                 stream keeps its records; deliver those records from the stream while it has them, and \
                 run `firehose state discard STREAM --object {}`",
                shell_word(&object.target.key)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
