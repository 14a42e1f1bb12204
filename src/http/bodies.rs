//! Memory for request bodies, all connections together: charged by what has arrived, shared by the clients' addresses,
//! and taken back from those who are slow while others wait.
//!
//! A body that needs more than is free waits, and nothing is read of it meanwhile. So that bodies which are
//! half here cannot wait for each other, a part is kept for one at a time, the one that began first; where that is
//! not enough for it the youngest give way. Small bodies, which are over in seconds at any pace that is allowed, have a
//! part of their own for when the rest is taken: large ones that come for minutes shut nobody else out.

#![expect(
    clippy::disallowed_methods,
    reason = "old bodies are looked for now and then"
)]

mod ledger;
mod pressing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::body::BodyError;
use super::places::Visitor;
use ledger::Ledger;

/// What is kept for the one body that may have it, at most: the largest body there is.
const KEPT_MAX: usize = 16 << 20;
/// The part for small bodies, which none of the others gets: one in so many.
const SMALL_PART: usize = 16;
/// How often it is looked for who is to give way, as long as any body waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The memory that all bodies share.
#[derive(Debug)]
pub(super) struct BodyMemory {
    wait: Duration,
    ledger: Mutex<Ledger>,
    /// For small bodies, where there is no room here.
    small: Option<Arc<BodyMemory>>,
}

impl BodyMemory {
    /// Memory of `all` bytes, for which a body waits at most so long.
    pub(super) fn new(all: usize, wait: Duration) -> Arc<Self> {
        let small = all / SMALL_PART;
        Self::of(all - small, wait, Some(Self::of(small, wait, None)))
    }

    fn of(all: usize, wait: Duration, small: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            wait,
            ledger: Mutex::new(Ledger::new(all, KEPT_MAX.min(all / 2))),
            small,
        })
    }

    /// What a body holds that is about to arrive: nothing.
    pub(super) fn expect(self: &Arc<Self>, visitor: Visitor, is_small: bool) -> Hold {
        let number = self.lock().expect(visitor.clone());
        Hold {
            bodies: Arc::clone(self),
            number,
            visitor,
            bytes: 0,
            is_small,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that one task looks, for all bodies that wait, which are to give way.
    fn watch(self: &Arc<Self>) {
        if !self.lock().begin_watch() {
            return;
        }
        let bodies = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(bodies) = bodies.upgrade() else {
                    return;
                };
                if !bodies.lock().watch() {
                    return;
                }
            }
        });
    }
}

/// What one body holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Hold {
    bodies: Arc<BodyMemory>,
    number: u64,
    visitor: Visitor,
    bytes: usize,
    is_small: bool,
}

impl Hold {
    /// Makes it at least `bytes`, or all there is if that is less, waiting where it must.
    pub(super) async fn grow_to(&mut self, bytes: usize) -> Result<(), BodyError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        if let Some(small) = self.bodies.small.clone().filter(|_| self.is_small) {
            if self.bodies.lock().grow_at_leisure(self.number, bytes) {
                self.bytes = bytes;
                return Ok(());
            }
            // What it has here it gives back with that.
            *self = small.expect(self.visitor.clone(), true);
        }
        let claimed = self.bodies.lock().claim(self.number, bytes);
        if let Some(granted) = claimed {
            self.bodies.watch();
            let granted = tokio::select! {
                biased;
                () = self.visitor.gives_way.cancelled() => Err(BodyError::GaveWay),
                granted = tokio::time::timeout(self.bodies.wait, granted) => match granted {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(BodyError::Busy),
                },
            };
            if let Err(error) = granted {
                self.bodies.lock().give_up(self.number);
                return Err(error);
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    /// All of the body is here: it cannot be told to give way any more.
    pub(super) fn is_whole(&mut self) {
        self.bodies.lock().is_whole(self.number);
    }

    /// Gives back what it holds, for good.
    pub(super) fn give_back(&mut self) {
        self.bytes = 0;
        self.bodies.lock().give_back(self.number);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests;
