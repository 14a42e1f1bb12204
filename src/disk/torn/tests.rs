//! The simulated disk keeps what was synced, and sooner or later loses whatever was not.

use super::*;

fn bytes(disk: &TornDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Existing).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// A disk with one durable file of `len` bytes `a`.
fn with_file(len: usize) -> (TornDisk, Arc<dyn DiskFile>) {
    let disk = TornDisk::new(1);
    let file = disk.open(Path::new("f"), OpenMode::New).unwrap();
    file.write_all_at(&vec![b'a'; len], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    (disk, file)
}

#[test]
fn what_was_synced_survives_every_crash() {
    let (disk, _) = with_file(2000);
    for seed in 0..50 {
        assert_eq!(bytes(&disk.crash(seed), "f"), Some(vec![b'a'; 2000]));
    }
}

#[test]
fn an_unsynced_write_is_kept_dropped_or_torn_at_sectors() {
    let (disk, file) = with_file(2048);
    file.write_all_at(&[b'b'; 1024], 256).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let crashed = bytes(&disk.crash(seed), "f").unwrap();
        assert_eq!(
            crashed,
            bytes(&disk.crash(seed), "f").unwrap(),
            "same seed, same bytes"
        );
        let sectors: Vec<bool> = [256, 512, 1024]
            .into_iter()
            .map(|at| crashed[at] == b'b')
            .collect();
        for (at, byte) in crashed.iter().enumerate() {
            let written = (256..1280).contains(&at) && sectors[at / 512];
            assert_eq!(*byte == b'b', written, "byte {at}");
        }
        seen.insert(sectors);
    }
    assert_eq!(seen.len(), 8, "every combination of three sectors comes up");
}

#[test]
fn names_that_were_not_synced_may_be_undone() {
    let (disk, _) = with_file(1);
    disk.rename(Path::new("f"), Path::new("g")).unwrap();
    let new = disk.open(Path::new("h"), OpenMode::New).unwrap();
    new.sync_data().unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        seen.insert(disk.crash(seed).list(Path::new("")).unwrap());
    }
    let lists = [&["f"][..], &["f", "h"], &["g"], &["g", "h"]];
    let expected: BTreeSet<Vec<String>> = lists
        .iter()
        .map(|list| list.iter().map(|name| (*name).to_owned()).collect())
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_failed_sync_settles_what_is_durable_for_good() {
    let (disk, file) = with_file(512);
    let mut lost = 0;
    for round in 0..40 {
        file.write_all_at(&[round; 512], 0).unwrap();
        disk.fail(DiskOperation::Sync, 1, io::ErrorKind::Other);
        file.sync_data().unwrap_err();
        file.sync_data().unwrap();
        assert_eq!(
            bytes(&disk, "f").unwrap(),
            [round; 512],
            "it still reads as written"
        );
        lost += u32::from(bytes(&disk.crash(0), "f").unwrap() != [round; 512]);
    }
    assert!(
        lost > 0,
        "a sync after a failed one must not bring the bytes back"
    );
}

#[test]
fn a_full_disk_and_a_lost_power_say_so() {
    let (disk, file) = with_file(512);
    disk.set_capacity(600);
    file.write_all_at(&[1; 88], 512).unwrap();
    let full = file.write_all_at(&[1; 1], 600).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    disk.power_off_after(1);
    file.write_all_at(&[2; 88], 512).unwrap();
    assert!(disk.is_off());
    assert!(file.sync_data().is_err());
    assert!(disk.open(Path::new("f"), OpenMode::Existing).is_err());
}
