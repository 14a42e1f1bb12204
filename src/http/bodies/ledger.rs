//! Who holds how much and who waits for how much, in sums that are kept as they change: what an event costs does not
//! grow with the number of bodies.

#![expect(clippy::disallowed_methods, reason = "bodies are told apart by age")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Bound;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::http::places::Visitor;

/// When memory has come free: how many waiting bodies that do not fit are looked at before the rest goes on waiting. Of
/// each address only the body that began first is looked at.
pub(super) const MISSES_MAX: usize = 8;

/// The address that a body comes from.
pub(super) type Address = Option<IpAddr>;

/// The account of all bodies.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) all: usize,
    kept: usize,
    pub(super) held: usize,
    next: u64,
    /// By number: the body that began first has the lowest.
    pub(super) bodies: BTreeMap<u64, BodyEntry>,
    pub(super) addresses: HashMap<Address, Sum>,
    /// Bodies that wait, and the addresses that they come from, ordered by what these hold: the one
    /// that holds least is next.
    pub(super) waiting: BTreeSet<u64>,
    pub(super) turns: BTreeSet<(usize, Address)>,
    /// The body that may have what is kept, until it ends.
    pub(super) favoured: Option<u64>,
    is_watched: bool,
    /// How often it was asked whether a body that waits fits.
    #[cfg(test)]
    pub(super) looks: usize,
}

/// What an address has.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) bytes: usize,
    pub(super) bodies: usize,
    pub(super) waiting: BTreeSet<u64>,
}

#[derive(Debug)]
pub(super) struct BodyEntry {
    pub(super) visitor: Visitor,
    pub(super) bytes: usize,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    Arriving,
    Waiting(MemoryWait),
    /// Nothing more comes.
    Whole,
    /// It has been told to.
    GivingWay,
}

/// A body's wait for memory.
#[derive(Debug)]
pub(super) struct MemoryWait {
    pub(super) since: Instant,
    /// So much it will have then.
    to: usize,
    granted: oneshot::Sender<()>,
}

impl Ledger {
    pub(super) fn new(all: usize, kept: usize) -> Self {
        Self {
            all,
            kept,
            held: 0,
            next: 0,
            bodies: BTreeMap::new(),
            addresses: HashMap::new(),
            waiting: BTreeSet::new(),
            turns: BTreeSet::new(),
            favoured: None,
            is_watched: false,
            #[cfg(test)]
            looks: 0,
        }
    }

    /// A body that is about to arrive: its number.
    pub(super) fn expect(&mut self, visitor: Visitor) -> u64 {
        self.next += 1;
        self.change(visitor.address, |sum| sum.bodies += 1);
        let body = BodyEntry {
            visitor,
            bytes: 0,
            stage: Stage::Arriving,
        };
        self.bodies.insert(self.next, body);
        self.next
    }

    /// Lets a body have `to` bytes, or all there is if that is less. `None`: it has them. Otherwise the receiver is
    /// told once it has them; it fails where the body has to go.
    pub(super) fn claim(&mut self, number: u64, to: usize) -> Option<oneshot::Receiver<()>> {
        let to = to.min(self.all);
        if self.grow(number, to) {
            return None;
        }
        let (granted, waits) = oneshot::channel();
        if let Some(body) = self.bodies.get_mut(&number)
            && matches!(body.stage, Stage::Arriving | Stage::Waiting(_))
        {
            let since = Instant::now();
            body.stage = Stage::Waiting(MemoryWait { since, to, granted });
            let address = body.visitor.address;
            self.waiting.insert(number);
            self.change(address, |sum| {
                sum.waiting.insert(number);
            });
            self.settle();
        }
        Some(waits)
    }

    /// Lets a body have `to` bytes where there is room and nobody waits for any. Whether it has them.
    pub(super) fn grow_at_leisure(&mut self, number: u64, to: usize) -> bool {
        self.waiting.is_empty() && self.grow(number, to)
    }

    /// The body waits no longer.
    pub(super) fn give_up(&mut self, number: u64) {
        if self.stop_waiting(number).is_some() {
            self.settle();
        }
    }

    pub(super) fn is_whole(&mut self, number: u64) {
        self.stop_waiting(number);
        if let Some(body) = self.bodies.get_mut(&number) {
            body.stage = Stage::Whole;
        }
    }

    /// The body holds nothing any more, for good.
    pub(super) fn give_back(&mut self, number: u64) {
        self.stop_waiting(number);
        let Some(body) = self.bodies.remove(&number) else {
            return;
        };
        self.held -= body.bytes;
        self.change(body.visitor.address, |sum| {
            sum.bodies -= 1;
            sum.bytes -= body.bytes;
        });
        if self.favoured == Some(number) {
            self.favoured = None;
        }
        self.settle();
    }

    /// Looks who is to give way, if a body waits and nobody looks yet. True: that is so, and the caller has to
    /// [`watch`](Self::watch) from now on.
    pub(super) fn begin_watch(&mut self) -> bool {
        let begins = !self.is_watched && !self.waiting.is_empty();
        if begins {
            self.is_watched = true;
            self.press();
        }
        begins
    }

    /// Makes those give way who must. True: this is to be called again after a while.
    pub(super) fn watch(&mut self) -> bool {
        self.is_watched = !self.waiting.is_empty();
        if self.is_watched {
            self.press();
            self.settle();
        }
        self.is_watched
    }

    /// Tells a body to give way, and returns how many bytes it holds.
    pub(super) fn dismiss(&mut self, number: u64) -> usize {
        self.stop_waiting(number);
        let Some(body) = self.bodies.get_mut(&number) else {
            return 0;
        };
        body.stage = Stage::GivingWay;
        body.visitor.gives_way.cancel();
        body.bytes
    }

    /// Gives what is free to bodies that wait and fit: to the favoured one, then in turn to those whose address holds
    /// least.
    fn settle(&mut self) {
        self.favour();
        let (mut misses, mut missed) = (0, Bound::Unbounded);
        while misses < MISSES_MAX {
            let mut turns = self.turns.range((missed, Bound::Unbounded));
            let Some(&(bytes, address)) = turns.next() else {
                return;
            };
            let first = self.addresses.get(&address);
            let first = first.and_then(|sum| sum.waiting.first().copied());
            if !first.is_some_and(|number| self.grant(number)) {
                misses += 1;
                missed = Bound::Excluded((bytes, address));
            }
        }
    }

    /// Sees to it that one of those that wait may have what is kept.
    fn favour(&mut self) {
        let first = self.waiting.first().copied();
        let Some(number) = self.favoured.or(first) else {
            return;
        };
        if self.waiting.contains(&number) && !self.grant(number) && self.favoured.is_none() {
            self.favoured = Some(number);
            self.grant(number);
        }
    }

    /// Gives a body what it waits for, if that fits; one that nobody asks for any more has waited.
    fn grant(&mut self, number: u64) -> bool {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let Some(waiting) = self.bodies.get(&number).and_then(BodyEntry::waiting) else {
            return false;
        };
        let to = waiting.to;
        let is_gone = waiting.granted.is_closed();
        if !is_gone && !self.grow(number, to) {
            return false;
        }
        if let Some(waiting) = self.stop_waiting(number) {
            // A body that is about to go gives it back.
            let _ = waiting.granted.send(());
        }
        true
    }

    /// Lets a body have `to` bytes where there is room and nobody is before it.
    fn grow(&mut self, number: u64, to: usize) -> bool {
        let Some(body) = self.bodies.get(&number) else {
            return false;
        };
        let more = to.saturating_sub(body.bytes);
        if more == 0 {
            return true;
        }
        let fits = if self.favoured == Some(number) {
            self.held + more <= self.all
        } else {
            let favoured = self.favoured.and_then(|of| self.bodies.get(&of));
            let of_kept = favoured.map_or(0, |body| body.bytes.min(self.kept));
            self.held + more <= self.all
                && self.held - of_kept + more <= self.all - self.kept
                && !self.comes_second(body.visitor.address)
        };
        if !fits || matches!(body.stage, Stage::GivingWay) {
            return false;
        }
        let address = body.visitor.address;
        self.held += more;
        if let Some(body) = self.bodies.get_mut(&number) {
            body.bytes += more;
        }
        self.change(address, |sum| sum.bytes += more);
        true
    }

    /// Whether an address has its share, and one waits that has not.
    fn comes_second(&self, address: Address) -> bool {
        let Some((least, _)) = self.turns.first() else {
            return false;
        };
        let own = self.addresses.get(&address).map_or(0, |sum| sum.bytes);
        let share = self.held / self.addresses.len().max(1);
        own > share && *least < share
    }

    fn stop_waiting(&mut self, number: u64) -> Option<MemoryWait> {
        if !self.waiting.remove(&number) {
            return None;
        }
        let body = self.bodies.get_mut(&number)?;
        let address = body.visitor.address;
        let stage = std::mem::replace(&mut body.stage, Stage::Arriving);
        self.change(address, |sum| {
            sum.waiting.remove(&number);
        });
        match stage {
            Stage::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// Changes what an address holds, and with it whose turn it is.
    fn change(&mut self, address: Address, change: impl FnOnce(&mut Sum)) {
        let sum = self.addresses.entry(address).or_default();
        self.turns.remove(&(sum.bytes, address));
        change(sum);
        if !sum.waiting.is_empty() {
            self.turns.insert((sum.bytes, address));
        }
        if sum.bodies == 0 {
            self.addresses.remove(&address);
        }
    }
}

impl BodyEntry {
    pub(super) const fn waiting(&self) -> Option<&MemoryWait> {
        match &self.stage {
            Stage::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// What it waits for.
    pub(super) fn wants(&self) -> usize {
        let waiting = self.waiting();
        waiting.map_or(0, |waiting| waiting.to.saturating_sub(self.bytes))
    }
}
