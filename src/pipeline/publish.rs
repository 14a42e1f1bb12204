//! Objects that a durable checkpoint lists, on their way to the destination.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::Pipeline;
use super::commit::SpoolBody;
use super::event::Event;
use super::log::{Listed, Range};
use super::outputs::Outputs;
use super::report::Trouble;
use crate::checkpoint::SealedObject;
use crate::clock::Moment;
use crate::destination::{Destination, Publication, PublishError, SentPart};
use crate::error::StreamError;
use crate::failpoint;
use crate::format::Format;
use crate::printable::shell_word;
use crate::protocol::{Gone, Protocol, Step};
use crate::retry;
use crate::spool::Spool;

/// Sealed objects whose publication is not recorded yet: when each is tried. What may be done for one is for the
/// protocol to say, which has its row.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    objects: HashMap<Uuid, Object, foldhash::fast::RandomState>,
    /// Objects to be sent next.
    queue: VecDeque<Uuid>,
    /// Objects of another store than the one configured.
    stranded: usize,
    in_flight: usize,
}

#[derive(Debug)]
struct Object {
    /// Since when its first record waits.
    waits_since: Moment,
    /// What a shared checkpoint says of it beside.
    prepared: Option<Prepared>,
    attempts: u32,
    /// It waits for its next attempt.
    rests: bool,
    /// Why it was sent in vain, since it last was not.
    trouble: Option<Trouble>,
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
    /// Adds an object that a durable checkpoint lists.
    pub(super) fn add(&mut self, sealed: &SealedObject, since: Moment, store: &str) {
        if sealed.target.store == store {
            self.queue.push_back(sealed.id);
        } else {
            self.stranded += 1;
        }
        self.insert(sealed.id, since, None);
    }

    /// Adds an object that a durable shared checkpoint lists.
    pub(super) fn add_listed(&mut self, listed: &Listed, since: Moment) {
        let prepared = Prepared {
            parts: listed.parts.clone().into(),
            range: listed.range,
        };
        self.queue.push_back(listed.object.id);
        self.insert(listed.object.id, since, Some(prepared));
    }

    fn insert(&mut self, id: Uuid, waits_since: Moment, prepared: Option<Prepared>) {
        let object = Object {
            waits_since,
            prepared,
            attempts: 0,
            rests: false,
            trouble: None,
        };
        self.objects.insert(id, object);
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

    /// Notes that a publication has come to an end.
    pub(super) fn landed(&mut self) {
        self.in_flight -= 1;
    }

    /// Since when the first record of an object waits.
    pub(super) fn since(&self, id: Uuid) -> Option<Moment> {
        self.objects.get(&id).map(|object| object.waits_since)
    }

    /// Forgets an object whose publication is recorded.
    pub(super) fn remove(&mut self, id: Uuid) {
        self.objects.remove(&id);
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
            PublishError::UploadGone => match (gone, &object.prepared) {
                (Some(Gone::Forgotten), _) => return Setback::Forgotten,
                (Some(Gone::Lost), Some(prepared)) => return prepared.vanished(sealed),
                _ => (Setback::Retry(error.to_string()), retry::TRANSIENT_MAX),
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

    /// Why nothing that is left for `store` can be published, where that needs a person.
    pub(super) fn refused(&self, protocol: &Protocol, store: &str) -> Option<&PublishError> {
        let mut left = unpublished(protocol, store).map(|object| self.objects.get(&object.id));
        let first = left.next()??;
        let is_refused = |object: &Object| object.rests && object.is_refused();
        let is_other = |object: Option<&Object>| !object.is_some_and(is_refused);
        if self.is_busy() || !self.queue.is_empty() || !is_refused(first) || left.any(is_other) {
            return None;
        }
        first.trouble.as_ref().map(|trouble| &trouble.error)
    }

    /// What keeps an object from being published: what needs a person before all else, then what has
    /// lasted for longest.
    pub(super) fn trouble(&self, protocol: &Protocol) -> Option<&Trouble> {
        let troubles = self.unpublished(protocol);
        let troubles = troubles.filter_map(|object| object.trouble.as_ref());
        troubles.min_by_key(|trouble| (!trouble.needs_a_person(), trouble.since))
    }

    fn unpublished<'a>(&'a self, protocol: &Protocol) -> impl Iterator<Item = &'a Object> {
        let unpublished = protocol.unpublished();
        unpublished.filter_map(|object| self.objects.get(&object.id))
    }

    /// Queues an object again.
    pub(super) fn retry(&mut self, id: Uuid) {
        self.queue.push_back(id);
    }

    /// Notes that a job beside the publications is under way; it ends as they do.
    pub(super) const fn begun(&mut self) {
        self.in_flight += 1;
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

    /// Whether a publication is under way.
    pub(super) const fn is_busy(&self) -> bool {
        self.in_flight > 0
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

impl Object {
    /// Whether a person must do something before it can be published.
    fn is_refused(&self) -> bool {
        self.trouble.as_ref().is_some_and(Trouble::needs_a_person)
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

/// Begins uploads, and sends objects: one group.
async fn send(
    destination: Destination,
    begin: Vec<Publication>,
    publish: Vec<Publication>,
    events: UnboundedSender<Event>,
) {
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
    /// Starts as many publications as the destination takes at once.
    pub(super) fn dispatch(&mut self) {
        let Some(destination) = &self.destination else {
            return;
        };
        while self.waiting.in_flight < destination.in_flight_max() && !self.waiting.queue.is_empty()
        {
            let count = self.waiting.queue.len().min(destination.group_max());
            let (mut begin, mut publish) = (Vec::new(), Vec::new());
            for id in self.waiting.queue.drain(..count) {
                let needs_upload = |size| destination.needs_upload(size);
                let (group, sealed) = match self.protocol.next(id, needs_upload) {
                    Some(Step::Begin(sealed)) => (&mut begin, sealed),
                    Some(Step::Send(sealed)) => (&mut publish, sealed),
                    None => continue,
                };
                let object = self.waiting.objects.get(&id);
                let prepared = object.and_then(|object| object.prepared.as_ref());
                group.push(Publication {
                    parts: prepared.map(|of| Arc::clone(&of.parts)),
                    ..publication(sealed, &self.outputs, &self.spool)
                });
            }
            if begin.is_empty() && publish.is_empty() {
                continue;
            }
            self.waiting.in_flight += 1;
            let sending = send(destination.clone(), begin, publish, self.events.clone());
            tokio::spawn(sending);
        }
    }

    /// Takes over that an upload was begun.
    pub(super) fn apply_begun(
        &mut self,
        id: Uuid,
        begun: Result<String, PublishError>,
    ) -> Result<(), StreamError> {
        match begun {
            Ok(upload_id) => self.protocol.begun(id, upload_id),
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
        let sealed = self.protocol.published(id)?;
        if let Some(since) = self.waiting.since(id) {
            self.around.status.delivered(sealed, since);
        }
        tracing::debug!(
            stream = self.settings.name,
            object = sealed.target.location(),
            records = sealed.records,
            bytes = sealed.size,
            "published"
        );
        Ok(())
    }

    pub(super) fn set_back(&mut self, id: Uuid, error: PublishError) -> Result<(), StreamError> {
        if matches!(error, PublishError::Damaged(_))
            && let Some(object) = self.protocol.damaged(id)?
        {
            self.mend(object);
            return Ok(());
        }
        let gone = match error {
            PublishError::UploadGone => Some(self.protocol.upload_gone(id)?),
            _ => self.protocol.not_sent(id).map(|()| None)?,
        };
        let Some(sealed) = self.protocol.object(id) else {
            return Ok(());
        };
        let (stream, repeats) = (&self.settings.name, self.around.status.repeats());
        let now = self.around.clock.moment();
        let setback = (self.waiting).set_back(sealed, error, gone, now, &self.events);
        match setback {
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
            Setback::Forgotten => {}
            Setback::Stop { cause, advice } => return Err(StreamError::LoudStop { cause, advice }),
        }
        Ok(())
    }
}
