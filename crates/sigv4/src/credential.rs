//! Where a signature stands in a request, and what it is scoped to.

use crate::canonical::{decoded, pairs};
use crate::instant::Instant;
use crate::{ALGORITHM, EXPIRES_SECONDS_MAX, Refusal, Request, TERMINATOR, unhex};

/// A signature as it is written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) credential: String,
    pub(crate) signed_headers: String,
    pub(crate) signature: [u8; 32],
    pub(crate) date: Vec<u8>,
    /// How long it is valid, in seconds, where it says so.
    pub(crate) expires: Option<i64>,
    /// The body's hash, where the query has it.
    pub(crate) content_hash: Option<Vec<u8>>,
    pub(crate) has_token: bool,
}

/// Finds the signature of a request, in its headers or in its query.
pub(crate) fn find(request: &Request<'_>) -> Result<Written, Refusal> {
    let authorization = request.header("authorization")?;
    match (authorization, request.is_presigned()) {
        (None, false) => Err(Refusal::Missing),
        (None, true) => in_query(request),
        (Some(_), true) => Err(Refusal::Incomplete(
            "The request is signed in its query, and has an Authorization header too: one of them must go.".to_owned(),
        )),
        (Some(text), false) => match text.strip_prefix(b"AWS4-") {
            Some(_) => in_header(request, text),
            None => Err(Refusal::Missing),
        },
    }
}

fn in_header(request: &Request<'_>, text: &[u8]) -> Result<Written, Refusal> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let (algorithm, parts) = text.split_once(' ').unwrap_or((text, ""));
    check_algorithm(algorithm)?;
    let mut found = Parts::default();
    for part in parts.split(',') {
        let (name, value) = part.trim().split_once('=').unwrap_or_default();
        match name {
            "Credential" => found.credential.put(value)?,
            "SignedHeaders" => found.signed_headers.put(value)?,
            "Signature" => found.signature.put(value)?,
            _ => {}
        }
    }
    let date = match request.header("x-amz-date")? {
        Some(date) => Some(date),
        None => request.header("date")?,
    };
    let requires = |name: &str| format!("Authorization header requires '{name}' parameter. ");
    let has_date =
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
    found.written(date.map(<[u8]>::to_vec), requires, has_date)
}

fn in_query(request: &Request<'_>) -> Result<Written, Refusal> {
    let mut found = Parts::default();
    let (mut algorithm, mut date) = (Once::default(), Once::default());
    let (mut expires, mut hash, mut token) = (Once::default(), Once::default(), Once::default());
    for (name, value) in pairs(request.query) {
        let part = match name {
            "X-Amz-Algorithm" => &mut algorithm,
            "X-Amz-Credential" => &mut found.credential,
            "X-Amz-SignedHeaders" => &mut found.signed_headers,
            "X-Amz-Signature" => &mut found.signature,
            "X-Amz-Date" => &mut date,
            "X-Amz-Expires" => &mut expires,
            "X-Amz-Content-Sha256" => &mut hash,
            "X-Amz-Security-Token" => &mut token,
            _ => continue,
        };
        part.put(&String::from_utf8_lossy(
            &decoded(value).collect::<Vec<_>>(),
        ))?;
    }
    check_algorithm(algorithm.0.as_deref().unwrap_or_default())?;
    let seconds = expires.0.and_then(|text| text.parse().ok());
    let Some(seconds) = seconds.filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds))
    else {
        return Err(Refusal::Incomplete(format!(
            "AWS query-string parameters must include 'X-Amz-Expires', a number of seconds up to {EXPIRES_SECONDS_MAX}."
        )));
    };
    let requires =
        |name: &str| format!("AWS query-string parameters must include 'X-Amz-{name}'. ");
    let date = date.0.map(String::into_bytes);
    let written = found.written(
        date,
        requires,
        "AWS query-string parameters must include 'X-Amz-Date'. ",
    )?;
    Ok(Written {
        expires: Some(seconds),
        content_hash: hash.0.map(String::into_bytes),
        has_token: token.0.is_some(),
        ..written
    })
}

fn check_algorithm(algorithm: &str) -> Result<(), Refusal> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(Refusal::Incomplete(format!(
        "Unsupported AWS 'algorithm': only {ALGORITHM} is known here."
    )))
}

/// What may be there once.
#[derive(Default)]
struct Once(Option<String>);

impl Once {
    fn put(&mut self, value: &str) -> Result<(), Refusal> {
        match self.0.replace(value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(Refusal::Incomplete(
                "A part of the signature is there more than once.".to_owned(),
            )),
        }
    }
}

/// The parts of a signature, wherever they stand.
#[derive(Default)]
struct Parts {
    credential: Once,
    signed_headers: Once,
    signature: Once,
}

impl Parts {
    /// Says all at once that is not there.
    fn written(
        self,
        date: Option<Vec<u8>>,
        requires: impl Fn(&str) -> String,
        requires_date: &str,
    ) -> Result<Written, Refusal> {
        let some = |part: Once| part.0.filter(|text| !text.is_empty());
        let (credential, signature) = (some(self.credential), some(self.signature));
        let signed_headers = some(self.signed_headers);
        let mut missing = String::new();
        for (name, is_there) in [
            ("Credential", credential.is_some()),
            ("Signature", signature.is_some()),
            ("SignedHeaders", signed_headers.is_some()),
        ] {
            if !is_there {
                missing += &requires(name);
            }
        }
        if date.is_none() {
            missing += requires_date;
        }
        let (Some(credential), Some(signature), Some(signed_headers), Some(date)) =
            (credential, signature, signed_headers, date)
        else {
            return Err(Refusal::Incomplete(missing.trim_end().to_owned()));
        };
        Ok(Written {
            credential,
            signed_headers,
            signature: unhex(signature.as_bytes()).ok_or(Refusal::Mismatch)?,
            date,
            expires: None,
            content_hash: None,
            has_token: false,
        })
    }
}

/// Whose signature it is, and what for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Credential {
    /// Of `ID/20150830/us-east-1/firehose/aws4_request`, which must be of the day of `at` and of `service`. The region
    /// may be any.
    pub(crate) fn of(text: &str, service: &str, at: Instant) -> Result<Self, Refusal> {
        // The id may be anything, so the rest is told apart from the end on.
        let mut parts = text.rsplitn(5, '/');
        let mut part = || parts.next().unwrap_or_default();
        let (terminator, named, region, date, access_key_id) =
            (part(), part(), part(), part(), part());
        if access_key_id.is_empty() {
            return Err(Refusal::Incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.".to_owned(),
            ));
        }
        let mut wrong = Vec::new();
        if region.is_empty() {
            wrong.push("Credential should be scoped to a valid region.".to_owned());
        }
        if named != service {
            let fault = format!("Credential should be scoped to correct service: '{service}'.");
            wrong.push(fault);
        }
        if terminator != TERMINATOR {
            let fault = "Credential should be scoped with a valid terminator";
            wrong.push(format!("{fault}: '{TERMINATOR}'."));
        }
        if date != at.day() {
            wrong.push(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}', from \
                 '{at}'.",
                at.day()
            ));
        }
        if !wrong.is_empty() {
            return Err(Refusal::Scope(wrong.join(" ")));
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: named.to_owned(),
        })
    }
}
