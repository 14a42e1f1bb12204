//! The checkpoint store on a real directory.

mod growth;

use std::path::Path;

use uuid::Uuid;

use super::*;
use crate::checkpoint::{Lane, OpenBatch, STORE, SealedObject, SpooledBlock, Target, UntoldPlace};
use crate::disk::HostDisk;
use crate::extent::Extent;
use crate::failure::ErrorOutputType;
use crate::position::Position;
use crate::raw_sum::RawSum;
use crate::shard::{JOURNAL, ShardId, ShardState, SourceName};

fn open(dir: &Path) -> (CheckpointStore, StoredState) {
    let disk = HostDisk::new(dir).unwrap();
    CheckpointStore::open(&disk, Path::new(STORE), 1).unwrap()
}

pub(super) fn batch(id: Uuid) -> OpenBatch {
    let extent = Extent {
        file: 1,
        offset: 2,
        len: 3,
        crc64: u64::MAX,
    };
    OpenBatch {
        id,
        lane: Lane::Data,
        identity: "a=\u{1}0/".into(),
        target: Target {
            store: "folder:out".into(),
            key: "a=1/x".into(),
            format: u64::MAX,
            is_late: false,
        },
        opened_ms: 5,
        arrival_ms: 4,
        window: None,
        partition_ends: None,
        encoded_from: 0,
        records: 9,
        bytes: 99,
        sealing: false,
        blocks: vec![SpooledBlock {
            encoded: true,
            footer: false,
            raw_sum: Some(RawSum { crc32: 6, len: 7 }),
            records: Some(8),
            extents: vec![extent],
        }],
        upload_id: None,
    }
}

#[test]
fn a_new_store_is_empty_and_keeps_its_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = open(dir.path());
    assert!(first.open.is_empty() && first.sealed.is_empty() && first.shards.is_empty());
    drop(store);
    assert_eq!(open(dir.path()).1.incarnation, first.incarnation);
}

#[test]
fn the_newest_event_stays_until_another_is_told_and_the_end_of_a_batchs_partition_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = open(dir.path());
    assert_eq!(first.newest_event, None);
    let ends = OpenBatch {
        partition_ends: Some(3600),
        ..batch(Uuid::new_v4())
    };
    let commit = |newest_event, open| Commit {
        open,
        newest_event,
        ..Commit::default()
    };
    store.commit(&commit(Some(-7), vec![ends.clone()])).unwrap();
    store.commit(&commit(None, Vec::new())).unwrap();
    drop(store);
    let (_, found) = open(dir.path());
    assert_eq!((found.newest_event, found.open), (Some(-7), vec![ends]));
    let plain = serde_json::to_string(&batch(Uuid::nil())).unwrap();
    assert!(!plain.contains("partition_ends"), "{plain}");
}

#[test]
fn a_commit_is_read_back_and_the_next_one_changes_only_what_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (kept, sealed) = (batch(Uuid::new_v4()), batch(Uuid::new_v4()));
    let at = |position: Position| ShardState {
        position: Some(position),
        ..ShardState::default()
    };
    let journal = (JOURNAL.into(), at(Position::of(Sequence(7))));
    let sequence = "49590338271490256608559692538361571095921575989136588898";
    let shard = ShardState {
        parents: vec!["shardId-000000000000".into()],
        start: crate::shard::ShardStart::Latest(5),
        until_ms: Some(9),
        ..at(Position {
            sequence: sequence.parse().unwrap(),
            sub_sequence: 3,
        })
    };
    let shard = (ShardId::from("shardId-000000000001"), shard);
    let gone = (ShardId::from("shardId-000000000000"), ShardState::default());
    let source = SourceName {
        arn: "arn:aws:kinesis:us-east-1:000000000000:stream/clicks".into(),
        created_ms: 4,
    };
    let commit = Commit {
        shards: vec![journal.clone(), shard.clone(), gone.clone()],
        source: Some(source.clone()),
        open: vec![kept.clone(), sealed.clone()],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    let object = SealedObject {
        id: sealed.id,
        lane: sealed.lane,
        target: sealed.target.clone(),
        arrival_ms: 4,
        records: 9,
        bytes: 99,
        size: 3,
        crc64: u64::MAX,
        extents: sealed.blocks[0].extents.clone(),
        counts: vec![9],
        was: vec![(4, 5)],
        upload_id: None,
    };
    let closing = Commit {
        closed: vec![sealed.id],
        forgotten: vec![gone.0],
        sealed: vec![object.clone()],
        ..Commit::default()
    };
    store.commit(&closing).unwrap();
    let form = "{\"Raw\":{\"compression\":\"Gzip\"}}".to_owned();
    store
        .begin_epoch(3, &[(Sequence(1), Sequence(2))], &[(5, form.clone())])
        .unwrap();
    drop(store);
    let (store, recovered) = open(dir.path());
    assert_eq!(recovered.open, [kept]);
    assert_eq!(recovered.sealed, [object]);
    assert_eq!(recovered.shards, [journal, shard].into());
    assert_eq!(recovered.source, Some(source));
    assert_eq!(recovered.epoch, 3);
    assert_eq!(recovered.formats, [(5, form)].into());
    assert_eq!(recovered.missing, [(Sequence(1), Sequence(2))]);
    store
        .commit(&Commit {
            published: vec![sealed.id],
            ..Commit::default()
        })
        .unwrap();
    drop(store);
    assert!(open(dir.path()).1.sealed.is_empty());
}

#[test]
fn forms_of_formats_are_kept_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let rows = [(1, "{\"Of\": {\"a version\":\"to come\"}}"), (2, "")];
    let rows = rows.map(|(hash, form)| (hash, form.to_owned()));
    store.begin_epoch(1, &[], &rows).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).1.formats, rows.into());
}

#[test]
fn a_store_of_version_1_is_taken_over_when_nothing_is_open_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = open(dir.path());
    let batch = batch(Uuid::new_v4());
    let set_back = |store: &CheckpointStore| {
        let write = store.database.begin_write().unwrap();
        put_meta(&write, "version", &1).unwrap();
        write.commit().unwrap();
    };
    set_back(&store);
    let (id, opened) = (batch.id, vec![batch]);
    let commit = |store: &CheckpointStore, open, closed| {
        let commit = Commit {
            open,
            closed,
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    };
    commit(&store, opened, Vec::new());
    drop(store);
    let disk = HostDisk::new(dir.path()).unwrap();
    let path = Path::new(STORE);
    let refused = CheckpointStore::open(&disk, path, 0).unwrap_err();
    assert!(
        matches!(refused, StoreError::Version { found: 1 }),
        "{refused}"
    );

    // As that version would: it knows one file, and no numbers.
    std::fs::remove_file(dir.path().join(crate::checkpoint::MIRROR)).unwrap();
    let old = Database::create(dir.path().join(path)).unwrap();
    let write = old.begin_write().unwrap();
    write
        .open_table(OPEN)
        .unwrap()
        .remove(id.as_u128())
        .unwrap();
    write.open_table(META).unwrap().remove(SEQUENCE).unwrap();
    write.commit().unwrap();
    drop(old);
    let (store, taken_over) = open(dir.path());
    assert_eq!(taken_over.incarnation, first.incarnation);
    commit(&store, vec![self::batch(id)], Vec::new());
    drop(store);
    assert_eq!(
        open(dir.path()).1.open.len(),
        1,
        "its version is the newest now"
    );
}

#[test]
fn retargeting_moves_what_waits_for_another_store_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (mut moved, mut stays) = (batch(Uuid::new_v4()), batch(Uuid::new_v4()));
    let stores = LaneStores {
        data: "s3://lake".into(),
        errors: "s3://errors".into(),
        backup: "s3://lake".into(),
    };
    let mut failed = batch(Uuid::new_v4());
    failed.lane = Lane::Error(ErrorOutputType::ProcessingFailed);
    stays.target.store = "s3://lake".into();
    stays.upload_id = Some("stays".into());
    moved.upload_id = Some("given up".into());
    store
        .commit(&Commit {
            open: vec![moved.clone(), stays, failed.clone()],
            ..Commit::default()
        })
        .unwrap();
    let given_up = store.uploads_elsewhere(&stores).unwrap();
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].upload_id, "given up");
    assert_eq!(store.retarget(&stores).unwrap(), (2, 0));
    assert!(store.uploads_elsewhere(&stores).unwrap().is_empty());
    assert_eq!(store.retarget(&stores).unwrap(), (0, 0));
    drop(store);
    let recovered = open(dir.path()).1;
    assert!(
        recovered
            .open
            .iter()
            .all(|batch| batch.target.store == stores.lane(batch.lane))
    );
    assert!(
        recovered
            .open
            .iter()
            .any(|batch| batch.target.key == moved.target.key)
    );
    let mut uploads: Vec<_> = recovered
        .open
        .iter()
        .map(|batch| batch.upload_id.as_deref())
        .collect();
    uploads.sort_unstable();
    assert_eq!(uploads, [None, None, Some("stays")]);
}

/// What a checkpoint costs, in two files and in one: `cargo test --lib what_a_checkpoint_costs --
/// --nocapture`, with `TMPDIR` on the disk in question.
#[test]
fn what_a_checkpoint_costs() {
    const ROUNDS: u32 = 50;
    let disk = crate::disk::TornDisk::new(0);
    let (store, _) = CheckpointStore::open(&disk, Path::new(crate::checkpoint::STORE), 0).unwrap();
    let syncs = |disk: &crate::disk::TornDisk| disk.count(crate::disk::DiskOperation::Sync);
    let before = syncs(&disk);
    store.commit(&Commit::default()).unwrap();
    assert_eq!(syncs(&disk) - before, 2, "one fsync a file");

    for rows in [1, 100, 2_000] {
        let ids: Vec<Uuid> = std::iter::repeat_with(Uuid::new_v4).take(rows).collect();
        let commit = || Commit {
            open: ids.iter().map(|id| batch(*id)).collect(),
            ..Commit::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        let begun = std::time::Instant::now();
        for _ in 0..ROUNDS {
            store.commit(&commit()).unwrap();
        }
        let two = begun.elapsed() / ROUNDS;

        let one = Database::create(dir.path().join("one.redb")).unwrap();
        let begun = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let write = one.begin_write().unwrap();
            for batch in commit().open {
                let mut open = write.open_table(OPEN).unwrap();
                open.insert(batch.id.as_u128(), encode(&batch).as_slice())
                    .unwrap();
            }
            write.commit().unwrap();
        }
        let one = begun.elapsed() / ROUNDS;
        println!("a checkpoint of {rows} rows: {two:?} in two files, {one:?} in one");
    }
}

#[test]
fn places_to_be_told_are_there_from_one_commit_to_another_however_often_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = open(dir.path());
    assert_eq!(first.untold, [], "a store without the table");
    let place = |url: &str| UntoldPlace {
        url: url.to_owned(),
        since_ms: 5,
    };
    let commit_with = |store: &CheckpointStore, untold: &[&str], told: &[&str]| {
        let places = PlaceChanges {
            untold: untold.iter().map(|url| place(url)).collect(),
            told: told.iter().map(|url| (*url).to_owned()).collect(),
        };
        store.commit_with(&Commit::default(), &places).unwrap();
    };
    commit_with(&store, &["s3://lake/b/", "s3://lake/a/"], &[]);
    store.commit(&Commit::default()).unwrap();
    drop(store);
    let (store, read) = open(dir.path());
    assert_eq!(read.untold, [place("s3://lake/a/"), place("s3://lake/b/")]);
    commit_with(
        &store,
        &["s3://lake/c/"],
        &["s3://lake/a/", "s3://lake/none/"],
    );
    drop(store);
    let disk = HostDisk::new(dir.path()).unwrap();
    let peeked = CheckpointStore::peek(&disk, Path::new(STORE)).unwrap();
    assert_eq!(
        peeked.untold,
        [place("s3://lake/b/"), place("s3://lake/c/")]
    );
    // One that was told long ago, and is to be told again by the same commit.
    let (store, _) = open(dir.path());
    commit_with(&store, &["s3://lake/b/"], &["s3://lake/b/", "s3://lake/c/"]);
    drop(store);
    assert_eq!(open(dir.path()).1.untold, [place("s3://lake/b/")]);
}
