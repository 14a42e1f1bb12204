//! What a folder promises as a destination.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use proptest::prelude::*;

use super::{Folder, FolderSettings, STAGING_DIR};
use crate::config::StoreSpec as _;
use crate::destination::{Body, Publication, PublishError};

struct Memory(Bytes);

impl Body for Memory {
    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let from = usize::try_from(offset).expect("small");
        Ok(self.0.slice(from..from + len))
    }
}

fn publication(key: &str, bytes: &[u8]) -> Publication {
    Publication {
        object_id: Uuid::new_v4(),
        key: key.into(),
        size: bytes.len() as u64,
        crc64nvme: crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes),
        was: Vec::new(),
        content_type: "application/octet-stream",
        content_encoding: None,
        schema: None,
        upload_id: None,
        parts: None,
        body: Arc::new(Memory(Bytes::copy_from_slice(bytes))),
    }
}

async fn folder(path: &Path) -> Folder {
    let opened = Folder::open(path.join("made/anew")).await;
    opened.expect("folder opens")
}

async fn publish(to: &Folder, one: &Publication) -> Result<(), PublishError> {
    to.publish(std::slice::from_ref(one))
        .await
        .pop()
        .expect("one result")
}

fn staged(path: &Path) -> usize {
    std::fs::read_dir(path.join("made/anew").join(STAGING_DIR))
        .expect("listed")
        .count()
}

fn is_permanent(result: &Result<(), PublishError>) -> bool {
    matches!(result, Err(PublishError::Permanent { .. }))
}

#[tokio::test]
async fn a_thousand_objects_in_as_many_folders_cost_two_syncs() {
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    let group: Vec<_> = (0..1000)
        .map(|n| {
            publication(
                &format!("k={n}/day={}/part.json", n % 7),
                format!("{n}\n").as_bytes(),
            )
        })
        .collect();
    let before = to.syncs();
    assert!(to.publish(&group).await.iter().all(Result::is_ok));
    assert_eq!(to.syncs() - before, 2);
    for one in &group {
        let bytes = std::fs::read(dir.path().join("made/anew").join(&one.key)).expect("there");
        assert_eq!(bytes, one.body.read(0, bytes.len()).expect("bytes"));
    }
    assert_eq!(staged(dir.path()), 0);
}

#[tokio::test]
async fn each_new_folder_is_synced_into_its_parent_once() {
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    let before = to.syncs();
    publish(&to, &publication("a/b/c/1", b"x"))
        .await
        .expect("published");
    // The file; the folders a/b/c, a/b, a and the root.
    assert_eq!(to.syncs() - before, 5);
    publish(&to, &publication("a/b/c/2", b"x"))
        .await
        .expect("published");
    // The file; the folder that holds the new name.
    assert_eq!(to.syncs() - before, 7);
    std::fs::remove_dir_all(dir.path().join("made/anew/a")).expect("removed");
    publish(&to, &publication("a/b/c/3", b"x"))
        .await
        .expect("published");
    assert_eq!(to.syncs() - before, 12);
}

#[tokio::test]
async fn one_bad_object_of_a_group_does_not_hold_up_its_neighbours() {
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    let mut torn = publication("torn", b"torn");
    torn.crc64nvme ^= 1;
    let group = [
        publication("fine/1", b"1"),
        torn,
        publication("../up", b"2"),
        publication("fine/3", b"3"),
    ];
    let results = to.publish(&group).await;
    assert!(results[0].is_ok() && results[3].is_ok());
    assert!(
        matches!(results[1], Err(PublishError::Damaged(_))) && is_permanent(&results[2]),
        "{results:?}"
    );
    assert!(!dir.path().join("made/anew/torn").exists());
    assert_eq!(staged(dir.path()), 0);
}

#[tokio::test]
async fn keys_that_are_no_file_names_are_refused_with_the_fault() {
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    let long = format!("a/{}", "x".repeat(256));
    let deep = "d/".repeat(2100) + "x";
    for key in [
        "",
        "/etc/x",
        "../x",
        "a/../../x",
        "a/./x",
        "a//x",
        "a/",
        "a\0b",
        ".firehose-tmp/x",
        &long,
        &deep,
    ] {
        let result = publish(&to, &publication(key, b"x")).await;
        assert!(is_permanent(&result), "{key:?}: {result:?}");
    }
}

#[tokio::test]
async fn a_key_that_collides_with_a_folder_or_lies_below_a_file_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    publish(&to, &publication("a/b", b"x"))
        .await
        .expect("published");
    for key in ["a", "a/b/c"] {
        let result = publish(&to, &publication(key, b"x")).await;
        assert!(is_permanent(&result), "{key:?}: {result:?}");
    }
}

#[tokio::test]
async fn a_link_or_a_pipe_under_the_key_is_foreign() {
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    let one = publication("pipe", b"x");
    let root = dir.path().join("made/anew");
    std::os::unix::fs::symlink("/nowhere", root.join("pipe")).expect("linked");
    let result = publish(&to, &one).await;
    assert!(
        matches!(result, Err(PublishError::Foreign { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn recovery_removes_temporary_files_that_no_checkpoint_names() {
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    let named = publication("named", b"whole");
    let root = dir.path().join("made/anew").join(STAGING_DIR);
    for name in [named.object_id.to_string(), Uuid::new_v4().to_string()] {
        std::fs::write(root.join(name), b"torn half of a longer fi").expect("written");
    }
    to.recover(&HashSet::from([named.object_id]))
        .await
        .expect("recovered");
    assert_eq!(staged(dir.path()), 1);
    publish(&to, &named).await.expect("published");
    assert_eq!(
        std::fs::read(dir.path().join("made/anew/named")).expect("there"),
        b"whole"
    );
    assert_eq!(staged(dir.path()), 0);
}

#[tokio::test]
async fn an_object_that_is_found_published_leaves_no_temporary_file() {
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    let one = publication("k=1/part", b"bytes");
    publish(&to, &one).await.expect("published");
    // As a process leaves it that dies between the link and the removal.
    let root = dir.path().join("made/anew");
    let left = root.join(STAGING_DIR).join(one.object_id.to_string());
    std::fs::hard_link(root.join(&one.key), left).expect("linked");
    publish(&to, &one).await.expect("found");
    assert_eq!(staged(dir.path()), 0);
}

#[tokio::test]
async fn two_attempts_at_one_object_never_share_a_temporary_file() {
    /// Gives its first byte only when the other attempt has been refused.
    struct Held(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);
    impl Body for Held {
        fn read(&self, _offset: u64, len: usize) -> io::Result<Bytes> {
            self.0.lock().expect("lock").recv().expect("signal");
            Ok(Bytes::from(vec![b'x'; len]))
        }
    }
    let dir = tempfile::tempdir().expect("dir");
    let to = folder(dir.path()).await;
    let (go, held) = std::sync::mpsc::channel();
    let mut first = publication("key", b"x");
    first.body = Arc::new(Held(std::sync::Mutex::new(held)));
    let second = Publication {
        body: Arc::new(Memory(Bytes::from_static(b"x"))),
        ..first.clone()
    };
    let abandoned = tokio::spawn({
        let to = to.clone();
        async move { publish(&to, &first).await }
    });
    let temporary = dir.path().join("made/anew").join(STAGING_DIR);
    while !temporary.join(second.object_id.to_string()).exists() {
        tokio::task::yield_now().await;
    }
    let refused = publish(&to, &second).await;
    assert!(
        matches!(refused, Err(PublishError::Transient(_))),
        "{refused:?}"
    );
    go.send(()).expect("sent");
    abandoned.await.expect("ran").expect("published");
    publish(&to, &second).await.expect("ours already");
}

#[tokio::test]
async fn links_in_the_folder_lead_nowhere_and_only_our_own_files_are_removed() {
    let dir = tempfile::tempdir().expect("dir");
    let (root, elsewhere) = (dir.path().join("made/anew"), dir.path().join("elsewhere"));
    std::fs::create_dir_all(&elsewhere).expect("made");
    let theirs = elsewhere.join(Uuid::new_v4().to_string());
    std::fs::write(&theirs, b"precious").expect("written");

    let to = folder(dir.path()).await;
    std::os::unix::fs::symlink(&elsewhere, root.join("k=1")).expect("linked");
    std::os::unix::fs::symlink(&elsewhere, root.join("day=2")).expect("linked");
    for key in ["k=1/1", "k=1/deeper/2", "day=2/a/b/3"] {
        let refused = publish(&to, &publication(key, b"x")).await;
        assert!(is_permanent(&refused), "{key}: {refused:?}");
        let said = refused.expect_err("refused").to_string();
        assert!(said.contains("is a symbolic link"), "{said}");
    }
    let claimed = to.claim("k=1/.firehose/marker", b"x").await;
    let said = claimed.expect_err("refused").to_string();
    assert!(said.contains("is a symbolic link"), "{said}");
    let staging = root.join(STAGING_DIR);
    std::fs::write(staging.join("notes.txt"), b"somebody's").expect("written");
    std::fs::write(staging.join(Uuid::new_v4().to_string()), b"torn").expect("written");
    to.recover(&HashSet::new()).await.expect("cleared");
    assert_eq!(staged(dir.path()), 1, "the notes");

    std::fs::remove_dir_all(&staging).expect("removed");
    std::os::unix::fs::symlink(&elsewhere, &staging).expect("linked");
    assert!(to.recover(&HashSet::new()).await.is_err());
    let refused = Folder::open(root).await.map(|_| ());
    assert!(is_permanent(&refused), "{refused:?}");
    let left: Vec<_> = std::fs::read_dir(&elsewhere).expect("listed").collect();
    assert_eq!(left.len(), 1);
    assert_eq!(std::fs::read(theirs).expect("there"), b"precious");
}

/// Keys at the edges of what a file system takes: parts of about 255 bytes, of several characters, and
/// names that are none.
fn edge_key() -> impl Strategy<Value = String> {
    let long = (250_usize..260, prop_oneof!["x", "é", "€", "𝄞"]).prop_map(|(bytes, text)| {
        let whole = text.repeat(bytes / text.len());
        let rest = bytes - whole.len();
        whole + &"y".repeat(rest)
    });
    let part = prop_oneof![
        6 => "[a-zé=%. ]{1,12}",
        3 => long,
        1 => prop_oneof![Just(""), Just("."), Just(".."), Just(".firehose-tmp"), Just("a\0b")]
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(part, 1..20).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_said_to_be_taken_can_be_written_and_nothing_else(key in edge_key()) {
        let dir = tempfile::tempdir().expect("dir");
        let keys = FolderSettings { path: dir.path().join("made/anew") }.keys();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let result = runtime.block_on(async {
            let to = folder(dir.path()).await;
            publish(&to, &publication(&key, b"x")).await
        });
        let file = dir.path().join("made/anew").join(&key);
        match keys.take(&key) {
            Ok(()) => {
                prop_assert!(result.is_ok(), "{key:?}: {result:?}");
                prop_assert_eq!(std::fs::read(file).expect("there"), b"x");
            }
            Err(why) => prop_assert!(is_permanent(&result), "{key:?} {why}: {result:?}"),
        }
        let is_plain = !key.starts_with(['.', '/']) && !key.split('/').any(str::is_empty);
        let is_plain = is_plain && !key.split('/').any(|part| part == "." || part == "..");
        if key.len() <= keys.short() && is_plain && !key.contains('\0') {
            prop_assert!(keys.take(&key).is_ok(), "short and refused: {key:?}");
        }
    }

    #[test]
    fn a_path_is_taken_up_to_the_systems_limit(deep in 1_usize..3, over in 0_usize..8) {
        let dir = tempfile::tempdir().expect("dir");
        // The file system's own view of it, as the folder will have it.
        let root = dir.path().canonicalize().expect("there").join("made/anew");
        let room = 4095 - 4 + over - root.as_os_str().len() - 1;
        let mut key = "d/".repeat(deep) + &format!("{}/", "p".repeat(250)).repeat(room / 251 - 1);
        key += &"x".repeat(room - key.len() - 255);
        key.push('/');
        key += &"y".repeat(254);
        prop_assume!(key.split('/').all(|part| (1..=255).contains(&part.len())));
        let keys = FolderSettings { path: dir.path().join("made/anew") }.keys();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let result = runtime.block_on(async {
            let to = folder(dir.path()).await;
            publish(&to, &publication(&key, b"x")).await
        });
        prop_assert_eq!(keys.take(&key).is_ok(), over <= 4, "{}", key.len());
        prop_assert_eq!(result.is_ok(), over <= 4, "{:?}", result);
    }
}
