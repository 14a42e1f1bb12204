//! The files under `deploy/` are what systemd and Kubernetes take.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use firehose::config::{self, Config};

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::{Connection, get, post_records};
use crate::support::needs::needs;
use crate::support::python::python;

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    needs(&["systemd-analyze"]);
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(deploy("systemd/firehose.service"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    // Its exit code is 0 for a misspelt value too.
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_manifests_are_valid_against_the_schemas_of_kubernetes() {
    let mut manifests = Vec::new();
    for entry in std::fs::read_dir(deploy("kubernetes")).unwrap() {
        manifests.push(entry.unwrap().path());
    }
    assert!(!manifests.is_empty());
    succeed(
        Command::new(python())
            .args(["-m", "kubernetes_validate", "--strict", "--quiet"])
            .args(&manifests),
    );
}

#[test]
fn the_probes_are_answered_while_idle_clients_and_half_heads_take_every_place() {
    const PLACES: usize = 64;
    let site = Site::new(
        r#"
[stream.clicks.source]
type = "direct-put"

[stream.clicks.destination]
type = "folder"
path = "lake"
error_prefix = "errors/!{firehose:error-output-type}/"
"#,
    );
    let config = site.path("firehose.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("[http]\n", &format!("[http]\nconnections = {PLACES}\n"));
    std::fs::write(&config, text).unwrap();
    let mut daemon = site.start();
    let mut idle: Vec<Connection> = (0..PLACES)
        .map(|_| Connection::open(site.address).unwrap())
        .collect();
    for client in &mut idle {
        let reply = client.request("GET", "/healthz", &[], b"").unwrap();
        assert_eq!(reply.status, 200);
    }
    // A new producer gets the place of the one that has been idle for longest.
    let reply = post_records(site.address, "clicks", b"{}").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(idle[0].request("GET", "/healthz", &[], b"").is_err());
    let _halves: Vec<TcpStream> = (0..4 * PLACES)
        .map(|_| {
            let mut half = TcpStream::connect(site.address).unwrap();
            half.write_all(b"POST /streams/clicks/records HTTP/1.1\r\nho")
                .unwrap();
            half
        })
        .collect();
    for path in ["/healthz", "/readyz", "/metrics"] {
        let reply = get(site.address, path).unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
    // Heads are waited for, for a moment; then their places go to whoever comes.
    let is_taken =
        || post_records(site.address, "clicks", b"{}").is_ok_and(|reply| reply.status == 200);
    daemon.until("a producer is served", is_taken).unwrap();
    // Bodies that do not end are requests under way: they stay for two seconds, and others are told to come again.
    let mut busy = Vec::new();
    daemon
        .until("every place is busy", || {
            let mut client = TcpStream::connect(site.address).unwrap();
            let head = "POST /streams/clicks/records HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\
                        expect: 100-continue\r\n\r\n";
            client.write_all(head.as_bytes()).unwrap();
            client
                .set_read_timeout(Some(Duration::from_mins(1)))
                .unwrap();
            let mut status = [0; 12];
            // Where there is no place yet the answer may be lost with the connection.
            if client.read_exact(&mut status).is_ok() && status.ends_with(b"100") {
                busy.push(client);
            }
            busy.len() == PLACES
        })
        .unwrap();
    assert_eq!(get(site.address, "/healthz").unwrap().status, 200);
    daemon.until("a producer is served", is_taken).unwrap();
    daemon.kill();
}

#[test]
fn the_pod_has_room_for_what_its_config_allows() {
    let config = config();
    let limits = config.streams.values().map(|stream| {
        let journal = stream.source.disk_limit();
        journal + stream.spool_limit
    });
    let limits: u64 = limits.sum();
    let claim = quantity("storage");
    // Checkpoints lie there too, and a file system takes up to seven parts in a hundred for itself.
    assert!(
        claim - claim / 10 >= limits,
        "a claim of {claim} for {limits}"
    );
    let memory = quantity("memory");
    assert!(memory >= 2 * config.memory_limit, "{memory}");
}

#[test]
fn whoever_stops_the_daemon_waits_longer_than_it_takes() {
    let grace = config().shutdown_grace;
    for (file, name) in [
        ("systemd/firehose.service", "TimeoutStopSec="),
        (
            "kubernetes/statefulset.yaml",
            "terminationGracePeriodSeconds: ",
        ),
        ("README.md", "--stop-timeout "),
    ] {
        let seconds = value(&read(file), name).trim_end_matches('s').to_owned();
        let seconds = Duration::from_secs(seconds.parse().unwrap());
        assert!(seconds > grace, "{file}: {name}{seconds:?}");
    }
}

#[test]
fn versions_and_ports_are_those_of_the_crate() {
    let image = concat!("firehose:", env!("CARGO_PKG_VERSION"));
    for (file, said) in [
        (
            "Dockerfile",
            concat!("rust:", env!("CARGO_PKG_RUST_VERSION"), "-"),
        ),
        (
            "Dockerfile",
            concat!("-t firehose:", env!("CARGO_PKG_VERSION"), " "),
        ),
        ("Dockerfile", "EXPOSE 4585\n"),
        (
            "README.md",
            concat!("-t firehose:", env!("CARGO_PKG_VERSION"), " "),
        ),
        ("kubernetes/statefulset.yaml", "containerPort: 4585\n"),
        ("kubernetes/service.yaml", "port: 4585\n"),
        ("kubernetes/configmap.yaml", "listen = \"0.0.0.0:4585\"\n"),
    ] {
        assert!(read(file).contains(said), "{file} does not say {said}");
    }
    assert_eq!(
        value(&read("kubernetes/statefulset.yaml"), "image: "),
        image
    );
    assert_eq!(config().http.listen.port(), 4585);
}

#[test]
fn the_pod_answers_to_the_names_that_kubernetes_gives_it() {
    let hosts = format!("hosts = {:?}\n", config().http.hosts);
    let site = Site::new(
        "[stream.clicks.source]\ntype = \"direct-put\"\n\
         [stream.clicks.destination]\ntype = \"folder\"\npath = \"lake\"\n",
    );
    let file = site.path("firehose.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + &hosts).unwrap();
    let daemon = site.start();
    let status = |host: &str| {
        let mut client = TcpStream::connect(site.address).unwrap();
        let asked = format!("GET /readyz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        client.write_all(asked.as_bytes()).unwrap();
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        told.split(' ').nth(1).unwrap().to_owned()
    };
    for name in [
        "firehose",
        "firehose.default",
        "firehose.default.svc",
        "firehose.default.svc.cluster.local",
        "firehose-0.firehose.default.svc.cluster.local",
        "10.42.0.7",
        "[fd00::7]",
    ] {
        assert_eq!(status(&format!("{name}:4585")), "200", "{name}");
    }
    assert_eq!(status("firehose.example.com:4585"), "403");
    daemon.kill();
}

#[test]
fn a_zone_that_the_image_lacks_is_known_all_the_same() {
    // Small images have no zones, or a few. jiff looks here first, and nowhere else if it finds one.
    let zones = tempfile::tempdir().unwrap();
    std::fs::write(zones.path().join("Lonely"), b"TZif2").unwrap();
    let site = Site::new(
        r#"
[stream.clicks.source]
type = "direct-put"

[stream.clicks.partitioning]
time_zone = "Asia/Kolkata"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "offset=!{timestamp:xx}/"
error_prefix = "errors/!{firehose:error-output-type}/"
"#,
    );
    std::fs::write(site.path("record"), "{}\n").unwrap();
    let explained = succeed(
        Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(["explain", "clicks", "record"])
            .current_dir(site.path(""))
            .env("TZDIR", zones.path()),
    );
    let explained = String::from_utf8_lossy(&explained);
    assert!(explained.contains("offset=+0530/"), "{explained}");
}

/// The config of the manifests, as a pod reads it.
fn config() -> Config {
    let manifest = read("kubernetes/configmap.yaml");
    let (_, text) = manifest.split_once("  firehose.toml: |\n").unwrap();
    let lines = text
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line));
    let text = lines.collect::<Vec<_>>().join("\n");
    let env = |name: &str| {
        let set = read("kubernetes/statefulset.yaml");
        let (_, set) = set.split_once(&format!("- name: {name}\n"))?;
        Some(value(set, "value: "))
    };
    let loaded = config::parse(
        text,
        Path::new("firehose.toml"),
        &env,
        &firehose::registry::registry(),
    );
    loaded.unwrap_or_else(|faults| panic!("{faults}")).config
}

/// What a pod gets of memory or storage, in bytes.
fn quantity(name: &str) -> u64 {
    let written = value(&read("kubernetes/statefulset.yaml"), &format!("{name}: "));
    config::parse_size(&format!("{written}B")).unwrap()
}

/// The word after a name, where it stands first.
fn value(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(name).unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap()
}

fn deploy(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}
