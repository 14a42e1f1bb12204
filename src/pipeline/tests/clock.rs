//! A wall clock that is set while a stream runs: nothing waits longer for it, or shorter.

use tokio::task::JoinHandle;

use super::*;
use crate::budget::Share;
use crate::source::Handle;
use crate::telemetry::StreamStatus as _;

/// Some day of 2026.
const NOW_MS: i64 = 1_796_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// Waits until `wanted` is true of the stream's status.
pub(super) async fn until(status: &Status, what: &str, wanted: impl Fn(&Status) -> bool) {
    let waiting = async {
        while !wanted(status) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}: {:?}", status.snapshot()));
}

/// A stream that runs by a clock of its own.
pub(super) struct Running {
    pub(super) status: Arc<Status>,
    pub(super) intake: Arc<dyn Intake>,
    /// What it says that it holds, at the end of each turn.
    pub(super) memory: Arc<Share>,
    source: Arc<dyn Handle>,
    pipeline: JoinHandle<Result<(), StreamError>>,
}

impl Running {
    pub(super) async fn start(settings: StreamSettings, disk: &TornDisk, clock: &Clock) -> Self {
        let settings = Arc::new(settings);
        let context = context(&settings, disk);
        let metrics = StreamMetrics::new(&context.metrics, "torn");
        let status = Arc::new(Status::new(metrics, clock.clone()));
        let context = StreamContext {
            clock: clock.clone(),
            status: Arc::clone(&status),
            ..context
        };
        let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
        let opening = {
            let (settings, context) = (Arc::clone(&settings), context.clone());
            tokio::task::spawn_blocking(move || open(&settings, &dynamic, &context))
        };
        let recovered = opening.await.unwrap().unwrap();
        let source = Arc::clone(&recovered.source);
        Self {
            status,
            memory: Arc::clone(&context.memory),
            intake: source.intake().unwrap(),
            source,
            pipeline: tokio::spawn(run(recovered, settings, context)),
        }
    }

    /// Waits until `wanted` is true of its status.
    pub(super) async fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) {
        until(&self.status, what, wanted).await;
    }

    /// Stops it, and waits until all is delivered.
    pub(super) async fn end(self) -> Arc<Status> {
        self.source.stop();
        let ended = tokio::time::timeout(PATIENCE, self.pipeline).await;
        ended.unwrap().unwrap().unwrap();
        self.status
    }
}

pub(super) async fn put(intake: &dyn Intake, record: &str) {
    let mut batch = PutBatch::default();
    batch.push(record.as_bytes());
    intake.append(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_is_set_neither_stalls_nor_hurries_a_batch_and_its_age_is_told() {
    for step_ms in [-40_000, -DAY_MS, DAY_MS] {
        let (lake, disk) = (tempfile::tempdir().unwrap(), TornDisk::new(1));
        let clock = Clock::manual(NOW_MS);
        let settings = StreamSettings {
            buffering: BufferingSettings::new(1 << 20, Duration::from_secs(3)),
            ..settings(lake.path(), SMALL)
        };
        let running = Running::start(settings, &disk, &clock).await;

        put(&*running.intake, r#"{"k":"a","id":1}"#).await;
        running
            .until("the batch opens", |status| {
                status.snapshot().records_in == 1
            })
            .await;
        clock.set(NOW_MS + step_ms);
        clock.advance(Duration::from_secs(2));
        running
            .until("its age is what has passed", |status| {
                status.snapshot().oldest_unpublished_age_ms == Some(2_000)
            })
            .await;
        // The stream takes a turn: what were due would be sealed in it.
        put(&*running.intake, r#"{"k":"b","id":2}"#).await;
        running
            .until("a turn", |status| status.snapshot().records_in == 2)
            .await;
        let snapshot = running.status.snapshot();
        assert_eq!(snapshot.last_object, None, "clock set by {step_ms} ms");

        clock.advance(Duration::from_secs(1));
        running
            .until("the object lands", |status| {
                status.snapshot().last_object.is_some()
            })
            .await;
        let status = running.end().await;
        let delivered = status.snapshot().records_delivered;
        assert_eq!(delivered, 2, "clock set by {step_ms} ms");
    }
}
