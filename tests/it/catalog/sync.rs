//! `firehose catalog sync`: what is told by hand.

use super::{HIVE, ToTable, all_told, places, send, told};
use crate::support::daemon::Site;
use crate::support::moto::Moto;
use crate::support::servers::Weed;

#[test]
fn the_past_is_told_by_hand_whether_the_daemon_runs_or_not() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let location = format!("s3://{}/clicks/", bucket.name);
    let mut to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: None,
    };
    let site = Site::new(&to_table.settings());
    let mut daemon = site.start();
    send(&mut daemon, &["a", "b", "c/d"], 2025);
    daemon.take("clicks", b"no JSON\n");
    daemon.drain();
    let refused = site.command(&["catalog", "sync", "clicks"]).refused(2);
    assert!(refused.contains("has no catalog"), "{refused}");

    to_table.catalog = Some(database.lines("clicks", &database.endpoint));
    site.configure(&to_table.settings());
    let missing = site.command(&["catalog", "sync", "clicks"]).refused(1);
    assert!(missing.contains("EntityNotFoundException"), "{missing}");
    assert!(missing.contains("firehose schema show"), "{missing}");
    database.create("clicks", &location, &["k", "year"]);
    bucket.put("clicks/notes.txt", b"somebody else's");
    let dry = site
        .command(&["catalog", "sync", "clicks", "--dry-run"])
        .done();
    assert!(dry.contains("would be told: 3\n"), "{dry}");
    assert!(dry.contains("left out: 1\n"), "{dry}");
    assert_eq!(told(&database).len(), 0);
    let synced = site.command(&["catalog", "sync", "clicks"]).done();
    let line = format!("  {location}k=c%2Fd/year=2025/\n");
    assert!(
        synced.contains("\ntold: 3\n") && synced.contains(&line),
        "{synced}"
    );
    assert_eq!(told(&database).into_keys().collect::<Vec<_>>(), {
        let mut places = places(&bucket);
        places.sort();
        places
    });

    // What somebody has deleted from the catalog, the daemon does not miss.
    let mut daemon = site.start();
    send(&mut daemon, &["a"], 2026);
    all_told(&site, &mut daemon, "1", "1");
    database.forget("clicks");
    let synced = site.command(&["catalog", "sync", "clicks"]).done();
    assert!(synced.contains("\ntold: 4\n"), "{synced}");
    let synced = site.command(&["catalog", "sync", "clicks"]).done();
    assert!(
        synced.contains("in 4 partitions") && !synced.contains("told:"),
        "{synced}"
    );
    daemon.drain();
}

#[test]
fn errors_below_the_prefix_of_data_are_no_partitions() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let location = format!("s3://{}/clicks/", bucket.name);
    database.create("clicks", &location, &["k", "year"]);
    bucket.put("clicks/k=a/year=2025/one.parquet", b"data");
    bucket.put("clicks/format-conversion-failed/2026/two", b"errors");
    let to_table = ToTable {
        bucket: &bucket,
        prefix: HIVE,
        catalog: Some(database.lines("clicks", &database.endpoint)),
    };
    let with_errors_in = |prefix: &str| {
        let usual = "clicks/errors/!{firehose:error-output-type}/";
        to_table.settings().replace(usual, prefix)
    };
    let among = "clicks/!{timestamp:yyyy}/!{firehose:error-output-type}/";
    let site = Site::new(&with_errors_in(among));
    let refused = site.command(&["catalog", "sync", "clicks"]).refused(2);
    assert!(
        refused.contains("error objects of stream clicks lie among those of data"),
        "{refused}"
    );
    site.configure(&with_errors_in(
        "clicks/!{firehose:error-output-type}/!{timestamp:yyyy}/",
    ));
    let synced = site.command(&["catalog", "sync", "clicks"]).done();
    assert!(
        synced.contains("told: 1\n") && !synced.contains("left out"),
        "{synced}"
    );
    let expected = format!("{location}k=a/year=2025/");
    assert_eq!(told(&database).into_keys().collect::<Vec<_>>(), [expected]);
}
