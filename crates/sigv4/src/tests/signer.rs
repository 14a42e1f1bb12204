//! Whatever AWS' own signer signs verifies, and with one byte changed it does not.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// No letter and no digit: what is signed does not cover it, and only such bytes are changed below.
const ID: &str = "_-_";

#[derive(Clone, Debug)]
struct Sent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    fn verified(&self, now: i64) -> Result<String, Refusal> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (&**name, value.as_bytes()))
            .collect();
        let request = Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
        };
        verified(&request, &self.body, now)
    }

    /// The parts of which each byte is signed, or is the signature.
    fn parts(&mut self) -> Vec<&mut String> {
        let mut parts = vec![&mut self.method, &mut self.query];
        // A segment that `..` takes back is no part of what is signed.
        if !self.path.contains("..") {
            parts.push(&mut self.path);
        }
        parts.extend(
            self.headers
                .iter_mut()
                .flat_map(|(name, value)| [name, value]),
        );
        parts
    }

    /// With one letter or digit changed into another one, whatever its case.
    fn with_a_change(&self, at: Index) -> Self {
        let mut changed = self.clone();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
        let count = |text: &str| text.bytes().filter(is_word).count();
        let total: usize = changed.parts().iter().map(|part| count(part)).sum();
        let mut left = at.index(total);
        for part in changed.parts() {
            if left >= count(part) {
                left -= count(part);
                continue;
            }
            let words = part
                .char_indices()
                .filter(|(_, it)| it.is_ascii_alphanumeric());
            let (at, it) = words.clone().nth(left).unwrap();
            let other = if it.eq_ignore_ascii_case(&'1') {
                "2"
            } else {
                "1"
            };
            part.replace_range(at..=at, other);
            break;
        }
        changed
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hash {
    Absent,
    Named,
    Unsigned,
}

fn signed(mut sent: Sent, hash: Hash, expires: Option<u64>, region: &str, at: i64) -> Sent {
    let mut settings = SigningSettings::default();
    if hash != Hash::Absent {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    if let Some(seconds) = expires {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(seconds));
    }
    let identity = Credentials::new(ID, SECRET, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("service")
        .time(UNIX_EPOCH + Duration::from_secs(at.try_into().unwrap()))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let query = if sent.query.is_empty() {
        String::new()
    } else {
        format!("?{}", sent.query)
    };
    let uri = format!("http://example.com{}{query}", sent.path);
    let headers = sent.headers.iter().map(|(name, value)| (&**name, &**value));
    let body = match hash {
        Hash::Unsigned => SignableBody::UnsignedPayload,
        _ => SignableBody::Bytes(&sent.body),
    };
    let request = SignableRequest::new(&sent.method, uri, headers, body).unwrap();
    let (instructions, _) = sign(request, &params).unwrap().into_parts();
    let (headers, params) = instructions.into_parts();
    for (name, value) in params {
        let encoded: String = value
            .bytes()
            .map(|byte| match byte {
                b'/' | b';' => format!("%{byte:02X}"),
                _ => char::from(byte).to_string(),
            })
            .collect();
        let separator = if sent.query.is_empty() { "" } else { "&" };
        sent.query = format!("{}{separator}{name}={encoded}", sent.query);
    }
    for header in headers {
        sent.headers
            .push((header.name().to_owned(), header.value().to_owned()));
    }
    sent.headers.push(("Host".into(), "example.com".into()));
    sent
}

fn sent() -> impl Strategy<Value = Sent> {
    let method = select(vec!["GET", "POST", "PUT"]);
    let segment = select(vec![
        "", ".", "..", "a", "streams", "%C3%A9", "%20", "a.b", "~-_", "x:y@z", "%2F", "a=b", "'(*)",
    ]);
    let path = (vec(segment, 0..6), any::<bool>()).prop_map(|(segments, slash)| {
        let end = if slash { "/" } else { "" };
        format!("/{}{end}", segments.join("/"))
    });
    let word = select(vec![
        "",
        "a",
        "b",
        "B",
        "b-1",
        "%20",
        "+",
        "%2B",
        "%E1%88%B4",
        "a%3Db",
        "~",
        "1",
        "x*y",
        "%7e",
    ]);
    let query = vec((word.clone(), word), 0..5).prop_map(|pairs| {
        let pairs = pairs.iter().map(|(name, value)| format!("n{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    });
    let name = select(vec![
        "content-type",
        "x-a",
        "X-B",
        "x-amz-target",
        "My-Header",
    ]);
    let value = "[ -~]{0,12}";
    let headers = vec((name, value), 0..6).prop_map(|headers| {
        let header = |(name, value): (&str, String)| (name.to_owned(), value);
        headers.into_iter().map(header).collect()
    });
    let body = vec(any::<u8>(), 0..40);
    (method, path, query, headers, body).prop_map(|(method, path, query, headers, body)| Sent {
        method: method.to_owned(),
        path,
        query,
        headers,
        body,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_aws_signer_signs_verifies_and_with_one_byte_changed_does_not(
        sent in sent(),
        hash in select(vec![Hash::Absent, Hash::Named, Hash::Unsigned]),
        expires in proptest::option::of(1_u64..=604_800),
        region in select(vec!["us-east-1", "eu-central-1", "somewhere"]),
        skew in -SKEW_SECONDS..=SKEW_SECONDS,
        at in any::<Index>(),
        of_body in any::<Index>(),
        flip in 1_u8..,
    ) {
        // A hash in the query is nobody's but S3's: of others no signer says there that the body is not signed.
        let hash = if expires.is_some() { Hash::Absent } else { hash };
        let sent = signed(sent, hash, expires, region, NOW);
        let late = expires.map_or(SKEW_SECONDS, |seconds| i64::try_from(seconds).unwrap());
        let now = NOW + skew.min(late);
        let verified = sent.verified(now);
        prop_assert_eq!(verified.as_deref(), Ok(ID), "{:?}", sent);
        for after in [late + 1, -SKEW_SECONDS - 1] {
            prop_assert!(matches!(sent.verified(NOW + after), Err(Refusal::Skewed(_))));
        }
        let changed = sent.with_a_change(at);
        prop_assert!(changed.verified(now).is_err(), "{:?}\n{:?}", sent, changed);
        if !sent.body.is_empty() {
            let mut changed = sent;
            let at = of_body.index(changed.body.len());
            changed.body[at] ^= flip;
            prop_assert_eq!(changed.verified(now).is_ok(), hash == Hash::Unsigned);
        }
    }
}

#[test]
fn a_date_header_will_do() {
    let date = "Sun, 30 Aug 2015 12:36:00 GMT";
    let mut sent = signed(
        Sent {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers: Vec::new(),
            body: b"x".to_vec(),
        },
        Hash::Absent,
        None,
        "us-east-1",
        NOW,
    );
    // Nobody but old clients signs so, and no signer at hand: the canonical request is made by hand.
    sent.headers.retain(|(name, _)| name == "Host");
    sent.headers.push(("Date".into(), date.into()));
    let canonical = format!(
        "POST\n/\n\ndate:{date}\nhost:example.com\n\ndate;host\n{}",
        hex(&Sha256::digest(b"x").into())
    );
    let hash = hex(&Sha256::digest(canonical).into());
    let scope = "20150830/us-east-1/service/aws4_request";
    let credential = Credential {
        access_key_id: ID.into(),
        date: "20150830".into(),
        region: "us-east-1".into(),
        service: "service".into(),
    };
    let mut key = SigningSecret::new(SECRET).derive(&credential);
    key.update(format!("{ALGORITHM}\n20150830T123600Z\n{scope}\n{hash}").as_bytes());
    let signature = hex(&key.finalize().into_bytes().into());
    sent.headers.push((
        "Authorization".into(),
        format!(
            "{ALGORITHM} Credential={ID}/{scope}, SignedHeaders=date;host, Signature={signature}"
        ),
    ));
    assert_eq!(sent.verified(NOW).as_deref(), Ok(ID));
    let refused = sent.verified(NOW + SKEW_SECONDS + 1);
    assert!(matches!(refused, Err(Refusal::Skewed(_))), "{refused:?}");
}
