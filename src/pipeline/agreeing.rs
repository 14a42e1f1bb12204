//! Columns that the daemons which share a stream agree on, and the records that wait for them.
//!
//! A stretch with something that no version takes which is known here is held, and so is all that comes behind it: none of
//! it is applied before a version is in the bucket that takes it. No checkpoint has passed what is held, so whoever takes
//! the lease reads it again, and a stop leaves it to him. The version ends what is open, as a checkpoint does. What a Glue table
//! says is agreed on, too, before it is in force; but for it nothing waits while there are columns.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;

use super::Pipeline;
use super::agreement::{ChainError, Heard, Proposing, SchemaAgreement};
use super::event::Event;
use super::followed::untakeable;
use super::hurry::Hurry;
use super::learning::{Held, Learning};
use super::outputs::Outputs;
use super::route::Routed;
use super::table::Entry;
use super::waiting::lasting::LastingError;
use crate::checkpoint::Lane;
use crate::destination::PublishError;
use crate::error::StreamError;
use crate::format::{Columns, Inference};
use crate::retry;

/// A line of the log that is said while it is true.
const UNAGREED: &str = "columns are still being agreed on";

/// What is held of one shard, and how far its columns are.
pub(super) struct Agreeing {
    agreement: Arc<SchemaAgreement>,
    held: Held,
    /// So many of the first that are held are asked for, or have columns.
    asked: usize,
    /// What the first have that are held, where they are a sample; the others say it themselves.
    sample: Option<Inference>,
    /// What the catalog has said of a table, until it is taken to the others.
    heard: Option<Heard>,
    asking: Option<AbortOnDropHandle<()>>,
    /// What has come of it, until it is in force. The error says why there are no columns.
    answer: Option<Result<(), String>>,
    /// Why it is tried again.
    lasting_error: Option<LastingError>,
}

impl Agreeing {
    pub(super) fn new(agreement: Arc<SchemaAgreement>) -> Self {
        Self {
            agreement,
            held: Held::default(),
            asked: 0,
            sample: None,
            heard: None,
            asking: None,
            answer: None,
            lasting_error: None,
        }
    }

    /// Whether there are columns, here or elsewhere.
    pub(super) fn has_columns(&self) -> bool {
        self.agreement.has_columns()
    }

    /// Whether records wait.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The records that wait.
    pub(super) const fn held(&self) -> &Held {
        &self.held
    }

    /// Bytes of memory that they take.
    pub(super) const fn memory(&self) -> usize {
        self.held.bytes()
    }

    /// What keeps a version from being agreed on, while it is tried again.
    pub(super) const fn lasting_error(&self) -> Option<&LastingError> {
        self.lasting_error.as_ref()
    }

    /// What the catalog has said last. What it said before is no matter any more.
    pub(super) fn hear(&mut self, heard: Heard) {
        self.heard = Some(heard);
    }

    /// Begins to agree on what there is to agree on: what a table has, or what records have that wait. `None`: nothing.
    fn propose(&mut self, outputs: &Outputs) -> Option<Proposing> {
        if let Some(heard) = self.heard.take() {
            return self.agreement.propose_heard(heard);
        }
        if self.asked > 0 || self.held.is_empty() {
            return None;
        }
        let seen = self.take_unasked();
        let learner = outputs.formats.learner().clone();
        Some(self.agreement.propose(learner, seen))
    }

    /// What all that is held has, one after the other; from now on it is asked for.
    fn take_unasked(&mut self) -> Vec<Columns> {
        let sample = self.sample.take();
        let unasked = self.held.iter().skip(self.asked);
        let unasked = unasked.filter_map(seen_of);
        let mut columns: Vec<Columns> = sample
            .iter()
            .chain(unasked)
            .map(Inference::columns)
            .collect();
        columns.dedup();
        self.asked = self.held.len();
        columns
    }

    /// Gives up what is not asked for.
    fn leave_unasked(&mut self) {
        self.held.truncate(self.asked);
        self.sample = None;
    }

    /// Whether something is held for which the columns in force do not do.
    fn lacks(&self, outputs: &Outputs) -> bool {
        let unasked = self.held.iter().skip(self.asked);
        let mut unasked = self.sample.iter().chain(unasked.filter_map(seen_of));
        unasked.any(|seen| outputs.formats.lack(seen))
    }
}

/// Asks until there is an answer, and tells the pipeline. `at_once` cuts a wait for the next attempt short.
async fn ask(proposing: Proposing, events: UnboundedSender<Event>, at_once: Hurry) {
    let telling = events.clone();
    let asking = AbortOnDropHandle::new(tokio::spawn(try_to_ask(proposing, telling, at_once)));
    let event = match asking.await {
        Ok(Ok(answer)) => Event::Agreed(answer),
        Ok(Err(error)) => Event::Failed(error),
        Err(panic) => Event::Failed(StreamError::State {
            action: "agree on columns",
            cause: panic.into(),
        }),
    };
    let _ = events.send(event);
}

async fn try_to_ask(
    mut proposing: Proposing,
    events: UnboundedSender<Event>,
    mut at_once: Hurry,
) -> Result<Result<(), String>, StreamError> {
    let mut attempt = 0;
    loop {
        let error = match proposing.advance().await {
            Ok(answer) => return Ok(answer),
            Err(ChainError::Stop(error)) => return Err(error),
            Err(ChainError::Store(error)) => error,
        };
        let most = if error.may_pass() {
            retry::TRANSIENT_MAX
        } else {
            retry::PERMANENT_MAX
        };
        let _ = events.send(Event::AgreementDelayed(error));
        attempt += 1;
        at_once.pause(retry::delay(attempt, most)).await;
    }
}

/// What the records of a stretch have that the columns in force when it was read did not take.
fn seen_of(routed: &Routed) -> Option<&Inference> {
    routed.seen.as_ref().filter(|_| routed.records > 0)
}

/// Whether a stretch has what the columns in force do not take.
fn lacks(outputs: &Outputs, routed: &Routed) -> bool {
    seen_of(routed).is_some_and(|seen| outputs.formats.lack(seen))
}

impl Pipeline {
    /// Whether records wait for columns that daemons agree on.
    pub(super) fn is_agreeing(&self) -> bool {
        self.agreeing.as_ref().is_some_and(Agreeing::holds)
    }

    /// Holds a stretch behind those that wait. It is given back where none does.
    pub(super) fn hold_behind_others(&mut self, routed: Routed) -> Option<Routed> {
        match self.agreeing.as_mut().filter(|agreeing| agreeing.holds()) {
            Some(agreeing) => agreeing.held.push(routed),
            None => return Some(routed),
        }
        None
    }

    /// Holds a stretch that has what no version takes which is known here. It is given back where it need not wait.
    pub(super) fn hold_for_agreement(&mut self, routed: Routed) -> Option<Routed> {
        match &mut self.agreeing {
            Some(agreeing) if lacks(&self.outputs, &routed) => agreeing.held.push(routed),
            _ => return Some(routed),
        }
        None
    }

    /// Asks for first columns, by what was held to learn them. False: nobody else has a say in them.
    pub(super) fn agree_on_first(&mut self, learning: &mut Learning) -> bool {
        let Some(agreeing) = &mut self.agreeing else {
            return false;
        };
        let (held, seen) = learning.take();
        (agreeing.held, agreeing.sample) = (held, Some(seen));
        true
    }

    /// Takes over what was agreed on, applies what has waited for it, and asks for what waits then.
    pub(super) fn mind_the_agreement(&mut self) -> Result<(), StreamError> {
        if self.leaves_what_waits()
            && let Some(agreeing) = &mut self.agreeing
        {
            agreeing.leave_unasked();
        }
        self.take_agreed()?;
        self.apply_agreed()?;
        // Behind a checkpoint it is seen what still waits. What is held where nothing came of what was asked for is no
        // question yet: it says first what columns there are.
        let may_ask = !self.gathering && self.learning.is_none();
        let Some(agreeing) = self.agreeing.as_mut().filter(|_| may_ask) else {
            return Ok(());
        };
        let is_under_way = agreeing.asking.is_some() || agreeing.answer.is_some();
        if is_under_way {
            return Ok(());
        }
        let Some(proposing) = agreeing.propose(&self.outputs) else {
            return Ok(());
        };
        let asking = ask(
            proposing,
            self.events.clone(),
            self.stopping.at_once.clone(),
        );
        agreeing.asking = Some(AbortOnDropHandle::new(tokio::spawn(asking)));
        Ok(())
    }

    /// What was agreed on is in force from now on.
    fn take_agreed(&mut self) -> Result<(), StreamError> {
        let Some(agreeing) = self.agreeing.as_mut().filter(|_| !self.gathering) else {
            return Ok(());
        };
        let Some(answer) = agreeing.answer.take() else {
            return Ok(());
        };
        let formats = &self.outputs.formats;
        let versions = agreeing.agreement.in_force();
        match answer {
            Ok(()) => {
                let is_first = formats.history().is_empty();
                let adopted = formats.adopt_agreed(versions);
                let version = match (adopted, agreeing.agreement.standing()) {
                    (Ok(version), _) => version,
                    // Another config may take what this one does not. As where one machine reads alone, the columns of before
                    // stay.
                    (Err(fault), Some(standing)) if !is_first => {
                        standing.failed(&untakeable(&fault), true);
                        None
                    }
                    (Err(fault), _) => return Err(super::formats::to_be_mended(&fault)),
                };
                self.end_learning();
                if version.is_some() {
                    if is_first || self.given.is_some() {
                        self.tell_of_strange_rules();
                    }
                    // Of the objects of a shard none goes back to columns from before.
                    let is_data = |entry: &Entry| entry.lane == Lane::Data;
                    self.gathering = self.table.entries().any(is_data);
                }
            }
            Err(why) => self.learn_anew(why),
        }
        Ok(())
    }

    /// Forgets columns from before that no batch and no object has any more, once everything is listed.
    pub(super) fn forget_earlier_columns(&self) {
        let formats = &self.outputs.formats;
        if self.agreeing.is_none() || !self.log.is_settled() || !formats.has_earlier() {
            return;
        }
        let open = self.table.entries().map(|entry| entry.target.format);
        let objects = self
            .protocol
            .unpublished()
            .map(|object| object.target.format);
        formats.forget_earlier(&open.chain(objects).collect());
    }

    /// Applies what has columns, up to what has not. A batch that is full makes the rest wait for the checkpoint.
    fn apply_agreed(&mut self) -> Result<(), StreamError> {
        loop {
            let Some(agreeing) = self.agreeing.as_mut().filter(|_| !self.gathering) else {
                return Ok(());
            };
            if agreeing.asking.is_some() || agreeing.answer.is_some() {
                return Ok(());
            }
            if agreeing.asked > 0 {
                agreeing.asked -= 1;
                if let Some(routed) = agreeing.held.pop() {
                    self.apply_chunk(routed)?;
                }
                continue;
            }
            if self.learning.is_some() {
                // Nothing came of what was asked for: what has come since says what columns there are.
                for routed in std::mem::take(&mut agreeing.held) {
                    self.take_chunk(routed)?;
                }
                return Ok(());
            }
            if agreeing.held.is_empty() || agreeing.lacks(&self.outputs) {
                return Ok(());
            }
            // Where not all of it has columns, those are asked for together.
            agreeing.asked = agreeing.held.len();
        }
    }

    /// The daemons have agreed, or found that there is nothing to agree on.
    pub(super) fn agreed(&mut self, answer: Result<(), String>) {
        self.stopping.agreed();
        self.context.status.repeats().over(UNAGREED);
        if let Some(agreeing) = &mut self.agreeing {
            agreeing.asking = None;
            agreeing.lasting_error = None;
            agreeing.answer = Some(answer);
        }
    }

    /// Says what keeps them from agreeing; it is tried again.
    pub(super) fn agreement_delayed(&mut self, error: PublishError) {
        let (stream, status) = (&self.settings.name, &self.context.status);
        if let Some(unsaid) = status.repeats().due_alike(UNAGREED, &error.to_string()) {
            tracing::warn!(stream, cause = %error, unsaid, "{UNAGREED}");
        }
        status.metrics().publish_retries.add(1);
        if !self.is_agreeing() && self.awaited_columns().is_none() {
            // It holds nothing up.
            return;
        }
        self.stopping.not_agreed(error.clone());
        let now = self.context.clock.moment();
        if let Some(agreeing) = &mut self.agreeing {
            let before = agreeing.lasting_error.take();
            agreeing.lasting_error = Some(LastingError::again(before, error, now));
        }
    }
}
