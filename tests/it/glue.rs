//! Columns that are those of a Glue table: they follow it, and outlast it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::attack::alarms::judge;
use crate::support::command::succeed;
use crate::support::daemon::{Daemon, Site, free_port};
use crate::support::glue::{Database, Moto, start};
use crate::support::http::{get, metric};
use crate::support::lake;
use crate::support::python::python;
use crate::support::scripted::scripted;
use crate::support::settings::ToFolder;

/// A stream whose batches end when they must.
fn settings(format: &str) -> String {
    let to_folder = ToFolder {
        stream: "hits",
        query: "{kind: \"a\"}",
        prefix: "data/kind=!{partitionKeyFromQuery:kind}/",
        interval: "900s",
        format,
    };
    to_folder.settings()
}

fn parquet(database: &Database, endpoint: &str) -> String {
    let lines = database.lines("hits", endpoint);
    settings(&format!("type = \"parquet\"\n{lines}"))
}

fn send(daemon: &mut Daemon, numbers: std::ops::Range<u64>) {
    let line = |number| {
        format!("{{\"id\":{number},\"name\":\"n{number}\",\"took\":{number}.5,\"day\":\"x\"}}\n")
    };
    let lines: Vec<String> = numbers.map(line).collect();
    daemon.take("hits", lines.concat().as_bytes());
}

fn version(site: &Site) -> String {
    metric(site.address, "firehose_schema_version{stream=\"hits\"}").to_string()
}

fn readyz(site: &Site) -> (u16, String) {
    get(site.address, "/readyz").map_or((0, String::new()), |reply| (reply.status, reply.text()))
}

fn account(site: &Site) -> Value {
    let account = get(site.address, "/streams/hits").unwrap();
    serde_json::from_str(&account.text()).unwrap()
}

/// What `PyArrow` finds in each object: its columns with their types, and its records; and `DuckDB` in all of them.
const READ: &str = r#"
import duckdb, glob, json, sys
import pyarrow.parquet as pq
objects = []
for file in glob.glob(f"{sys.argv[1]}/**/*.parquet", recursive=True):
    table = pq.ParquetFile(file).read()
    columns = [[field.name, str(field.type)] for field in table.schema]
    objects.append({"columns": columns, "ids": table["id"].to_pylist()})
rows = duckdb.sql(f"""
    select id, name, took from read_parquet('{sys.argv[1]}/**/*.parquet', union_by_name = true,
        hive_partitioning = false) order by id
""").fetchall()
print(json.dumps({"objects": objects, "rows": rows}))
"#;

#[test]
fn columns_follow_the_table_each_object_has_those_of_one_version_and_a_start_needs_no_catalog() {
    let database = Moto::shared().database();
    database.put("hits", &[("id", "bigint"), ("name", "string")]);
    let site = Site::new(&parquet(&database, &database.endpoint));
    let mut daemon = start(&site);
    daemon.ready().unwrap();
    send(&mut daemon, 0..50);
    let later = [("id", "bigint"), ("name", "string"), ("took", "double")];
    assert_eq!(database.put("hits", &later), "2");
    daemon
        .until("the table's new columns are in force", || {
            version(&site) == "2"
        })
        .unwrap();
    send(&mut daemon, 50..100);
    daemon
        .until("the records are applied", || {
            account(&site)["records"]["read"] == 100
        })
        .unwrap();
    daemon.kill();

    // Nobody is there now: what is kept is in force, and it is said.
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    site.configure(&parquet(&database, &nowhere));
    let mut daemon = start(&site);
    daemon.ready().unwrap();
    send(&mut daemon, 100..150);
    let failures = || {
        metric(
            site.address,
            "firehose_schema_table_failures_total{stream=\"hits\"}",
        )
    };
    daemon
        .until("it was asked for more than once", || failures() > 1.0)
        .unwrap();
    let what = "The Glue table of the columns cannot be read any more";
    judge(what, &site, &mut daemon, "hits", || {});
    let table = account(&site)["glueTable"].clone();
    assert_eq!(table["name"], format!("{}.hits", database.name));
    assert_eq!(table["readAt"], Value::Null);
    let trouble = table["trouble"].as_str().unwrap();
    assert!(trouble.contains("no answer from"), "{trouble}");
    assert!(trouble.contains("`glue_endpoint`"), "{trouble}");
    assert_eq!(readyz(&site).0, 200);
    daemon.drain();

    let lake = site.path("lake/data");
    let found = succeed(Command::new(python()).args(["-c", READ]).arg(&lake));
    let found: Value = serde_json::from_slice(&found).unwrap();
    let rows: Vec<Value> = (0..150)
        .map(|id: u32| {
            let took = (id >= 50).then(|| f64::from(id) + 0.5);
            json!([id, format!("n{id}"), took])
        })
        .collect();
    assert_eq!(found["rows"], json!(rows));
    for object in found["objects"].as_array().unwrap() {
        let ids = object["ids"].as_array().unwrap();
        let is_first = ids[0].as_u64().unwrap() < 50;
        let mut columns = vec![["id", "int64"], ["name", "string"]];
        columns.extend((!is_first).then_some(["took", "double"]));
        assert_eq!(object["columns"], json!(columns), "{object}");
        let alike = |id: &Value| (id.as_u64().unwrap() < 50) == is_first;
        assert!(ids.iter().all(alike), "{object}");
    }
    assert_eq!(lake::failed_records(&site.path("lake"), "errors").len(), 0);
    let shown = site.command(&["schema", "show", "hits"]).done();
    assert_eq!(shown, "`id` bigint,\n`name` string,\n`took` double\n");
    let history = site.command(&["schema", "history", "hits"]).done();
    let lines: Vec<&str> = history.lines().collect();
    let of = |version| format!(", {}.hits version {version}", database.name);
    assert!(lines[0].starts_with("version 2, "), "{history}");
    assert!(lines[0].ends_with(&of(2)), "{history}");
    assert_eq!(lines[1], "  took double is new");
    assert!(lines[2].ends_with(&of(1)), "{history}");
    assert_eq!(lines[3], "  2 columns");
}

#[test]
fn a_stream_waits_for_a_table_that_cannot_be_had_and_loses_nothing() {
    let port = free_port();
    let database = Database {
        endpoint: format!("http://127.0.0.1:{port}"),
        name: "web_0".into(),
    };
    let site = Site::new(&parquet(&database, &database.endpoint));
    let told = site.command(&["schema", "show", "hits"]).refused(2);
    assert!(
        told.contains("it has never read its Glue table web_0.hits"),
        "{told}"
    );
    let mut daemon = start(&site);
    let waits_for = |daemon: &mut Daemon, what: &str| {
        let is_told = || {
            let (status, text) = readyz(&site);
            status == 503 && text.contains("`glue_table`") && text.contains(what)
        };
        daemon.until(what, is_told).unwrap();
    };
    waits_for(&mut daemon, "no answer from http://127.0.0.1:");
    send(&mut daemon, 0..30);
    let what = "The Glue table of the columns was never read";
    judge(what, &site, &mut daemon, "hits", || {});
    // A stop does not wait for it, and says what it leaves.
    let status = daemon.terminate();
    assert!(!status.success(), "{status}");

    let mut daemon = start(&site);
    waits_for(&mut daemon, "no answer from http://127.0.0.1:");
    let moto = Moto::at(port);
    assert_eq!(moto.database().name, database.name);
    waits_for(&mut daemon, "EntityNotFoundException");
    database.put(
        "hits",
        &[("id", "bigint"), ("name", "uniontype<int,string>")],
    );
    waits_for(&mut daemon, "column name: unknown type");
    database.put("hits", &[("id", "bigint"), ("name", "string")]);
    daemon.ready().unwrap();
    send(&mut daemon, 30..60);
    // Columns that cannot be had later change nothing.
    database.put("hits", &[("id", "uniontype<int,string>")]);
    let trouble = || account(&site)["glueTable"]["trouble"].to_string();
    daemon
        .until("it is told", || {
            trouble().contains("column id: unknown type")
        })
        .unwrap();
    assert_eq!(readyz(&site).0, 200);
    daemon.drain();
    let found = succeed(
        Command::new(python())
            .args(["-c", &READ.replace("id, name, took", "id, name")])
            .arg(site.path("lake/data")),
    );
    let found: Value = serde_json::from_slice(&found).unwrap();
    let rows: Vec<Value> = (0..60).map(|id| json!([id, format!("n{id}")])).collect();
    assert_eq!(found["rows"], json!(rows));
    // It was tried more often than it was said.
    let log = fs::read_to_string(site.log()).unwrap();
    let said = log
        .matches("the Glue table of the columns cannot be read")
        .count();
    assert!((3..=8).contains(&said), "{said} times");
}

#[test]
fn a_version_of_a_table_stays_what_it_is() {
    let database = Moto::shared().database();
    database.put("hits", &[("id", "bigint")]);
    database.put("hits", &[("id", "bigint"), ("name", "string")]);
    let lines = database.version_lines("hits", 1);
    let site = Site::new(&settings(&format!(
        "type = \"csv\"\nheader = true\n{lines}\non_unknown_field = \"keep\""
    )));
    let mut daemon = start(&site);
    daemon.ready().unwrap();
    send(&mut daemon, 0..1);
    daemon.drain();
    let objects = lake::objects(&site.path("lake"), "data");
    let text = String::from_utf8(fs::read(&objects[0]).unwrap()).unwrap();
    assert_eq!(
        text,
        "id,_unknown\n0,\"{\"\"name\"\":\"\"n0\"\",\"\"took\"\":0.5,\"\"day\"\":\"\"x\"\"}\"\n"
    );
    assert_eq!(
        site.command(&["schema", "show", "hits"]).done(),
        "`id` bigint,\n`_unknown` string\n"
    );
}

/// The version that is asked for never changes, and cannot be taken: nothing more is heard of it.
#[test]
fn a_stop_does_not_wait_for_columns_that_will_not_come() {
    let database = Moto::shared().database();
    database.put("hits", &[("_unknown", "int"), ("id", "bigint")]);
    let lines = database.version_lines("hits", 1);
    let settings = settings(&format!(
        "type = \"parquet\"\n{lines}\non_unknown_field = \"keep\""
    ));
    let site = Site::new(&format!("shutdown_grace = \"1h\"\n{settings}"));
    let mut daemon = start(&site);
    let what = "is a column of the schema already";
    daemon
        .until(what, || readyz(&site).1.contains(what))
        .unwrap();
    send(&mut daemon, 0..3);
    let status = daemon.terminate();
    assert!(!status.success(), "{status}");
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(log.contains("records cannot be delivered"), "{log}");
}

/// The first request of a daemon whose columns are those of a table in a Glue of ours, by the profile `catalog`. Files of
/// AWS have these profiles.
fn first_request(more: &str, credentials: &str, config: &str) -> (String, Value) {
    let (endpoint, asks) = scripted(|_| {
        let columns = json!([{ "Name": "id", "Type": "bigint" }]);
        Ok(json!({ "Table": { "StorageDescriptor": { "Columns": columns } } }))
    });
    let lines = format!(
        "type = \"parquet\"\nglue_table = \"web.hits\"\nglue_endpoint = \"{endpoint}\"\nglue_profile = \"catalog\"\n{more}"
    );
    let site = Site::new(&settings(&lines));
    let files = [("credentials", credentials), ("config", config)].map(|(name, text)| {
        let file = site.path(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let mut daemon = site.spawn(&[
        ("AWS_SHARED_CREDENTIALS_FILE", &files[0]),
        ("AWS_CONFIG_FILE", &files[1]),
        ("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT"),
        ("AWS_SECRET_ACCESS_KEY", "c"),
    ]);
    daemon.ready().unwrap();
    let asked = asks.recv().unwrap();
    daemon.drain();
    asked
}

#[test]
fn glue_is_asked_by_the_profile_for_the_catalog_and_in_the_region_that_the_config_names() {
    let keys = "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = a\n\
                [catalog]\naws_access_key_id = AKIACATALOG\naws_secret_access_key = b\n";
    let more = "glue_region = \"eu-north-1\"\nglue_catalog_id = \"123456789012\"";
    let (head, body) = first_request(more, keys, "");
    assert!(head.contains("Credential=AKIACATALOG/"), "{head}");
    assert!(head.contains("/eu-north-1/glue/aws4_request"), "{head}");
    let expected = json!({ "CatalogId": "123456789012", "DatabaseName": "web", "Name": "hits" });
    assert_eq!(body, expected);
}

/// A profile may say nothing but the region: the credentials are those that there are without it.
#[test]
fn a_profile_without_credentials_leaves_them_to_what_else_there_is() {
    let others = "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = a\n";
    let config = "[profile catalog]\nregion = eu-north-1\n";
    let (head, _) = first_request("", others, config);
    assert!(head.contains("Credential=AKIAENVIRONMENT/"), "{head}");
    assert!(head.contains("/eu-north-1/glue/aws4_request"), "{head}");
}
