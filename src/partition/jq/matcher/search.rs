//! A search that counts what it does.
//!
//! All ways through a program are followed at once, character by character, the preferred first
//! (Thompson's simulation with Pike's places of groups), so a search takes steps in proportion to
//! text and pattern; each burns fuel, whether or not its character is part of the match.

use std::cell::Cell;

use super::super::meter::{charge, stop};
use super::program::{At, Program, Step};

/// Visits of steps that cost a unit of fuel.
const VISITS: usize = 128;
/// So often all searches of a text together may take each step at each of its bytes, and at some more.
const PASSES: usize = 16;
const MORE_BYTES: usize = 1024;
/// Bytes that cost as much as a visit where a search looks for the first byte of a match only.
const SKIPPED_BYTES: usize = 16;
/// Places that are copied at the cost of a visit.
const COPIED: usize = 8;
/// A larger memory of searches is not kept.
const KEPT_STEPS: usize = 1 << 13;

/// A place that a group has not.
const NOWHERE: usize = usize::MAX;

/// The fuel that all searches of a text together may burn: in proportion to text and pattern, as
/// that of one search. Where each reads on far behind its match there would be no such bound.
pub(in crate::partition::jq) struct Allowance(Cell<usize>);

impl Allowance {
    pub(super) fn new(program: &Program, text: &str) -> Self {
        let once = program.steps.len().saturating_mul(text.len() + MORE_BYTES);
        Self(Cell::new(once.saturating_mul(PASSES) / VISITS))
    }

    fn burn(&self, units: usize) {
        charge(units);
        match self.0.get().checked_sub(units) {
            Some(left) => self.0.set(left),
            None => stop("a regular expression reads the text too many times over"),
        }
    }
}

/// The memory of searches, for reuse.
#[derive(Default)]
pub(super) struct Memory {
    now: Ways,
    next: Ways,
    open: Vec<Open>,
    visits: usize,
}

/// Ways through a program up to one character, the preferred first.
#[derive(Default)]
struct Ways {
    /// The steps seen, in a sparse set.
    seen: Vec<At>,
    index: Vec<u32>,
    /// Where each way goes on behind the character; none where it has matched, which is the last.
    onward: Vec<Option<At>>,
    /// The places that each has kept.
    places: Vec<usize>,
    matched: bool,
}

enum Open {
    Step(At),
    /// A place as it was before.
    Restore(usize, usize),
}

impl Memory {
    /// Whether it is worth keeping.
    pub(super) fn is_small(&self) -> bool {
        self.now.index.len() <= KEPT_STEPS
    }

    /// The leftmost match from a byte on: start and end of each group that there is room for go
    /// to `found`. Without room it is only told whether there is one.
    pub(super) fn search(
        &mut self,
        program: &Program,
        text: &str,
        mut at: usize,
        allowance: &Allowance,
        found: &mut [usize],
    ) -> bool {
        for ways in [&mut self.now, &mut self.next] {
            ways.clear();
            let steps = ways.index.len().max(program.steps.len());
            ways.index.resize(steps, 0);
        }
        self.open.clear();
        self.visits = 0;
        let mut none = vec![NOWHERE; found.len()];
        let mut here = text[at..].chars().next();
        let mut matched = false;
        loop {
            if self.now.onward.is_empty() {
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
                let place = Place { text, at, here };
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
            let behind = Place {
                text,
                at: end,
                here: text[end..].chars().next(),
            };
            let size = found.len();
            for (index, onward) in self.now.onward.iter().enumerate() {
                let places = &mut self.now.places[index * size..][..size];
                let Some(onward) = *onward else {
                    found.copy_from_slice(places);
                    matched = true;
                    break;
                };
                self.visits +=
                    behind.follow(program, onward, places, &mut self.next, &mut self.open);
            }
            self.visits += 1;
            self.burn(allowance);
            if here.is_none() {
                break;
            }
            std::mem::swap(&mut self.now, &mut self.next);
            self.next.clear();
            (at, here) = (behind.at, behind.here);
        }
        self.burn(allowance);
        matched
    }

    /// Steps that have not made a unit of fuel yet.
    #[cfg(test)]
    pub(super) fn uncharged(&self) -> u64 {
        self.visits as u64
    }

    fn burn(&mut self, allowance: &Allowance) {
        if self.visits >= VISITS {
            allowance.burn(self.visits / VISITS);
            self.visits %= VISITS;
        }
    }
}

impl Ways {
    fn clear(&mut self) {
        self.seen.clear();
        self.onward.clear();
        self.places.clear();
        self.matched = false;
    }

    /// Adds a step to those seen, if it is not among them.
    fn see(&mut self, step: At) -> bool {
        let index = &mut self.index[step as usize];
        if self.seen.get(*index as usize) == Some(&step) {
            return false;
        }
        // There are no more steps than a `u32` counts.
        *index = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        self.seen.push(step);
        true
    }

    fn add(&mut self, onward: Option<At>, places: &[usize]) {
        self.onward.push(onward);
        self.places.extend_from_slice(places);
    }
}

/// Where a search is: before a character or at the end.
struct Place<'t> {
    text: &'t str,
    at: usize,
    here: Option<char>,
}

impl Place<'_> {
    /// Follows a way from a step up to all characters that it may take here; says how many steps
    /// were visited. What would be less preferred than a match is left out.
    fn follow(
        &self,
        program: &Program,
        from: At,
        places: &mut [usize],
        ways: &mut Ways,
        open: &mut Vec<Open>,
    ) -> usize {
        let mut visits = 0;
        open.push(Open::Step(from));
        while let Some(next) = open.pop() {
            visits += 1;
            let mut step = match next {
                Open::Step(step) => step,
                Open::Restore(place, before) => {
                    places[place] = before;
                    continue;
                }
            };
            while !ways.matched && ways.see(step) {
                visits += 1;
                step = match program.steps[step as usize] {
                    Step::Split(one, other) => {
                        open.push(Open::Step(other));
                        one
                    }
                    Step::Look(look, then) if look.holds(self.text, self.at) => then,
                    Step::Keep(place, then) => {
                        if let Some(kept) = places.get_mut(place) {
                            let before = std::mem::replace(kept, self.at);
                            open.push(Open::Restore(place, before));
                        }
                        then
                    }
                    Step::Char(char, then) if self.here == Some(char) => {
                        ways.add(Some(then), places);
                        visits += places.len() / COPIED;
                        break;
                    }
                    Step::Class(class, then)
                        if self
                            .here
                            .is_some_and(|char| program.classes[class as usize].has(char)) =>
                    {
                        ways.add(Some(then), places);
                        visits += places.len() / COPIED;
                        break;
                    }
                    Step::Match => {
                        ways.matched = true;
                        ways.add(None, places);
                        visits += places.len() / COPIED;
                        break;
                    }
                    Step::Look(..) | Step::Char(..) | Step::Class(..) => break,
                };
            }
        }
        visits
    }
}
