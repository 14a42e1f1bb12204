//! How a shard's records come: page by page as they are asked for, or by a subscription that pushes them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::{ANSWER_BYTES_MAX, taken_by};
use super::client::{IteratorStart, KinesisClient, Subscription};
use super::error::KinesisError;
use super::pace;
use super::page::Page;
use crate::position::SequenceNumber;
use crate::source::{Room, RoomShare};

/// Kinesis refuses a second subscription of a shard for so long; after that it takes the first one over.
const SUBSCRIBE_EVERY: Duration = Duration::from_millis(5200);

/// Where pages of one shard come from.
pub(super) enum Feed {
    /// Asked for, one request a page.
    Polling {
        /// The iterator of what comes next.
        iterator: Option<String>,
        /// No request before that, so as to keep the shard's limits.
        not_before: Instant,
    },
    /// Pushed to a registered consumer. There is one subscription at most.
    FanOut {
        consumer: Arc<str>,
        subscription: Option<Box<Subscription>>,
        /// When the last one was asked for, in ms.
        asked_ms: i64,
        not_before: Instant,
        /// How far the shard has been seen, with or without records.
        seen: Option<SequenceNumber>,
    },
}

/// What has come.
pub(super) struct Fed {
    pub(super) page: Page,
    /// Memory for it.
    pub(super) held: RoomShare,
}

impl Feed {
    /// A shard that is asked.
    pub(super) fn polling() -> Self {
        Self::Polling {
            iterator: None,
            not_before: Instant::now(),
        }
    }

    /// A shard to which a consumer subscribes.
    pub(super) fn fan_out(consumer: &Arc<str>) -> Self {
        Self::FanOut {
            consumer: Arc::clone(consumer),
            subscription: None,
            asked_ms: 0,
            not_before: Instant::now(),
            seen: None,
        }
    }

    /// Makes an iterator or a subscription where there is none, now. True: it begins at `at`, and not where
    /// the one before it had come to.
    pub(super) async fn begin(
        &mut self,
        client: &KinesisClient,
        shard: &str,
        at: IteratorStart,
        now_ms: i64,
    ) -> Result<bool, KinesisError> {
        match self {
            Self::Polling { iterator, .. } if iterator.is_none() => {
                *iterator = Some(client.iterator(shard, at).await?);
                Ok(true)
            }
            Self::FanOut {
                consumer,
                subscription,
                asked_ms,
                not_before,
                seen,
            } if subscription.is_none() => {
                tokio::time::sleep_until(*not_before).await;
                *not_before = Instant::now() + SUBSCRIBE_EVERY;
                *asked_ms = now_ms;
                let from = seen.map_or(at, IteratorStart::After);
                let subscribed = client.subscribe(consumer, shard, from).await?;
                *subscription = Some(Box::new(subscribed));
                Ok(seen.is_none())
            }
            _ => Ok(false),
        }
    }

    /// Reading is to begin anew, and not to go on where it had come to. A subscription that runs is not ended by it.
    pub(super) fn begin_anew(&mut self) {
        match self {
            Self::Polling { iterator, .. } => *iterator = None,
            Self::FanOut { seen, .. } => *seen = None,
        }
    }

    /// What comes next, as soon as there is room; `None`: a subscription has come to the end of its
    /// time.
    pub(super) async fn next(
        &mut self,
        client: &KinesisClient,
        shard: &str,
        room: &Room,
    ) -> Result<Option<Fed>, KinesisError> {
        match self {
            Self::Polling {
                iterator,
                not_before,
            } => {
                let Some(at) = iterator.take() else {
                    return Ok(None);
                };
                tokio::time::sleep_until(*not_before).await;
                let begun = Instant::now();
                let mut held = room.take(ANSWER_BYTES_MAX).await;
                match client.page(shard, &at).await {
                    Ok(page) => {
                        let is_behind = page.behind_ms.is_some_and(|behind| behind > 0);
                        let (answered, bytes) = (Instant::now(), page.bytes());
                        *not_before = pace::not_before(begun, answered, bytes, is_behind);
                        iterator.clone_from(&page.next);
                        held.shrink_to(taken_by(&page));
                        Ok(Some(Fed { page, held }))
                    }
                    Err(error) => {
                        // An iterator outlives a request that failed for another reason.
                        *iterator = (!matches!(error, KinesisError::Iterator(_))).then_some(at);
                        Err(error)
                    }
                }
            }
            Self::FanOut {
                subscription, seen, ..
            } => {
                let Some(running) = subscription else {
                    return Ok(None);
                };
                let event = running.next().await;
                if !matches!(event, Ok(Some(_))) {
                    *subscription = None;
                }
                let Some(page) = event? else {
                    return Ok(None);
                };
                // All up to it is in this page or was in one before.
                let next = page.next.as_deref();
                *seen = next.and_then(|number| number.parse().ok()).or(*seen);
                let held = room.take(taken_by(&page)).await;
                Ok(Some(Fed { page, held }))
            }
        }
    }

    /// When that was asked for, in ms, which has come after it was asked for here at `asked_ms`. Of an event that was
    /// pushed nobody knows how long it has waited, but that it came after its subscription.
    pub(super) const fn asked_ms(&self, asked_ms: i64) -> i64 {
        match self {
            Self::Polling { .. } => asked_ms,
            Self::FanOut { asked_ms, .. } => *asked_ms,
        }
    }

    /// Whether it asks again and again.
    pub(super) const fn is_polling(&self) -> bool {
        matches!(self, Self::Polling { .. })
    }
}
