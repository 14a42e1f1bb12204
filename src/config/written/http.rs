//! `[http]`: where the daemon listens, for whom, and who may come in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use firehose_nearest::nearest;

use super::access;
use crate::config::diagnostic::{Diagnostic, SourceSpan};
use crate::config::keys::matches;
use crate::config::table::Table;
use crate::config::text::Text;
use crate::config::words::choose;
use crate::config::{Action, Grant, HttpKey, HttpSettings, Secret, StreamSettings};

/// Bounds of `connections`.
const CONNECTIONS: std::ops::RangeInclusive<u64> = 8..=65_536;
/// Keys of a listener. Each token of a request is held against all of them.
const KEYS_MAX: usize = 256;
/// Characters of a key's id; AWS' own have 20.
const ID_MAX: usize = 128;
/// Bytes of a secret: what can neither be guessed, nor found from a signature that was overheard. AWS' own have 40.
const SECRET: std::ops::RangeInclusive<usize> = 16..=1024;
/// Patterns of a key's `streams`.
const PATTERNS_MAX: usize = 256;
/// Characters of a pattern: as long as a name, and some stars.
const PATTERN_MAX: usize = 128;

/// Reads the table.
pub(super) fn read(mut table: Table<'_>, base: &Path) -> HttpSettings {
    let keys = keys(&mut table, base);
    let without_keys = rest(table);
    HttpSettings {
        keys,
        ..without_keys
    }
}

/// Where the daemon listens. Its keys are not judged: their secrets may be nobody's but the daemon's.
pub(super) fn listen(mut table: Table<'_>) -> SocketAddr {
    table.accept(&["key"]);
    rest(table).listen
}

fn rest(mut table: Table<'_>) -> HttpSettings {
    let default = HttpSettings::default();
    let listen = table.address("listen").unwrap_or(default.listen);
    let connections = table.integer("connections", CONNECTIONS);
    let hosts = hosts(&mut table);
    table.finish();
    let connections = connections.and_then(|number| usize::try_from(number.value).ok());
    HttpSettings {
        listen,
        connections: connections.unwrap_or(default.connections),
        hosts,
        keys: Vec::new(),
    }
}

/// Names of hosts, `*.` before some, or `*`.
fn hosts(table: &mut Table<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for text in table.list("hosts") {
        let host = text.value.to_ascii_lowercase();
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let is_label = |label: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.bytes().all(allowed)
        };
        if host == "*" || (name.len() <= 253 && name.split('.').all(is_label)) {
            hosts.push(host);
            continue;
        }
        let message = format!("\"{}\" is no name of a host", text.value);
        let help = "write the name alone, without scheme, port and path, such as \"firehose.example.com\"; \
                    \"*.example.com\" stands for all names below it, \"*\" for every name";
        let fault = Diagnostic::fault(text.origin.place(None), message);
        table.file.report(fault.help(help));
    }
    hosts
}

/// Reads the keys alone. What has a fault is left out.
pub(super) fn keys(table: &mut Table<'_>, base: &Path) -> Vec<HttpKey> {
    let place = table.place_of("key");
    let elements = table.elements("key");
    let count = elements.len();
    if table.is_empty_list("key") {
        let help = "without a key everybody may come in, so an empty list is none: remove it, or write [[http.key]]";
        table.fault(
            place.clone(),
            "`key` is an empty list".to_owned(),
            Some(help),
        );
    }
    if count > KEYS_MAX {
        let message = format!("there are {count} keys, at most {KEYS_MAX} are allowed");
        table.fault(place, message, None);
    }
    let mut keys: Vec<HttpKey> = Vec::new();
    for element in elements.into_iter().take(KEYS_MAX) {
        let at = element.place();
        let (file, key) = (element.file, key(element, base));
        let Some(key) = key else { continue };
        let fault = |message: String, help: &str| {
            file.report(Diagnostic::fault(at.clone(), message).help(help));
        };
        let mut others = keys.iter();
        if others.any(|other| other.id == key.id) {
            let help = "to change a secret without a gap, add a second key of another id, move its holders over, and \
                        remove the first";
            fault(format!("two keys have the id \"{}\"", key.id), help);
        } else if let Some(other) = keys.iter().find(|other| other.secret == key.secret) {
            let help =
                "a bearer token is a secret alone, so no two keys may share one: give each its own";
            fault(
                format!(
                    "the keys \"{}\" and \"{}\" have one secret",
                    other.id, key.id
                ),
                help,
            );
        }
        keys.push(key);
    }
    keys
}

fn key(mut table: Table<'_>, base: &Path) -> Option<HttpKey> {
    table.require(
        "id",
        "a key is called by it, in signatures and in the log: id = \"clicks-2026\"",
    );
    let id = id(&mut table);
    let secret = secret(&mut table, base);
    let streams = streams(&mut table);
    let actions = actions(&mut table);
    table.finish();
    let grant = Grant {
        streams: streams?,
        actions: actions?,
    };
    Some(HttpKey {
        id: id?,
        secret: secret?,
        grant,
    })
}

fn id(table: &mut Table<'_>) -> Option<String> {
    let place = table.place_of("id");
    let id = table.name_text("id", ID_MAX)?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if id.bytes().all(is_allowed) {
        return Some(id);
    }
    let message = "this cannot be the id of a key".to_owned();
    table.fault(
        place,
        message,
        Some("allowed: letters, digits, `_`, `.` and `-`"),
    );
    None
}

/// From the config or from a file of its own. No message says anything of it.
fn secret(table: &mut Table<'_>, base: &Path) -> Option<Secret> {
    let (has_secret, has_file) = (table.has("secret"), table.has("secret_file"));
    let place = table.place_of(if has_file { "secret_file" } else { "secret" });
    let written = table.string("secret").map(|text| Secret(text.value));
    let from_file = access::secret_file(table, "secret_file", base);
    if has_secret && has_file {
        let message = "`secret` and `secret_file` exclude each other".to_owned();
        table.fault(place, message, Some("remove one of them"));
        return None;
    }
    if !has_secret && !has_file {
        table.missing(
            "secret",
            "add secret = \"${FIREHOSE_SECRET}\" or secret_file = \"…\"",
        );
    }
    let secret = written.or(from_file)?;
    let fault = if !secret.0.bytes().all(|byte| byte.is_ascii_graphic()) {
        "the secret has a space, a control character or a letter beyond ASCII in it, which no header can carry".to_owned()
    } else if SECRET.contains(&secret.0.len()) {
        return Some(secret);
    } else {
        format!(
            "a secret must have {} to {} characters",
            SECRET.start(),
            SECRET.end()
        )
    };
    table.fault(
        place,
        fault,
        Some("`openssl rand -hex 32` makes a good one"),
    );
    None
}

fn streams(table: &mut Table<'_>) -> Option<Vec<String>> {
    let texts = nonempty(table, "streams", PATTERNS_MAX);
    if !table.has("streams") {
        return Some(vec!["*".to_owned()]);
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-*".contains(&byte);
    let mut streams = Vec::new();
    for text in texts? {
        if (1..=PATTERN_MAX).contains(&text.value.len()) && text.value.bytes().all(is_allowed) {
            streams.push(text.value);
            continue;
        }
        let message = format!("\"{}\" names no delivery stream", text.value);
        let help = "write names of streams, in which `*` stands for any characters, such as \"clicks\" or \"audit-*\"";
        table.fault(text.origin.place(None), message, Some(help));
        return None;
    }
    Some(streams)
}

fn actions(table: &mut Table<'_>) -> Option<Vec<Action>> {
    let texts = nonempty(table, "actions", usize::MAX);
    if !table.has("actions") {
        return Some(Action::ALL.map(|(_, action)| action).to_vec());
    }
    let mut actions = Vec::new();
    for text in texts? {
        let known = Action::ALL.iter().find(|(word, _)| *word == text.value);
        if let Some((_, action)) = known {
            actions.push(*action);
            continue;
        }
        let message = format!(
            "unknown word \"{}\" in `actions` {}",
            text.value,
            table.here()
        );
        let help = choose(&text.value, &Action::ALL.map(|(word, _)| word), '"');
        table.fault(text.origin.place(None), message, Some(&help));
        return None;
    }
    Some(actions)
}

/// A list with something in it; `None`: it is not there, or has a fault.
fn nonempty(table: &mut Table<'_>, key: &'static str, max: usize) -> Option<Vec<Text>> {
    let place = table.place_of(key);
    let texts = table.list(key);
    if table.is_empty_list(key) {
        let message = format!("`{key}` is an empty list, which allows nothing");
        table.fault(place, message, Some("leave it out to allow all"));
    } else if texts.len() > max {
        table.fault(place, format!("`{key}` has more than {max} elements"), None);
    } else if !texts.is_empty() {
        return Some(texts);
    }
    None
}

/// Doubts keys for streams that are not there.
pub(super) fn doubt_streams(
    root: &Table<'_>,
    place: &SourceSpan,
    keys: &[HttpKey],
    streams: &BTreeMap<String, StreamSettings>,
) {
    for key in keys {
        let is_of_none = |pattern: &&String| !streams.keys().any(|name| matches(pattern, name));
        for pattern in key.grant.streams.iter().filter(is_of_none) {
            let names = streams.keys().map(String::as_str);
            let help = nearest(pattern, names).map(|near| format!("did you mean \"{near}\"?"));
            let message = format!(
                "key \"{}\" is for \"{pattern}\", and no delivery stream has such a name",
                key.id
            );
            root.doubt(place.clone(), message, help.as_deref());
        }
    }
}
