//! Sectors that the disk cannot give any more, and disks that give nothing.

use super::*;

#[tokio::test]
async fn a_sector_that_cannot_be_read_costs_the_records_of_its_block_and_is_told() {
    let disk = TornDisk::new(0);
    let opened = open_with(&disk, known(0, None), 64 << 10).unwrap();
    append(&opened.journal, 0..70).await; // 57 in the first segment
    close(opened.journal).await;
    // The fourth block of the file: parts of the frames 7 to 11.
    disk.spoil(&segment(1), 13_000..13_512).unwrap();

    let mut opened = open_with(&disk, known(1, None), 64 << 10).unwrap();
    let whole: Vec<u64> = (0..7).chain(12..70).collect();
    assert_eq!(read(&mut opened.reader).await, whole);
    assert_eq!(opened.reader.take_missing(), [numbers(1, 7, 11)]);
    assert!(exists(&disk, FileKind::Quarantined, 1) && !exists(&disk, FileKind::Segment, 1));
}

/// Records in a frame that is read apart from the window, and the frame's bytes.
const LARGE: u64 = 400;
const LARGE_FRAME: u64 = (56 + LARGE * (4 + 1_000)).next_multiple_of(8);

#[tokio::test]
async fn a_large_frame_with_a_lost_sector_is_lost_alone() {
    // In what was read ahead together with the frame's header, and in what is read for the frame.
    for hole in [8 << 10, 300 << 10] {
        let disk = TornDisk::new(0);
        let opened = open_with(&disk, known(0, None), 4 << 20).unwrap();
        for frame in 0..3 {
            let mut large = PutBatch::default();
            for name in frame * LARGE..(frame + 1) * LARGE {
                large.push(&record(name));
            }
            opened.journal.append(large).await.unwrap();
        }
        close(opened.journal).await;

        let mut opened = open_with(&disk, known(1, None), 4 << 20).unwrap();
        let at = HEADER_BYTES + LARGE_FRAME + hole;
        disk.spoil(&segment(1), at..at + 512).unwrap();
        let whole: Vec<u64> = (0..LARGE).chain(2 * LARGE..3 * LARGE).collect();
        assert_eq!(read(&mut opened.reader).await, whole);
        let lost = numbers(1, LARGE, 2 * LARGE - 1);
        assert_eq!(opened.reader.take_missing(), [lost]);
        assert!(exists(&disk, FileKind::Quarantined, 1));
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_read_costs_no_record() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..9).await;
    close(opened.journal).await;
    disk.spoil(&segment(2), 0..512).unwrap();
    let mut opened = open(&disk, known(1, None));
    assert_eq!(read(&mut opened.reader).await, (0..9).collect::<Vec<_>>());
    assert!(exists(&disk, FileKind::Quarantined, 2));
}

#[tokio::test]
async fn a_disk_that_gives_nothing_has_lost_nothing_yet() {
    let disk = TornDisk::new(0);
    let opened = open_with(&disk, known(0, None), 64 << 10).unwrap();
    append(&opened.journal, 0..70).await;
    close(opened.journal).await;
    let mut opened = open_with(&disk, known(1, None), 64 << 10).unwrap();
    for name in disk.list(Path::new("journal")).unwrap() {
        let path = Path::new("journal").join(name);
        disk.spoil(&path, 0..64 << 10).unwrap();
    }
    let error = opened.reader.available(3_000).await.unwrap_err();
    assert!(matches!(error, JournalError::Io { .. }), "{error}");
    assert!(exists(&disk, FileKind::Segment, 1), "nothing is set aside");

    disk.mend();
    assert_eq!(read(&mut opened.reader).await, (0..70).collect::<Vec<_>>());
    assert_eq!(opened.reader.take_missing(), []);
}

#[tokio::test]
async fn a_segment_of_which_nothing_can_be_read_is_lost_alone() {
    let disk = TornDisk::new(0);
    let opened = open_with(&disk, known(0, None), 64 << 10).unwrap();
    append(&opened.journal, 0..70).await; // 57 in the first segment
    close(opened.journal).await;
    let mut opened = open_with(&disk, known(1, None), 64 << 10).unwrap();
    disk.spoil(&segment(1), 0..64 << 10).unwrap();
    assert_eq!(read(&mut opened.reader).await, (57..70).collect::<Vec<_>>());
    assert_eq!(opened.reader.take_missing(), [numbers(1, 0, 56)]);
    assert!(exists(&disk, FileKind::Quarantined, 1) && !exists(&disk, FileKind::Segment, 1));
}

#[tokio::test]
async fn a_lost_sector_is_believed_only_by_a_disk_that_still_takes_names() {
    let disk = TornDisk::new(0);
    let opened = open_with(&disk, known(0, None), 64 << 10).unwrap();
    append(&opened.journal, 0..70).await;
    close(opened.journal).await;
    let mut opened = open_with(&disk, known(1, None), 64 << 10).unwrap();
    disk.spoil(&segment(1), 13_000..13_512).unwrap();
    disk.fail(DiskOperation::Rename, 1, ErrorKind::Other);
    let mut refused = 0;
    loop {
        match opened.reader.available(3_000).await {
            Ok(chunk) if chunk.is_empty() => break,
            Ok(_) => {}
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, 1);
    assert_eq!(
        opened.reader.take_missing(),
        [numbers(1, 7, 11)],
        "told once"
    );
}
