//! Objects that a durable checkpoint lists, on their way to the destination.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::Pipeline;
use super::commit::SpoolBody;
use super::event::Event;
use super::outputs::Outputs;
use super::report::Trouble;
use super::shared::{Listed, Range};
use crate::checkpoint::SealedObject;
use crate::clock::Moment;
use crate::destination::{Destination, Publication, PublishError, SentPart};
use crate::error::StreamError;
use crate::failpoint;
use crate::format::Format;
use crate::printable::shell_word;
use crate::retry;
use crate::spool::Spool;

/// A listed upload that is found gone more often than that, with no object in its place, is lost.
const GONE_MAX: u32 = 6;

/// Sealed objects whose publication is not recorded yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    objects: HashMap<Uuid, Object, foldhash::fast::RandomState>,
    /// Objects to be sent next.
    queue: VecDeque<Uuid>,
    /// Objects of another store than the one configured.
    stranded: usize,
    in_flight: usize,
    bytes: u64,
}

#[derive(Debug)]
struct Object {
    sealed: SealedObject,
    /// Since when its first record waits.
    waits_since: Moment,
    /// What a shared checkpoint says of it beside.
    prepared: Option<Prepared>,
    attempts: u32,
    /// It waits for its next attempt.
    rests: bool,
    /// Why it was sent in vain, since it last was not.
    trouble: Option<Trouble>,
    published: bool,
}

/// An object of which all bytes are at the destination.
#[derive(Debug)]
struct Prepared {
    parts: Arc<[SentPart]>,
    range: Range,
    /// So often its upload was gone, and no object of ours in its place.
    gone: u32,
}

/// What is to be done about an object that could not be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// It is tried again by itself; the cause is worth a warning.
    Retry(String),
    /// It is tried again slowly; a person should look.
    Stalled(String),
    /// Its upload must be forgotten in a checkpoint first.
    ForgetUpload,
    /// It goes on without its damaged bytes.
    Mend(Box<SealedObject>),
    /// The stream must stop.
    Stop {
        /// What was found.
        cause: String,
        /// What a person can do.
        advice: String,
    },
}

impl Waiting {
    /// Adds an object that a durable checkpoint lists.
    pub(super) fn add(&mut self, sealed: SealedObject, since: Moment, store: &str) {
        if sealed.target.store == store {
            self.queue.push_back(sealed.id);
        } else {
            self.stranded += 1;
        }
        self.insert(sealed, since, None);
    }

    /// Adds an object that a durable shared checkpoint lists.
    pub(super) fn add_listed(&mut self, listed: Listed, since: Moment) {
        let Listed {
            object,
            parts,
            range,
        } = listed;
        let parts = parts.into();
        self.queue.push_back(object.id);
        let prepared = Prepared {
            parts,
            range,
            gone: 0,
        };
        self.insert(object, since, Some(prepared));
    }

    fn insert(&mut self, sealed: SealedObject, waits_since: Moment, prepared: Option<Prepared>) {
        self.bytes += sealed.size;
        let id = sealed.id;
        let object = Object {
            sealed,
            waits_since,
            prepared,
            attempts: 0,
            rests: false,
            trouble: None,
            published: false,
        };
        self.objects.insert(id, object);
    }

    /// What a shared checkpoint lists on: all that may not be visible yet.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let kept = self.objects.values().filter(|object| !object.published);
        let listed = kept.filter_map(|object| {
            let prepared = object.prepared.as_ref()?;
            Some(Listed {
                object: object.sealed.clone(),
                parts: prepared.parts.to_vec(),
                range: prepared.range,
            })
        });
        listed.collect()
    }

    /// Starts as many publications as the destination takes at once.
    pub(super) fn dispatch(
        &mut self,
        destination: &Destination,
        outputs: &Outputs,
        spool: &Arc<Spool>,
        events: &UnboundedSender<Event>,
    ) {
        while self.in_flight < destination.in_flight_max() && !self.queue.is_empty() {
            let count = self.queue.len().min(destination.group_max());
            let group: Vec<Publication> = self
                .queue
                .drain(..count)
                .filter_map(|id| self.objects.get(&id))
                .map(|object| object.publication(outputs, spool))
                .collect();
            if group.is_empty() {
                continue;
            }
            self.in_flight += 1;
            tokio::spawn(send(destination.clone(), group, events.clone()));
        }
    }

    /// Notes that a publication has come to an end.
    pub(super) fn landed(&mut self) {
        self.in_flight -= 1;
    }

    /// Marks an object as published; it stays until a checkpoint has recorded it.
    pub(super) fn publish(&mut self, id: Uuid) -> Option<(&SealedObject, Moment)> {
        let object = self.objects.get_mut(&id)?;
        object.published = true;
        Some((&object.sealed, object.waits_since))
    }

    /// Forgets an object whose publication is recorded; returns it, with its extents.
    pub(super) fn remove(&mut self, id: Uuid) -> Option<SealedObject> {
        let object = self.objects.remove(&id)?;
        self.bytes -= object.sealed.size;
        Some(object.sealed)
    }

    /// Decides about a failed attempt, and schedules the next where there is one.
    pub(super) fn set_back(
        &mut self,
        id: Uuid,
        error: PublishError,
        now: Moment,
        events: &UnboundedSender<Event>,
    ) -> Setback {
        let Some(object) = self.objects.get_mut(&id) else {
            return Setback::Retry(error.to_string());
        };
        if let (PublishError::Damaged(_), None) = (&error, &object.prepared) {
            return Setback::Mend(Box::new(object.sealed.clone()));
        }
        object.attempts += 1;
        let attempts = object.attempts;
        let before = object.trouble.take();
        object.trouble = Some(Trouble::again(before, error.clone(), now));
        let (setback, max) = match error {
            error @ (PublishError::Transient(_)
            | PublishError::Unreachable { .. }
            | PublishError::Damaged(_)) => {
                (Setback::Retry(error.to_string()), retry::TRANSIENT_MAX)
            }
            error @ PublishError::Permanent { .. } => {
                (Setback::Stalled(error.to_string()), retry::PERMANENT_MAX)
            }
            PublishError::UploadGone => match &mut object.prepared {
                None => return Setback::ForgetUpload,
                Some(prepared) if prepared.gone < GONE_MAX => {
                    // Another may be completing it at this very moment.
                    prepared.gone += 1;
                    (Setback::Retry(error.to_string()), retry::TRANSIENT_MAX)
                }
                Some(prepared) => return prepared.vanished(&object.sealed),
            },
            PublishError::Foreign { cause, advice, .. } => return Setback::Stop { cause, advice },
        };
        object.rests = true;
        let events = events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(retry::delay(attempts, max)).await;
            let _ = events.send(Event::RetryDue(id));
        });
        setback
    }

    /// The back-off of an object is over; it may have been cut short.
    pub(super) fn retry_due(&mut self, id: Uuid) {
        let object = self.objects.get_mut(&id);
        if object.is_some_and(|object| std::mem::take(&mut object.rests)) {
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

    /// Objects for `store` that are not published: how many, and their records.
    pub(super) fn left(&self, store: &str) -> (u64, u64) {
        let records = self.unpublished(store).map(|object| object.sealed.records);
        (self.unpublished(store).count() as u64, records.sum())
    }

    /// Why nothing that is left for `store` can be published, where that needs a person.
    pub(super) fn refused<'a>(&'a self, store: &'a str) -> Option<&'a PublishError> {
        let is_refused = |object: &Object| object.rests && object.is_refused();
        if self.is_busy() || !self.queue.is_empty() || !self.unpublished(store).all(is_refused) {
            return None;
        }
        let refused = self.unpublished(store).next()?;
        refused.trouble.as_ref().map(|trouble| &trouble.error)
    }

    /// What keeps an object from being published: what needs a person before all else, then what has
    /// lasted for longest.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        let waiting = self.objects.values().filter(|object| !object.published);
        let troubles = waiting.filter_map(|object| object.trouble.as_ref());
        troubles.min_by_key(|trouble| (!trouble.needs_a_person(), trouble.since))
    }

    fn unpublished<'a>(&'a self, store: &'a str) -> impl Iterator<Item = &'a Object> {
        let objects = self.objects.values();
        objects.filter(move |object| !object.published && object.sealed.target.store == store)
    }

    /// Queues an object again.
    pub(super) fn retry(&mut self, id: Uuid) {
        if self
            .objects
            .get(&id)
            .is_some_and(|object| !object.published)
        {
            self.queue.push_back(id);
        }
    }

    /// Sets or forgets the multipart upload of an object; returns its new row.
    pub(super) fn set_upload(
        &mut self,
        id: Uuid,
        upload_id: Option<String>,
    ) -> Option<SealedObject> {
        let object = self.objects.get_mut(&id)?;
        object.sealed.upload_id = upload_id;
        Some(object.sealed.clone())
    }

    /// Notes that a job beside the publications is under way; it ends as they do.
    pub(super) const fn begun(&mut self) {
        self.in_flight += 1;
    }

    /// Gives an object its new row.
    pub(super) fn replace(&mut self, object: SealedObject) {
        if let Some(known) = self.objects.get_mut(&object.id) {
            self.bytes = self.bytes + object.size - known.sealed.size;
            known.sealed = object;
        }
    }

    /// Objects not yet published and recorded.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Objects that wait for a store that the config no longer names.
    pub(super) const fn stranded(&self) -> usize {
        self.stranded
    }

    /// The stores that objects wait for.
    pub(super) fn stores(&self) -> impl Iterator<Item = &str> {
        let objects = self.objects.values();
        objects.map(|object| &*object.sealed.target.store)
    }

    /// Whether a publication is under way.
    pub(super) const fn is_busy(&self) -> bool {
        self.in_flight > 0
    }

    /// Since when the oldest record waits that is in an object not yet published.
    pub(super) fn waits_since(&self) -> Option<Moment> {
        let unpublished = self.objects.values().filter(|object| !object.published);
        unpublished.map(|object| object.waits_since).min()
    }
}

impl Object {
    /// Whether a person must do something before it can be published.
    fn is_refused(&self) -> bool {
        self.trouble.as_ref().is_some_and(Trouble::needs_a_person)
    }

    fn publication(&self, outputs: &Outputs, spool: &Arc<Spool>) -> Publication {
        Publication {
            parts: self.prepared.as_ref().map(|of| Arc::clone(&of.parts)),
            ..publication(&self.sealed, outputs, spool)
        }
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

/// A sealed object, or the final head of an open batch, as the destination takes it.
pub(super) fn publication(
    sealed: &SealedObject,
    outputs: &Outputs,
    spool: &Arc<Spool>,
) -> Publication {
    let format = outputs.format(sealed.target.format);
    Publication {
        object_id: sealed.id,
        key: sealed.target.key.clone(),
        size: sealed.size,
        crc64nvme: sealed.crc64,
        was: sealed.was.clone(),
        content_type: format.map_or("application/octet-stream", |format| format.content_type()),
        content_encoding: format.and_then(Format::content_encoding),
        upload_id: sealed.upload_id.clone(),
        parts: None,
        body: Arc::new(SpoolBody {
            spool: Arc::clone(spool),
            extents: sealed.extents.clone(),
        }),
    }
}

/// Sends one group. A large object without an upload gets one first: it comes back as an event and
/// is sent when a checkpoint has named it (C1).
async fn send(destination: Destination, group: Vec<Publication>, events: UnboundedSender<Event>) {
    let (begin, publish): (Vec<_>, Vec<_>) = group.into_iter().partition(|publication| {
        publication.upload_id.is_none() && destination.needs_upload(publication.size)
    });
    let mut begun = Vec::new();
    for publication in begin {
        begun.push((
            publication.object_id,
            destination.begin_upload(&publication).await,
        ));
    }
    failpoint::hit("publish-before-put");
    let results = destination.publish(&publish).await;
    failpoint::hit("publish-after-put");
    let published = publish
        .iter()
        .map(|publication| publication.object_id)
        .zip(results)
        .collect();
    let _ = events.send(Event::Sent { begun, published });
}

impl Pipeline {
    /// Takes over that an upload was begun.
    pub(super) fn apply_begun(
        &mut self,
        id: Uuid,
        begun: Result<String, PublishError>,
    ) -> Result<(), StreamError> {
        match begun {
            Ok(upload_id) => {
                self.pending
                    .objects
                    .extend(self.waiting.set_upload(id, Some(upload_id)));
                Ok(())
            }
            Err(error) => self.set_back(id, error),
        }
    }

    /// Takes over what has become of a publication.
    pub(super) fn apply_sent(
        &mut self,
        id: Uuid,
        result: Result<(), PublishError>,
    ) -> Result<(), StreamError> {
        if let Err(error) = result {
            return self.set_back(id, error);
        }
        failpoint::hit("published-before-record");
        if let Some((sealed, since)) = self.waiting.publish(id) {
            self.around.status.delivered(sealed, since);
            tracing::debug!(
                stream = self.settings.name,
                object = sealed.target.location(),
                records = sealed.records,
                bytes = sealed.size,
                "published"
            );
            self.pending.published.push(id);
        }
        Ok(())
    }

    pub(super) fn set_back(&mut self, id: Uuid, error: PublishError) -> Result<(), StreamError> {
        let (stream, repeats) = (&self.settings.name, self.around.status.repeats());
        let now = self.around.clock.moment();
        match self.waiting.set_back(id, error, now, &self.events) {
            Setback::Retry(cause) => {
                if let Some(unsaid) = repeats.due_alike("publishing", &cause) {
                    tracing::warn!(stream, cause, unsaid, "publishing is tried again");
                }
                self.around.status.metrics().publish_retries.add(1);
            }
            Setback::Stalled(cause) => {
                if let Some(unsaid) = repeats.due_alike("publishing", &cause) {
                    tracing::error!(
                        stream,
                        cause,
                        unsaid,
                        "publishing is stalled, and tried again slowly"
                    );
                }
                self.around.status.metrics().publish_retries.add(1);
            }
            Setback::ForgetUpload => {
                self.pending
                    .objects
                    .extend(self.waiting.set_upload(id, None));
            }
            Setback::Mend(object) => self.mend(*object),
            Setback::Stop { cause, advice } => return Err(StreamError::LoudStop { cause, advice }),
        }
        Ok(())
    }
}
