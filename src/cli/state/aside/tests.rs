//! Power failures at each step of moving an object out of the state and back, on a disk that forgets and tears:
//! it is published once, whatever is done next.

use super::*;
use crate::checkpoint::{Lane, Target};
use crate::disk::TornDisk;
use uuid::Uuid;

const BYTES: &[u8] = b"{\"n\":1}\n";
const KEY: &str = "data/object";

/// A state of which one object waits.
fn laid() -> (TornDisk, SealedObject) {
    let torn = TornDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(torn.clone());
    let (store, _) = open(&*disk).unwrap();
    let spool = Spool::open(disk, Path::new(SPOOL_DIR), std::iter::empty()).unwrap();
    let extents = spool.append(&[BYTES]).unwrap();
    spool.sync().unwrap();
    let (size, crc64) = extent::sum(&extents);
    let object = SealedObject {
        id: Uuid::new_v4(),
        lane: Lane::Data,
        target: Target {
            store: "folder:lake".into(),
            key: KEY.into(),
            format: 0,
            is_late: false,
        },
        arrival_ms: 1,
        records: 1,
        bytes: size,
        size,
        crc64,
        extents,
        counts: Vec::new(),
        was: Vec::new(),
        upload_id: None,
    };
    let commit = Commit {
        sealed: vec![object.clone()],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    (torn, object)
}

/// A run of the daemon: it settles, and publishes all that the state lists. How often that was the object.
fn run(torn: &TornDisk) -> usize {
    let disk: Arc<dyn Disk> = Arc::new(torn.clone());
    let (store, found) = open(&*disk).unwrap();
    let spool = Spool::open(disk, Path::new(SPOOL_DIR), found.extents()).unwrap();
    for object in &found.sealed {
        let bytes: Vec<u8> = object
            .extents
            .iter()
            .flat_map(|extent| spool.read(*extent).unwrap())
            .collect();
        assert_eq!(bytes, BYTES);
    }
    let commit = Commit {
        published: found.sealed.iter().map(|object| object.id).collect(),
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    found.sealed.len()
}

fn move_out_from(torn: &TornDisk, object: &SealedObject) {
    let (store, found) = open(torn).unwrap();
    move_out(torn, &store, &found, object).unwrap();
}

fn put_back_from(torn: &TornDisk) {
    let disk: Arc<dyn Disk> = Arc::new(torn.clone());
    put_back(&disk, KEY, &mut Vec::new()).unwrap();
}

/// The power fails after each number of calls in turn, while `verb` works on an opened state. Whether the daemon
/// runs next or what is aside is put back, the object is published once. How many places there were.
fn once_after_any(
    is_aside: bool,
    verb: impl Fn(&Arc<dyn Disk>, &CheckpointStore, &StoredState, &SealedObject),
) -> u64 {
    for calls in 1.. {
        let (disk, object) = laid();
        if is_aside {
            move_out_from(&disk, &object);
        }
        let (store, found) = open(&disk).unwrap();
        disk.power_off_after(calls);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        verb(&shared, &store, &found, &object);
        for daemon_first in [true, false] {
            let next = disk.crash(calls);
            let mut published = if daemon_first { run(&next) } else { 0 };
            put_back_from(&next);
            published += run(&next);
            assert_eq!(
                published, 1,
                "power off after {calls} calls, the daemon first: {daemon_first}"
            );
        }
        if !disk.is_off() {
            return calls;
        }
    }
    unreachable!()
}

#[test]
fn an_object_that_is_being_moved_aside_is_published_once_whenever_the_power_fails() {
    let places = once_after_any(false, |disk, store, found, object| {
        drop(move_out(&**disk, store, found, object));
    });
    println!("moved aside: power off at each of {places} calls");
    assert!(places > 10);
}

#[test]
fn an_object_that_is_being_put_back_is_published_once_whenever_the_power_fails() {
    let places = once_after_any(true, |disk, store, found, _| {
        let mut all = aside::list(&**disk, &found.sealed).unwrap();
        drop(bring_back(disk, store, found, all.remove(0).unwrap()));
    });
    println!("put back: power off at each of {places} calls");
    assert!(places > 10);
}

#[test]
fn what_cannot_be_read_is_told_and_keeps_no_other_object_back() {
    let (disk, object) = laid();
    move_out_from(&disk, &object);
    // As an older version may have left it.
    let path = Path::new("discarded").join(format!("{}.json", Uuid::new_v4()));
    disk.open(&path, OpenMode::New).unwrap();
    let mut told = Vec::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let back = put_back(&shared, KEY, &mut told).unwrap();
    assert_eq!(back.unwrap().id, object.id);
    let told = String::from_utf8(told).unwrap();
    assert!(
        told.contains(&*path.to_string_lossy()) && told.contains("cannot be read"),
        "{told}"
    );
    assert_eq!(run(&disk), 1);
}

/// Bits of the moved file rot, one or two in a place: the object comes back with its checksums, so that one is put
/// right, and two are found.
#[test]
fn what_has_rotted_aside_comes_back_with_the_checksums_that_it_had() {
    for (flip, is_right) in [(0b1, true), (0b11, false)] {
        let (disk, object) = laid();
        move_out_from(&disk, &object);
        disk.rot(&Aside::of(&object).path(), 1, flip).unwrap();
        put_back_from(&disk);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (_store, found) = open(&*shared).unwrap();
        let [back] = &found.sealed[..] else {
            panic!("{:?}", found.sealed)
        };
        assert_eq!((back.size, back.crc64), (object.size, object.crc64));
        assert_eq!(extent::sum(&back.extents), (object.size, object.crc64));
        let spool = Spool::open(shared, Path::new(SPOOL_DIR), found.extents()).unwrap();
        let read = spool.read(back.extents[0]).ok();
        assert_eq!(read.as_deref(), is_right.then_some(BYTES));
    }
}

#[test]
fn a_file_of_another_length_is_not_put_back() {
    let (disk, object) = laid();
    move_out_from(&disk, &object);
    let path = Aside::of(&object).path();
    disk.open(&path, OpenMode::Existing)
        .unwrap()
        .set_len(3)
        .unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let refused = put_back(&shared, KEY, &mut Vec::new()).unwrap_err();
    let CommandError::Failed(why) = refused else {
        panic!()
    };
    assert!(format!("{why:#}").contains("3 bytes long"), "{why:#}");
    assert_eq!(run(&disk), 0);
}

/// The files that are left of what was moved aside.
fn left(disk: &TornDisk, id: Uuid) -> Vec<String> {
    let folders = [
        Path::new("discarded").join(id.to_string()),
        "discarded".into(),
    ];
    let names = folders.iter().flat_map(|folder| disk.list(folder).unwrap());
    names.collect()
}

#[test]
fn nothing_is_left_aside_of_an_object_that_is_back() {
    let (disk, object) = laid();
    move_out_from(&disk, &object);
    assert_eq!(left(&disk, object.id).len(), 2);
    put_back_from(&disk);
    assert_eq!(left(&disk, object.id), [""; 0]);
    assert_eq!(run(&disk), 1);
}

#[test]
fn what_an_earlier_version_has_left_of_an_object_that_is_back_goes_at_the_next_opening() {
    for is_aside_again in [false, true] {
        let (disk, object) = laid();
        move_out_from(&disk, &object);
        if !is_aside_again {
            put_back_from(&disk);
            disk.create_dir_all(&Aside::of(&object).folder()).unwrap();
            disk.open(&Aside::of(&object).path(), OpenMode::New)
                .unwrap();
        }
        let stale = Path::new("discarded").join(format!("{}.put-back", object.id));
        disk.open(&stale, OpenMode::New).unwrap();
        open(&disk).unwrap();
        let wanted = if is_aside_again { 2 } else { 0 };
        assert_eq!(left(&disk, object.id).len(), wanted);
        put_back_from(&disk);
        assert_eq!(run(&disk), 1);
    }
}
