//! Columns of a Glue table that daemons which share a stream follow: the table changes under way, one daemon is killed and
//! starts without the catalog, and each object has the columns of one version.

use super::*;
use crate::support::daemon::free_port;
use crate::support::glue::Moto;

/// The columns that the table has, one after the other.
const COLUMNS: [&[(&str, &str)]; 3] = [
    &[("id", "bigint"), ("user", "struct<name:string>")],
    &[
        ("id", "bigint"),
        ("user", "struct<name:string,bot:boolean>"),
        ("took", "double"),
    ],
    // One is gone, and one is of another type.
    &[("took", "double"), ("id", "string")],
];

/// A record as it is in its partition and in the columns of this version of the table; what is null is left out.
fn row(number: u64, version: usize) -> Value {
    let mut record = expected(number);
    let fields = record.as_object_mut().unwrap();
    fields.retain(|name, _| {
        COLUMNS[version - 1]
            .iter()
            .any(|(column, _)| column == name)
    });
    fields.insert("part".to_owned(), json!(number / 60));
    match version {
        1 => record["user"]
            .as_object_mut()
            .unwrap()
            .retain(|name, _| name == "name"),
        3 => record["id"] = json!(number.to_string()),
        _ => {}
    }
    record
}

/// What `DuckDB` finds in each object, without what is null.
const EACH: &str = r#"
import duckdb, glob, json, os, sys
def there(value):
    if isinstance(value, dict):
        return {name: there(inner) for name, inner in value.items() if inner is not None}
    return value
objects = {}
for file in glob.glob(f"{sys.argv[1]}/data/**/*.parquet", recursive=True):
    found = duckdb.sql(f"from read_parquet('{file}')")
    rows = [there(dict(zip(found.columns, row))) for row in found.fetchall()]
    objects[os.path.relpath(file, sys.argv[1])] = rows
print(json.dumps(objects))
"#;

/// Rows by object.
fn objects(bucket: &Bucket) -> BTreeMap<String, Vec<Value>> {
    let lake = tempfile::tempdir().unwrap();
    bucket.download(lake.path());
    let found = succeed(Command::new(python()).args(["-c", EACH]).arg(lake.path()));
    serde_json::from_slice(&found).unwrap()
}

/// The version that a machine knows, as metrics write it.
fn version(site: &Site) -> String {
    metric(site.address, "firehose_schema_version{stream=\"clicks\"}").to_string()
}

/// Waits until so many records are there.
fn until_there(fleet: &Fleet, daemons: &mut [Daemon], records: u64) {
    let begun = Instant::now();
    while objects(&fleet.bucket).values().map(Vec::len).sum::<usize>() as u64 != records {
        assert!(begun.elapsed() < PATIENCE, "records are missing");
        daemons.iter_mut().for_each(Daemon::alive);
    }
}

#[test]
fn daemons_that_share_a_stream_follow_a_table_whoever_is_killed_and_start_without_the_catalog() {
    let database = Moto::shared().database();
    database.put("hits", COLUMNS[0]);
    let fleet = Fleet::new(&database.lines("hits", &database.endpoint));
    let sites = &fleet.sites;
    // One dies before the first version is there, and one after: nothing is delivered.
    for (versions, (name, times)) in FAILPOINTS.iter().enumerate() {
        let at = format!("{name}:{times}");
        let mut dying = sites[0].spawn(&[("FIREHOSE_KILL_AT", &at)]);
        assert!(was_killed(dying.wait_for_failpoint()));
        assert_eq!(fleet.keys(&fleet.chain).len(), versions, "{at}");
    }
    assert_eq!(fleet.keys("data/"), [""; 0]);
    let shown = fleet.reader.command(&["schema", "show", "clicks"]).done();
    assert_eq!(shown, "`id` bigint,\n`user` struct<`name`:string>\n");

    let mut daemons: Vec<_> = sites[..2].iter().map(Site::start).collect();
    let holds = |site: &Site| metric(site.address, "firehose_leases{stream=\"clicks\"}") > 0.0;
    for (site, daemon) in sites.iter().zip(&mut daemons) {
        daemon.until("it has a shard", || holds(site)).unwrap();
    }
    put(&fleet.stream, 0..120);
    until_there(&fleet, &mut daemons, 120);
    assert_eq!(database.put("hits", COLUMNS[1]), "2");
    for (site, daemon) in sites.iter().zip(&mut daemons) {
        let is_there = || version(site) == "2";
        daemon.until("the second version", is_there).unwrap();
    }
    put(&fleet.stream, 120..240);
    // One is killed with what is open, while the table changes.
    daemons.remove(1).kill();
    database.put("hits", COLUMNS[2]);
    put(&fleet.stream, 240..360);
    let is_there = || version(&sites[0]) == "3";
    daemons[0].until("the third version", is_there).unwrap();
    // It comes back where nobody answers for the catalog, and has what the other has put.
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    fleet.configure(&sites[1], &database.lines("hits", &nowhere));
    let mut back = sites[1].start();
    back.until("it has a shard", || holds(&sites[1])).unwrap();
    back.until("it has the columns", || version(&sites[1]) == "3")
        .unwrap();
    daemons.push(back);
    put(&fleet.stream, 360..480);
    until_there(&fleet, &mut daemons, 480);
    fleet.proxy.calm();
    daemons.into_iter().for_each(Daemon::drain);

    let versions = fleet.judge_chain();
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for (key, rows) in objects(&fleet.bucket) {
        let number = versions[&key]["table"]["version"].as_str().unwrap();
        let number: usize = number.parse().unwrap();
        used.insert(number);
        for row_found in rows {
            let id = &row_found["id"];
            let id = id.as_u64().or_else(|| id.as_str()?.parse().ok()).unwrap();
            assert_eq!(row_found, row(id, number), "{key} of version {number}");
            found.push(id);
        }
    }
    found.sort_unstable();
    assert!(found.into_iter().eq(0..480), "each once");
    assert_eq!(used, BTreeSet::from([1, 2, 3]));
    assert_eq!(fleet.keys(&fleet.chain).len(), 3, "nothing flaps");
    let history = fleet
        .reader
        .command(&["schema", "history", "clicks"])
        .done();
    let of = |version| format!(", {}.hits version {version}", database.name);
    let lines: Vec<&str> = history
        .lines()
        .filter(|line| line.starts_with("version"))
        .collect();
    for (line, number) in lines.iter().zip([3, 2, 1]) {
        assert!(line.ends_with(&of(number)), "{history}");
    }
    assert_eq!(lines.len(), 3, "{history}");
}
