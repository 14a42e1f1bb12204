//! The promise itself: a daemon that is killed again and again over one growing data set delivers
//! every acknowledged record exactly once, by the producer's ledger and a foreign reader.
//!
//! By hand: `FIREHOSE_KILLS=500 cargo test --test it exactly_once -- --nocapture` (kills a
//! campaign; `FIREHOSE_SEED` repeats the choices of one that failed).

use std::time::Duration;

use crate::agreed;
use crate::catalog;
use crate::coordination;
use crate::support::campaign::{Campaign, Failpoints, say};
use crate::support::daemon::Site;
use crate::support::event::{ERROR_PREFIX, PREFIX, QUERY, SCHEMA};
use crate::support::oracle::{self, Lake};
use crate::support::producer::{Load, Producer};
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::Weed;

/// Rows of the life-of-a-record table that every stream passes.
const EVERYWHERE: Failpoints = &[
    ("apply", 5),
    ("checkpoint-after-commit", 5),
    ("checkpoint-before-commit", 5),
    ("checkpoint-between-copies", 5),
    ("journal-after-fsync", 20),
    ("journal-after-write", 20),
    ("journal-before-write", 20),
    ("journal-new-segment", 1),
    ("publish-after-put", 5),
    ("publish-before-put", 5),
    ("published-after-record", 3),
    ("published-before-record", 3),
    ("recovery-claimed", 1),
    ("recovery-start", 1),
    ("seal", 5),
    ("spool-after-fsync", 5),
    ("spool-after-write", 5),
    ("spool-before-write", 5),
];
/// Needs a whole journal segment of records.
const RELEASE: Failpoints = &[("journal-release", 1)];
const FOLDER_ONLY: Failpoints = &[("publish-after-link", 5)];
/// Passed by objects large enough for a multipart upload, which begins while they fill.
const UPLOADS: Failpoints = &[
    ("apply", 20),
    ("checkpoint-after-commit", 20),
    ("filling-after-part", 2),
    ("filling-begun", 1),
    ("publish-after-put", 1),
    ("publish-before-put", 1),
    ("published-after-record", 1),
    ("published-before-record", 1),
    ("upload-after-complete", 1),
    ("upload-after-part", 3),
];
/// Passed by Parquet objects of several row groups, which are encoded and sent while they fill.
const ROW_GROUPS: Failpoints = &[
    ("apply", 40),
    ("checkpoint-after-commit", 10),
    ("filling-after-part", 1),
    ("filling-begun", 1),
    ("row-groups", 1),
    ("spool-after-fsync", 10),
    ("upload-after-complete", 1),
    ("upload-after-part", 1),
];
/// Where batches end, and what of it lasts.
const BY_TIME: Failpoints = &[
    ("apply", 20),
    ("checkpoint-after-commit", 5),
    ("checkpoint-before-commit", 5),
    ("seal", 20),
];
/// Passed where the disk has damaged a sealed object: `attack/spools.rs` kills there.
pub const MENDED: Failpoints = &[("mended", 1)];
/// What each campaign kills at: together, every row of the table.
const INTO_A_FOLDER: &[Failpoints] = &[EVERYWHERE, RELEASE, FOLDER_ONLY];
const INTO_S3: &[Failpoints] = &[EVERYWHERE];
const LARGE_INTO_S3: &[Failpoints] = &[UPLOADS];
const PARQUET_IN_PARTS: &[Failpoints] = &[ROW_GROUPS];

/// Every failpoint that some campaign kills at.
pub fn killed_at() -> impl Iterator<Item = &'static str> {
    let of_one_machine = [INTO_A_FOLDER, INTO_S3, LARGE_INTO_S3, PARQUET_IN_PARTS].concat();
    let campaigns = [
        of_one_machine,
        vec![
            coordination::FAILPOINTS,
            MENDED,
            catalog::FAILPOINTS,
            agreed::FAILPOINTS,
        ],
    ]
    .concat()
    .concat();
    campaigns.into_iter().map(|(name, _)| name)
}

/// What the network and the store do to a hundred requests.
const FAULTS: &[(Fault, usize)] = &[
    (Fault::InternalError, 3),
    (Fault::SlowDown, 3),
    (Fault::ResetBefore, 4),
    (Fault::ResetAfter, 6),
    (Fault::Slow, 4),
];

#[test]
fn a_folder_holds_every_acknowledged_record_once_whatever_was_killed() {
    let site = Site::new(&settings(
        "size = \"256KiB\"\ninterval = \"1s\"",
        "type = \"json\"\ncompression = \"gzip\"",
        "type = \"folder\"\npath = \"lake\"",
    ));
    let mut campaign = Campaign::new(&site, INTO_A_FOLDER, 34);
    let load = Load {
        connections: 3,
        seed: campaign.seed,
        ..LOAD
    };
    let producer = Producer::start(site.address, "clicks", load, &site.path("ledger"));
    campaign.run();
    let daemon = site.start();
    producer.finish();
    daemon.drain();
    let summary = judge(&site, &campaign, Lake::Folder(&site.path("lake")));
    assert!(
        summary["failed_texts"].as_u64() > Some(0),
        "no text of a record of several has failed by itself: {summary}"
    );
}

#[test]
fn objects_that_end_by_their_size_the_clock_or_in_silence_hold_every_acknowledged_record_once() {
    let site = Site::new(&settings(
        "size = \"64KiB\"\nsize_of = \"object\"\ninterval = \"2s\"\nalign = \"clock\"\nclose_after = \"1s\"",
        "type = \"json\"\ncompression = \"gzip\"",
        "type = \"folder\"\npath = \"lake\"",
    ));
    let mut campaign = Campaign::new(&site, &[BY_TIME], 8);
    let load = Load {
        connections: 3,
        seed: campaign.seed,
        ..LOAD
    };
    let producer = Producer::start(site.address, "clicks", load, &site.path("ledger"));
    campaign.run();
    let daemon = site.start();
    producer.finish();
    daemon.drain();
    judge(&site, &campaign, Lake::Folder(&site.path("lake")));
}

#[test]
fn parquet_in_s3_behind_a_bad_network_holds_every_acknowledged_record_once() {
    let bucket = Weed::shared().bucket();
    let site = Site::new("");
    let mut campaign = Campaign::new(&site, INTO_S3, 26);
    let proxy = Proxy::start(Weed::shared().address(), campaign.seed, FAULTS);
    site.configure(&settings(
        "size = \"1MiB\"\ninterval = \"1s\"",
        &format!("type = \"parquet\"\nschema = \"{SCHEMA}\""),
        &bucket.table(&proxy.endpoint()),
    ));
    let load = Load {
        connections: 3,
        seed: campaign.seed,
        ..LOAD
    };
    deliver(&site, &mut campaign, load, &proxy);
    judge(&site, &campaign, bucket.lake());
}

#[test]
fn large_objects_in_s3_behind_a_bad_network_hold_every_acknowledged_record_once() {
    let bucket = Weed::shared().bucket();
    let site = Site::new("");
    let mut campaign = Campaign::new(&site, LARGE_INTO_S3, 14);
    let proxy = Proxy::start(Weed::shared().address(), campaign.seed, FAULTS);
    site.configure(&settings(
        "size = \"28MiB\"\ninterval = \"900s\"",
        "type = \"json\"\ncompression = \"gzip\"",
        &bucket.table(&proxy.endpoint()),
    ));
    let load = Load {
        seed: campaign.seed,
        ..HEAVY
    };
    deliver(&site, &mut campaign, load, &proxy);
    judge(&site, &campaign, bucket.lake());
    // An upload that no checkpoint has come to name stays behind, but nothing was sent to it (C1).
    assert_eq!(bucket.parts(), 0, "seed {}", campaign.seed);
}

#[test]
fn parquet_of_many_row_groups_sent_while_it_fills_holds_every_acknowledged_record_once() {
    let bucket = Weed::shared().bucket();
    let site = Site::new("");
    let mut campaign = Campaign::new(&site, PARQUET_IN_PARTS, 10);
    let proxy = Proxy::start(Weed::shared().address(), campaign.seed, FAULTS);
    // A batch becomes row groups when memory is short: here at some 24 MiB, if the machine is fast enough. The block size makes
    // several of each batch on any machine. Their rows are sorted, and filters stand behind them.
    site.configure(&format!(
        "memory_limit = \"128MiB\"\n{}",
        settings(
            "size = \"44MiB\"\ninterval = \"900s\"",
            &format!(
                "type = \"parquet\"\nschema = \"{SCHEMA}\"\n\
                 block_size = \"8MiB\"\nsorted_by = [\"value desc\", \"id\"]\n\
                 bloom_filter_columns = [\"id\"]"
            ),
            &bucket.table(&proxy.endpoint()),
        )
    ));
    let load = Load {
        seed: campaign.seed,
        ..HEAVY
    };
    deliver(&site, &mut campaign, load, &proxy);
    let summary = judge(&site, &campaign, bucket.lake());
    assert_eq!(bucket.parts(), 0, "seed {}", campaign.seed);
    assert!(
        summary["row_groups_max"].as_u64() > Some(1),
        "every object has one row group: {summary}"
    );
}

/// Large records of one partition.
const HEAVY: Load = Load {
    connections: 3,
    records: 40,
    pad: 40_000,
    narrow: true,
    ..LOAD
};

/// Records of some hundred bytes at a pace that a test build keeps up with.
const LOAD: Load = Load {
    connections: 1,
    seed: 0,
    pause: Duration::from_millis(5),
    records: 60,
    pad: 400,
    narrow: false,
    joined: true,
};

/// Sends and kills; then the network calms down, and a last process delivers the rest.
fn deliver(site: &Site, campaign: &mut Campaign<'_>, load: Load, proxy: &Proxy) {
    let producer = Producer::start(site.address, "clicks", load, &site.path("ledger"));
    campaign.run();
    producer.finish();
    let counts = proxy.counts();
    say(&format!("requests to the store: {counts:?}"));
    for (fault, _) in FAULTS {
        assert!(
            counts.contains_key(fault),
            "seed {}: {fault:?} hit no request",
            campaign.seed
        );
    }
    proxy.calm();
    // What many kills have left over may take longer than one grace period: the process says so and
    // the next one goes on, so each must get on.
    proxy.passed();
    while !site.start().terminate().success() {
        let requests = proxy.passed();
        let sent = |line: &str| line.starts_with("PUT ") && !line.contains("/.firehose/");
        assert!(
            requests.iter().any(|request| sent(&request.line)),
            "seed {}: a drain sent nothing and did not end well",
            campaign.seed
        );
    }
}

fn judge(site: &Site, campaign: &Campaign<'_>, lake: Lake<'_>) -> serde_json::Value {
    let summary = oracle::judge(&site.path("ledger"), lake, Some("raw/"));
    let summary = summary.unwrap_or_else(|findings| panic!("seed {}: {findings}", campaign.seed));
    campaign.report(&summary);
    summary
}

fn settings(buffering: &str, format: &str, store: &str) -> String {
    format!(
        r#"
state_dir = "state"
shutdown_grace = "100s"

[stream.clicks.source]
type = "direct-put"

[stream.clicks.partitioning]
query = '{QUERY}'

[stream.clicks.buffering]
{buffering}

[stream.clicks.format]
{format}

[stream.clicks.destination]
{store}
prefix = "{PREFIX}"
error_prefix = "{ERROR_PREFIX}"

[stream.clicks.backup]
prefix = "raw/"
"#
    )
}
