//! Real clients against the running binary: boto3 and the AWS CLI speak Firehose's own API.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::command::{succeed, tool};
use crate::support::daemon::{Site, free_port};
use crate::support::lake;
use crate::support::python::python;
use crate::support::settings::{CLICKS, ToFolder};

/// Records that `firehose_api.py` puts and that are answered with an id.
const RECORDS: usize = 520;

#[test]
fn boto3_and_the_aws_cli_find_the_api_they_know_and_every_record_is_delivered() {
    let kinds = ToFolder {
        query: "{kind: \"record\"}",
        prefix: "data/kind=!{partitionKeyFromQuery:kind}/",
        ..CLICKS
    };
    let site = Site::new(&kinds.settings());
    let daemon = site.start();
    succeed(
        Command::new(python())
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/clients/firehose_api.py"
            ))
            .args([&format!("http://{}", site.address), "clicks"]),
    );
    daemon.drain();
    let lake = site.path("lake");
    let delivered = lake::lines(&lake, "data").len() + lake::failed_records(&lake, "errors").len();
    assert_eq!(delivered, RECORDS);
}

#[test]
fn what_the_demo_says_to_type_delivers_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let firehose = env!("CARGO_BIN_EXE_firehose");
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    tool(&bin.join("firehose"), &format!("exec {firehose} \"$@\""));
    let mut demo = Command::new(firehose)
        .args(["demo", "--rate", "1", "--listen"])
        .arg(format!("127.0.0.1:{}", free_port()))
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(demo.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let told: Vec<String> = said
        .by_ref()
        .take_while(|line| !line.ends_with("What lands:"))
        .collect();
    let commands = told.iter().skip_while(|line| *line != "Send your own:");
    let commands: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    let path = std::env::var("PATH").unwrap();
    let printed = succeed(
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &commands.join("\n")])
            .current_dir(dir.path())
            .env("PATH", format!("{}:{path}", bin.display())),
    );
    let printed = String::from_utf8(printed).unwrap();
    assert!(
        printed.starts_with("{\"accepted\":1,"),
        "{told:#?}: {printed}"
    );
    assert!(printed.contains("demo: 1 records accepted"), "{printed}");
    kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
    let landed = said.filter(|line| line.contains("event_type=hello"));
    let records = landed.map(|line| {
        let count = line.split_whitespace().next();
        count.unwrap().parse::<u64>().unwrap()
    });
    assert_eq!(records.sum::<u64>(), 2);
    assert!(demo.wait().unwrap().success());
}
