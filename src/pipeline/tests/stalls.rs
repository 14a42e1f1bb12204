//! A store that takes nothing, or not one object: what goes elsewhere goes on.

use std::fs;

use tokio::task::JoinHandle;

use super::clock::{put, until};
use super::*;
use crate::pipeline::apply::SPOOL_RESERVE;
use crate::source::Handle;
use crate::telemetry::{StreamState, StreamStatus as _};

/// A reserve that is small, so that its steps are.
const RESERVE: u64 = 64 << 10;
const STEP: usize = 16 << 10;

/// A running stream, and what is around it.
struct Life {
    lake: tempfile::TempDir,
    disk: TornDisk,
    shortage: Shortage,
    status: Arc<Status>,
    source: Arc<dyn Handle>,
    running: JoinHandle<Result<(), StreamError>>,
}

impl Life {
    async fn begin(load: Load, spool_limit: u64, interval: Duration) -> Self {
        let lake = tempfile::tempdir().unwrap();
        let settings = limited(lake.path(), load, spool_limit, interval);
        Self::go_on(lake, TornDisk::new(1), settings).await
    }

    /// With what another life has left.
    async fn go_on(lake: tempfile::TempDir, disk: TornDisk, settings: StreamSettings) -> Self {
        let (settings, shortage) = (Arc::new(settings), Shortage::default());
        let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
        let reserve = Reserve::new(Arc::clone(&dynamic), RESERVE, &[], shortage.clone());
        let context = StreamContext {
            reserve: Arc::new(reserve),
            ..context(&settings, &disk)
        };
        let opening = {
            let (settings, context) = (Arc::clone(&settings), context.clone());
            tokio::task::spawn_blocking(move || open(&settings, &dynamic, &context))
        };
        let recovered = opening.await.unwrap().unwrap();
        let source = Arc::clone(&recovered.source);
        let status = Arc::clone(&context.status);
        let running = tokio::spawn(run(recovered, settings, context));
        Self {
            lake,
            disk,
            shortage,
            status,
            source,
            running,
        }
    }

    async fn put(&self, record: &str) {
        put(&*self.source.intake().unwrap(), record).await;
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) {
        until(&self.status, what, wanted).await;
    }

    async fn is_running(&self) {
        self.until("every store is claimed", |status| {
            status.snapshot().state == StreamState::Running
        })
        .await;
    }

    async fn delivers(&self, objects: u64) {
        self.until("objects are visible", |status| {
            status.metrics().delivered_objects.get() >= objects
        })
        .await;
    }

    /// An attempt to publish was in vain.
    async fn is_refused(&self) {
        self.until("an object is refused", |status| {
            status.metrics().publish_retries.get() > 0
        })
        .await;
    }

    /// A file where a folder of objects was to be.
    fn block(&self, folder: &str) -> PathBuf {
        let path = self.lake.path().join(folder);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    }

    /// Another stream of the disk is without its reserve, until it is dropped.
    fn is_short(&self) -> Short {
        let disk = Arc::new(self.disk.clone());
        let other = Reserve::new(disk, 1, &[], self.shortage.clone());
        other.give_up();
        Short(other)
    }

    async fn ends(self) -> (tempfile::TempDir, TornDisk, Result<(), StreamError>) {
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        let ended = ended.expect("it ends").unwrap();
        self.source.stop();
        self.source.stopped().await;
        (self.lake, self.disk, ended)
    }
}

fn limited(lake: &Path, load: Load, spool_limit: u64, interval: Duration) -> StreamSettings {
    StreamSettings {
        buffering: BufferingSettings::new(load.size, interval),
        spool_limit,
        ..settings(lake, load)
    }
}

struct Short(Reserve);

impl Drop for Short {
    fn drop(&mut self) {
        self.0.retire();
    }
}

const AT_ONCE: Duration = Duration::from_millis(50);
const FAR: Duration = Duration::from_hours(1);

/// A record without a key fails, and so goes to the errors' store.
fn failing(bytes: usize) -> String {
    format!(r#"{{"id":1,"pad":"{}"}}"#, "x".repeat(bytes))
}

/// More than a step waits for a store that has been claimed and takes nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_a_store_that_takes_nothing_keeps_no_other_from_its_objects() {
    let life = Life::begin(APART, SPOOL_LIMIT, AT_ONCE).await;
    life.is_running().await;
    let blocked = life.block("apart/errors");
    life.put(&failing(2 * STEP)).await;
    life.is_refused().await;
    let short = life.is_short();
    life.put(r#"{"k":"a","id":2}"#).await;
    life.delivers(1).await;
    assert_eq!(life.status.snapshot().records_delivered, 1);
    assert!(blocked.is_file(), "what failed waits on");
    fs::remove_file(&blocked).unwrap();
    // The newest file of the spool stays, and is more than a step of this reserve.
    drop(short);
    life.source.stop();
    let (_lake, _, ended) = life.ends().await;
    ended.unwrap();
    assert!(has_errors(&blocked));
}

/// One object of the only store is refused: no other is made, if that counts for the store.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_an_object_that_is_refused_keeps_no_other_back() {
    let life = Life::begin(SMALL, SPOOL_LIMIT, AT_ONCE).await;
    life.is_running().await;
    let blocked = life.block("data/k=a");
    life.put(r#"{"k":"a","id":1}"#).await;
    life.is_refused().await;
    let short = life.is_short();
    life.put(r#"{"k":"b","id":2}"#).await;
    life.delivers(1).await;
    fs::remove_file(blocked).unwrap();
    life.source.stop();
    let status = Arc::clone(&life.status);
    let (_, _, ended) = life.ends().await;
    ended.unwrap();
    drop(short);
    assert_eq!(status.snapshot().records_delivered, 2);
}

/// While an object waits for a store that takes nothing, the spool fills with batches that are far from their interval.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_full_spool_a_store_that_takes_nothing_keeps_no_batch_of_another_from_being_sealed() {
    const FULL: u64 = 5 << 20;
    let load = Load {
        size: 1 << 20,
        ..APART
    };
    let life = Life::begin(load, SPOOL_RESERVE + FULL, FAR).await;
    life.is_running().await;
    let blocked = life.block("apart/errors");
    life.put(&failing(900_000)).await;
    life.is_refused().await;
    let pad = "x".repeat(100_000);
    for n in 0..60 {
        life.put(&format!(r#"{{"k":"{n}","id":{n},"pad":"{pad}"}}"#))
            .await;
    }
    life.delivers(1).await;
    assert!(life.status.metrics().sealed_early.get() > 0);
    fs::remove_file(blocked).unwrap();
    life.source.stop();
    let status = Arc::clone(&life.status);
    let (_, _, ended) = life.ends().await;
    ended.unwrap();
    assert_eq!(status.snapshot().records_delivered, 60);
}

/// What waits for a store that no table names any more fills the spool, so that the source is not read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_where_stranded_objects_fill_the_spool() {
    let life = Life::begin(APART, SPOOL_LIMIT, AT_ONCE).await;
    life.is_running().await;
    life.block("apart/errors");
    life.put(&failing(1000)).await;
    life.is_refused().await;
    life.source.stop();
    let (lake, disk, ended) = life.ends().await;
    assert!(matches!(ended, Err(StreamError::LoudStop { .. })));
    let settings = limited(lake.path(), SMALL, SPOOL_RESERVE + 1, AT_ONCE);
    let life = Life::go_on(lake, disk, settings).await;
    life.put(r#"{"k":"a","id":2}"#).await;
    life.source.stop();
    let (_, _, ended) = life.ends().await;
    let told = ended.unwrap_err().to_string();
    assert!(
        told.contains("1 objects wait for another destination"),
        "{told}"
    );
    assert!(told.contains("firehose state retarget torn"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_store_that_is_not_claimed_is_told_with_its_own_cause() {
    let lake = tempfile::tempdir().unwrap();
    let files = ["apart", "copies"].map(|store| lake.path().join(store));
    for file in &files {
        fs::write(file, "").unwrap();
    }
    let mut settings = limited(lake.path(), APART, SPOOL_LIMIT, AT_ONCE);
    let path = files[1].clone();
    settings.destination.backup = Some(FolderSettings { path }.into());
    let life = Life::go_on(lake, TornDisk::new(1), settings).await;
    let tells = |what: &'static str, of_both: bool| {
        life.until(what, move |status| {
            let state = status.snapshot().state;
            let cause = state.cause().unwrap_or_default();
            cause.contains("copies is a file") && cause.contains("apart is a file") == of_both
        })
    };
    tells("both are told", true).await;
    fs::remove_file(&files[0]).unwrap();
    tells("the other is told", false).await;
    fs::remove_file(&files[1]).unwrap();
    life.is_running().await;
    life.source.stop();
    life.ends().await.2.unwrap();
}

/// The store of errors is claimed after that of data, which cannot be.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_where_a_store_waits_for_the_claim_of_the_first() {
    let lake = tempfile::tempdir().unwrap();
    // No marker can be written there.
    fs::write(lake.path().join("errors"), "").unwrap();
    let settings = limited(lake.path(), APART, SPOOL_LIMIT, AT_ONCE);
    let life = Life::go_on(lake, TornDisk::new(1), settings).await;
    life.put(&failing(1000)).await;
    life.source.stop();
    let told = life.ends().await.2.unwrap_err().to_string();
    assert!(
        told.contains("1 objects with 1 records cannot be delivered"),
        "{told}"
    );
}
