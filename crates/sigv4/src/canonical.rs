//! What is signed of a request, in the one form that both sides can make of it.

use crate::{Refusal, Request};

/// Headers of AWS' that may be there unsigned: signers leave the first two out, and a proxy writes the third.
const MAY_BE_UNSIGNED: [&str; 3] = ["x-amz-user-agent", "x-amz-checksum-mode", "x-amz-cf-id"];

/// The canonical request up to the hash of the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Canonical(pub(crate) Vec<u8>);

impl Canonical {
    /// Of a request with these `SignedHeaders`. The error: they are not what they must be.
    pub(crate) fn of(request: &Request<'_>, signed_headers: &str) -> Result<Self, Refusal> {
        let mut out = request.method.as_bytes().to_vec();
        out.push(b'\n');
        push_path(&mut out, request.path);
        out.push(b'\n');
        push_query(&mut out, request.query);
        out.push(b'\n');
        let mut signed = Vec::new();
        for name in signed_headers.split(';') {
            if signed.last().is_some_and(|last| *last >= name)
                || name.bytes().any(|byte| byte.is_ascii_uppercase())
            {
                return Err(Refusal::Incomplete(
                    "'SignedHeaders' must be names in lower case, in order, each once.".to_owned(),
                ));
            }
            push_header(&mut out, request, name)?;
            signed.push(name);
        }
        for (name, _) in request.headers {
            let name = name.to_ascii_lowercase();
            let is_needed = name.starts_with("x-amz-") && !MAY_BE_UNSIGNED.contains(&&*name);
            if is_needed && !signed.contains(&&*name) {
                return Err(Refusal::uncovered(&name));
            }
        }
        if !signed.contains(&"host") {
            return Err(Refusal::uncovered("Host"));
        }
        out.push(b'\n');
        out.extend(signed_headers.as_bytes());
        out.push(b'\n');
        Ok(Self(out))
    }
}

/// All values of a header in the order of the request, without superfluous white space.
fn push_header(out: &mut Vec<u8>, request: &Request<'_>, name: &str) -> Result<(), Refusal> {
    out.extend(name.as_bytes());
    let mut separator = b':';
    let values = request
        .headers
        .iter()
        .filter(|(it, _)| it.eq_ignore_ascii_case(name));
    for (_, value) in values {
        out.push(separator);
        separator = b',';
        let words = value
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend(word);
        }
    }
    if separator == b':' {
        return Err(Refusal::Uncovered(
            "'SignedHeaders' names a header that the request does not have: something between has taken it out.".to_owned(),
        ));
    }
    out.push(b'\n');
    Ok(())
}

/// The path without `.`, `..` and empty segments, encoded once more.
fn push_path(out: &mut Vec<u8>, path: &str) {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    for segment in &kept {
        out.push(b'/');
        push_encoded(out, segment.bytes());
    }
    let ends_open = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if kept.is_empty() || ends_open {
        out.push(b'/');
    }
}

/// The parameters in the order of their encoded names and values, but the signature itself.
fn push_query(out: &mut Vec<u8>, query: &str) {
    let encoded = |text: &str| {
        let mut out = Vec::new();
        push_encoded(&mut out, decoded(text));
        out
    };
    let mut pairs: Vec<_> = pairs(query)
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend(name);
        out.push(b'=');
        out.extend(value);
    }
}

/// The parameters of a query, as they are written.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The bytes that a name or a value of a query stands for.
pub(crate) fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, behind) = rest.split_first()?;
        rest = behind;
        let digit = |at: usize| char::from(*behind.get(at)?).to_digit(16);
        match first {
            b'+' => Some(b' '),
            b'%' => match (digit(0), digit(1)) {
                (Some(high), Some(low)) => {
                    rest = &behind[2..];
                    u8::try_from(high * 16 + low).ok()
                }
                _ => Some(first),
            },
            _ => Some(first),
        }
    })
}

/// Bytes with all but RFC 3986's unreserved ones percent-encoded.
fn push_encoded(out: &mut Vec<u8>, bytes: impl Iterator<Item = u8>) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            let digit = |digit: u8| b"0123456789ABCDEF"[usize::from(digit)];
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
