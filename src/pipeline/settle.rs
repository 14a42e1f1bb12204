//! What comes of a checkpoint: what its log tells is taken over, and what a durable one allows is done.

use std::collections::HashMap;

use uuid::Uuid;

use super::Pipeline;
use super::commit;
use super::event::{CheckpointError, Committed};
use super::log::{Listed, Outcome, Settled};
use super::recovery::state;
use crate::checkpoint::Lane;
use crate::clock::Moment;
use crate::destination::PublishError;
use crate::error::StreamError;
use crate::failpoint;
use crate::protocol::Durable;

impl Pipeline {
    /// Says what keeps a checkpoint from being made; it is tried again.
    pub(super) fn checkpoint_delayed(&mut self, error: PublishError) -> Result<(), StreamError> {
        let (stream, status) = (&self.settings.name, &self.context.status);
        if let Some(unsaid) = status.repeats().due_alike("making", &error.to_string()) {
            tracing::warn!(stream, cause = %error, unsaid, "a checkpoint is still being made");
        }
        status.metrics().publish_retries.add(1);
        let store = self.outputs.store(Lane::Data);
        self.stopping.failed(store, error.clone());
        let now = self.context.clock.moment();
        self.settle(Outcome::Delayed(error, now))
    }

    /// Takes over what a job on the disk has done.
    pub(super) fn apply_written(&mut self, committed: Committed) -> Result<(), StreamError> {
        let stale = commit::settle(&mut self.table, &committed.written);
        self.protocol.let_go(stale);
        let mut gathered = Vec::new();
        for object in committed.spilled {
            gathered.push((object.id, self.take_out(object.id, object.arrival_ms)));
            self.protocol.gather(object)?;
        }
        self.settle(Outcome::Written {
            durable: committed.durable,
            gathered,
        })?;
        self.give_up_memory();
        Ok(())
    }

    /// Takes over what the pipeline's log makes of an outcome.
    pub(super) fn settle(&mut self, outcome: Outcome) -> Result<(), StreamError> {
        let Settled {
            durable,
            listed,
            took,
            mended,
        } = self.log.settle(outcome);
        if let Some(durable) = durable {
            self.apply_durable(durable, listed)?;
        }
        self.forget_earlier_columns();
        self.context.status.metrics().copies_mended.add(mended);
        if let Some(took) = took {
            self.context.status.checkpointed(took);
        }
        Ok(())
    }

    /// Does what a durable checkpoint allows. Where its new objects are at the destination already, `prepared` says how.
    fn apply_durable(
        &mut self,
        durable: Durable,
        mut prepared: HashMap<Uuid, (Listed, Option<Moment>)>,
    ) -> Result<(), StreamError> {
        let allowed = self.protocol.durable(durable)?;
        let stranded = self.waiting.stranded();
        for id in allowed.listed {
            if let Some((listed, since)) = prepared.remove(&id) {
                let arrival_ms = listed.object.arrival_ms;
                let since = since.unwrap_or_else(|| self.context.clock.moment_of(arrival_ms));
                self.waiting.add_listed(&listed, since);
                continue;
            }
            let arrival_ms = self.protocol.object(id).map(|object| object.arrival_ms);
            let since = self.take_out(id, arrival_ms.unwrap_or_default());
            if let Some(object) = self.protocol.object(id) {
                self.waiting.add(object, since);
            }
        }
        if self.waiting.stranded() > stranded {
            self.tell_of_stranded();
        }
        for id in allowed.recorded {
            failpoint::hit("published-after-record");
            self.waiting.remove(id);
        }
        for id in allowed.updated {
            self.waiting.updated(id);
        }
        for named in allowed.named {
            self.fill(named);
        }
        Ok(())
    }

    /// The stream ends: all that this process can do has been done.
    pub(super) fn ended(&self) -> Result<(), StreamError> {
        let stores = self.outputs.stores();
        self.protocol.ends(|store| stores.names(store))?;
        let left = self.stranded().or_else(|| self.left_without_columns());
        left.map_or(Ok(()), Err)
    }

    /// Takes a batch out that is an object from now on; since when its first record waits.
    fn take_out(&mut self, id: Uuid, arrival_ms: i64) -> Moment {
        let entry = self.table.remove(id);
        entry.map_or_else(
            || self.context.clock.moment_of(arrival_ms),
            |entry| entry.waits_since,
        )
    }

    pub(super) fn checkpoint_error(&self, error: CheckpointError) -> StreamError {
        match error {
            CheckpointError::Io(error) => self.disk_error("write a checkpoint", error),
            CheckpointError::Store(error) => {
                state::store_error(&self.settings.name, "write a checkpoint", error)
            }
            CheckpointError::Rule(error) => error,
        }
    }

    /// What a fault of the disk means. Where no checkpoint needs the spool, all that it holds can be read again from
    /// the source.
    pub(super) fn disk_error(&self, action: &'static str, error: std::io::Error) -> StreamError {
        if self.log.names().need_the_spool() {
            state_error(action, error)
        } else {
            StreamError::of_disk(action, error)
        }
    }
}

/// Damage needs a person; everything else is settled by recovering from what is durable.
fn state_error(action: &'static str, error: std::io::Error) -> StreamError {
    if error.kind() == std::io::ErrorKind::InvalidData {
        return StreamError::LoudStop {
            cause: format!("{action}: {error}"),
            advice: "see to the disk, move what fills the stream's `quarantine` (1000 files) elsewhere, and restart"
                .into(),
        };
    }
    StreamError::of_disk(action, error)
}
