//! The bucket behind the port.

use std::sync::atomic::Ordering;

use super::key::check;
use super::{IN_FLIGHT_MAX, KeyContent, S3, UPLOAD_FROM, parts};
use crate::destination::{
    Bodies, Conditional, Keeper, Publication, PublishError, Publisher, SentPart, Uploads,
};
use crate::shard::Pending;

impl Publisher for S3 {
    fn describe(&self) -> String {
        let (bucket, endpoint) = (self.0.url(""), &self.0.settings.endpoint);
        let bucket = bucket.trim_end_matches('/');
        match endpoint {
            Some(endpoint) => format!("{bucket} at {endpoint}"),
            None => bucket.to_owned(),
        }
    }

    fn group_max(&self) -> usize {
        1
    }

    fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX
    }

    /// Publishes one object after the other; for many at a time, call it from many tasks.
    fn publish<'a>(
        &'a self,
        group: &'a [Publication],
    ) -> Pending<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let mut results = Vec::with_capacity(group.len());
            for publication in group {
                results.push(self.0.publish(publication).await);
            }
            results
        })
    }

    fn holds<'a>(&'a self, object: &'a Publication) -> Pending<'a, Result<bool, PublishError>> {
        Box::pin(async move {
            if self.0.ask(object).await? == KeyContent::Ours {
                return Ok(true);
            }
            // A HEAD does not tell a bucket that is missing from an object that is.
            match self.0.read_marker(&object.key, 0).await? {
                Some(_) => Ok(self.0.ask(object).await? == KeyContent::Ours),
                None => Ok(false),
            }
        })
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        Some(self)
    }
}

impl Uploads for S3 {
    fn are_for(&self, size: u64) -> bool {
        size >= UPLOAD_FROM
    }

    fn begin<'a>(&'a self, object: &'a Publication) -> Pending<'a, Result<String, PublishError>> {
        Box::pin(async move {
            check(&object.key)?;
            self.0.begin_upload(object).await
        })
    }

    fn full_parts(&self, size: u64) -> u32 {
        u32::try_from(parts::full(size).count()).unwrap_or(u32::MAX)
    }

    fn send_full_parts<'a>(
        &'a self,
        head: &'a Publication,
        after: u32,
    ) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(async move {
            match &head.upload_id {
                Some(upload_id) => self.0.send_full_parts(head, upload_id, after).await,
                None => Err(PublishError::UploadGone),
            }
        })
    }

    fn prepare<'a>(
        &'a self,
        object: &'a mut Publication,
    ) -> Pending<'a, Result<Vec<SentPart>, PublishError>> {
        Box::pin(async move {
            check(&object.key)?;
            self.0.prepare(object).await
        })
    }

    fn abort<'a>(
        &'a self,
        key: &'a str,
        upload_id: &'a str,
    ) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(self.0.abort_upload(key, upload_id))
    }

    fn given_up_after(&self) -> Pending<'_, Option<i32>> {
        Box::pin(self.0.gives_up_uploads_after())
    }
}

impl Keeper for S3 {
    /// The key is read first, so that a store without conditional writes still tells a marker that was there before.
    fn claim<'a>(
        &'a self,
        key: &'a str,
        body: &'a [u8],
    ) -> Pending<'a, Result<bool, PublishError>> {
        Box::pin(async move {
            check(key)?;
            match self.0.read_marker(key, body.len() as u64).await {
                Ok(Some(found)) => return Ok(found == body),
                // Without s3:ListBucket, S3 denies reading what does not exist.
                Ok(None) | Err(PublishError::Permanent { .. }) => {}
                Err(error) => return Err(error),
            }
            let Err(answer) = self.0.put_marker(key, body).await else {
                return Ok(true);
            };
            if !answer.is_taken() && !answer.is_lost() {
                return Err(self.0.error(&answer, "claiming", key));
            }
            match self.0.read_marker(key, body.len() as u64).await? {
                Some(found) => Ok(found == body),
                None => Err(self.0.error(&answer, "claiming", key)),
            }
        })
    }

    /// A small marker is put twice, and stays there.
    fn probe<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Conditional, PublishError>> {
        const MARKER: &[u8] = b"firehose asks here whether the store honours If-None-Match\n";
        Box::pin(async move {
            check(key)?;
            self.0.conditional.store(true, Ordering::Relaxed);
            // The first may find the marker of an earlier probe; then that is the answer already.
            for _ in 0..2 {
                match self.0.put_marker(key, MARKER).await {
                    Ok(()) => {}
                    Err(answer) if answer.is_taken() => return Ok(Conditional::Yes),
                    Err(answer) if answer.is_not_implemented() => break,
                    Err(answer) => return Err(self.0.error(&answer, "probing", key)),
                }
            }
            self.0.conditional.store(false, Ordering::Relaxed);
            Ok(Conditional::No)
        })
    }

    fn bodies(&self) -> Option<&dyn Bodies> {
        Some(self)
    }
}
