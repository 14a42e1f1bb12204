//! Objects that a durable checkpoint lists, on their way to the destination.

pub(super) mod publication;

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::Pipeline;
use super::event::Event;
use super::refused::not_taken_back;
use super::waiting::Setback;
use crate::destination::{Destination, Publication, PublishError};
use crate::error::StreamError;
use crate::failpoint;
use crate::protocol::Step;
use publication::publication;

/// Begins uploads, and sends objects: one group.
async fn send(
    (store, destination): (String, Destination),
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
    let _ = events.send(Event::Sent {
        store,
        begun,
        published,
    });
}

impl Pipeline {
    /// Starts as many publications as each store takes at once; one that is not claimed yet takes none.
    pub(super) fn dispatch(&mut self) {
        for (store, destination) in &self.destinations {
            let (most, group) = (destination.in_flight_max(), destination.group_max());
            while let Some(ids) = self.waiting.next(store, most, group) {
                let (mut begin, mut publish) = (Vec::new(), Vec::new());
                for id in ids {
                    let needs_upload = |size| destination.needs_upload(size);
                    let (group, sealed) = match self.protocol.next(id, needs_upload) {
                        Some(Step::Begin(sealed)) => (&mut begin, sealed),
                        Some(Step::Send(sealed)) => (&mut publish, sealed),
                        None => continue,
                    };
                    group.push(Publication {
                        parts: self.waiting.parts(id),
                        ..publication(sealed, &self.outputs, &self.spool)
                    });
                }
                if begin.is_empty() && publish.is_empty() {
                    continue;
                }
                self.waiting.sending(store);
                let to = (store.clone(), destination.clone());
                tokio::spawn(send(to, begin, publish, self.events.clone()));
            }
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
        let (sealed, refused) = match result {
            Ok(()) => (self.protocol.published(id)?, 0),
            Err(PublishError::Partly(refused)) if self.may_take_back(id) => {
                let batches = self.take_back(id, &refused);
                (self.protocol.partly(id, batches)?, refused.len() as u64)
            }
            Err(error @ PublishError::Partly(_)) => {
                return self.set_back(id, not_taken_back(&error));
            }
            Err(error) => return self.set_back(id, error),
        };
        failpoint::hit("published-before-record");
        // What was late is in no partition of the table.
        let place = (self.telling.place(sealed)).filter(|_| !sealed.target.is_late);
        if let Some(since) = self.waiting.since(id) {
            self.context.status.delivered(sealed, refused, since);
        }
        tracing::debug!(
            stream = self.settings.name,
            object = sealed.target.location(),
            records = sealed.records,
            bytes = sealed.size,
            "published"
        );
        if let Some(place) = place {
            self.note_place(place);
        }
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
        let (stream, repeats) = (&self.settings.name, self.context.status.repeats());
        let now = self.context.clock.moment();
        let store = &*sealed.target.store;
        let setback = (self.waiting).set_back(sealed, error, gone, now, &self.events);
        match setback {
            Setback::Retry(cause) => {
                if let Some(unsaid) = repeats.due_at_store("publishing", store, &cause) {
                    tracing::warn!(stream, cause, unsaid, "publishing is tried again");
                }
                self.context.status.metrics().publish_retries.add(1);
            }
            Setback::Stalled(cause) => {
                if let Some(unsaid) = repeats.due_at_store("publishing", store, &cause) {
                    tracing::error!(
                        stream,
                        cause,
                        unsaid,
                        "publishing is stalled, and tried again slowly"
                    );
                }
                self.context.status.metrics().publish_retries.add(1);
            }
            Setback::Forgotten => {}
            Setback::Stop { cause, advice } => return Err(StreamError::LoudStop { cause, advice }),
        }
        Ok(())
    }
}
