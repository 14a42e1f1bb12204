//! Uploads of batches that still fill: what a durable checkpoint holds of a batch in final bytes
//! leaves in full parts before the seal, so that little is left to send when it comes.
//!
//! An upload is begun; its id comes back as an event; when a checkpoint has named it, parts of the
//! bytes that the same checkpoint names may go (C1). Which have arrived is for the destination to
//! say (C5), so no row keeps them. Nothing depends on their arrival: what is missing at the
//! publication goes then. A batch is sealed when no request of its upload is under way, so that
//! none races with the publication and no begun upload is lost track of.

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::Pipeline;
use super::commit::sealed_object;
use super::event::Event;
use super::publish::publication;
use crate::checkpoint::OpenBatch;
use crate::destination::PublishError;
use crate::failpoint;
use crate::retry;

/// An upload was not aborted.
pub(super) const STAYS_BEHIND: &str = "an upload that is no longer needed stays behind";
/// Batches with requests of their uploads under way at the same time.
const IN_FLIGHT_MAX: usize = 4;

/// The multipart upload of a batch that is not sealed yet.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// Its id, once it was begun. Parts go when a checkpoint has named it.
    pub id: Option<String>,
    /// Whether a request is under way.
    pub busy: bool,
    /// So many of its first parts have arrived for sure.
    parts: u32,
    /// Failures in a row.
    failures: u32,
    /// Nothing is tried before, after a failure.
    not_before: Option<Instant>,
    /// Whether its bytes are damaged here: they are mended when the batch is sealed, and go then.
    damaged: bool,
}

/// What was done for a batch that fills.
#[derive(Debug)]
pub(super) enum Filled {
    /// An upload was begun: its id.
    Begun(String),
    /// So many of its first parts have arrived.
    Sent(u32),
    /// The upload was given up: there is nothing that it could become.
    GivenUp,
}

impl Upload {
    /// The upload that a checkpoint names; none has begun where there is no id.
    pub(super) fn named(id: Option<String>) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Whether something can be done about parts of which `full` are full, by a row that names `id`.
    fn is_ready(&self, full: u32, id: Option<&String>) -> bool {
        let is_due = self.not_before.is_none_or(|at| at <= Instant::now());
        !self.busy && !self.damaged && is_due && self.parts < full && self.id.as_ref() == id
    }

    /// Takes over what a request has brought. True: the batch's row changes.
    fn apply(&mut self, result: &Result<Filled, PublishError>) -> bool {
        self.busy = false;
        let before = self.id.is_some();
        match result {
            Ok(Filled::Begun(id)) => *self = Self::named(Some(id.clone())),
            Ok(Filled::Sent(parts)) => {
                (self.parts, self.failures, self.not_before) = (*parts, 0, None);
            }
            Ok(Filled::GivenUp) => *self = Self::default(),
            Err(error) => {
                let max = if error.may_pass() {
                    retry::TRANSIENT_MAX
                } else {
                    retry::PERMANENT_MAX
                };
                self.failures += 1;
                self.damaged |= matches!(error, PublishError::Damaged(_));
                self.not_before = Some(Instant::now() + retry::delay(self.failures, max));
                if *error == PublishError::UploadGone {
                    (self.id, self.parts) = (None, 0);
                }
            }
        }
        before != self.id.is_some()
    }
}

impl Pipeline {
    /// Takes the next step for an open batch as a durable checkpoint has it: begins its upload, or
    /// sends its full parts. A step that cannot be taken now comes with a later checkpoint, or is
    /// left to the publication.
    pub(super) fn fill(&mut self, row: OpenBatch) {
        let Some(destination) = self.destination.clone() else {
            return;
        };
        let full = destination.full_parts(row.final_len());
        let is_ready = self.table.get(row.id).is_some_and(|entry| {
            !entry.sealing && entry.upload.is_ready(full, row.upload_id.as_ref())
        });
        if !is_ready || self.filling >= IN_FLIGHT_MAX || row.target.store != self.outputs.store() {
            return;
        }
        self.filling += 1;
        let id = row.id;
        let after = self.table.settle(id, |entry| {
            entry.upload.busy = true;
            entry.upload.parts
        });
        let (outputs, spool) = (Arc::clone(&self.outputs), Arc::clone(&self.spool));
        let events = self.events.clone();
        tokio::spawn(async move {
            let head = publication(&sealed_object(row.into_final_head()), &outputs, &spool);
            let result = if head.upload_id.is_some() {
                let sent = destination.send_full_parts(&head, after.unwrap_or_default());
                sent.await.map(|()| Filled::Sent(full))
            } else {
                let begun = destination.begin_upload(&head).await;
                failpoint::hit("filling-begun");
                begun.map(Filled::Begun)
            };
            let _ = events.send(Event::Filled(id, result));
        });
    }

    /// Aborts the upload of a batch that makes no object, before a checkpoint forgets both. False: there is none
    /// that can be aborted.
    pub(super) fn give_up_upload(&mut self, id: Uuid) -> bool {
        let Some(entry) = self.table.get(id) else {
            return false;
        };
        let Some(upload_id) = entry.upload.id.clone() else {
            return false;
        };
        let (key, store) = (entry.target.key.clone(), entry.target.store.clone());
        if store != self.outputs.store() {
            tracing::warn!(key, upload_id, store, "{STAYS_BEHIND}");
            return false;
        }
        // Until its claim a recovery aborts nothing.
        let Some(destination) = self.destination.clone() else {
            return true;
        };
        self.filling += 1;
        self.table.settle(id, |entry| entry.upload.busy = true);
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
            let has_upload = entry.upload.id.is_some() && !entry.upload.busy;
            entry.sealing && has_upload && entry.batch.records == 0 && entry.batch.is_encoded()
        });
        for id in of_nothing.map(|entry| entry.batch.id).collect::<Vec<_>>() {
            self.finish_if_encoded(id);
        }
    }

    /// Takes over what was done for a batch that fills.
    pub(super) fn apply_filled(&mut self, id: Uuid, result: &Result<Filled, PublishError>) {
        self.filling -= 1;
        if let Err(cause) = result {
            let (stream, repeats) = (&self.settings.name, self.around.status.repeats());
            if let Some(unsaid) = repeats.due_alike("parts of an open batch", &cause.to_string()) {
                tracing::warn!(stream, %cause, unsaid, "parts of an open batch are sent later");
            }
            self.around.status.metrics().publish_retries.add(1);
        }
        if self.table.settle(id, |entry| entry.upload.apply(result)) == Some(true) {
            self.table.change(id, |_| ());
        }
        self.finish_if_encoded(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Upload {
        Upload::named(Some("u".into()))
    }

    #[test]
    fn parts_go_only_to_the_upload_that_the_row_names() {
        let named = "u".to_owned();
        assert!(Upload::default().is_ready(1, None));
        assert!(begun().is_ready(1, Some(&named)));
        assert!(!begun().is_ready(1, None), "begun, but not checkpointed");
        assert!(!Upload::default().is_ready(1, Some(&named)), "forgotten");
        assert!(!begun().is_ready(0, Some(&named)), "no part is full");
    }

    #[test]
    fn what_has_arrived_is_not_sent_again_and_a_failure_waits() {
        let named = "u".to_owned();
        let mut upload = begun();
        assert!(!upload.apply(&Ok(Filled::Sent(3))));
        assert!(!upload.is_ready(3, Some(&named)));
        assert!(upload.is_ready(4, Some(&named)));
        assert!(!upload.apply(&Err(PublishError::Transient("slow".into()))));
        assert!(!upload.is_ready(4, Some(&named)));
        assert_eq!(upload.id, Some(named));
    }

    #[test]
    fn nothing_more_is_sent_of_a_batch_whose_bytes_are_damaged() {
        let named = "u".to_owned();
        let mut upload = begun();
        assert!(!upload.apply(&Err(PublishError::Damaged("rotten".into()))));
        upload.not_before = None;
        assert!(!upload.is_ready(4, Some(&named)));
    }

    #[test]
    fn a_vanished_upload_is_forgotten_in_the_row_and_begun_anew_from_its_first_part() {
        let mut upload = begun();
        upload.apply(&Ok(Filled::Sent(3)));
        assert!(upload.apply(&Err(PublishError::UploadGone)));
        assert!(!upload.is_ready(3, None), "after a while");
        assert!(upload.apply(&Ok(Filled::Begun("v".into()))));
        assert!(upload.is_ready(1, Some(&"v".to_owned())));
    }
}
