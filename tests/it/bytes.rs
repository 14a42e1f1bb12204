//! Record bytes: several JSON texts in one record are as many records for whoever looks into them,
//! and what is no JSON is carried byte for byte. Read back by Python, `PyArrow` and `zcat`.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::{Connection, metric, put_record};
use crate::support::lake;
use crate::support::python::python;

/// What an agent that aggregates puts into one record: texts on lines, side by side, pretty-printed.
const TEXTS: [&str; 6] = [
    "{\"kind\":\"a\",\"n\":1,\"ts\":\"2026-11-22T10:00:00Z\"}\n",
    "{\"kind\":\"b\",\"n\":2,\"ts\":\"2026-11-22T10:00:00Z\"}",
    "{\n  \"kind\": \"a\",\r\n  \"n\": 3,\n  \"ts\": \"2026-11-23T10:00:00Z\"\n}\r\n\r\n",
    "{\"kind\":\"a\",\"n\":\"no number\",\"ts\":\"2026-11-22T10:00:00Z\"} ",
    "{\"n\":5,\"ts\":\"2026-11-22T10:00:00Z\"}\n",
    "{\"kind\":\"b\",\"n\":6,\"ts\":\"2026-11-22T10:00:00Z\"}\n",
];

const BUFFERED: &str = "buffering = { size = \"64MiB\", interval = \"900s\" }";

#[test]
fn several_json_texts_in_one_record_are_each_by_itself_for_keys_columns_and_lines() {
    let site = Site::new(&format!(
        r#"
state_dir = "state"

[stream.rows]
source.type = "direct-put"
{BUFFERED}
format = {{ type = "parquet", schema = "kind string, n bigint" }}
backup.prefix = "rows-backup/"

[stream.rows.partitioning]
query = "{{kind: .kind}}"
event_time = ".ts"

[stream.rows.destination]
type = "folder"
path = "lake"
prefix = "rows/!{{partitionKeyFromQuery:kind}}/!{{eventTime:dd}}/"
error_prefix = "errors/!{{firehose:error-output-type}}/"

[stream.lines]
source.type = "direct-put"
{BUFFERED}
destination = {{ type = "folder", path = "lake", prefix = "lines/", error_prefix = "line-errors/" }}

[stream.whole]
deaggregate = "off"
source.type = "direct-put"
{BUFFERED}
destination = {{ type = "folder", path = "lake", prefix = "whole/", error_prefix = "whole-errors/" }}
"#
    ));
    let record = TEXTS.concat();
    let one = "{\"kind\":\"c\",\"n\":7,\"ts\":\"2026-11-22T10:00:00Z\"}\n";
    // The texts lie raw in the spool when the process dies, and are encoded by the next one.
    let mut doomed = site.start();
    let reply = put_record(site.address, "rows", record.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let spooled = || metric(site.address, "firehose_spool_bytes{stream=\"rows\"}") > 0.0;
    doomed.until("the texts are in the spool", spooled).unwrap();
    doomed.kill();
    let daemon = site.start();
    for stream in ["rows", "lines", "whole"] {
        for record in [&record, one] {
            let reply = put_record(site.address, stream, record.as_bytes()).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    daemon.drain();
    let lake = site.path("lake");

    let backup = lake::objects(&lake, "rows-backup");
    let backup: Vec<u8> = backup
        .iter()
        .flat_map(|path| fs::read(path).unwrap())
        .collect();
    let expected = (record.clone() + "\n").repeat(2) + one + "\n";
    assert_eq!(String::from_utf8(backup).unwrap(), expected);

    assert_eq!(
        rows(&site),
        [(1, "a/22"), (2, "b/22"), (3, "a/23"), (6, "b/22")]
            .iter()
            .flat_map(|row| [*row; 2])
            .chain([(7, "c/22")])
            .map(|(n, partition)| format!("{n} {partition}"))
            .collect::<Vec<_>>()
    );
    for (error_type, text) in [
        ("format-conversion-failed", 3),
        ("metadata-extraction-failed", 4),
    ] {
        let prefix = format!("errors/{error_type}");
        let failed = lake::failed_records(&lake, &prefix);
        assert_eq!(failed, [TEXTS[text].as_bytes(); 2], "{error_type}");
        for line in lake::lines(&lake, &prefix) {
            let line: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(line["textIndex"], text, "{line}");
            assert!(line.get("outputIndex").is_none(), "{line}");
        }
    }

    let lines = lake::lines(&lake, "lines");
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let folded = "{   \"kind\": \"a\",    \"n\": 3,   \"ts\": \"2026-11-23T10:00:00Z\" }";
    let expected = [
        TEXTS[0].trim(),
        TEXTS[1],
        folded,
        TEXTS[3],
        TEXTS[4].trim(),
        TEXTS[5].trim(),
        one.trim(),
    ];
    assert_eq!(lines, expected);

    let whole = lake::objects(&lake, "whole");
    assert_eq!(fs::read_to_string(&whole[0]).unwrap(), record + "\n" + one);
}

/// The rows of the stream `rows` as `PyArrow` and `DuckDB` read them: `n` and partition.
fn rows(site: &Site) -> Vec<String> {
    let script = "import pathlib, sys, duckdb, pyarrow.parquet as p\n\
                  root = pathlib.Path(sys.argv[1])\n\
                  for f in sorted(root.rglob('*.parquet')):\n \
                    rows = [row['n'] for row in p.read_table(f).to_pylist()]\n \
                    assert [n for n, in duckdb.sql(f\"select n from '{f}'\").fetchall()] == rows\n \
                    for n in rows: print(n, f.parent.relative_to(root).as_posix())";
    let printed = succeed(
        Command::new(python())
            .args(["-c", script])
            .arg(site.path("lake/rows")),
    );
    let mut rows: Vec<String> = String::from_utf8(printed)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    rows.sort();
    rows
}

#[test]
fn what_is_no_json_is_carried_byte_for_byte_or_fails_alone_where_that_is_asked() {
    let site = Site::new(&format!(
        r#"
state_dir = "state"

[stream.default]
source.type = "direct-put"
{BUFFERED}
destination = {{ type = "folder", path = "lake", prefix = "data/", error_prefix = "errors/" }}
backup = {{ prefix = "backup/" }}

[stream.strict]
source.type = "direct-put"
{BUFFERED}
format.not_json = "fail"
destination = {{ type = "folder", path = "lake", prefix = "strict/", error_prefix = "strict-errors/" }}
backup = {{ prefix = "bare/", format.type = "raw" }}
"#
    ));
    let daemon = site.start();
    // Members with line feeds and carriage returns among their bytes.
    let members = site.path("members");
    let script = "import gzip, pathlib, random, sys\n\
                  random.seed(7)\n\
                  for n in range(2):\n \
                    text = bytes(random.randrange(256) for _ in range(4000))\n \
                    member = gzip.compress(text)\n \
                    assert b'\\n' in member and b'\\r' in member\n \
                    pathlib.Path(f'{sys.argv[1]}{n}.gz').write_bytes(member)\n \
                    pathlib.Path(f'{sys.argv[1]}{n}').write_bytes(text)";
    succeed(Command::new(python()).args(["-c", script]).arg(&members));
    let read = |name: &str| fs::read(site.path(name)).unwrap();
    let members = [read("members0.gz"), read("members1.gz")];
    let json = b"{\r\n  \"a\": 1\r\n}\r\n";
    for stream in ["default", "strict"] {
        for record in [&members[0][..], &members[1]] {
            let reply = put_record(site.address, stream, record).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    for stream in ["default", "strict"] {
        put_record(
            site.address,
            stream,
            if stream == "default" { b"text\n" } else { json },
        )
        .unwrap();
    }
    daemon.drain();
    let lake = site.path("lake");
    let object = |prefix: &str| {
        let objects = lake::objects(&lake, prefix);
        assert_eq!(objects.len(), 1, "{prefix}: {objects:?}");
        objects[0].clone()
    };
    let expected = [&members[0][..], b"\n", &members[1], b"\n", b"text\n\n"].concat();
    assert!(fs::read(object("data")).unwrap() == expected, "data");
    assert!(fs::read(object("backup")).unwrap() == expected, "backup");

    assert_eq!(lake::lines(&lake, "strict"), [b"{    \"a\": 1  }"]);
    let failed = lake::failed_records(&lake, "strict-errors");
    assert!(failed == members, "error objects");
    let line: Value = serde_json::from_slice(&lake::lines(&lake, "strict-errors")[0]).unwrap();
    assert_eq!(line["lastErrorCode"], "DataFormatConversion.ParseError");

    let bare = fs::read(object("bare")).unwrap();
    assert!(
        bare == [&members[0][..], &members[1], json].concat(),
        "raw backup"
    );
    fs::write(site.path("bare.gz"), &bare[..bare.len() - json.len()]).unwrap();
    let texts = succeed(Command::new("zcat").arg(site.path("bare.gz")));
    assert!(
        texts == [read("members0"), read("members1")].concat(),
        "zcat"
    );
}

#[test]
fn a_body_of_json_and_one_with_a_byte_order_mark_are_read_back_as_they_were_meant() {
    let site = Site::new(&format!(
        r#"
state_dir = "state"

[stream.events]
source.type = "direct-put"
{BUFFERED}
format = {{ type = "parquet", schema = "n bigint" }}
destination = {{ type = "folder", path = "lake", prefix = "rows/", error_prefix = "errors/" }}
"#
    ));
    let daemon = site.start();
    let mut connection = Connection::open(site.address).unwrap();
    let mut post = |content_type: &str, body: &str| {
        let headers = [("content-type", content_type)];
        let reply =
            connection.request("POST", "/streams/events/records", &headers, body.as_bytes());
        reply.unwrap()
    };
    let reply = post("application/json", "[{\"n\": 1},\n {\"n\":\n2}]");
    assert_eq!(reply.text(), "{\"accepted\":2,\"bytes\":16}\n");
    assert_eq!(post("application/json", "{\n  \"n\": 3\n}\n").status, 200);
    let refused = post("application/json", "{\n  \"n\": }\n");
    assert_eq!(refused.status, 400, "{}", refused.text());
    let reply = post("text/plain", "\u{feff}{\"n\":4}\n{\"n\":5}\n");
    assert_eq!(reply.text(), "{\"accepted\":2,\"bytes\":14}\n");
    fs::write(site.path("input"), "\u{feff}{\"n\":6}\r\n{\"n\":7}\r\n").unwrap();
    let url = format!("http://{}", site.address);
    site.command(&["put", "events", "input", "--url", &url])
        .done();
    let explained = site.command(&["explain", "events", "input"]).done();
    assert!(
        explained.ends_with("2 delivered, 0 failed, 0 refused\n"),
        "{explained}"
    );
    daemon.drain();
    let rows = rows(&site);
    let read: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.split(' ').next())
        .collect();
    assert_eq!(read, ["1", "2", "3", "4", "5", "6", "7"]);
}
