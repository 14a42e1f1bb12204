//! Refuses cross-origin requests from browsers, and DNS rebinding.
//!
//! A page of another origin is known by `Origin` and `Sec-Fetch-Site`, which pages cannot write themselves. One whose
//! name was made to point to this machine (DNS rebinding) is of our origin to the browser, and only `Host` tells: so a
//! name that anybody could own has to be listed. Nothing but a right `Host` is asked of clients that are no browsers.

#![expect(
    clippy::disallowed_methods,
    reason = "the name of this machine stands in a file"
)]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::body::BodyFrames;
use super::{ApiState, api, json};
use crate::telemetry::Repeats;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Characters of a header's value that are told.
const TOLD_MAX: usize = 260;

/// The names that this daemon answers to.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    listed: Vec<String>,
    /// The machine's own name.
    machine: Option<String>,
    repeats: Repeats,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum CrossOriginError {
    #[error(
        "{0:?} is not known as a name of this daemon, and any page can have its own name point here; where it is \
         one of yours, say so in [http]: hosts = [{0:?}]. Addresses, localhost and names without a dot need no \
         listing"
    )]
    Host(String),
    #[error(
        "a page of another origin sent this: its origin is {origin:?}, and this is {host:?}. Pages of others may \
         neither write nor read here; where the page is one of yours, add the name of its host to `hosts` in \
         [http]"
    )]
    Origin { origin: String, host: String },
    #[error(
        "a page of another site sent this (Sec-Fetch-Site: {0}): pages of others may neither write nor read here"
    )]
    Site(String),
}

impl Hosts {
    /// With these names in the config.
    pub(super) fn new(listed: Vec<String>) -> Self {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            listed,
            machine: machine.map(|name| name.trim().to_ascii_lowercase()),
            repeats: Repeats::default(),
        }
    }

    fn is_listed(&self, name: &str) -> bool {
        let is_name = |listed: &String| match listed.strip_prefix('*') {
            Some(end) => name.len() > end.len() && name.ends_with(end),
            None => listed == name,
        };
        self.listed.iter().any(is_name)
    }

    /// Whether pages of that host may send. All names are not all pages.
    fn are_pages_listed(&self, name: &str) -> bool {
        self.is_listed(name) && !self.listed.iter().any(|listed| listed == "*")
    }

    /// Whether a name is ours, or one that no page can have pointed here. A name without a dot is looked up in the
    /// local network alone.
    fn is_known(&self, name: &str) -> bool {
        let is_address = || name.parse::<Ipv4Addr>().is_ok();
        // An address of IPv6 may end as one of IPv4 does.
        name.starts_with('[')
            || !name.contains('.')
            || is_address()
            || name.ends_with(".localhost")
            || self.machine.as_deref() == Some(name)
            || self.is_listed(name)
    }

    fn check(&self, request: &Request) -> Result<(), CrossOriginError> {
        let headers = request.headers();
        let asked = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let hosts = headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        let mut own = Vec::new();
        for host in hosts.chain(asked) {
            let known = Authority::of(host).filter(|known| self.is_known(&known.name));
            own.push(known.ok_or_else(|| CrossOriginError::Host(told(host)))?);
        }
        let mut has_origin = false;
        for origin in headers.get_all(ORIGIN) {
            has_origin = true;
            let known = Authority::of_origin(origin.as_bytes()).is_some_and(|origin| {
                let is_own = !own.is_empty() && own.iter().all(|own| *own == origin);
                is_own || self.are_pages_listed(&origin.name)
            });
            if !known {
                let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
                return Err(CrossOriginError::Origin {
                    origin: told(origin.as_bytes()),
                    host: told(host),
                });
            }
        }
        match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(b"same-origin" | b"none") | None => Ok(()),
            // Its origin is a listed one.
            Some(_) if has_origin => Ok(()),
            // Somebody has followed a link to the status page: who has put it there does not see it.
            Some(_) if is_link(request) => Ok(()),
            Some(site) => Err(CrossOriginError::Site(told(site))),
        }
    }
}

/// Whether a person goes to the status page.
fn is_link(request: &Request) -> bool {
    let headers = request.headers();
    let says = |name: HeaderName, value: &str| headers.get(name).is_some_and(|said| said == value);
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.uri().path() == "/"
        && says(SEC_FETCH_MODE, "navigate")
        && says(SEC_FETCH_DEST, "document")
}

/// A host and a port.
#[derive(Debug, PartialEq, Eq)]
struct Authority {
    /// In lower case, without a dot at its end.
    name: String,
    port: Option<u16>,
}

impl Authority {
    /// As it stands in `Host`.
    fn of(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let (name, port) = match text.rsplit_once(':') {
            // The last colon of an address of IPv6 stands before no port.
            Some((name, port)) if !port.ends_with(']') => (name, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        if let Some(address) = name.strip_prefix('[') {
            let address = address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
            let name = format!("[{address}]");
            return Some(Self { name, port });
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let name = name.strip_suffix('.').unwrap_or(name);
        name.bytes().all(allowed).then(|| Self {
            name: name.to_ascii_lowercase(),
            port,
        })
    }

    /// As it stands in `Origin`, without a port where it is the scheme's own.
    fn of_origin(text: &[u8]) -> Option<Self> {
        let (scheme, authority) = std::str::from_utf8(text).ok()?.split_once("://")?;
        let usual = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let of = Self::of(authority.as_bytes())?;
        Some(Self {
            port: of.port.filter(|port| *port != usual),
            ..of
        })
    }
}

/// What is told of a header's value, which may be anything.
fn told(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.chars().take(TOLD_MAX).collect()
}

/// Lets in those who may come in. Everybody may know whether the process lives.
pub(super) async fn keep_out(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    let checked = match request.uri().path() {
        "/healthz" => Ok(()),
        _ => state.hosts.check(&request),
    };
    let Err(error) = checked else {
        return next.run(request).await;
    };
    let (head, body) = request.into_parts();
    BodyFrames::new(&head, body, &state).discard().await;
    let cause = error.to_string();
    let kind = match error {
        CrossOriginError::Host(_) => "host",
        CrossOriginError::Origin { .. } | CrossOriginError::Site(_) => "origin",
    };
    if let Some(unsaid) = state.hosts.repeats.due("refused a foreign request", kind) {
        tracing::warn!(cause, unsaid, "refused a foreign request");
    }
    if head.method == Method::POST && head.uri.path() == "/" {
        return api::denied(cause);
    }
    let body = serde_json::json!({ "error": cause, "accepted": 0, "bytes": 0 });
    json(StatusCode::FORBIDDEN, &body)
}

#[cfg(test)]
mod tests;
