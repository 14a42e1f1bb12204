//! What a worker does: takes the lease, drafts and writes checkpoints, publishes what they list,
//! hands over.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::store::{Answer, Body, Item, Name, Object, Request, Step, Worker, World, Write};
use super::{Broken, Rules};

/// What a worker knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Process {
    /// It holds nothing.
    Free,
    /// It has read the item and is about to take it.
    Looking(Item),
    /// It has tried to take it and got no answer.
    Unanswered(Item),
    /// It has taken the item, as it was returned; the body is not read yet.
    Taken(Item),
    Holding(Holding),
    /// It has stopped loudly: an upload that its checkpoint lists has vanished.
    Stopped,
}

/// A lease that a worker believes to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holding {
    pub(super) fence: u8,
    pub(super) heartbeat: u8,
    pub(super) tenure: u8,
    /// Number of the last checkpoint, where its body lies, and what it says.
    pub(super) number: u8,
    pub(super) body: Option<(Name, Name)>,
    pub(super) base: Body,
    /// Objects of its list that are visible for sure.
    pub(super) published: BTreeSet<Name>,
    pub(super) draft: Option<Draft>,
}

impl Process {
    /// Whether it holds the lease, and the item says what it does not know of.
    pub(super) fn is_overtaken(&self, item: &Item) -> bool {
        let Self::Holding(holding) = self else {
            return false;
        };
        let draft = holding.draft.as_ref();
        let is_draft = draft.is_some_and(|draft| item.body == Some(draft.named()));
        holding.tenure == item.tenure && holding.body != item.body && !is_draft
    }

    /// Whether it has the lease as the item is now, known to itself or not yet.
    fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Holding(holding) => holding.tenure == item.tenure,
            Self::Taken(taken) => taken.tenure == item.tenure,
            Self::Unanswered(seen) => seen.fence < item.fence,
            Self::Free | Self::Looking(_) | Self::Stopped => false,
        }
    }
}

impl Process {
    /// Adds the names that it may use.
    pub(super) fn name(&self, named: &mut BTreeSet<Name>) {
        match self {
            Self::Looking(item) | Self::Unanswered(item) | Self::Taken(item) => {
                named.extend(item.body.iter().flat_map(|(at, checksum)| [at, checksum]));
            }
            Self::Holding(holding) => {
                named.extend(
                    holding
                        .body
                        .iter()
                        .flat_map(|(at, checksum)| [at, checksum]),
                );
                named.extend(&holding.published);
                holding.base.name(named);
                if let Some(draft) = &holding.draft {
                    named.insert(draft.at);
                    draft.body.name(named);
                }
            }
            Self::Free | Self::Stopped => {}
        }
    }
}

impl Holding {
    pub(super) fn write(&self, by: Worker) -> Write {
        Write {
            by,
            fence: self.fence,
            heartbeat: self.heartbeat,
            after: self.number,
            tenure: self.tenure,
        }
    }
}

impl World {
    pub(super) fn work(&self, worker: Worker, rules: Rules<'_>, next: &mut Vec<Step>) {
        match &self.processes[worker] {
            Process::Free => self.look(worker, rules, next),
            Process::Looking(seen) => self.try_to_take(worker, seen, rules, next),
            Process::Unanswered(seen) => {
                let took =
                    |item: &&Item| item.owner == Some(worker) && item.fence == seen.fence + 1;
                let taken = self.item.as_ref().filter(took).cloned();
                let world = self.with(worker, taken.map_or(Process::Free, Process::Taken));
                next.push(("asks whether it took the lease", Ok(world)));
            }
            Process::Taken(item) => next.push(("reads the body", self.resume(worker, item, rules))),
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
        if item.owner == Some(worker) && rules.lacks(Broken::ResumeWithoutRaising) {
            next.push(("resumes its lease", self.resume(worker, item, rules)));
        }
        let mut seen = item.clone();
        if !rules.lacks(Broken::ResumeFromStaleRead) {
            (seen.number, seen.body) = (0, None); // nobody needs it
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

    /// Deletes an item that nothing is left to do for. Anybody may: nobody writes to it any more.
    fn delete(&self, item: &Item, rules: Rules<'_>, next: &mut Vec<Step>) {
        let is_done = |body: &Body| {
            body.ended && (body.listed.is_empty() || rules.lacks(Broken::DeletedBeforeListIsEmpty))
        };
        let has_expired = !self.in_stream || rules.lacks(Broken::DeletedBeforeRetention);
        if has_expired && self.body().as_ref().is_some_and(is_done) {
            let steps = ("deletes the item", "deletes the item late");
            let request = Request::Delete(item.number);
            self.send(steps, &request, rules, next, |_, _| Ok(()), |_| ());
        }
    }

    fn try_to_take(&self, worker: Worker, seen: &Item, rules: Rules<'_>, next: &mut Vec<Step>) {
        let request = Request::Take {
            by: worker,
            seen: seen.clone(),
        };
        let answered = |world: &mut Self, answer: &Answer| {
            let mut taken = world.item.clone().filter(|_| *answer == Answer::Done);
            if let Some(taken) = taken
                .as_mut()
                .filter(|_| rules.lacks(Broken::ResumeFromStaleRead))
            {
                (taken.number, taken.body) = (seen.number, seen.body);
            }
            world.processes[worker] = taken.map_or(Process::Free, Process::Taken);
            Ok(())
        };
        let unanswered =
            |world: &mut Self| world.processes[worker] = Process::Unanswered(seen.clone());
        self.send(
            ("takes", "takes late"),
            &request,
            rules,
            next,
            answered,
            unanswered,
        );
    }

    /// Goes on from the checkpoint that the take returned. If its body is missing, somebody else has
    /// taken the lease since and written another.
    fn resume(&self, worker: Worker, item: &Item, rules: Rules<'_>) -> Result<Self, String> {
        let is_mine = |now: &Item| (now.owner, now.fence) == (Some(worker), item.fence);
        let mut base = match self.read(item) {
            Err(_) if !self.item.as_ref().is_some_and(is_mine) => {
                return Ok(self.with(worker, Process::Free));
            }
            base => base?,
        };
        if rules.lacks(Broken::ForgetListAtTaking) {
            base.listed.clear();
        }
        let holding = Holding {
            fence: item.fence,
            heartbeat: item.heartbeat,
            tenure: item.tenure,
            number: item.number,
            body: item.body,
            base,
            published: BTreeSet::new(),
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
            }
            Some(draft) => self.commit_draft(worker, holding, draft, rules, next),
        }
        for object in &holding.base.listed {
            self.publish(worker, holding, object, rules, next);
        }
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
            let request = Request::Renew {
                by: worker,
                fence: holding.fence,
            };
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

    /// Hands the lease over.
    fn leave(&self, worker: Worker, holding: &Holding, rules: Rules<'_>, next: &mut Vec<Step>) {
        let write = holding.write(worker);
        let free = |world: &mut Self| world.processes[worker] = Process::Free;
        let freed = |world: &mut Self, _: &Answer| {
            free(world);
            Ok(())
        };
        if self.luck.releases > 0 {
            let mut world = self.clone();
            world.luck.releases -= 1;
            let request = Request::Release(write.clone());
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
