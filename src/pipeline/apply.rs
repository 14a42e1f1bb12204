//! Records into batches.

use std::sync::Arc;

use uuid::Uuid;

use super::Pipeline;
use super::backlog::Backlog;
use super::recovery::state::count_lost;
use super::route::{Group, Routed};
use super::table::Entry;
use super::table::pace::Pace;
use crate::batch::Batch;
use crate::checkpoint::Lane;
use crate::clock::Moment;
use crate::error::StreamError;
use crate::failpoint;
use crate::failure::{ErrorOutputType, Failure};
use crate::position::SequenceNumber;
use crate::record::Record;
use crate::telemetry::Tally;

/// Reading waits while so much is to be encoded beyond what the encoders are at: blocks that wait
/// would be spooled as they are, then again in their final form.
pub(super) const ENCODE_BACKLOG: usize = 8;
/// Spool room that reading leaves to encoding, sealing and checkpoints, in bytes.
pub(super) const SPOOL_RESERVE: u64 = 32 << 20;

/// The partition that a batch is opened for.
struct OpenedFor<'a> {
    lane: Lane,
    identity: &'a str,
    /// When it is over by the time of events, in seconds; none where it has no such end.
    ends: Option<i64>,
}

impl Pipeline {
    /// Applies a stretch of a chunk wholly: after this, each output of each of its records is in a batch.
    pub(super) fn apply_chunk(&mut self, mut routed: Routed) -> Result<(), StreamError> {
        self.standing = None;
        for range in &routed.missing {
            count_lost(self.context.status.metrics(), *range);
        }
        let missing = routed.missing.last().map(|range| range.last);
        let lost = std::mem::take(&mut routed.missing).into_iter();
        self.protocol
            .lose(lost.map(|range| (range.first, range.last)));
        let windows = self.outputs.windows().lane(Lane::Data);
        routed.set_late_apart(windows, |ends| self.table.is_over(ends));
        if let (true, Some(drift)) = (self.learning.is_none(), &mut self.drift) {
            drift.gather(&routed, self.context.clock.moment());
        }
        for group in &routed.groups {
            self.apply_group(&routed, group);
        }
        // What was read together is late by what was read before.
        self.table.learn_event(routed.newest_event);
        if let Some(position) = routed.frontier {
            self.protocol.advance(routed.shard(), position)?;
            let applied = position.sequence.narrow();
            if let (Some(backlog), Some(applied)) = (&mut self.backlog, applied) {
                let clock = &self.context.clock;
                let arrival = routed.newest_ms.map(|ms| clock.moment_of(ms));
                backlog.applied(applied, arrival);
            }
        }
        // Where the end of the source is damaged, nothing is left to wait behind the last record that was read.
        if let (Some(backlog), Some(missing)) = (&mut self.backlog, missing) {
            backlog.applied(missing, None);
        }
        if let Some(event) = routed.event.take() {
            self.protocol.learn(event);
        }
        let metrics = self.context.status.metrics();
        metrics.read_records.add(routed.records);
        metrics.dropped_records.add(routed.dropped);
        failpoint::hit("apply");
        Ok(())
    }

    fn apply_group(&mut self, routed: &Routed, group: &Group) {
        let is_late = self.table.is_over(group.partition_ends);
        if is_late {
            let metrics = self.context.status.metrics();
            metrics.late_records.add(group.records);
        }
        let identity = routed.identity(group);
        // Nothing but its size and its age ends what takes late records.
        let partition_ends = group.ends().filter(|_| !is_late);
        let id = match self.table.find(group.lane, identity, group.window) {
            Some(id) => id,
            None if group.lane == Lane::Data && !self.has_columns() => {
                return self.refuse_without_columns(routed, group);
            }
            None if group.lane == Lane::Data && self.is_over_partition_limit(identity) => {
                return self.refuse_partition(routed, group);
            }
            None => {
                let since = self.waits_since(routed, group);
                let partition = OpenedFor {
                    lane: group.lane,
                    identity,
                    ends: partition_ends,
                };
                self.open(&partition, group.arrival_ms, since)
            }
        };
        if let Lane::Error(output_type) = group.lane
            && let Some(tally) = routed.tally(output_type, group.window)
        {
            self.note_failed(id, tally);
        }
        let outputs = Arc::clone(&self.outputs);
        let format = outputs.lane_format(group.lane);
        let format = outputs.format(format).expect("every lane has a format");
        self.append(id, group.records, group.bytes, |block| {
            routed.stage(group, &format, block);
        });
    }

    pub(super) fn append(
        &mut self,
        id: Uuid,
        records: u64,
        bytes: u64,
        stage: impl FnOnce(&mut Vec<u8>),
    ) {
        let filled = self
            .table
            .change(id, |entry| entry.batch.append(records, bytes, stage))
            .flatten();
        self.table.touch(id, self.context.clock.moment());
        if self.table.is_full(id) {
            self.close(id);
        } else if filled.is_some() {
            self.encode_filled(id);
        }
    }

    /// The open batch of the lane's only partition that takes what arrived then.
    pub(super) fn open_lane(&mut self, lane: Lane, arrival_ms: i64, since: Moment) -> Uuid {
        let window = self.outputs.windows().find(lane, arrival_ms);
        self.table.find(lane, "", window).unwrap_or_else(|| {
            let partition = OpenedFor {
                lane,
                identity: "",
                ends: None,
            };
            self.open(&partition, arrival_ms, since)
        })
    }

    /// Since when the records of a group wait. What this process has accepted it knows by steady time; the
    /// rest is as old as its arrival says.
    fn waits_since(&self, routed: &Routed, group: &Group) -> Moment {
        let frontier = routed.frontier.map(|position| position.sequence);
        let last = frontier.and_then(SequenceNumber::narrow);
        let backlog = self.backlog.as_ref();
        let known = backlog.filter(|backlog| last.is_some_and(|last| backlog.knows(last)));
        known
            .and_then(Backlog::waits_since)
            .unwrap_or_else(|| self.context.clock.moment_of(group.arrival_ms))
    }

    /// Opens a batch of a partition.
    fn open(&mut self, partition: &OpenedFor<'_>, arrival_ms: i64, since: Moment) -> Uuid {
        let OpenedFor { lane, identity, .. } = *partition;
        let id = Uuid::new_v4();
        let (opened_ms, now) = (self.context.clock.now_ms(), self.context.clock.moment());
        let window = self.outputs.windows().find(lane, arrival_ms);
        let ends = now.after(self.table.wait(lane, window, opened_ms));
        self.table.insert(Entry {
            batch: Batch::open(id, opened_ms),
            lane,
            identity: self.outputs.identity(lane, identity).into(),
            target: self.outputs.target(lane, identity, arrival_ms, id),
            arrival_ms,
            window,
            partition_ends: partition.ends,
            ends,
            touched: now,
            looked_at: ends,
            waits_since: since,
            sealing: false,
            pace: Pace::default(),
            dirty: false,
        });
        id
    }

    fn is_over_partition_limit(&self, identity: &str) -> bool {
        let open = self.table.open_partitions() as u64;
        let limit = self.settings.partitioning.partition_limit;
        // One that follows its own in another window is none more.
        limit.is_some_and(|limit| open >= limit) && !self.table.is_open(identity)
    }

    /// Firehose's way with a partition too many: its records go to the error prefix.
    fn refuse_partition(&mut self, routed: &Routed, group: &Group) {
        let limit = self
            .settings
            .partitioning
            .partition_limit
            .unwrap_or_default();
        let failure = Failure::new(
            ErrorOutputType::ActivePartitionExceeded,
            "DynamicPartitioning.ActivePartitionsLimitExceeded",
            format!("{limit} partitions are open, which is the stream's max_open_partitions"),
        );
        self.refuse(routed, group, failure.output_type, &|_| failure.clone());
    }

    /// Sends the records of a group to the error prefix.
    pub(super) fn refuse(
        &mut self,
        routed: &Routed,
        group: &Group,
        output_type: ErrorOutputType,
        why: &dyn Fn(&Record<'_>) -> Failure,
    ) {
        let (mut lines, now_ms) = (Vec::new(), self.context.clock.now_ms());
        let mut tally = Tally::default();
        for record in routed.records_of(group) {
            let failure = why(&record);
            failure.write_line(&record, 1, now_ms, &mut lines);
            tally.add(&failure, record.data);
        }
        let since = self.waits_since(routed, group);
        let lane = Lane::Error(output_type);
        let id = self.open_lane(lane, group.arrival_ms, since);
        self.note_failed(id, &tally);
        self.append(id, group.records, lines.len() as u64, |block| {
            block.extend_from_slice(&lines);
        });
    }

    /// Whether another chunk may be applied: memory, encoders and spool have room, and what is held leaves the source
    /// some.
    pub(super) fn has_room(&self) -> bool {
        !self.gathering && self.has_space()
    }

    /// Whether memory and spool have room for more.
    pub(super) fn has_space(&self) -> bool {
        let limit = self.context.memory.limit();
        self.table.memory() + self.held_memory() < limit
            && !self.holds_too_much()
            && self.table.unspooled() < (limit / 4 * 3) as u64
            && self.encode_queue.len() < ENCODE_BACKLOG
            && !self.is_spool_full()
    }

    /// Whether the spool has come up to its limit, but for the reserve. On a full disk the reserve
    /// is all there is: small steps, each published before the next, beside what no store takes.
    pub(super) fn is_spool_full(&self) -> bool {
        let limit = if self.context.reserve.is_short() {
            self.step_bytes() + self.step.stuck
        } else {
            let parts = self.context.memory.parts() as u64;
            self.settings.spool_limit.saturating_sub(SPOOL_RESERVE) / parts
        };
        self.spool.bytes() + self.table.unspooled() >= limit
    }
}
