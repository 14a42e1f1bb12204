//! A stop, where what is left cannot be delivered: it is not waited for. Whatever may pass by itself has the
//! whole of `shutdown_grace`; what needs a person, or has never been reached, is tried once more and left
//! for the next start.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Pipeline;
use super::waiting::left_for;
use crate::destination::PublishError;
use crate::error::StreamError;

/// A destination that did not answer so many times in a row, and never before, is not there.
const UNREACHED: u32 = 3;

/// What keeps a stop from coming to its end.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    /// The stop has begun.
    begun: bool,
    /// Cuts short waits for the next attempt to open a store, or to make a checkpoint.
    pub(super) at_once: Arc<Notify>,
    /// Stores that could not be opened: how often, and why the last time.
    unopened: BTreeMap<String, (u32, Option<PublishError>)>,
}

impl Stopping {
    /// A store could not be opened, or no shared checkpoint be made there.
    pub(super) fn failed(&mut self, store: &str, trouble: PublishError) {
        let (times, last) = self.unopened.entry(store.to_owned()).or_default();
        *times += 1;
        *last = Some(trouble);
    }

    /// Why a store could not be opened the last time.
    pub(super) fn trouble(&self, store: &str) -> Option<&PublishError> {
        self.unopened.get(store)?.1.as_ref()
    }

    /// It could.
    pub(super) fn went_well(&mut self, store: &str) {
        self.unopened.remove(store);
    }

    /// Why it is in vain to go on with a store.
    fn in_vain(&self, store: &str, is_reached: bool) -> Option<&PublishError> {
        let (times, trouble) = self.unopened.get(store)?;
        trouble.as_ref().filter(|trouble| match trouble {
            PublishError::Unreachable { .. } => !is_reached && *times >= UNREACHED,
            trouble => matches!(trouble, PublishError::Permanent { .. }),
        })
    }
}

impl Pipeline {
    /// When a stop has begun, everything that waits for another attempt gets it now.
    pub(super) fn mind_the_stop(&mut self) {
        if self.source.is_stopping() && !std::mem::replace(&mut self.stopping.begun, true) {
            let unopened = self.stopping.unopened.values_mut();
            unopened.for_each(|(_, trouble)| *trouble = None);
            self.stopping.at_once.notify_waiters();
            // One that is about to wait.
            self.stopping.at_once.notify_one();
            self.waiting.retry_at_once();
        }
    }

    /// Why a stop ends here, with something left; `None` also where it is left to somebody else, who goes on at once.
    pub(super) fn given_up(&self) -> Option<StreamError> {
        if !self.stopping.begun {
            return None;
        }
        let (mut trouble, mut objects, mut records) = (None, 0, 0);
        for store in self.outputs.stores().each() {
            let is_reached = self.destinations.contains_key(store);
            let of_store = self.stopping.in_vain(store, is_reached);
            // What was never claimed was never sent.
            let of_store = of_store.or_else(|| self.waiting.refused(&self.protocol, store));
            let left = left_for(&self.protocol, store);
            // What is left for this one may yet go there.
            if of_store.is_none() && left.0 > 0 {
                return None;
            }
            trouble = trouble.or(of_store);
            objects += left.0;
            records += left.1;
        }
        // What no table names a store for goes nowhere, however long it is waited for.
        let stranded = self.stranded();
        if trouble.is_none() && stranded.is_none() {
            return None;
        }
        if let Some(trouble) = trouble
            && self.log.leave()
        {
            let (stream, cause) = (&self.settings.name, trouble.to_string());
            tracing::warn!(
                stream,
                cause,
                "a shard is left as its last checkpoint has it"
            );
            return None;
        }
        if self.writing_since.is_some() || self.encoding > 0 || self.waiting.is_busy() {
            return None;
        }
        let is_still = !self.has_changes()
            && self.encode_queue.is_empty()
            && (self.table.is_empty() || !self.ending && trouble.is_some())
            && (self.ending || self.is_spool_full());
        let error = trouble.map_or(stranded, |trouble| {
            let what = format!("{objects} objects with {records} records");
            Some(left(&what, trouble))
        });
        error.filter(|_| is_still)
    }
}

fn left(what: &str, trouble: &PublishError) -> StreamError {
    let (cause, advice) = match trouble {
        PublishError::Permanent { cause, advice } | PublishError::Unreachable { cause, advice } => {
            (cause.clone(), advice.as_str())
        }
        other => (other.to_string(), "see to the destination"),
    };
    StreamError::LoudStop {
        cause: format!("{what} cannot be delivered: {cause}"),
        advice: format!(
            "{advice}. All is safe in state_dir, and delivered once that is mended and firehose runs"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = "s3://lake";

    fn permanent() -> PublishError {
        PublishError::Permanent {
            cause: "putting s3://lake/a: AccessDenied".into(),
            advice: "allow it".into(),
        }
    }

    fn unreachable() -> PublishError {
        PublishError::Unreachable {
            cause: "claiming: no answer".into(),
            advice: "is it running?".into(),
        }
    }

    #[test]
    fn what_may_pass_is_waited_for_and_what_needs_a_person_is_not() {
        let mut stopping = Stopping::default();
        assert_eq!(stopping.in_vain(STORE, false), None, "it was not tried yet");
        stopping.failed(STORE, PublishError::Transient("slow down".into()));
        assert_eq!(stopping.in_vain(STORE, false), None);
        stopping.failed(STORE, permanent());
        assert_eq!(stopping.in_vain(STORE, false), Some(&permanent()));
        assert_eq!(stopping.in_vain(STORE, true), Some(&permanent()));
        stopping.went_well(STORE);
        assert_eq!(stopping.in_vain(STORE, false), None);
    }

    #[test]
    fn who_never_answered_is_not_waited_for_and_who_once_did_is() {
        let mut stopping = Stopping::default();
        let mut vain = || {
            stopping.failed(STORE, unreachable());
            (
                stopping.in_vain(STORE, false).is_some(),
                stopping.in_vain(STORE, true).is_some(),
            )
        };
        assert_eq!(
            [vain(), vain(), vain()],
            [(false, false), (false, false), (true, false)]
        );
    }

    #[test]
    fn what_is_left_is_told_with_cause_and_advice() {
        assert_eq!(
            left("2 objects with 5 records", &permanent()).to_string(),
            "2 objects with 5 records cannot be delivered: putting s3://lake/a: AccessDenied (allow \
             it. All is safe in state_dir, and delivered once that is mended and firehose runs)"
        );
    }
}
