//! The journal on a real file system, step by step.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::disk::HostDisk;

const INCARNATION: Uuid = Uuid::from_u128(0xA11CE);

fn settings(limit: u64, segment_bytes: u64) -> JournalSettings {
    JournalSettings {
        stream: "clicks".to_owned(),
        dir: PathBuf::from("journal"),
        limit,
        segment_bytes,
        idle: Duration::from_hours(1),
    }
}

fn known(epoch: u32, frontier: Option<Sequence>) -> JournalCheckpoint {
    JournalCheckpoint {
        incarnation: INCARNATION,
        epoch,
        frontier,
    }
}

fn open(
    root: &Path,
    settings: JournalSettings,
    known: JournalCheckpoint,
) -> Result<OpenedJournal, JournalError> {
    let disk = HostDisk::new(root).unwrap();
    Journal::open(Arc::new(disk), Clock::manual(1_000), settings, known)
}

fn batch(records: &[&[u8]]) -> PutBatch {
    let mut batch = PutBatch::default();
    for record in records {
        batch.push(record);
    }
    batch
}

/// All that is left to read of a stopped journal.
async fn drain(reader: &mut JournalReader, max_bytes: usize) -> Vec<(Sequence, Vec<u8>)> {
    let mut records = Vec::new();
    while let Some(chunk) = reader.next(max_bytes).await.unwrap() {
        records.extend(chunk.iter().map(|record| {
            assert_eq!(record.arrival_ms, 1_000);
            (
                record.position.sequence.narrow().unwrap(),
                record.data.to_vec(),
            )
        }));
    }
    records
}

#[tokio::test]
async fn what_is_accepted_is_read_in_order_here_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path(), settings(1 << 20, 1 << 16), known(0, None)).unwrap();
    assert_eq!(opened.epoch, 1);
    let large = vec![b'x'; 100_000];
    let accepted = opened
        .journal
        .append(batch(&[b"one", b"", b"three"]))
        .await
        .unwrap();
    assert_eq!(
        accepted,
        Accepted {
            first: Sequence::first_of(1),
            count: 3
        }
    );
    opened.journal.append(batch(&[&large])).await.unwrap();
    opened.journal.append(batch(&[b"five"])).await.unwrap();
    opened.journal.stop();
    let refused = opened.journal.append(batch(&[b"six"])).await;
    assert!(matches!(refused, Err(Refused::Stopping { .. })));
    let mut reader = opened.reader;
    let first = drain(&mut reader, 10).await;
    let expected: Vec<Vec<u8>> = vec![
        b"one".into(),
        b"".into(),
        b"three".into(),
        large,
        b"five".into(),
    ];
    let bytes: Vec<Vec<u8>> = first.iter().map(|(_, data)| data.clone()).collect();
    assert!(bytes == expected);
    opened.journal.stopped().await;

    let frontier = Some(Sequence::first_of(1).plus(1));
    let opened = open(dir.path(), settings(1 << 20, 1 << 16), known(1, frontier)).unwrap();
    assert_eq!((opened.epoch, opened.missing.len()), (2, 0));
    opened.journal.append(batch(&[b"six"])).await.unwrap();
    opened.journal.stop();
    let mut reader = opened.reader;
    let again = drain(&mut reader, 1 << 20).await;
    assert!(again[..3] == first[2..]);
    assert_eq!(again[3], (Sequence::first_of(2), b"six".to_vec()));
}
