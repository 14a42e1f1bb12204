//! What lies in a bucket.

#![expect(
    clippy::disallowed_methods,
    reason = "a page that was refused is asked for again after a while"
)]

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;

use super::S3;
use super::answer::S3Failure;
use crate::destination::PublishError;
use crate::destination::listing::{ListError, ListedObject, Take};
use crate::retry;

/// How often a page is asked for, before the list is given up.
const ATTEMPTS_MAX: u32 = 5;

impl S3 {
    /// See [`crate::destination::list`]. One page of it is in memory at a time.
    pub(in crate::destination) async fn list(
        &self,
        head: &str,
        take: &mut Take<'_>,
    ) -> Result<(), ListError> {
        let mut next = None;
        loop {
            let page = self.page(head, next).await?;
            for object in page.contents() {
                let Some(key) = object.key() else { continue };
                let modified = object.last_modified();
                take(ListedObject {
                    key: key.to_owned(),
                    size: object
                        .size()
                        .and_then(|size| size.try_into().ok())
                        .unwrap_or(0),
                    modified_ms: modified.and_then(|at| at.to_millis().ok()).unwrap_or(0),
                })?;
            }
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    async fn page(
        &self,
        head: &str,
        from: Option<String>,
    ) -> Result<ListObjectsV2Output, PublishError> {
        let mut attempt = 0;
        loop {
            let request = self.0.client.list_objects_v2();
            let request = request.bucket(&self.0.settings.bucket).prefix(head);
            let error = match request.set_continuation_token(from.clone()).send().await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let error = self.0.error(&S3Failure::of(&error), "listing", head);
            attempt += 1;
            if !error.may_pass() || attempt >= ATTEMPTS_MAX {
                return Err(error);
            }
            tokio::time::sleep(retry::delay(attempt, retry::TRANSIENT_MAX)).await;
        }
    }
}
