//! Columns that three daemons learn which share a stream: one chain of versions in the bucket, through kills, as others read
//! what was delivered, and a table in Glue that takes the newest of them and knows every partition.

mod followed;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::catalog::{places_of, told};
use crate::support::campaign::Failpoints;
use crate::support::command::succeed;
use crate::support::daemon::{Daemon, PATIENCE, Site, was_killed};
use crate::support::dynamodb::{Dynalite, LeaseTable};
use crate::support::http::{get, metric};
use crate::support::kinesis::{Kinesalite, Stream};
use crate::support::moto::{GlueDatabase, Moto};
use crate::support::proxy::{Fault, Proxy};
use crate::support::python::python;
use crate::support::servers::{Bucket, Weed};

/// What network and bucket do to a hundred requests.
const FAULTS: &[(Fault, usize)] = &[
    (Fault::SlowDown, 2),
    (Fault::ResetBefore, 1),
    (Fault::ResetAfter, 3),
];

/// Rows of the life-of-a-record table that a daemon passes when it is the first to learn columns.
pub const FAILPOINTS: Failpoints = &[("version-before-put", 1), ("version-after-put", 1)];

/// Where a daemon dies that has columns and partitions to tell.
const WITH_THE_CATALOG: Failpoints = &[("catalog-before-tell", 1), ("catalog-after-tell", 2)];

/// Keys of records, so many that there are some for each shard.
const KEYS: u64 = 12;

/// Rows of columns that are learned.
const LEARNED: &str = "schema = \"infer\"\ninfer_records = 40\ninfer_time = \"1s\"";

fn settings(source: &str, columns: &str, store: &str, catalog: &str) -> String {
    format!(
        r#"
state_dir = "state"
shutdown_grace = "100s"

[stream.clicks.source]
{source}
failover = "2s"

[stream.clicks.partitioning]
query = "{{part: (.id / 60 | floor | tostring)}}"

[stream.clicks.buffering]
size = "1MiB"
interval = "1s"

[stream.clicks.format]
type = "parquet"
{columns}

[stream.clicks.destination]
{store}
prefix = "data/part=!{{partitionKeyFromQuery:part}}/"
error_prefix = "errors/"

[stream.clicks.catalog]
{catalog}
create = true
"#
    )
}

/// A record; from number 120 on with a field that only those of its key have, and from number 240 on with other numbers.
fn record(number: u64) -> Value {
    let mut record = json!({"id": number, "user": {"name": format!("user {}", number % 7)}});
    if number >= 120 {
        record["user"]["bot"] = json!(true);
        record["took"] = json!(number);
        record[format!("of{}", number % KEYS)] = json!(format!("{number}"));
    }
    if number >= 240 {
        record["took"] = json!(0.5);
    }
    record
}

/// The records of each key in one record of the stream.
fn put(stream: &Stream, numbers: std::ops::Range<u64>) {
    for key in 0..KEYS {
        let own = numbers.clone().filter(|number| number % KEYS == key);
        let texts: Vec<String> = own.map(|number| record(number).to_string()).collect();
        stream.put_under(&format!("k{key}"), texts.join("\n").as_bytes());
    }
}

/// What `DuckDB` finds in all objects: the rows, without what is null.
const QUERY: &str = r#"
import duckdb, glob, json, sys
def there(value):
    if isinstance(value, dict):
        return {name: there(inner) for name, inner in value.items() if inner is not None}
    return value
if not glob.glob(f"{sys.argv[1]}/data/**/*.parquet", recursive=True):
    print("[]")
else:
    found = duckdb.sql(f"""from read_parquet('{sys.argv[1]}/data/**/*.parquet', union_by_name = true,
        hive_partitioning = false) order by id""")
    print(json.dumps([there(dict(zip(found.columns, row))) for row in found.fetchall()]))
"#;

fn rows(bucket: &Bucket) -> Vec<Value> {
    let lake = tempfile::tempdir().unwrap();
    bucket.download(lake.path());
    let found = succeed(Command::new(python()).args(["-c", QUERY]).arg(lake.path()));
    serde_json::from_slice(&found).unwrap()
}

/// As it is in columns that took the widest of its values.
fn expected(number: u64) -> Value {
    let mut record = record(number);
    if let Some(took) = record["took"].as_f64() {
        record["took"] = json!(took);
    } else {
        record.as_object_mut().unwrap().remove("took");
    }
    record
}

fn has_leases(page: &str) -> bool {
    let held = "firehose_leases{stream=\"clicks\"} ";
    let mut held = page.lines().filter_map(|line| line.strip_prefix(held));
    held.any(|held| held != "0")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Machines that share a stream and its bucket.
struct Fleet {
    source: String,
    stream: Stream,
    table: LeaseTable,
    bucket: Bucket,
    database: GlueDatabase,
    /// Keys of versions, up to the number.
    chain: String,
    proxy: Proxy,
    sites: Vec<Site>,
    /// It reads what the others write.
    reader: Site,
}

impl Fleet {
    fn new(columns: &str) -> Self {
        let stream = Kinesalite::shared().stream(4);
        let (table, bucket) = (Dynalite::shared().table(), Weed::shared().bucket());
        let (kinesis, leases) = (stream.table(&stream.endpoint), table.lines(&table.endpoint));
        let proxy = Proxy::start(Weed::shared().address(), fastrand::u64(..), FAULTS);
        let source = format!("{kinesis}\n{leases}");
        let database = Moto::shared().database();
        let catalog = database.lines("clicks", &database.endpoint);
        let lay =
            |store: &str| Site::new(&settings(&source, columns, &bucket.table(store), &catalog));
        Self {
            chain: format!("errors/.firehose/{}/schema/", table.name),
            sites: (0..3).map(|_| lay(&proxy.endpoint())).collect(),
            reader: lay(&bucket.endpoint),
            source,
            stream,
            table,
            bucket,
            database,
            proxy,
        }
    }

    /// Starts a machine that dies there, and puts records from when it holds a lease until it does; how many there are then.
    fn kill_at(&self, machine: usize, at: &str, mut records: u64) -> u64 {
        let site = &self.sites[machine];
        let mut dying = site.spawn(&[("FIREHOSE_KILL_AT", at)]);
        let holds = || get(site.address, "/metrics").is_ok_and(|page| has_leases(&page.text()));
        // It may die of what it has to do first.
        if let Err(status) = dying.until("it has a shard", holds) {
            assert!(was_killed(status), "{at}: {status}");
            return records;
        }
        loop {
            put(&self.stream, records..records + KEYS);
            records += KEYS;
            assert!(records < 4000, "it does not come to {at}");
            if let Err(status) = dying.until("more has come", || true) {
                assert!(was_killed(status), "{at}: {status}");
                return records;
            }
        }
    }

    /// Where objects of data lie.
    fn places(&self) -> Vec<String> {
        places_of(&self.bucket, |key| key.starts_with("data/"))
    }

    fn told(&self) -> Vec<String> {
        // The table is made when there is something to be told.
        told(&self.database).into_keys().collect()
    }

    /// The catalog knows all partitions, and its table has the newest columns.
    fn judge_catalog(&self) {
        assert_eq!(self.told(), self.places());
        let items = self.table.items();
        for (shard, item) in items.as_object().unwrap() {
            assert_eq!(item["firehoseWaiting"], "0", "{shard}: {items}");
        }
        let sync = ["catalog", "sync", "clicks", "--dry-run"];
        let said = self.reader.command(&sync).done();
        assert!(said.contains(", and in 0 that it does not\n"), "{said}");
        assert!(!said.contains("columns of the table"), "{said}");
        let storage = self.database.table("clicks")["StorageDescriptor"].clone();
        let columns = storage["Columns"].as_array().unwrap().iter();
        let columns: BTreeSet<String> = columns
            .map(|column| format!("`{}` {}", text(&column["Name"]), text(&column["Type"])))
            .collect();
        let newest = self.reader.command(&["schema", "show", "clicks"]).done();
        let newest = newest
            .replace("<`", "<")
            .replace("`:", ":")
            .replace(",`", ",");
        let newest: BTreeSet<String> = newest
            .lines()
            .map(|line| line.trim_end_matches(',').to_owned())
            .collect();
        assert_eq!(columns, newest);
    }

    fn keys(&self, below: &str) -> Vec<String> {
        let keys = self.bucket.keys().into_iter();
        keys.filter(|key| key.starts_with(below)).collect()
    }

    /// Gives a machine other columns.
    fn configure(&self, site: &Site, columns: &str) {
        let store = self.bucket.table(&self.proxy.endpoint());
        let catalog = self.database.lines("clicks", &self.database.endpoint);
        site.configure(&settings(&self.source, columns, &store, &catalog));
    }

    /// Every record is there once and whole, every object has a version of the chain, and all machines say the same of that.
    fn judge(&self, records: u64) {
        let expected: Vec<Value> = (0..records).map(expected).collect();
        assert_eq!(rows(&self.bucket), expected);
        self.judge_chain();
    }

    /// The version of each object of data, as the history has it: all machines say the same, and none is missing.
    fn judge_chain(&self) -> BTreeMap<String, Value> {
        let history = |site: &Site| {
            site.command(&["schema", "history", "clicks", "--json"])
                .done()
        };
        let told: BTreeSet<String> = self.sites.iter().map(history).collect();
        assert_eq!(told.len(), 1, "{told:#?}");
        let told: Value = serde_json::from_str(told.first().unwrap()).unwrap();
        let versions = told["versions"].as_array().unwrap();
        let numbers = versions.iter().rev();
        let numbers: Vec<_> = numbers
            .map(|one| one["version"].as_u64().unwrap())
            .collect();
        let all = 1..=versions.len() as u64;
        assert!(numbers.iter().copied().eq(all), "{numbers:?}");
        assert_eq!(self.keys(&self.chain).len(), versions.len());
        let others = self.keys("errors/");
        let is_ours = |key: &String| key.contains(".firehose/");
        assert!(others.iter().all(is_ours), "{others:#?}");
        let of = |key: String| {
            let metadata = &self.bucket.get(&key).unwrap().told["metadata"];
            let found = versions
                .iter()
                .find(|one| one["hash"] == metadata["firehose-schema"]);
            let found = found.unwrap_or_else(|| panic!("{key} has {metadata}: {told}"));
            (key, found.clone())
        };
        self.keys("data/").into_iter().map(of).collect()
    }
}

#[test]
fn daemons_that_share_a_stream_agree_on_what_they_learn_whoever_is_killed() {
    let fleet = Fleet::new(LEARNED);
    let Fleet {
        stream,
        bucket,
        sites,
        reader,
        ..
    } = &fleet;
    let show = || reader.command(&["schema", "show", "clicks"]);
    put(stream, 0..120);
    // One dies before the first version is there, and one after: nothing is delivered that has it.
    for (versions, (name, times)) in FAILPOINTS.iter().enumerate() {
        let told = show().refused(2);
        assert!(told.contains("has learned no columns yet"), "{told}");
        let at = format!("{name}:{times}");
        let mut dying = sites[0].spawn(&[("FIREHOSE_KILL_AT", &at)]);
        assert!(was_killed(dying.wait_for_failpoint()));
        assert_eq!(fleet.keys(&fleet.chain).len(), versions, "{at}");
    }
    assert_eq!(fleet.keys("data/"), [""; 0]);
    let first = "`id` bigint,\n`user` struct<`name`:string>\n";
    assert_eq!(show().done(), first);

    let mut daemons: Vec<_> = sites.iter().map(Site::start).collect();
    let holds = |site: &Site| metric(site.address, "firehose_leases{stream=\"clicks\"}") > 0.0;
    for (site, daemon) in sites.iter().zip(&mut daemons) {
        daemon.until("it has a shard", || holds(site)).unwrap();
    }
    put(stream, 120..240);
    let version = |site: &Site| metric(site.address, "firehose_schema_version{stream=\"clicks\"}");
    let is_wider = || version(&sites[1]) > 1.0;
    daemons[1].until("its columns are wider", is_wider).unwrap();
    daemons.remove(1).kill();
    let mut records = fleet.kill_at(1, "shared-committed:1", 240);
    for (name, times) in WITH_THE_CATALOG {
        records = fleet.kill_at(1, &format!("{name}:{times}"), records);
    }
    daemons.push(sites[1].start());
    put(stream, records..records + KEYS);
    records += KEYS;
    let begun = Instant::now();
    while (rows(bucket).len() as u64) < records {
        assert!(begun.elapsed() < PATIENCE, "records are missing");
        daemons.iter_mut().for_each(Daemon::alive);
    }
    let is_told = || fleet.told() == fleet.places();
    daemons[0].until("the catalog knows", is_told).unwrap();
    fleet.proxy.calm();
    daemons.into_iter().for_each(Daemon::drain);
    fleet.judge(records);
    fleet.judge_catalog();
}
