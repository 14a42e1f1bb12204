//! Columns that were inferred for a sample take all records of its kind, and others read them.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::post_records;
use crate::support::lake;
use crate::support::python::python;
use crate::support::settings::ToFolder;

const EVENTS: u64 = 600;

/// An event as a forge's public feed has them: each kind with a payload of its own, and much that is only there at times.
fn event(number: u64) -> Value {
    let login = ["ada", "bob", "eve"][usize::try_from(number % 3).unwrap()];
    let kinds = [
        "PushEvent",
        "WatchEvent",
        "IssuesEvent",
        "CreateEvent",
        "ForkEvent",
    ];
    let kind = kinds[usize::try_from(number % 5).unwrap()];
    let payload = match number % 5 {
        0 => json!({
            "push_id": 10_000_000_000 + number,
            "size": number % 4,
            "commits": (0..number % 4).map(|commit| json!({
                "sha": format!("{:040x}", number * 7919 + commit),
                "author": {"name": login, "email": null},
                "distinct": commit == 0,
            })).collect::<Vec<_>>(),
        }),
        1 => json!({"action": "started"}),
        2 => json!({
            "action": "opened",
            "issue": {
                "number": number,
                "labels": if number.is_multiple_of(2) { json!([]) } else { json!([{"name": "bug"}, {"name": "ui", "color": "ff0000"}]) },
                "score": if number % 4 == 2 { json!(1) } else { json!(0.5) },
                "closed_at": if number.is_multiple_of(7) { json!("2026-11-23T08:00:00+01:00") } else { Value::Null },
                "milestone": null,
            },
        }),
        3 => json!({"ref": null, "ref_type": "repository", "reactions": {"+1": 1}}),
        _ => json!({"forkee": {"id": number, "topics": [], "permissions": {}}}),
    };
    let mut event = json!({
        "id": (40_000_000_000 + number).to_string(),
        "type": kind,
        "actor": {"id": number % 3, "login": login, "gravatar_id": ""},
        "repo": {"id": u64::MAX - number % 2, "name": format!("{login}/r{}", number % 11)},
        "payload": payload,
        "public": true,
        "created_at": format!("2026-11-22T10:{:02}:{:02}Z", number / 60 % 60, number % 60),
    });
    if number.is_multiple_of(6) {
        event["org"] = json!({"id": number, "login": "acme"});
    }
    event
}

/// What `DuckDB` finds in all objects.
const QUERY: &str = r#"
import duckdb, json, sys
found = duckdb.execute("""
    select count(*), count(org.id), sum(len(payload.commits)), count(payload.issue.closed_at),
        max(payload.issue.score), min(created_at)::varchar, max(repo.id), sum(len(payload.issue.labels)),
        count(payload.commits[1].author.name)
    from read_parquet(?, hive_partitioning = false)
    where type is not null and actor.login in ('ada', 'bob', 'eve')
""", [sys.argv[1] + "/**/*.parquet"]).fetchone()
print(json.dumps([str(value) for value in found]))
"#;

#[test]
fn events_are_delivered_in_columns_that_were_inferred_and_duckdb_reads_them() {
    let mut lines = String::new();
    for number in 0..EVENTS {
        writeln!(lines, "{}", event(number)).unwrap();
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    let columns = infer(&packed.finish().unwrap(), &["-"]);
    let expected = "repo struct<id:string,name:string>,\n";
    assert!(columns.contains(expected), "{columns}");
    assert!(
        !columns.contains("milestone") && !columns.contains("reactions"),
        "{columns}"
    );
    assert!(columns.contains("\ncreated_at timestamp"), "{columns}");
    // Whether the sample is lines or one array, packed or not.
    let array = format!("[{}]", lines.trim_end().replace('\n', ",\n"));
    assert_eq!(infer(array.as_bytes(), &[]), columns);

    let to_folder = ToFolder {
        stream: "events",
        query: "{type: .type}",
        prefix: "data/type=!{partitionKeyFromQuery:type}/",
        interval: "900s",
        format: &format!("type = \"parquet\"\nschema = \"\"\"\n{columns}\"\"\""),
    };
    let site = Site::new(&to_folder.settings());
    let daemon = site.start();
    let reply = post_records(site.address, "events", lines.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    daemon.drain();
    assert_eq!(
        lake::objects(&site.path("lake"), "errors"),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(lake::objects(&site.path("lake"), "data").len(), 5);

    let all: Vec<Value> = (0..EVENTS).map(event).collect();
    let count = |there: &dyn Fn(&Value) -> bool| all.iter().filter(|event| there(event)).count();
    let length = |pointer: &str| -> usize {
        let lists = all
            .iter()
            .filter_map(|event| event.pointer(pointer)?.as_array());
        lists.map(Vec::len).sum()
    };
    let expected = [
        EVENTS.to_string(),
        count(&|event| event["org"].is_object()).to_string(),
        length("/payload/commits").to_string(),
        count(&|event| event["payload"]["issue"]["closed_at"].is_string()).to_string(),
        "1.0".to_owned(),
        "2026-11-22 10:00:00+00".to_owned(),
        u64::MAX.to_string(),
        length("/payload/issue/labels").to_string(),
        count(&|event| event["payload"]["commits"][0].is_object()).to_string(),
    ];
    let mut command = Command::new(python());
    let lake = site.path("lake/data");
    let found = succeed(command.env("TZ", "UTC").args(["-c", QUERY]).arg(lake));
    let found: Vec<String> = serde_json::from_slice(&found).unwrap();
    assert_eq!(found, expected);

    let shown = site
        .command(&["schema", "show", "events", "--as", "athena"])
        .done();
    assert!(
        shown.contains("PARTITIONED BY (\n  `type` string\n)\nSTORED AS PARQUET\n"),
        "{shown}"
    );
    // What is shown for Hive is the same schema again.
    let hive = site.command(&["schema", "show", "events"]).done();
    let again = ToFolder {
        format: &format!("type = \"parquet\"\nschema = \"\"\"\n{hive}\"\"\""),
        ..to_folder
    };
    site.configure(&again.settings());
    assert_eq!(site.command(&["schema", "show", "events"]).done(), hive);
}

/// The columns for a sample on standard input.
fn infer(sample: &[u8], arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    fs::write(&path, sample).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command.args(["schema", "infer"]).args(arguments);
    command.stdin(Stdio::from(fs::File::open(&path).unwrap()));
    String::from_utf8(succeed(&mut command)).unwrap()
}

/// What somebody else's parser, in three dialects, finds in a statement: columns and partitions with their types, place
/// and properties.
const PARSE: &str = r#"
import json, sys
import sqlglot
from sqlglot import exp
found = []
for dialect in ["athena", "hive", "spark"]:
    (statement,) = sqlglot.parse(sys.argv[1], dialect=dialect)
    assert isinstance(statement, exp.Create), (dialect, statement)
    kind = lambda column: column.args["kind"].sql("hive").lower().replace(" ", "")
    columns = lambda expressions: [[column.name, kind(column)] for column in expressions]
    table = {"name": statement.this.this.name, "columns": columns(statement.this.expressions), "properties": {}}
    for one in statement.args["properties"].expressions:
        if isinstance(one, exp.PartitionedByProperty):
            table["partitions"] = columns(one.this.expressions)
        elif isinstance(one, exp.LocationProperty):
            table["location"] = one.this.name
        elif type(one) is exp.Property:
            table["properties"][one.this.name] = one.args["value"].name
    found.append(table)
print(json.dumps(found))
"#;

#[test]
fn statements_for_athena_say_the_same_to_a_parser_of_somebody_else() {
    let columns = "id string, `order` bigint, `a``b` int, price decimal(10,2), v varchar(5), m map<string,array<int>>, \
                   at timestamp, day date, user struct<`or``der`:array<struct<a:smallint>>>";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("columns.sql");
    fs::write(&file, columns.replace(", ", ",\n")).unwrap();
    let file = file.to_str().unwrap();
    let same = [
        ["id", "string"],
        ["order", "bigint"],
        ["a`b", "int"],
        ["price", "decimal(10,2)"],
        ["v", "varchar(5)"],
        ["m", "map<string,array<int>>"],
        ["at", "timestamp"],
        ["day", "date"],
        ["user", "struct<`or``der`:array<struct<`a`:smallint>>>"],
    ];
    let named = [
        ["id", "string"],
        ["order", "bigint"],
        ["at", "bigint"],
        ["m", "map<string,int>"],
    ];
    let texts = same.map(|[name, _]| [name, "string"]);
    let declared = format!("schema = '{columns}'");
    let of_avro = "schema = 'id string, `order` bigint, at timestamp, m map<string,smallint>'";
    for (format, more, expected) in [
        (
            format!("type = \"parquet\"\n{declared}"),
            &[][..],
            json!(same),
        ),
        (
            "type = \"json\"".to_owned(),
            &["--columns", file][..],
            json!(same),
        ),
        (
            format!("type = \"csv\"\nquote = \"'\"\n{declared}"),
            &[][..],
            json!(texts),
        ),
        (format!("type = \"avro\"\n{of_avro}"), &[][..], json!(named)),
    ] {
        let site = Site::new(&format!(
            "[stream.events]\nsource.type = \"direct-put\"\n[stream.events.partitioning]\nquery = \"{{k: .id}}\"\n\
             [stream.events.destination]\ntype = \"s3\"\nbucket = \"lake\"\nregion = \"eu-central-1\"\n\
             prefix = \"it's/k=!{{partitionKeyFromQuery:k}}/dt=!{{timestamp:yyyy-MM-dd'T'HH}}/\"\n\
             error_prefix = \"errors/!{{firehose:error-output-type}}/\"\n[stream.events.format]\n{format}\n"
        ));
        let command = [&["schema", "show", "events", "--as", "athena"][..], more].concat();
        let shown = site.command(&command).done();
        let parsed = succeed(Command::new(python()).args(["-c", PARSE, &shown]));
        let parsed: Vec<Value> = serde_json::from_slice(&parsed).unwrap();
        assert_eq!(parsed.len(), 3);
        for table in parsed {
            assert_eq!(table["name"], "events");
            assert_eq!(table["columns"], expected, "{format}: {shown}");
            assert_eq!(
                table["partitions"],
                json!([["k", "string"], ["dt", "string"]])
            );
            assert_eq!(table["location"], "s3://lake/it's/");
            let properties = &table["properties"];
            assert_eq!(properties["projection.dt.format"], "yyyy-MM-dd'T'HH");
            let template = "s3://lake/it's/k=${k}/dt=${dt}/";
            assert_eq!(properties["storage.location.template"], template);
        }
    }
}
