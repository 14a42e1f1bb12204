//! What is never told: passwords in URLs, keys, whatever `RUST_LOG` says; and what steers no terminal.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::daemon::Site;
use crate::support::http::get;

const PASSWORD: &str = "hunter2-in-the-url";
const KEY: &str = "hunter2-in-the-key";

fn to_s3(lines: &str) -> String {
    format!(
        "state_dir = \"state\"\n[stream.clicks.source]\ntype = \"direct-put\"\n\
         [stream.clicks.buffering]\ninterval = \"1s\"\n\
         [stream.clicks.destination]\ntype = \"s3\"\nbucket = \"lake\"\nregion = \"eu-central-1\"\n\
         access_key_id = \"AKIA\"\nsecret_access_key = \"{KEY}\"\n{lines}"
    )
}

fn assert_silent(text: &str) {
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_password_in_a_url_is_refused_and_not_told() {
    let site = Site::new("");
    let kinesis = "[stream.k]\ndestination = { type = \"folder\", path = \"lake\" }\n\
                   [stream.k.source]\ntype = \"kinesis\"\nstream = \"k\"\nregion = \"eu-central-1\"\n\
                   coordination = \"dynamodb\"\nlease_table = \"t\"\n";
    for url in [
        format!("http://user:{PASSWORD}@127.0.0.1:1"),
        format!("https://{PASSWORD}@lake.example.com/path"),
        format!("user:{PASSWORD}@lake.example.com"),
        format!("http://user:{PASSWORD}/@lake.example.com"),
        "${URL}".to_owned(),
    ] {
        for settings in [
            to_s3(&format!("endpoint = \"{url}\"\n")),
            format!("{kinesis}endpoint = \"{url}\"\n"),
            format!("{kinesis}dynamodb_endpoint = \"{url}\"\n"),
        ] {
            site.configure(&settings);
            let output = Command::new(env!("CARGO_BIN_EXE_firehose"))
                .arg("check")
                .current_dir(site.path(""))
                .env("URL", format!("http://user:{PASSWORD}@127.0.0.1:1"))
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2));
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                told.contains("holds the name or the password of a user"),
                "{told}"
            );
            assert_silent(&told);
        }
        if !url.starts_with('$') {
            let told = site.command(&["put", "clicks", "--url", &url]).refused(2);
            assert_silent(&told);
        }
    }
}

#[test]
fn no_level_of_the_log_tells_keys_or_a_password_of_the_environment() {
    // Nobody answers there.
    let shut = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = shut.local_addr().unwrap().port();
    drop(shut);
    let site = Site::new(&to_s3(""));
    let url = format!("http://user:{PASSWORD}@127.0.0.1:{port}");
    let mut daemon = site.spawn(&[
        ("RUST_LOG", "trace"),
        ("AWS_ENDPOINT_URL", &url),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]);
    daemon.alive();
    daemon.take("clicks", b"{}\n");
    let is_told =
        || get(site.address, "/readyz").is_ok_and(|reply| reply.text().contains("no answer"));
    daemon.until("nobody answers", is_told).unwrap();
    for path in ["/readyz", "/", "/streams/clicks", "/metrics"] {
        assert_silent(&get(site.address, path).unwrap().text());
    }
    daemon.kill();
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(
        log.contains("\"level\":\"TRACE\""),
        "the log has everything"
    );
    let with_host = log.matches(&format!("127.0.0.1:{port}")).count();
    println!(
        "{} lines at RUST_LOG=trace, {with_host} name the endpoint",
        log.lines().count()
    );
    assert!(with_host > 0);
    for line in log.lines() {
        assert_silent(line);
    }
}

#[test]
fn names_of_files_steer_no_terminal() {
    const EVIL: &str = "e\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}vil";
    let site = Site::new("");
    // A terminal of its own, whose output is read.
    let script = "import os, pty, sys\n\
                  out = b''\n\
                  def read(fd):\n\
                  \x20   global out\n\
                  \x20   piece = os.read(fd, 1 << 16)\n\
                  \x20   out += piece\n\
                  \x20   return piece\n\
                  pty.spawn(sys.argv[1:], read)";
    let at_terminal = |arguments: &[&str]| {
        let output = Command::new("python3")
            .args(["-c", script, env!("CARGO_BIN_EXE_firehose")])
            .args(arguments)
            .current_dir(site.path(""))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for arguments in [
        &["check", "--config", EVIL][..],
        &["put", "clicks", EVIL],
        &["put", EVIL],
        &["explain", EVIL],
        &["state", "discard", EVIL],
    ] {
        let shown = at_terminal(arguments);
        let is_steered = shown.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']);
        assert!(!is_steered, "{arguments:?}: {shown:?}");
        assert!(!shown.trim().is_empty(), "{arguments:?}");
    }
}
