//! Objects that a durable checkpoint lists, on their way to the destination.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::commit::SpoolBody;
use super::event::Event;
use super::outputs::Outputs;
use crate::checkpoint::SealedObject;
use crate::destination::{Destination, Publication, PublishError};
use crate::failpoint;
use crate::format::Format;
use crate::retry;
use crate::spool::Spool;

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
    attempts: u32,
    published: bool,
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
    pub(super) fn add(&mut self, sealed: SealedObject, store: &str) {
        self.bytes += sealed.size;
        if sealed.target.store == store {
            self.queue.push_back(sealed.id);
        } else {
            self.stranded += 1;
        }
        self.objects.insert(
            sealed.id,
            Object {
                sealed,
                attempts: 0,
                published: false,
            },
        );
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
                .map(|object| publication(&object.sealed, outputs, spool))
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
    pub(super) fn publish(&mut self, id: Uuid) -> Option<&SealedObject> {
        let object = self.objects.get_mut(&id)?;
        object.published = true;
        Some(&object.sealed)
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
        events: &UnboundedSender<Event>,
    ) -> Setback {
        let attempts = self.objects.get_mut(&id).map_or(1, |object| {
            object.attempts += 1;
            object.attempts
        });
        let (setback, max) = match error {
            PublishError::Transient(cause) => (Setback::Retry(cause), retry::TRANSIENT_MAX),
            error @ PublishError::Permanent { .. } => {
                (Setback::Stalled(error.to_string()), retry::PERMANENT_MAX)
            }
            PublishError::UploadGone => return Setback::ForgetUpload,
            PublishError::Foreign { cause, advice } => return Setback::Stop { cause, advice },
        };
        let events = events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(retry::delay(attempts, max)).await;
            let _ = events.send(Event::RetryDue(id));
        });
        setback
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

    /// Arrival of the oldest record in an object not yet published, in ms.
    pub(super) fn oldest_arrival_ms(&self) -> Option<i64> {
        let unpublished = self.objects.values().filter(|object| !object.published);
        unpublished.map(|object| object.sealed.arrival_ms).min()
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
