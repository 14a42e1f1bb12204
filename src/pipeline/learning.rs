//! Columns that are learned from the records of the stream.
//!
//! The records that tell what the first columns are have been read, are held in memory and are not applied: no checkpoint
//! has passed them, so a stream that dies meanwhile reads them again. Once there are columns, a record that they do not
//! take widens them before it is applied.
//! Batches that are open then end with the columns that they have begun with, and the next checkpoint holds the new
//! columns beside the first batch that has them. Where daemons share the stream they agree on columns first: see
//! [`super::agreeing`].

use std::collections::{VecDeque, vec_deque};

use super::agreeing::Agreeing;
use super::agreement::tell;
use super::formats::Formats;
use super::route::{Group, Routed};
use super::{Pipeline, StreamContext};
use crate::clock::Moment;
use crate::config::{Sample, StreamSettings};
use crate::error::StreamError;
use crate::failure::{ErrorOutputType, Failure};
use crate::format::Inference;
use crate::schema::SchemaVersion;
use crate::source::SourceEvent;

/// Stretches that are held, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    stretches: VecDeque<HeldStretch>,
    bytes: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct HeldStretch {
    routed: Routed,
    /// Bytes that it takes beside those before it.
    bytes: usize,
    /// When the first of its records arrived, in ms.
    oldest_ms: Option<i64>,
}

impl Held {
    pub(super) fn push(&mut self, routed: Routed) {
        let before = self.stretches.back().map(|before| &before.routed);
        let bytes = bytes_beside(&routed, before);
        self.bytes += bytes;
        self.stretches.push_back(HeldStretch {
            bytes,
            oldest_ms: routed.oldest_ms(),
            routed,
        });
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<Routed> {
        let HeldStretch { routed, bytes, .. } = self.stretches.pop_front()?;
        self.bytes -= bytes;
        // What it has in common with the next one is held still.
        if let Some(next) = self.stretches.front_mut() {
            self.bytes -= next.bytes;
            next.bytes = bytes_beside(&next.routed, None);
            self.bytes += next.bytes;
        }
        Some(routed)
    }

    /// Drops all but so many of the oldest.
    pub(super) fn truncate(&mut self, kept: usize) {
        let dropped = self.stretches.drain(kept.min(self.stretches.len())..);
        self.bytes -= dropped.map(|dropped| dropped.bytes).sum::<usize>();
    }

    /// When the first of all these records arrived, in ms.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        let stretches = self.stretches.iter();
        stretches.filter_map(|held| held.oldest_ms).min()
    }

    /// Whether the end of a shard is behind these records: they are the last of it.
    pub(super) fn has_an_end(&self) -> bool {
        let mut events = self.stretches.iter().map(|held| &held.routed.event);
        events.any(|event| matches!(event, Some(SourceEvent::Ended(_))))
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Routed> {
        self.stretches.iter().map(|held| &held.routed)
    }

    pub(super) fn len(&self) -> usize {
        self.stretches.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Bytes of memory that they take.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn has_of(&self, shard: &str) -> bool {
        let mut stretches = self.stretches.iter();
        stretches.any(|held| held.routed.shard() == shard)
    }
}

/// Bytes that a stretch takes beside the one before it, with what it has seen.
fn bytes_beside(routed: &Routed, before: Option<&Routed>) -> usize {
    let seen = routed.seen.as_ref().map_or(0, Inference::memory);
    routed.bytes_beside(before) + seen
}

impl IntoIterator for Held {
    type Item = Routed;
    type IntoIter = std::iter::Map<vec_deque::IntoIter<HeldStretch>, fn(HeldStretch) -> Routed>;

    fn into_iter(self) -> Self::IntoIter {
        self.stretches.into_iter().map(|held| held.routed)
    }
}

/// The first records of a stream, until they say what columns it has.
pub(super) struct Learning {
    sample: Sample,
    seen: Inference,
    held: Held,
    records: u64,
    /// Since when the first of them is held.
    since: Option<Moment>,
}

impl Learning {
    /// Begins where columns are to be learned and none are known yet.
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
        sample.map(Self::of)
    }

    pub(super) fn of(sample: Sample) -> Self {
        Self {
            sample,
            seen: Inference::default(),
            held: Held::default(),
            records: 0,
            since: None,
        }
    }

    /// Whether a stretch is to be held. One without records, which brings an event of the source, waits only behind records
    /// of the same shard: the event decides what is read next, and from where.
    fn wants(&self, routed: &Routed) -> bool {
        // The end of a shard may come without a chunk of it. A checkpoint with the end, and without the records that are
        // held, would be the last word on them.
        let shard = match &routed.event {
            Some(SourceEvent::Ended(shard) | SourceEvent::Until(shard, _)) => shard,
            _ => routed.shard(),
        };
        routed.records > 0 || self.held.has_of(shard)
    }

    fn hold(&mut self, mut routed: Routed, now: Moment) {
        if let Some(seen) = routed.seen.take() {
            self.seen.merge(seen);
        }
        self.records += routed.records;
        self.since.get_or_insert(now);
        self.held.push(routed);
    }

    fn is_full(&self) -> bool {
        self.records >= self.sample.records || self.held.bytes() as u64 >= self.sample.bytes
    }

    fn is_old(&self, now: Moment) -> bool {
        let since = self.since;
        since.is_some_and(|since| since.until(now) >= self.sample.time)
    }

    /// Bytes of memory that the held records take.
    pub(super) const fn memory(&self) -> usize {
        self.held.bytes()
    }

    /// What is held, and what it has.
    pub(super) fn take(&mut self) -> (Held, Inference) {
        (
            std::mem::take(&mut self.held),
            std::mem::take(&mut self.seen),
        )
    }
}

/// So many bytes one pipeline may hold of the `total` of its source's memory, which `reads` at a time: the rest is for
/// reading on. `parts` pipelines have that memory together.
fn held_max((total, reads): (u64, u64), parts: u64) -> u64 {
    match reads {
        0 => u64::MAX,
        reads => total.saturating_sub(reads) / parts.max(1),
    }
}

impl Pipeline {
    /// Applies a stretch of a chunk, once it is known what columns its records have.
    pub(super) fn take_chunk(&mut self, routed: Routed) -> Result<(), StreamError> {
        let Some(routed) = self.hold_behind_others(routed) else {
            return Ok(());
        };
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
        let Some(mut routed) = self.hold_for_agreement(routed) else {
            return Ok(());
        };
        if let (None, Some(seen)) = (&self.agreeing, routed.seen.take()) {
            let now_ms = self.context.clock.now_ms();
            let widened = self.outputs.formats.widen(seen.columns(), now_ms);
            if let Some(version) = widened {
                self.change_columns(&version);
            }
        }
        self.apply_chunk(routed)
    }

    /// Ends the wait for more records when it has lasted, when no more will come, or when there is no room for them. Where
    /// whoever takes the shard next reads them again, a stop leaves them to him.
    pub(super) fn mind_the_sample(&mut self) -> Result<(), StreamError> {
        let leaves = self.leaves_what_waits();
        let Some(learning) = &mut self.learning else {
            return Ok(());
        };
        if leaves {
            // So few records of one shard are no sample.
            learning.held.truncate(0);
        }
        if learning.held.is_empty() {
            return Ok(());
        }
        let has_columns = self.agreeing.as_ref().is_some_and(Agreeing::has_columns);
        let is_over = has_columns || learning.is_old(self.context.clock.moment());
        // A checkpoint that is being made is no want of room.
        if is_over || self.ending || !self.has_space() {
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
        if self.agree_on_first(&mut learning) {
            return Ok(());
        }
        let (held, seen) = learning.take();
        let now_ms = self.context.clock.now_ms();
        match self.outputs.formats.learn(seen.columns(), now_ms) {
            Ok(version) => self.tell_of_columns(&version),
            Err(why) => self.learn_anew(why),
        }
        for routed in held {
            self.apply_chunk(routed)?;
        }
        Ok(())
    }

    /// No columns came of what was held: it fails for that reason, and what comes next may say what columns there are.
    pub(super) fn learn_anew(&mut self, why: String) {
        let stream = &self.settings.name;
        tracing::warn!(
            stream,
            why,
            "no columns could be learned: these records fail"
        );
        self.learning = self.outputs.formats.sample().map(Learning::of);
        self.unlearned = why;
    }

    /// Whether records are held that say what columns there are.
    pub(super) fn is_learning(&self) -> bool {
        let held = self.learning.as_ref();
        held.is_some_and(|learning| !learning.held.is_empty())
    }

    /// Forgets what was held to learn columns, which there are now. What it holds is learned from first.
    pub(super) fn end_learning(&mut self) {
        if !self.is_learning() {
            self.learning = None;
        }
    }

    /// Since when the first of the records waits that are held to learn columns, or for columns.
    pub(super) fn held_since(&self) -> Option<Moment> {
        let learning = self.learning.as_ref().map(|learning| &learning.held);
        let agreeing = self.agreeing.as_ref().map(Agreeing::held);
        let held = learning.into_iter().chain(agreeing);
        let oldest_ms = held.filter_map(Held::oldest_ms).min()?;
        Some(self.context.clock.moment_of(oldest_ms))
    }

    /// Whether so much is held that the source would lack memory to read on.
    pub(super) fn holds_too_much(&self) -> bool {
        let (held, context) = (self.held_memory() as u64, &self.context);
        let room = (context.read_room.total(), self.settings.source.room_bytes());
        held > 0 && held >= held_max(room, context.memory.parts() as u64)
    }

    /// Whether what is held is for whoever takes the shard next, because this process stops reading it. What is left of a
    /// shard that has ended is all that there will ever be.
    pub(super) fn leaves_what_waits(&self) -> bool {
        let Some(agreeing) = self.agreeing.as_ref().filter(|_| self.ending) else {
            return false;
        };
        let learning = self.learning.as_ref().map(|learning| &learning.held);
        let mut held = learning.into_iter().chain([agreeing.held()]);
        !held.any(Held::has_an_end)
    }

    /// Bytes of memory that records take which are held for columns.
    pub(super) fn held_memory(&self) -> usize {
        let agreeing = self.agreeing.as_ref().map_or(0, Agreeing::memory);
        self.learning.as_ref().map_or(0, Learning::memory) + agreeing
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
        let status = &self.context.status;
        status.set_schema(self.outputs.formats.history());
        tell(&self.settings.name, version);
        if version.changes.is_empty() {
            self.tell_of_strange_rules();
        }
    }

    /// Warns of rules for columns that there are not.
    pub(super) fn tell_of_strange_rules(&self) {
        let columns = self.outputs.formats.strange_rules().join(", ");
        if columns.is_empty() {
            return;
        }
        let stream = &self.settings.name;
        let what = if self.given.is_some() {
            "`on_conversion_error` or `column_to_json_key` names columns that the Glue table does not have"
        } else {
            "`on_conversion_error` names columns that no record has shown so far"
        };
        tracing::warn!(stream, columns, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::held_max;

    #[test]
    fn pipelines_of_shards_leave_together_what_one_read_needs() {
        let (total, reads) = (64 << 20, 10 << 20);
        for parts in 1..200 {
            let held = held_max((total, reads), parts) * parts;
            assert!(held <= total - reads && held + parts > total - reads);
        }
        assert_eq!(held_max((5, 10), 3), 0, "one stretch is held all the same");
        assert_eq!(held_max((0, 0), 1), u64::MAX, "it reads from a disk");
    }
}
