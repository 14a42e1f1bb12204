//! What a running pipeline tells of itself: its gauges, since when the oldest record waits, and what
//! holds it up for longer than it may.

use std::collections::BTreeSet;

use super::Pipeline;
use super::agreeing::Agreeing;
use super::apply::ENCODE_BACKLOG;
use super::backlog::Backlog;
use super::status::Observation;
use super::waiting::lasting::LastingError;
use crate::checkpoint::Lane;
use crate::clock::Moment;
use crate::config::display_size;
use crate::error::StreamError;
use crate::spool::Flip;
use crate::telemetry::StreamState;

/// Lines of the log that are said while they are true.
const IN_VAIN: &str = "publishing is stalled, and tried again";
const STANDSTILL: &str = "records wait, and none are read";

impl Pipeline {
    /// Tells what is open, what waits and for how long, and what has failed since it was last told.
    pub(super) fn report(&mut self) {
        self.tell_of_failures(false);
        self.tell_of_flips();
        let now = self.context.clock.moment();
        if let (Some(backlog), Some(next)) = (&mut self.backlog, self.source.next_sequence()) {
            backlog.look(next, now);
        }
        let publishing = self.publishing_error(now);
        let standstill = self.standstill(now);
        let standstill = self.awaited_columns().or(standstill);
        let over = self.context.status.set_held_up(publishing, standstill);
        // Other pipelines of the stream may say the same.
        for (line, is_over) in [(IN_VAIN, over.0), (STANDSTILL, over.1)] {
            if is_over {
                self.context.status.repeats().over(line);
            }
        }
        let (unlisted, unlisted_since) = self.log.unlisted();
        let oldest = [
            self.backlog.as_ref().and_then(Backlog::waits_since),
            self.table.waits_since(),
            self.waiting.waits_since(&self.protocol),
            unlisted_since,
            self.unread_since(now),
            self.held_since(),
        ];
        self.context.status.observe(Observation {
            open_partitions: self.table.open_partitions() as u64,
            waiting: self.waiting.len() as u64 + unlisted,
            journal_bytes: self.source.disk_bytes(),
            spool_bytes: self.spool.bytes(),
            waits_since: oldest.into_iter().flatten().min(),
            watermark: self.table.watermark(),
        });
        self.report_catalog();
    }

    /// Tells of flipped bits in the spool: nothing is lost by them, but the disk is not to be trusted.
    fn tell_of_flips(&self) {
        for Flip { file, offset, bit } in self.spool.take_flips() {
            self.context.status.metrics().flipped_bits.add(1);
            tracing::warn!(
                stream = self.settings.name,
                file = format!("{file:010}.spool"),
                offset,
                bit,
                "a flipped bit in the spool was put right: nothing is lost, see to the disk"
            );
        }
    }

    /// Tells of the stores that are not claimed, each with its cause: one keeps the stream from being ready, and the
    /// others from nothing.
    pub(super) fn tell_of_unclaimed(&self) {
        let stores = self.outputs.stores().each().into_iter();
        let unclaimed = stores.filter(|store| !self.destinations.contains_key(*store));
        let causes = unclaimed.map(|store| match self.stopping.last_error(store) {
            Some(error) => error.to_string(),
            None => format!("{store} is not claimed yet"),
        });
        let causes: Vec<String> = causes.collect();
        let status = &self.context.status;
        if causes.is_empty() {
            status.repeats().over("destination");
            status.set_state(StreamState::Running);
        } else {
            let cause = causes.join("; ");
            status.set_state(StreamState::Stalled { cause });
        }
    }

    /// Why objects do not become visible: at once where that needs a person, else when it has lasted.
    fn publishing_error(&self, now: Moment) -> Option<String> {
        let patience = self.context.status.patience();
        let stores = self.outputs.stores().each().into_iter();
        let sending = stores.filter_map(|store| {
            let error = self.waiting.lasting_error(&self.protocol, store)?;
            Some((store, error))
        });
        let is_lasting = |(_, error): &(&str, &LastingError)| {
            error.needs_a_person() || error.since.until(now) >= patience
        };
        // One for each store.
        let mut lasting: Vec<(&str, &LastingError)> = sending.filter(is_lasting).collect();
        if lasting.is_empty() {
            let store = self.outputs.store(Lane::Data);
            let agreeing = self.agreeing.as_ref().and_then(Agreeing::lasting_error);
            let making = [self.log.lasting_error(), agreeing].into_iter().flatten();
            let mut making = making.map(|error| (store, error));
            lasting.extend(making.find(is_lasting));
        }
        let mut causes = Vec::new();
        for (store, lasting) in lasting {
            let cause = lasting.error.to_string();
            // What needs a person was said when it was met.
            if !lasting.needs_a_person() {
                let repeats = self.context.status.repeats();
                let due = repeats.due_at_store(IN_VAIN, store, &cause);
                self.say(IN_VAIN, &cause, due);
            }
            causes.push(cause);
        }
        causes.extend(self.stranded().map(|stranded| stranded.to_string()));
        (!causes.is_empty()).then(|| causes.join("; "))
    }

    /// Why nothing is read though records wait, when that has lasted.
    fn standstill(&mut self, now: Moment) -> Option<String> {
        let waits = match &self.backlog {
            Some(backlog) => backlog.waits_since().is_some(),
            None => !self.has_room(),
        };
        // That ends by itself.
        let waits = waits && !self.is_learning();
        let patience = self.context.status.patience();
        let writing = self.writing_since.map(|since| since.elapsed());
        let cause = if writing.is_some_and(|writing| writing >= patience) {
            Some("a checkpoint is not written: the disk under state_dir takes no writes".to_owned())
        } else if !waits {
            self.standing = None;
            None
        } else {
            let since = *self.standing.get_or_insert(now);
            (since.until(now) >= patience).then(|| {
                let why = self.what_reading_waits_for();
                format!("records wait, and none are read: {why}")
            })
        };
        if let Some(cause) = &cause {
            let due = self.context.status.repeats().due_alike(STANDSTILL, cause);
            self.say(STANDSTILL, cause, due);
        }
        cause
    }

    fn what_reading_waits_for(&self) -> String {
        if let Some(columns) = self.awaited_columns() {
            columns
        } else if self.is_spool_full() {
            let full = if self.context.reserve.is_short() {
                "the disk is full".to_owned()
            } else {
                let limit = display_size(self.settings.spool_limit);
                format!("the spool is full (spool_limit = \"{limit}\")")
            };
            let at = self.waiting.stuck_at().join(" and ");
            let at = if at.is_empty() {
                at
            } else {
                format!(": nothing arrives at {at}")
            };
            format!("{full}, and what is in the spool is not published{at}")
        } else if self.is_agreeing() && !self.gathering {
            "the daemons that share the stream have not agreed on columns yet".to_owned()
        } else if self.gathering {
            "a checkpoint of the shard is still being made".to_owned()
        } else if self.encode_queue.len() >= ENCODE_BACKLOG {
            "encoding has not caught up".to_owned()
        } else if !self.has_room() {
            "the memory for batches is used up (memory_limit)".to_owned()
        } else {
            "transforms and queries are still at those before them".to_owned()
        }
    }

    /// Since when records may wait in the source that the daemon cannot read, while it cannot.
    fn unread_since(&mut self, now: Moment) -> Option<Moment> {
        let is_unread =
            self.backlog.is_none() && self.context.status.source().stalled_for().is_some();
        if !is_unread {
            self.unread = None;
            return None;
        }
        let clock = &self.context.clock;
        let until = || self.protocol.frontiers().read_until_ms();
        let since = || until().map_or(now, |ms| clock.moment_of(ms));
        Some(*self.unread.get_or_insert_with(since))
    }

    fn say(&self, line: &'static str, cause: &str, due: Option<u64>) {
        if let Some(unsaid) = due {
            tracing::error!(stream = self.settings.name, cause, unsaid, "{line}");
        }
    }

    /// Objects whose bucket or folder the config no longer names wait until a person decides (C7).
    pub(super) fn stranded(&self) -> Option<StreamError> {
        let objects = self.waiting.stranded();
        if objects == 0 {
            return None;
        }
        let (stream, store) = (&self.settings.name, self.outputs.stores().told());
        let stores = self.protocol.unpublished();
        let stores = stores.map(|object| &*object.target.store);
        let waited_for = stores.filter(|waited_for| !self.outputs.stores().names(waited_for));
        let waited_for: BTreeSet<&str> = waited_for.collect();
        let waited_for = waited_for.into_iter().collect::<Vec<_>>().join(" and ");
        Some(StreamError::LoudStop {
            cause: format!(
                "{objects} objects wait for another destination than {store}: {waited_for}"
            ),
            advice: format!(
                "name it again, or stop the daemon and run `firehose state retarget {stream}`"
            ),
        })
    }

    /// Logs which objects are stranded.
    pub(super) fn tell_of_stranded(&self) {
        if let Some(stranded) = self.stranded() {
            let (stream, cause) = (&self.settings.name, stranded.to_string());
            tracing::error!(stream, cause, "objects are stranded");
        }
    }
}
