//! How long the stream keeps records, which may be changed while it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::client::KinesisClient;

/// How often it is asked for.
pub(super) const ASK_EVERY: Duration = Duration::from_hours(1);

/// What the stream has said of it last. Cheap to clone; it is asked for again while a clone is left.
#[derive(Clone, Debug)]
pub(super) struct Retention {
    ms: Arc<AtomicI64>,
    _asking: Arc<AbortOnDropHandle<()>>,
}

impl Retention {
    /// What the stream has said just now, in ms, and what it says later: it is asked `every` so often. Where it does
    /// not answer, what it has said before holds.
    pub(super) fn of(client: KinesisClient, ms: i64, every: Duration) -> Self {
        let ms = Arc::new(AtomicI64::new(ms));
        let said = Arc::clone(&ms);
        let asking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                match client.describe().await {
                    Ok(description) => said.store(description.retention_ms, Ordering::Relaxed),
                    Err(trouble) => {
                        tracing::debug!(cause = %trouble, "the retention is asked for again later");
                    }
                }
            }
        });
        Self {
            ms,
            _asking: Arc::new(AbortOnDropHandle::new(asking)),
        }
    }

    /// What arrived before that, in ms, may be forgotten.
    pub(super) fn kept_since_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StartSettings;
    use crate::source::kinesis::fake::{Fake, RETENTION_MS};

    #[tokio::test]
    async fn a_retention_that_is_changed_while_the_stream_is_read_counts_and_a_fault_changes_nothing()
     {
        let fake = Fake::start(Vec::new()).await;
        let settings = fake.settings(StartSettings::TrimHorizon);
        let client = KinesisClient::connect(&settings).await.unwrap();
        let retention = Retention::of(client, RETENTION_MS, Duration::ZERO);
        for (hours, faults) in [(168, 2), (24, 0), (48, 1)] {
            let fault = ("DescribeStreamSummary", "LimitExceededException");
            fake.world()
                .faults
                .extend(std::iter::repeat_n(fault, faults));
            let before = retention.kept_since_ms(0);
            while !fake.world().faults.is_empty() {
                assert_eq!(retention.kept_since_ms(0), before);
                tokio::task::yield_now().await;
            }
            fake.world().retention_hours = hours;
            while retention.kept_since_ms(0) != -hours * 3_600_000 {
                tokio::task::yield_now().await;
            }
        }
    }
}
