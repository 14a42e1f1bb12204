//! Columns that a stream learns from its own records, through kills, as others read them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::support::command::succeed;
use crate::support::daemon::{Daemon, Site};
use crate::support::http::{get, metric};
use crate::support::kinesis::Kinesalite;
use crate::support::lake;
use crate::support::python::python;
use crate::support::servers::Weed;
use crate::support::settings::ToFolder;

const LEARNED: ToFolder<'_> = ToFolder {
    stream: "events",
    query: "{kind: .kind}",
    prefix: "data/kind=!{partitionKeyFromQuery:kind}/",
    interval: "0s",
    format: "type = \"parquet\"\nschema = \"infer\"\ninfer_records = 100\ninfer_time = \"1h\"",
};

/// A record; from number 100 on with fields that none had before, and from number 200 on with other numbers in one.
fn record(number: u64) -> Value {
    let mut record = json!({
        "id": number,
        "kind": if number.is_multiple_of(3) { "a" } else { "b" },
        "user": {"name": format!("user {}", number % 7)},
        "nothing": null,
    });
    if number >= 100 {
        record["took"] = json!(number);
        record["user"]["bot"] = json!(true);
    }
    if number >= 200 {
        record["took"] = json!(0.5);
    }
    record
}

fn send(daemon: &mut Daemon, numbers: std::ops::Range<u64>) {
    let lines = numbers.map(|number| format!("{}\n", record(number)));
    let lines = lines.collect::<Vec<_>>().concat();
    daemon.take("events", lines.as_bytes());
}

/// What `DuckDB` finds in all objects: each record once, and in each all that was in it.
const QUERY: &str = r#"
import duckdb, json, sys
rows = duckdb.sql(f"""
    select id, user.name, took from read_parquet('{sys.argv[1]}/**/*.parquet', union_by_name = true,
        hive_partitioning = false) order by id
""").fetchall()
bots = 0
for (file,) in duckdb.sql(f"select file from glob('{sys.argv[1]}/**/*.parquet')").fetchall():
    schema = dict(duckdb.sql(f"select * from '{file}' limit 0").fetchall() or
                  [(c, str(t)) for c, t in zip(duckdb.sql(f"from '{file}'").columns, duckdb.sql(f"from '{file}'").types)])
    if 'bot' in schema['user']:
        bots += duckdb.sql(f"select count(*) from '{file}' where user.bot").fetchone()[0]
print(json.dumps({"rows": rows, "bots": bots}))
"#;

#[test]
fn columns_are_learned_and_widened_by_rule_and_kept_through_kills() {
    let site = Site::new(&LEARNED.settings());
    let version = |site: &Site| {
        metric(site.address, "firehose_schema_version{stream=\"events\"}").to_string()
    };
    let mut daemon = site.start();
    // Too little to say what there is: nothing is delivered, and a kill costs nothing.
    send(&mut daemon, 0..60);
    daemon.kill();
    let told = site.command(&["schema", "show", "events"]).refused(2);
    assert!(told.contains("has learned no columns yet"), "{told}");
    let mut daemon = site.start();
    assert_eq!(version(&site), "0");
    send(&mut daemon, 60..100);
    daemon
        .until("columns are learned", || version(&site) == "1")
        .unwrap();
    let shown = site.command(&["schema", "show", "events"]).done();
    assert_eq!(
        shown,
        "`id` bigint,\n`kind` string,\n`user` struct<`name`:string>\n"
    );
    send(&mut daemon, 100..200);
    daemon
        .until("columns are widened", || version(&site) == "2")
        .unwrap();
    daemon.kill();
    let mut daemon = site.start();
    assert_eq!(
        get(site.address, "/streams/events/schema").unwrap().status,
        200
    );
    send(&mut daemon, 200..300);
    daemon
        .until("columns are widened again", || version(&site) == "3")
        .unwrap();
    daemon.kill();
    site.start().drain();

    // The same of the state as of the daemon.
    let history = site.command(&["schema", "history", "events"]).done();
    let lines: Vec<&str> = history.lines().collect();
    assert!(lines[0].starts_with("version 3, "), "{history}");
    assert_eq!(lines[1], "  took bigint → double");
    let added: BTreeSet<&str> = lines[3..5].iter().copied().collect();
    assert_eq!(
        added,
        ["  took bigint is new", "  user.bot boolean is new"].into()
    );
    assert_eq!(lines[6], "  3 columns");
    let document = site
        .command(&["schema", "history", "events", "--json"])
        .done();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        document["versions"][0]["columns"],
        "id bigint, kind string, user struct<name:string,bot:boolean>, took double"
    );

    let lake = site.path("lake/data");
    let found = succeed(Command::new(python()).args(["-c", QUERY]).arg(&lake));
    let found: Value = serde_json::from_slice(&found).unwrap();
    let expected: Vec<Value> = (0..300)
        .map(record)
        .map(|record| {
            json!([
                record["id"],
                record["user"]["name"],
                record["took"].as_f64()
            ])
        })
        .collect();
    assert_eq!(found["rows"], json!(expected));
    assert_eq!(found["bots"], 200);
    assert_eq!(lake::failed_records(&site.path("lake"), "errors").len(), 0);
}

/// The names of the columns of an object, in order.
fn columns(object: Vec<u8>) -> Vec<String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(object)).unwrap();
    let fields = reader.schema().fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

#[test]
fn an_object_in_s3_names_its_columns_in_its_metadata_as_the_history_does() {
    let bucket = Weed::shared().bucket();
    let to_bucket = bucket.table(&bucket.endpoint);
    let settings = LEARNED
        .settings()
        .replace("type = \"folder\"\npath = \"lake\"", &to_bucket);
    let site = Site::new(&settings);
    let mut daemon = site.start();
    let version = || metric(site.address, "firehose_schema_version{stream=\"events\"}");
    send(&mut daemon, 0..100);
    daemon
        .until("columns are learned", || version() >= 1.0)
        .unwrap();
    send(&mut daemon, 100..200);
    daemon.take("events", b"{\"kind\":\"a\",\"user\":[\"odd\"]}\n");
    daemon.drain();
    let history = site
        .command(&["schema", "history", "events", "--json"])
        .done();
    let history: Value = serde_json::from_str(&history).unwrap();
    let versions = history["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2, "{history}");
    let (mut named, mut unnamed) = (BTreeSet::new(), 0);
    for key in bucket.keys() {
        let object = bucket.get(&key).unwrap();
        let name = &object.told["metadata"]["firehose-schema"];
        if !key.starts_with("data/") {
            assert_eq!(*name, Value::Null, "{key} has no columns");
            unnamed += u32::from(key.contains("format-conversion-failed"));
            continue;
        }
        let is_it = |version: &&Value| version["hash"] == *name;
        let version = versions.iter().find(is_it);
        let version = version.unwrap_or_else(|| panic!("{key}: {name} is none of {history}"));
        named.insert(version["version"].as_u64());
        let told = version["columns"].as_str().unwrap();
        let found = columns(object.bytes);
        assert_eq!(found.len() == 4, told.contains("took"), "{key}: {found:?}");
    }
    assert_eq!(named, [Some(1), Some(2)].into());
    assert_eq!(
        unnamed, 1,
        "an array is no struct whose fields were learned"
    );
}

#[test]
fn a_stream_with_nothing_to_learn_from_says_so_of_each_record() {
    let to_folder = ToFolder {
        query: "{kind: \"a\"}",
        ..LEARNED
    };
    let site = Site::new(&to_folder.settings());
    let mut daemon = site.start();
    daemon.take("events", b"{\"name\":null}\n{}\nno JSON\n");
    daemon.drain();
    let lines = lake::lines(&site.path("lake"), "errors");
    let mut codes: Vec<String> = lines
        .iter()
        .map(|line| serde_json::from_slice::<Value>(line).unwrap())
        .map(|line| line.to_string())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes.len(), 3, "{codes:?}");
    let unlearned = codes.iter().filter(|code| code.contains(".NoColumns"));
    assert_eq!(unlearned.count(), 2, "{codes:?}");
}

/// A name that Hive takes and Avro does not, and a table of one column that reads as a blank line where it is null.
#[test]
fn what_a_format_cannot_name_or_hold_stops_no_stream() {
    let of = |format: &str| format!("type = \"{format}\"\nschema = \"infer\"\ninfer_records = 2");
    for (format, first, later, fails) in [
        (
            "avro",
            "{\"@timestamp\":1,\"id\":1}",
            "{\"id\":2,\"user-id\":3}",
            0,
        ),
        ("csv", "{\"id\":1}", "{\"id\":2,\"name\":\"x\"}", 2),
    ] {
        let format = of(format);
        let to_folder = ToFolder {
            query: "{kind: \"a\"}",
            format: &format,
            ..LEARNED
        };
        let site = Site::new(&to_folder.settings());
        site.command(&["check"]).done();
        let mut daemon = site.start();
        daemon.take("events", format!("{first}\n{first}\n").as_bytes());
        daemon.take("events", format!("{later}\n{later}\n").as_bytes());
        daemon.drain();
        let failed = lake::failed_records(&site.path("lake"), "errors").len();
        assert_eq!(failed, fails, "{format}");
        assert!(
            !lake::objects(&site.path("lake"), "data").is_empty(),
            "{format}"
        );
    }
}

/// What is held until columns are known must not hold up what says where reading goes on.
#[test]
fn shards_without_records_keep_no_stream_from_learning() {
    let stream = Kinesalite::shared().stream(1);
    stream.split(1);
    let source = stream.table(&stream.endpoint);
    let settings = LEARNED.settings().replace("type = \"direct-put\"", &source);
    let settings = settings.replace("infer_records = 100", "infer_records = 5");
    let site = Site::new(&settings);
    let mut daemon = site.start();
    for number in 0..5 {
        stream.put(record(number).to_string().as_bytes());
    }
    let name = "firehose_delivered_records_total{stream=\"events\"}";
    let is_there = || metric(site.address, name) >= 5.0;
    daemon.until("all are delivered", is_there).unwrap();
    daemon.drain();
}

#[test]
fn settings_of_a_schema_that_is_learned_are_judged() {
    let declared = LEARNED
        .settings()
        .replace("schema = \"infer\"", "schema = \"id bigint\"");
    let site = Site::new(&declared);
    let told = site.command(&["check"]).refused(2);
    assert!(
        told.contains("`infer_records` is for a schema that is learned"),
        "{told}"
    );
    site.configure(&LEARNED.settings().replace("\"1h\"", "\"2h\""));
    let told = site.command(&["check"]).refused(2);
    assert!(told.contains("infer_time"), "{told}");
    let known = "schema = \"infer\"\ninfer_columns = \"id bigint, n intt\"";
    site.configure(&LEARNED.settings().replace("schema = \"infer\"", known));
    let told = site.command(&["check"]).refused(2);
    assert!(
        told.contains("| infer_columns = \"id bigint, n intt\""),
        "{told}"
    );
    assert!(
        told.contains("intt`") || told.contains("\"intt\""),
        "{told}"
    );
}

const KNOWN: &str = r#"type = "parquet"
schema = "infer"
infer_records = 10
infer_time = "1h"
infer_columns = "parameters string, user struct<raw:string>, seen timestamp, price decimal(10,2)"
on_unknown_field = "keep"
on_conversion_error = { price = "null", labels = "null" }
dots_to_underscores = true
timestamp_formats = ["dd/MM/yyyy HH:mm"]"#;

/// What `DuckDB` finds of them.
const KNOWN_QUERY: &str = r#"
import duckdb, json, sys
found = duckdb.execute("""
    select count(*), count(price), count(labels), sum(http_status), count(parameters), max(epoch(seen))::bigint,
        count(user.raw), count(_unknown ->> '$."+1"'), count(_unknown ->> '$._unknown'), count(*) filter (user.bot)
    from read_parquet(?, union_by_name = true, hive_partitioning = false)
""", [sys.argv[1] + "/**/*.parquet"]).fetchone()
print(json.dumps([str(value) for value in found]))
"#;

/// One odd value makes no text of a number, and what is wild is a text though the first records do not show it.
#[test]
fn what_is_known_of_columns_stays_so_while_the_others_are_learned() {
    let to_folder = ToFolder {
        format: KNOWN,
        ..LEARNED
    };
    let site = Site::new(&to_folder.settings());
    let mut daemon = site.start();
    let line = |number: u64, rest: &str| {
        format!(
            "{{\"id\":{number},\"kind\":\"a\",\"seen\":\"22/11/2026 10:05\",\"http.status\":200,\"+1\":3,{rest}}}\n"
        )
    };
    let usual =
        r#""parameters":{"a":1},"user":{"name":"ada","raw":"x"},"price":1.5,"labels":["x"]"#;
    let lines: String = (0..10).map(|number| line(number, usual)).collect();
    daemon.take("events", lines.as_bytes());
    let version = || metric(site.address, "firehose_schema_version{stream=\"events\"}");
    daemon
        .until("columns are learned", || version() >= 1.0)
        .unwrap();
    let odd = r#""parameters":"text","user":{"raw":[1],"bot":true},"price":"free","labels":{"a":1},"_unknown":1"#;
    let lines: String = (10..20).map(|number| line(number, odd)).collect();
    daemon.take("events", lines.as_bytes());
    daemon.drain();

    let shown = site.command(&["schema", "show", "events"]).done();
    assert_eq!(
        shown,
        "`parameters` string,\n`user` struct<`raw`:string,`name`:string,`bot`:boolean>,\n`seen` timestamp,\n\
         `price` decimal(10,2),\n`id` bigint,\n`kind` string,\n`http_status` bigint,\n`labels` array<string>,\n\
         `_unknown` string\n"
    );
    let lake = site.path("lake/data");
    let found = succeed(Command::new(python()).args(["-c", KNOWN_QUERY]).arg(&lake));
    let found: Vec<String> = serde_json::from_slice(&found).unwrap();
    let seen = "1795341900";
    let expected = ["20", "10", "10", "4000", "20", seen, "20", "20", "10", "10"];
    assert_eq!(found, expected);
    assert_eq!(lake::failed_records(&site.path("lake"), "errors").len(), 0);

    // What has been learned is not made something else.
    let other = KNOWN.replace("parameters string", "id string, parameters string");
    let to_folder = ToFolder {
        format: &other,
        ..LEARNED
    };
    site.configure(&to_folder.settings());
    site.start().drain();
    let log = fs::read_to_string(site.log()).unwrap();
    let told = log.lines();
    let told: Vec<&str> = told
        .filter(|line| line.contains("`infer_columns` says types"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("\"id\""), "{told:?}");
    let again = site.command(&["schema", "show", "events"]).done();
    assert_eq!(again, shown);
}
