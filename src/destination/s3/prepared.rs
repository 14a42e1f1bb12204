//! Uploads whose parts go before a shared checkpoint lists them. Whoever holds the list completes them:
//! the parts are named there, so no byte is needed any more.

use std::collections::HashMap;
use std::sync::Arc;

use super::upload::Stopped;
use super::{KeyContent, S3Bucket, header};
use crate::destination::{Publication, PublishError, SentPart};

impl S3Bucket {
    /// See [`crate::destination::Uploads::prepare`].
    pub(super) async fn prepare(
        self: &Arc<Self>,
        object: &mut Publication,
    ) -> Result<Vec<SentPart>, PublishError> {
        let (upload_id, arrived) = if let Some(id) = object.upload_id.clone() {
            let arrived = self.arrived(object, &id, 0).await;
            (id, arrived.map_err(Stopped::There))
        } else {
            let id = self.begin_upload(object).await?;
            object.upload_id = Some(id.clone());
            (id, Ok(HashMap::new()))
        };
        let sent = match arrived {
            Ok(arrived) => self.send_all(object, &upload_id, arrived).await,
            Err(stopped) => Err(stopped),
        };
        match sent {
            Ok(parts) => Ok(parts),
            Err(Stopped::Here(error)) => Err(error),
            Err(Stopped::There(answer) | Stopped::ForGood(answer)) => {
                if answer.is_upload_gone() {
                    // Nobody knows of it yet: the next attempt begins another.
                    object.upload_id = None;
                    return Err(PublishError::Transient(answer.text().to_owned()));
                }
                Err(self.error(&answer, "preparing", &object.key))
            }
        }
    }

    /// Completes an upload that a durable checkpoint lists.
    pub(super) async fn finish_prepared(
        &self,
        object: &Publication,
        upload_id: &str,
        parts: &[SentPart],
    ) -> Result<(), PublishError> {
        if !self.is_conditional() && self.ask(object).await? == KeyContent::Ours {
            return Ok(());
        }
        let mut stopped = match self.complete(object, upload_id, parts).await {
            Ok(()) => return Ok(()),
            Err(stopped) => stopped,
        };
        // A repeated request for a part may have come late, and some stores name the same bytes
        // differently then.
        if matches!(&stopped, Stopped::ForGood(answer) if !answer.is_taken())
            && let Some(renamed) = self.renamed(object, upload_id, parts).await
        {
            stopped = match self.complete(object, upload_id, &renamed).await {
                Ok(()) => return Ok(()),
                Err(stopped) => stopped,
            };
        }
        let answer = match stopped {
            Stopped::Here(error) => return Err(error),
            Stopped::There(answer) | Stopped::ForGood(answer) => answer,
        };
        let gone = answer.is_upload_gone();
        match self.settle(object, &answer, gone).await? {
            KeyContent::Ours => Ok(()),
            KeyContent::Nothing if gone => Err(PublishError::UploadGone),
            KeyContent::Nothing => Err(self.error(&answer, "completing", &object.key)),
        }
    }

    /// The same parts as the store names them now; `None` if it does not tell, or if these are others.
    async fn renamed(
        &self,
        object: &Publication,
        upload_id: &str,
        parts: &[SentPart],
    ) -> Option<Vec<SentPart>> {
        let mut arrived = self.arrived(object, upload_id, 0).await.ok()?;
        let renamed = (1..).zip(parts).map(|(number, part)| {
            let there = arrived.remove(&number)?;
            let checksum = there.checksum_crc64_nvme();
            let is_same = there.size() == i64::try_from(part.len).ok()
                && checksum.is_none_or(|checksum| checksum == header(part.crc64));
            let (len, crc64) = (part.len, part.crc64);
            is_same.then_some(SentPart {
                tag: there.e_tag,
                len,
                crc64,
            })
        });
        renamed.collect()
    }
}
