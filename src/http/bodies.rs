//! Memory for request bodies, all connections together: charged by what has arrived, shared by the clients'
//! addresses, and taken back from who is slow while others wait.
//!
//! A body that needs more than is free waits, and nothing is read of it meanwhile. So that bodies which are
//! half here cannot wait for each other, a part is kept for one at a time, the one that began first; where that is
//! not enough for it the youngest give way.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::body::BodyError;
use super::places::Visitor;

/// What is kept for the one body that may have it, at most: the largest body there is.
const KEPT_MAX: usize = 16 << 20;
/// How long 32 KiB of a body may take while others wait.
const SLOW: Duration = Duration::from_secs(2);
/// How long an address waits for its share before another has to give of what it has beyond its own.
const SHARE_PATIENCE: Duration = Duration::from_millis(500);
/// How often who waits looks for who is slow.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The memory.
#[derive(Debug)]
pub(super) struct Bodies {
    all: usize,
    kept: usize,
    wait: Duration,
    now: Mutex<Now>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Now {
    held: usize,
    next: u64,
    /// By number: who began first has the lowest.
    bodies: BTreeMap<u64, Held>,
    waiting: usize,
    /// The body that may have what is kept, until it ends.
    favoured: Option<u64>,
}

#[derive(Debug)]
struct Held {
    visitor: Visitor,
    bytes: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Arriving,
    /// For memory, since then.
    Waiting(Instant),
    /// Nothing more comes.
    Whole,
    /// It has been told to.
    GivingWay,
}

impl Bodies {
    /// Memory of `all` bytes, for which a body waits at most so long.
    pub(super) fn new(all: usize, wait: Duration) -> Arc<Self> {
        Arc::new(Self {
            all,
            kept: KEPT_MAX.min(all / 2),
            wait,
            now: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// What a body holds that is about to arrive: nothing.
    pub(super) fn expect(self: &Arc<Self>, visitor: Visitor) -> Hold {
        let mut now = self.lock();
        now.next += 1;
        let number = now.next;
        let body = Held {
            visitor: visitor.clone(),
            bytes: 0,
            stage: Stage::Arriving,
        };
        now.bodies.insert(number, body);
        drop(now);
        Hold {
            bodies: Arc::clone(self),
            number,
            visitor,
            bytes: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Hold {
    bodies: Arc<Bodies>,
    number: u64,
    visitor: Visitor,
    bytes: usize,
}

impl Hold {
    /// Makes it at least `bytes`, or all there is if that is less, waiting where it must.
    pub(super) async fn grow_to(&mut self, bytes: usize) -> Result<(), BodyError> {
        let bodies = &*self.bodies;
        let bytes = bytes.min(bodies.all);
        if bytes <= self.bytes {
            return Ok(());
        }
        if bodies
            .lock()
            .grow(self.number, bytes, bodies.all, bodies.kept)
        {
            self.bytes = bytes;
            return Ok(());
        }
        let until = Instant::now() + bodies.wait;
        loop {
            let mut freed = pin!(bodies.freed.notified());
            freed.as_mut().enable();
            if bodies
                .lock()
                .claim(self.number, bytes, bodies.all, bodies.kept)
            {
                self.bytes = bytes;
                return Ok(());
            }
            let now = Instant::now();
            if now >= until {
                return Err(BodyError::Busy);
            }
            tokio::select! {
                biased;
                () = self.visitor.gives_way.cancelled() => return Err(BodyError::GaveWay),
                _ = tokio::time::timeout_at(until.min(now + LOOK_EVERY), freed) => {}
            }
        }
    }

    /// All of the body is here: it cannot be told to give way any more.
    pub(super) fn is_whole(&mut self) {
        if let Some(body) = self.bodies.lock().bodies.get_mut(&self.number) {
            body.stage = Stage::Whole;
        }
    }

    /// Gives back what it holds, for good.
    pub(super) fn give_back(&mut self) {
        self.bytes = 0;
        let mut now = self.bodies.lock();
        now.stop_waiting(self.number);
        if let Some(body) = now.bodies.remove(&self.number) {
            now.held -= body.bytes;
        }
        if now.favoured == Some(self.number) {
            now.favoured = None;
        }
        let is_awaited = now.waiting > 0;
        drop(now);
        if is_awaited {
            self.bodies.freed.notify_waiters();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Now {
    /// Lets a body have `to` bytes where there is room and nobody is before it.
    fn grow(&mut self, number: u64, to: usize, all: usize, kept: usize) -> bool {
        let Some(body) = self.bodies.get(&number) else {
            return false;
        };
        let more = to.saturating_sub(body.bytes);
        let fits = if self.favoured == Some(number) {
            self.held + more <= all
        } else {
            let favoured = self.favoured.and_then(|of| self.bodies.get(&of));
            let of_kept = favoured.map_or(0, |body| body.bytes.min(kept));
            self.held + more <= all
                && self.held - of_kept + more <= all - kept
                && !self.comes_second(number)
        };
        if more > 0 && (!fits || body.stage == Stage::GivingWay) {
            return false;
        }
        self.held += more;
        if let Some(body) = self.bodies.get_mut(&number) {
            body.bytes += more;
        }
        true
    }

    /// The same for one that waits where it must, and makes others give way.
    fn claim(&mut self, number: u64, to: usize, all: usize, kept: usize) -> bool {
        let mut fits = self.grow(number, to, all, kept);
        if !fits {
            self.wait(number);
            let mut waiting = self.bodies.iter().filter(|(_, body)| body.is_waiting());
            let is_first = waiting.next().is_some_and(|(first, _)| *first == number);
            if self.favoured.is_none() && is_first {
                self.favoured = Some(number);
                fits = self.grow(number, to, all, kept);
            }
        }
        if fits {
            self.stop_waiting(number);
        } else {
            self.press(number, to, all);
        }
        fits
    }

    fn wait(&mut self, number: u64) {
        if let Some(body) = self.bodies.get_mut(&number)
            && body.stage == Stage::Arriving
        {
            body.stage = Stage::Waiting(Instant::now());
            self.waiting += 1;
        }
    }

    fn stop_waiting(&mut self, number: u64) {
        if let Some(body) = self.bodies.get_mut(&number)
            && body.is_waiting()
        {
            body.stage = Stage::Arriving;
            self.waiting -= 1;
        }
    }

    /// Whether the body's address has its share, and one waits that has not.
    fn comes_second(&self, number: u64) -> bool {
        if self.waiting == 0 {
            return false;
        }
        let holdings = self.holdings();
        let of = |body: &Held| holdings.get(&body.visitor.address).copied();
        let is_waiting = |body: &&Held| body.is_waiting();
        let least = self.bodies.values().filter(is_waiting).filter_map(of).min();
        let own = self.bodies.get(&number).and_then(of);
        let share = self.held / holdings.len().max(1);
        own > Some(share) && least.is_some_and(|least| least < share)
    }

    /// What each address holds.
    fn holdings(&self) -> HashMap<Option<IpAddr>, usize> {
        let mut holdings = HashMap::new();
        for body in self.bodies.values() {
            *holdings.entry(body.visitor.address).or_default() += body.bytes;
        }
        holdings
    }

    /// Makes others give way to a body that waits: first who is slow, then who has more than a share where
    /// the waiting one's address has less.
    fn press(&mut self, number: u64, to: usize, all: usize) {
        let Some(body) = self.bodies.get(&number) else {
            return;
        };
        let Stage::Waiting(since) = body.stage else {
            return;
        };
        let (address, more) = (body.visitor.address, to.saturating_sub(body.bytes));
        let going = |body: &&Held| body.stage == Stage::GivingWay;
        let mut coming: usize = self
            .bodies
            .values()
            .filter(going)
            .map(|body| body.bytes)
            .sum();
        let slow = self.bodies.iter().filter_map(|(number, body)| {
            let since = body.visitor.pulse.is_slow(SLOW)?;
            (body.stage == Stage::Arriving && body.bytes > 0).then_some((since, *number))
        });
        let mut slow: Vec<_> = slow.collect();
        slow.sort_unstable();
        for (_, number) in slow {
            if coming >= more {
                return;
            }
            coming += self.dismiss(number);
        }
        if self.favoured == Some(number) && !self.moves() {
            // It needs more than is kept: those that wait for it wait for nothing else.
            let waiting = self.bodies.iter().rev();
            let waiting =
                waiting.filter(|(of, body)| **of != number && body.is_waiting() && body.bytes > 0);
            for number in waiting.map(|(number, _)| *number).collect::<Vec<_>>() {
                if coming >= more {
                    return;
                }
                coming += self.dismiss(number);
            }
        }
        if coming >= more || since.elapsed() < SHARE_PATIENCE {
            return;
        }
        let mut holdings = self.holdings();
        let share = all / holdings.len().max(1);
        if holdings.get(&address).is_some_and(|own| own + more > share) {
            return;
        }
        while coming < more {
            let most = holdings.iter_mut().max_by_key(|(_, bytes)| **bytes);
            let Some((of, bytes)) = most.filter(|(_, bytes)| **bytes > share) else {
                return;
            };
            let of = *of;
            let mut theirs = self.bodies.iter().filter(|(_, body)| {
                let is_coming = body.is_waiting() || body.stage == Stage::Arriving;
                body.visitor.address == of && is_coming && body.bytes > 0
            });
            let Some((&number, _)) = theirs.next() else {
                *bytes = 0; // what they have is whole: it is on its way
                continue;
            };
            let freed = self.dismiss(number);
            *bytes -= freed.min(*bytes);
            coming += freed;
        }
    }

    /// Whether any body that holds something goes on by itself.
    fn moves(&self) -> bool {
        let moves =
            |body: &Held| matches!(body.stage, Stage::Arriving | Stage::Whole) && body.bytes > 0;
        self.bodies.values().any(moves)
    }

    /// Tells a body to give way; what it holds.
    fn dismiss(&mut self, number: u64) -> usize {
        self.stop_waiting(number);
        let Some(body) = self.bodies.get_mut(&number) else {
            return 0;
        };
        body.stage = Stage::GivingWay;
        body.visitor.gives_way.cancel();
        body.bytes
    }
}

impl Held {
    const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }
}

#[cfg(test)]
mod tests;
