//! Checkpoints on their way: prepared, sent, and settled.

use std::collections::BTreeSet;

use super::store::{Answer, Body, Item, Name, Object, Request, Step, Worker, World};
use super::worker::{Holding, Process};
use super::{Broken, Rules};

/// A checkpoint on its way into the item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draft {
    /// Where its body lies.
    pub(super) at: Name,
    pub(super) body: Body,
    /// Whether it was sent: it may land whenever it likes.
    was_sent: bool,
    /// Whether the outcome is to be asked for.
    pub(super) is_unsettled: bool,
}

impl Draft {
    pub(super) fn named(&self) -> (Name, Name) {
        (self.at, self.body.checksum)
    }

    /// The object that it adds, if it does.
    pub(super) fn object(&self) -> Option<&Object> {
        let mut listed = self.body.listed.iter();
        listed.find(|object| object.parts.iter().any(|part| part.1 == self.body.checksum))
    }
}

impl Holding {
    /// Takes over that the draft is durable.
    fn settle(&mut self, world: &mut World, rules: Rules<'_>) {
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
        if let Some((at, _)) = self.body.filter(|body| *body != draft.named()) {
            world.bodies.remove(&at); // no item will name it again
        }
        (self.number, self.body) = (self.number + 1, Some(draft.named()));
        self.base = draft.body;
        let listed: BTreeSet<Name> = self.base.listed.iter().map(|object| object.key).collect();
        self.published.retain(|key| listed.contains(key));
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
        for (to, ended) in all {
            let may_end = self.luck.ends && (to == end || !self.in_stream);
            let is_new = to > from || ended != base.ended || !published.is_empty();
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
            100 + holding.number
        } else {
            body.checksum
        };
        let draft = Draft {
            at,
            body,
            was_sent: false,
            is_unsettled: false,
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
        if !rules.lacks(Broken::BodyAfterCommit) {
            world.bodies.insert(at, draft.body.clone());
            sent.push(Request::PutBody(at, draft.body.clone()));
        }
        if let Some((at, _)) = holding
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
        holding: &Holding,
        draft: &Draft,
        rules: Rules<'_>,
        next: &mut Vec<Step>,
    ) {
        let is_lost = |object: &Object| self.lost.contains(&object.key);
        if !draft.was_sent && draft.object().is_some_and(is_lost) {
            let mut world = self.clone();
            world.change(worker, |holding| holding.draft = None);
            next.push(("drops a draft whose upload is gone", Ok(world)));
        }
        let request = Request::Commit(holding.write(worker), draft.named());
        let doubt = |world: &mut Self| {
            world.change(worker, |holding| {
                let draft = holding.draft.iter_mut();
                draft.for_each(|draft| (draft.was_sent, draft.is_unsettled) = (true, true));
            });
        };
        let answered = |world: &mut Self, answer: &Answer| {
            match answer {
                Answer::Done => world.settle(worker, rules),
                // An earlier copy of it may have landed.
                _ => doubt(world),
            }
            Ok(())
        };
        self.send(
            ("commits", "commits late"),
            &request,
            rules,
            next,
            answered,
            doubt,
        );
    }

    fn settle(&mut self, worker: Worker, rules: Rules<'_>) {
        if let Process::Holding(mut holding) = self.processes[worker].clone() {
            holding.settle(self, rules);
            self.processes[worker] = Process::Holding(holding);
        }
    }

    /// Settles a checkpoint whose outcome is not known, by a consistent read.
    pub(super) fn ask_about(
        &self,
        worker: Worker,
        holding: &Holding,
        draft: &Draft,
        rules: Rules<'_>,
    ) -> Self {
        let mut world = self.clone();
        let is_mine = |item: &&Item| {
            item.owner == Some(worker)
                && (item.fence == holding.fence || rules.lacks(Broken::FenceNotChecked))
        };
        let Some(item) = self.item.as_ref().filter(is_mine) else {
            // Whether it has landed before the lease was taken is for the taker to know.
            if let Some(object) = draft
                .object()
                .filter(|_| rules.lacks(Broken::AbortWhenFenced))
            {
                world.uploads.remove(&object.key);
            }
            world.processes[worker] = Process::Free;
            return world;
        };
        let is_past = item.number > holding.number;
        if item.body == Some(draft.named()) || (is_past && rules.lacks(Broken::SettledByNumber)) {
            world.settle(worker, rules);
        } else if is_past {
            world.processes[worker] = Process::Free;
        } else {
            // It may still land, so nothing else may be written but the same again.
            world.change(worker, |holding| {
                if rules.lacks(Broken::UnsettledDraftedAnew) {
                    holding.draft = None;
                }
                let draft = holding.draft.iter_mut();
                draft.for_each(|draft| draft.is_unsettled = false);
            });
        }
        world
    }
}
