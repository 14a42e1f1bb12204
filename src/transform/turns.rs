//! Whose turn it is to compile: what all children may take together is bounded, and nobody waits for long
//! for somebody else's module.

#![expect(clippy::disallowed_methods, reason = "compiling waits for its turn")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One at a time, as long as that takes no longer: then the next one begins beside it…
const SLOW: Duration = Duration::from_secs(5);
/// …if all of them together may take no more bytes.
const TOGETHER_BYTES: u64 = 4 << 30;
/// How often it is looked whether somebody has become slow.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Who compiles.
#[derive(Debug, Default)]
pub(super) struct Turns {
    running: Mutex<Vec<Running>>,
    ended: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    begun: Instant,
    /// Bytes that it may take.
    memory: u64,
}

/// Somebody's turn; ends when it is dropped.
#[derive(Debug)]
pub(super) struct CompileTurn<'t> {
    turns: &'t Turns,
    running: Running,
}

impl Turns {
    /// Waits for a turn to compile within `memory` bytes, or until `stopping`.
    pub(super) fn take(&self, memory: u64, stopping: &AtomicBool) -> CompileTurn<'_> {
        let mut running = self.lock();
        while !may_begin(&running, memory, Instant::now()) && !stopping.load(Ordering::Relaxed) {
            let waited = self.ended.wait_timeout(running, LOOK_EVERY);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let own = Running {
            begun: Instant::now(),
            memory,
        };
        running.push(own);
        CompileTurn {
            turns: self,
            running: own,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CompileTurn<'_> {
    fn drop(&mut self) {
        let mut running = self.turns.lock();
        // Of two that are alike either may go.
        let own = running.iter().position(|other| {
            (other.begun, other.memory) == (self.running.begun, self.running.memory)
        });
        own.map(|own| running.swap_remove(own));
        self.turns.ended.notify_all();
    }
}

fn may_begin(running: &[Running], memory: u64, now: Instant) -> bool {
    let are_slow = || {
        let mut others = running.iter();
        others.all(|other| now.saturating_duration_since(other.begun) >= SLOW)
    };
    let together = || {
        let others = running.iter().map(|other| other.memory);
        others.fold(memory, u64::saturating_add)
    };
    running.is_empty() || (together() <= TOGETHER_BYTES && are_slow())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn one_compiles_at_a_time_but_for_slow_ones_within_what_all_may_take() {
        let begun = Instant::now();
        let of = |memory| Running { begun, memory };
        let soon = begun + SLOW / 2;
        let late = begun + SLOW;
        // Alone, a module of any size gets its turn.
        assert!(may_begin(&[], 100 * GIB, begun));
        assert!(!may_begin(&[of(GIB)], GIB, soon));
        assert!(may_begin(&[of(GIB)], GIB, late));
        assert!(may_begin(&[of(GIB); 3], GIB, late));
        assert!(!may_begin(&[of(GIB); 4], GIB, late));
        assert!(!may_begin(&[of(100 * GIB)], GIB, late));
        // Each of them is slow, or nobody begins.
        let young = Running {
            begun: late,
            memory: GIB,
        };
        assert!(!may_begin(&[of(GIB), young], GIB, late));
    }

    #[test]
    fn a_turn_ends_when_it_is_dropped_and_nobody_waits_where_all_stops() {
        let (turns, stopping) = (Turns::default(), AtomicBool::new(false));
        drop(turns.take(GIB, &stopping));
        let first = turns.take(GIB, &stopping);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(turns.take(100 * GIB, &stopping)));
            drop(first);
            second.join().unwrap();
        });
        let _first = turns.take(GIB, &stopping);
        stopping.store(true, Ordering::Relaxed);
        let _second = turns.take(100 * GIB, &stopping);
        assert_eq!(turns.lock().len(), 2);
    }
}
