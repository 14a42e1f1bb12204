//! The end of a journal that nobody has recorded, and that somebody has.

use super::*;

#[tokio::test]
async fn whole_frames_beyond_a_broken_one_count_although_no_end_is_recorded_behind_them() {
    let disk = TornDisk::new(0);
    let opened = open_with(&disk, known(0, None), 64 << 10).unwrap();
    let mut together = tokio::task::JoinSet::new();
    for name in 0..20 {
        let journal = opened.journal.clone();
        together.spawn(async move { journal.append(batch(name)).await.unwrap() });
    }
    together.join_all().await;
    let crashed = disk.crash(0);
    crashed.rot(&segment(1), inside(9), 0x01).unwrap();

    let mut opened = open_with(&crashed, known(1, None), 64 << 10).unwrap();
    assert_eq!(read(&mut opened.reader).await.len(), 19);
    let told = opened.doubtful > 0 || !opened.missing.is_empty();
    assert!(told && exists(&crashed, FileKind::Quarantined, 1));
}

#[tokio::test]
async fn the_last_frame_is_never_lost_without_a_word() {
    for at in [0, 30, 100, 300, 1_063] {
        let disk = TornDisk::new(0);
        let opened = open(&disk, known(0, None));
        append(&opened.journal, 0..3).await;
        let crashed = disk.crash(0);
        crashed
            .rot(&segment(1), HEADER_BYTES + 2 * FRAME + at, 0x01)
            .unwrap();
        let mut opened = open(&crashed, known(1, None));
        append(&opened.journal, 3..4).await;
        let names = read(&mut opened.reader).await;
        assert!(
            opened.doubtful == 1 || names.contains(&2),
            "byte {at}: {names:?}"
        );
    }
}

#[tokio::test]
async fn an_idle_journal_records_its_end() {
    let disk = TornDisk::new(0);
    let settings = JournalSettings {
        idle: Duration::ZERO,
        ..settings(8 << 10)
    };
    let opened = Journal::open(
        Arc::new(disk.clone()),
        Clock::manual(0),
        settings,
        known(0, None),
    );
    let opened = opened.unwrap();
    append(&opened.journal, 0..2).await;
    let synced = disk.count(DiskOperation::Sync);
    append(&opened.journal, 2..3).await;
    // Its own fsync, then that of the mark.
    while disk.count(DiskOperation::Sync) < synced + 2 {
        tokio::task::yield_now().await;
    }
    let crashed = disk.crash(0);
    crashed.rot(&segment(1), inside(2), 0x01).unwrap();
    let opened = open(&crashed, known(1, None));
    assert!(!opened.missing.is_empty() || opened.doubtful > 0);
}

#[tokio::test]
async fn a_newest_segment_that_is_gone_is_a_loud_stop() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..8).await; // three a segment
    let crashed = disk.crash(0);
    crashed.remove(&segment(3)).unwrap();
    let stop = loud_stop(try_open(&crashed, known(1, None)));
    assert!(stop.contains("00003.segment is gone"), "{stop}");
}

#[tokio::test]
async fn after_a_refusal_for_want_of_room_what_is_smaller_fits_and_a_lost_segment_is_still_a_loud_stop()
 {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    let mut accepted = 0;
    while opened.journal.append(batch(accepted)).await.is_ok() {
        accepted += 1;
    }
    let mut small = PutBatch::default();
    small.push(b"small");
    opened.journal.append(small).await.unwrap();
    let released = opened.journal.next_sequence().0 - 2;
    opened.journal.release(Sequence(released)).unwrap();
    append(&opened.journal, 0..1).await;

    let crashed = disk.crash(0);
    let newest = (1..20).rfind(|number| exists(&crashed, FileKind::Segment, *number));
    crashed.remove(&segment(newest.unwrap())).unwrap();
    let stop = loud_stop(try_open(&crashed, known(1, Some(Sequence(released)))));
    assert!(stop.contains(".segment is gone"), "{stop}");
}

/// Nothing need come behind the damage for it to be told.
#[tokio::test]
async fn records_lost_at_the_end_are_told_though_no_record_follows() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..3).await;
    close(opened.journal).await;
    // The next segment says where this one ends.
    close(open(&disk, known(1, None)).journal).await;
    disk.rot(&segment(1), inside(2), 0x01).unwrap();
    let mut opened = open(&disk, known(2, None));
    assert_eq!(opened.missing, [], "it is not looked at before it is read");
    assert_eq!(read(&mut opened.reader).await, [0, 1]);
    let chunk = opened.reader.next(3_000).await.unwrap().unwrap();
    assert!(chunk.is_empty());
    assert_eq!(opened.reader.take_missing(), [numbers(1, 2, 2)]);
    close(opened.journal).await;
    assert!(opened.reader.next(3_000).await.unwrap().is_none());
}

#[tokio::test]
async fn an_opening_tells_when_the_oldest_record_came_that_nobody_has_applied() {
    let disk = TornDisk::new(0);
    let at = |now_ms, known| {
        let disk = Arc::new(disk.clone());
        Journal::open(disk, Clock::manual(now_ms), settings(SEGMENT_BYTES), known).unwrap()
    };
    let opened = at(5, known(0, None));
    assert_eq!(opened.unread, None, "there is none");
    append(&opened.journal, 0..5).await;
    close(opened.journal).await;
    let opened = at(7, known(1, None));
    append(&opened.journal, 5..6).await;
    close(opened.journal).await;
    let (first, second) = (Sequence::first_of(1), Sequence::first_of(2));
    let mut epoch = 1;
    for (frontier, oldest_ms) in [
        (None, Some(5)),
        (Some(first.plus(3)), Some(5)),
        (Some(first.plus(4)), Some(7)),
        (Some(second), None),
    ] {
        epoch += 1;
        let opened = at(9, known(epoch, frontier));
        let unread = oldest_ms.map(|oldest_ms| UnreadRecords {
            oldest_ms,
            next: second.plus(1),
        });
        assert_eq!(opened.unread, unread, "{frontier:?}");
        close(opened.journal).await;
    }
}

#[tokio::test]
async fn an_epoch_of_which_only_frames_tell_is_not_begun_again() {
    let disk = TornDisk::new(0);
    let opened = open(&disk, known(0, None));
    append(&opened.journal, 0..1).await;
    disk.fail(DiskOperation::Sync, 1, ErrorKind::Other);
    opened.journal.append(batch(1)).await.unwrap_err();
    append(&opened.journal, 2..4).await; // epoch 2, which the checkpoint store does not know
    let crashed = disk.crash(0);
    crashed.spoil(&segment(2), 0..HEADER_BYTES).unwrap();

    let mut opened = open(&crashed, known(1, None));
    append(&opened.journal, 4..8).await;
    let names = read(&mut opened.reader).await;
    let accepted = [0, 2, 3, 4, 5, 6, 7];
    assert!(
        accepted.iter().all(|name| names.contains(name)),
        "{names:?}"
    );
}
