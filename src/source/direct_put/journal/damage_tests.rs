//! Damage, full disks, failing fsyncs, wrong halves: what the journal does about each.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::fresh::FreshFrames;
use super::segment::{FileKind, HEADER_BYTES};
use super::*;
use crate::disk::{DiskOperation, OpenMode, TornDisk};

mod ends;
mod every_byte;
mod salvaged;
mod sectors;

const SEGMENT_BYTES: u64 = 8 << 10;
/// Bytes of a frame with one record of 1,000 bytes.
const FRAME: u64 = 56 + 4 + 1_000 + 4;

fn known(epoch: u32, frontier: Option<Sequence>) -> JournalCheckpoint {
    JournalCheckpoint {
        incarnation: Uuid::from_u128(3),
        epoch,
        frontier,
    }
}

fn try_open(disk: &TornDisk, known: JournalCheckpoint) -> Result<OpenedJournal, JournalError> {
    open_with(disk, known, SEGMENT_BYTES)
}

fn settings(bytes: u64) -> JournalSettings {
    JournalSettings {
        stream: "clicks".to_owned(),
        dir: PathBuf::from("journal"),
        limit: 4 * bytes,
        segment_bytes: bytes,
        idle: Duration::from_hours(1),
    }
}

fn open_with(
    disk: &TornDisk,
    known: JournalCheckpoint,
    bytes: u64,
) -> Result<OpenedJournal, JournalError> {
    let disk = Arc::new(disk.clone());
    Journal::open(disk, Clock::manual(0), settings(bytes), known)
}

fn open(disk: &TornDisk, known: JournalCheckpoint) -> OpenedJournal {
    try_open(disk, known).unwrap()
}

fn record(name: u64) -> Vec<u8> {
    let mut record = vec![7; 1_000];
    record[..8].copy_from_slice(&name.to_le_bytes());
    record
}

fn batch(name: u64) -> PutBatch {
    let mut batch = PutBatch::default();
    batch.push(&record(name));
    batch
}

/// Appends one record after the other, each in its own group commit.
async fn append(journal: &Journal, names: std::ops::Range<u64>) {
    for name in names {
        journal.append(batch(name)).await.unwrap();
    }
}

async fn close(journal: Journal) {
    journal.stop();
    journal.stopped().await;
}

/// The names of all records that can be read now.
async fn read(reader: &mut JournalReader) -> Vec<u64> {
    let mut names = Vec::new();
    loop {
        let chunk = reader.available(3_000).await.unwrap();
        if chunk.is_empty() {
            return names;
        }
        names.extend(
            chunk
                .iter()
                .map(|record| u64::from_le_bytes(record.data[..8].try_into().unwrap())),
        );
    }
}

fn segment(number: u64) -> PathBuf {
    FileKind::Segment.path(Path::new("journal"), number)
}

fn exists(disk: &TornDisk, kind: FileKind, number: u64) -> bool {
    disk.open(&kind.path(Path::new("journal"), number), OpenMode::Existing)
        .is_ok()
}

fn numbers(epoch: u32, first: u64, last: u64) -> MissingRange {
    let start = Sequence::first_of(epoch);
    MissingRange {
        first: start.plus(first),
        last: start.plus(last),
    }
}

/// The offset of a byte inside the nth frame of a segment.
fn inside(frame: u64) -> u64 {
    HEADER_BYTES + frame * FRAME + 300
}

#[tokio::test]
async fn damage_in_an_older_segment_costs_its_record_only_and_is_told() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..10).await; // three a segment
    close(opened.journal).await;
    disk.rot(&segment(2), inside(1), 0x10).unwrap();

    let mut opened = open(&disk, known(1, None));
    assert_eq!(opened.missing, []);
    assert_eq!(read(&mut opened.reader).await, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(opened.reader.take_missing(), [numbers(1, 4, 4)]);
    assert!(exists(&disk, FileKind::Quarantined, 2) && !exists(&disk, FileKind::Segment, 2));
    close(opened.journal).await;

    let opened = open(&disk, known(2, Some(Sequence::first_of(1).plus(8))));
    opened
        .journal
        .release(Sequence::first_of(1).plus(9))
        .unwrap();
    assert!(
        exists(&disk, FileKind::Quarantined, 2),
        "kept for a person to look at"
    );
}

#[tokio::test]
async fn damage_below_the_recorded_end_of_the_last_segment_is_told_at_opening() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..3).await;
    close(opened.journal).await;
    disk.rot(&segment(1), inside(0), 0x01).unwrap();
    disk.rot(&segment(1), inside(1), 0x80).unwrap();

    let mut opened = open(&disk, known(1, None));
    assert_eq!(opened.missing, [numbers(1, 0, 1)]);
    assert!(exists(&disk, FileKind::Quarantined, 1));
    assert_eq!(read(&mut opened.reader).await, [2]);
    assert_eq!(opened.reader.take_missing(), [], "told once");
    append(&opened.journal, 3..5).await;
    assert_eq!(read(&mut opened.reader).await, [3, 4]);
}

#[tokio::test]
async fn a_tail_that_was_brought_over_is_durable_and_never_taken_for_torn() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..1).await;
    let disk = disk.crash(0); // before the journal was idle
    close(open(&disk, known(1, None)).journal).await;
    disk.rot(&segment(2), inside(0), 0x01).unwrap();
    let opened = open(&disk, known(2, None));
    assert_eq!(opened.missing, [], "nothing after it tells its number");
    assert!(exists(&disk, FileKind::Quarantined, 2));
}

#[tokio::test]
async fn damage_while_running_is_read_around_and_writing_moves_on() {
    let disk = TornDisk::new(0);
    let mut opened = open(&disk, known(0, None));
    append(&opened.journal, 0..2).await;
    disk.rot(&segment(1), inside(0), 0x01).unwrap();
    // A reader that has fallen behind finds nothing in memory.
    opened.journal.0.0.segments().fresh = FreshFrames::default();
    assert_eq!(read(&mut opened.reader).await, [1]);
    assert_eq!(opened.reader.take_missing(), [numbers(1, 0, 0)]);
    append(&opened.journal, 2..4).await;
    assert!(exists(&disk, FileKind::Quarantined, 1) && exists(&disk, FileKind::Segment, 2));
    assert_eq!(read(&mut opened.reader).await, [2, 3]);
}

#[tokio::test]
async fn large_appends_are_whole_from_memory_and_from_disk_and_alone_in_their_damage() {
    for (behind, damaged) in [(false, false), (true, false), (true, true)] {
        let disk = TornDisk::new(0);
        let settings = JournalSettings {
            stream: "clicks".to_owned(),
            dir: PathBuf::from("journal"),
            limit: 8 << 20,
            segment_bytes: 2 << 20,
            idle: Duration::from_hours(1),
        };
        let clock = Clock::manual(0);
        let opened = Journal::open(Arc::new(disk.clone()), clock, settings, known(0, None));
        let mut opened = opened.unwrap();
        append(&opened.journal, 0..1).await;
        let mut large = PutBatch::default();
        for name in 1_u64..=400 {
            large.push(&[&name.to_le_bytes(), &[9; 1_000][..]].concat());
        }
        opened.journal.append(large).await.unwrap();
        append(&opened.journal, 401..402).await;
        if behind {
            opened.journal.0.0.segments().fresh = FreshFrames::default();
        }
        if damaged {
            disk.rot(&segment(1), HEADER_BYTES + FRAME + 200_000, 0x01)
                .unwrap();
        }
        let expected = if damaged {
            vec![0, 401]
        } else {
            (0..402).collect()
        };
        assert_eq!(read(&mut opened.reader).await, expected);
        let missing = damaged.then(|| numbers(1, 1, 400));
        let missing: Vec<_> = missing.into_iter().collect();
        assert_eq!(opened.reader.take_missing(), missing);
    }
}

#[tokio::test]
async fn a_destroyed_header_costs_no_record() {
    for destroyed in 1..=3 {
        let disk = TornDisk::new(0);
        let opened = open(&disk, known(0, None));
        append(&opened.journal, 0..9).await;
        close(opened.journal).await;
        for offset in [40, 2_048 + 40] {
            disk.rot(&segment(destroyed), offset, 0xFF).unwrap();
        }
        let mut opened = open(&disk, known(1, None));
        assert_eq!(opened.epoch, 2);
        assert!(exists(&disk, FileKind::Quarantined, destroyed));
        assert_eq!(read(&mut opened.reader).await, (0..9).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_full_journal_refuses_until_a_release_makes_room() {
    let disk = TornDisk::new(0);
    let mut opened = open(&disk, known(0, None));
    let mut accepted = 0;
    let refused = loop {
        match opened.journal.append(batch(accepted)).await {
            Ok(_) => accepted += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, Refused::Full { .. }), "{refused}");
    assert!(opened.journal.bytes() <= 4 * SEGMENT_BYTES);
    assert_eq!(
        read(&mut opened.reader).await,
        (0..accepted).collect::<Vec<_>>()
    );
    for round in 0..50 {
        let last = opened.journal.next_sequence().0 - 1;
        opened.journal.release(Sequence(last)).unwrap();
        append(&opened.journal, round..round + 1).await;
        assert_eq!(
            read(&mut opened.reader).await,
            [round],
            "from recycled files"
        );
        assert!(opened.journal.bytes() <= 4 * SEGMENT_BYTES);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_service_resumes_when_there_is_room() {
    let disk = TornDisk::new(0);
    let mut opened = open(&disk, known(0, None));
    append(&opened.journal, 0..2).await;
    disk.set_capacity(SEGMENT_BYTES + 100);
    append(&opened.journal, 2..3).await;
    for _ in 0..3 {
        let refused = opened.journal.append(batch(99)).await.unwrap_err();
        assert!(matches!(refused, Refused::Disk { .. }), "{refused}");
    }
    disk.set_capacity(u64::MAX);
    append(&opened.journal, 3..4).await;
    assert_eq!(read(&mut opened.reader).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn what_a_failed_fsync_refused_is_never_read_not_even_after_a_crash() {
    for seed in 0..30 {
        let disk = TornDisk::new(seed);
        let mut opened = open(&disk, known(0, None));
        append(&opened.journal, 0..1).await;
        disk.fail(DiskOperation::Sync, 1, ErrorKind::Other);
        let refused = opened.journal.append(batch(99)).await.unwrap_err();
        assert!(matches!(refused, Refused::Disk { .. }), "{refused}");
        if seed % 2 == 0 {
            append(&opened.journal, 1..2).await;
            assert_eq!(
                opened.journal.next_sequence(),
                Sequence::first_of(2).plus(1)
            );
            assert_eq!(read(&mut opened.reader).await, [0, 1]);
        }
        let crashed = disk.crash(seed);
        let mut opened = open(&crashed, known(1, None));
        let expected = if seed % 2 == 0 { vec![0, 1] } else { vec![0] };
        assert_eq!(read(&mut opened.reader).await, expected, "seed {seed}");
    }
}

#[tokio::test]
async fn a_file_whose_fsync_failed_is_never_written_again() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..1).await;
    disk.fail(DiskOperation::Sync, 1, ErrorKind::Other);
    opened.journal.append(batch(99)).await.unwrap_err();
    append(&opened.journal, 1..5).await;
    let last = opened.journal.next_sequence().0 - 1;
    opened.journal.release(Sequence(last)).unwrap();
    assert!(!exists(&disk, FileKind::Segment, 1) && !exists(&disk, FileKind::Spare, 1));
    assert!(
        exists(&disk, FileKind::Spare, 2),
        "a sound file is kept for reuse"
    );
}

#[tokio::test]
async fn a_refusal_waits_until_no_crash_can_bring_the_record_back() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    disk.fail(DiskOperation::Sync, 1, ErrorKind::Other);
    disk.fail(DiskOperation::Create, 1, ErrorKind::StorageFull);
    let journal = opened.journal.clone();
    let doubtful = tokio::spawn(async move { journal.append(batch(99)).await });
    while disk.count(DiskOperation::Create) < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!doubtful.is_finished());
    append(&opened.journal, 1..2).await;
    let refused = doubtful.await.unwrap().unwrap_err();
    assert!(!refused.to_string().contains("unknown"), "{refused}");
    for seed in 0..20 {
        let mut opened = open(&disk.crash(seed), known(1, None));
        assert_eq!(read(&mut opened.reader).await, [1]);
    }
}

#[tokio::test]
async fn recovery_may_be_broken_off_anywhere() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..8).await;
    close(opened.journal).await;
    for calls in 0..12 {
        for seed in 0..20 {
            let mut crashed = disk.crash(seed);
            for again in 0..3 {
                crashed.power_off_after(calls);
                if let Ok(opened) = try_open(&crashed, known(1, None)) {
                    close(opened.journal).await;
                }
                crashed = crashed.crash(seed + again);
            }
            let mut opened = open(&crashed, known(1, None));
            assert_eq!(read(&mut opened.reader).await, [0, 1, 2, 3, 4, 5, 6, 7]);
            close(opened.journal).await;
        }
    }
}

fn loud_stop(opened: Result<OpenedJournal, JournalError>) -> String {
    match opened {
        Err(stop @ JournalError::LoudStop { .. }) => stop.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

#[tokio::test]
async fn wrong_halves_and_gaps_stop_loudly() {
    let disk = TornDisk::new(0);
    let frontier = Some(Sequence::first_of(1));
    let stop = loud_stop(try_open(&disk, known(1, frontier)));
    assert!(stop.contains("holds none"), "{stop}");

    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..8).await;
    close(opened.journal).await;
    let foreign = JournalCheckpoint {
        incarnation: Uuid::from_u128(4),
        ..known(1, None)
    };
    let stop = loud_stop(try_open(&disk, foreign));
    assert!(stop.contains("belongs to state"), "{stop}");
    let stop = loud_stop(try_open(&disk, known(7, None)));
    assert!(stop.contains("older than the checkpoint store"), "{stop}");

    disk.remove(&segment(1)).unwrap();
    let stop = loud_stop(try_open(
        &disk,
        known(1, Some(Sequence::first_of(1).plus(1))),
    ));
    assert!(
        stop.contains("neither delivered nor in the journal"),
        "{stop}"
    );
    let opened = open(&disk, known(1, Some(Sequence::first_of(1).plus(2))));
    close(opened.journal).await;
    disk.remove(&segment(2)).unwrap();
    loud_stop(try_open(&disk, known(2, None)));
}

#[tokio::test]
async fn a_record_that_holds_a_copy_of_a_frame_is_never_taken_for_one() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..1).await;
    let file = disk.open(&segment(1), OpenMode::Existing).unwrap();
    let mut copy = vec![0; usize::try_from(FRAME).unwrap()];
    file.read_exact_at(&mut copy, HEADER_BYTES).unwrap();
    let mut forged = PutBatch::default();
    forged.push(&copy);
    opened.journal.append(forged).await.unwrap();
    append(&opened.journal, 2..3).await;
    close(opened.journal).await;
    // Damage the forged frame's own header: the search for the next frame goes through its data.
    disk.rot(&segment(1), HEADER_BYTES + FRAME + 30, 0xFF)
        .unwrap();
    let mut opened = open(&disk, known(1, None));
    assert_eq!(opened.missing, [numbers(1, 1, 1)]);
    assert_eq!(read(&mut opened.reader).await, [0, 2]);
}
