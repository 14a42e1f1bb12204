//! Holders of several shards that follow one Glue table: one chain of its versions in the bucket, whenever who has asked, and
//! every object has one of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::agreed::{Holding, agreed, holding, numbered, until_in_vain};
use super::*;
use crate::config::GlueTable;
use crate::pipeline::log::tests::bucket::Held;
use crate::schema::SchemaVersion;

/// What the catalog has of a table: its version, when it was made, and its columns. `None`: it does not answer.
type Table = Option<(&'static str, u32, &'static [(&'static str, &'static str)])>;

const FIRST: Table = Some(("9", 10, &[("id", "bigint"), ("k", "string")]));
const SECOND: Table = Some((
    "10",
    10,
    &[("id", "bigint"), ("n", "bigint"), ("k", "string")],
));
/// Columns are gone, and others narrower.
const THIRD: Table = Some(("11", 10, &[("n", "int"), ("id", "bigint")]));
/// The table was dropped, and made again.
const ANEW: Table = Some(("0", 20, &[("id", "string"), ("k", "string")]));

/// A catalog with one table.
struct Catalog {
    endpoint: String,
    table: Arc<Mutex<Table>>,
    asked: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl Catalog {
    async fn start(table: Table) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (table, asked) = (Arc::new(Mutex::new(table)), Arc::<AtomicUsize>::default());
        let state = (Arc::clone(&table), Arc::clone(&asked));
        let router = Router::new().fallback(answer).with_state(state);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            endpoint,
            table,
            asked,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    fn say(&self, table: Table) {
        *self.table.lock().unwrap() = table;
    }

    /// A shard of its own, beside those that have the bucket already.
    async fn followed(&self, beside: Option<&World>) -> World {
        let mut open = shard(&[]);
        open.is_closed = false;
        let mut world = World::new(open).await;
        if let Some(other) = beside {
            world.bucket = Arc::clone(&other.bucket);
        }
        world.follows = Some(self.table());
        world
    }

    fn table(&self) -> GlueTable {
        GlueTable {
            database: "web".into(),
            name: "hits".into(),
            version: None,
            refresh: Duration::from_millis(20),
            catalog_id: None,
            region: None,
            endpoint: Some(self.endpoint.clone()),
            profile: None,
        }
    }

    /// Waits until everybody has had answers that were asked for from now on.
    async fn until_asked(&self, times: usize) {
        let before = self.asked.load(Ordering::Relaxed);
        until("it is asked", || {
            self.asked.load(Ordering::Relaxed) >= before + times
        })
        .await;
    }
}

async fn answer(
    State((table, asked)): State<(Arc<Mutex<Table>>, Arc<AtomicUsize>)>,
) -> (StatusCode, String) {
    let table = *table.lock().unwrap();
    asked.fetch_add(1, Ordering::Relaxed);
    let Some((version, created, columns)) = table else {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    };
    let columns: Vec<Value> = columns
        .iter()
        .map(|(name, kind)| json!({ "Name": name, "Type": kind }))
        .collect();
    let storage = json!({ "Columns": columns });
    let table =
        json!({ "VersionId": version, "CreateTime": created, "StorageDescriptor": storage });
    (StatusCode::OK, json!({ "Table": table }).to_string())
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "in vain: {what}");
}

/// Puts a record behind the others of the shard, and closes it then where that is the last.
fn put(world: &World, numbers: std::ops::Range<u64>, is_last: bool) {
    let records: Vec<String> = numbers
        .map(|id| format!(r#"{{"id":{id},"n":{id},"k":"{}"}}"#, id % 2))
        .collect();
    let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    let longer = world.fake.world().shards[0].clone();
    let mut longer = longer.with(Clock::system().now_ms(), &records);
    longer.is_closed = is_last;
    world.fake.world().shards[0] = longer;
}

/// The numbers of all records that are visible, sorted, each with the header that it has. Each row is whole.
fn rows(world: &World) -> Vec<(u64, String)> {
    let held = world.bucket.held();
    let mut rows = Vec::new();
    for key in held.keys("data/") {
        let text = String::from_utf8(held.objects[&key].1.to_vec()).unwrap();
        let mut lines = text.lines();
        let header = lines.next().unwrap();
        for line in lines {
            let row: Vec<(&str, &str)> = header.split(',').zip(line.split(',')).collect();
            let value = |name| {
                row.iter()
                    .find(|(of, _)| *of == name)
                    .map(|(_, value)| *value)
            };
            let id: u64 = value("id").unwrap().parse().unwrap();
            assert!(
                value("n").is_none_or(|n| n == id.to_string()),
                "{line} under {header}"
            );
            assert!(
                value("k").is_none_or(|k| k == (id % 2).to_string()),
                "{line} under {header}"
            );
            rows.push((id, header.to_owned()));
        }
    }
    rows.sort();
    rows
}

async fn until_delivered(world: &World, count: usize) {
    until("all is delivered", || rows(world).len() == count).await;
}

/// The tables' versions of a chain, which is dense.
fn tables(versions: &[SchemaVersion]) -> Vec<Option<String>> {
    let numbers = versions.iter().map(|version| version.version);
    assert!(
        numbers.eq(1..=u32::try_from(versions.len()).unwrap()),
        "{versions:#?}"
    );
    let of_table = |of: &SchemaVersion| of.table.as_ref()?.version.clone();
    versions.iter().map(of_table).collect()
}

fn known(world: &World) -> u32 {
    world.status.snapshot().schema_version
}

async fn hold(world: &World, hinder: impl Fn(&mut Held)) -> Holding {
    holding(world, world.settings(Duration::from_millis(20)), hinder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_follow_a_table_together_and_no_answer_that_is_older_leads_them_back() {
    let catalog = Catalog::start(FIRST).await;
    let one = catalog.followed(None).await;
    let other = catalog.followed(Some(&one)).await;
    let (first, second) = tokio::join!(hold(&one, |_| ()), hold(&other, |_| ()));
    let drive = async {
        for (index, table) in [FIRST, SECOND, THIRD].into_iter().enumerate() {
            catalog.say(table);
            let newest = u32::try_from(index + 1).unwrap();
            let is_known = || known(&one) == newest && known(&other) == newest;
            until("both know it", is_known).await;
            catalog.until_asked(4).await;
            let from = 100 * u64::from(newest);
            put(&one, from..from + 10, false);
            put(&other, from + 10..from + 20, false);
            until_delivered(&one, 20 * (index + 1)).await;
        }
        // Somebody's answer was long under way.
        for table in [FIRST, SECOND, THIRD] {
            catalog.say(table);
            catalog.until_asked(4).await;
            assert_eq!((known(&one), known(&other)), (3, 3));
        }
        // One that says nothing changes nothing.
        catalog.say(None);
        catalog.until_asked(2).await;
        put(&one, 400..410, false);
        until_delivered(&one, 70).await;
        catalog.say(ANEW);
        until("it is made anew", || known(&one) == 4 && known(&other) == 4).await;
        catalog.until_asked(4).await;
        put(&one, 500..510, true);
        put(&other, 510..520, true);
    };
    let all = async { tokio::join!(first.running, second.running, drive) };
    let ended = tokio::time::timeout(PATIENCE, all).await.expect("they end");
    ended.0.unwrap();
    ended.1.unwrap();
    let versions = agreed(&one).await;
    let expected = ["9", "10", "11", "0"].map(|number| Some(number.to_owned()));
    assert_eq!(tables(&versions), expected);
    let changes: Vec<String> = versions[2]
        .changes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(changes, ["n bigint → int", "k string is gone"]);
    assert_eq!(agreed(&other).await, versions);
    let header = |id: u64| match id / 100 {
        1 | 5 => "id,k",
        2 => "id,n,k",
        _ => "n,id",
    };
    let expected = [100..120, 200..220, 300..320, 400..410, 500..520];
    let expected = expected.into_iter().flatten();
    let expected: Vec<_> = expected.map(|id| (id, header(id).to_owned())).collect();
    assert_eq!(rows(&one), expected);
}

#[tokio::test]
async fn a_version_of_the_table_is_in_the_bucket_before_a_record_is_applied_with_it() {
    let catalog = Catalog::start(FIRST).await;
    let world = catalog.followed(None).await;
    put(&world, 0..40, true);
    let held = hold(&world, |held| held.refused.extend(["PUT".into()])).await;
    let allow = async {
        until_in_vain(&world, 2).await;
        world.bucket.held().refused.clear();
    };
    let both = async { tokio::join!(held.running, allow) };
    let ended = tokio::time::timeout(PATIENCE, both).await;
    ended.expect("it ends").0.unwrap();
    assert_eq!(tables(&agreed(&world).await), [Some("9".to_owned())]);
    assert_eq!(rows(&world).len(), 40);
}

#[tokio::test]
async fn a_start_without_the_catalog_has_the_newest_of_the_chain_and_one_without_any_waits() {
    let catalog = Catalog::start(None).await;
    let world = catalog.followed(None).await;
    let held = hold(&world, |_| ()).await;
    put(&world, 0..10, false);
    let drive = async {
        catalog.until_asked(2).await;
        assert_eq!(world.status.metrics().read_records.get(), 0, "they wait");
        catalog.say(FIRST);
        until_delivered(&world, 10).await;
        held.lease.abandoned.cancel();
    };
    let both = async { tokio::join!(held.running, drive) };
    let ended = tokio::time::timeout(PATIENCE, both).await;
    ended.expect("it ends").0.unwrap();

    catalog.say(None);
    let late = catalog.followed(Some(&world)).await;
    put(&late, 10..20, true);
    let held = hold(&late, |_| ()).await;
    assert_eq!(known(&late), 1);
    let ended = tokio::time::timeout(PATIENCE, held.running).await;
    ended.expect("it ends").unwrap();
    assert_eq!(agreed(&late).await.len(), 1);
    assert_eq!(rows(&late).len(), 20);
    assert!(held.lease.durable().iter().all(|(_, body)| {
        let pin = body.as_ref().map(|body| body.schema.clone());
        pin.is_none_or(|pin| pin.is_some_and(|pin| pin.version == 1))
    }));
}

/// Columns that were learned stay before those of a table, and are widened from these when they are learned again.
#[tokio::test]
async fn a_chain_goes_on_when_columns_are_learned_for_a_while_and_a_tables_then() {
    let catalog = Catalog::start(FIRST).await;
    let world = async |follows: bool, records: &[String], beside: Option<&World>| {
        let mut world = World::new(shard(records)).await;
        world.follows = Some(catalog.table()).filter(|_| follows);
        world.learns = true;
        if let Some(beside) = beside {
            world.bucket = Arc::clone(&beside.bucket);
        }
        let (ended, _) = world.live(Fate::Durable, None, Duration::ZERO).await;
        ended.unwrap();
        world
    };
    let first = world(false, &numbered(0..40), None).await;
    let of_table = world(true, &numbered(40..80), Some(&first)).await;
    let learned = agreed(&of_table).await;
    assert_eq!(tables(&learned), [None, Some("9".to_owned())]);
    assert_eq!(learned[1].columns, "id bigint, k string");
    let third = world(false, &numbered(80..120), Some(&first)).await;
    let versions = agreed(&third).await;
    assert_eq!(versions[..2], learned);
    assert_eq!(versions[2].columns, "id bigint, k string, new0 bigint");
    // The newest is not the table's: what the catalog says now is put behind it.
    world(true, &numbered(120..160), Some(&first)).await;
    let versions = agreed(&third).await;
    let expected = [None, Some("9".to_owned()), None, Some("9".to_owned())];
    assert_eq!(tables(&versions), expected);
    let ids = rows(&first).into_iter().map(|(id, _)| id);
    assert!(ids.eq(0..160));
}
