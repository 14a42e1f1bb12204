//! Columns that are learned from the records of the stream.
//!
//! The records that tell what the first columns are have been read, are held in memory and are not applied: no checkpoint
//! has passed them, so a stream that dies meanwhile reads them again. Once there are columns, a record that they do not
//! take widens them before it is applied.
//! Batches that are open then end with the columns that they have begun with, and the next checkpoint holds the new
//! columns beside the first batch that has them.

use std::collections::VecDeque;

use super::formats::Formats;
use super::route::{Group, Routed};
use super::{Pipeline, StreamContext};
use crate::clock::Moment;
use crate::config::{Sample, StreamSettings};
use crate::error::StreamError;
use crate::failure::{ErrorOutputType, Failure};
use crate::format::Inference;
use crate::schema::SchemaVersion;

/// Changes that a line of the log names; `schema history` has them all.
const TOLD_MAX: usize = 20;

/// The first records of a stream, until they say what columns it has.
pub(super) struct Learning {
    sample: Sample,
    seen: Inference,
    held: VecDeque<Routed>,
    records: u64,
    bytes: usize,
    /// Since when the first of them is held.
    since: Option<Moment>,
}

impl Learning {
    /// Begins where columns are to be learned and none are known yet. The records that are held take memory that the source
    /// reads into, and it needs some of that to read on.
    pub(super) fn begin(
        formats: &Formats,
        settings: &StreamSettings,
        context: &StreamContext,
    ) -> Option<Self> {
        let history = formats.history();
        let strange = formats.otherwise_learned();
        if !strange.is_empty() {
            let (stream, columns) = (&settings.name, strange.join(", "));
            tracing::warn!(
                stream,
                columns,
                "`infer_columns` says types of columns that have been learned as others: they stay what they are"
            );
        }
        let sample = formats.sample().filter(|_| history.is_empty());
        context.status.set_schema(history);
        let room = match settings.source.room_bytes() {
            0 => u64::MAX,
            reads => context.read_room.total().saturating_sub(reads),
        };
        sample.map(|sample| Self::of(sample, room))
    }

    /// Holds at most `room` bytes: the source reads on in what is left of its memory.
    pub(super) fn of(sample: Sample, room: u64) -> Self {
        Self {
            sample: Sample {
                bytes: sample.bytes.min(room),
                ..sample
            },
            seen: Inference::default(),
            held: VecDeque::new(),
            records: 0,
            bytes: 0,
            since: None,
        }
    }

    /// Whether a stretch is to be held. One without records, which brings an event of the source, waits only behind records
    /// of the same shard: the event decides what is read next, and from where.
    fn wants(&self, routed: &Routed) -> bool {
        let is_of_shard = |held: &Routed| held.shard() == routed.shard();
        routed.records > 0 || self.held.iter().any(is_of_shard)
    }

    fn hold(&mut self, mut routed: Routed, now: Moment) {
        if let Some(seen) = routed.seen.take() {
            self.seen.merge(seen);
        }
        self.records += routed.records;
        self.bytes += routed.bytes_beside(self.held.back());
        self.since.get_or_insert(now);
        self.held.push_back(routed);
    }

    fn is_full(&self) -> bool {
        self.records >= self.sample.records || self.bytes as u64 >= self.sample.bytes
    }

    fn is_old(&self, now: Moment) -> bool {
        let since = self.since;
        since.is_some_and(|since| since.until(now) >= self.sample.time)
    }

    /// Bytes of memory that the held records take.
    pub(super) const fn memory(&self) -> usize {
        self.bytes
    }
}

impl Pipeline {
    /// Applies a stretch of a chunk, once it is known what columns its records have.
    pub(super) fn take_chunk(&mut self, mut routed: Routed) -> Result<(), StreamError> {
        if let Some(learning) = &mut self.learning
            && learning.wants(&routed)
        {
            learning.hold(routed, self.context.clock.moment());
            return if learning.is_full() {
                self.learn()
            } else {
                Ok(())
            };
        }
        if let Some(seen) = routed.seen.take() {
            let now_ms = self.context.clock.now_ms();
            let widened = self.outputs.formats.widen(seen.columns(), now_ms);
            if let Some(version) = widened {
                self.change_columns(&version);
            }
        }
        self.apply_chunk(routed)
    }

    /// Ends the wait for more records when it has lasted, when no more will come, or when there is no room for them.
    pub(super) fn mind_the_sample(&mut self) -> Result<(), StreamError> {
        let Some(learning) = &self.learning else {
            return Ok(());
        };
        if learning.held.is_empty() {
            return Ok(());
        }
        if learning.is_old(self.context.clock.moment()) || self.ending || !self.has_room() {
            return self.learn();
        }
        Ok(())
    }

    /// Makes columns of what the held records have. Where no column comes of it, these records fail, and the next ones
    /// tell what the columns are.
    fn learn(&mut self) -> Result<(), StreamError> {
        let Some(mut learning) = self.learning.take() else {
            return Ok(());
        };
        let held = std::mem::take(&mut learning.held);
        let now_ms = self.context.clock.now_ms();
        match self.outputs.formats.learn(learning.seen.columns(), now_ms) {
            Ok(version) => self.tell_of_columns(&version),
            Err(why) => {
                let stream = &self.settings.name;
                tracing::warn!(
                    stream,
                    why,
                    "no columns could be learned: these records fail"
                );
                self.learning = Some(Learning::of(learning.sample, u64::MAX));
                self.unlearned = why;
            }
        }
        for routed in held {
            self.apply_chunk(routed)?;
        }
        Ok(())
    }

    /// Whether records are held that say what columns there are.
    pub(super) fn is_learning(&self) -> bool {
        let held = self.learning.as_ref();
        held.is_some_and(|learning| !learning.held.is_empty())
    }

    /// Whether there are columns for data, where its format has some.
    pub(super) fn has_columns(&self) -> bool {
        self.learning.is_none()
    }

    /// Refuses records while there are no columns: what would fail in any columns fails for that reason.
    pub(super) fn refuse_without_columns(&mut self, routed: &Routed, group: &Group) {
        let why = self.unlearned.clone();
        let output_type = ErrorOutputType::FormatConversionFailed;
        self.refuse(routed, group, output_type, &|record| {
            let observed = Inference::default().observe(record.data);
            observed.err().unwrap_or_else(|| {
                Failure::new(output_type, "DataFormatConversion.NoColumns", why.clone())
            })
        });
    }

    fn change_columns(&mut self, version: &SchemaVersion) {
        self.tell_of_columns(version);
        self.seal_data();
    }

    fn tell_of_columns(&self, version: &SchemaVersion) {
        let SchemaVersion {
            version: number,
            changes,
            ..
        } = version;
        let status = &self.context.status;
        status.set_schema(self.outputs.formats.history());
        let stream = &self.settings.name;
        if changes.is_empty() {
            let columns = version.hash();
            tracing::info!(stream, version = number, columns, "columns are learned");
            let strange = self.outputs.formats.strange_rules().join(", ");
            if !strange.is_empty() {
                let columns = strange;
                tracing::warn!(
                    stream,
                    columns,
                    "`on_conversion_error` names columns that no record has shown so far"
                );
            }
            return;
        }
        let told: Vec<String> = changes
            .iter()
            .take(TOLD_MAX)
            .map(ToString::to_string)
            .collect();
        let (changes, more) = (told.join(", "), changes.len() - told.len());
        tracing::warn!(
            stream,
            version = number,
            changes,
            more,
            "columns are widened"
        );
    }
}
