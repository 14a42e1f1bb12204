//! Checkpoints on their way: prepared, sent, and settled.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::super::decisions::{Checkpoint as _, Reply, WriteOutcome};
use super::item::Said;
use super::store::{Answer, Body, Name, Object, Request, Sent, Step, Worker, World, Write};
use super::worker::{Holding, Process};
use super::{Broken, Rules};

/// A checkpoint on its way into the item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draft {
    /// Where its body lies.
    pub(super) at: Name,
    pub(super) body: Body,
    /// What was sent of it: it may land whenever it likes.
    sent: Option<Rc<Write>>,
    /// Whether the outcome is to be asked for.
    pub(super) is_unsettled: bool,
    /// Whether places count as waiting.
    counts_places: bool,
}

impl Draft {
    /// What the item is to say of it.
    pub(super) fn said(&self) -> Said {
        let places = usize::from(self.counts_places) * self.body.untold.len();
        let mut said = Said {
            body: None,
            ended: self.body.ended,
            waiting: self.body.listed.len() + places,
        };
        if !said.is_done() {
            said.body = Some((self.at, self.body.checksum));
        }
        said
    }

    /// The object that it adds, if it does.
    pub(super) fn object(&self) -> Option<&Object> {
        let mut listed = self.body.listed.iter();
        listed.find(|object| object.parts.iter().any(|part| part.1 == self.body.checksum))
    }
}

impl Holding {
    /// Takes over that the draft is durable; `before` is what the item said before it.
    fn settle(&mut self, before: &Said, world: &mut World, rules: Rules<'_>) {
        let Some(draft) = self.draft.take() else {
            return;
        };
        if rules.lacks(Broken::PartsAfterCommit)
            && let Some(object) = draft.object()
            && let Some(parts) = world.uploads.get_mut(&object.key)
        {
            parts.extend(object.parts.iter().copied().enumerate());
        }
        if rules.lacks(Broken::BodyAfterCommit) {
            world.bodies.insert(draft.at, draft.body.clone());
        }
        if let Some((at, _)) = before.body.filter(|_| before.body != draft.said().body) {
            world.bodies.remove(&at); // no item will name it again
        }
        self.base = draft.body;
        let listed: BTreeSet<Name> = self.base.listed.iter().map(|object| object.key).collect();
        self.published.retain(|key| listed.contains(key));
        let places: BTreeSet<u8> = self.base.listed.iter().flat_map(Object::places).collect();
        let untold = &self.base.untold;
        self.told
            .retain(|place| untold.contains(place) || places.contains(place));
    }

    /// Places that the catalog is to be told of: those that its checkpoint says, and those of what is published since.
    pub(super) fn untold(&self) -> BTreeSet<u8> {
        let published = self.base.listed.iter();
        let published = published.filter(|object| self.published.contains(&object.key));
        let places = published.flat_map(Object::places);
        let all = self.base.untold.iter().copied().chain(places);
        all.filter(|place| !self.told.contains(place)).collect()
    }
}

impl World {
    /// Reads on, seals, and prepares a checkpoint: upload, parts and body. Nobody else sees any of
    /// it, so it is one step; what was sent more than once may land again later.
    pub(super) fn draft(
        &self,
        worker: Worker,
        holding: &Holding,
        rules: Rules<'_>,
        next: &mut Vec<Step>,
    ) {
        let Holding {
            base, published, ..
        } = holding;
        let (from, end, name) = (base.frontier, self.luck.records, self.fresh_name());
        let last = if self.in_stream { end } else { from };
        let all = (from..=last).flat_map(|to| [(to, false), (to, true)]);
        let untold = match self.luck.catalog {
            true if rules.lacks(Broken::UnlistedWithoutPlace) => base.untold.clone(),
            true => holding.untold(),
            false => BTreeSet::new(),
        };
        for (to, ended) in all {
            let may_end = self.luck.ends && (to == end || !self.in_stream);
            let has_news = !published.is_empty() || untold != base.untold;
            let is_new = to > from || ended != base.ended || has_news;
            if (base.ended && !ended) || (ended && !may_end) || !is_new {
                continue;
            }
            let mut listed = base.listed.clone();
            listed.retain(|object| !published.contains(&object.key));
            let parts = (from + 1..=to).map(|record| (record, name));
            let parts: Vec<_> = parts.collect();
            let body = |mut listed: Vec<Object>, object: Option<Object>| Body {
                checksum: name,
                frontier: to,
                ended,
                listed: {
                    listed.extend(object);
                    listed
                },
                untold: untold.clone(),
            };
            if let Some(mut last) = listed.last().cloned()
                && to > from
                && rules.lacks(Broken::AddToListedUpload)
            {
                last.parts.extend(&parts);
                let others = listed[..listed.len() - 1].to_vec();
                self.prepare(worker, holding, body(others, Some(last)), rules, next);
            }
            let key = name;
            let object = (to > from).then_some(Object { key, parts });
            self.prepare(worker, holding, body(listed, object), rules, next);
        }
    }

    fn prepare(
        &self,
        worker: Worker,
        holding: &Holding,
        body: Body,
        rules: Rules<'_>,
        next: &mut Vec<Step>,
    ) {
        let at = if rules.lacks(Broken::BodyNamedByNumber) {
            100 + holding.chain.number()
        } else {
            body.checksum
        };
        let draft = Draft {
            at,
            body,
            sent: None,
            is_unsettled: false,
            counts_places: !rules.lacks(Broken::DoneBeforeTold),
        };
        let mut world = self.clone();
        let mut sent = Vec::new();
        if let Some(object) = draft.object() {
            let parts = world.uploads.entry(object.key).or_default();
            if !rules.lacks(Broken::PartsAfterCommit) {
                let own = object.parts.iter().copied().enumerate();
                let mut own = own.filter(|(_, part)| part.1 == draft.body.checksum);
                parts.extend(own.clone());
                sent.extend(
                    own.next_back()
                        .map(|(number, part)| Request::Part(object.key, number, part)),
                );
            }
        }
        if draft.said().body.is_some() && !rules.lacks(Broken::BodyAfterCommit) {
            world.bodies.insert(at, draft.body.clone());
            sent.push(Request::PutBody(at, draft.body.clone()));
        }
        if let Some((at, _)) = holding
            .chain
            .last()
            .body
            .filter(|_| rules.lacks(Broken::BodyFreedBeforeCommit))
        {
            world.bodies.remove(&at);
        }
        world.change(worker, |holding| holding.draft = Some(draft));
        for request in sent.into_iter().filter(|_| world.luck.lates > 0) {
            let mut world = world.clone();
            world.luck.lates -= 1;
            world.late.insert(request);
            next.push(("prepares a checkpoint, with a late copy", Ok(world)));
        }
        next.push(("prepares a checkpoint", Ok(world)));
    }

    pub(super) fn commit_draft(
        &self,
        worker: Worker,
        draft: &Draft,
        rules: Rules<'_>,
        next: &mut Vec<Step>,
    ) {
        let is_lost = |object: &Object| self.lost.contains(&object.key);
        if draft.sent.is_none() && draft.object().is_some_and(is_lost) {
            let mut world = self.clone();
            world.change(worker, |holding| holding.draft = None);
            next.push(("drops a draft whose upload is gone", Ok(world)));
        }
        let mut world = self.clone();
        let Some((write, sent)) = world.begin(worker, rules) else {
            let fault = "STOPPED: a checkpoint before is in doubt".to_owned();
            next.push(("begins a checkpoint", Err(fault)));
            return;
        };
        let doubt = |world: &mut Self| {
            world.change(worker, |holding| {
                let draft = holding.draft.iter_mut();
                draft.for_each(|draft| draft.is_unsettled = true);
            });
        };
        let answered = |world: &mut Self, answer: &Answer| {
            let reply = match answer {
                Answer::Done => Reply::Done(()),
                _ => Reply::Refused,
            };
            let Process::Holding(mut holding) = world.processes[worker].clone() else {
                return Ok(());
            };
            let before = *holding.chain.last();
            if holding.chain.replied(&reply) {
                holding.settle(&before, world, rules);
                world.processes[worker] = Process::Holding(holding);
            } else {
                doubt(world);
            }
            Ok(())
        };
        world.send(
            ("commits", "commits late"),
            &Request::Commit(write, sent),
            rules,
            next,
            answered,
            doubt,
        );
    }

    /// What sends a draft, for the first time or again.
    fn begin(&mut self, worker: Worker, rules: Rules<'_>) -> Option<(Write, Sent)> {
        let Process::Holding(holding) = &mut self.processes[worker] else {
            return None;
        };
        let draft = holding.draft.as_mut()?;
        if draft.sent.is_none() {
            draft.sent = Some(Rc::new(holding.chain.begin(draft.said())?));
        }
        let mut write = Write::clone(draft.sent.as_ref()?);
        holding.weaken(&mut write.when, rules);
        let sent = Sent {
            tenure: holding.tenure,
            after: holding.chain.number(),
        };
        Some((write, sent))
    }

    /// Settles a checkpoint whose outcome is not known, by a consistent read.
    pub(super) fn ask_about(
        &self,
        worker: Worker,
        holding: &Holding,
        draft: &Draft,
        rules: Rules<'_>,
    ) -> Self {
        let (mut world, mut holding) = (self.clone(), holding.clone());
        let before = *holding.chain.last();
        let found = self.item.as_ref().map(|item| {
            let mut facts = item.facts.clone();
            if rules.lacks(Broken::FenceNotChecked) {
                facts.fence = Some(holding.chain.tenure().fence());
            }
            let is_past = facts.number > Some(holding.chain.number());
            if is_past && rules.lacks(Broken::SettledByNumber) {
                facts.checkpoint = draft.said();
            }
            facts
        });
        let process = match holding.chain.found(found.as_ref()) {
            WriteOutcome::Durable => {
                holding.settle(&before, &mut world, rules);
                Process::Holding(holding)
            }
            // It may still land, so nothing else may be written but the same again.
            WriteOutcome::NotYet if rules.lacks(Broken::UnsettledDraftedAnew) => {
                holding.chain.forget_sent();
                holding.draft = None;
                Process::Holding(holding)
            }
            WriteOutcome::NotYet => {
                let draft = holding.draft.iter_mut();
                draft.for_each(|draft| draft.is_unsettled = false);
                Process::Holding(holding)
            }
            // Whether it has landed before the lease was taken is for the taker to know.
            WriteOutcome::Lost => {
                let aborted = draft.object();
                let aborted = aborted.filter(|_| rules.lacks(Broken::AbortWhenFenced));
                if let Some(object) = aborted {
                    world.uploads.remove(&object.key);
                }
                Process::Free
            }
        };
        world.processes[worker] = process;
        world
    }
}
