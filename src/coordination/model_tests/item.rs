//! The lease item of the model, made of what production's is, in small.

use std::collections::BTreeSet;

use super::super::decisions::{self, Change, Condition, Facts, Terms};
use super::store::{Name, Worker};

/// What was drawn for a take that nobody asks for.
pub(super) const NOBODYS: u8 = 0;

/// What a worker draws for a take: none of its takes before is known by it any more.
pub(super) fn draw_of(worker: Worker) -> u8 {
    NOBODYS + 1 + u8::try_from(worker).unwrap()
}

/// What the model's items are made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Small;

impl Terms for Small {
    type Worker = Worker;
    type Draw = u8;
    type Number = u8;
    type Checkpoint = Said;
}

/// What the item says of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Said {
    /// Where its body lies, and its checksum (the name it was drafted under).
    pub body: Option<(Name, Name)>,
    pub ended: bool,
    /// How many objects it lists, and places that are to be told.
    pub waiting: usize,
}

impl Said {
    /// Adds the names that it uses.
    pub(super) fn name(&self, named: &mut BTreeSet<Name>) {
        named.extend(self.body.iter().flat_map(|(at, checksum)| [at, checksum]));
    }
}

impl decisions::Checkpoint for Said {
    type Body = (Name, Name);

    fn body(&self) -> Option<&Self::Body> {
        self.body.as_ref()
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    fn waiting(&self) -> usize {
        self.waiting
    }
}

/// The lease item.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Item {
    pub facts: Facts<Small>,
    /// Not in the real item: counts changes of the owner, whoever made them.
    pub tenure: u8,
}

impl decisions::Item<Small> for Item {
    fn facts(&self) -> Facts<Small> {
        self.facts.clone()
    }
}

impl Item {
    /// As a worker adds it.
    pub(super) const NEW: Self = Self {
        facts: Facts {
            owner: None,
            counter: 0,
            fence: None,
            take: None,
            number: None,
            checkpoint: Said {
                body: None,
                ended: false,
                waiting: 0,
            },
        },
        tenure: 0,
    };

    /// Whether it says all of this.
    pub(super) fn meets(&self, conditions: &[Condition<Small>]) -> bool {
        let facts = &self.facts;
        conditions.iter().all(|condition| match condition {
            Condition::Owner(owner) => facts.owner == *owner,
            Condition::Counter(counter) => Some(facts.counter) == *counter,
            Condition::Fence(fence) => facts.fence == *fence,
            Condition::Number(number) => facts.number == *number,
        })
    }

    /// Carries a write out.
    pub(super) fn change(&mut self, changes: &[Change<Small>]) {
        let facts = &mut self.facts;
        for change in changes {
            match change {
                Change::Owner(owner) => facts.owner = *owner,
                Change::Take(draw) => facts.take = Some(*draw),
                Change::Counter(counter) => facts.counter = *counter,
                Change::Beat => facts.counter += 1,
                Change::Fence(fence) => facts.fence = Some(*fence),
                Change::Number(number) => facts.number = Some(*number),
                Change::FirstNumber(number) => facts.number = facts.number.or(Some(*number)),
                Change::Checkpoint(said) => facts.checkpoint = *said,
            }
        }
    }
}
