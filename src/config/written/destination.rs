//! `[stream.X.destination]`: the store and the prefixes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::diagnostic::Diagnostic;
use crate::config::spans::{SpanMap, StageField};
use crate::config::table::Table;
use crate::config::{DestinationSettings, S3Encryption, S3Settings, Secret, StoreSettings};

/// Keys that only `type = "folder"` has.
const FOLDER_KEYS: &[&str] = &["path"];
/// Keys that only `type = "s3"` has.
const S3_KEYS: &[&str] = &[
    "bucket",
    "region",
    "endpoint",
    "path_style",
    "profile",
    "access_key_id",
    "secret_access_key",
    "secret_access_key_file",
    "storage_class",
    "encryption",
    "kms_key_id",
    "acl",
    "tags",
];
/// Bytes of a name in S3's API: a bound on nonsense, S3 has the last word.
const NAME_MAX: usize = 2048;
/// S3's limit of tags on an object, and of the characters of their names and values.
const TAGS_MAX: usize = 10;
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;
/// Bytes of a secret's file.
const SECRET_MAX: u64 = 4096;

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

/// Reads the table; `None` when a part cannot be had (the fault is reported).
pub(super) fn read(
    stream: &str,
    mut table: Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> Option<DestinationSettings> {
    if !table.has("type") {
        table.missing("type", "write type = \"folder\" or type = \"s3\"");
    }
    let kind = table.word("type", &[("folder", Kind::Folder), ("s3", Kind::S3)]);
    let prefix = spans.keep(stream, StageField::Prefix, table.string("prefix"));
    let error_prefix = spans.keep(
        stream,
        StageField::ErrorPrefix,
        table.string("error_prefix"),
    );
    let store = match kind.map(|found| found.value) {
        Some(Kind::Folder) => folder(&mut table),
        Some(Kind::S3) => s3(&mut table, base),
        None => {
            table.accept(FOLDER_KEYS);
            table.accept(S3_KEYS);
            None
        }
    };
    table.finish();
    Some(DestinationSettings {
        store: store?,
        prefix,
        error_prefix,
    })
}

fn folder(table: &mut Table<'_>) -> Option<StoreSettings> {
    table.only_with(S3_KEYS, "`type = \"s3\"`");
    if !table.has("path") {
        table.missing(
            "path",
            "name the directory that objects go to: path = \"data/out\"",
        );
    }
    super::path(table, "path").map(|path| StoreSettings::Folder { path })
}

fn s3(table: &mut Table<'_>, base: &Path) -> Option<StoreSettings> {
    table.only_with(FOLDER_KEYS, "`type = \"folder\"`");
    if !table.has("bucket") {
        table.missing("bucket", "name the bucket: bucket = \"lake\"");
    }
    let bucket = bucket(table);
    let region = table.name_text("region", NAME_MAX);
    let endpoint = endpoint(table);
    let path_style = table.boolean("path_style");
    let profile = table.name_text("profile", NAME_MAX);
    let (access_key_id, secret_access_key) = credentials(table, base);
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

fn endpoint(table: &mut Table<'_>) -> Option<String> {
    let place = table.place_of("endpoint");
    let endpoint = table.name_text("endpoint", NAME_MAX)?;
    let host = endpoint
        .strip_prefix("http://")
        .or(endpoint.strip_prefix("https://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
        let help = "write the URL of the store, such as \"http://127.0.0.1:8333\"";
        let message = format!("\"{endpoint}\" is not an http or https URL");
        table
            .file
            .report(Diagnostic::fault(place, message).help(help));
        return None;
    }
    Some(endpoint)
}

/// Both or neither; the secret from the config or from a file of its own.
fn credentials(table: &mut Table<'_>, base: &Path) -> (Option<String>, Option<Secret>) {
    let has_id = table.has("access_key_id");
    let has_secret = table.has("secret_access_key");
    let has_file = table.has("secret_access_key_file");
    let id_place = table.place_of("access_key_id");
    let secret_place = table.place_of(if has_secret {
        "secret_access_key"
    } else {
        "secret_access_key_file"
    });
    let file_place = table.place_of("secret_access_key_file");
    let id = table.name_text("access_key_id", NAME_MAX);
    let secret = table.name_text("secret_access_key", NAME_MAX);
    let named = super::path(table, "secret_access_key_file");
    let fault = |place, message: &str, help: &str| {
        table
            .file
            .report(Diagnostic::fault(place, message).help(help));
    };
    if has_secret && has_file {
        let message = "`secret_access_key` and `secret_access_key_file` exclude each other";
        fault(file_place.clone(), message, "remove one of them");
    }
    if has_id && !has_secret && !has_file {
        let help = "add secret_access_key_file = \"…\" or secret_access_key = \"${…}\"";
        fault(
            id_place,
            "`access_key_id` is given without its secret",
            help,
        );
    } else if !has_id && (has_secret || has_file) {
        fault(
            secret_place,
            "a secret is given without `access_key_id`",
            "add access_key_id",
        );
    }
    let from_file = named.and_then(|named| {
        let path = base.join(named);
        match super::super::read_bounded(&path, SECRET_MAX) {
            Ok(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Ok(_) => {
                fault(
                    file_place,
                    &format!("{} is empty", path.display()),
                    "it holds the secret",
                );
                None
            }
            Err(cause) => {
                let message = format!("{} cannot be read: {cause}", path.display());
                let help = "a relative path starts at the folder of the config file";
                fault(file_place, &message, help);
                None
            }
        }
    });
    (id, secret.or(from_file).map(Secret))
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
