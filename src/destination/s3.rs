//! An S3-compatible bucket as destination: one conditional PUT when small, a multipart upload when
//! large, and a HEAD whenever the outcome is in doubt.
//!
//! The request carries the checkpointed CRC-64/NVME as a header, so the store refuses bytes that
//! were damaged anywhere after the checkpoint. The pipeline owns retries: a request is sent once.

mod answer;
mod bodies;
mod connect;
mod key;
mod lifecycle;
mod list;
mod parts;
mod port;
mod prepared;
mod settings;
mod upload;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::answer::S3Failure;
use self::key::check as check_key;
use super::{Publication, PublishError, Whose};
use crate::aws::{self, Endpoint};
use crate::config::StoreSpec as _;
use crate::failpoint;

pub(super) use self::settings::S3Kind;
pub use self::settings::{S3Encryption, S3Settings};

/// Calls of [`super::Publisher::publish`] at the same time.
const IN_FLIGHT_MAX: usize = 32;
/// Bytes of bodies in memory at the same time, over all calls (a single larger part goes alone).
const IN_FLIGHT_BYTES: usize = 32 << 20;
/// From this size on, an object goes as a multipart upload.
const UPLOAD_FROM: u64 = 16 << 20;
/// The metadata that tells our objects apart (`x-amz-meta-firehose-object-id`).
const OBJECT_ID: &str = "firehose-object-id";
/// The name of the metadata that names the columns, where they were learned.
const SCHEMA: &str = "firehose-schema";
/// Time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a request without a body, from its start to the last byte of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A body adds one second for this many bytes.
const SLOWEST_RATE: u64 = 256 << 10;

/// An S3-compatible bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct S3(Arc<S3Bucket>);

/// What all clones of an [`S3`] share.
#[derive(Debug)]
struct S3Bucket {
    client: Client,
    /// Whom it asks.
    endpoint: Endpoint,
    settings: S3Settings,
    tagging: Option<String>,
    room: Semaphore,
    /// Whether `If-None-Match` is sent; cleared when a probe finds that the store lacks it.
    conditional: AtomicBool,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyContent {
    /// This very object.
    Ours,
    /// No object.
    Nothing,
}

/// Applies the settings shared by `PutObject` and `CreateMultipartUpload` to a request.
macro_rules! with_settings {
    ($request:expr, $inner:expr) => {{
        let settings = &$inner.settings;
        let (encryption, key) = match &settings.encryption {
            None => (None, None),
            Some(crate::destination::S3Encryption::S3) => (Some("AES256"), None),
            Some(crate::destination::S3Encryption::Kms(key)) => (Some("aws:kms"), key.clone()),
        };
        $request
            .bucket(&settings.bucket)
            .set_storage_class(settings.storage_class.as_deref().map(Into::into))
            .set_acl(settings.acl.as_deref().map(Into::into))
            .set_server_side_encryption(encryption.map(Into::into))
            .set_ssekms_key_id(key)
            .set_tagging($inner.tagging.clone())
    }};
}
use with_settings;

impl S3 {
    /// Builds the client; the bucket is not asked yet.
    pub(super) async fn connect(settings: &S3Settings) -> Result<Self, PublishError> {
        let (client, endpoint) = connect::client(settings).await?;
        let tags = settings.tags.iter();
        let tagging = tags.map(|(key, value)| format!("{}={}", escape(key), escape(value)));
        let tagging = tagging.collect::<Vec<_>>().join("&");
        Ok(Self(Arc::new(S3Bucket {
            client,
            endpoint,
            settings: settings.clone(),
            tagging: Some(tagging).filter(|tagging| !tagging.is_empty()),
            room: Semaphore::new(IN_FLIGHT_BYTES / 1024),
            conditional: AtomicBool::new(true),
        })))
    }
}

/// The metadata of an object.
fn metadata(object: &Publication) -> HashMap<String, String> {
    let id = (OBJECT_ID.to_owned(), object.object_id.to_string());
    let schema = object.schema.as_ref();
    let schema = schema.map(|schema| (SCHEMA.to_owned(), schema.to_string()));
    [id].into_iter().chain(schema).collect()
}

impl S3Bucket {
    async fn publish(self: &Arc<Self>, object: &Publication) -> Result<(), PublishError> {
        check_key(&object.key)?;
        let sent = self.send_whole(object).await;
        if !matches!(sent, Err(PublishError::Damaged(_))) {
            return sent;
        }
        // An attempt before the damage may have published the object, and its reply may have been lost.
        match self.ask(object).await {
            Ok(KeyContent::Ours) => Ok(()),
            // Whoever may not ask learns it when the object is put.
            Ok(KeyContent::Nothing) | Err(PublishError::Permanent { .. }) => sent,
            Err(error) => Err(error),
        }
    }

    async fn send_whole(self: &Arc<Self>, object: &Publication) -> Result<(), PublishError> {
        match &object.upload_id {
            Some(upload_id) => match &object.parts {
                Some(parts) => self.finish_prepared(object, upload_id, parts).await,
                None => self.finish_upload(object, upload_id).await,
            },
            None if object.size >= UPLOAD_FROM => Err(PublishError::UploadGone),
            None => self.put(object).await,
        }
    }

    /// Publishes an object by one PUT.
    async fn put(&self, object: &Publication) -> Result<(), PublishError> {
        if !self.is_conditional() && self.ask(object).await? == KeyContent::Ours {
            return Ok(());
        }
        let _room = self.room(object.size).await;
        let body = read(object, 0, object.size).await?;
        let request = with_settings!(self.client.put_object(), self)
            .key(&object.key)
            .set_metadata(Some(metadata(object)))
            .content_type(object.content_type)
            .set_content_encoding(object.content_encoding.map(str::to_owned))
            .checksum_crc64_nvme(header(object.crc64nvme))
            .set_if_none_match(self.if_none_match())
            .body(ByteStream::from(body));
        failpoint::hit("publish-before-put");
        let sent = request
            .customize()
            .config_override(timeout(object.size))
            .send()
            .await;
        let Err(error) = sent else {
            failpoint::hit("publish-after-put");
            return Ok(());
        };
        let answer = S3Failure::of(&error);
        match self.settle(object, &answer, answer.is_taken()).await? {
            KeyContent::Ours => Ok(()),
            KeyContent::Nothing => Err(self.error(&answer, "putting", &object.key)),
        }
    }

    /// Settles what an answer leaves open (C5): does the key hold this object? `must_know`: there
    /// is no going on without a reply; otherwise another attempt is as good.
    async fn settle(
        &self,
        object: &Publication,
        answer: &S3Failure,
        must_know: bool,
    ) -> Result<KeyContent, PublishError> {
        let must_know = must_know || answer.is_taken();
        if !must_know && !answer.is_lost() {
            return Ok(KeyContent::Nothing);
        }
        match self.ask(object).await {
            Ok(held) => Ok(held),
            Err(error) if must_know || matches!(error, PublishError::Foreign { .. }) => Err(error),
            // What went wrong first says more than what went wrong when asking about it.
            Err(_) => Ok(KeyContent::Nothing),
        }
    }

    /// Asks whether the key holds this object. Anything else there is [`PublishError::Foreign`].
    async fn ask(&self, object: &Publication) -> Result<KeyContent, PublishError> {
        let request = self
            .client
            .head_object()
            .bucket(&self.settings.bucket)
            .key(&object.key);
        let found = match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(found) => found,
            Err(error) => {
                let answer = S3Failure::of(&error);
                if answer.is_missing() {
                    return Ok(KeyContent::Nothing);
                }
                return Err(self.error(&answer, "asking for", &object.key));
            }
        };
        let id = object.object_id.to_string();
        let written_as = found
            .metadata()
            .and_then(|metadata| metadata.get(OBJECT_ID));
        let size = found
            .content_length()
            .and_then(|size| u64::try_from(size).ok());
        let checksum = found.checksum_crc64_nvme();
        let same_bytes = object.sums().any(|(ours, crc64nvme)| {
            size == Some(ours) && checksum.is_none_or(|checksum| checksum == header(crc64nvme))
        });
        if written_as == Some(&id) && same_bytes {
            return Ok(KeyContent::Ours);
        }
        let whose = match written_as {
            Some(written_as) if *written_as == id => Whose::Ours,
            Some(_) => Whose::Anothers,
            // Who rewrites an object in place may leave its metadata out.
            None => Whose::Unknown,
        };
        Err(PublishError::Foreign {
            whose,
            cause: format!(
                "{} holds another object: its {OBJECT_ID} is {}, its size {}, its CRC-64/NVME {}; \
                 ours are {id}, {} and {}",
                self.url(&object.key),
                written_as.map_or("missing", String::as_str),
                size.map_or_else(|| "unknown".into(), |size| size.to_string()),
                checksum.unwrap_or("unknown"),
                object.size,
                header(object.crc64nvme),
            ),
            advice: whose.advice(),
        })
    }

    /// Creates a small object if the key is free.
    async fn put_marker(&self, key: &str, body: &[u8]) -> Result<(), S3Failure> {
        with_settings!(self.client.put_object(), self)
            .key(key)
            // Classes of the archive cannot be read at once, and markers are.
            .set_storage_class(None)
            .content_type("text/plain")
            .checksum_crc64_nvme(header(checksum(CrcAlgorithm::Crc64Nvme, body)))
            .set_if_none_match(self.if_none_match())
            .body(ByteStream::from(Bytes::copy_from_slice(body)))
            .send()
            .await
            .map(drop)
            .map_err(|error| S3Failure::of(&error))
    }

    /// The bytes of a small object, no further than until there are more than `most`; `None` when there is none.
    async fn read_marker(&self, key: &str, most: u64) -> Result<Option<Bytes>, PublishError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.settings.bucket)
            .key(key);
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) => {
                let answer = S3Failure::of(&error);
                if answer.is_missing() {
                    return Ok(None);
                }
                return Err(self.error(&answer, "reading", key));
            }
        };
        let (mut body, mut bytes) = (found.body, BytesMut::new());
        while let Some(more) = body.next().await {
            let more = more.map_err(|error| {
                PublishError::Transient(format!("reading {}: {error}", self.url(key)))
            })?;
            bytes.extend_from_slice(&more);
            if bytes.len() as u64 > most {
                break;
            }
        }
        Ok(Some(bytes.freeze()))
    }

    /// What an answer means for the object at `key`.
    fn error(&self, answer: &S3Failure, doing: &str, key: &str) -> PublishError {
        answer.error(&format!("{doing} {}", self.url(key)), &self.endpoint)
    }

    fn url(&self, key: &str) -> String {
        self.settings.location(key)
    }

    fn is_conditional(&self) -> bool {
        self.conditional.load(Ordering::Relaxed)
    }

    fn if_none_match(&self) -> Option<String> {
        self.is_conditional().then(|| "*".to_owned())
    }

    /// Waits until a body of `size` bytes may be held in memory.
    async fn room(&self, size: u64) -> Option<SemaphorePermit<'_>> {
        let wanted = kibibytes(size).min(kibibytes(IN_FLIGHT_BYTES as u64));
        // The semaphore is never closed.
        self.room.acquire_many(wanted).await.ok()
    }
}

/// A part of an object's bytes, read off the async threads.
async fn read(object: &Publication, offset: u64, len: u64) -> Result<Bytes, PublishError> {
    let object = object.clone();
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    tokio::task::spawn_blocking(move || object.piece(offset, len))
        .await
        .unwrap_or_else(|error| Err(PublishError::Transient(format!("reading: {error}"))))
}

/// Configuration of a request that sends `size` bytes: as patient as a slow line needs.
fn timeout(size: u64) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Config::builder().timeout_config(timeouts(size))
}

/// The time that a request with a body of `size` bytes may take.
fn timeouts(size: u64) -> TimeoutConfig {
    let request = REQUEST_TIMEOUT + Duration::from_secs(size / SLOWEST_RATE);
    aws::timeouts(CONNECT_TIMEOUT, request)
}

/// A CRC-64/NVME as S3 writes it: base64 of its big-endian bytes.
fn header(crc64nvme: u64) -> String {
    BASE64.encode(crc64nvme.to_be_bytes())
}

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// Percent-escapes a tag's name or value for the `x-amz-tagging` header (RFC 3986, unreserved).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
