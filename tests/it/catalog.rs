//! Partitions that the catalog is told of, read back from it by boto3 and from the objects by `DuckDB`.

mod columns;
mod made;
mod sync;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::attack::alarms::judge;
use crate::support::campaign::Failpoints;
use crate::support::command::succeed;
use crate::support::daemon::{Daemon, Site, was_killed};
use crate::support::http::{get, metric};
use crate::support::moto::{GlueDatabase, Moto};
use crate::support::proxy::{Fault, Proxy};
use crate::support::python::python;
use crate::support::servers::{Bucket, Weed};

/// Where a daemon is killed that tells its catalog.
pub const FAILPOINTS: Failpoints = &[("catalog-before-tell", 1), ("catalog-after-tell", 1)];

/// A stream of Parquet, partitioned by `k` and by the year of `ts`.
struct ToTable<'a> {
    bucket: &'a Bucket,
    prefix: &'a str,
    /// The lines of the catalog's table.
    catalog: Option<String>,
}

const HIVE: &str = "clicks/k=!{partitionKeyFromQuery:k}/year=!{eventTime:yyyy}/";
const BARE: &str = "clicks/!{eventTime:yyyy}/!{partitionKeyFromQuery:k}/";

impl ToTable<'_> {
    fn settings(&self) -> String {
        let Self {
            bucket,
            prefix,
            catalog,
        } = self;
        let catalog = catalog.as_ref();
        let catalog = catalog.map_or_else(String::new, |lines| {
            format!("[stream.clicks.catalog]\n{lines}\n")
        });
        format!(
            r#"
state_dir = "state"
[stream.clicks.source]
type = "direct-put"
[stream.clicks.partitioning]
query = "{{k: .k}}"
event_time = ".ts"
[stream.clicks.buffering]
interval = "0s"
[stream.clicks.format]
type = "parquet"
schema = "id bigint, k string, tags array<string>"
[stream.clicks.destination]
{}
prefix = "{prefix}"
error_prefix = "clicks/errors/!{{firehose:error-output-type}}/"
{catalog}"#,
            bucket.table(&bucket.endpoint)
        )
    }
}

fn send(daemon: &mut Daemon, keys: &[&str], year: u32) {
    let lines = keys.iter().enumerate().map(|(id, key)| {
        let record = json!({ "id": id, "k": key, "ts": format!("{year}-11-22T10:00:00Z") });
        format!("{record}\n")
    });
    daemon.take("clicks", lines.collect::<String>().as_bytes());
}

/// The value of a metric of the stream.
fn count(site: &Site, name: &str) -> String {
    metric(
        site.address,
        &format!("firehose_catalog_{name}{{stream=\"clicks\"}}"),
    )
    .to_string()
}

/// Waits until so many objects are published, and the catalog knows so many partitions, since the start.
fn all_told(site: &Site, daemon: &mut Daemon, objects: &str, partitions: &str) {
    let delivered = "firehose_delivered_objects_total{stream=\"clicks\"}";
    daemon
        .until("objects are published, and the catalog knows", || {
            metric(site.address, delivered).to_string() == objects
                && count(site, "told_partitions_total") == partitions
        })
        .unwrap();
}

/// Place and values of each partition.
pub fn told(database: &GlueDatabase) -> BTreeMap<String, Vec<String>> {
    let partitions = database.partitions("clicks").into_iter();
    let strings = |value: &Value| {
        let values = value.as_array().unwrap().iter();
        values
            .map(|value| value.as_str().unwrap().to_owned())
            .collect()
    };
    partitions
        .map(|partition| {
            let place = partition["place"].as_str().unwrap().to_owned();
            (place, strings(&partition["values"]))
        })
        .collect()
}

/// Where objects of data lie in the bucket.
fn places(bucket: &Bucket) -> Vec<String> {
    places_of(bucket, |key| key.ends_with(".parquet"))
}

/// Where such objects lie in the bucket.
pub fn places_of(bucket: &Bucket, is_data: impl Fn(&str) -> bool) -> Vec<String> {
    let keys = bucket.keys().into_iter();
    let mut places: Vec<String> = keys
        .filter(|key| is_data(key))
        .map(|key| {
            let (folder, _) = key.rsplit_once('/').unwrap();
            format!("s3://{}/{folder}/", bucket.name)
        })
        .collect();
    places.sort();
    places.dedup();
    places
}

/// What `DuckDB` reads as the partition of each object: its place below the folder, and the values.
const READ: &str = r#"
import duckdb, json, sys
rows = duckdb.sql(f"""
    select distinct filename, k, year from read_parquet('{sys.argv[1]}/**/*.parquet', filename = true,
        hive_partitioning = true, hive_types_autocast = false)
""").fetchall()
print(json.dumps({name[len(sys.argv[1]) + 1:name.rfind('/') + 1]: [k, year] for name, k, year in rows}))
"#;

/// Keys that are written otherwise than they are, or might be read so.
const ODD: [&str; 9] = [
    "a/b=c",
    "50%",
    "%2F",
    "grüße",
    "..",
    " x +&",
    "tab\tand \"quotes\"",
    "a:b*c?",
    "{x}[y]^\\'",
];

#[test]
fn a_partition_is_known_once_objects_are_in_it_with_the_values_that_readers_find_in_its_place() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let location = format!("s3://{}/clicks/", bucket.name);
    database.create("clicks", &location, &["k", "year"]);
    let to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(database.lines("clicks", &database.endpoint)),
    };
    let site = Site::new(&to_table.settings());
    let checked = site.command(&["check"]).done();
    let line = format!("\n  catalog: table {}.clicks in Glue\n", database.name);
    assert!(checked.contains(&line), "{checked}");
    let mut daemon = site.start();
    send(&mut daemon, &ODD, 2026);
    // Error objects are no partition, though they lie below the table.
    daemon.take("clicks", b"no JSON\n");
    all_told(&site, &mut daemon, "10", "9");
    // Another object of a known partition tells nothing.
    send(&mut daemon, &ODD[..2], 2026);
    send(&mut daemon, &ODD[..1], 2025);
    all_told(&site, &mut daemon, "13", "10");
    let mut catalog = Value::Null;
    daemon
        .until("the account has it", || {
            let account = get(site.address, "/streams/clicks").unwrap().text();
            let account: Value = serde_json::from_str(&account).unwrap();
            catalog = account["catalog"].clone();
            catalog["told"] == 10
        })
        .unwrap();
    assert_eq!(
        (
            &catalog["waiting"],
            &catalog["leftOut"],
            &catalog["trouble"]
        ),
        (&json!(0), &json!(0), &Value::Null)
    );
    let page = get(site.address, "/").unwrap().text();
    assert!(page.contains("<h2>Catalogs</h2>"), "{page}");
    daemon.drain();

    let told = told(&database);
    assert_eq!(told.keys().cloned().collect::<Vec<_>>(), places(&bucket));
    let dir = tempfile::tempdir().unwrap();
    bucket.download(dir.path());
    // Of failed records there are objects that are no Parquet.
    fs::remove_dir_all(dir.path().join("clicks/errors")).unwrap();
    let read = succeed(Command::new(python()).args(["-c", READ]).arg(dir.path()));
    let read: BTreeMap<String, Vec<String>> = serde_json::from_slice(&read).unwrap();
    let read = read
        .into_iter()
        .map(|(place, values)| (format!("s3://{}/{place}", bucket.name), values));
    assert_eq!(read.collect::<BTreeMap<_, _>>(), told);
    let storage = &database.partitions("clicks")[0]["storage"];
    assert_eq!(
        storage["Columns"],
        json!([{ "Name": "id", "Type": "bigint" }])
    );
    assert_eq!(storage["SerdeInfo"]["Parameters"]["own"], "1");
    assert_eq!(storage["SerdeInfo"]["Parameters"], json!({ "own": "1" }));
}

#[test]
fn whatever_dies_between_an_object_and_the_catalog_all_partitions_are_told_after_it() {
    let killed_at = [
        ("published-before-record", 1),
        ("published-after-record", 1),
    ];
    let killed_at = [&killed_at[..], FAILPOINTS].concat();
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let location = format!("s3://{}/clicks", bucket.name);
    database.create("clicks", &location, &["k", "year"]);
    let to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(database.lines("clicks", &database.endpoint)),
    };
    let site = Site::new(&to_table.settings());
    for (year, (failpoint, times)) in (2001..).zip(killed_at) {
        let kill_at = format!("{failpoint}:{times}");
        let mut daemon = site.spawn(&[("FIREHOSE_KILL_AT", &kill_at)]);
        daemon.ready().unwrap();
        send(&mut daemon, &["a", "b", "c"], year);
        assert!(was_killed(daemon.wait_for_failpoint()), "{failpoint}");
        site.start().drain();
        let told = told(&database);
        assert!(
            told.keys().any(|place| place.contains(&year.to_string())),
            "{failpoint}: {told:?}"
        );
        assert_eq!(
            told.into_keys().collect::<Vec<_>>(),
            places(&bucket),
            "{failpoint}"
        );
    }
    assert_eq!(told(&database).len(), 12);
}

#[test]
fn a_catalog_that_is_away_holds_nothing_up_and_is_told_when_it_is_back_after_a_kill_too() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let location = format!("s3://{}/clicks/", bucket.name);
    database.create("clicks", &location, &["year", "k"]);
    let proxy = Proxy::start(Moto::shared().address(), 7, &[]);
    proxy.refuse("POST", "/");
    let to_table = ToTable {
        bucket: &bucket,
        prefix: BARE,
        catalog: Some(database.lines("clicks", &proxy.endpoint())),
    };
    let site = Site::new(&to_table.settings());
    let mut daemon = site.start();
    let delivered = "firehose_delivered_objects_total{stream=\"clicks\"}";
    for (year, objects) in [(2025, "2"), (2026, "4")] {
        send(&mut daemon, &["a/b", "c"], year);
        daemon
            .until("objects are published", || {
                metric(site.address, delivered).to_string() == objects
            })
            .unwrap();
    }
    let what = "The catalog cannot be told of partitions";
    judge(what, &site, &mut daemon, "clicks", || {});
    daemon
        .until("all of them wait", || {
            count(&site, "waiting_partitions") == "4"
        })
        .unwrap();
    let failures = "firehose_catalog_failures_total{stream=\"clicks\",code=\"";
    let page = get(site.address, "/metrics").unwrap().text();
    assert!(page.contains(failures), "{page}");
    daemon.kill();
    assert_eq!(told(&database).len(), 0);

    // What is to be told is in the state: nothing is sent any more.
    let mut daemon = site.start();
    daemon
        .until("it is tried again", || {
            let account = get(site.address, "/streams/clicks").unwrap().text();
            let account: Value = serde_json::from_str(&account).unwrap();
            account["catalog"]["waiting"] == 4 && account["catalog"]["trouble"].is_string()
        })
        .unwrap();
    proxy.calm();
    daemon
        .until("the catalog knows", || {
            count(&site, "waiting_partitions") == "0"
        })
        .unwrap();
    daemon.drain();
    let log = fs::read_to_string(site.log()).unwrap();
    for line in [
        "the catalog is not told of new partitions, and is tried again",
        "the catalog is told of new partitions again",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let expected = [("2025/a%2Fb", "2025", "a/b"), ("2025/c", "2025", "c")];
    let expected = expected
        .into_iter()
        .chain([("2026/a%2Fb", "2026", "a/b"), ("2026/c", "2026", "c")]);
    let expected = expected.map(|(place, year, k)| {
        let values = [year, k].map(str::to_owned).to_vec();
        (format!("{location}{place}/"), values)
    });
    assert_eq!(told(&database), expected.collect());
    // A network that breaks in the midst of it costs nothing but time.
    database.forget("clicks");
    proxy.change(&[(Fault::ResetAfter, 30), (Fault::InternalError, 20)]);
    let mut daemon = site.start();
    send(&mut daemon, &["a/b", "c", "d"], 2026);
    all_told(&site, &mut daemon, "3", "3");
    daemon.drain();
    assert_eq!(told(&database).len(), 3);
}

#[test]
fn what_lies_where_the_table_has_no_partition_is_left_out_and_said_once() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let location = format!("s3://{}/clicks/", bucket.name);
    database.create("clicks", &location, &["k"]);
    let to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(database.lines("clicks", &database.endpoint)),
    };
    let site = Site::new(&to_table.settings());
    let mut daemon = site.start();
    send(&mut daemon, &["a", "b"], 2026);
    let left_out =
        "firehose_catalog_left_out_partitions_total{stream=\"clicks\",reason=\"no-partition\"}";
    daemon
        .until("both places are left out", || {
            metric(site.address, left_out).to_string() == "2"
        })
        .unwrap();
    send(&mut daemon, &["a", "b"], 2026);
    let delivered = "firehose_delivered_objects_total{stream=\"clicks\"}";
    daemon
        .until("more lie there", || {
            metric(site.address, delivered).to_string() == "4"
        })
        .unwrap();
    assert_eq!(metric(site.address, left_out).to_string(), "2");
    daemon.drain();
    assert_eq!(told(&database).len(), 0);
    let log = fs::read_to_string(site.log()).unwrap();
    let said = "a partition is left out of the catalog";
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.contains("partition keys of the table: 1 (k)"), "{log}");
}

#[test]
fn a_missing_table_is_made_where_that_is_wanted_and_a_missing_database_is_told() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let lines = |database: &GlueDatabase| {
        let lines = database.lines("clicks", &database.endpoint);
        format!("{lines}\ncreate = true")
    };
    let nowhere = GlueDatabase {
        name: "nowhere".to_owned(),
        ..database.clone()
    };
    let mut to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(lines(&nowhere)),
    };
    let site = Site::new(&to_table.settings());
    let mut daemon = site.start();
    send(&mut daemon, &["a"], 2026);
    daemon
        .until("it is told what to do", || {
            let account = get(site.address, "/streams/clicks").unwrap().text();
            account.contains("create database nowhere in Glue")
        })
        .unwrap();
    daemon.drain();

    // What waits is told to the table that is named now.
    to_table.catalog = Some(lines(&database));
    site.configure(&to_table.settings());
    let mut daemon = site.start();
    daemon
        .until("the catalog knows", || {
            count(&site, "told_partitions_total") == "1"
        })
        .unwrap();
    daemon.drain();
    let table = database.table("clicks");
    let storage = &table["StorageDescriptor"];
    assert_eq!(storage["Location"], format!("s3://{}/clicks/", bucket.name));
    assert_eq!(
        storage["Columns"],
        json!([{ "Name": "id", "Type": "bigint" }, { "Name": "tags", "Type": "array<string>" }]),
        "a column that is a partition stands once"
    );
    assert_eq!(
        storage["SerdeInfo"]["SerializationLibrary"],
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    );
    assert_eq!(
        table["PartitionKeys"],
        json!([{ "Name": "k", "Type": "string" }, { "Name": "year", "Type": "string" }])
    );
    assert_eq!(told(&database).len(), 1);

    // Without folders that have names there is nothing to call the keys.
    to_table.prefix = BARE;
    site.configure(&to_table.settings());
    let refused = site.command(&["check"]).refused(2);
    assert!(
        refused.contains("`create` cannot make the table"),
        "{refused}"
    );
}
