//! What a worker does: takes the lease, drafts and writes checkpoints, publishes what they list,
//! hands over.

use std::collections::BTreeSet;

use super::super::decisions::{self, Chain, Condition, Reply, Taken, Taking, Tenure, Took};
use super::draft::Draft;
use super::item::{Item, Said, Small, draw_of};
use super::store::{Answer, Body, Name, Object, Request, Step, Worker, World};
use super::{Broken, Rules};

/// What a worker knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Process {
    /// It holds nothing.
    Free,
    /// It has read the item and is about to take it.
    Looking(Item),
    /// It has tried to take it and got no answer.
    Unanswered(Taking<Small>),
    /// It has taken the item, as it was returned; the body is not read yet.
    Taken(Tenure<Small>, Taken<Item>),
    Holding(Holding),
    /// It has stopped loudly: an upload that its checkpoint lists has vanished.
    Stopped,
}

/// A lease that a worker believes to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holding {
    pub(super) chain: Chain<Small>,
    /// What it believes the counter to be.
    heartbeat: u8,
    /// Not in the real holder.
    pub(super) tenure: u8,
    /// What the body of its last checkpoint says.
    pub(super) base: Body,
    /// Objects of its list that are visible for sure.
    pub(super) published: BTreeSet<Name>,
    /// Places that the catalog knows for sure.
    pub(super) told: BTreeSet<u8>,
    pub(super) draft: Option<Draft>,
}

impl Process {
    /// Whether it holds the lease, and the item says what it does not know of.
    pub(super) fn is_overtaken(&self, item: &Item) -> bool {
        let Self::Holding(holding) = self else {
            return false;
        };
        let said = item.facts.checkpoint;
        let draft = holding.draft.as_ref();
        let is_draft = draft.is_some_and(|draft| said == draft.said());
        holding.tenure == item.tenure && *holding.chain.last() != said && !is_draft
    }

    /// Whether it has the lease as the item is now, known to itself or not yet.
    fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Holding(holding) => holding.tenure == item.tenure,
            Self::Taken(_, taken) => taken.item().tenure == item.tenure,
            Self::Unanswered(taking) => taking.found(Some(item.clone())).is_some(),
            Self::Free | Self::Looking(_) | Self::Stopped => false,
        }
    }
}

impl Process {
    /// Adds the names that it may use.
    pub(super) fn name(&self, named: &mut BTreeSet<Name>) {
        match self {
            Self::Looking(item) => item.facts.checkpoint.name(named),
            Self::Taken(_, taken) => taken.item().facts.checkpoint.name(named),
            Self::Holding(holding) => {
                holding.chain.last().name(named);
                named.extend(&holding.published);
                holding.base.name(named);
                if let Some(draft) = &holding.draft {
                    named.insert(draft.at);
                    draft.body.name(named);
                }
            }
            Self::Free | Self::Unanswered(_) | Self::Stopped => {}
        }
    }
}

impl Holding {
    /// The conditions that a checkpoint is written on, but for those that are left out.
    pub(super) fn weaken(&self, when: &mut Vec<Condition<Small>>, rules: Rules<'_>) {
        if rules.lacks(Broken::HeartbeatAsFence) {
            for condition in when.iter_mut() {
                if matches!(condition, Condition::Fence(_)) {
                    *condition = Condition::Counter(Some(self.heartbeat));
                }
            }
        }
        when.retain(|condition| {
            !rules.lacks(match condition {
                Condition::Owner(_) => Broken::OwnerNotChecked,
                Condition::Fence(_) => Broken::FenceNotChecked,
                Condition::Number(_) => Broken::NumberNotChecked,
                Condition::Counter(_) => return true,
            })
        });
    }
}

impl World {
    pub(super) fn work(&self, worker: Worker, rules: Rules<'_>, next: &mut Vec<Step>) {
        match &self.processes[worker] {
            Process::Free => self.look(worker, rules, next),
            Process::Looking(seen) => self.try_to_take(worker, seen, rules, next),
            Process::Unanswered(taking) => {
                let mut item = self.item.clone();
                if let Some(facts) = item.as_mut().map(|item| &mut item.facts) {
                    if rules.lacks(Broken::TakeKnownByOwner) {
                        facts.take = Some(draw_of(worker));
                    }
                    if rules.lacks(Broken::TakeKnownByName) && facts.take.is_some() {
                        facts.owner = Some(worker);
                    }
                }
                let world = self.tenured(worker, taking, taking.found(item));
                next.push(("asks whether it took the lease", Ok(world)));
            }
            Process::Taken(tenure, taken) => {
                let resumed = self.resume(worker, tenure, taken, rules);
                next.push(("reads the body", resumed));
            }
            Process::Holding(holding) => self.hold(worker, holding, rules, next),
            Process::Stopped => {}
        }
    }

    pub(super) fn with(&self, worker: Worker, process: Process) -> Self {
        let mut world = self.clone();
        world.processes[worker] = process;
        world
    }

    /// A request that is answered, and one that is not and may land later.
    pub(super) fn send(
        &self,
        (step, late): (&'static str, &'static str),
        request: &Request,
        rules: Rules<'_>,
        next: &mut Vec<Step>,
        answered: impl FnOnce(&mut Self, &Answer) -> Result<(), String>,
        unanswered: impl FnOnce(&mut Self),
    ) {
        let mut world = self.clone();
        let landed = world.land(request, rules);
        let answered = landed.and_then(|answer| answered(&mut world, &answer));
        next.push((step, answered.map(|()| world)));
        if self.luck.lates > 0 && !self.late.contains(request) {
            let mut world = self.clone();
            world.luck.lates -= 1;
            world.late.insert(request.clone());
            unanswered(&mut world);
            next.push((late, Ok(world)));
        }
    }

    fn look(&self, worker: Worker, rules: Rules<'_>, next: &mut Vec<Step>) {
        let Some(item) = &self.item else {
            if self.in_stream {
                let steps = ("creates the item", "creates the item late");
                self.send(steps, &Request::Create, rules, next, |_, _| Ok(()), |_| ());
            }
            return;
        };
        self.delete(item, rules, next);
        // The workers are alike, so the first one comes first.
        let comes_later = self.next_tenure == 1 && worker > 0;
        if self.is_at_rest() || comes_later {
            return;
        }
        if item.facts.owner == Some(worker) && rules.lacks(Broken::ResumeWithoutRaising) {
            let (taking, taken) = (Taking::new(worker, 0), Taken::of_a_model(item.clone()));
            let world = self.tenured(worker, &taking, Some(taken));
            next.push(("resumes its lease", Ok(world)));
        }
        let mut seen = item.clone();
        seen.facts.take = None;
        if !rules.lacks(Broken::ResumeFromStaleRead) {
            (seen.facts.number, seen.facts.checkpoint) = (None, Said::default()); // nobody needs it
        }
        let mut world = self.with(worker, Process::Looking(seen));
        if self.processes.iter().any(|process| process.holds(item)) {
            if self.luck.thefts == 0 {
                return;
            }
            world.luck.thefts -= 1;
        }
        next.push(("looks at the item", Ok(world)));
    }

    /// Deletes an item that nothing is left to do for. Anybody may, and may take its holder for dead.
    fn delete(&self, item: &Item, rules: Rules<'_>, next: &mut Vec<Step>) {
        let mut facts = item.facts.clone();
        if rules.lacks(Broken::DeletedBeforeListIsEmpty) {
            facts.checkpoint.waiting = 0;
        }
        let is_listed = self.in_stream && !rules.lacks(Broken::DeletedBeforeRetention);
        if decisions::may_go(&facts, false, is_listed) {
            let steps = ("deletes the item", "deletes the item late");
            let request = Request::Delete(decisions::deletion(&item.facts));
            self.send(steps, &request, rules, next, |_, _| Ok(()), |_| ());
        }
    }

    fn try_to_take(&self, worker: Worker, seen: &Item, rules: Rules<'_>, next: &mut Vec<Step>) {
        let taking = Taking::new(worker, draw_of(worker));
        let mut write = taking.write(&seen.facts);
        if rules.lacks(Broken::TakeNotConditional) {
            write.when.clear();
        }
        let answered = |world: &mut Self, answer: &Answer| {
            let reply = match (answer, &world.item) {
                (Answer::Done, Some(item)) => Reply::Done(item.clone()),
                _ => Reply::Refused,
            };
            let mut taken = match taking.replied(reply) {
                Took::Yes(taken) => Some(taken),
                Took::No | Took::Ask => None,
            };
            if let Some(item) = taken
                .as_mut()
                .filter(|_| rules.lacks(Broken::ResumeFromStaleRead))
            {
                let mut stale = item.item().clone();
                stale.facts.number = seen.facts.number;
                stale.facts.checkpoint = seen.facts.checkpoint;
                *item = Taken::of_a_model(stale);
            }
            *world = world.tenured(worker, &taking, taken);
            Ok(())
        };
        let unanswered =
            |world: &mut Self| world.processes[worker] = Process::Unanswered(taking.clone());
        self.send(
            ("takes", "takes late"),
            &Request::Write(write),
            rules,
            next,
            answered,
            unanswered,
        );
    }

    /// Has a worker hold what it has taken, if it has.
    fn tenured(&self, worker: Worker, taking: &Taking<Small>, taken: Option<Taken<Item>>) -> Self {
        let tenure = |taken: Taken<Item>| Some((taking.clone().tenure(&taken)?, taken));
        let process = match taken.and_then(tenure) {
            Some((tenure, taken)) => Process::Taken(tenure, taken),
            None => Process::Free,
        };
        self.with(worker, process)
    }

    /// Goes on from the checkpoint that the take returned. If its body is missing, somebody else has
    /// taken the lease since and written another.
    fn resume(
        &self,
        worker: Worker,
        tenure: &Tenure<Small>,
        taken: &Taken<Item>,
        rules: Rules<'_>,
    ) -> Result<Self, String> {
        let is_mine = |now: &Item| tenure.holds(&now.facts);
        let mut base = match self.read(taken.item()) {
            Err(_) if !self.item.as_ref().is_some_and(is_mine) => {
                return Ok(self.with(worker, Process::Free));
            }
            base => base?,
        };
        if rules.lacks(Broken::ForgetListAtTaking) {
            base.listed.clear();
        }
        if rules.lacks(Broken::ForgetPlacesAtTaking) {
            base.untold.clear();
        }
        let holding = Holding {
            chain: Chain::of(tenure.clone(), taken),
            heartbeat: taken.item().facts.counter,
            tenure: taken.item().tenure,
            base,
            published: BTreeSet::new(),
            told: BTreeSet::new(),
            draft: None,
        };
        Ok(self.with(worker, Process::Holding(holding)))
    }

    /// The same world with something changed in what a worker holds.
    pub(super) fn change(&mut self, worker: Worker, change: impl FnOnce(&mut Holding)) {
        if let Process::Holding(holding) = &mut self.processes[worker] {
            change(holding);
        }
    }

    fn hold(&self, worker: Worker, holding: &Holding, rules: Rules<'_>, next: &mut Vec<Step>) {
        match &holding.draft {
            None => {
                self.draft(worker, holding, rules, next);
                self.leave(worker, holding, rules, next);
            }
            Some(draft) if draft.is_unsettled => {
                let settled = self.ask_about(worker, holding, draft, rules);
                next.push(("asks for its checkpoint", Ok(settled)));
                if self.luck.lates > 0 {
                    let mut world = self.clone();
                    world.change(worker, |holding| {
                        let draft = holding.draft.iter_mut();
                        draft.for_each(|draft| draft.is_unsettled = false);
                    });
                    next.push(("asks in vain", Ok(world)));
                }
                // It is given up, and with it the lease.
                self.leave(worker, holding, rules, next);
            }
            Some(draft) => self.commit_draft(worker, draft, rules, next),
        }
        for object in &holding.base.listed {
            self.publish(worker, holding, object, rules, next);
        }
        self.tell(worker, holding, rules, next);
        let draft = holding
            .draft
            .as_ref()
            .filter(|_| rules.lacks(Broken::PublishUnlisted));
        if let Some(object) = draft.and_then(Draft::object) {
            self.publish(worker, holding, object, rules, next);
        }
        if self.luck.beats > 0 {
            let mut world = self.clone();
            world.luck.beats -= 1;
            let request = Request::Write(holding.chain.tenure().renewal());
            let answered = |world: &mut Self, answer: &Answer| {
                if *answer == Answer::Refused {
                    world.processes[worker] = Process::Free;
                }
                world.change(worker, |holding| holding.heartbeat += 1);
                Ok(())
            };
            world.send(
                ("renews", "renews late"),
                &request,
                rules,
                next,
                answered,
                |_| (),
            );
        }
        if self.luck.crashes > 0 {
            let mut world = self.with(worker, Process::Free);
            world.luck.crashes -= 1;
            next.push(("crashes", Ok(world)));
        }
    }

    fn publish(
        &self,
        worker: Worker,
        holding: &Holding,
        object: &Object,
        rules: Rules<'_>,
        next: &mut Vec<Step>,
    ) {
        if holding.published.contains(&object.key) {
            return;
        }
        let publish = |world: &mut Self| {
            world.change(worker, |holding| {
                holding.published.insert(object.key);
            });
        };
        let answered = |world: &mut Self, answer: &Answer| {
            if *answer == Answer::Gone && !rules.lacks(Broken::GoneTakenForPublished) {
                world.processes[worker] = Process::Stopped;
                if !world.lost.contains(&object.key) {
                    return Err(format!("STOPPED: {object:?} has not vanished"));
                }
            }
            publish(world);
            Ok(())
        };
        let unanswered = |world: &mut Self| {
            if rules.lacks(Broken::UnlistedAtSending) {
                publish(world);
            }
        };
        let request = Request::Complete(object.clone());
        self.send(
            ("publishes", "publishes late"),
            &request,
            rules,
            next,
            answered,
            unanswered,
        );
    }

    /// Tells the catalog of places, whatever checkpoint is on its way.
    fn tell(&self, worker: Worker, holding: &Holding, rules: Rules<'_>, next: &mut Vec<Step>) {
        if !self.luck.catalog {
            return;
        }
        for place in holding.untold() {
            let told = |world: &mut Self| {
                world.change(worker, |holding| {
                    holding.told.insert(place);
                });
            };
            let answered = |world: &mut Self, _: &Answer| {
                told(world);
                Ok(())
            };
            let unanswered = |world: &mut Self| {
                if rules.lacks(Broken::ToldAtSending) {
                    told(world);
                }
            };
            let steps = ("tells the catalog", "tells the catalog late");
            self.send(
                steps,
                &Request::Tell(place),
                rules,
                next,
                answered,
                unanswered,
            );
        }
    }

    /// Hands the lease over.
    fn leave(&self, worker: Worker, holding: &Holding, rules: Rules<'_>, next: &mut Vec<Step>) {
        let free = |world: &mut Self| world.processes[worker] = Process::Free;
        let freed = |world: &mut Self, _: &Answer| {
            free(world);
            Ok(())
        };
        if self.luck.releases > 0 {
            let mut world = self.clone();
            world.luck.releases -= 1;
            let request = Request::Write(holding.chain.release());
            world.send(
                ("hands over", "hands over late"),
                &request,
                rules,
                next,
                freed,
                free,
            );
        }
    }
}
