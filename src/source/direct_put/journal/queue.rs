//! What waits to be written: bounded in bytes, taken all at once by the writer's thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::source::{Accepted, PutBatch, Refused};

/// Bound on the bytes that wait, in units of [`UNIT`]; one larger batch waits alone.
const UNITS_MAX: u32 = 16 << 10;
/// One unit of the bound: 1 KiB.
const UNIT: usize = 1 << 10;

/// Where an append's answer goes.
pub(super) type Reply = oneshot::Sender<Result<Accepted, Refused>>;

/// One append.
pub(super) struct Request {
    pub(super) batch: PutBatch,
    pub(super) reply: Reply,
    /// Gives the room back when the request is answered.
    pub(super) room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct QueuedAppends {
    requests: VecDeque<Request>,
    closed: bool,
}

/// What waits to be written.
pub(super) struct AppendQueue {
    waiting: Mutex<QueuedAppends>,
    wake: Condvar,
    room: Arc<Semaphore>,
}

impl AppendQueue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(UNITS_MAX as usize)),
        }
    }

    /// Waits until there is room for `bytes`; `None` once the queue is closed.
    pub(super) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes / UNIT + 1)
            .unwrap_or(UNITS_MAX)
            .min(UNITS_MAX);
        Arc::clone(&self.room).acquire_many_owned(units).await.ok()
    }

    /// Hands a request to the writer; gives `false` (and drops it) once the queue is closed.
    pub(super) fn push(&self, request: Request) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        waiting.requests.push_back(request);
        drop(waiting);
        self.wake.notify_one();
        true
    }

    /// Everything that waits, in order; waits for something, but no longer than `patience`.
    /// `None` once the queue is closed and empty.
    pub(super) fn take(&self, patience: Option<Duration>) -> Option<VecDeque<Request>> {
        let mut waiting = self.lock();
        while waiting.requests.is_empty() && !waiting.closed {
            let Some(patience) = patience else {
                waiting = self
                    .wake
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let woken = self.wake.wait_timeout(waiting, patience);
            let (guard, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            waiting = guard;
            if timeout.timed_out() {
                break;
            }
        }
        if waiting.requests.is_empty() && waiting.closed {
            return None;
        }
        Some(std::mem::take(&mut waiting.requests))
    }

    /// Takes no more requests; those that wait are still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.wake.notify_one();
    }

    /// Whether it takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, QueuedAppends> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
