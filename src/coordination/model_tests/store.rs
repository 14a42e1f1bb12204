//! What outlives a worker: the lease table, the destination, the stream, and requests on their way.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decisions::{self, Change, Condition};
use super::item::{Item, NOBODYS, Small, draw_of};
use super::worker::Process;
use super::{Broken, Rules};

/// A name drawn at random, for a checkpoint's body and for its object and upload.
pub(super) type Name = u8;
/// The bytes of a part: a record, and the checkpoint they were encoded for. Encoded again, a record
/// gives other bytes.
pub(super) type Part = (u8, Name);
/// One of the workers, or the foreign one behind them.
pub(super) type Worker = usize;

/// So many workers are ours.
pub(super) const WORKERS: usize = 2;
/// A worker that follows KCL's rules and knows nothing of ours.
const FOREIGNER: Worker = WORKERS;

/// A sealed object that is prepared at the destination as an upload of its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Object {
    pub key: Name,
    pub parts: Vec<Part>,
}

/// The body of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Body {
    pub checksum: Name,
    pub frontier: u8,
    pub ended: bool,
    pub listed: Vec<Object>,
    /// Places of published objects that no catalog is known to know. Each record has one of its own.
    pub untold: BTreeSet<u8>,
}

impl Object {
    fn name(&self, named: &mut BTreeSet<Name>) {
        named.insert(self.key);
        named.extend(self.parts.iter().map(|(_, checksum)| checksum));
    }

    /// Where it lies.
    pub(super) fn places(&self) -> impl Iterator<Item = u8> {
        self.parts.iter().map(|(record, _)| *record)
    }
}

impl Body {
    /// Adds the names that it uses.
    pub(super) fn name(&self, named: &mut BTreeSet<Name>) {
        named.insert(self.checksum);
        self.listed.iter().for_each(|object| object.name(named));
    }
}

/// A request, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Request {
    Create,
    /// A take, a heartbeat, a release.
    Write(Write),
    /// A checkpoint, and what the judge knows of it.
    Commit(Write, Sent),
    Delete(Vec<Condition<Small>>),
    Part(Name, usize, Part),
    PutBody(Name, Body),
    Complete(Object),
    /// The catalog is told of a place.
    Tell(u8),
}

/// A write to the item.
pub(super) type Write = decisions::Write<Small>;

/// Not in the real request: what it was sent after.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Sent {
    /// The tenure it was made in.
    pub tenure: u8,
    /// Number of the preceding checkpoint.
    pub after: u8,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// The condition does not hold.
    Refused,
    /// There is no such upload.
    Gone,
}

/// What may still go wrong, and how many records there are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Luck {
    pub records: u8,
    /// Whether the shard ends behind them, and its lease goes when the stream has it no more.
    pub ends: bool,
    pub crashes: u8,
    /// Takes from a worker that still holds the lease.
    pub thefts: u8,
    pub releases: u8,
    /// Requests whose reply is lost, and that land at any time after.
    pub lates: u8,
    /// Uploads that the destination loses.
    pub losses: u8,
    pub beats: u8,
    /// Takes by a foreign worker.
    pub foreigners: u8,
    /// Whether a catalog is told where objects lie.
    pub catalog: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub item: Option<Item>,
    pub bodies: BTreeMap<Name, Body>,
    pub uploads: BTreeMap<Name, BTreeMap<usize, Part>>,
    pub visible: BTreeMap<Name, Vec<Part>>,
    /// Records in visible objects that nobody talks about any more.
    pub settled: Vec<u8>,
    /// Places that the catalog knows.
    pub told: BTreeSet<u8>,
    /// Uploads that the destination has lost.
    pub lost: BTreeSet<Name>,
    /// Whether the stream has the shard still.
    pub in_stream: bool,
    pub late: BTreeSet<Request>,
    pub processes: [Process; WORKERS],
    pub next_tenure: u8,
    pub luck: Luck,
}

/// What a step is called, and what it leads to: another world, or a broken promise.
pub(super) type Step = (&'static str, Result<World, String>);

impl World {
    pub(super) fn new(luck: Luck) -> Self {
        Self {
            item: None,
            bodies: BTreeMap::new(),
            uploads: BTreeMap::new(),
            visible: BTreeMap::new(),
            settled: Vec::new(),
            told: BTreeSet::new(),
            lost: BTreeSet::new(),
            in_stream: true,
            late: BTreeSet::new(),
            processes: [Process::Free, Process::Free],
            next_tenure: 1,
            luck,
        }
    }

    /// Every step that can be taken.
    pub(super) fn steps(&self, rules: Rules<'_>) -> Vec<Step> {
        let mut next = Vec::new();
        for worker in 0..WORKERS {
            self.work(worker, rules, &mut next);
        }
        for request in &self.late {
            let mut world = self.clone();
            world.late.remove(request);
            let landed = world.land(request, rules);
            next.push(("late request lands", landed.map(|_| world)));
        }
        self.misfortune(&mut next);
        for world in next.iter_mut().filter_map(|(_, world)| world.as_mut().ok()) {
            world.tidy();
        }
        next
    }

    /// Forgets what nobody can name any more, so that worlds which differ in nothing else are one.
    fn tidy(&mut self) {
        self.forget_draws();
        let named = self.named();
        self.bodies.retain(|at, _| named.contains(at));
        self.uploads.retain(|key, _| named.contains(key));
        self.lost.retain(|key| named.contains(key));
        let settled = self.visible.extract_if(.., |key, _| !named.contains(key));
        let records = settled
            .flat_map(|(_, parts)| parts)
            .map(|(record, _)| record);
        self.settled.extend(records);
        self.settled.sort_unstable();
    }

    /// What was drawn for a take is asked for by nobody but the worker that got no answer to it.
    fn forget_draws(&mut self) {
        let asked = |draw: u8| {
            let mut processes = self.processes.iter().enumerate();
            processes.any(|(worker, process)| {
                draw == draw_of(worker) && matches!(process, Process::Unanswered(_))
            })
        };
        if let Some(item) = &mut self.item {
            item.facts.take = item.facts.take.filter(|draw| asked(*draw));
        }
        let is_forgotten = |change: &Change<Small>| match change {
            Change::Take(draw) => *draw != NOBODYS && !asked(*draw),
            _ => false,
        };
        let is_asked = |request: &Request| match request {
            Request::Write(write) => !write.set.iter().any(is_forgotten),
            _ => true,
        };
        let forgotten: Vec<Request> = self
            .late
            .extract_if(.., |request| !is_asked(request))
            .collect();
        self.late.extend(forgotten.into_iter().map(|mut request| {
            if let Request::Write(write) = &mut request {
                let takes = write.set.iter_mut();
                takes
                    .filter(|change| is_forgotten(change))
                    .for_each(|change| *change = Change::Take(NOBODYS));
            }
            request
        }));
    }

    /// Every name that may still be used.
    fn named(&self) -> BTreeSet<Name> {
        let mut named = BTreeSet::new();
        if let Some(item) = &self.item {
            item.facts.checkpoint.name(&mut named);
        }
        for process in &self.processes {
            process.name(&mut named);
        }
        for request in &self.late {
            match request {
                Request::Commit(write, _) => {
                    for change in &write.set {
                        if let Change::Checkpoint(said) = change {
                            said.name(&mut named);
                        }
                    }
                }
                Request::Complete(object) => object.name(&mut named),
                Request::Part(upload, _, (_, checksum)) => named.extend([upload, checksum]),
                Request::PutBody(at, body) => {
                    named.insert(*at);
                    body.name(&mut named);
                }
                _ => {}
            }
        }
        for (at, body) in &self.bodies {
            if named.contains(at) {
                body.name(&mut named);
            }
        }
        named
    }

    /// A name that nobody uses.
    pub(super) fn fresh_name(&self) -> Name {
        let named = self.named();
        (1..=Name::MAX).find(|name| !named.contains(name)).unwrap()
    }

    /// Carries a request out.
    pub(super) fn land(&mut self, request: &Request, rules: Rules<'_>) -> Result<Answer, String> {
        match request {
            Request::Create if self.item.is_none() => self.item = Some(Item::NEW),
            Request::Write(write) if self.meets(&write.when) => self.carry_out(write),
            Request::Commit(write, sent) => return self.commit(write, sent, rules),
            Request::Delete(when) if self.meets(when) => self.item = None,
            Request::Create | Request::Write(_) | Request::Delete(_) => {
                return Ok(Answer::Refused);
            }
            Request::Part(upload, number, bytes) => match self.uploads.get_mut(upload) {
                Some(parts) => drop(parts.insert(*number, *bytes)),
                None => return Ok(Answer::Gone),
            },
            Request::PutBody(name, body) => drop(self.bodies.insert(*name, body.clone())),
            Request::Complete(object) => return self.complete(object, rules),
            Request::Tell(place) if self.records().contains(place) => {
                self.told.insert(*place);
            }
            Request::Tell(place) => return Err(format!("EARLY: nothing is at {place} yet")),
        }
        Ok(Answer::Done)
    }

    fn meets(&self, when: &[Condition<Small>]) -> bool {
        self.item.as_ref().is_some_and(|item| item.meets(when))
    }

    fn carry_out(&mut self, write: &Write) {
        if let Some(item) = &mut self.item {
            item.change(&write.set);
            let changes_owner = |change: &Change<Small>| matches!(change, Change::Owner(_));
            if write.set.iter().any(changes_owner) {
                item.tenure = self.next_tenure;
                self.next_tenure += 1;
            }
        }
    }

    /// Writes a checkpoint into the item: in the tenure it was made in, after the one it follows,
    /// and then always.
    fn commit(&mut self, write: &Write, sent: &Sent, rules: Rules<'_>) -> Result<Answer, String> {
        let Some(item) = &self.item else {
            return Ok(Answer::Refused);
        };
        let (holds, in_tenure) = (item.meets(&write.when), item.tenure == sent.tenure);
        let is_next = item.facts.number == Some(sent.after);
        if rules.judge_fencing && !holds && in_tenure && is_next {
            return Err(format!("EVICTED: {write:?} is refused by {item:?}"));
        }
        if !holds {
            return Ok(Answer::Refused);
        }
        if rules.judge_fencing && !in_tenure {
            return Err(format!("TRESPASS: {write:?} is written to {item:?}"));
        }
        self.carry_out(write);
        Ok(Answer::Done)
    }

    /// Completes an upload if the key is free. The request carries the checksums of its parts.
    fn complete(&mut self, object: &Object, rules: Rules<'_>) -> Result<Answer, String> {
        let is_visible = self.visible.contains_key(&object.key);
        if is_visible && !rules.lacks(Broken::GoneTakenForVanished) {
            return Ok(Answer::Done); // refused, asked for, and found to be ours
        }
        match self.uploads.remove(&object.key) {
            Some(parts) if parts.values().eq(&object.parts) => {
                self.visible.insert(object.key, object.parts.clone());
                Ok(Answer::Done)
            }
            Some(parts) => Err(format!(
                "TORN: {object:?} is listed, {parts:?} have arrived"
            )),
            None => Ok(Answer::Gone),
        }
    }

    /// The body that an item names.
    pub(super) fn read(&self, item: &Item) -> Result<Body, String> {
        let said = &item.facts.checkpoint;
        let Some((name, checksum)) = said.body else {
            // Of a shard that has ended, what the item says is all that there is to know.
            return Ok(Body {
                frontier: if said.ended { self.luck.records } else { 0 },
                ended: said.ended,
                ..Body::default()
            });
        };
        match self.bodies.get(&name) {
            Some(body) if body.checksum == checksum => Ok(body.clone()),
            Some(body) => Err(format!("TORN: {item:?} names {body:?}")),
            None => Err(format!("LOST: the body of {item:?}")),
        }
    }

    fn misfortune(&self, next: &mut Vec<Step>) {
        for upload in self.uploads.keys().filter(|_| self.luck.losses > 0) {
            let mut world = self.clone();
            world.luck.losses -= 1;
            world.uploads.remove(upload);
            world.lost.insert(*upload);
            next.push(("an upload vanishes", Ok(world)));
        }
        if self.luck.foreigners > 0 && self.item.is_some() {
            let mut world = self.clone();
            world.luck.foreigners -= 1;
            world.carry_out(&Write {
                when: Vec::new(),
                set: vec![Change::Owner(Some(FOREIGNER)), Change::Beat],
            });
            next.push(("a foreign worker takes", Ok(world)));
        }
        // Records stay for a day at least, requests are valid for a quarter of an hour.
        if self.in_stream && self.has_ended() && self.late.is_empty() {
            let mut world = self.clone();
            world.in_stream = false;
            next.push(("the shard expires", Ok(world)));
        }
    }

    pub(super) fn body(&self) -> Option<Body> {
        let item = self.item.as_ref()?;
        item.facts.number.filter(|number| *number > 0)?;
        self.read(item).ok()
    }

    /// Whether a durable checkpoint says that all has been read.
    fn has_ended(&self) -> bool {
        self.body().is_some_and(|body| body.ended)
    }

    /// Whether all has been read and nothing is left to publish.
    pub(super) fn is_at_rest(&self) -> bool {
        if self.item.is_none() {
            return !self.in_stream;
        }
        let is_all = |body: &Body| {
            if self.luck.ends {
                body.ended
            } else {
                body.frontier == self.luck.records
            }
        };
        self.body()
            .is_some_and(|body| is_all(&body) && body.listed.is_empty() && body.untold.is_empty())
    }

    /// Whether a worker has stopped loudly.
    pub(super) fn has_stopped(&self) -> bool {
        self.processes.contains(&Process::Stopped)
    }

    /// The records that are visible.
    fn records(&self) -> Vec<u8> {
        let parts = self.visible.values().flatten();
        let mut records: Vec<u8> = parts.map(|(record, _)| *record).collect();
        records.extend(&self.settled);
        records.sort_unstable();
        records
    }

    /// No record is in two objects; at rest, each is in one, and the catalog knows where. Who holds the lease knows what
    /// it says.
    pub(super) fn judge(&self, rules: Rules<'_>) -> Result<bool, String> {
        let records = self.records();
        if records.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(format!("DOUBLED: {records:?}"));
        }
        if self.is_at_rest() && records.len() < usize::from(self.luck.records) {
            return Err(format!("LOST: {records:?} are visible"));
        }
        let is_told = |record: &u8| self.told.contains(record);
        if self.luck.catalog && self.is_at_rest() && !records.iter().all(is_told) {
            return Err(format!(
                "UNTOLD: {records:?} are visible, {:?} told",
                self.told
            ));
        }
        if let Some(item) = self.item.as_ref().filter(|_| rules.judge_fencing) {
            let overtaken = self
                .processes
                .iter()
                .any(|process| process.is_overtaken(item));
            if overtaken {
                return Err(format!("OVERTAKEN: {item:?}"));
            }
        }
        Ok(self.is_at_rest())
    }
}
