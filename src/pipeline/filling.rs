//! Uploads of batches that still fill: what a durable checkpoint holds of a batch in final bytes
//! leaves in full parts before the seal, so that little is left to send when it comes. What may go when
//! is for the protocol to say (`src/protocol/uploads.rs`).

use std::sync::Arc;

use uuid::Uuid;

use super::Pipeline;
use super::event::Event;
use super::publish::publication::publication;
use super::table::Entry;
use crate::destination::PublishError;
use crate::error::StreamError;
use crate::failpoint;
use crate::protocol::{Fill, Filled, Named};

/// An upload was not aborted.
pub(super) const STAYS_BEHIND: &str = "an upload that is no longer needed stays behind";
/// Batches with requests of their uploads under way at the same time.
const IN_FLIGHT_MAX: usize = 4;

impl Pipeline {
    /// Takes the next step for an open batch as a durable checkpoint has it: begins its upload, or
    /// sends its full parts. A step that cannot be taken now comes with a later checkpoint, or is
    /// left to the publication.
    pub(super) fn fill(&mut self, named: Named) {
        let row = named.row();
        let Some(destination) = self.destinations.get(&row.target.store).cloned() else {
            return;
        };
        let (id, full) = (row.id, destination.full_parts(row.final_len()));
        let is_due = |entry: &Entry| !entry.sealing && entry.pace.is_due();
        if !self.table.get(id).is_some_and(is_due) || self.filling >= IN_FLIGHT_MAX {
            return;
        }
        let Some(fill) = self.protocol.fill(&named, full) else {
            return;
        };
        self.filling += 1;
        let (outputs, spool) = (Arc::clone(&self.outputs), Arc::clone(&self.spool));
        let events = self.events.clone();
        tokio::spawn(async move {
            let head = publication(&named.into_head().into_object(), &outputs, &spool);
            let result = match fill {
                Fill::Send(after) => {
                    let sent = destination.send_full_parts(&head, after);
                    sent.await.map(|()| Filled::Sent(full))
                }
                Fill::Begin => {
                    let begun = destination.begin_upload(&head).await;
                    failpoint::hit("filling-begun");
                    begun.map(Filled::Begun)
                }
            };
            let _ = events.send(Event::Filled(id, result));
        });
    }

    /// Aborts the upload of a batch that makes no object, before a checkpoint forgets both. False: there is none
    /// that can be aborted.
    pub(super) fn give_up_upload(&mut self, id: Uuid) -> bool {
        let (Some(entry), Some(upload_id)) = (self.table.get(id), self.protocol.upload(id)) else {
            return false;
        };
        let (key, store) = (entry.target.key.clone(), entry.target.store.clone());
        if !self.outputs.stores().names(&store) {
            tracing::warn!(key, upload_id, store, "{STAYS_BEHIND}");
            return false;
        }
        // Until its claim a recovery aborts nothing.
        let Some(destination) = self.destinations.get(&store).cloned() else {
            return true;
        };
        if !self.protocol.give_up(id, &store) {
            return true;
        }
        self.filling += 1;
        let events = self.events.clone();
        tokio::spawn(async move {
            if let Err(error) = destination.abort_upload(&key, &upload_id).await {
                tracing::warn!(key, upload_id, %error, "{STAYS_BEHIND}");
            }
            let _ = events.send(Event::Filled(id, Ok(Filled::GivenUp)));
        });
        true
    }

    /// The destination is claimed: uploads that are of nothing can be aborted.
    pub(super) fn give_up_uploads(&mut self) {
        let of_nothing = self.table.entries().filter(|entry| {
            let id = entry.batch.id;
            let has_upload = self.protocol.upload(id).is_some() && !self.protocol.is_filling(id);
            entry.sealing && has_upload && entry.batch.records == 0 && entry.batch.is_encoded()
        });
        for id in of_nothing.map(|entry| entry.batch.id).collect::<Vec<_>>() {
            self.finish_if_encoded(id);
        }
    }

    /// Takes over what was done for a batch that fills.
    pub(super) fn apply_filled(
        &mut self,
        id: Uuid,
        result: Result<Filled, PublishError>,
    ) -> Result<(), StreamError> {
        self.filling -= 1;
        if let Err(cause) = &result {
            let (stream, repeats) = (&self.settings.name, self.context.status.repeats());
            let of_batch = self.table.get(id).map(|entry| &*entry.target.store);
            let (line, store) = ("parts of an open batch", of_batch.unwrap_or_default());
            if let Some(unsaid) = repeats.due_at_store(line, store, &cause.to_string()) {
                tracing::warn!(stream, %cause, unsaid, "parts of an open batch are sent later");
            }
            self.context.status.metrics().publish_retries.add(1);
        }
        self.table.settle(id, |entry| entry.pace.learn(&result));
        let filled = result.unwrap_or_else(|error| match error {
            PublishError::UploadGone => Filled::Gone,
            PublishError::Damaged(_) => Filled::Damaged,
            _ => Filled::Failed,
        });
        if self.protocol.filled(id, filled)? {
            self.table.change(id, |_| ());
        }
        self.finish_if_encoded(id);
        Ok(())
    }
}
