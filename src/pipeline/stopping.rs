//! A stop, where what is left cannot be delivered: it is not waited for. Whatever may pass by itself has the
//! whole of `shutdown_grace`; what needs a person, or has never been reached, is tried once more and left
//! for the next start.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Pipeline;
use super::hurry::Hurry;
use super::waiting::left_for;
use crate::checkpoint::Lane;
use crate::clock::Moment;
use crate::destination::PublishError;
use crate::error::StreamError;

/// A destination that did not answer so many times in a row, and never before, is not there.
const UNREACHED: u32 = 3;

/// How long a stop waits for columns that the stream has none of yet.
const COLUMNS_WAIT: Duration = Duration::from_secs(5);

/// What keeps a stop from coming to its end.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    /// The stop has begun.
    begun: bool,
    /// When it has.
    since: Option<Moment>,
    /// Cuts short waits for the next attempt to open a store, or to make a checkpoint.
    pub(super) at_once: Hurry,
    /// Stores that could not be opened: how often, and why the last time.
    unopened: BTreeMap<String, Vain>,
    /// The same of columns that daemons agree on, at the store of data.
    unagreed: Vain,
}

/// Attempts in vain: how many, and why the last one was.
#[derive(Debug, Default)]
struct Vain {
    times: u32,
    error: Option<PublishError>,
}

impl Vain {
    fn again(&mut self, error: PublishError) {
        self.times += 1;
        self.error = Some(error);
    }

    /// Why another attempt is in vain, too.
    fn cause(&self, is_reached: bool) -> Option<&PublishError> {
        self.error.as_ref().filter(|error| match error {
            PublishError::Unreachable { .. } => !is_reached && self.times >= UNREACHED,
            error => matches!(error, PublishError::Permanent { .. }),
        })
    }
}

impl Stopping {
    /// Whether the stop has begun.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// A store could not be opened, or no shared checkpoint be made there.
    pub(super) fn failed(&mut self, store: &str, error: PublishError) {
        self.unopened
            .entry(store.to_owned())
            .or_default()
            .again(error);
    }

    /// Columns could not be agreed on.
    pub(super) fn not_agreed(&mut self, error: PublishError) {
        self.unagreed.again(error);
    }

    /// They could.
    pub(super) fn agreed(&mut self) {
        self.unagreed = Vain::default();
    }

    /// Why a store could not be opened the last time.
    pub(super) fn last_error(&self, store: &str) -> Option<&PublishError> {
        self.unopened.get(store)?.error.as_ref()
    }

    /// It could.
    pub(super) fn went_well(&mut self, store: &str) {
        self.unopened.remove(store);
    }

    /// Why it is in vain to go on with a store.
    fn in_vain(&self, store: &str, is_reached: bool) -> Option<&PublishError> {
        self.unopened.get(store)?.cause(is_reached)
    }
}

impl Pipeline {
    /// When a stop has begun, everything that waits for another attempt gets it now.
    pub(super) fn mind_the_stop(&mut self) {
        if self.source.is_stopping() && !std::mem::replace(&mut self.stopping.begun, true) {
            let unopened = self.stopping.unopened.values_mut();
            let in_vain = unopened.chain([&mut self.stopping.unagreed]);
            in_vain.for_each(|vain| vain.error = None);
            self.stopping.at_once.begin();
            self.waiting.retry_at_once();
            self.stopping.since = Some(self.context.clock.moment());
        }
        // A catalog that says nothing is not waited for: what has come without columns stays where it is.
        let now = self.context.clock.moment();
        let is_long = (self.stopping.since).is_some_and(|since| since.until(now) >= COLUMNS_WAIT);
        self.ending |= is_long && self.awaited_columns().is_some();
    }

    /// Why a stop ends here, with something left; `None` also where it is left to somebody else, who goes on at once.
    pub(super) fn given_up(&self) -> Option<StreamError> {
        if !self.stopping.begun {
            return None;
        }
        let is_reached = |store: &str| self.destinations.contains_key(store);
        // No other store is claimed before that of data.
        let first = Some(self.outputs.store(Lane::Data)).filter(|first| !is_reached(first));
        let first = first.and_then(|first| self.stopping.in_vain(first, false));
        let (mut left, mut idle) = (Vec::new(), None);
        for store in self.outputs.stores().each() {
            let error = self.stopping.in_vain(store, is_reached(store));
            let error = error.or(first);
            let is_of_data = store == self.outputs.store(Lane::Data);
            let unagreed = Some(&self.stopping.unagreed).filter(|_| is_of_data);
            let unagreed = unagreed.and_then(|unagreed| unagreed.cause(is_reached(store)));
            let error = error.or(unagreed);
            // What was never claimed was never sent.
            let error = error.or_else(|| self.waiting.refused(&self.protocol, store));
            let (objects, records) = left_for(&self.protocol, store);
            match error {
                // What is left for this one may yet go there.
                None if objects > 0 => return None,
                Some(error) if objects > 0 => left.push(Left {
                    what: format!("{objects} objects with {records} records"),
                    error,
                }),
                error => idle = idle.or(error),
            }
        }
        // One that nothing is left for is in the way only where no other is: of what is no object yet.
        if let (true, Some(error)) = (left.is_empty(), idle) {
            let what = "what is in no object yet".to_owned();
            left.push(Left { what, error });
        }
        // What no table names a store for goes nowhere, however long it is waited for.
        let stranded = self.stranded();
        if left.is_empty() && stranded.is_none() {
            return None;
        }
        if !left.is_empty() && self.log.leave() {
            let (stream, causes) = (&self.settings.name, left.iter());
            let causes: Vec<String> = causes.map(|left| left.error.to_string()).collect();
            tracing::warn!(
                stream,
                cause = causes.join("; "),
                "a shard is left as its last checkpoint has it"
            );
            return None;
        }
        if self.writing_since.is_some() || self.encoding > 0 || self.waiting.is_busy() {
            return None;
        }
        let is_still = !self.has_changes()
            && self.encode_queue.is_empty()
            && (self.table.is_empty() || !left.is_empty() && self.may_stay())
            && (self.ending || self.is_spool_full());
        is_still.then(|| told(&left, stranded))
    }
}

impl Pipeline {
    /// Whether what is in open batches may stay there when a stop ends: it is read again, or a full disk has no room to
    /// encode it.
    fn may_stay(&self) -> bool {
        !self.ending || !self.put_off.is_empty()
    }
}

/// What is left for a store that takes it in vain.
#[derive(Debug)]
struct Left<'a> {
    what: String,
    error: &'a PublishError,
}

/// Why a stop ends with all that is left; one of both there is.
fn told(left: &[Left<'_>], stranded: Option<StreamError>) -> StreamError {
    let (mut causes, mut advices) = (Vec::new(), Vec::new());
    for Left { what, error } in left {
        let (cause, advice) = match error {
            PublishError::Permanent { cause, advice }
            | PublishError::Unreachable { cause, advice } => (cause.clone(), &**advice),
            other => (other.to_string(), "see to the destination"),
        };
        causes.push(format!("{what} cannot be delivered: {cause}"));
        if !advices.contains(&advice.to_owned()) {
            advices.push(advice.to_owned());
        }
    }
    if !left.is_empty() {
        let safe = "all is safe in state_dir, and delivered once that is mended and firehose runs";
        advices.push(safe.to_owned());
    }
    if let Some(StreamError::LoudStop { cause, advice }) = stranded {
        causes.push(cause);
        advices.push(advice);
    }
    StreamError::LoudStop {
        cause: causes.join("; "),
        advice: advices.join("; "),
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
    fn columns_that_are_agreed_on_say_nothing_of_a_checkpoint_and_the_other_way_round() {
        let mut stopping = Stopping::default();
        stopping.failed(STORE, permanent());
        stopping.not_agreed(permanent());
        stopping.agreed();
        assert_eq!(stopping.in_vain(STORE, true), Some(&permanent()));
        assert_eq!(stopping.unagreed.cause(true), None);
        stopping.not_agreed(permanent());
        stopping.went_well(STORE);
        assert_eq!(stopping.in_vain(STORE, true), None);
        assert_eq!(stopping.unagreed.cause(true), Some(&permanent()));
    }

    #[test]
    fn what_is_left_is_told_store_by_store_with_cause_and_advice() {
        let of = |what: &str, error| Left {
            what: what.to_owned(),
            error,
        };
        let (permanent, unreachable) = (permanent(), unreachable());
        let mut left = vec![of("2 objects with 5 records", &permanent)];
        assert_eq!(
            told(&left, None).to_string(),
            "2 objects with 5 records cannot be delivered: putting s3://lake/a: AccessDenied (allow \
             it; all is safe in state_dir, and delivered once that is mended and firehose runs)"
        );
        left.push(of("1 objects with 3 records", &unreachable));
        let stranded = StreamError::LoudStop {
            cause: "1 objects wait for s3://old".into(),
            advice: "name it again".into(),
        };
        assert_eq!(
            told(&left, Some(stranded)).to_string(),
            "2 objects with 5 records cannot be delivered: putting s3://lake/a: AccessDenied; 1 objects \
             with 3 records cannot be delivered: claiming: no answer; 1 objects wait for s3://old (allow \
             it; is it running?; all is safe in state_dir, and delivered once that is mended and firehose \
             runs; name it again)"
        );
    }
}
