//! A field that is renamed while its batch is open: it is told long before an object is made.

use super::clock::Running;
use super::*;
use crate::config::ColumnSettings;
use crate::format::CsvSettings;
use crate::telemetry::{DriftKind, StreamStatus as _};

/// More than a sample takes of what comes together.
async fn put(intake: &dyn Intake, field: &str) {
    let mut batch = PutBatch::default();
    for id in 0..1000 {
        let record = format!(r#"{{"k":"a","id":{id},"odd":1,"{field}":2}}"#);
        batch.push(record.as_bytes());
    }
    intake.append(batch).await.unwrap();
}

fn rows() -> FormatSettings {
    FormatSettings::new(CsvSettings {
        compression: Compression::None,
        delimiter: ',',
        header: true,
        quote: '"',
        null: String::new(),
        columns: ColumnSettings::of("k string, id bigint, price bigint"),
    })
}

/// What has drifted by now.
fn drift(status: &Status) -> Vec<(DriftKind, String)> {
    let lasting = status.drift().into_iter().filter(|drift| drift.lasts);
    lasting.map(|drift| (drift.kind, drift.path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_field_is_told_under_both_names_while_its_batch_is_open() {
    let (lake, disk) = (tempfile::tempdir().unwrap(), TornDisk::new(1));
    let clock = Clock::manual(1_796_000_000_000);
    let settings = StreamSettings {
        buffering: BufferingSettings::new(64 << 20, Duration::from_mins(15)),
        format: rows(),
        ..settings(lake.path(), SMALL)
    };
    let running = Running::start(settings, &disk, &clock).await;

    let of = |paths: &[(DriftKind, &str)]| -> Vec<(DriftKind, String)> {
        let paths = paths.iter();
        paths
            .map(|(kind, path)| (*kind, (*path).to_owned()))
            .collect()
    };
    let odd = (DriftKind::Unknown, "odd");
    let renamed = [
        (DriftKind::Unknown, "cost"),
        odd,
        (DriftKind::Missing, "price"),
    ];
    let back = [(DriftKind::Unknown, "cost"), odd];
    for (field, applied, expected) in [
        ("price", 1000, &[odd][..]),
        ("cost", 2000, &renamed[..]),
        ("price", 3000, &back[..]),
    ] {
        put(&*running.intake, field).await;
        running
            .until(field, |status| status.snapshot().records_in == applied)
            .await;
        // The sample is as old as it gets.
        clock.advance(Duration::from_secs(20));
        let expected = of(expected);
        running
            .until(field, |status| drift(status) == expected)
            .await;
    }
    let status = &running.status;
    assert_eq!(
        status.snapshot().last_object,
        None,
        "nothing is encoded yet"
    );
    assert!(status.fields().is_empty(), "and so nothing is counted");

    let status = running.end().await;
    assert!(drift(&status).is_empty(), "who does not run says nothing");
    assert_eq!(status.snapshot().records_delivered, 3000);
}
