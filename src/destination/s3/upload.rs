//! Large objects: a multipart upload whose id a checkpoint names before its first part is sent.
//!
//! Another attempt asks which parts have arrived and sends the rest, so it may begin anywhere. Full
//! parts may go while the object still grows at its end.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, Part as Arrived,
};
use crc_fast::{CrcAlgorithm, checksum};
use tokio::task::JoinSet;

use super::answer::S3Failure;
use super::parts::{self, Part};
use super::{KeyContent, S3Bucket, header, metadata, read, timeout, with_settings};
use crate::destination::{Publication, PublishError, SentPart};
use crate::extent::combine;
use crate::failpoint;

/// Parts of one object on their way at the same time.
const PARTS_IN_FLIGHT: usize = 4;

/// Why an upload was not completed.
pub(super) enum Stopped {
    /// For a reason of our own.
    Here(PublishError),
    /// By what the store said.
    There(S3Failure),
    /// By a store that will never complete this upload.
    ForGood(S3Failure),
}

/// A part that has arrived, by its number.
type ArrivedPart = (i32, SentPart);

impl S3Bucket {
    /// Starts the upload of an object; nobody has seen a byte of it yet.
    pub(super) async fn begin_upload(&self, object: &Publication) -> Result<String, PublishError> {
        let started = with_settings!(self.client.create_multipart_upload(), self)
            .key(&object.key)
            .set_metadata(Some(metadata(object)))
            .content_type(object.content_type)
            .set_content_encoding(object.content_encoding.map(str::to_owned))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .send()
            .await
            .map_err(|error| self.error(&S3Failure::of(&error), "starting", &object.key))?;
        started.upload_id().map(str::to_owned).ok_or_else(|| {
            PublishError::Transient(format!("{}: no upload id was given", self.url(&object.key)))
        })
    }

    /// Gives up an upload of ours.
    pub(super) async fn abort_upload(&self, key: &str, id: &str) -> Result<(), PublishError> {
        let request = self
            .client
            .abort_multipart_upload()
            .bucket(&self.settings.bucket);
        let Err(error) = request.key(key).upload_id(id).send().await else {
            return Ok(());
        };
        let answer = S3Failure::of(&error);
        if answer.is_upload_gone() {
            Ok(())
        } else {
            Err(self.error(&answer, "aborting", key))
        }
    }

    /// Sends the full parts of what is known of an object beyond part number `after`, but those that
    /// have arrived.
    pub(super) async fn send_full_parts(
        self: &Arc<Self>,
        head: &Publication,
        upload_id: &str,
        after: u32,
    ) -> Result<(), PublishError> {
        let later = parts::full(head.size).skip(after as usize);
        let sent = match self.arrived(head, upload_id, after).await {
            Ok(arrived) => {
                let hit = || failpoint::hit("filling-after-part");
                self.send_parts(head, upload_id, later, arrived, hit).await
            }
            Err(answer) => Err(Stopped::There(answer)),
        };
        match sent {
            Ok(_) => Ok(()),
            Err(Stopped::Here(error)) => Err(error),
            Err(Stopped::There(answer)) if answer.is_upload_gone() => Err(PublishError::UploadGone),
            Err(Stopped::There(answer) | Stopped::ForGood(answer)) => {
                Err(self.error(&answer, "uploading", &head.key))
            }
        }
    }

    /// Sends what is missing of an upload and completes it.
    pub(super) async fn finish_upload(
        self: &Arc<Self>,
        object: &Publication,
        upload_id: &str,
    ) -> Result<(), PublishError> {
        if !self.is_conditional() && self.ask(object).await? == KeyContent::Ours {
            return Ok(());
        }
        let (answer, for_good) = match self.send(object, upload_id).await {
            Ok(()) => return Ok(()),
            Err(Stopped::Here(error)) => return Err(error),
            Err(Stopped::There(answer)) => {
                let gone = answer.is_upload_gone();
                (answer, gone)
            }
            Err(Stopped::ForGood(answer)) => (answer, true),
        };
        match self.settle(object, &answer, for_good).await? {
            KeyContent::Ours => Ok(()),
            KeyContent::Nothing if for_good => {
                let url = self.url(&object.key);
                tracing::warn!(object = %url, cause = %answer.text(), "a multipart upload is gone");
                Err(PublishError::UploadGone)
            }
            KeyContent::Nothing => Err(self.error(&answer, "uploading", &object.key)),
        }
    }

    async fn send(self: &Arc<Self>, object: &Publication, upload_id: &str) -> Result<(), Stopped> {
        let arrived = self
            .arrived(object, upload_id, 0)
            .await
            .map_err(Stopped::There)?;
        let parts = self.send_all(object, upload_id, arrived).await?;
        self.complete(object, upload_id, &parts).await
    }

    /// Sends all parts of an object but those that have arrived.
    pub(super) async fn send_all(
        self: &Arc<Self>,
        object: &Publication,
        upload_id: &str,
        arrived: HashMap<i32, Arrived>,
    ) -> Result<Vec<SentPart>, Stopped> {
        let hit = || failpoint::hit("upload-after-part");
        let parts = parts::of(object.size);
        let parts = self
            .send_parts(object, upload_id, parts, arrived, hit)
            .await?;
        let whole = parts
            .iter()
            .fold(0, |crc, part| combine(crc, part.crc64, part.len));
        if whole != object.crc64nvme {
            return Err(Stopped::Here(object.damaged()));
        }
        Ok(parts)
    }

    /// Makes an object of the parts of its upload, if its key is free.
    pub(super) async fn complete(
        &self,
        object: &Publication,
        upload_id: &str,
        parts: &[SentPart],
    ) -> Result<(), Stopped> {
        let listed = (1..).zip(parts).map(|(number, part)| {
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.tag.clone())
                .checksum_crc64_nvme(header(part.crc64))
                .build()
        });
        let listed = CompletedMultipartUpload::builder()
            .set_parts(Some(listed.collect()))
            .build();
        self.client
            .complete_multipart_upload()
            .bucket(&self.settings.bucket)
            .key(&object.key)
            .upload_id(upload_id)
            .multipart_upload(listed)
            .checksum_crc64_nvme(header(object.crc64nvme))
            .checksum_type(ChecksumType::FullObject)
            .mpu_object_size(i64::try_from(object.size).unwrap_or(i64::MAX))
            .set_if_none_match(self.if_none_match())
            .customize()
            .config_override(timeout(object.size))
            .send()
            .await
            .map_err(|error| {
                let answer = S3Failure::of(&error);
                let refused = answer.is_refused_upload();
                if refused {
                    Stopped::ForGood(answer)
                } else {
                    Stopped::There(answer)
                }
            })?;
        failpoint::hit("upload-after-complete");
        Ok(())
    }

    /// The parts beyond number `after` that have arrived, by number. A store that does not tell gets
    /// all of them anew.
    pub(super) async fn arrived(
        &self,
        object: &Publication,
        upload_id: &str,
        after: u32,
    ) -> Result<HashMap<i32, Arrived>, S3Failure> {
        let request = self
            .client
            .list_parts()
            .bucket(&self.settings.bucket)
            .set_part_number_marker((after > 0).then(|| after.to_string()))
            .key(&object.key);
        let mut pages = request.upload_id(upload_id).into_paginator().send();
        let mut arrived = HashMap::new();
        while let Some(page) = pages.next().await {
            match page.map_err(|error| S3Failure::of(&error)) {
                Ok(page) => arrived.extend(
                    page.parts
                        .into_iter()
                        .flatten()
                        .filter_map(|part| Some((part.part_number?, part))),
                ),
                Err(answer) if answer.is_denied() || answer.is_not_implemented() => break,
                Err(answer) => return Err(answer),
            }
        }
        Ok(arrived)
    }

    /// Sends those of `parts` that are missing, a few at a time; all of them in order. `hit` is
    /// called after each that was sent.
    async fn send_parts(
        self: &Arc<Self>,
        object: &Publication,
        upload_id: &str,
        mut parts: impl Iterator<Item = Part>,
        mut arrived: HashMap<i32, Arrived>,
        hit: fn(),
    ) -> Result<Vec<SentPart>, Stopped> {
        let mut sending = JoinSet::new();
        let mut sent: Vec<ArrivedPart> = Vec::new();
        loop {
            while sending.len() < PARTS_IN_FLIGHT
                && let Some(part) = parts.next()
            {
                let (inner, object) = (Arc::clone(self), object.clone());
                let (upload_id, arrived) = (upload_id.to_owned(), arrived.remove(&part.number));
                sending.spawn(async move {
                    inner
                        .send_part(&object, &upload_id, part, arrived, hit)
                        .await
                });
            }
            match sending.join_next().await {
                Some(Ok(part)) => sent.push(part?),
                Some(Err(error)) => {
                    let cause = format!("sending a part ended: {error}");
                    return Err(Stopped::Here(PublishError::Transient(cause)));
                }
                None => break,
            }
        }
        sent.sort_unstable_by_key(|(number, _)| *number);
        Ok(sent.into_iter().map(|(_, part)| part).collect())
    }

    /// Sends one part, unless it has arrived already as it should be.
    async fn send_part(
        &self,
        object: &Publication,
        upload_id: &str,
        Part {
            number,
            offset,
            len,
        }: Part,
        arrived: Option<Arrived>,
        hit: fn(),
    ) -> Result<ArrivedPart, Stopped> {
        let _room = self.room(len).await;
        let bytes = read(object, offset, len).await.map_err(Stopped::Here)?;
        let crc64nvme = checksum(CrcAlgorithm::Crc64Nvme, &bytes);
        // A part of this number and length can only be this one, sent by an earlier attempt: the
        // upload is ours alone and every attempt cuts the same bytes alike. Not all stores tell
        // the checksum; the completion carries the one of the whole object.
        let there = arrived.filter(|part| {
            part.size() == i64::try_from(len).ok()
                && part
                    .checksum_crc64_nvme()
                    .is_none_or(|told| told == header(crc64nvme))
        });
        let sent = |tag| {
            let crc64 = crc64nvme;
            (number, SentPart { tag, len, crc64 })
        };
        if let Some(part) = there {
            return Ok(sent(part.e_tag));
        }
        let uploaded = self
            .client
            .upload_part()
            .bucket(&self.settings.bucket)
            .key(&object.key)
            .upload_id(upload_id)
            .part_number(number)
            .checksum_crc64_nvme(header(crc64nvme))
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(timeout(len))
            .send()
            .await
            .map_err(|error| Stopped::There(S3Failure::of(&error)))?;
        hit();
        Ok(sent(uploaded.e_tag))
    }
}
