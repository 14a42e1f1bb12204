//! Two copies, crashes and damage: every interleaving in a small world.
//!
//! A transaction is written to the first copy, synced, written to the second, synced, and then acted
//! upon: something is published or released that only it knows of. The power may fail between any two
//! steps, and a copy may be damaged at any time. Which copy an opening goes on from is what the code
//! says ([`newest`]). To go on from a transaction older than one that was acted upon loses or doubles
//! records. Breaking a rule must be found, or the model says nothing.

use std::collections::{HashSet, VecDeque};

use super::copies::{CopyProgress, newest};
use super::marks;

/// Which rule is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// A transaction is acted upon when it is durable in the first copy.
    ActAfterFirst,
    /// Both copies are written, then both synced.
    BothAtOnce,
    /// What can be read is taken for the newest.
    NoMarks,
    /// The newest that can be read is not taken: the first copy is.
    FirstCopy,
    /// Any sync marks the transaction that is under way, one that only makes the files larger too.
    MarkAtAnySync,
}

/// What may become of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// Pages of the newest transaction: redb shows the one before.
    NewestPages,
    /// Pages of both: it cannot be read.
    OldPages,
    /// Both marks of one parity.
    Marks(usize),
    /// All of it.
    All,
}

const ANY: &[Damage] = &[
    Damage::NewestPages,
    Damage::OldPages,
    Damage::Marks(0),
    Damage::Marks(1),
    Damage::All,
];

/// The last transaction.
const LAST: u64 = 4;

/// One copy on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Copy {
    holds: Option<u64>,
    marks: [Option<u64>; 2],
    /// The next transaction is written, and not synced.
    is_writing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    copies: [Copy; 2],
    /// What the process works on; `None`: it is dead.
    now: Option<u64>,
    /// How many of the four steps of the next transaction are done.
    step: u8,
    acted: u64,
    crashes: u8,
    /// It dies only when nothing is being written.
    dies_at_rest: bool,
    damages: u8,
}

impl Copy {
    fn fresh(sequence: u64) -> Self {
        let mut copy = Self {
            holds: Some(sequence),
            marks: [None; 2],
            is_writing: false,
        };
        copy.mark(sequence.saturating_sub(1));
        copy.mark(sequence);
        copy
    }

    fn mark(&mut self, sequence: u64) {
        self.marks[usize::from(sequence % 2 == 1)] = Some(sequence);
    }

    fn sync(&mut self, sequence: u64) {
        self.is_writing = false;
        self.holds = self.holds.and(Some(sequence));
        self.mark(sequence);
    }

    /// What a power failure may leave of it.
    fn torn(self, next: u64) -> Vec<Self> {
        let synced = Self {
            is_writing: false,
            ..self
        };
        if !self.is_writing {
            return vec![synced];
        }
        let (mut marked, mut written) = (synced, synced);
        marked.mark(next);
        written.holds = written.holds.and(Some(next));
        let mut both = marked;
        both.holds = written.holds;
        vec![synced, marked, written, both]
    }

    fn damaged(mut self, damage: Damage) -> Self {
        match damage {
            Damage::NewestPages => self.holds = self.holds.and_then(|holds| holds.checked_sub(1)),
            Damage::OldPages => self.holds = None,
            Damage::Marks(parity) => self.marks[parity] = None,
            Damage::All => (self.holds, self.marks) = (None, [None; 2]),
        }
        self
    }

    fn seen(self, broken: Broken) -> CopyProgress {
        let [even, odd] = self.marks;
        let begun = marks::newest(even, odd);
        CopyProgress {
            holds: self.holds,
            begun: if broken == Broken::NoMarks {
                self.holds
            } else {
                begun
            },
        }
    }
}

impl World {
    /// Every world that one step makes of this one; `Err` says which promise is broken.
    fn steps(&self, broken: Broken, kinds: &[Damage]) -> Result<Vec<Self>, String> {
        let mut next = Vec::new();
        match self.now {
            Some(now) => self.work(now, broken, &mut next),
            None => next.push(self.open(broken)?),
        }
        if self.damages > 0 {
            for index in 0..2 {
                for kind in kinds {
                    let mut world = self.clone();
                    world.damages -= 1;
                    world.copies[index] = world.copies[index].damaged(*kind);
                    next.push(world);
                }
            }
        }
        Ok(next)
    }

    fn work(&self, now: u64, broken: Broken, next: &mut Vec<Self>) {
        let sequence = now + 1;
        if now < LAST && self.step == 0 && broken == Broken::MarkAtAnySync {
            // Otherwise the files have grown, which nothing here can see.
            let mut world = self.clone();
            world.copies.iter_mut().for_each(|copy| copy.mark(sequence));
            next.push(world);
        }
        if now < LAST {
            let mut world = self.clone();
            world.step += 1;
            let order = match broken {
                Broken::BothAtOnce => [(0, false), (1, false), (0, true), (1, true)],
                _ => [(0, false), (0, true), (1, false), (1, true)],
            };
            let (index, is_sync) = order[usize::from(self.step)];
            if is_sync {
                world.copies[index].sync(sequence);
            } else {
                world.copies[index].is_writing = true;
            }
            if world.step == 2 && broken == Broken::ActAfterFirst {
                world.acted = sequence;
            }
            if world.step == 4 {
                (world.now, world.step) = (Some(sequence), 0);
            }
            next.push(world);
        }
        if self.step == 0 && self.acted < now {
            let mut world = self.clone();
            world.acted = now;
            next.push(world);
        }
        if self.crashes > 0 && (self.step == 0 || !self.dies_at_rest) {
            let [first, second] = self.copies;
            for first in first.torn(sequence) {
                for second in second.torn(sequence) {
                    let mut world = self.clone();
                    world.copies = [first, second];
                    (world.now, world.step) = (None, 0);
                    world.crashes -= 1;
                    next.push(world);
                }
            }
        }
    }

    /// Goes on from the copy that the code chooses, in fresh files.
    fn open(&self, broken: Broken) -> Result<Self, String> {
        let seen = self.copies.map(|copy| copy.seen(broken));
        let chosen = match broken {
            Broken::FirstCopy => seen.iter().position(|seen| seen.holds.is_some()),
            _ => newest(seen),
        };
        let Some(holds) = chosen.and_then(|index| seen[index].holds) else {
            return Err(format!("STOPPED: {self:?}"));
        };
        if holds < self.acted {
            return Err(format!("OLDER: {self:?}"));
        }
        let mut world = self.clone();
        world.copies = [Copy::fresh(holds); 2];
        world.now = Some(holds);
        Ok(world)
    }
}

/// How many worlds can be reached, and how many of them stop loudly; `Err`: one goes on from an older
/// transaction.
fn explore(
    broken: Broken,
    (crashes, dies_at_rest): (u8, bool),
    damages: u8,
    kinds: &[Damage],
) -> Result<(usize, usize), String> {
    let first = World {
        copies: [Copy::fresh(1); 2],
        now: Some(1),
        step: 0,
        acted: 1,
        crashes,
        dies_at_rest,
        damages,
    };
    let (mut seen, mut stops) = (HashSet::from([first.clone()]), 0);
    let mut todo = VecDeque::from([first]);
    while let Some(world) = todo.pop_front() {
        let next = match world.steps(broken, kinds) {
            Err(stopped) if stopped.starts_with("STOPPED") => {
                stops += 1;
                continue;
            }
            next => next?,
        };
        for next in next {
            if seen.insert(next.clone()) {
                todo.push_back(next);
            }
        }
    }
    Ok((seen.len(), stops))
}

#[test]
fn no_crash_and_no_damage_to_one_copy_stops_a_store_and_none_ages_it() {
    let (worlds, stops) = explore(Broken::Nothing, (3, false), 0, ANY).unwrap();
    assert!(worlds > 100 && stops == 0, "crashes alone stop it");
    let (worlds, stops) = explore(Broken::Nothing, (2, true), 1, ANY).unwrap();
    assert!(worlds > 100 && stops == 0, "damage to one copy stops it");
    // What is damaged may be just what a power failure tears in the other copy.
    let (worlds, stops) = explore(Broken::Nothing, (1, false), 1, ANY).unwrap();
    assert!(
        worlds > 100 && stops * 20 < worlds,
        "{stops} of {worlds} stop"
    );
}

#[test]
fn however_both_copies_are_damaged_an_older_transaction_is_never_gone_on_from() {
    let (worlds, stops) = explore(Broken::Nothing, (2, false), 3, ANY).unwrap();
    assert!(worlds > 10_000 && stops > 100, "{stops} of {worlds} stop");
}

#[test]
fn breaking_a_rule_of_the_copies_is_found() {
    for broken in [Broken::ActAfterFirst, Broken::NoMarks, Broken::FirstCopy] {
        let found = explore(broken, (1, false), 2, ANY);
        let found = found.expect_err(&format!("{broken:?} was not found"));
        assert!(found.starts_with("OLDER"), "{broken:?}: {found}");
    }
    let (_, stops) = explore(Broken::BothAtOnce, (1, false), 0, ANY).unwrap();
    assert!(
        stops > 0,
        "a power failure stops a store of which both files are written at once"
    );
    let (_, stops) = explore(Broken::MarkAtAnySync, (1, false), 0, ANY).unwrap();
    assert!(
        stops > 0,
        "a crash stops a store of which a transaction is marked before it is written"
    );
}
