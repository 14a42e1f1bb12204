//! AWS Signature Version 4, verified: who sent a request, and that nobody has changed it.
//!
//! Of a request's head [`Claim::read`] makes a claim, or says why there is none: that costs no secret and nothing of the
//! body. [`Claim::check`] holds it against the secret of the key that it names. What is left then is the body, which
//! [`BodyCheck`] sees as it comes.
//!
//! This is the general form of the signature, as all services have it but S3: paths are normalised and encoded once
//! more. Chunks that are signed one by one (`STREAMING-…` in `x-amz-content-sha256`) are S3's alone; no other service
//! has operations with such bodies, so they are refused. Time is an argument. A request may be sent again within its
//! window, here as at AWS.

mod canonical;
mod credential;
mod instant;
#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use canonical::Canonical;
use credential::Credential;
use instant::Instant;

/// By how much the clock of a signer may differ, in seconds.
pub const SKEW_SECONDS: i64 = 5 * 60;
/// How long a request may be valid whose signature stands in its query, in seconds: a week, as at AWS.
pub const EXPIRES_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;

/// Characters of a header's name that are told.
const NAME_TOLD_MAX: usize = 64;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const UNSIGNED: &[u8] = b"UNSIGNED-PAYLOAD";

/// The head of a request, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `POST`.
    pub method: &'a str,
    /// What stands before the question mark of its target, percent-encoded.
    pub path: &'a str,
    /// What stands behind it; empty where there is nothing.
    pub query: &'a str,
    /// Names, in any case, and values. `host` must be among them.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> Request<'a> {
    /// The value of a header that may be there once.
    fn header(&self, name: &str) -> Result<Option<&'a [u8]>, Refusal> {
        let mut values = self
            .headers
            .iter()
            .filter(|(it, _)| it.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value.trim_ascii());
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Refusal::Incomplete(format!(
                "'{name}' is there more than once."
            ))),
        }
    }

    /// Whether it is signed in some way of AWS', well or not.
    pub fn is_signed(&self) -> bool {
        let is_in_header = |(name, value): &(&str, &[u8])| {
            name.eq_ignore_ascii_case("authorization") && value.trim_ascii().starts_with(b"AWS4-")
        };
        self.headers.iter().any(is_in_header) || self.is_presigned()
    }

    /// Whether its signature stands in its query.
    fn is_presigned(&self) -> bool {
        let mut names = self.query.split('&').map(|pair| pair.split('=').next());
        names.any(|name| matches!(name, Some("X-Amz-Algorithm" | "X-Amz-Signature")))
    }
}

/// Why a request is refused, in AWS' own words where it has some. None holds a secret, nor anything that was sent as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not signed.
    #[error("Request is missing Authentication Token")]
    Missing,
    /// The signature lacks something, or something cannot be read.
    #[error("{0}")]
    Incomplete(String),
    /// It comes with a session token.
    #[error(
        "The security token included in the request is invalid. (Temporary credentials cannot be checked here: only AWS \
         knows their secrets. Sign with the id and the secret of a key that this server knows.)"
    )]
    SessionToken,
    /// The signature is for another day or service.
    #[error("{0}")]
    Scope(String),
    /// It is too old, or of the future.
    #[error("{0}")]
    Skewed(String),
    /// The signature does not cover what it must.
    #[error("{0}")]
    Uncovered(String),
    /// Another secret, or something was changed.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details."
    )]
    Mismatch,
    /// The body is not the one that was signed.
    #[error("The 'x-amz-content-sha256' header does not match what was computed of the body.")]
    Body,
}

impl Refusal {
    /// A header that is not signed, and must be. The client chose its name: so much of it is told.
    pub fn uncovered(name: &str) -> Self {
        let name: String = name.chars().take(NAME_TOLD_MAX).collect();
        Self::Uncovered(format!(
            "'{name}' must be a 'SignedHeader' in the AWS Authorization."
        ))
    }
}

/// The secret of a key, in the form that signatures are made with. It is not shown.
#[derive(Clone)]
pub struct SigningSecret(Hmac<Sha256>);

impl SigningSecret {
    /// Of a secret access key.
    pub fn new(secret: &str) -> Self {
        let key = Zeroizing::new([b"AWS4", secret.as_bytes()].concat());
        Self(keyed(&key))
    }

    /// The key for the signatures of a day, a region and a service.
    fn derive(&self, credential: &Credential) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [
            &*credential.date,
            &*credential.region,
            &*credential.service,
            TERMINATOR,
        ] {
            mac.update(part.as_bytes());
            let key = Zeroizing::<[u8; 32]>::new(mac.finalize().into_bytes().into());
            mac = keyed(&*key);
        }
        mac
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningSecret(…)")
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Who somebody claims to be, with a signature that is yet to be checked. All else of the head is in order.
#[derive(Debug)]
pub struct Claim {
    credential: Credential,
    at: Instant,
    /// The canonical request up to the hash of the body.
    canonical: Vec<u8>,
    /// The names of the headers that are signed, as they are written.
    signed_headers: String,
    payload: Payload,
    signature: [u8; 32],
}

/// What stands for the body in what was signed.
#[derive(Debug)]
enum Payload {
    /// The hash that the head names, as it is written there.
    Declared(Vec<u8>, [u8; 32]),
    /// The body's hash, which the head does not name.
    Computed,
    /// Nothing: the signature covers the head alone.
    Unsigned,
}

impl Claim {
    /// Reads the signature of a request to `service` (`firehose`), be it in its headers or in its query. `now` is in
    /// seconds since 1970.
    pub fn read(request: &Request<'_>, service: &str, now: i64) -> Result<Self, Refusal> {
        let written = credential::find(request)?;
        if request.header("x-amz-security-token")?.is_some() || written.has_token {
            return Err(Refusal::SessionToken);
        }
        let at = Instant::of(&written.date)?;
        let credential = Credential::of(&written.credential, service, at)?;
        at.check(now, written.expires)?;
        let canonical = Canonical::of(request, &written.signed_headers)?;
        Ok(Self {
            payload: payload(request, written.content_hash)?,
            canonical: canonical.0,
            signed_headers: written.signed_headers,
            signature: written.signature,
            credential,
            at,
        })
    }

    /// The id of the key whose secret is to be checked.
    pub fn access_key_id(&self) -> &str {
        &self.credential.access_key_id
    }

    /// Whether the signature covers a header of this name, in lower case.
    pub fn covers(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }

    /// Checks the signature as far as the head goes. What is left of it is in the body.
    pub fn check(self, secret: &SigningSecret) -> Result<BodyCheck, Refusal> {
        let key = secret.derive(&self.credential);
        let expected = match &self.payload {
            Payload::Declared(written, hash) => {
                self.verify(key, written)?;
                Expected::Hash(*hash)
            }
            Payload::Unsigned => {
                self.verify(key, UNSIGNED)?;
                Expected::Nothing
            }
            Payload::Computed => Expected::Signature(Box::new((self, key))),
        };
        let digest = Sha256::new();
        Ok(BodyCheck { digest, expected })
    }

    /// Compares in constant time.
    fn verify(&self, mut key: Hmac<Sha256>, payload: &[u8]) -> Result<(), Refusal> {
        let mut canonical = Sha256::new();
        canonical.update(&self.canonical);
        canonical.update(payload);
        let Credential {
            date,
            region,
            service,
            ..
        } = &self.credential;
        let (at, hash) = (self.at, hex(&canonical.finalize().into()));
        let text = format!("{ALGORITHM}\n{at}\n{date}/{region}/{service}/{TERMINATOR}\n{hash}");
        key.update(text.as_bytes());
        key.verify_slice(&self.signature)
            .map_err(|_| Refusal::Mismatch)
    }
}

/// What is said of the body's hash, in a header or, where the signature stands in the query, there.
fn payload(request: &Request<'_>, in_query: Option<Vec<u8>>) -> Result<Payload, Refusal> {
    let in_header = request.header("x-amz-content-sha256")?;
    let Some(written) = in_header.map(<[u8]>::to_vec).or(in_query) else {
        return Ok(Payload::Computed);
    };
    if written == UNSIGNED {
        return Ok(Payload::Unsigned);
    }
    if written.starts_with(b"STREAMING-") {
        return Err(Refusal::Incomplete(
            "'x-amz-content-sha256' is STREAMING-…: only S3 takes bodies in chunks of their own signatures. Sign the body \
             whole."
                .to_owned(),
        ));
    }
    let Some(hash) = unhex(&written) else {
        return Err(Refusal::Incomplete(
            "'x-amz-content-sha256' must be the SHA-256 of the body in hexadecimal, or UNSIGNED-PAYLOAD.".to_owned(),
        ));
    };
    Ok(Payload::Declared(written, hash))
}

/// What is left to check of a request: its body.
#[derive(Debug)]
#[must_use = "the body is yet to be checked"]
pub struct BodyCheck {
    digest: Sha256,
    expected: Expected,
}

/// What the body must be.
enum Expected {
    /// Anything.
    Nothing,
    /// One of this hash.
    Hash([u8; 32]),
    /// One whose hash completes what was signed with this key.
    Signature(Box<(Claim, Hmac<Sha256>)>),
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Expected(…)")
    }
}

impl BodyCheck {
    /// Whether the signature is known to be right, so that at most the body is another one. Where the head names no hash of
    /// the body, that is known with its end, and until then somebody else may have sent it.
    pub fn has_proof(&self) -> bool {
        !matches!(self.expected, Expected::Signature(_))
    }

    /// Takes the next piece of the body, as it was sent.
    pub fn update(&mut self, piece: &[u8]) {
        if !matches!(self.expected, Expected::Nothing) {
            self.digest.update(piece);
        }
    }

    /// Says whether the body was the one that was signed, now that all of it is here.
    pub fn finish(self) -> Result<(), Refusal> {
        let hash: [u8; 32] = self.digest.finalize().into();
        match self.expected {
            Expected::Nothing => Ok(()),
            // Both are known to the sender: there is nothing to learn from how long this takes.
            Expected::Hash(expected) if hash == expected => Ok(()),
            Expected::Hash(_) => Err(Refusal::Body),
            Expected::Signature(left) => {
                let (claim, key) = *left;
                claim.verify(key, hex(&hash).as_bytes())
            }
        }
    }
}

/// 32 bytes of hexadecimal.
fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

fn hex(bytes: &[u8; 32]) -> String {
    let digit = |digit: u8| char::from_digit(digit.into(), 16).expect("below 16");
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
