//! Bodies of shared checkpoints: objects under random names, written once, read back and removed.

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};

use super::answer::S3Failure;
use super::key::check;
use super::{S3, header, timeout, with_settings};
use crate::destination::{Bodies, PublishError};
use crate::shard::Pending;

impl Bodies for S3 {
    /// An attempt whose reply was lost is simply repeated: the same bytes go under the same key, and nobody else has it.
    fn put<'a>(&'a self, key: &'a str, body: Bytes) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(async move {
            check(key)?;
            let inner = &*self.0;
            let size = body.len() as u64;
            let sent = with_settings!(inner.client.put_object(), inner)
                .key(key)
                // Classes of the archive cannot be read at once.
                .set_storage_class(None)
                .content_type("application/json")
                .checksum_crc64_nvme(header(checksum(CrcAlgorithm::Crc64Nvme, &body)))
                .body(ByteStream::from(body))
                .customize()
                .config_override(timeout(size))
                .send()
                .await;
            sent.map(drop)
                .map_err(|error| inner.error(&S3Failure::of(&error), "writing", key))
        })
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        most: u64,
    ) -> Pending<'a, Result<Option<Bytes>, PublishError>> {
        Box::pin(self.0.read_marker(key, most))
    }

    fn remove<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(async move {
            let request = self.0.client.delete_object();
            let request = request.bucket(&self.0.settings.bucket).key(key);
            let Err(error) = request.send().await else {
                return Ok(());
            };
            let answer = S3Failure::of(&error);
            if answer.is_missing() {
                return Ok(());
            }
            Err(self.0.error(&answer, "removing", key))
        })
    }
}
