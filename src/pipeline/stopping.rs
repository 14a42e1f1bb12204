//! A stop, where what is left cannot be delivered: it is not waited for. Whatever may pass by itself has the
//! whole of `shutdown_grace`; what needs a person, or has never been reached, is tried once more and left
//! for the next start.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Pipeline;
use super::publish::left_for;
use crate::destination::PublishError;
use crate::error::StreamError;

/// A destination that did not answer so many times in a row, and never before, is not there.
const UNREACHED: u32 = 3;

/// What keeps a stop from coming to its end.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    /// The stop has begun.
    begun: bool,
    /// Cuts short a wait for the next attempt to open the destination, or to make a checkpoint.
    pub(super) at_once: Arc<Notify>,
    /// How often it could not be opened, and why the last time.
    unopened: u32,
    trouble: Option<PublishError>,
}

impl Stopping {
    /// The destination could not be opened, or no shared checkpoint be made.
    pub(super) fn failed(&mut self, trouble: PublishError) {
        self.unopened += 1;
        self.trouble = Some(trouble);
    }

    /// It could.
    pub(super) fn went_well(&mut self) {
        (self.unopened, self.trouble) = (0, None);
    }

    /// Why it is in vain to go on.
    fn in_vain(&self, is_reached: bool) -> Option<&PublishError> {
        self.trouble.as_ref().filter(|trouble| match trouble {
            PublishError::Unreachable { .. } => !is_reached && self.unopened >= UNREACHED,
            trouble => matches!(trouble, PublishError::Permanent { .. }),
        })
    }
}

impl Pipeline {
    /// When a stop has begun, everything that waits for another attempt gets it now.
    pub(super) fn mind_the_stop(&mut self) {
        if self.source.is_stopping() && !std::mem::replace(&mut self.stopping.begun, true) {
            self.stopping.trouble = None;
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
        let is_reached = self.destination.is_some();
        let trouble = self.stopping.in_vain(is_reached).or_else(|| {
            // What was never claimed was never sent.
            self.waiting.refused(&self.protocol, self.outputs.store())
        })?;
        if self.log.leave() {
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
        let is_still = if self.ending {
            self.table.is_empty() && !self.has_changes()
        } else {
            self.is_spool_full() && !self.has_changes()
        };
        is_still.then(|| {
            let (objects, records) = left_for(&self.protocol, self.outputs.store());
            left(
                &format!("{objects} objects with {records} records"),
                trouble,
            )
        })
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
        assert_eq!(stopping.in_vain(false), None, "it was not tried yet");
        stopping.failed(PublishError::Transient("slow down".into()));
        assert_eq!(stopping.in_vain(false), None);
        stopping.failed(permanent());
        assert_eq!(stopping.in_vain(false), Some(&permanent()));
        assert_eq!(stopping.in_vain(true), Some(&permanent()));
        stopping.went_well();
        assert_eq!(stopping.in_vain(false), None);
    }

    #[test]
    fn who_never_answered_is_not_waited_for_and_who_once_did_is() {
        let mut stopping = Stopping::default();
        let mut vain = || {
            stopping.failed(unreachable());
            (
                stopping.in_vain(false).is_some(),
                stopping.in_vain(true).is_some(),
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
