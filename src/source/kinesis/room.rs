//! Memory for what Kinesis gives: room is held from before a request until the pipeline has taken the
//! last of its records into batches.
//!
//! Nothing ever waits for room while it holds some, so that those who hold it always get on.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::page::Page;

/// Memory that the largest answer of Kinesis takes while it comes: 10 MiB of records, and what they
/// came as.
pub(super) const ANSWER_BYTES_MAX: u64 = 24 << 20;
/// An answer that is here takes so many times its bytes: its records are copied into chunks, and while
/// those are on their way transforms may copy them again.
const TIMES: u64 = 2;
/// Bytes of one permit.
const UNIT: u64 = 1024;

/// The room of one stream, however many shards it has. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

/// Room that is taken; dropping the last share of it gives it back.
#[derive(Debug)]
pub(super) struct Held(OwnedSemaphorePermit);

impl Room {
    /// Room of so many bytes, or of one answer where that is more.
    pub fn new(bytes: u64) -> Self {
        let units = bytes.max(ANSWER_BYTES_MAX) / UNIT;
        let units = usize::try_from(units).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// Room for whatever will come, taken before it is asked for.
    pub(super) async fn for_answer(&self) -> Held {
        self.take(ANSWER_BYTES_MAX).await
    }

    /// Room for what has been pushed.
    pub(super) async fn for_pushed(&self, page: &Page) -> Held {
        self.take(taken_by(page)).await
    }

    async fn take(&self, bytes: u64) -> Held {
        let taking = Arc::clone(&self.0).acquire_many_owned(units(bytes));
        Held(taking.await.expect("nobody closes it"))
    }
}

impl Held {
    /// Gives back what the answer that has come does not take.
    pub(super) fn shrink_to(&mut self, page: &Page) {
        let taken = units(taken_by(page)) as usize;
        drop(self.0.split(self.0.num_permits().saturating_sub(taken)));
    }

    /// For the chunks of it to share.
    pub(super) fn shared(self) -> Arc<OwnedSemaphorePermit> {
        Arc::new(self.0)
    }
}

/// Bytes of memory that a page takes, never more than the largest answer.
fn taken_by(page: &Page) -> u64 {
    page.bytes().saturating_mul(TIMES).min(ANSWER_BYTES_MAX)
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
impl Room {
    /// Bytes that nobody has taken.
    pub(super) fn free(&self) -> u64 {
        self.0.available_permits() as u64 * UNIT
    }
}
