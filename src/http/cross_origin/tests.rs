//! Header by header: who is let in. The sets are those that Chromium and Firefox send
//! (<https://fetch.spec.whatwg.org/#origin-header>, <https://www.w3.org/TR/fetch-metadata/>); a browser itself is
//! asked in `tests/it/attack/browsers.rs`.

use axum::body::Body;

use super::*;
use crate::http::Limits;
use crate::http::tests::Server;

fn hosts() -> Hosts {
    Hosts {
        listed: ["firehose.example.com", "*.svc.cluster.local"]
            .map(str::to_owned)
            .to_vec(),
        machine: Some("node1.example.net".to_owned()),
        repeats: Repeats::default(),
    }
}

fn check(method: &str, headers: &[(&str, &str)]) -> Result<(), CrossOriginError> {
    check_at("/streams/clicks/records", method, headers)
}

fn check_at(path: &str, method: &str, headers: &[(&str, &str)]) -> Result<(), CrossOriginError> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    hosts().check(&request.body(Body::empty()).unwrap())
}

#[test]
fn names_that_nobody_else_can_have_need_no_listing() {
    for host in [
        "127.0.0.1:4585",
        "127.0.0.1",
        "10.42.0.7:4585",
        "[::1]:4585",
        "[fd00::7]",
        "[::ffff:7f00:1]:4585",
        "[::ffff:127.0.0.1]",
        "[::7f00:1]",
        "localhost:4585",
        "LocalHost",
        "clicks.localhost:4585",
        "firehose:4585",
        "firehose",
        "",
        "node1.example.net:4585",
        "firehose.example.com",
        "FIREHOSE.example.com.:443",
        "firehose-0.firehose.default.svc.cluster.local:4585",
    ] {
        assert_eq!(check("POST", &[("host", host)]), Ok(()), "{host}");
    }
    assert_eq!(check("GET", &[]), Ok(()), "HTTP/1.0");
}

#[test]
fn any_other_name_is_told_how_to_list_it() {
    for host in [
        "evil.example:4585",
        "127.0.0.1.nip.io:4585",
        "localhost.evil.example",
        "firehose.example.com.evil.example",
        "xfirehose.example.com",
        "svc.cluster.local",
        "a.b@127.0.0.1",
        "127.0.0.1:4585:1",
        "[::1",
        "firehose.example.com:x",
        "é.example",
    ] {
        for method in ["GET", "POST"] {
            let refused = check(method, &[("host", host)]).unwrap_err();
            assert_eq!(refused, CrossOriginError::Host(host.to_owned()));
            assert!(refused.to_string().contains("hosts = ["), "{refused}");
        }
    }
    let two = [("host", "127.0.0.1:4585"), ("host", "evil.example")];
    assert!(check("POST", &two).is_err());
    let asked = Request::builder()
        .uri("http://evil.example/")
        .header("host", "127.0.0.1");
    assert!(hosts().check(&asked.body(Body::empty()).unwrap()).is_err());
}

#[test]
fn a_page_is_let_in_where_it_is_from_here_and_nowhere_else() {
    let own = ("host", "127.0.0.1:4585");
    for (origin, is_let_in) in [
        ("http://127.0.0.1:4585", true),
        ("https://firehose.example.com", true),
        ("https://firehose.example.com:8443", true),
        ("http://127.0.0.1:3000", false),
        ("http://localhost:4585", false),
        ("http://127.0.0.1", false),
        ("https://evil.example", false),
        ("null", false),
        ("", false),
        ("file://", false),
        ("chrome-extension://abcdefghijklmnop", false),
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let checked = check(method, &[own, ("origin", origin)]);
            assert_eq!(checked.is_ok(), is_let_in, "{origin}: {checked:?}");
        }
    }
    // Behind a proxy that ends TLS and leaves the name.
    let proxied = [
        ("host", "firehose.example.com"),
        ("origin", "https://firehose.example.com"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(check("POST", &proxied), Ok(()));
    assert!(check("POST", &[("origin", "http://127.0.0.1:4585")]).is_err());
}

#[test]
fn all_names_are_not_all_pages() {
    let hosts = Hosts {
        listed: vec!["*".to_owned()],
        ..hosts()
    };
    let check = |headers: &[(&str, &str)]| {
        let mut request = Request::builder().method("POST").uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        hosts.check(&request.body(Body::empty()).unwrap()).is_ok()
    };
    let any = ("host", "any.example:4585");
    assert!(check(&[any]));
    assert!(check(&[any, ("origin", "http://any.example:4585")]));
    assert!(!check(&[any, ("origin", "https://evil.example")]));
}

#[test]
fn what_browsers_say_of_a_request_decides_where_there_is_no_origin() {
    let own = ("host", "127.0.0.1:4585");
    let fetched_at = |path, method, site, mode, dest| {
        let headers = [
            own,
            ("sec-fetch-site", site),
            ("sec-fetch-mode", mode),
            ("sec-fetch-dest", dest),
        ];
        check_at(path, method, &headers).is_ok()
    };
    let fetched = |method, site, mode, dest| fetched_at("/", method, site, mode, dest);
    // Typed, or by the page itself.
    assert!(fetched("GET", "none", "navigate", "document"));
    assert!(fetched("GET", "same-origin", "cors", "empty"));
    // A link on another page, to be seen by whoever follows it.
    assert!(fetched("GET", "cross-site", "navigate", "document"));
    for path in ["/streams/clicks", "/readyz", "/metrics", "/nowhere", "//"] {
        assert!(fetched_at(path, "GET", "none", "navigate", "document"));
        assert!(!fetched_at(
            path,
            "GET",
            "cross-site",
            "navigate",
            "document"
        ));
    }
    // A picture, a script, a frame, a form, a page of another port.
    assert!(!fetched("GET", "cross-site", "no-cors", "image"));
    assert!(!fetched("GET", "same-site", "no-cors", "script"));
    assert!(!fetched("GET", "cross-site", "navigate", "iframe"));
    assert!(!fetched("POST", "cross-site", "navigate", "document"));
    assert!(!fetched("POST", "same-site", "no-cors", "empty"));
    assert!(!fetched("GET", "something-new", "cors", "empty"));
}

#[tokio::test]
async fn who_is_refused_is_told_why_and_nothing_is_accepted() {
    let server = Server::with(&["clicks"], Limits::default()).await;
    let evil = [
        ("origin", "https://evil.example"),
        ("content-type", "text/plain"),
    ];
    let body = "a\n".repeat(100_000);
    let answer = server
        .ask("POST", "/streams/clicks/records", &evil, body)
        .await;
    assert_eq!(
        (answer.status, &answer.json()["accepted"]),
        (403, &0.into())
    );
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("its origin is \"https://evil.example\""),
        "{error}"
    );
    let headers = [
        ("origin", "null"),
        ("x-amz-target", "Firehose_20150804.ListDeliveryStreams"),
    ];
    let answer = server.ask("POST", "/", &headers, "{}").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["__type"], "AccessDeniedException");
    for path in ["/", "/streams/clicks", "/readyz", "/metrics", "/nowhere"] {
        let asked =
            format!("GET {path} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
        let told = server.raw(asked.as_bytes()).await;
        assert!(told.starts_with("HTTP/1.1 403 "), "{path}: {told}");
        assert!(told.contains("hosts = ["), "{told}");
    }
    let asked = "GET /healthz HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let told = server.raw(asked.as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    let told = server.raw(b"GET /readyz HTTP/1.0\r\n\r\n").await;
    assert!(told.starts_with("HTTP/1.0 200 "), "{told}");
    assert_eq!(server.memory.count(), 0);
}
