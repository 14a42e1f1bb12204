//! What a person gets of a journal of which parts cannot be read.

use super::super::salvage;
use super::*;
use crate::source::Salvaged;

const DIR: &str = "journal";

/// A journal of several segments with the records 0 to 69.
async fn laid() -> TornDisk {
    let disk = TornDisk::new(0);
    let opened = open_with(&disk, known(0, None), 32 << 10).unwrap();
    append(&opened.journal, 0..70).await;
    close(opened.journal).await;
    disk
}

/// The names of the records that are found, and what is told.
fn salvaged(disk: &TornDisk) -> (Vec<u64>, Vec<String>) {
    let mut names = Vec::new();
    let mut take = |_: Sequence, _: i64, data: &[u8]| {
        names.push(u64::from_le_bytes(data[..8].try_into().unwrap()));
        Ok(())
    };
    let found = salvage(disk, Path::new(DIR), &mut take).unwrap();
    let Salvaged { records, gaps } = found;
    assert_eq!(records, names.len() as u64);
    (names, gaps)
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_costs_its_own_records_and_is_told() {
    let whole = laid().await;
    let all: Vec<u64> = (0..70).collect();
    assert_eq!(salvaged(&whole), (all.clone(), Vec::new()));
    let reads = whole.count(DiskOperation::Read);
    assert!(reads > 5, "{reads}");
    let mut costly = 0;
    for nth in 1..=reads {
        let disk = laid().await;
        disk.fail(DiskOperation::Read, nth, ErrorKind::PermissionDenied);
        let (found, gaps) = salvaged(&disk);
        // A header is not missed where another one tells what it would have.
        assert!(found == all || gaps.len() == 1, "read {nth}: {found:?}");
        assert!(gaps.len() <= 1 && found.len() >= 40, "{found:?}: {gaps:?}");
        assert!(found.iter().all(|name| all.contains(name)));
        costly += usize::from(found != all);
    }
    assert!(costly > 2, "{costly} of {reads}");
}

#[tokio::test]
async fn a_lost_sector_is_told_of_its_segment() {
    let disk = laid().await;
    disk.spoil(&segment(1), 13_000..13_512).unwrap();
    let (found, gaps) = salvaged(&disk);
    let lost = (0..70).filter(|name| !found.contains(name)).count();
    assert!((1..10).contains(&lost), "{found:?}");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].contains("00000000000000000001.segment"), "{gaps:?}");
}

#[tokio::test]
async fn a_journal_without_a_header_is_told() {
    let disk = laid().await;
    for name in disk.list(Path::new(DIR)).unwrap() {
        disk.spoil(&Path::new(DIR).join(name), 0..HEADER_BYTES)
            .unwrap();
    }
    let (found, gaps) = salvaged(&disk);
    assert_eq!(found, [0; 0]);
    assert!(gaps.len() == 1 && gaps[0].contains("no header"), "{gaps:?}");
}
