//! Uploads of batches that still fill: an upload is begun; when a checkpoint has named its id, full parts go of
//! the final bytes that the same checkpoint names (C1). Which have arrived is for the destination to say (C5), so
//! no row keeps them. Nothing depends on their arrival: what is missing at the publication goes then.

use uuid::Uuid;

use super::{Protocol, must};
use crate::checkpoint::OpenBatch;
use crate::error::StreamError;

/// The multipart upload of a batch that is not sealed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Upload {
    id: Option<String>,
    /// A request is under way.
    busy: bool,
    /// So many of its first parts have arrived for sure.
    parts: u32,
    /// The batch's bytes are damaged here: they are mended when it is sealed, and go then.
    damaged: bool,
}

/// An open batch as a durable checkpoint has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named(OpenBatch);

/// What is to be done for an open batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// An upload is begun.
    Begin,
    /// Full parts are sent, after so many of the first.
    Send(u32),
}

/// What has come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filled {
    /// An upload was begun: its id.
    Begun(String),
    /// So many of its first parts have arrived.
    Sent(u32),
    /// The upload has vanished.
    Gone,
    /// The bytes are damaged here.
    Damaged,
    /// The upload was given up: there is nothing that it could become.
    GivenUp,
    /// Nothing, or what is not known.
    Failed,
}

impl Named {
    pub(super) const fn by_a_durable_checkpoint(row: OpenBatch) -> Self {
        Self(row)
    }

    /// Its row.
    pub const fn row(&self) -> &OpenBatch {
        &self.0
    }

    /// An object of the bytes that are final.
    pub fn into_head(self) -> OpenBatch {
        self.0.into_final_head()
    }
}

impl Upload {
    pub(super) fn named(id: Option<String>) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }
}

impl Protocol {
    /// What is to be done for an open batch of which `full` parts are full in its row, if anything may.
    pub fn fill(&mut self, named: &Named, full: u32) -> Option<Fill> {
        let (id, row) = (named.0.id, &named.0);
        let making = self.making.iter().flatten();
        let is_claimed = self.claimed.contains(&row.target.store);
        if !is_claimed || self.sealed.contains(&id) || making.into_iter().any(|of| *of == id) {
            return None;
        }
        let known = self.uploads.get(&id).cloned().unwrap_or_default();
        let Upload {
            busy,
            parts,
            damaged,
            ..
        } = known;
        if busy || damaged || parts >= full || known.id != row.upload_id {
            return None;
        }
        let fill = match known.id {
            None => Fill::Begin,
            Some(_) => Fill::Send(parts),
        };
        self.uploads.insert(
            id,
            Upload {
                busy: true,
                ..known
            },
        );
        Some(fill)
    }

    /// Whether the upload of a batch for `store` that makes no object is aborted now: before a checkpoint forgets both, and when no
    /// request of it is under way (C5). It ends as [`Filled::GivenUp`].
    pub fn give_up(&mut self, id: Uuid, store: &str) -> bool {
        let upload = self.uploads.get_mut(&id);
        let upload = upload.filter(|upload| upload.id.is_some() && !upload.busy);
        let Some(upload) = upload.filter(|_| self.claimed.contains(store)) else {
            return false;
        };
        upload.busy = true;
        true
    }

    /// Takes over what has come of it. True: the batch's row has changed.
    pub fn filled(&mut self, id: Uuid, filled: Filled) -> Result<bool, StreamError> {
        let is_filling = self.is_filling(id);
        must("C5: no upload is lost track of", is_filling, || {
            format!("nothing was asked for batch {id}")
        })?;
        let Some(upload) = self.uploads.get_mut(&id) else {
            return Ok(false);
        };
        upload.busy = false;
        let before = upload.id.is_some();
        match filled {
            Filled::Begun(id) => *upload = Upload::named(Some(id)),
            Filled::Sent(parts) => upload.parts = parts,
            Filled::Gone => (upload.id, upload.parts) = (None, 0),
            Filled::Damaged => upload.damaged = true,
            Filled::GivenUp => *upload = Upload::default(),
            Filled::Failed => {}
        }
        Ok(before != upload.id.is_some())
    }

    /// Whether a request of an open batch's upload is under way.
    pub fn is_filling(&self, id: Uuid) -> bool {
        self.uploads.get(&id).is_some_and(|upload| upload.busy)
    }

    /// The upload of an open batch, for its row.
    pub fn upload(&self, id: Uuid) -> Option<String> {
        self.uploads.get(&id)?.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    /// The batch as a durable checkpoint has it that names this upload.
    fn named(upload_id: Option<&str>) -> Named {
        let row = serde_json::json!({
            "id": ID, "lane": "Data", "identity": "", "opened_ms": 0, "arrival_ms": 0, "records": 1,
            "bytes": 8, "sealing": false, "blocks": [], "upload_id": upload_id,
            "target": {"store": "", "key": "", "format": 0},
        });
        Named(serde_json::from_value(row).unwrap())
    }

    fn claimed() -> Protocol {
        let mut protocol = Protocol::default();
        protocol.claimed("");
        protocol
    }

    /// A protocol with an upload that was begun.
    fn begun() -> Protocol {
        let mut protocol = claimed();
        assert_eq!(protocol.fill(&named(None), 1), Some(Fill::Begin));
        assert!(protocol.filled(ID, Filled::Begun("u".into())).unwrap());
        protocol
    }

    #[test]
    fn parts_go_only_to_the_upload_that_the_row_names() {
        assert_eq!(
            Protocol::default().fill(&named(None), 1),
            None,
            "nothing is claimed"
        );
        assert_eq!(
            begun().fill(&named(None), 1),
            None,
            "begun, but not checkpointed"
        );
        assert_eq!(begun().fill(&named(Some("u")), 1), Some(Fill::Send(0)));
        assert_eq!(claimed().fill(&named(Some("u")), 1), None, "forgotten");
        assert_eq!(begun().fill(&named(Some("u")), 0), None, "no part is full");
    }

    #[test]
    fn what_has_arrived_is_not_sent_again() {
        let (mut protocol, named) = (begun(), named(Some("u")));
        assert_eq!(protocol.fill(&named, 3), Some(Fill::Send(0)));
        assert_eq!(protocol.fill(&named, 3), None, "one request at a time");
        assert!(!protocol.filled(ID, Filled::Sent(3)).unwrap());
        assert_eq!(protocol.fill(&named, 3), None);
        assert_eq!(protocol.fill(&named, 4), Some(Fill::Send(3)));
        assert!(!protocol.filled(ID, Filled::Failed).unwrap());
        assert_eq!(protocol.upload(ID).as_deref(), Some("u"));
    }

    #[test]
    fn a_batch_is_sealed_when_no_request_is_under_way_and_nothing_is_sent_for_it_then() {
        let (mut protocol, named) = (begun(), named(Some("u")));
        assert_eq!(protocol.fill(&named, 1), Some(Fill::Send(0)));
        assert!(!protocol.seal(ID) && !protocol.close(ID));
        protocol.filled(ID, Filled::Failed).unwrap();
        assert!(protocol.seal(ID));
        assert_eq!(protocol.fill(&named, 1), None);
        protocol.draft().unwrap();
        assert_eq!(
            protocol.fill(&named, 1),
            None,
            "it is about to be an object"
        );
    }

    #[test]
    fn nothing_more_is_sent_of_a_batch_whose_bytes_are_damaged() {
        let (mut protocol, named) = (begun(), named(Some("u")));
        assert_eq!(protocol.fill(&named, 1), Some(Fill::Send(0)));
        assert!(!protocol.filled(ID, Filled::Damaged).unwrap());
        assert_eq!(protocol.fill(&named, 4), None);
    }

    #[test]
    fn a_vanished_upload_is_forgotten_in_the_row_and_begun_anew_from_its_first_part() {
        let mut protocol = begun();
        assert_eq!(protocol.fill(&named(Some("u")), 3), Some(Fill::Send(0)));
        assert!(protocol.filled(ID, Filled::Gone).unwrap());
        assert_eq!(
            protocol.fill(&named(Some("u")), 3),
            None,
            "no checkpoint has forgotten it"
        );
        assert_eq!(protocol.fill(&named(None), 3), Some(Fill::Begin));
        assert!(protocol.filled(ID, Filled::Begun("v".into())).unwrap());
        assert_eq!(protocol.fill(&named(Some("v")), 1), Some(Fill::Send(0)));
    }

    #[test]
    fn an_upload_that_can_become_nothing_is_given_up_before_its_batch_is_closed() {
        assert!(!claimed().give_up(ID, ""), "there is none");
        let mut protocol = begun();
        assert!(protocol.give_up(ID, ""));
        assert!(
            !protocol.give_up(ID, "") && !protocol.close(ID),
            "one request at a time"
        );
        assert!(protocol.filled(ID, Filled::GivenUp).unwrap());
        assert!(protocol.upload(ID).is_none() && protocol.close(ID));
    }

    #[test]
    fn an_answer_that_nobody_waits_for_stops_the_stream() {
        let told = claimed().filled(ID, Filled::Sent(1));
        assert!(
            matches!(told, Err(StreamError::LoudStop { .. })),
            "{told:?}"
        );
    }
}
