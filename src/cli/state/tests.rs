//! Adopting the state of Kinesis streams, whose positions must not be lost.

use std::path::Path;

use crate::checkpoint::{CheckpointStore, Commit, STORE};
use crate::cli::Exit;
use crate::cli::tests::firehose;
use crate::disk::HostDisk;
use crate::position::Position;
use crate::shard::{ShardState, SourceName};

/// A site with the streams `new` and `direct` and state of others.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"[stream.new]
source = { type = "kinesis", stream = "clicks" }
destination = { type = "folder", path = "lake" }
[stream.direct]
source.type = "direct-put"
destination = { type = "folder", path = "lake" }
"#;
        std::fs::write(dir.path().join("firehose.toml"), text).unwrap();
        Self(dir)
    }

    fn state(&self, stream: &str) -> std::path::PathBuf {
        self.0.path().join("data/state").join(stream)
    }

    /// The state of a stream that reads the Kinesis stream `of`; read to somewhere or not.
    fn lay(&self, stream: &str, of: &str, is_read: bool) {
        let disk = HostDisk::new(self.state(stream)).unwrap();
        let (store, _) = CheckpointStore::open(&disk, Path::new(STORE), 0).unwrap();
        let position = is_read.then(Position::default);
        let state = ShardState {
            position,
            ..ShardState::default()
        };
        let arn = format!("arn:aws:kinesis:eu-central-1:123456789012:stream/{of}");
        let commit = Commit {
            shards: vec![("shardId-000000000000".into(), state)],
            source: Some(SourceName { arn, created_ms: 0 }),
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    }

    fn adopt(&self, old: &str, new: &str) -> (Exit, String) {
        let config = self.0.path().join("firehose.toml");
        let arguments = [
            "state",
            "adopt",
            old,
            new,
            "--config",
            config.to_str().unwrap(),
        ];
        let (exit, out, err) = firehose(&arguments);
        (exit, out + &err)
    }

    /// Whether the state has a position.
    fn is_read(&self, stream: &str) -> bool {
        let disk = HostDisk::new(self.state(stream)).unwrap();
        let found = CheckpointStore::peek(&disk, Path::new(STORE)).unwrap();
        found.shards.values().any(|state| state.position.is_some())
    }
}

#[test]
fn a_position_is_adopted_by_a_stream_that_has_read_nothing() {
    for begun in [false, true] {
        let site = Site::new();
        site.lay("old", "clicks", true);
        if begun {
            site.lay("new", "clicks", false);
        }
        let (exit, said) = site.adopt("old", "new");
        assert_eq!(exit, Exit::Done, "{said}");
        assert_eq!(said.contains("is set aside as"), begun, "{said}");
        assert!(site.is_read("new") && !site.state("old").exists());
    }
}

#[test]
fn a_position_is_not_taken_from_a_stream_that_has_read_by_itself() {
    let site = Site::new();
    site.lay("old", "clicks", true);
    site.lay("new", "clicks", true);
    let (exit, said) = site.adopt("old", "new");
    assert_eq!(exit, Exit::Usage);
    assert!(
        said.contains("state drain old --like new --config"),
        "{said}"
    );
    assert!(site.is_read("new") && site.is_read("old"));
}

#[test]
fn state_of_another_source_is_not_adopted() {
    for (of, new) in [("clicks", "direct"), ("views", "new")] {
        let site = Site::new();
        site.lay("old", of, true);
        let (exit, said) = site.adopt("old", new);
        assert_eq!(exit, Exit::Usage);
        assert!(
            said.contains("cannot go on with the state of old"),
            "{said}"
        );
        assert!(
            said.contains(&format!("state drain old --like {new}")),
            "{said}"
        );
        assert!(site.is_read("old") && !site.state(new).exists());
    }
}
