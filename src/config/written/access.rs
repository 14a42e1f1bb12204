//! How an AWS service, or one that speaks its protocol, is reached: the keys that all of them share.

use std::path::Path;

use crate::config::diagnostic::Diagnostic;
use crate::config::table::Table;
use crate::config::{AwsAccess, Secret};

/// The keys that [`read`] asks for.
pub const KEYS: &[&str] = &[
    "region",
    "endpoint",
    "profile",
    "access_key_id",
    "secret_access_key",
    "secret_access_key_file",
];
/// Bytes of a name in AWS' APIs: a bound on nonsense, the service has the last word.
pub const NAME_MAX: usize = 2048;
/// Bytes of a secret's file.
const SECRET_MAX: u64 = 4096;

/// Reads the keys.
pub fn read(table: &mut Table<'_>, base: &Path) -> AwsAccess {
    let region = table.name_text("region", NAME_MAX);
    let endpoint = endpoint(table, "endpoint");
    let profile = table.name_text("profile", NAME_MAX);
    let (access_key_id, secret_access_key) = credentials(table, base);
    AwsAccess {
        region,
        endpoint,
        profile,
        access_key_id,
        secret_access_key,
    }
}

/// Reads the URL of a service.
pub fn endpoint(table: &mut Table<'_>, key: &'static str) -> Option<String> {
    let place = table.place_of(key);
    let endpoint = table.name_text(key, NAME_MAX)?;
    let host = endpoint
        .strip_prefix("http://")
        .or(endpoint.strip_prefix("https://"));
    if endpoint.contains('@') {
        let help = "write it without what stands before the `@`; keys are `access_key_id` and \
                    `secret_access_key_file`";
        let message = format!(
            "`{key}` holds the name or the password of a user, which would be told with it"
        );
        table
            .file
            .report(Diagnostic::fault(place, message).help(help));
        return None;
    }
    if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
        let help = "write a URL, such as \"http://127.0.0.1:8333\"";
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
    let from_file = secret_file(table, "secret_access_key_file", base);
    (id, secret.map(Secret).or(from_file))
}

/// The secret in the file that `key` names, without white space around it.
pub fn secret_file(table: &mut Table<'_>, key: &'static str, base: &Path) -> Option<Secret> {
    let place = table.place_of(key);
    let path = base.join(crate::config::path::path(table, key)?);
    let (message, help) = match crate::config::bounded::read_bounded(&path, SECRET_MAX) {
        Ok(text) if !text.trim().is_empty() => return Some(Secret(text.trim().to_owned())),
        Ok(_) => (
            format!("{} is empty", path.display()),
            "it holds the secret",
        ),
        Err(cause) => (
            format!("{} cannot be read: {cause}", path.display()),
            "a relative path starts at the folder of the config file",
        ),
    };
    let fault = Diagnostic::fault(place, message);
    table.file.report(fault.help(help));
    None
}
