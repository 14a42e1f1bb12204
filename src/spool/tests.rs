//! The spool on a real directory.

use std::path::Path;
use std::sync::Arc;

use super::{Flip, Spool, SpoolError, salvage};
use crate::disk::{Disk, HostDisk, OpenMode, TornDisk};
use crate::extent::{Extent, sum};

fn open(dir: &Path, named: &[Extent]) -> Result<Spool, SpoolError> {
    let disk = Arc::new(HostDisk::new(dir).unwrap());
    Spool::open(disk, Path::new("spool"), named.iter().copied())
}

#[test]
fn what_was_appended_is_read_back_and_sums_to_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), &[]).unwrap();
    let big = vec![7; 300_000];
    let pieces: [&[u8]; 4] = [b"one", &big, b"", b"three"];
    let extents = spool.append(&pieces).unwrap();
    for (piece, extent) in pieces.iter().zip(&extents) {
        assert_eq!(&spool.read(*extent).unwrap(), piece);
    }
    let whole = pieces.concat();
    assert_eq!(
        sum(&extents),
        (whole.len() as u64, crc_fast::crc64_nvme(&whole))
    );
}

#[test]
fn reopening_keeps_what_is_named_and_removes_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), &[]).unwrap();
    let kept = spool.append(&[b"kept", b"forgotten"]).unwrap()[0];
    spool.sync().unwrap();
    drop(spool);
    let spool = open(dir.path(), &[kept]).unwrap();
    assert_eq!(spool.read(kept).unwrap(), b"kept");
    assert_eq!(spool.bytes(), 4);
    let fresh = spool.append(&[b"new"]).unwrap()[0];
    assert_ne!(
        fresh.file, kept.file,
        "a reopened spool appends to fresh files only"
    );
}

#[test]
fn a_file_goes_when_its_last_extent_is_freed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), &[]).unwrap();
    let extents = spool.append(&[b"first", b"second"]).unwrap();
    spool.sync().unwrap();
    drop(spool);
    let spool = open(dir.path(), &extents).unwrap();
    spool.free(&extents[..1]).unwrap();
    assert_eq!(spool.read(extents[1]).unwrap(), b"second");
    spool.free(&extents[1..]).unwrap();
    assert_eq!(spool.bytes(), 0);
    assert!(spool.read(extents[1]).is_err());
}

#[test]
fn a_flipped_bit_is_put_right_at_each_reading_and_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), &[]).unwrap();
    let extents = spool.append(&[b"before", b"precious"]).unwrap();
    spool.sync().unwrap();
    let disk = HostDisk::new(dir.path()).unwrap();
    let path = Path::new("spool/0000000000.spool");
    let file = disk.open(path, OpenMode::Existing).unwrap();
    file.write_all_at(&[b'c' ^ 4], 9).unwrap();
    for _ in 0..2 {
        assert_eq!(spool.read(extents[1]).unwrap(), b"precious");
    }
    let flip = Flip {
        file: 0,
        offset: 9,
        bit: 2,
    };
    assert_eq!(spool.take_flips(), [flip]);
    assert_eq!(spool.take_flips(), []);
    let (bytes, wrong) = salvage(&disk, Path::new("spool"), extents[1]).unwrap();
    assert_eq!((&*bytes, wrong), (&b"precious"[..], None));
}

#[test]
fn damaged_and_missing_bytes_are_told_not_returned() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), &[]).unwrap();
    let extent = spool.append(&[b"precious"]).unwrap()[0];
    spool.sync().unwrap();
    let disk = HostDisk::new(dir.path()).unwrap();
    let file = disk
        .open(Path::new("spool/0000000000.spool"), OpenMode::Existing)
        .unwrap();
    file.write_all_at(b"X", 3).unwrap();
    assert!(
        spool
            .read(extent)
            .unwrap_err()
            .to_string()
            .contains("damaged at 0")
    );
    file.set_len(4).unwrap();
    drop(spool);
    let refused = open(dir.path(), &[extent]).unwrap_err().to_string();
    assert!(
        refused.contains("is 4 bytes long, but the checkpoint names 8"),
        "{refused}"
    );
}

#[test]
fn what_a_lost_sector_has_left_of_an_extent_is_salvaged() {
    let disk = TornDisk::new(0);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let spool = Spool::open(shared, Path::new("spool"), std::iter::empty()).unwrap();
    let piece = vec![7; 20_000];
    let extents = spool.append(&[&piece, &piece]).unwrap();
    spool.sync().unwrap();
    disk.spoil(Path::new("spool/0000000000.spool"), 8192..8704)
        .unwrap();
    let (bytes, wrong) = salvage(&disk, Path::new("spool"), extents[0]).unwrap();
    // The block that the sector is in.
    let lost = bytes.iter().enumerate().filter(|(_, byte)| **byte != 7);
    let lost: Vec<usize> = lost.map(|(at, _)| at).collect();
    assert_eq!(lost, (8192..12_288).collect::<Vec<_>>());
    assert_eq!(wrong.as_deref(), Some("0000000000.spool is damaged at 0"));
    let (bytes, wrong) = salvage(&disk, Path::new("spool"), extents[1]).unwrap();
    assert_eq!((bytes, wrong), (piece, None));
}

#[test]
fn an_extent_that_the_disk_does_not_give_is_zeros_and_told() {
    let disk = TornDisk::new(0);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let spool = Spool::open(shared, Path::new("spool"), std::iter::empty()).unwrap();
    let piece = vec![7; 3000];
    let extents = spool.append(&[&piece, &piece, &piece]).unwrap();
    spool.sync().unwrap();
    let path = Path::new("spool/0000000000.spool");
    // All that there is: nothing says that the disk is there.
    disk.spoil(path, 0..9000).unwrap();
    let (bytes, wrong) = salvage(&disk, Path::new("spool"), extents[1]).unwrap();
    assert_eq!(bytes, vec![0; 3000]);
    let wrong = wrong.unwrap();
    assert!(wrong.contains("cannot be read at 3000"), "{wrong}");
    // The disk is there, and has lost the file's blocks.
    let store = disk.open(Path::new("store"), OpenMode::New).unwrap();
    store.write_all_at(b"store", 0).unwrap();
    let lost = spool.read(extents[1]).unwrap_err();
    assert_eq!(lost.kind(), std::io::ErrorKind::InvalidData, "{lost}");
    let (bytes, wrong) = salvage(&disk, Path::new("spool"), extents[1]).unwrap();
    assert_eq!(bytes, vec![0; 3000]);
    assert!(wrong.unwrap().contains("damaged at 3000"));
}

/// Encoding and mending append while a checkpoint syncs.
#[test]
fn what_a_sync_follows_is_durable_whatever_syncs_met_its_writing() {
    for seed in 0..20 {
        let disk = TornDisk::new(seed);
        let spool = |disk: &TornDisk, named: &[Extent]| {
            let disk = Arc::new(disk.clone());
            Spool::open(disk, Path::new("spool"), named.iter().copied())
        };
        let running = spool(&disk, &[]).unwrap();
        let piece = vec![7; 1 << 20];
        let extents = std::thread::scope(|scope| {
            let appended = scope.spawn(|| running.append(&[&*piece; 16]).unwrap());
            while !appended.is_finished() {
                running.sync().unwrap();
            }
            appended.join().unwrap()
        });
        running.sync().unwrap();
        let found = spool(&disk.crash(seed), &extents).unwrap();
        for extent in extents {
            assert!(found.read(extent).unwrap() == piece, "{seed}: {extent:?}");
        }
    }
}
