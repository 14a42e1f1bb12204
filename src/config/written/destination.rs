//! `[stream.X.destination]`: the store and the prefixes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::access::{self, NAME_MAX};
use crate::config::diagnostic::Diagnostic;
use crate::config::spans::{SpanMap, StageField};
use crate::config::table::Table;
use crate::config::text::Origin;
use crate::config::{AwsAccess, DestinationSettings, S3Encryption, S3Settings, StoreSettings};

/// Keys that only `type = "folder"` has.
const FOLDER_KEYS: &[&str] = &["path"];
/// Keys that only `type = "s3"` has.
const S3_KEYS: &[&str] = &[
    "bucket",
    "path_style",
    "storage_class",
    "encryption",
    "kms_key_id",
    "acl",
    "tags",
];
/// S3's limit of tags on an object, and of the characters of their names and values.
const TAGS_MAX: usize = 10;
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;

#[derive(Clone, Copy)]
enum Kind {
    Folder,
    S3,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    S3,
    Kms,
}

/// Reads the table. Where the store cannot be had (the fault is reported) one is made up.
pub(super) fn read(
    stream: &str,
    mut table: Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> DestinationSettings {
    if !table.has("type") {
        table.missing("type", "write type = \"folder\" or type = \"s3\"");
    }
    let kind = table.word("type", &[("folder", Kind::Folder), ("s3", Kind::S3)]);
    let prefix = spans.keep(stream, StageField::Prefix, &mut table, "prefix");
    let error_prefix = spans.keep(stream, StageField::ErrorPrefix, &mut table, "error_prefix");
    let store = match kind.map(|found| found.value) {
        Some(Kind::Folder) => folder(&mut table, base, stream, spans),
        Some(Kind::S3) => s3(&mut table, base),
        None => {
            table.accept(FOLDER_KEYS);
            table.accept(S3_KEYS);
            table.accept(access::KEYS);
            None
        }
    };
    table.finish();
    if store.is_none() {
        spans.keep_unread(stream, StageField::Store);
    }
    DestinationSettings {
        store: store.unwrap_or_else(made_up),
        prefix,
        error_prefix,
    }
}

/// A store where none can be had.
fn made_up() -> StoreSettings {
    let path = PathBuf::new();
    StoreSettings::Folder { path }
}

/// The destination of a stream that has none.
pub(super) fn missing(stream: &str, spans: &mut SpanMap) -> DestinationSettings {
    for field in [
        StageField::Store,
        StageField::Prefix,
        StageField::ErrorPrefix,
    ] {
        spans.keep_unread(stream, field);
    }
    DestinationSettings {
        store: made_up(),
        prefix: None,
        error_prefix: None,
    }
}

fn folder(
    table: &mut Table<'_>,
    base: &Path,
    stream: &str,
    spans: &mut SpanMap,
) -> Option<StoreSettings> {
    table.only_with(S3_KEYS, "`type = \"s3\"`");
    table.only_with(access::KEYS, "`type = \"s3\"`");
    if !table.has("path") {
        table.missing(
            "path",
            "name the directory that objects go to: path = \"data/out\"",
        );
    }
    let field = StageField::Store;
    spans.keep_origin(stream, field, Origin::at(table.place_of("path")));
    let path = super::located(table, "path", base, stream, field, spans)?;
    Some(StoreSettings::Folder { path })
}

fn s3(table: &mut Table<'_>, base: &Path) -> Option<StoreSettings> {
    table.only_with(FOLDER_KEYS, "`type = \"folder\"`");
    if !table.has("bucket") {
        table.missing("bucket", "name the bucket: bucket = \"lake\"");
    }
    let bucket = bucket(table);
    let AwsAccess {
        region,
        endpoint,
        profile,
        access_key_id,
        secret_access_key,
    } = access::read(table, base);
    let path_style = table.boolean("path_style");
    let storage_class = table.name_text("storage_class", NAME_MAX);
    let encryption = encryption(table);
    let acl = table.name_text("acl", NAME_MAX);
    let tags = table.table("tags").map(tags).unwrap_or_default();
    Some(StoreSettings::S3(Box::new(S3Settings {
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
    })))
}

/// A bucket's name (or access point ARN): no scheme, no slash.
fn bucket(table: &mut Table<'_>) -> Option<String> {
    let place = table.place_of("bucket");
    let bucket = table.name_text("bucket", NAME_MAX)?;
    let arn = bucket.starts_with("arn:");
    if !arn && (bucket.contains('/') || bucket.contains(char::is_whitespace)) {
        let help = "write the bucket's name alone; folders in it belong in `prefix`";
        let message = format!("\"{bucket}\" is not the name of a bucket");
        table
            .file
            .report(Diagnostic::fault(place, message).help(help));
        return None;
    }
    Some(bucket)
}

fn encryption(table: &mut Table<'_>) -> Option<S3Encryption> {
    let place = table.place_of("kms_key_id");
    let words = [("s3", Encryption::S3), ("kms", Encryption::Kms)];
    let encryption = table.word("encryption", &words).map(|found| found.value);
    let key = table.name_text("kms_key_id", NAME_MAX);
    if key.is_some() && encryption != Some(Encryption::Kms) {
        let message = "`kms_key_id` is only for `encryption = \"kms\"`";
        table
            .file
            .report(Diagnostic::fault(place, message).help("add encryption = \"kms\""));
    }
    Some(match encryption? {
        Encryption::S3 => S3Encryption::S3,
        Encryption::Kms => S3Encryption::Kms(key),
    })
}

fn tags(table: Table<'_>) -> BTreeMap<String, String> {
    let (file, place) = (table.file, table.place());
    let tags = table.strings();
    if tags.len() > TAGS_MAX {
        let message = format!("{} tags: S3 takes {TAGS_MAX} on an object", tags.len());
        file.report(Diagnostic::fault(place, message));
    }
    for (key, value) in &tags {
        let place = value.origin.place(None);
        if key.is_empty() || key.chars().count() > TAG_KEY_MAX {
            let message = format!("the tag's name must have 1 to {TAG_KEY_MAX} characters");
            file.report(Diagnostic::fault(place, message));
        } else if value.value.chars().count() > TAG_VALUE_MAX {
            let message = format!("the tag's value is longer than {TAG_VALUE_MAX} characters");
            file.report(Diagnostic::fault(place, message));
        }
    }
    tags.into_iter()
        .map(|(key, text)| (key, text.value))
        .collect()
}
