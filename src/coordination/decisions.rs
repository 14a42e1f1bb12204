//! What a worker decides about a lease: on what condition it writes and what, what a lost answer means, from what it
//! goes on, and when an item may go.
//!
//! Pure: it is told what the table has said, and nothing in it depends on time. Production asks and sends (`leases`,
//! `lease`, `seize`, `sync`, and `writes`, which renders conditions as expressions of `DynamoDB`); the model does so in
//! every order (`model_tests`), against a table that judges the same conditions. So nothing here knows of text or
//! of 64 bits: what items are made of are [`Terms`].

use std::fmt::Debug;
use std::hash::Hash;
use std::ops::Add;

/// The names and numbers that items are made of.
pub(super) trait Terms: Clone + Debug + Ord + Hash {
    /// Names a worker.
    type Worker: Clone + Debug + Ord + Hash;
    /// Is drawn for each take.
    type Draw: Clone + Debug + Ord + Hash;
    /// Counts heartbeats, takes and checkpoints.
    type Number: Copy + Debug + Default + Ord + Hash + Add<Output = Self::Number> + From<bool>;
    /// Is written of a checkpoint.
    type Checkpoint: Checkpoint;
}

/// What an item says of a checkpoint.
pub(super) trait Checkpoint: Clone + Debug + Ord + Hash {
    /// Names a body: no two that were written have the same name.
    type Body: Eq;

    /// Where its body lies.
    fn body(&self) -> Option<&Self::Body>;

    /// All of the shard is in what it lists, or was published before.
    fn has_ended(&self) -> bool;

    /// How much of it waits: objects that it lists, and places of objects that a catalog is to be told of.
    fn waiting(&self) -> usize;

    /// Nobody has anything left to do for the shard. What the item says is then all that there is to know. Such a checkpoint
    /// of ours names no body; where a KCL worker has ended the shard after one of ours, that one's body stays.
    fn is_done(&self) -> bool {
        self.has_ended() && self.waiting() == 0
    }
}

/// What an item says, as far as anything is decided by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Facts<T: Terms> {
    pub(super) owner: Option<T::Worker>,
    /// The heartbeat.
    pub(super) counter: T::Number,
    /// The fencing number, from the first take on.
    pub(super) fence: Option<T::Number>,
    /// What was drawn for the last take.
    pub(super) take: Option<T::Draw>,
    /// The number of the last checkpoint.
    pub(super) number: Option<T::Number>,
    /// That checkpoint.
    pub(super) checkpoint: T::Checkpoint,
}

/// An item as the table gives it.
pub(super) trait Item<T: Terms> {
    /// What is decided by.
    fn facts(&self) -> Facts<T>;
}

/// What an item must say for a write to be carried out. `None`: it must say nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Condition<T: Terms> {
    Owner(Option<T::Worker>),
    Counter(Option<T::Number>),
    Fence(Option<T::Number>),
    Number(Option<T::Number>),
}

/// What a write makes an item say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Change<T: Terms> {
    /// `None`: nobody holds it.
    Owner(Option<T::Worker>),
    Take(T::Draw),
    Counter(T::Number),
    /// The counter is one more than it was.
    Beat,
    Fence(T::Number),
    Number(T::Number),
    /// Where it has none yet.
    FirstNumber(T::Number),
    Checkpoint(T::Checkpoint),
}

/// A change of an item, carried out where all conditions hold and at no other time. Without an answer it may land
/// at any time after.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Write<T: Terms> {
    pub(super) when: Vec<Condition<T>>,
    pub(super) set: Vec<Change<T>>,
}

/// What is answered to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply<I> {
    /// It was carried out; the item as this very write left it.
    Done(I),
    /// A condition does not hold.
    Refused,
    /// Nothing that says so: it may have been carried out, or may be yet.
    Lost,
}

/// An item that was taken, as the take left it. There is no other way to a tenure, so nobody goes on from what was read
/// before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Taken<I>(I);

/// Whether a take was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Took<I> {
    Yes(Taken<I>),
    No,
    /// The item is to be read.
    Ask,
}

/// A take on its way. It is sent once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Taking<T: Terms> {
    worker: T::Worker,
    draw: T::Draw,
}

/// Who holds a lease, from one take to the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Tenure<T: Terms> {
    worker: T::Worker,
    fence: T::Number,
}

/// A lease's checkpoints, as its holder knows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Chain<T: Terms> {
    tenure: Tenure<T>,
    /// The last one that is known to be durable, and its number.
    number: T::Number,
    last: T::Checkpoint,
    /// The one after it, from when it was begun until it is known to be durable.
    sent: Option<T::Checkpoint>,
}

/// What a look at the item says of a checkpoint that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    Durable,
    /// Not there; the very same may be sent again, and may still land.
    NotYet,
    Lost,
}

fn one_more<T: Terms>(number: T::Number) -> T::Number {
    number + T::Number::from(true)
}

/// What deletes an item: on condition that nothing has changed since it was `seen`.
pub(super) fn deletion<T: Terms>(seen: &Facts<T>) -> Vec<Condition<T>> {
    vec![
        Condition::Owner(seen.owner.clone()),
        Condition::Number(seen.number),
        Condition::Counter(Some(seen.counter)),
    ]
}

/// Whether an item may go: nothing is left to do for it, no holder is `alive`, who could write to it (the last one may
/// have died before it let go), and nobody would add it again, since its shard is not `listed` any more.
pub(super) fn may_go<T: Terms>(item: &Facts<T>, is_alive: bool, is_listed: bool) -> bool {
    item.checkpoint.is_done() && !is_alive && !is_listed
}

impl<I> Taken<I> {
    /// What is gone on from.
    pub(super) const fn item(&self) -> &I {
        &self.0
    }
}

impl<T: Terms> Taking<T> {
    /// A take by `worker`. What is drawn for it is drawn for no other.
    pub(super) const fn new(worker: T::Worker, draw: T::Draw) -> Self {
        Self { worker, draw }
    }

    /// What takes it: on condition that nothing has changed since it was `seen`, but for what the checkpoints of its
    /// holder say. Those stay as they are: what they list is for the taker to publish.
    pub(super) fn write(&self, seen: &Facts<T>) -> Write<T> {
        Write {
            when: vec![
                Condition::Counter(Some(seen.counter)),
                Condition::Owner(seen.owner.clone()),
                Condition::Fence(seen.fence),
            ],
            set: vec![
                Change::Owner(Some(self.worker.clone())),
                Change::Take(self.draw.clone()),
                Change::Counter(one_more::<T>(seen.counter)),
                Change::Fence(one_more::<T>(seen.fence.unwrap_or_default())),
                Change::FirstNumber(T::Number::default()),
            ],
        }
    }

    /// What the answer says of it.
    pub(super) fn replied<I: Item<T>>(&self, reply: Reply<I>) -> Took<I> {
        match reply {
            Reply::Done(item) => self.found(Some(item)).map_or(Took::No, Took::Yes),
            Reply::Refused => Took::No,
            Reply::Lost => Took::Ask,
        }
    }

    /// What a consistent read after it says: the item as this take left it, but for what has been written since.
    pub(super) fn found<I: Item<T>>(&self, item: Option<I>) -> Option<Taken<I>> {
        let is_mine = |item: &I| {
            let facts = item.facts();
            facts.take.as_ref() == Some(&self.draw) && facts.owner.as_ref() == Some(&self.worker)
        };
        item.filter(is_mine).map(Taken)
    }

    /// The tenure that begins with it. `None`: the item has no fencing number.
    pub(super) fn tenure<I: Item<T>>(self, taken: &Taken<I>) -> Option<Tenure<T>> {
        let fence = taken.0.facts().fence?;
        Some(Tenure {
            worker: self.worker,
            fence,
        })
    }
}

impl<T: Terms> Tenure<T> {
    /// Its fencing number.
    pub(super) const fn fence(&self) -> T::Number {
        self.fence
    }

    fn held(&self) -> Vec<Condition<T>> {
        vec![
            Condition::Owner(Some(self.worker.clone())),
            Condition::Fence(Some(self.fence)),
        ]
    }

    /// Whether the item still says that this holder holds it.
    pub(super) fn holds(&self, item: &Facts<T>) -> bool {
        item.owner.as_ref() == Some(&self.worker) && item.fence == Some(self.fence)
    }

    /// The heartbeat.
    pub(super) fn renewal(&self) -> Write<T> {
        Write {
            when: self.held(),
            set: vec![Change::Beat],
        }
    }
}

impl<T: Terms> Chain<T> {
    /// Goes on from what was taken: the list of its checkpoint is to be published, whatever else is true.
    pub(super) fn of<I: Item<T>>(tenure: Tenure<T>, taken: &Taken<I>) -> Self {
        let facts = taken.0.facts();
        Self {
            tenure,
            number: facts.number.unwrap_or_default(),
            last: facts.checkpoint,
            sent: None,
        }
    }

    /// The last checkpoint that is known to be durable.
    pub(super) const fn last(&self) -> &T::Checkpoint {
        &self.last
    }

    /// What writes `next` after it, to be sent until it is settled: each time the very same. `None` while another was
    /// sent of which nobody knows what became: it may land at any time, and nothing else may be written.
    pub(super) fn begin(&mut self, next: T::Checkpoint) -> Option<Write<T>> {
        if self.sent.is_some() {
            return None;
        }
        self.sent = Some(next.clone());
        Some(Write {
            when: self.held_after(),
            set: vec![
                Change::Number(one_more::<T>(self.number)),
                Change::Checkpoint(next),
            ],
        })
    }

    /// Whether the answer says that it is durable. Otherwise the item is to be read, also where a condition failed: an
    /// earlier copy of it may have landed.
    pub(super) fn replied<I>(&mut self, reply: &Reply<I>) -> bool {
        let is_durable = matches!(reply, Reply::Done(_));
        if is_durable {
            self.settle();
        }
        is_durable
    }

    /// What a consistent read says of it.
    pub(super) fn found(&mut self, item: Option<&Facts<T>>) -> WriteOutcome {
        let Some(item) = item.filter(|item| self.tenure.holds(item)) else {
            return WriteOutcome::Lost;
        };
        let number = item.number.unwrap_or_default();
        let is_of = |said: &T::Checkpoint| item.checkpoint.body() == said.body();
        if number == one_more::<T>(self.number) && self.sent.as_ref().is_some_and(is_of) {
            self.settle();
            WriteOutcome::Durable
        } else if number == self.number && is_of(&self.last) {
            WriteOutcome::NotYet
        } else {
            WriteOutcome::Lost
        }
    }

    fn settle(&mut self) {
        if let Some(written) = self.sent.take() {
            self.number = one_more::<T>(self.number);
            self.last = written;
        }
    }

    /// What lets go of the lease.
    pub(super) fn release(&self) -> Write<T> {
        Write {
            when: self.held_after(),
            set: vec![Change::Beat, Change::Owner(None)],
        }
    }

    fn held_after(&self) -> Vec<Condition<T>> {
        let mut when = self.tenure.held();
        when.push(Condition::Number(Some(self.number)));
        when
    }
}

/// What the model reaches for where it leaves a rule out, and where it judges.
#[cfg(test)]
mod left_out {
    use super::{Chain, Taken, Tenure, Terms};

    impl<I> Taken<I> {
        /// Goes on from any item at all.
        pub(in super::super) const fn of_a_model(item: I) -> Self {
            Self(item)
        }
    }

    impl<T: Terms> Chain<T> {
        pub(in super::super) const fn number(&self) -> T::Number {
            self.number
        }

        pub(in super::super) const fn tenure(&self) -> &Tenure<T> {
            &self.tenure
        }

        /// Another may be written though one was sent.
        pub(in super::super) fn forget_sent(&mut self) {
            self.sent = None;
        }
    }
}
