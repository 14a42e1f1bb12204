//! A daemon with keys, against real clients: boto3, the AWS CLI, the SDK for JavaScript, curl and `firehose put`.

use std::fs;
use std::process::Command;

use crate::support::command::succeed;
use crate::support::daemon::{Daemon, Site};
use crate::support::http::get;
use crate::support::lake;
use crate::support::node::package;
use crate::support::python::python;
use crate::support::settings::{CLICKS, ToFolder};

/// As `keys.py` has them.
const CLICKS_SECRET: &str = "clicks/secret+0123456789=";
/// What is in all secrets, and in nothing else.
const OF_SECRETS: &str = "0123456789";

const KEYS: &str = r#"
[[http.key]]
id = "clicks"
secret = "clicks/secret+0123456789="
streams = ["clicks"]
actions = ["put"]

[[http.key]]
id = "clicks-next"
secret = "${CLICKS_NEXT}"
streams = ["clicks"]
actions = ["put"]

[[http.key]]
id = "audit"
secret_file = "audit.secret"
streams = ["audit-*"]

[[http.key]]
id = "reader"
secret = "reader-secret-0123456789"
actions = ["describe"]
"#;

/// Three streams, one of which is named by a pattern.
fn site() -> Site {
    let stream = |stream| {
        let settings = ToFolder {
            stream,
            query: "{kind: \"record\"}",
            prefix: "data/kind=!{partitionKeyFromQuery:kind}/",
            ..CLICKS
        };
        let settings = settings.settings().replace("state_dir = \"state\"", "");
        settings.replace("\"lake\"", &format!("\"lake/{stream}\""))
    };
    let streams = ["clicks", "audit-eu", "orders"].map(stream);
    // The listener's table is there already.
    let site = Site::new(&format!(
        "state_dir = \"state\"\n{KEYS}\n{}",
        streams.concat()
    ));
    fs::write(site.path("audit.secret"), "audit-secret-0123456789\n").unwrap();
    site
}

fn start(site: &Site) -> Daemon {
    let environment = [
        ("CLICKS_NEXT", "clicks-next-0123456789"),
        ("RUST_LOG", "trace"),
    ];
    let mut daemon = site.spawn(&environment);
    daemon.ready().unwrap();
    daemon
}

/// Records that were delivered, or failed, of a stream.
fn delivered(site: &Site, stream: &str) -> usize {
    let lake = site.path("lake").join(stream);
    let failed = lake::failed_records(&lake, "errors").len();
    failed
        + if lake.join("data").exists() {
            lake::lines(&lake, "data").len()
        } else {
            0
        }
}

/// Whatever was told meanwhile, nothing of a secret was.
fn assert_silent(site: &Site) {
    for path in ["/", "/metrics", "/readyz", "/streams/clicks"] {
        let shown = get(site.address, path).unwrap().text();
        assert!(!shown.contains(OF_SECRETS), "{path}: {shown}");
    }
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(log.contains("refused a request"), "{log}");
    for line in log.lines() {
        assert!(!line.contains(OF_SECRETS), "{line}");
    }
}

#[test]
fn sdks_sign_and_are_let_in_to_what_their_key_is_for() {
    let site = site();
    let daemon = start(&site);
    let endpoint = format!("http://{}", site.address);
    let clients = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
    let said = succeed(
        Command::new(python())
            .arg(format!("{clients}/keys.py"))
            .arg(&endpoint),
    );
    println!("{}", String::from_utf8_lossy(&said));
    let sdk = package("@aws-sdk/client-firehose/dist-cjs/index.js");
    let said = succeed(
        Command::new("node")
            .arg(format!("{clients}/keys.mjs"))
            .arg(sdk)
            .args([&*endpoint, "clicks", CLICKS_SECRET]),
    );
    println!("{}", String::from_utf8_lossy(&said));
    assert_silent(&site);
    daemon.drain();
    assert_eq!(delivered(&site, "clicks"), 13 + 3);
    assert_eq!(delivered(&site, "audit-eu"), 2);
    assert_eq!(delivered(&site, "orders"), 0);
}

#[test]
fn curl_and_firehose_put_are_let_in_with_a_secret() {
    let site = site();
    let daemon = start(&site);
    let records = |stream| format!("http://{}/streams/{stream}/records", site.address);
    let curl = |arguments: &[&str], stream| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", " %{http_code}", "--data-binary", "{}"]);
        let said = succeed(curl.args(arguments).arg(records(stream)));
        String::from_utf8(said).unwrap()
    };
    let basic = format!("clicks:{CLICKS_SECRET}");
    let bearer = format!("Authorization: Bearer {CLICKS_SECRET}");
    let accepted = "{\"accepted\":1,\"bytes\":2}\n 200";
    assert_eq!(curl(&["-u", &basic], "clicks"), accepted);
    assert_eq!(curl(&["-H", &bearer], "clicks"), accepted);
    let signed = ["--aws-sigv4", "aws:amz:us-east-1:firehose", "-u", &*basic];
    assert_eq!(curl(&signed, "clicks"), accepted);
    for (arguments, stream, status) in [
        (&[][..], "clicks", 401),
        (&["-u", "clicks:wrong"], "clicks", 401),
        (&["-u", &basic], "orders", 403),
        (&["-u", "reader:reader-secret-0123456789"], "clicks", 403),
    ] {
        let said = curl(arguments, stream);
        assert!(
            said.ends_with(&format!(" {status}")),
            "{arguments:?}: {said}"
        );
    }
    // Of the config file the first key that may; its environment is not the daemon's.
    fs::write(site.path("two"), "{}\n{}\n").unwrap();
    let put = |stream| site.command(&["put", stream, "two"]);
    assert!(put("clicks").done().contains("2 records accepted"));
    assert!(put("audit-eu").done().contains("2 records accepted"));
    let refused = put("orders").refused(1);
    assert!(
        refused.contains("401") && refused.contains("a key is needed here"),
        "{refused}"
    );
    assert_silent(&site);
    daemon.drain();
    let counts = ["clicks", "audit-eu", "orders"].map(|stream| delivered(&site, stream));
    assert_eq!(counts, [5, 2, 0]);
}

#[test]
fn what_is_wrong_with_a_key_is_told_without_its_secret() {
    let site = Site::new("");
    for (key, told) in [
        (
            "id = \"a\"\nsecret = \"0123456789\"",
            "a secret must have 16 to 1024 characters",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789 0123456789\"",
            "which no header can carry",
        ),
        (
            "id = \"a\"\nsecret_file = \"short\"",
            "a secret must have 16 to 1024 characters",
        ),
        ("id = \"a\"\nsecret_file = \"none\"", "cannot be read"),
        (
            "id = \"a\"\nsecret = \"${NOT_SET}\"",
            "the environment variable NOT_SET is not set",
        ),
        ("id = \"a\"", "`secret` is missing in [[http.key]]"),
        (
            "secret = \"0123456789abcdef\"",
            "`id` is missing in [[http.key]]",
        ),
        (
            "id = \"a b\"\nsecret = \"0123456789abcdef\"",
            "this cannot be the id of a key",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\nsecret_file = \"short\"",
            "exclude each other",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\nstreams = []",
            "`streams` is an empty list",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\nstreams = [\"a b\"]",
            "\"a b\" names no delivery stream",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\nactions = [\"putt\"]",
            "did you mean \"put\"?",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\nsecrets = \"0123456789abcdef\"",
            "unknown key \"secrets\"",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\npassword = \"0123456789abcdef\"",
            "unknown key \"password\"",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\napi_key = \"0123456789abcdef\"",
            "unknown key \"api_key\"",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\n[[http.key]]\nid = \"a\"\nsecret = \"1123456789abcdef\"",
            "two keys have the id \"a\"",
        ),
        (
            "id = \"a\"\nsecret = \"0123456789abcdef\"\n[[http.key]]\nid = \"b\"\nsecret = \"0123456789abcdef\"",
            "the keys \"a\" and \"b\" have one secret",
        ),
    ] {
        site.configure(&format!(
            "state_dir = \"state\"\n[[http.key]]\n{key}\n{}",
            CLICKS.settings().replace("state_dir = \"state\"", "")
        ));
        fs::write(site.path("short"), "0123456789\n").unwrap();
        let said = site.command(&["check"]).refused(2);
        assert!(said.contains(told), "{key}: {said}");
        assert!(!said.contains("123456789"), "{key}: {said}");
    }
    // As somebody may have thought that keys are written.
    for key in [
        "key = \"0123456789abcdef\"",
        "key = [{ id = \"a\", password = \"0123456789abcdef\" }]",
    ] {
        site.configure(&format!("{}\n[http]\n{key}\n", CLICKS.settings()));
        let said = site.command(&["check"]).refused(2);
        assert!(!said.contains("123456789"), "{key}: {said}");
    }
}
