//! State that an earlier version left behind: it is opened, and each of its records delivered once.
//!
//! `former_state/state.tar.xz` is the `state_dir` of commit 9344e12, whose daemon was killed: `filling` has an open
//! batch of 24,010 records and a begun upload of two parts, at a bucket that is no more; `open` has four open
//! batches (one of errors) and ten records that only the journal holds; `sealed` has 16 objects of Parquet and errors,
//! which could not be sent, and ten such records.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::python::python;
use crate::support::servers::Weed;

const STATE: &[u8] = include_bytes!("former_state/state.tar.xz");
/// The objects that wait are for this bucket.
const BUCKET: &str = "former-state";

fn settings(destination: &str) -> String {
    let stream = |name: &str, format: &str, size: &str, interval: &str| {
        format!(
            r#"
[stream.{name}]
spool_limit = "64MiB"

[stream.{name}.source]
type = "direct-put"
journal_limit = "4MiB"

[stream.{name}.partitioning]
query = '{{k: .k}}'

[stream.{name}.buffering]
size = "{size}"
interval = "{interval}"

[stream.{name}.format]
{format}

[stream.{name}.destination]
{destination}
prefix = "{name}/k=!{{partitionKeyFromQuery:k}}/"
error_prefix = "errors/{name}/!{{firehose:error-output-type}}/"
"#
        )
    };
    let gzip = "type = \"json\"\ncompression = \"gzip\"";
    let parquet = "type = \"parquet\"\nschema = \"k string, n bigint, pad string\"";
    let streams = [
        stream("filling", "type = \"json\"", "1GiB", "15m"),
        stream("open", gzip, "1GiB", "15m"),
        stream("sealed", parquet, "1MiB", "0s"),
    ];
    format!(
        "state_dir = \"state\"\nmemory_limit = \"64MiB\"\n{}",
        streams.concat()
    )
}

#[test]
fn what_an_earlier_version_has_accepted_is_delivered_once() {
    let bucket = Weed::shared().bucket_named(BUCKET);
    let site = Site::new(&settings(&bucket.table(&bucket.endpoint)));
    let archive = site.path("state.tar.xz");
    fs::write(&archive, STATE).unwrap();
    python_says(UNPACK, &[&archive, &site.path("")]);
    let listed = site.command(&["state", "list"]).done();
    for held in [
        "holds 24010 records (21739KiB) in 1 open batches and 0 waiting objects, 0 records (0B) in the journal",
        "holds 501 records (22KiB) in 4 open batches and 0 waiting objects, 10 records (500B) in the journal",
        "holds 501 records (22KiB) in 0 open batches and 16 waiting objects, 10 records (500B) in the journal",
    ] {
        assert!(listed.contains(held), "{listed}");
    }
    site.start().drain();
    bucket.download(&site.path("lake"));
    let found = python_says(READ, &[&site.path("lake")]);
    let all = |count: u32| json!({ "once": count, "failed": 0 });
    let and_one_bad = |count: u32| json!({ "once": count, "failed": 1 });
    assert_eq!(
        found,
        json!({ "filling": all(24_010), "open": and_one_bad(510), "sealed": and_one_bad(510) })
    );
}

fn python_says(script: &str, arguments: &[&Path]) -> Value {
    let mut command = Command::new(python());
    command.args(["-c", script]).args(arguments);
    serde_json::from_slice(&succeed(&mut command)).unwrap()
}

const UNPACK: &str = "
import sys, tarfile
tarfile.open(sys.argv[1]).extractall(sys.argv[2])
print('null')
";

/// How many records each stream has delivered, all numbers from 0 on once, and how many failed.
const READ: &str = r#"
import gzip, json, pathlib, sys
import pyarrow.parquet
lake, told = pathlib.Path(sys.argv[1]), {}
def lines(path):
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).splitlines()
for stream in ["filling", "open", "sealed"]:
    numbers = []
    for path in lake.joinpath(stream).rglob("*"):
        if path.is_file() and path.suffix == ".parquet":
            numbers += pyarrow.parquet.read_table(path)["n"].to_pylist()
        elif path.is_file():
            numbers += [json.loads(line)["n"] for line in lines(path)]
    assert sorted(numbers) == list(range(len(numbers))), stream
    errors = [path for path in lake.joinpath("errors", stream).rglob("*") if path.is_file()]
    rows = [line for path in errors if ".firehose" not in path.parts for line in lines(path)]
    assert all("rawData" in json.loads(row) for row in rows)
    told[stream] = {"once": len(numbers), "failed": len(rows)}
print(json.dumps(told))
"#;
