//! Who gives way to those that wait: first who is slow, then who has more than a share where an address that waits
//! has less. One pass for all that wait.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use super::ledger::{Address, BodyEntry, Ledger, Stage};

/// How long 32 KiB of a body may take while others wait.
const SLOW: Duration = Duration::from_secs(2);
/// How long an address waits for its share before another has to give of what it has beyond its own.
pub(super) const SHARE_PATIENCE: Duration = Duration::from_millis(500);

impl Ledger {
    /// Makes others give way to the bodies that wait.
    pub(super) fn press(&mut self) {
        let is_going = |body: &&BodyEntry| matches!(body.stage, Stage::GivingWay);
        let going = self.bodies.values().filter(is_going);
        let mut coming = going.map(|body| body.bytes).sum();
        self.press_the_slow(&mut coming);
        self.press_for_the_first(&mut coming);
        self.press_for_shares(&mut coming);
    }

    fn press_the_slow(&mut self, coming: &mut usize) {
        let wanted = self.wanting().map(BodyEntry::wants).sum();
        let slow = self.bodies.iter().filter_map(|(number, body)| {
            let since = body.visitor.activity.slow_since(SLOW)?;
            (matches!(body.stage, Stage::Arriving) && body.bytes > 0).then_some((since, *number))
        });
        let mut slow: Vec<_> = slow.collect();
        slow.sort_unstable();
        self.dismiss_until(wanted, slow.into_iter().map(|(_, number)| number), coming);
    }

    /// The favoured body may need more than is kept, or need nothing and take its time while all others that are half
    /// here wait. Then they wait for each other, and the youngest have to go, for the sake of the favoured one or of
    /// the first that waits.
    fn press_for_the_first(&mut self, coming: &mut usize) {
        let favoured = self.favoured.filter(|number| self.waiting.contains(number));
        let first = favoured.or_else(|| self.waiting.first().copied());
        let Some(number) = first.filter(|number| !self.room_comes_for(*number)) else {
            return;
        };
        let wanted = self.bodies.get(&number).map_or(0, BodyEntry::wants);
        let holds = |of: &&u64| {
            let body = self.bodies.get(of);
            **of != number && body.is_some_and(|body| body.bytes > 0)
        };
        let youngest: Vec<_> = self.waiting.iter().rev().filter(holds).copied().collect();
        self.dismiss_until(wanted, youngest, coming);
    }

    /// Whether a body that waits may count on what another one gives back: one that is whole is over in a moment; one
    /// that still arrives is waited for only for a while.
    fn room_comes_for(&self, number: u64) -> bool {
        let waiting = self.bodies.get(&number).and_then(BodyEntry::waiting);
        let is_patient = waiting.is_some_and(|waiting| waiting.since.elapsed() < SLOW);
        let gives = |(of, body): (&u64, &BodyEntry)| {
            let comes = matches!(body.stage, Stage::Arriving) && self.favoured != Some(*of);
            body.bytes > 0 && (matches!(body.stage, Stage::Whole) || comes && is_patient)
        };
        self.bodies.iter().any(gives)
    }

    fn press_for_shares(&mut self, coming: &mut usize) {
        let share = self.all / self.addresses.len().max(1);
        let wanted = self.wanted_of_shares(share);
        if *coming >= wanted {
            return;
        }
        let held = |address: &Address| self.addresses.get(address).map_or(0, |sum| sum.bytes);
        let mut theirs: HashMap<Address, VecDeque<u64>> = HashMap::new();
        for (number, body) in &self.bodies {
            let is_coming = matches!(body.stage, Stage::Arriving | Stage::Waiting(_));
            if is_coming && body.bytes > 0 && held(&body.visitor.address) > share {
                theirs
                    .entry(body.visitor.address)
                    .or_default()
                    .push_back(*number);
            }
        }
        let mut most: BinaryHeap<_> = theirs.keys().map(|of| (held(of), *of)).collect();
        while *coming < wanted
            && let Some((bytes, of)) = most.pop().filter(|(bytes, _)| *bytes > share)
        {
            // What else the address holds are whole bodies, which are over in a moment.
            let Some(number) = theirs.get_mut(&of).and_then(VecDeque::pop_front) else {
                continue;
            };
            let freed = self.dismiss(number);
            *coming += freed;
            most.push((bytes - freed, of));
        }
    }

    /// Bytes that bodies have waited for long enough, as far as their addresses have no more than a share with them.
    fn wanted_of_shares(&self, share: usize) -> usize {
        let mut wanted: HashMap<Address, usize> = HashMap::new();
        for body in self.wanting() {
            let is_patient = |body: &BodyEntry| {
                body.waiting()
                    .is_some_and(|of| of.since.elapsed() < SHARE_PATIENCE)
            };
            let address = body.visitor.address;
            let own = self.addresses.get(&address).map_or(0, |sum| sum.bytes);
            let of = wanted.entry(address).or_default();
            if !is_patient(body) && own + *of + body.wants() <= share {
                *of += body.wants();
            }
        }
        wanted.values().sum()
    }

    /// Those that wait.
    fn wanting(&self) -> impl Iterator<Item = &BodyEntry> {
        self.waiting
            .iter()
            .filter_map(|number| self.bodies.get(number))
    }

    fn dismiss_until(
        &mut self,
        wanted: usize,
        bodies: impl IntoIterator<Item = u64>,
        coming: &mut usize,
    ) {
        for number in bodies {
            if *coming >= wanted {
                return;
            }
            *coming += self.dismiss(number);
        }
    }
}
