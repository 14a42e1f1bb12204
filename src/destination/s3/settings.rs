//! The keys of a bucket in the config, and what they tell of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::S3;
use super::key::BucketKeys;
use crate::config::{
    AwsAccess, Keys, OneMachine, Secret, StoreKind, StoreSettings, StoreSpec, StoreTable, Text,
};
use crate::destination::listing::{ListError, Take};
use crate::destination::{Destination, PublishError, Store};
use crate::shard::Pending;

/// What the name of a bucket in checkpoints begins with.
const SCHEME: &str = "s3://";
/// What Firehose calls it.
const TRANSLATIONS: &[(&str, &str)] = &[
    (
        "ExtendedS3DestinationConfiguration",
        "is [stream.NAME.destination] with `type = \"s3\"`",
    ),
    (
        "S3DestinationConfiguration",
        "is [stream.NAME.destination] with `type = \"s3\"`",
    ),
    (
        "BucketARN",
        "is `bucket` in [stream.NAME.destination], the name alone",
    ),
    (
        "EncryptionConfiguration",
        "is `encryption` and `kms_key_id` in [stream.NAME.destination]",
    ),
    (
        "AWSKMSKeyARN",
        "is `kms_key_id` in [stream.NAME.destination]",
    ),
    ("KMSKeyArn", "is `kms_key_id` in [stream.NAME.destination]"),
];
/// S3's limit of tags on an object, and of the characters of their names and values.
const TAGS_MAX: usize = 10;
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;

/// An S3-compatible bucket and how to write to it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// Region; the SDK's own search when missing.
    pub region: Option<String>,
    /// Endpoint of an S3-compatible store; AWS when missing.
    pub endpoint: Option<String>,
    /// Path-style addressing; default true with an endpoint, false without.
    pub path_style: bool,
    /// Named profile for credentials.
    pub profile: Option<String>,
    /// Access key id; the SDK's own search when missing.
    pub access_key_id: Option<String>,
    /// Secret access key, from the file or from `secret_access_key_file`.
    pub secret_access_key: Option<Secret>,
    /// Storage class, e.g. `STANDARD_IA`.
    pub storage_class: Option<String>,
    /// Server-side encryption.
    pub encryption: Option<S3Encryption>,
    /// Canned ACL, e.g. `bucket-owner-full-control`.
    pub acl: Option<String>,
    /// Object tags.
    pub tags: BTreeMap<String, String>,
}

impl S3Settings {
    /// How the store is reached.
    pub fn access(&self) -> AwsAccess {
        AwsAccess {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            profile: self.profile.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
        }
    }
}

/// Server-side encryption of S3 objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Encryption {
    /// SSE-S3 (`AES256`).
    S3,
    /// SSE-KMS with an optional key id.
    Kms(Option<String>),
}

impl From<S3Settings> for StoreSettings {
    fn from(settings: S3Settings) -> Self {
        Self::new(settings)
    }
}

/// `type = "s3"`.
#[derive(Debug)]
pub(in crate::destination) struct S3Kind;

impl StoreKind for S3Kind {
    fn word(&self) -> &'static str {
        "s3"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[
            "bucket",
            "path_style",
            "storage_class",
            "encryption",
            "kms_key_id",
            "acl",
            "tags",
            "region",
            "endpoint",
            "profile",
            "access_key_id",
            "secret_access_key",
            "secret_access_key_file",
        ]
    }

    fn translations(&self) -> &'static [(&'static str, &'static str)] {
        TRANSLATIONS
    }

    fn read(&self, table: &mut StoreTable<'_, '_>) -> Option<StoreSettings> {
        table.require("bucket", "name the bucket: bucket = \"lake\"");
        let bucket = bucket(table);
        let AwsAccess {
            region,
            endpoint,
            profile,
            access_key_id,
            secret_access_key,
        } = table.access();
        let path_style = table.boolean("path_style");
        let storage_class = table.text("storage_class");
        let encryption = encryption(table);
        let acl = table.text("acl");
        let tags = tags(table);
        let settings = S3Settings {
            bucket: bucket?,
            path_style: path_style.unwrap_or(endpoint.is_some()),
            region,
            endpoint,
            profile,
            access_key_id,
            secret_access_key,
            storage_class,
            encryption,
            acl,
            tags,
        };
        Some(settings.into())
    }

    /// A bucket's name says neither endpoint nor credentials: those are as in `like`.
    fn named(
        &self,
        name: &str,
        like: Option<&StoreSettings>,
    ) -> Option<Result<StoreSettings, String>> {
        let bucket = name.strip_prefix(SCHEME)?.to_owned();
        let like = like.and_then(|like| like.get::<S3Settings>().cloned());
        let like = like.ok_or_else(|| "the config names no bucket any more".to_owned());
        Some(like.map(|like| S3Settings { bucket, ..like }.into()))
    }
}

/// A bucket's name (or access point ARN): no scheme, no slash.
fn bucket(table: &mut StoreTable<'_, '_>) -> Option<String> {
    let place = table.place_of("bucket");
    let bucket = table.text("bucket")?;
    let arn = bucket.starts_with("arn:");
    if !arn && (bucket.contains('/') || bucket.contains(char::is_whitespace)) {
        let help = "write the bucket's name alone; folders in it belong in `prefix`";
        let message = format!("\"{bucket}\" is not the name of a bucket");
        table.fault(place, message, Some(help));
        return None;
    }
    Some(bucket)
}

fn encryption(table: &mut StoreTable<'_, '_>) -> Option<S3Encryption> {
    let place = table.place_of("kms_key_id");
    let words = [("s3", S3Encryption::S3), ("kms", S3Encryption::Kms(None))];
    let encryption = table.word("encryption", &words).map(|found| found.value);
    let key = table.text("kms_key_id");
    if key.is_some() && !matches!(encryption, Some(S3Encryption::Kms(_))) {
        let message = "`kms_key_id` is only for `encryption = \"kms\"`".to_owned();
        table.fault(place, message, Some("add encryption = \"kms\""));
    }
    Some(match encryption? {
        S3Encryption::S3 => S3Encryption::S3,
        S3Encryption::Kms(_) => S3Encryption::Kms(key),
    })
}

fn tags(table: &mut StoreTable<'_, '_>) -> BTreeMap<String, String> {
    let Some(tags) = table.table("tags") else {
        return BTreeMap::new();
    };
    let (place, tags) = (tags.place(), tags.strings());
    if tags.len() > TAGS_MAX {
        let message = format!("{} tags: S3 takes {TAGS_MAX} on an object", tags.len());
        table.fault(place, message, None);
    }
    for (key, Text { value, origin }) in &tags {
        let place = origin.place(None);
        if key.is_empty() || key.chars().count() > TAG_KEY_MAX {
            let message = format!("the tag's name must have 1 to {TAG_KEY_MAX} characters");
            table.fault(place, message, None);
        } else if value.chars().count() > TAG_VALUE_MAX {
            let message = format!("the tag's value is longer than {TAG_VALUE_MAX} characters");
            table.fault(place, message, None);
        }
    }
    tags.into_iter()
        .map(|(key, text)| (key, text.value))
        .collect()
}

impl Store for S3Kind {
    fn connect<'a>(
        &'a self,
        settings: &'a StoreSettings,
    ) -> Option<Pending<'a, Result<Destination, PublishError>>> {
        let settings = settings.get::<S3Settings>()?;
        Some(Box::pin(async {
            S3::connect(settings).await.map(Destination::new)
        }))
    }

    fn list<'a>(
        &'a self,
        settings: &'a StoreSettings,
        head: &'a str,
        take: &'a mut Take<'_>,
    ) -> Option<Pending<'a, Result<(), ListError>>> {
        let settings = settings.get::<S3Settings>()?;
        Some(Box::pin(async move {
            S3::connect(settings).await?.list(head, take).await
        }))
    }
}

impl StoreSpec for S3Settings {
    fn name(&self) -> String {
        format!("{SCHEME}{}", self.bucket)
    }

    fn location(&self, key: &str) -> String {
        format!("{SCHEME}{}/{key}", self.bucket)
    }

    fn keys(&self) -> Arc<dyn Keys> {
        Arc::new(BucketKeys)
    }

    fn of_one_machine(&self) -> Option<OneMachine> {
        None
    }

    fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.bucket)
    }

    fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    fn access(&self) -> Option<AwsAccess> {
        Some(Self::access(self))
    }

    fn kms_key(&self) -> Option<&str> {
        match &self.encryption {
            Some(S3Encryption::Kms(key)) => Some(key.as_deref().unwrap_or("alias/aws/s3")),
            Some(S3Encryption::S3) | None => None,
        }
    }
}
