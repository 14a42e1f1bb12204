//! Who is let in to the plain endpoint, what is said to the others, and how little they cost. Signatures are tried with
//! real clients, in `tests/it/keys.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::config::{Action, Grant, HttpKey, Secret};
use crate::http::Limits;
use crate::http::tests::{Answer, Server, settings};

const SECRET: &str = "0123456789abcdef/+=:";

fn key(id: &str, secret: &str, streams: &[&str], actions: &[Action]) -> HttpKey {
    HttpKey {
        id: id.into(),
        secret: Secret(secret.into()),
        grant: Grant {
            streams: streams.iter().map(|name| (*name).to_owned()).collect(),
            actions: actions.to_vec(),
        },
    }
}

async fn server() -> Server {
    let streams = ["clicks", "audit-eu"].map(settings);
    let keys = [
        key("clicks", SECRET, &["clicks"], &[Action::Put]),
        key(
            "clicks-next",
            "another secret of it".replace(' ', "-").as_str(),
            &["clicks"],
            &[Action::Put],
        ),
        key(
            "audit",
            "1123456789abcdef",
            &["audit-*"],
            &[Action::Put, Action::Describe],
        ),
        key("reader", "2123456789abcdef", &["*"], &[Action::Describe]),
    ];
    Server::for_keys(streams.into(), Limits::default(), &keys).await
}

async fn put(server: &Server, stream: &str, authorization: &str) -> Answer {
    let path = format!("/streams/{stream}/records");
    let headers = [("authorization", authorization)];
    server.ask("POST", &path, &headers, "a\n").await
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

#[tokio::test]
async fn a_secret_lets_in_to_the_streams_of_its_key() {
    let server = server().await;
    for (stream, authorization) in [
        ("clicks", basic("clicks", SECRET)),
        ("clicks", basic("clicks-next", "another-secret-of-it")),
        ("clicks", format!("Bearer {SECRET}")),
        ("clicks", format!("bearer  {SECRET} ")),
        ("clicks", "Bearer another-secret-of-it".to_owned()),
        ("audit-eu", "Bearer 1123456789abcdef".to_owned()),
    ] {
        let answer = put(&server, stream, &authorization).await;
        assert_eq!(answer.status, 200, "{authorization}: {answer:?}");
    }
    assert_eq!(server.memory.count(), 6);
}

#[tokio::test]
async fn who_has_no_key_is_asked_for_one_and_told_nothing_more() {
    let server = server().await;
    let wrong = SECRET.replace('0', "1");
    for (authorization, told) in [
        (String::new(), "a key is needed here"),
        ("Bearer".to_owned(), "a key is needed here"),
        (format!("Digest {SECRET}"), "a key is needed here"),
        (SECRET.to_owned(), "a key is needed here"),
        (basic("nobody", SECRET), "no key has this id"),
        (basic("", SECRET), "no key has this id"),
        ("Basic !!".to_owned(), "no key has this id"),
        (
            format!("Basic {}", STANDARD.encode(SECRET)),
            "no key has this id",
        ),
        (basic("clicks", &wrong), "no key has this secret"),
        (basic("clicks", ""), "no key has this secret"),
        (basic("audit", SECRET), "no key has this secret"),
        (format!("Bearer {wrong}"), "no key has this secret"),
        (format!("Bearer clicks:{SECRET}"), "no key has this secret"),
        ("Bearer ".to_owned(), "a key is needed here"),
        (
            "AWS4-HMAC-SHA256 x".to_owned(),
            "Authorization header requires 'Credential'",
        ),
    ] {
        for stream in ["clicks", "none"] {
            let answer = put(&server, stream, &authorization).await;
            assert_eq!(answer.status, 401, "{authorization}: {answer:?}");
            let ways = "Basic realm=\"firehose\", Bearer realm=\"firehose\"";
            assert_eq!(answer.headers["www-authenticate"], ways);
            let body = answer.json();
            let error = body["error"].as_str().unwrap();
            assert!(error.starts_with(told), "{authorization}: {error}");
            assert!(!answer.text.contains(&SECRET[..8]), "{}", answer.text);
            assert_eq!(body["accepted"], 0);
        }
    }
    let twice = [
        ("authorization", &*format!("Bearer {SECRET}")),
        ("authorization", "Bearer x"),
    ];
    let twice = server
        .ask("POST", "/streams/clicks/records", &twice, "a\n")
        .await;
    assert_eq!(twice.status, 401);
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn a_key_for_something_else_does_not_say_whether_a_stream_is_there() {
    let server = server().await;
    for (stream, authorization) in [
        ("audit-eu", basic("clicks", SECRET)),
        ("none", basic("clicks", SECRET)),
        ("clicks", "Bearer 2123456789abcdef".to_owned()),
        ("none", "Bearer 2123456789abcdef".to_owned()),
    ] {
        let answer = put(&server, stream, &authorization).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        let error = format!(
            "the key is not for PutRecord with stream {stream:?}: see its `streams` and `actions`"
        );
        assert_eq!(
            answer.json(),
            json!({ "error": error, "accepted": 0, "bytes": 0 })
        );
    }
    let mine = put(&server, "audit-none", "Bearer 1123456789abcdef").await;
    assert_eq!(mine.status, 404, "{mine:?}");
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn who_is_refused_need_not_send_the_body() {
    let server = server().await;
    for (path, header, status) in [
        ("/streams/clicks/records", "x: y", 401),
        (
            "/streams/clicks/records",
            "authorization: Bearer nobody's",
            401,
        ),
        (
            "/streams/none/records",
            "authorization: Bearer 0123456789abcdef/+=:",
            403,
        ),
        ("/", "x-amz-target: Firehose_20150804.PutRecord", 400),
        ("/", "authorization: Basic eDp5", 400),
    ] {
        let host = server.address;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\n{header}\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n"
        );
        let answer = server.raw(head.as_bytes()).await;
        let line = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&line), "{header}: {answer}");
    }
}

#[tokio::test]
async fn calls_of_the_api_are_refused_in_its_own_words() {
    let server = server().await;
    let ask = async |headers: &[(&str, &str)]| {
        let mut all = vec![("x-amz-target", "Firehose_20150804.ListDeliveryStreams")];
        all.extend(headers);
        let answer = server.ask("POST", "/", &all, "{}").await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
        let body = answer.json();
        let text = |field: &str| body[field].as_str().unwrap().to_owned();
        (text("__type"), text("message"))
    };
    let missing = ask(&[]).await;
    assert_eq!(missing.0, "MissingAuthenticationTokenException");
    assert_eq!(missing.1, "Request is missing Authentication Token");
    let bearer = format!("Bearer {SECRET}");
    assert_eq!(
        ask(&[("authorization", &bearer)]).await,
        missing,
        "the API knows signatures alone"
    );
    let incomplete = ask(&[("authorization", "AWS4-HMAC-SHA256 Credential=a")]).await;
    assert_eq!(incomplete.0, "IncompleteSignatureException");
    // 2023-11-14T22:15:00Z is what the clock shows.
    let signed = |id: &str, rest: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/20231114/us-east-1/firehose/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target{rest}, Signature={}",
            "0".repeat(64)
        )
    };
    let now = ("x-amz-date", "20231114T221500Z");
    let unknown = ask(&[("authorization", &signed("AKIAUNKNOWN", "")), now]).await;
    assert_eq!(unknown.0, "UnrecognizedClientException");
    assert_eq!(
        unknown.1,
        "The security token included in the request is invalid."
    );
    let token = [
        ("authorization", &*signed("clicks", "")),
        now,
        ("x-amz-security-token", "x"),
    ];
    assert_eq!(ask(&token).await.0, "UnrecognizedClientException");
    let wrong = ask(&[("authorization", &signed("clicks", "")), now]).await;
    assert_eq!(wrong.0, "InvalidSignatureException");
    assert!(
        wrong
            .1
            .starts_with("The request signature we calculated does not match"),
        "{}",
        wrong.1
    );
    let skewed = ask(&[
        ("authorization", &signed("clicks", "")),
        ("x-amz-date", "20231114T220000Z"),
    ])
    .await;
    assert_eq!(skewed.0, "InvalidSignatureException");
    assert_eq!(
        skewed.1,
        "Signature expired: 20231114T220000Z is now earlier than 20231114T221000Z (20231114T221500Z - 5 min.)"
    );
    let page = server.get("/metrics").await.text;
    for (reason, count) in [
        ("missing", 2),
        ("incomplete", 1),
        ("unknown-key", 1),
        ("session-token", 1),
        ("mismatch", 1),
        ("skewed", 1),
        ("forbidden", 0),
    ] {
        let line = format!("firehose_http_refused_requests_total{{reason=\"{reason}\"}} {count}\n");
        assert!(page.contains(&line), "{line}: {page}");
    }
}

#[tokio::test]
async fn what_is_shown_is_shown_to_everybody() {
    let server = server().await;
    for path in ["/", "/healthz", "/readyz", "/metrics", "/streams/clicks"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text.contains(&SECRET[..8]), "{path}");
    }
}
