//! What a stream does on a full disk (C8).
//!
//! The reserve is all the room there is. Publishing goes first, since it gives room; reading and encoding take some,
//! and go in steps of a part of the reserve. What waits for a store that takes nothing gives none back, and must
//! neither stop the others nor eat the reserve: it is left out of account, and may grow by a step for as long as the
//! better part of the reserve is free. So half of that is there for the day when the store takes objects again.

#![expect(
    clippy::disallowed_methods,
    reason = "the reserve is tried again after a while"
)]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Pipeline;
use super::event::Event;
use crate::disk::DISK_IS_FULL;

/// How often a stream looks for room on a full disk.
const RESERVE_EVERY: Duration = Duration::from_secs(1);
/// How often one that has its reserve looks whether it is still enough.
const RESERVE_GROWS_EVERY: Duration = Duration::from_secs(10);
/// A step is one part in so many of the reserve…
const STEPS: u64 = 4;
/// …and so many parts must be free before one is taken for what no store takes.
const STEPS_FREE: u64 = 3;

/// What may be taken of a full disk, from one look at its room to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReserveStep {
    /// Bytes of the spool that do not come back for now.
    pub(super) stuck: u64,
    /// Bytes up to which the spool may grow by what no store takes.
    spool_max: u64,
}

impl ReserveStep {
    /// The next one: `room` bytes are free, and of the `spool`'s bytes so many are `stuck`.
    fn next(self, bytes: u64, room: u64, spool: u64, stuck: u64) -> Self {
        if room >= STEPS_FREE * bytes {
            Self {
                stuck,
                spool_max: spool + bytes,
            }
        } else {
            Self {
                stuck: stuck.min(self.stuck),
                spool_max: 0,
            }
        }
    }
}

impl Pipeline {
    /// The disk is full: what the stream needs there to start again, it finds in the reserve.
    pub(super) async fn give_up_reserve(&mut self) {
        if self.log.names().need_the_spool() {
            let reserve = Arc::clone(&self.context.reserve);
            let _ = tokio::task::spawn_blocking(move || reserve.give_up()).await;
        }
    }

    /// On a full disk: gives back what can be spared, looks at the room, and makes the reserve again when there
    /// is enough.
    pub(super) fn mind_the_room(&mut self) {
        let reserve = &self.context.reserve;
        let (is_short, was_given_up) = (reserve.is_short(), reserve.is_given_up());
        self.context
            .status
            .set_shortage(is_short.then_some(DISK_IS_FULL));
        let every = if is_short {
            self.source.drop_spares();
            RESERVE_EVERY
        } else {
            self.step = ReserveStep::default();
            RESERVE_GROWS_EVERY
        };
        if self.reserve_tried.elapsed() < every {
            return;
        }
        self.reserve_tried = Instant::now();
        let (stream, reserve) = (self.settings.name.clone(), Arc::clone(reserve));
        let (status, events) = (Arc::clone(&self.context.status), self.events.clone());
        tokio::task::spawn_blocking(move || {
            if is_short && let Ok(room) = reserve.room() {
                let _ = events.send(Event::Room(room));
            }
            // What another stream is without is for that one to make.
            if is_short && !was_given_up {
                return;
            }
            match reserve.keep() {
                Ok(()) if was_given_up => {
                    status.repeats().over(DISK_IS_FULL);
                    tracing::info!(stream, "the disk has room again");
                }
                Ok(()) => {}
                Err(error) => tracing::debug!(stream, %error, "the disk has no room for a reserve"),
            }
        });
    }

    /// Takes over how many bytes are free on a full disk.
    pub(super) fn look_at_the_room(&mut self, room: u64) {
        let (spool, live) = (self.spool.bytes(), self.spool.live_bytes());
        let stuck = match self.waiting.stuck_bytes(&self.protocol) {
            0 => 0,
            // What is dead beside them stays as long as they do.
            stuck => spool.saturating_sub(live.saturating_sub(stuck)),
        };
        self.step = self.step.next(self.step_bytes(), room, spool, stuck);
    }

    /// Bytes of the reserve that may be taken at once.
    pub(super) fn step_bytes(&self) -> u64 {
        self.context.reserve.bytes() / STEPS
    }

    /// Queues what was put off, and, on a full disk, puts off what no store takes when that has had its step.
    pub(super) fn put_off_what_is_stuck(&mut self) {
        if !self.put_off.is_empty() {
            let put_off = std::mem::take(&mut self.put_off);
            let later = std::mem::replace(&mut self.encode_queue, put_off);
            self.encode_queue.extend(later);
        }
        let puts_off = self.context.reserve.is_short()
            && self.waiting.len() > self.waiting.stranded()
            && self.spool.bytes() >= self.step.spool_max;
        if puts_off {
            let queued = std::mem::take(&mut self.encode_queue).into_iter();
            (self.encode_queue, self.put_off) = queued.partition(|(id, _)| self.goes_out(*id));
        }
    }

    /// Whether the store of a batch takes objects.
    fn goes_out(&self, id: Uuid) -> bool {
        let entry = self.table.get(id);
        entry.is_some_and(|entry| self.waiting.takes(&entry.target.store))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_store_takes_has_steps_while_the_better_part_of_the_reserve_is_free() {
        // A reserve of 400 bytes, and a spool of 1000, of which a store that takes nothing has 700.
        let first = ReserveStep::default().next(100, 400, 1000, 700);
        let expected = ReserveStep {
            stuck: 700,
            spool_max: 1100,
        };
        assert_eq!(first, expected);
        let second = first.next(100, 300, 1100, 800);
        assert_eq!((second.stuck, second.spool_max), (800, 1200));
        let none = second.next(100, 299, 1200, 900);
        assert_eq!((none.stuck, none.spool_max), (800, 0), "half of it stays");
        let over = none.next(100, 250, 300, 0);
        assert_eq!(over, ReserveStep::default(), "what was stuck has gone out");
    }
}
