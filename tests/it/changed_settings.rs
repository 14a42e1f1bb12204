//! Settings that change between two runs (C7): what was open or waiting ends under those it began
//! with, what comes later goes under the new ones, and each record is delivered once.

use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::{Site, wait_until};
use crate::support::event::{ERROR_PREFIX, PREFIX, QUERY, SCHEMA};
use crate::support::http::metric;
use crate::support::oracle;
use crate::support::producer::{Load, Producer};
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::Weed;

#[test]
fn json_that_was_open_stays_json_when_query_prefixes_and_format_change() {
    // The query gives other keys, without which the new prefix would not compile.
    let after = Settings {
        query: "{kind: .event_type, place: .geo.region}",
        prefix: "later/data/event_type=!{partitionKeyFromQuery:kind}/\
                 region=!{partitionKeyFromQuery:place}/",
        format: &parquet(),
        ..LATER
    };
    let (held, summary) = change(FIRST, after, "^later/");
    let [first, later] = [&summary["first"], &summary["later"]];
    assert!(
        first["parquet"].is_null() && later["json"].is_null(),
        "{summary}"
    );
    assert!(later["parquet"].as_u64() > Some(0), "{summary}");
    assert_eq!(records(first), held, "{summary}");
}

#[test]
fn parquet_that_was_open_stays_parquet_when_only_the_format_of_its_partition_changes() {
    let before = Settings {
        format: &parquet(),
        ..FIRST
    };
    let (held, summary) = change(before, LATER, r"^later/|^data/.*\.gz$");
    let [first, later] = [&summary["first"], &summary["later"]];
    assert!(
        first["json"].is_null() && later["parquet"].is_null(),
        "{summary}"
    );
    assert!(later["json"].as_u64() > Some(0), "{summary}");
    // JSON takes every record: those that did not fit were in the Parquet that was open.
    let misfits = later["format-conversion-failed"].as_u64().unwrap_or(0);
    assert_eq!(records(first) + misfits, held, "{summary}");
}

/// Settings of the one stream.
#[derive(Clone, Copy)]
struct Settings<'a> {
    query: &'a str,
    prefix: &'a str,
    format: &'a str,
    /// What stands before the prefixes of errors and backup.
    head: &'a str,
    /// The backup's compression.
    backup: &'a str,
}

const FIRST: Settings<'_> = Settings {
    query: QUERY,
    prefix: PREFIX,
    format: "type = \"json\"\ncompression = \"gzip\"",
    head: "",
    backup: "none",
};

/// Errors and backup go elsewhere; data as at first.
const LATER: Settings<'_> = Settings {
    head: "later/",
    backup: "gzip",
    ..FIRST
};

fn parquet() -> String {
    format!("type = \"parquet\"\nschema = \"{SCHEMA}\"")
}

/// Runs under `before` until batches are open and objects wait, kills, and runs under `after`, while
/// a producer goes on sending. Returns how many records state listed in between, and the
/// foreign reader's summary.
fn change(before: Settings<'_>, after: Settings<'_>, later: &str) -> (u64, Value) {
    let bucket = Weed::shared().bucket();
    // At first the store takes nothing.
    let refusals = [(Fault::SlowDown, 100)];
    let proxy = Proxy::start(Weed::shared().address(), 1, &refusals);
    let store = bucket.table(&proxy.endpoint());
    let site = Site::new(&before.text(&store));
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    let ledger = site.path("ledger");
    let producer = Producer::start(site.address, "clicks", LOAD, &ledger);
    let gauge = |name: &str| metric(site.address, &format!("{name}{{stream=\"clicks\"}}"));
    let is_amid =
        || gauge("firehose_sealed_waiting") >= 20.0 && gauge("firehose_open_partitions") >= 10.0;
    daemon
        .until("objects wait and batches are open", is_amid)
        .unwrap();
    daemon.kill();

    let listed = site.command(&["state", "list"]).done();
    site.configure(&after.text(&store));
    proxy.calm();
    let daemon = site.start();
    let before = producer.acknowledged();
    wait_until("a thousand more are acknowledged", || {
        producer.acknowledged() > before + 1000
    });
    producer.finish();
    daemon.drain();
    let summary = oracle::judge_change(&ledger, bucket.lake(), Some("raw/"), Some(later));
    (held(&listed), summary.unwrap())
}

/// How many records `state list` says are in batches and objects.
fn held(listed: &str) -> u64 {
    let (_, told) = listed.split_once("holds ").unwrap();
    let (records, batches) = told.split_once(" records (").unwrap();
    assert!(
        !batches.contains(" 0 open") && !batches.contains(" 0 waiting"),
        "{listed}"
    );
    records.parse().unwrap()
}

/// Records under some settings, copies in the backup too.
fn records(under: &Value) -> u64 {
    let counts = under.as_object().unwrap().values();
    counts.map(|count| count.as_u64().unwrap()).sum()
}

const LOAD: Load = Load {
    connections: 3,
    seed: 7,
    pause: Duration::from_millis(5),
    records: 60,
    pad: 400,
    narrow: false,
    joined: false,
};

impl Settings<'_> {
    fn text(&self, store: &str) -> String {
        let Self {
            query,
            prefix,
            format,
            head,
            backup,
        } = self;
        format!(
            r#"
state_dir = "state"
shutdown_grace = "100s"

[stream.clicks.source]
type = "direct-put"

[stream.clicks.partitioning]
query = '{query}'

[stream.clicks.buffering]
size = "64KiB"
interval = "900s"

[stream.clicks.format]
{format}

[stream.clicks.destination]
{store}
prefix = "{prefix}"
error_prefix = "{head}{ERROR_PREFIX}"

[stream.clicks.backup]
prefix = "{head}raw/"
format = {{ type = "json", compression = "{backup}" }}
"#
        )
    }
}
