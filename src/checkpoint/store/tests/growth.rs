//! Crashes and full disks while a transaction makes the files larger: redb syncs in the middle of it then.

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::batch;
use crate::checkpoint::OpenBatch;
use crate::checkpoint::STORE;
use crate::checkpoint::store::{CheckpointStore, Commit, StoreError, StoredState};
use crate::disk::{DiskOperation, TornDisk};

/// Batches of the transaction.
const LARGER: usize = 20;

fn open(disk: &TornDisk) -> Result<(CheckpointStore, StoredState), StoreError> {
    CheckpointStore::open(disk, Path::new(STORE), 0)
}

/// Batches with rows of about so many bytes.
fn batches(count: usize, bytes: usize) -> Commit {
    let batches = std::iter::repeat_with(|| OpenBatch {
        identity: "x".repeat(bytes),
        ..batch(Uuid::new_v4())
    });
    Commit {
        open: batches.take(count).collect(),
        ..Commit::default()
    }
}

/// What grows the files, which begin with some hundred KiB, in a few writes.
fn larger() -> Commit {
    batches(LARGER, 200_000)
}

/// A disk with a store of one small checkpoint, as a stop leaves it.
fn laid() -> TornDisk {
    let disk = TornDisk::new(0);
    let (store, _) = open(&disk).unwrap();
    store.commit(&batches(1, 1)).unwrap();
    drop(store);
    disk.crash(0)
}

/// Opens what a crash or a fault has left; the whole transaction is there, or nothing of it.
fn is_there(disk: &TornDisk, what: &str) -> bool {
    let (_, found) = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(found.damaged, [""; 0], "{what}");
    assert!([1, 1 + LARGER].contains(&found.open.len()), "{what}");
    found.open.len() > 1
}

#[test]
fn a_power_failure_while_the_files_grow_stops_nothing() {
    let laid = laid();
    let (mut calls, mut there) = (1, 0);
    loop {
        let disk = laid.crash(calls);
        let (store, _) = open(&disk).unwrap();
        let syncs = disk.count(DiskOperation::Sync);
        disk.power_off_after(calls);
        let is_done = store.commit(&larger()).is_ok();
        if is_done {
            let syncs = disk.count(DiskOperation::Sync) - syncs;
            assert!(syncs > 2, "the files did not grow: {syncs} syncs");
            break;
        }
        there += u32::from(is_there(
            &disk.crash(calls),
            &format!("after {calls} calls"),
        ));
        calls += 1;
    }
    assert!(
        calls > 20 && there > 0,
        "{calls} calls, {there} times all of it"
    );
}

#[test]
fn a_call_that_fails_while_the_files_grow_stops_nothing() {
    let laid = laid();
    for operation in [
        DiskOperation::Write,
        DiskOperation::Sync,
        DiskOperation::SetLen,
    ] {
        for nth in 1.. {
            let disk = laid.crash(nth);
            let (store, _) = open(&disk).unwrap();
            disk.fail(operation, nth, io::ErrorKind::StorageFull);
            if store.commit(&larger()).is_ok() {
                assert!(nth > 1, "{operation:?} is never called");
                break;
            }
            drop(store);
            disk.mend();
            is_there(&disk, &format!("{operation:?} {nth}"));
            is_there(
                &disk.crash(nth),
                &format!("{operation:?} {nth}, then a crash"),
            );
        }
    }
}
