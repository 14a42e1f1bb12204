//! How long the stream keeps records, which may be changed while it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::client::KinesisClient;
use crate::clock::Clock;
use crate::error::with_causes;

/// How often it is asked for.
pub(super) const ASK_EVERY: Duration = Duration::from_hours(1);

/// What the stream has said of it last. Cheap to clone; it is asked for again while a clone is left.
#[derive(Clone, Debug)]
pub(super) struct Retention {
    kept: Arc<KeptTime>,
    _asking: Arc<AbortOnDropHandle<()>>,
}

impl Retention {
    /// What the stream has said just now, in ms, and what it says later: it is asked `every` so often. Where it does
    /// not answer, what it has said before holds.
    pub(super) fn of(client: KinesisClient, ms: i64, every: Duration, clock: Clock) -> Self {
        let kept = Arc::new(KeptTime::of(ms));
        let said = Arc::clone(&kept);
        let asking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                match client.describe().await {
                    Ok(description) => said.change(description.retention_ms, clock.now_ms()),
                    Err(error) => {
                        let cause = with_causes(&error);
                        tracing::debug!(%cause, "the retention is asked for again later");
                    }
                }
            }
        });
        Self {
            kept,
            _asking: Arc::new(AbortOnDropHandle::new(asking)),
        }
    }

    /// What arrived before that, in ms, may be forgotten.
    pub(super) fn kept_since_ms(&self, now_ms: i64) -> i64 {
        self.kept.since_ms(now_ms)
    }
}

/// What the stream keeps. One task changes it.
#[derive(Debug)]
struct KeptTime {
    /// What is no older than that, in ms.
    ms: AtomicI64,
    /// And arrived since then, in ms: raising the retention brings back nothing.
    floor_ms: AtomicI64,
}

impl KeptTime {
    const fn of(ms: i64) -> Self {
        Self {
            ms: AtomicI64::new(ms),
            floor_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// It has been changed to `ms`, now or before.
    fn change(&self, ms: i64, now_ms: i64) {
        let former_ms = self.ms.load(Ordering::Relaxed);
        if ms > former_ms {
            let floor_ms = now_ms.saturating_sub(former_ms);
            self.floor_ms.fetch_max(floor_ms, Ordering::Relaxed);
        }
        // Whoever sees the longer time sees its floor.
        self.ms.store(ms, Ordering::Release);
    }

    fn since_ms(&self, now_ms: i64) -> i64 {
        let since_ms = now_ms.saturating_sub(self.ms.load(Ordering::Acquire));
        since_ms.max(self.floor_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StartSettings;
    use crate::source::kinesis::fake::{Fake, RETENTION_MS};

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn a_retention_that_is_raised_brings_back_nothing() {
        let kept = KeptTime::of(24 * HOUR_MS);
        for (at, changed_to, since) in [
            (100, 168, 76),
            // Until what has come since is as old.
            (150, 168, 76),
            (300, 168, 132),
            // What is lowered has forgotten, whatever it is raised to.
            (300, 24, 276),
            (310, 168, 286),
            (320, 200, 286),
            (600, 200, 400),
        ] {
            kept.change(changed_to * HOUR_MS, at * HOUR_MS);
            assert_eq!(kept.since_ms(at * HOUR_MS), since * HOUR_MS, "{at}");
        }
    }

    #[tokio::test]
    async fn a_retention_that_is_changed_while_the_stream_is_read_counts_and_a_fault_changes_nothing()
     {
        /// Far beyond any floor.
        const FAR_MS: i64 = 1 << 60;
        let fake = Fake::start(Vec::new()).await;
        let settings = fake.settings(StartSettings::TrimHorizon);
        let client = KinesisClient::connect(&settings).await.unwrap();
        let clock = Clock::manual(0);
        let retention = Retention::of(client, RETENTION_MS, Duration::ZERO, clock.clone());
        for (hours, faults, since_hours) in [(168, 2, -24), (24, 0, -23), (48, 1, -22)] {
            let fault = ("DescribeStreamSummary", "LimitExceededException");
            fake.world()
                .faults
                .extend(std::iter::repeat_n(fault, faults));
            let before = retention.kept_since_ms(FAR_MS);
            while !fake.world().faults.is_empty() {
                assert_eq!(retention.kept_since_ms(FAR_MS), before);
                tokio::task::yield_now().await;
            }
            fake.world().retention_hours = hours;
            while retention.kept_since_ms(FAR_MS) != FAR_MS - hours * HOUR_MS {
                tokio::task::yield_now().await;
            }
            let since_ms = retention.kept_since_ms(clock.now_ms());
            assert_eq!(since_ms, since_hours * HOUR_MS, "{hours}");
            clock.advance(Duration::from_hours(1));
        }
    }
}
