//! Against AWS' published vectors, against AWS' own signer, and what is refused with which words.

mod signer;

use super::*;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z.
const NOW: i64 = 1_440_938_160;

/// Checks a request with its body whole: whose it is.
fn verified(request: &Request<'_>, body: &[u8], now: i64) -> Result<String, Refusal> {
    let claim = Claim::read(request, "service", now)?;
    let id = claim.access_key_id().to_owned();
    let mut check = claim.check(&SigningSecret::new(SECRET))?;
    // As it comes: in pieces.
    for piece in body.chunks(7) {
        check.update(piece);
    }
    check.finish()?;
    Ok(id)
}

/// A row of the table.
struct Vector<'v> {
    name: &'v str,
    method: &'v str,
    target: &'v str,
    body: &'v str,
    headers: Vec<(&'v str, String)>,
}

fn vectors() -> Vec<Vector<'static>> {
    let rows = include_str!("vectors.tsv")
        .lines()
        .filter(|row| !row.starts_with('#'));
    let vector = |row: &'static str| {
        let mut fields = row.split('\t');
        let mut field = || fields.next().unwrap();
        let (name, _, method, target, body) = (field(), field(), field(), field(), field());
        let header = |field: &'static str| {
            let (name, value) = field.split_once(':').unwrap();
            (name, value.replace("\\n", "\n"))
        };
        Vector {
            name,
            method,
            target,
            body,
            headers: fields.map(header).collect(),
        }
    };
    rows.map(vector).collect()
}

impl Vector<'_> {
    fn verified(&self, body: &[u8]) -> Result<String, Refusal> {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let request = Request {
            method: self.method,
            path,
            query,
            headers: &headers,
        };
        verified(&request, body, NOW)
    }
}

#[test]
fn what_aws_has_signed_verifies_and_with_another_body_does_not() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 62);
    for vector in vectors {
        let name = vector.name;
        let verified = vector.verified(vector.body.as_bytes());
        if name.contains("session-token") || name.contains("sts-header") {
            assert_eq!(verified, Err(Refusal::SessionToken), "{name}");
            continue;
        }
        assert_eq!(verified.as_deref(), Ok(KEY), "{name} {}", vector.target);
        let other = vector.verified(format!("{}.", vector.body).as_bytes());
        assert!(
            matches!(other, Err(Refusal::Mismatch | Refusal::Body)),
            "{name}: {other:?}"
        );
    }
}

/// `get-vanilla` of the vectors, its parts to be changed.
struct Vanilla {
    headers: Vec<(&'static str, String)>,
    query: &'static str,
}

const SIGNATURE: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

impl Vanilla {
    fn new() -> Self {
        Self::with(&format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature={SIGNATURE}"
        ))
    }

    fn with(authorization: &str) -> Self {
        let headers = vec![
            ("Host", "example.amazonaws.com".to_owned()),
            ("X-Amz-Date", "20150830T123600Z".to_owned()),
            ("Authorization", authorization.to_owned()),
        ];
        Self { headers, query: "" }
    }

    fn and(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(it, _)| *it != name);
        self
    }

    fn replaced(mut self, old: &str, new: &str) -> Self {
        let authorization = &mut self.headers[2].1;
        assert!(authorization.contains(old));
        *authorization = authorization.replace(old, new);
        self
    }

    fn asking(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    fn verified(&self) -> Result<String, Refusal> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let request = Request {
            method: "GET",
            path: "/",
            query: self.query,
            headers: &headers,
        };
        verified(&request, b"", NOW)
    }

    #[track_caller]
    fn told(&self) -> String {
        self.verified().unwrap_err().to_string()
    }
}

#[test]
fn headers_stand_in_any_order_and_those_of_proxies_change_nothing() {
    let mut request = Vanilla::new()
        .and("X-Forwarded-For", "10.0.0.1")
        .and("X-Amzn-Trace-Id", "Root=1-2")
        .and("X-Amz-Cf-Id", "abc");
    assert!(request.verified().is_ok());
    request.headers.reverse();
    assert!(request.verified().is_ok());
    let dense = Vanilla::new().replaced(", ", ",");
    assert!(dense.verified().is_ok(), "some clients write no spaces");
}

#[test]
fn what_is_missing_is_said_all_at_once() {
    assert_eq!(
        Vanilla::new().without("Authorization").verified(),
        Err(Refusal::Missing)
    );
    assert_eq!(
        Vanilla::with("Bearer abc").verified(),
        Err(Refusal::Missing)
    );
    assert_eq!(Vanilla::with("").verified(), Err(Refusal::Missing));
    assert_eq!(
        Vanilla::with("AWS4-HMAC-SHA256 ")
            .without("X-Amz-Date")
            .told(),
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
         Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header."
    );
    let told = Vanilla::with("AWS4-ECDSA-P256-SHA256 Credential=a").told();
    assert!(told.starts_with("Unsupported AWS 'algorithm'"), "{told}");
    let twice = Vanilla::new()
        .and("authorization", "AWS4-HMAC-SHA256 x")
        .told();
    assert_eq!(twice, "'authorization' is there more than once.");
    let twice = Vanilla::new().and("x-amz-date", "20150830T123600Z").told();
    assert_eq!(twice, "'x-amz-date' is there more than once.");
    let told = Vanilla::new()
        .replaced(", Signature=", ", Signature=00, Signature=")
        .told();
    assert_eq!(told, "A part of the signature is there more than once.");
    let told = Vanilla::new().asking("X-Amz-Signature=00").told();
    assert!(told.contains("one of them must go"), "{told}");
}

#[test]
fn the_scope_must_be_of_the_day_and_of_the_service() {
    let told = Vanilla::new()
        .replaced(
            "20150830/us-east-1/service/aws4_request",
            "20150829//other/aws5_request",
        )
        .told();
    assert_eq!(
        told,
        "Credential should be scoped to a valid region. Credential should be scoped to correct service: 'service'. \
         Credential should be scoped with a valid terminator: 'aws4_request'. Date in Credential scope does not match \
         YYYYMMDD from ISO-8601 version of date from HTTP: '20150830', from '20150830T123600Z'."
    );
    let told = Vanilla::new().replaced(&format!("{KEY}/"), "").told();
    assert!(
        told.starts_with("Credential must have exactly 5 slash-delimited elements"),
        "{told}"
    );
    // Any region will do, but it is signed.
    let other = Vanilla::new().replaced("us-east-1", "eu-central-1");
    assert_eq!(other.verified(), Err(Refusal::Mismatch));
}

#[test]
fn the_host_and_what_is_aws_own_must_be_signed() {
    let told = Vanilla::new()
        .replaced("host;x-amz-date", "x-amz-date")
        .told();
    assert_eq!(
        told,
        "'Host' must be a 'SignedHeader' in the AWS Authorization."
    );
    let told = Vanilla::new().replaced("host;x-amz-date", "host").told();
    assert_eq!(
        told,
        "'x-amz-date' must be a 'SignedHeader' in the AWS Authorization."
    );
    let told = Vanilla::new()
        .and("X-Amz-Target", "Firehose_20150804.PutRecord")
        .told();
    assert_eq!(
        told,
        "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization."
    );
    for wrong in ["x-amz-date;host", "host;host;x-amz-date", "Host;x-amz-date"] {
        let told = Vanilla::new().replaced("host;x-amz-date", wrong).told();
        assert!(
            told.starts_with("'SignedHeaders' must be names in lower case"),
            "{wrong}: {told}"
        );
    }
    let told = Vanilla::new()
        .replaced("host;x-amz-date", "host;te;x-amz-date")
        .told();
    assert!(
        told.starts_with("'SignedHeaders' names a header that the request does not have"),
        "{told}"
    );
}

#[test]
fn session_tokens_and_signed_chunks_are_refused_with_the_reason() {
    let token = Vanilla::new().and("X-Amz-Security-Token", "abc");
    assert_eq!(token.verified(), Err(Refusal::SessionToken));
    assert!(
        token
            .told()
            .starts_with("The security token included in the request is invalid.")
    );
    let hash = |value| {
        let signed =
            Vanilla::new().replaced("host;x-amz-date", "host;x-amz-content-sha256;x-amz-date");
        signed.and("X-Amz-Content-SHA256", value)
    };
    for chunks in [
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ] {
        assert!(
            hash(chunks)
                .told()
                .contains("only S3 takes bodies in chunks"),
            "{chunks}"
        );
    }
    assert!(
        hash("abc")
            .told()
            .contains("must be the SHA-256 of the body")
    );
    assert_eq!(
        hash("UNSIGNED-PAYLOAD").verified(),
        Err(Refusal::Mismatch),
        "which was not signed"
    );
}

#[test]
fn a_signature_that_is_off_by_anything_does_not_match() {
    for (at, digit) in SIGNATURE.bytes().enumerate() {
        let mut wrong = SIGNATURE.to_owned().into_bytes();
        wrong[at] = if digit == b'0' { b'1' } else { b'0' };
        let wrong = String::from_utf8(wrong).unwrap();
        assert_eq!(
            Vanilla::new().replaced(SIGNATURE, &wrong).verified(),
            Err(Refusal::Mismatch)
        );
    }
    for wrong in ["00", "zz", &format!("{SIGNATURE}00"), &SIGNATURE[1..]] {
        assert_eq!(
            Vanilla::new().replaced(SIGNATURE, wrong).verified(),
            Err(Refusal::Mismatch),
            "{wrong}"
        );
    }
    let headers = [
        ("host", &b"example.amazonaws.com"[..]),
        ("x-amz-date", b"20150830T123600Z"),
    ];
    let authorization = Vanilla::new().headers.swap_remove(2).1;
    let headers = [&headers[..], &[("authorization", authorization.as_bytes())]].concat();
    let request = Request {
        method: "GET",
        path: "/",
        query: "",
        headers: &headers,
    };
    let claim = Claim::read(&request, "service", NOW).unwrap();
    let check = claim.check(&SigningSecret::new("another secret")).unwrap();
    assert!(!check.has_proof());
    assert_eq!(check.finish(), Err(Refusal::Mismatch), "another secret");
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", SigningSecret::new(SECRET));
    assert_eq!(shown, "SigningSecret(…)");
}
