//! A Pike VM: all threads of a program advance together, character by character, the preferred first, so the steps
//! of a search are at most the product of text and program. Each burns fuel, whether or not its character is part of
//! the match.

use std::cell::{Cell, RefCell};

use super::super::meter::{charge, stop};
use super::program::{At, Instruction, Program};

/// Visits of steps that cost a unit of fuel.
const VISITS: usize = 128;
/// How often all searches of a text together may take each step at each of its bytes, and at some more.
const PASSES: usize = 16;
const MORE_BYTES: usize = 1024;
/// Bytes that cost as much as a visit where a search looks for the first byte of a match only.
const SKIPPED_BYTES: usize = 16;
/// Slots that are copied at the cost of a visit.
const COPIED: usize = 8;
/// A larger memory is not kept for the searches of other texts.
const KEPT_STEPS: usize = 1 << 13;
/// Steps whose memory is made at the cost of a unit of fuel.
const MADE_STEPS: usize = 8;
/// What it costs to look up a character beyond ASCII among the runs of a class.
const LOOKED_UP: usize = 4;

/// The slot of a group that is not part of the match.
const NOWHERE: usize = usize::MAX;

thread_local! {
    static MEMORY: Cell<Option<Box<SearchMemory>>> = const { Cell::new(None) };
}

/// All searches of a text: their memory, and the fuel that they may burn together, which is in
/// proportion to text and pattern as that of one. Where each reads on far behind its match there
/// would be no such bound.
pub(crate) struct Searches {
    left: Cell<usize>,
    memory: RefCell<Box<SearchMemory>>,
}

impl Searches {
    /// Memory costs the same whether it is there or made.
    pub(super) fn new(program: &Program, text: &str) -> Self {
        let steps = program.steps.len();
        charge(steps / MADE_STEPS);
        let once = steps.saturating_mul(text.len() + MORE_BYTES);
        let mut memory = MEMORY.take().unwrap_or_default();
        memory.grow(steps);
        Self {
            left: Cell::new(once.saturating_mul(PASSES) / VISITS),
            memory: RefCell::new(memory),
        }
    }

    /// The leftmost match from a byte on: start and end of each group that there is room for go
    /// to `found`. Without room it is only told whether there is one.
    pub(super) fn search(
        &self,
        program: &Program,
        text: &str,
        from: usize,
        found: &mut [usize],
    ) -> bool {
        charge(1 + found.len() / 16);
        let mut memory = self.memory.borrow_mut();
        memory.search(program, text, from, self, found)
    }

    fn burn(&self, units: usize) {
        charge(units);
        match self.left.get().checked_sub(units) {
            Some(left) => self.left.set(left),
            None => stop("a regular expression reads the text too many times over"),
        }
    }
}

#[cfg(test)]
impl Searches {
    /// Steps that do not make up a unit of fuel yet.
    pub(super) fn uncharged(&self) -> u64 {
        self.memory.borrow().visits as u64
    }

    pub(super) fn place_of_memory(&self) -> usize {
        self.memory
            .borrow()
            .now
            .index
            .as_ptr()
            .addr()
            .min(self.memory.borrow().following.index.as_ptr().addr())
    }
}

impl Drop for Searches {
    fn drop(&mut self) {
        let memory = std::mem::take(self.memory.get_mut());
        if memory.is_small() {
            MEMORY.set(Some(memory));
        }
    }
}

/// The memory of searches, for reuse.
#[derive(Default)]
struct SearchMemory {
    now: Threads,
    following: Threads,
    open: Vec<Backtrack>,
    visits: usize,
}

/// Threads of a program that have come to one character, the preferred first.
#[derive(Default)]
struct Threads {
    /// The steps that a thread has come to, in a sparse set.
    seen: Vec<At>,
    index: Vec<u32>,
    /// Where each thread goes on behind the character; none where it has matched, which is the last.
    next: Vec<Option<At>>,
    /// The slots of each: where groups start and end.
    slots: Vec<usize>,
    matched: bool,
}

enum Backtrack {
    Step(At),
    /// A slot as it was before.
    Restore(usize, usize),
}

impl SearchMemory {
    /// Makes room for a program.
    fn grow(&mut self, steps: usize) {
        for threads in [&mut self.now, &mut self.following] {
            if threads.index.len() < steps {
                threads.index.resize(steps, 0);
            }
        }
    }

    /// Whether it is worth keeping.
    fn is_small(&self) -> bool {
        self.now.index.len() <= KEPT_STEPS
    }

    fn search(
        &mut self,
        program: &Program,
        text: &str,
        mut at: usize,
        searches: &Searches,
        found: &mut [usize],
    ) -> bool {
        self.now.clear();
        self.following.clear();
        self.open.clear();
        self.visits = 0;
        let mut none = vec![NOWHERE; found.len()];
        let mut here = text[at..].chars().next();
        let mut matched = false;
        loop {
            if self.now.next.is_empty() {
                if matched || program.anchored && at > 0 {
                    break;
                }
                if let Some(first) = program.first.as_ref().filter(|_| !program.anchored) {
                    let rest = &text.as_bytes()[at..];
                    let skipped = rest.iter().position(|byte| first[usize::from(*byte)]);
                    self.visits += skipped.unwrap_or(rest.len()) / SKIPPED_BYTES;
                    let Some(skipped) = skipped else { break };
                    at += skipped;
                    here = text[at..].chars().next();
                    // What was seen is of another place.
                    self.now.clear();
                }
            }
            if !matched {
                let place = SearchPosition {
                    text,
                    at,
                    here,
                    must_not_match: program.not_empty,
                };
                self.visits += place.follow(
                    program,
                    program.start,
                    &mut none,
                    &mut self.now,
                    &mut self.open,
                );
            }
            if found.is_empty() && self.now.matched {
                matched = true;
                break;
            }
            let end = at + here.map_or(0, char::len_utf8);
            let behind = SearchPosition {
                text,
                at: end,
                here: text[end..].chars().next(),
                must_not_match: false,
            };
            let size = found.len();
            for (index, next) in self.now.next.iter().enumerate() {
                let slots = &mut self.now.slots[index * size..][..size];
                let Some(next) = *next else {
                    found.copy_from_slice(slots);
                    matched = true;
                    break;
                };
                self.visits +=
                    behind.follow(program, next, slots, &mut self.following, &mut self.open);
            }
            self.visits += 1;
            self.burn(searches);
            if here.is_none() {
                break;
            }
            std::mem::swap(&mut self.now, &mut self.following);
            self.following.clear();
            (at, here) = (behind.at, behind.here);
        }
        self.burn(searches);
        matched
    }

    fn burn(&mut self, searches: &Searches) {
        if self.visits >= VISITS {
            searches.burn(self.visits / VISITS);
            self.visits %= VISITS;
        }
    }
}

impl Threads {
    fn clear(&mut self) {
        self.seen.clear();
        self.next.clear();
        self.slots.clear();
        self.matched = false;
    }

    /// Adds a step to those seen, if it is not among them.
    fn insert(&mut self, step: At) -> bool {
        let index = &mut self.index[step as usize];
        if self.seen.get(*index as usize) == Some(&step) {
            return false;
        }
        // There are no more steps than a `u32` counts.
        *index = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        self.seen.push(step);
        true
    }

    fn add(&mut self, next: Option<At>, slots: &[usize]) {
        self.next.push(next);
        self.slots.extend_from_slice(slots);
    }
}

/// Where a search is: before a character or at the end.
struct SearchPosition<'t> {
    text: &'t str,
    at: usize,
    here: Option<char>,
    /// Whether a match may not end here.
    must_not_match: bool,
}

impl SearchPosition<'_> {
    /// Follows a thread from a step up to all characters that it may take here; says how many steps
    /// were visited. What would be less preferred than a match is left out.
    fn follow(
        &self,
        program: &Program,
        from: At,
        slots: &mut [usize],
        threads: &mut Threads,
        open: &mut Vec<Backtrack>,
    ) -> usize {
        let mut visits = 0;
        let lookup_cost = match self.here {
            Some(here) if !here.is_ascii() => LOOKED_UP,
            _ => 0,
        };
        open.push(Backtrack::Step(from));
        while let Some(back) = open.pop() {
            visits += 1;
            let mut step = match back {
                Backtrack::Step(step) => step,
                Backtrack::Restore(slot, before) => {
                    slots[slot] = before;
                    continue;
                }
            };
            while !threads.matched && threads.insert(step) {
                visits += 1;
                if let Instruction::Look(..) | Instruction::Class(..) = program.steps[step as usize]
                {
                    visits += lookup_cost;
                }
                step = match program.steps[step as usize] {
                    Instruction::Split(one, other) => {
                        open.push(Backtrack::Step(other));
                        one
                    }
                    Instruction::Look(look, then) if look.holds(self.text, self.at) => then,
                    Instruction::Keep(slot, then) => {
                        if let Some(kept) = slots.get_mut(slot) {
                            let before = std::mem::replace(kept, self.at);
                            open.push(Backtrack::Restore(slot, before));
                        }
                        then
                    }
                    Instruction::Char(char, then) if self.here == Some(char) => {
                        threads.add(Some(then), slots);
                        visits += slots.len() / COPIED;
                        break;
                    }
                    Instruction::Class(class, then)
                        if self
                            .here
                            .is_some_and(|char| program.classes[class as usize].has(char)) =>
                    {
                        threads.add(Some(then), slots);
                        visits += slots.len() / COPIED;
                        break;
                    }
                    Instruction::Match if !self.must_not_match => {
                        threads.matched = true;
                        threads.add(None, slots);
                        visits += slots.len() / COPIED;
                        break;
                    }
                    Instruction::Look(..)
                    | Instruction::Char(..)
                    | Instruction::Class(..)
                    | Instruction::Match => break,
                };
            }
        }
        visits
    }
}
