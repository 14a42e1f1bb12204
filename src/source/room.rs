//! Memory for what a source has read and the pipeline has not taken yet: room is held from before something is
//! asked for until the pipeline has taken the last of its records into batches.
//!
//! Whoever holds room must never wait for more of it, so that those who hold it always get on.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of one permit.
const UNIT: u64 = 1024;

/// The room of one stream, however many shards it has. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Room {
    free: Arc<Semaphore>,
    total: u64,
}

/// Room that is taken; dropping the last share of it gives it back.
#[derive(Debug)]
pub struct RoomShare(OwnedSemaphorePermit);

impl Room {
    /// Room of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes / UNIT).unwrap_or(usize::MAX);
        let units = units.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(units)),
            total: units as u64 * UNIT,
        }
    }

    /// Waits for room of so many bytes: at most what the source has asked for by
    /// [`crate::config::SourceSpec::room_bytes`], or it waits for ever.
    pub async fn take(&self, bytes: u64) -> RoomShare {
        let taking = Arc::clone(&self.free).acquire_many_owned(units(bytes));
        RoomShare(taking.await.expect("nobody closes it"))
    }

    /// Bytes that nobody has taken.
    pub fn free(&self) -> u64 {
        self.free.available_permits() as u64 * UNIT
    }

    /// Bytes of it in all.
    pub const fn total(&self) -> u64 {
        self.total
    }
}

impl RoomShare {
    /// Gives back all but so many bytes.
    pub fn shrink_to(&mut self, bytes: u64) {
        let taking = units(bytes) as usize;
        drop(self.0.split(self.0.num_permits().saturating_sub(taking)));
    }

    /// For the chunks to share that are made of what it was taken for (`Chunk::in_room`).
    pub fn shared(self) -> Arc<OwnedSemaphorePermit> {
        Arc::new(self.0)
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}
