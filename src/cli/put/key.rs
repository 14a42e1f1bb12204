//! The key to be let in with, where the daemon has any: of the environment, or of the config file.

use std::path::Path;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::PutError;
use super::address::CONFIG_FILE;
use crate::config::{self, Action, Secret};

const ID: &str = "FIREHOSE_KEY_ID";
const SECRET: &str = "FIREHOSE_KEY_SECRET";

/// What `Authorization` says to put to `stream`: the key of the environment; or else, where the daemon was found by its
/// config file, the first key there that may, and whose secret can be read here. `None`: there is no key.
pub(super) fn find(
    stream: &str,
    url: Option<&str>,
    config: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<HeaderValue>, PutError> {
    // As in the config: one that is empty is not set.
    let set = |name| environment(name).filter(|value| !value.is_empty());
    let secret = set(SECRET).map(Secret);
    match (set(ID), secret) {
        (Some(id), _) if id.contains(':') => {
            return Err(PutError::Usage(format!(
                "{ID} has a colon, and no id has one"
            )));
        }
        (Some(id), Some(secret)) => return authorization(&id, &secret).map(Some),
        (None, None) => {}
        (Some(_), None) => {
            return Err(PutError::Usage(format!("{ID} is set, and {SECRET} is not")));
        }
        (None, Some(_)) => {
            return Err(PutError::Usage(format!("{SECRET} is set, and {ID} is not")));
        }
    }
    if url.is_some() {
        return Ok(None);
    }
    let keys = config::http_keys(config.unwrap_or(Path::new(CONFIG_FILE)), environment);
    let mut keys = keys.iter();
    let key = keys.find(|key| key.grant.allows(Action::Put, stream));
    key.map(|key| authorization(&key.id, &key.secret))
        .transpose()
}

fn authorization(id: &str, secret: &Secret) -> Result<HeaderValue, PutError> {
    let both = Zeroizing::new(format!("{id}:{}", secret.0));
    let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())));
    let value = HeaderValue::from_str(&encoded);
    let mut value =
        value.map_err(|_| PutError::Usage(format!("{ID} and {SECRET} make no header")))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_environment_goes_before_that_of_the_config() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("firehose.toml");
        let text = r#"
            [[http.key]]
            id = "not-here"
            secret = "${DAEMON_ONLY}"
            [[http.key]]
            id = "audit"
            secret = "0123456789abcdef"
            streams = ["audit"]
            [[http.key]]
            id = "reader"
            secret = "2123456789abcdef"
            actions = ["describe"]
            [[http.key]]
            id = "rest"
            secret = "1123456789abcdef"
        "#;
        std::fs::write(&path, text).unwrap();
        let found = |stream, url, variables: &[(&str, &str)]| {
            let environment = |name: &str| {
                let found = variables.iter().find(|(it, _)| *it == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let found = find(stream, url, Some(&path), &environment);
            let decoded = |value: HeaderValue| {
                assert!(value.is_sensitive());
                let value = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
                String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
            };
            found
                .map(|value| value.map(decoded))
                .map_err(|error| error.to_string())
        };
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(found("audit", None, &[]), some("audit:0123456789abcdef"));
        assert_eq!(found("clicks", None, &[]), some("rest:1123456789abcdef"));
        assert_eq!(found("clicks", Some("box:1"), &[]), Ok(None));
        let both = [(ID, "me"), (SECRET, "mine")];
        assert_eq!(found("clicks", Some("box:1"), &both), some("me:mine"));
        assert_eq!(found("audit", None, &both), some("me:mine"));
        let empty = [(ID, ""), (SECRET, "")];
        assert_eq!(found("audit", None, &empty), some("audit:0123456789abcdef"));
        let two = found("audit", None, &[(ID, "a:b"), (SECRET, "mine")]);
        assert!(two.unwrap_err().contains("has a colon"));
        for one in both {
            assert!(found("audit", None, &[one]).unwrap_err().contains("is not"));
        }
    }
}
