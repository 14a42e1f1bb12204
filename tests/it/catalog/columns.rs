//! The columns of the catalog's table: those that a stream learns reach it, and what others keep there stays.

use serde_json::{Value, json};

use super::{HIVE, ToTable, all_told, count, told};
use crate::support::daemon::{Daemon, Site, was_killed};
use crate::support::http::get;
use crate::support::moto::{GlueDatabase, Moto};
use crate::support::scripted::scripted;
use crate::support::servers::Weed;

fn send(daemon: &mut Daemon, records: &[Value]) {
    let lines = records.iter().map(|record| {
        let mut record = record.clone();
        record["ts"] = "2026-11-22T10:00:00Z".into();
        format!("{record}\n")
    });
    daemon.take("clicks", lines.collect::<String>().as_bytes());
}

/// Waits until the table was given so many columns and fields, or wider types of them, since the start.
fn widened(site: &Site, daemon: &mut Daemon, changes: &str) {
    daemon
        .until("the table has wider columns", || {
            count(site, "widened_columns_total") == changes
        })
        .unwrap();
}

fn columns(database: &GlueDatabase) -> Value {
    database.table("clicks")["StorageDescriptor"]["Columns"].clone()
}

fn column(name: &str, kind: &str) -> Value {
    json!({ "Name": name, "Type": kind })
}

#[test]
fn learned_columns_reach_the_table_whoever_changes_it_and_whatever_dies() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let lines = database.lines("clicks", &database.endpoint);
    let to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(format!("{lines}\ncreate = true")),
    };
    let declared = "schema = \"id bigint, k string, tags array<string>\"";
    let learned = "schema = \"infer\"\ninfer_records = 2\ninfer_time = \"1h\"";
    let site = Site::new(&to_table.settings().replace(declared, learned));
    let mut daemon = site.start();
    send(
        &mut daemon,
        &[json!({ "id": 1, "k": "a" }), json!({ "id": 2, "k": "b" })],
    );
    all_told(&site, &mut daemon, "2", "2");
    let mut expected = vec![column("id", "bigint"), column("ts", "timestamp")];
    assert_eq!(columns(&database), json!(expected));
    // No partition is new.
    send(
        &mut daemon,
        &[json!({ "k": "a", "took": 1, "user": { "Name": "x" } })],
    );
    widened(&site, &mut daemon, "2");
    expected.extend([
        column("took", "bigint"),
        column("user", "struct<Name:string>"),
    ]);
    assert_eq!(columns(&database), json!(expected));

    let theirs = json!({ "Name": "theirs", "Type": "date", "Comment": "by hand" });
    expected.push(theirs.clone());
    database.alter("clicks", &json!(expected));
    send(
        &mut daemon,
        &[json!({ "id": 0.5, "k": "c", "user": { "bot": true } })],
    );
    all_told(&site, &mut daemon, "4", "3");
    widened(&site, &mut daemon, "4");
    expected[0] = column("id", "double");
    expected[3] = column("user", "struct<Name:string,bot:boolean>");
    let table = database.table("clicks");
    assert_eq!(table["StorageDescriptor"]["Columns"], json!(expected));
    assert_eq!(table["Parameters"]["theirs"], "1", "{table}");
    let partitions = database.partitions("clicks");
    let is_new = |partition: &&Value| partition["values"][0] == "c";
    let new = partitions.iter().find(is_new).unwrap();
    assert_eq!(new["storage"]["Columns"], json!(expected));
    daemon.drain();

    // Somebody takes a column away, and says of another that it is something else.
    let other = column("took", "boolean");
    database.alter("clicks", &json!([column("id", "double"), other, theirs]));
    let dry = site
        .command(&["catalog", "sync", "clicks", "--dry-run"])
        .done();
    for told in [
        "columns of the table that would change: 2\n  ts timestamp is new\n  user struct<Name:string,bot:boolean> is new\n",
        "stay so: 1\n  took: boolean in the table, bigint in objects\n",
    ] {
        assert!(dry.contains(told), "{dry}");
    }
    let synced = site.command(&["catalog", "sync", "clicks"]).done();
    assert!(
        synced.contains("columns of the table that have changed: 2\n") && !synced.contains("told:"),
        "{synced}"
    );
    let synced = site.command(&["catalog", "sync", "clicks"]).done();
    assert!(!synced.contains("changed"), "{synced}");

    // It is told at the start, and after each change.
    let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", "catalog-before-tell:2")]);
    daemon.ready().unwrap();
    send(&mut daemon, &[json!({ "k": "a", "late": true })]);
    assert!(was_killed(daemon.wait_for_failpoint()));
    let mut daemon = site.start();
    widened(&site, &mut daemon, "1");
    let expected = json!([
        column("id", "double"),
        column("took", "boolean"),
        theirs,
        column("ts", "timestamp"),
        column("user", "struct<Name:string,bot:boolean>"),
        column("late", "boolean"),
    ]);
    assert_eq!(columns(&database), expected);
    assert_eq!(count(&site, "column_conflicts"), "1");
    let mut catalog = Value::Null;
    daemon
        .until("the account has it", || {
            let account = get(site.address, "/streams/clicks").unwrap().text();
            let account: Value = serde_json::from_str(&account).unwrap();
            catalog = account["catalog"].clone();
            catalog["conflicts"] == json!(["took: boolean in the table, bigint in objects"])
        })
        .unwrap();
    assert_eq!(catalog["columnsTrouble"], Value::Null);
    daemon.drain();
    assert_eq!(told(&database).len(), 3);
    let log = std::fs::read_to_string(site.log()).unwrap();
    let said = "a column of the catalog's table has another type than in objects";
    assert!(log.contains(said), "{log}");
}

#[test]
fn declared_columns_are_told_only_where_the_config_says_so() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let location = format!("s3://{}/clicks/", bucket.name);
    database.create("clicks", &location, &["k", "year"]);
    let lines = database.lines("clicks", &database.endpoint);
    let mut to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(lines.clone()),
    };
    let site = Site::new(&to_table.settings());
    let mut daemon = site.start();
    send(&mut daemon, &[json!({ "id": 1, "k": "a" })]);
    all_told(&site, &mut daemon, "1", "1");
    daemon.drain();
    assert_eq!(columns(&database), json!([column("id", "bigint")]));
    to_table.catalog = Some(format!("{lines}\nupdate = true"));
    site.configure(&to_table.settings());
    let mut daemon = site.start();
    widened(&site, &mut daemon, "1");
    daemon.drain();
    let expected = json!([column("id", "bigint"), column("tags", "array<string>")]);
    assert_eq!(columns(&database), expected);

    let declared = "type = \"parquet\"\nschema = \"id bigint, k string, tags array<string>\"";
    site.configure(&to_table.settings().replace(declared, "type = \"json\""));
    let refused = site.command(&["check"]).refused(2);
    assert!(
        refused.contains("`update` cannot give the table columns"),
        "{refused}"
    );
}

#[test]
fn columns_that_the_catalog_refuses_hold_up_neither_objects_nor_partitions() {
    let bucket = Weed::shared().bucket();
    let location = format!("s3://{}/clicks/", bucket.name);
    let (endpoint, _asks) = scripted(move |operation| match operation {
        "GetTable" => Ok(json!({ "Table": {
            "Name": "clicks",
            "VersionId": "1",
            "PartitionKeys": [column("k", "string"), column("year", "string")],
            "StorageDescriptor": { "Columns": [], "Location": location },
        } })),
        "UpdateTable" => Err("AccessDeniedException"),
        _ => Ok(json!({})),
    });
    let database = GlueDatabase {
        endpoint: endpoint.clone(),
        name: "lake".to_owned(),
    };
    let lines = database.lines("clicks", &endpoint);
    let to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(format!("{lines}\nupdate = true")),
    };
    let site = Site::new(&to_table.settings());
    let mut daemon = site.start();
    send(&mut daemon, &[json!({ "id": 1, "k": "a" })]);
    all_told(&site, &mut daemon, "1", "1");
    let mut catalog = Value::Null;
    daemon
        .until("it is told what to do", || {
            let account = get(site.address, "/streams/clicks").unwrap().text();
            let account: Value = serde_json::from_str(&account).unwrap();
            catalog = account["catalog"].clone();
            let trouble = catalog["columnsTrouble"].as_str().unwrap_or_default();
            trouble.contains("glue:UpdateTable")
        })
        .unwrap();
    assert_eq!(catalog["trouble"], Value::Null);
    let page = get(site.address, "/metrics").unwrap().text();
    let failures =
        "firehose_catalog_failures_total{stream=\"clicks\",code=\"AccessDeniedException\"}";
    assert!(page.contains(failures), "{page}");
    daemon.drain();
    let refused = site.command(&["catalog", "sync", "clicks"]).refused(1);
    assert!(refused.contains("glue:UpdateTable"), "{refused}");
}

#[test]
fn columns_are_told_where_partitions_are_refused() {
    let bucket = Weed::shared().bucket();
    let location = format!("s3://{}/clicks/", bucket.name);
    let (endpoint, asks) = scripted(move |operation| match operation {
        "GetTable" => Ok(json!({ "Table": {
            "Name": "clicks",
            "VersionId": "1",
            "PartitionKeys": [column("k", "string"), column("year", "string")],
            "StorageDescriptor": { "Columns": [], "Location": location },
        } })),
        "BatchCreatePartition" => Err("InternalServiceException"),
        _ => Ok(json!({})),
    });
    let database = GlueDatabase {
        endpoint: endpoint.clone(),
        name: "lake".to_owned(),
    };
    let lines = database.lines("clicks", &endpoint);
    let to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(format!("{lines}\nupdate = true")),
    };
    let site = Site::new(&to_table.settings());
    let mut daemon = site.start();
    // This Glue forgets what it is told: at the start two columns are new, and as many again beside each partition.
    send(&mut daemon, &[json!({ "id": 1, "k": "a" })]);
    let mut catalog = Value::Null;
    daemon
        .until("partitions are refused", || {
            let account = get(site.address, "/streams/clicks").unwrap().text();
            let account: Value = serde_json::from_str(&account).unwrap();
            catalog = account["catalog"].clone();
            let trouble = catalog["trouble"].as_str().unwrap_or_default();
            let widened: f64 = count(&site, "widened_columns_total").parse().unwrap();
            trouble.contains("InternalServiceException") && widened >= 4.0
        })
        .unwrap();
    assert_eq!(catalog["columnsTrouble"], Value::Null);
    assert_eq!(count(&site, "told_partitions_total"), "0");
    daemon.drain();
    let mut asked = asks.try_iter();
    let wider = asked.find(|(head, _)| head.contains("UpdateTable"));
    let (_, body) = wider.unwrap();
    let columns = &body["TableInput"]["StorageDescriptor"]["Columns"];
    let expected = json!([column("id", "bigint"), column("tags", "array<string>")]);
    assert_eq!(*columns, expected);
}

#[test]
fn a_table_that_cannot_be_made_of_what_is_learned_is_told_and_holds_up_no_object() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let lines = database.lines("clicks", &database.endpoint);
    let to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(format!("{lines}\ncreate = true")),
    };
    let declared = "type = \"parquet\"\nschema = \"id bigint, k string, tags array<string>\"";
    let learned = "type = \"csv\"\nschema = \"infer\"\ninfer_records = 1";
    let site = Site::new(&to_table.settings().replace(declared, learned));
    let mut daemon = site.start();
    send(&mut daemon, &[json!({ "id": 1, "k": "a" })]);
    let said = "the catalog's table cannot be made of the columns that the stream has learned";
    let why = "column k is called like a partition";
    let is_told = || {
        let log = std::fs::read_to_string(site.log()).unwrap();
        log.lines()
            .any(|line| line.contains(said) && line.contains(why))
    };
    daemon.until("it is told", is_told).unwrap();
    daemon.drain();
    let published = |key: &String| key.starts_with("clicks/k=a/");
    assert!(bucket.keys().iter().any(published));
}
