//! What a checkpoint frees and releases, and when: not before it is durable.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::super::commit::commit;
use super::super::formats::Unsaved;
use super::runtime;
use crate::checkpoint::{CheckpointStore, Commit, PlaceChanges, STORE};
use crate::clock::Clock;
use crate::disk::{Disk, TornDisk};
use crate::extent::Extent;
use crate::position::{Position, Sequence};
use crate::protocol::Protocol;
use crate::shard::JOURNAL;
use crate::source::direct_put::journal::{Journal, JournalCheckpoint, JournalSettings};
use crate::source::{Intake as _, PutBatch};
use crate::spool::Spool;

/// Store, spool and journal of a stream, opened as recovery does; the error says what is missing.
fn parts(disk: &TornDisk) -> Result<(CheckpointStore, Spool, Journal), String> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (store, found) = CheckpointStore::open(&*disk, Path::new(STORE), 0).unwrap();
    let named = found.open.iter().flat_map(|batch| &batch.blocks);
    let named = named.flat_map(|block| &block.extents).copied();
    let spool = Spool::open(Arc::clone(&disk), Path::new("spool"), named.clone())
        .map_err(|error| error.to_string())?;
    for extent in named {
        assert_eq!(spool.read(extent).unwrap(), b"precious");
    }
    let settings = JournalSettings {
        stream: "torn".into(),
        dir: "journal".into(),
        limit: 1 << 20,
        segment_bytes: 16 << 10,
        idle: Duration::from_hours(1),
    };
    let known = JournalCheckpoint {
        incarnation: found.incarnation,
        epoch: found.epoch,
        frontier: found
            .shards
            .get(JOURNAL)
            .and_then(|state| state.position?.sequence.narrow()),
    };
    let opened = Journal::open(disk, Clock::system(), settings, known);
    let opened = opened.map_err(|error| error.to_string())?;
    store.begin_epoch(opened.epoch, &[], &[]).unwrap();
    Ok((store, spool, opened.journal))
}

/// A disk with some segments of a journal and a checkpoint that has read nothing of it and names a
/// batch; its id, its bytes in the spool, and the journal's last record.
fn laid() -> (TornDisk, Uuid, Vec<Extent>, Sequence) {
    let disk = TornDisk::new(3);
    let (store, spool, journal) = parts(&disk).unwrap();
    let extents = spool.append(&[b"precious"]).unwrap();
    spool.sync().unwrap();
    let id = Uuid::new_v4();
    let batch = serde_json::json!({
        "id": id, "lane": "Data", "identity": "", "opened_ms": 0, "arrival_ms": 0, "records": 1,
        "bytes": 8, "sealing": false, "blocks": [{"encoded": false, "extents": extents}],
        "target": {"store": "", "key": "", "format": 0},
    });
    let checkpoint = Commit {
        open: vec![serde_json::from_value(batch).unwrap()],
        ..Commit::default()
    };
    store.commit(&checkpoint).unwrap();
    let mut last = Sequence::default();
    for _ in 0..10 {
        let mut batch = PutBatch::default();
        batch.push(&[b'r'; 5000]);
        last = runtime().block_on(journal.append(batch)).unwrap().first;
    }
    (disk, id, extents, last)
}

#[test]
fn a_checkpoint_frees_and_releases_nothing_before_it_is_durable() {
    let (laid, id, extents, last) = laid();
    for calls in 1.. {
        // The bytes lie in a file that does not grow any more: when they are freed, it goes.
        let disk = laid.crash(0);
        let (store, spool, journal) = parts(&disk).unwrap();
        let before = journal.bytes();
        disk.power_off_after(calls);
        let mut protocol = Protocol::default();
        let position = Position::of(last);
        protocol.advance(JOURNAL, position).unwrap();
        assert!(protocol.close(id));
        protocol.let_go(extents.clone());
        let draft = protocol.draft().unwrap();
        let committed = commit(
            draft,
            Vec::new(),
            &spool,
            &store,
            &journal,
            Unsaved::default(),
            &PlaceChanges::default(),
        );
        for seed in 0..20 {
            if let Err(error) = parts(&disk.crash(seed)) {
                panic!("power off after {calls} calls: {error}");
            }
        }
        if committed.is_ok() && !disk.is_off() {
            assert_eq!(spool.bytes(), 0, "in the end they are freed");
            assert!(journal.bytes() < before, "in the end it is released");
            return;
        }
    }
}
