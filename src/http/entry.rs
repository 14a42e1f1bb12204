//! Who may come in, where the config has keys: requests to Firehose's API by their signature, those to the plain endpoint
//! by a signature, a key's id and secret, or its secret as a token.
//!
//! All that can be said without the body is decided before any of it is read. Of the keys only what they are checked with is
//! kept: neither answers nor the log have more of a secret than that it was wrong.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firehose_sigv4::{BodyCheck, Claim, Refusal, Request, SigningSecret};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::decoding::ContentKind;
use super::json;
use super::places::Visitor;
use crate::config::{Action, Grant, HttpKey};
use crate::telemetry::{Metrics, RefusedRequests, Repeats};

/// The service in what is signed.
const SERVICE: &str = "firehose";
/// Characters of a stream's name that are told.
const NAME_TOLD_MAX: usize = 64;

/// The keys of the listener. Without any, everybody may come in.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Arc<Key>>,
    refused: RefusedRequests,
    repeats: Repeats,
}

#[derive(Debug)]
struct Key {
    id: String,
    signing: SigningSecret,
    hash: SecretHash,
    grant: Grant,
}

/// SHA-256 of a secret. It is not shown: a short secret can be guessed from it.
struct SecretHash([u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(…)")
    }
}

/// Somebody who came in.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    /// `None`: nobody is asked.
    key: Option<Arc<Key>>,
    from: Option<IpAddr>,
}

/// Why somebody is not let in, or not to a stream.
#[derive(Debug)]
pub(super) struct Denial {
    pub(super) why: Why,
    /// The key, where it is one of ours.
    pub(super) key: Option<String>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Why {
    /// No signature, or one that is not right.
    #[error(transparent)]
    Signature(#[from] Refusal),
    /// A key that is none of ours.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// A token, or an id with a secret, that is nobody's.
    #[error("no key has this secret")]
    WrongSecret,
    /// The key is not for this.
    #[error(
        "the key is not for {operation} with stream {stream:?}: see its `streams` and `actions`"
    )]
    NotGranted {
        /// As Firehose's API calls it.
        operation: &'static str,
        /// Its name; there may be none such.
        stream: String,
    },
}

impl Why {
    /// In one word, for the metric and to tell lines of the log apart.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Signature(Refusal::Missing) => "missing",
            Self::Signature(Refusal::Incomplete(_)) => "incomplete",
            Self::Signature(Refusal::SessionToken) => "session-token",
            Self::Signature(Refusal::Skewed(_)) => "skewed",
            Self::Signature(
                Refusal::Scope(_) | Refusal::Uncovered(_) | Refusal::Mismatch | Refusal::Body,
            )
            | Self::WrongSecret => "mismatch",
            Self::UnknownKey => "unknown-key",
            Self::NotGranted { .. } => "forbidden",
        }
    }
}

impl Keys {
    pub(super) fn new(keys: &[HttpKey], metrics: &Metrics) -> Self {
        let key = |key: &HttpKey| {
            Arc::new(Key {
                id: key.id.clone(),
                signing: SigningSecret::new(&key.secret.0),
                hash: SecretHash(Sha256::digest(key.secret.0.as_bytes()).into()),
                grant: key.grant.clone(),
            })
        };
        Self {
            keys: keys.iter().map(key).collect(),
            refused: RefusedRequests::new(metrics),
            repeats: Repeats::default(),
        }
    }

    /// Lets in whoever has signed a request to Firehose's API, if its body is the one that was signed. `now` is in ms since
    /// 1970.
    pub(super) fn signed(
        &self,
        head: &Parts,
        now: i64,
    ) -> Result<(Caller, Option<BodyCheck>), Denial> {
        self.signed_with(head, &[], now)
    }

    /// The same, where the signature must cover these headers, too.
    fn signed_with(
        &self,
        head: &Parts,
        covered: &[HeaderName],
        now: i64,
    ) -> Result<(Caller, Option<BodyCheck>), Denial> {
        let from = from(head);
        if self.keys.is_empty() {
            return Ok((Caller { key: None, from }, None));
        }
        let headers: Vec<_> = headers(head).collect();
        let request = request(head, &headers);
        let mut known = None;
        let mut check = || {
            let claim = Claim::read(&request, SERVICE, now.div_euclid(1000))?;
            let key = self.key(claim.access_key_id()).ok_or(Why::UnknownKey)?;
            known = Some(Arc::clone(key));
            if let Some(name) = covered.iter().find(|name| !claim.covers(name.as_str())) {
                return Err(Refusal::uncovered(name.as_str()).into());
            }
            Ok(claim.check(&key.signing)?)
        };
        match check() {
            Ok(check) => Ok((Caller { key: known, from }, Some(check))),
            Err(why) => Err(self.denied(why, &Caller { key: known, from })),
        }
    }

    /// Lets in whoever has a secret, or has signed the request with one. What says which records a body is must be signed
    /// then: else whoever overhears it could send other records.
    pub(super) fn plain(
        &self,
        head: &Parts,
        now: i64,
    ) -> Result<(Caller, Option<BodyCheck>), Denial> {
        let headers: Vec<_> = headers(head).collect();
        if self.keys.is_empty() || request(head, &headers).is_signed() {
            let kind = head.headers.get(CONTENT_TYPE);
            let kind = kind.map_or(&b""[..], HeaderValue::as_bytes);
            let is_json = ContentKind::of(kind) == ContentKind::Json;
            let covered = [(CONTENT_TYPE, is_json), (CONTENT_ENCODING, true)];
            let covered = covered
                .into_iter()
                .filter(|(name, matters)| *matters && head.headers.contains_key(name));
            let covered: Vec<HeaderName> = covered.map(|(name, _)| name).collect();
            return self.signed_with(head, &covered, now);
        }
        let from = from(head);
        match self.of_secret(head) {
            Ok(key) => {
                let key = Some(Arc::clone(key));
                Ok((Caller { key, from }, None))
            }
            Err(why) => Err(self.denied(why, &Caller { key: None, from })),
        }
    }

    /// The key whose secret, alone or with its id, stands in the head.
    fn of_secret(&self, head: &Parts) -> Result<&Arc<Key>, Why> {
        let mut values = head.headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Refusal::Missing.into());
        };
        let (scheme, rest) = split_at_byte(value.as_bytes(), b' ').ok_or(Refusal::Missing)?;
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            let hash: [u8; 32] = Sha256::digest(rest).into();
            // All are looked at, whichever it is.
            let mut found = None;
            for key in &self.keys {
                found = if key.has(&hash) { Some(key) } else { found };
            }
            return found.ok_or(Why::WrongSecret);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Err(Refusal::Missing.into());
        }
        let decoded = STANDARD.decode(rest).unwrap_or_default();
        let (id, secret) = split_at_byte(&decoded, b':').unwrap_or_default();
        let key = std::str::from_utf8(id).ok().and_then(|id| self.key(id));
        let key = key.ok_or(Why::UnknownKey)?;
        let is_its = key.has(&Sha256::digest(secret).into());
        is_its.then_some(key).ok_or(Why::WrongSecret)
    }

    fn key(&self, id: &str) -> Option<&Arc<Key>> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Counts that somebody is refused, and says so now and then.
    pub(super) fn denied(&self, why: Why, caller: &Caller) -> Denial {
        let reason = why.reason();
        self.refused.count(reason);
        let key = caller.key.as_ref().map(|key| key.id.clone());
        let cause = format!("{reason}, key {}", key.as_deref().unwrap_or("unknown"));
        if let Some(unsaid) = self.repeats.due("refused a request", &cause) {
            let from = caller.from.map(|from| from.to_string());
            tracing::warn!(reason, cause = %why, key, from, unsaid, "refused a request");
        }
        Denial { why, key }
    }
}

impl Key {
    /// Whether this is the hash of its secret: in constant time.
    fn has(&self, hash: &[u8; 32]) -> bool {
        self.hash.0.ct_eq(hash).into()
    }
}

impl Caller {
    /// Whether this may be done with the stream of that name.
    pub(super) fn may(&self, action: Action, stream: &str) -> bool {
        let grant = self.key.as_ref().map(|key| &key.grant);
        grant.is_none_or(|grant| grant.allows(action, stream))
    }

    /// Whether this may be done with some stream, be there one or not.
    pub(super) fn may_at_all(&self, action: Action) -> bool {
        let grant = self.key.as_ref().map(|key| &key.grant);
        grant.is_none_or(|grant| grant.actions.contains(&action))
    }
}

/// What is said where a stream is out of reach.
pub(super) fn not_granted(operation: &'static str, stream: &str) -> Why {
    let stream = stream.chars().take(NAME_TOLD_MAX).collect();
    Why::NotGranted { operation, stream }
}

impl Denial {
    /// The plain endpoint's answer.
    pub(super) fn into_response(self) -> Response {
        let (status, error) = match &self.why {
            why @ Why::NotGranted { .. } => (StatusCode::FORBIDDEN, why.to_string()),
            Why::Signature(Refusal::Missing) => (
                StatusCode::UNAUTHORIZED,
                "a key is needed here: its id and secret (Authorization: Basic, curl -u ID:SECRET), its secret alone \
                 (Authorization: Bearer SECRET), or a request signed by AWS Signature Version 4"
                    .to_owned(),
            ),
            Why::UnknownKey => (StatusCode::UNAUTHORIZED, "no key has this id".to_owned()),
            why => (StatusCode::UNAUTHORIZED, why.to_string()),
        };
        let body = serde_json::json!({ "error": error, "accepted": 0, "bytes": 0 });
        let mut answer = json(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            let ways =
                HeaderValue::from_static("Basic realm=\"firehose\", Bearer realm=\"firehose\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, ways);
        }
        answer
    }
}

fn from(head: &Parts) -> Option<IpAddr> {
    head.extensions.get::<Visitor>()?.address
}

fn headers(head: &Parts) -> impl Iterator<Item = (&str, &[u8])> {
    let headers = head.headers.iter();
    headers.map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn request<'h>(head: &'h Parts, headers: &'h [(&'h str, &'h [u8])]) -> Request<'h> {
    Request {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers,
    }
}

fn split_at_byte(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..position], &bytes[position + 1..]))
}

#[cfg(test)]
mod tests;
