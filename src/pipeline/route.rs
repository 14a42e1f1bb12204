//! CPU work on a stretch of a chunk: each record to its partition.

mod group;
mod late;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::outputs::Outputs;
use super::table::watermark::AHEAD_MAX;
use crate::checkpoint::{Lane, Window};
use crate::failure::{ErrorOutputType, FailedRecord, Failure};
use crate::format::{Format, Inference};
use crate::partition::{self, PartitionScratch};
use crate::position::MissingRange;
use crate::position::Position;
use crate::record::{Chunk, Record};
use crate::source::SourceEvent;
use crate::telemetry::Tally;
pub(super) use group::Group;
use group::{GroupContent, NEVER, cut};
use late::LateIdentities;

/// Records of a chunk that are applied together, after parser and transforms.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The chunk as it was read.
    pub source: Arc<Chunk>,
    /// Which of its records: never none.
    pub range: Range<usize>,
    /// What is delivered of them: what the parser and the transforms made, or they themselves.
    pub data: Arc<Chunk>,
    /// What these failed.
    pub failed: Vec<FailedRecord>,
    /// How many records these dropped.
    pub dropped: u64,
}

impl Stretch {
    /// Some records of a chunk, untransformed.
    pub(super) fn of(chunk: Arc<Chunk>, range: Range<usize>) -> Self {
        let data = if range == (0..chunk.len()) {
            Arc::clone(&chunk)
        } else {
            Arc::new(chunk.part(range.clone()))
        };
        Self {
            range,
            data,
            source: chunk,
            failed: Vec::new(),
            dropped: 0,
        }
    }
}

/// A stretch after routing. Applied wholly or not at all.
#[derive(Debug)]
pub(super) struct Routed {
    /// Position of the stretch's last record, if it has any.
    pub frontier: Option<Position>,
    /// Arrival of that record, in ms.
    pub newest_ms: Option<i64>,
    /// Records of the stretch.
    pub records: u64,
    /// Records that the parser or transforms dropped.
    pub dropped: u64,
    /// Runs of records of one partition.
    pub groups: Vec<Group>,
    /// Ranges of the journal before this stretch that are lost to damage.
    pub missing: Vec<MissingRange>,
    /// What else is known of the source once the stretch is applied.
    pub event: Option<SourceEvent>,
    /// What its records have that the columns do not take, where those are learned.
    pub seen: Option<Inference>,
    /// Second of the newest of its events, where somebody minds events.
    pub newest_event: Option<i64>,
    identities: String,
    late: LateIdentities,
    /// Error lines.
    lines: Vec<u8>,
    /// Why the records of those lines failed.
    tallies: Vec<(Failed, Tally)>,
    data: Arc<Chunk>,
    source: Arc<Chunk>,
    /// Indexes of the records of data groups, by partition.
    order: Vec<u32>,
}

/// Records that failed: how, and when they arrived, where that matters.
type Failed = (ErrorOutputType, Option<Window>);

impl Routed {
    /// The shard that the stretch came from.
    pub(super) fn shard(&self) -> &str {
        self.source.shard()
    }

    /// When the first of its records arrived, in ms, as far as the groups tell.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        let groups = self.groups.iter().map(|group| group.arrival_ms);
        groups.min().or(self.newest_ms)
    }

    /// Bytes that it takes beside what another has that stands before it.
    pub(super) fn bytes_beside(&self, before: Option<&Self>) -> usize {
        let is_counted = before.is_some_and(|before| Arc::ptr_eq(&before.source, &self.source));
        let source = if is_counted { 0 } else { self.source.bytes() };
        let data = if Arc::ptr_eq(&self.data, &self.source) {
            0
        } else {
            self.data.bytes()
        };
        let own = self.lines.len() + self.identities.len() + size_of_val(&*self.order);
        source + data + own
    }

    /// The partition of a group.
    pub(super) fn identity(&self, group: &Group) -> &str {
        &self.identities[group.identity.clone()]
    }

    /// Why records failed with this type that arrived then.
    pub(super) fn tally(
        &self,
        output_type: ErrorOutputType,
        window: Option<Window>,
    ) -> Option<&Tally> {
        let mut tallies = self.tallies.iter();
        let found = tallies.find(|(of, _)| *of == (output_type, window));
        found.map(|(_, tally)| tally)
    }

    /// Appends a group to a raw block, as its format wants it.
    pub(super) fn stage(&self, group: &Group, format: &Format, block: &mut Vec<u8>) {
        match &group.content {
            GroupContent::Sorted(_) => {
                for record in self.records_of(group) {
                    format.stage(&record, block);
                }
            }
            GroupContent::AsTheyCame(range) => {
                for index in range.clone() {
                    format.stage(&self.source.record(index), block);
                }
            }
            GroupContent::Lines(range) => block.extend_from_slice(&self.lines[range.clone()]),
        }
    }

    /// Whether there are data groups.
    pub(super) const fn has_data(&self) -> bool {
        !self.order.is_empty()
    }

    /// So many records of all data groups at most, of each group its share.
    pub(super) fn some_of_data(&self, most: usize) -> impl Iterator<Item = Record<'_>> {
        let step = self.order.len().div_ceil(most.max(1)).max(1);
        let some = self.order.iter().step_by(step).take(most);
        some.map(|index| self.data.record(*index as usize))
    }

    /// The records of a data group.
    pub(super) fn records_of(&self, group: &Group) -> impl Iterator<Item = Record<'_>> {
        let order = match &group.content {
            GroupContent::Sorted(range) => &self.order[range.clone()],
            _ => &[],
        };
        order.iter().map(|index| self.data.record(*index as usize))
    }
}

/// A stretch on its way to its partitions. Queries may take long, so the work can be left after any
/// record and taken up again.
pub(super) struct Routing {
    stretch: Stretch,
    router: Router,
}

impl Routing {
    /// Begins with a stretch, whose data is taken apart. `now_ms` is the time that error lines carry.
    pub(super) fn begin(mut stretch: Stretch, outputs: &Outputs, now_ms: i64) -> Self {
        let mut router = Router {
            now_ms,
            ..Router::default()
        };
        for failed in stretch.failed.drain(..) {
            router.fail(outputs, &failed.failure, &failed.record(), failed.attempts);
        }
        router.assigned.reserve(stretch.data.len());
        Self { stretch, router }
    }

    /// Finds the partitions of records, as many as queries may take at a time; says whether that
    /// was the last one.
    pub(super) fn advance(&mut self, outputs: &Outputs, scratch: &mut PartitionScratch) -> bool {
        let before = partition::fuel_burned();
        let data = Arc::clone(&self.stretch.data);
        for record in data.iter_from(self.router.assigned.len()) {
            self.router.assign(outputs, scratch, &record);
            if partition::fuel_burned().wrapping_sub(before) >= partition::FUEL {
                break;
            }
        }
        self.router.assigned.len() == data.len()
    }

    /// Puts the records of each partition together.
    pub(super) fn finish(self, outputs: &Outputs) -> Routed {
        let Stretch {
            source,
            range,
            data,
            dropped,
            ..
        } = self.stretch;
        let mut router = self.router;
        let taken = router.assigned.iter().zip(data.iter_from(0));
        let taken = taken.filter(|(partition, _)| **partition != FAILED);
        let seen = outputs
            .formats
            .not_in_columns(taken.map(|(_, record)| record.data));
        let order = router.order();
        router.group_data(outputs, &data, &order);
        router.group_errors();
        if outputs.has_backup() {
            router.group_backup(outputs, &source, range.clone());
        }
        let last = range.clone().next_back().map(|last| source.record(last));
        Routed {
            frontier: last.map(|last| last.position),
            newest_ms: last.map(|last| last.arrival_ms),
            records: range.len() as u64,
            dropped,
            groups: router.groups,
            missing: Vec::new(),
            event: None,
            seen,
            newest_event: router.newest_event,
            identities: router.identities,
            late: router.late,
            lines: router.lines,
            tallies: router.tallies,
            data,
            source,
            order,
        }
    }
}

/// Marks a record that no partition takes.
const FAILED: u32 = u32::MAX;

#[derive(Default)]
struct Router {
    identities: String,
    late: LateIdentities,
    /// Partitions by their identity and its end, and those at hand.
    known: HashMap<Vec<u8>, u32, foldhash::fast::RandomState>,
    identity: Vec<u8>,
    partitions: Vec<Partition>,
    newest_event: Option<i64>,
    /// Partition of each record.
    assigned: Vec<u32>,
    now_ms: i64,
    errors: Vec<ErrorLines>,
    lines: Vec<u8>,
    tallies: Vec<(Failed, Tally)>,
    groups: Vec<Group>,
}

/// A partition of which a stretch has records.
struct Partition {
    /// Its range in `identities`.
    identity: Range<usize>,
    /// When it is over.
    ends: i64,
    /// How many.
    records: usize,
}

struct ErrorLines {
    of: Failed,
    lines: Vec<u8>,
    tally: Tally,
    arrival_ms: i64,
    records: u64,
}

impl Router {
    fn assign(&mut self, outputs: &Outputs, scratch: &mut PartitionScratch, record: &Record<'_>) {
        self.identity.clear();
        let sorted = outputs
            .partitioner
            .partition(scratch, record, &mut self.identity);
        let mut may_be_late = None;
        let partition = match sorted.and_then(|()| outputs.admit(record)) {
            Ok(()) => {
                let own = self.identity.len();
                let ends = self.note_event(outputs, scratch, record);
                may_be_late = (ends != NEVER).then_some(scratch);
                match self.known.get(&self.identity) {
                    Some(partition) => *partition,
                    None => self.add_partition(own, ends),
                }
            }
            Err(failure) => {
                self.fail(outputs, &failure, record, 1);
                FAILED
            }
        };
        self.late
            .assign(&outputs.partitioner, may_be_late, &mut self.identities);
        if let Some(partition) = self.partitions.get_mut(partition as usize) {
            partition.records += 1;
        }
        self.assigned.push(partition);
    }

    /// When the partition at hand is over, which stands behind its identity from then on, where somebody minds events.
    fn note_event(
        &mut self,
        outputs: &Outputs,
        scratch: &mut PartitionScratch,
        record: &Record<'_>,
    ) -> i64 {
        let partitioner = &outputs.partitioner;
        if !partitioner.minds_events() {
            return NEVER;
        }
        let Some(event) = partitioner.event(scratch) else {
            return NEVER;
        };
        if event.at <= record.arrival_ms.div_euclid(1000).saturating_add(AHEAD_MAX) {
            self.newest_event = self.newest_event.max(Some(event.at));
        }
        let ends = event.partition_ends;
        self.identity.extend_from_slice(&ends.to_be_bytes());
        ends
    }

    fn add_partition(&mut self, own: usize, ends: i64) -> u32 {
        let start = self.identities.len();
        // Identities are put together from text; nothing is lost here.
        let identity = String::from_utf8_lossy(&self.identity[..own]);
        self.identities.push_str(&identity);
        let partition = u32::try_from(self.partitions.len()).unwrap_or(FAILED);
        self.partitions.push(Partition {
            identity: start..self.identities.len(),
            ends,
            records: 0,
        });
        self.known.insert(self.identity.clone(), partition);
        partition
    }

    fn fail(&mut self, outputs: &Outputs, failure: &Failure, record: &Record<'_>, attempts: u32) {
        let lane = Lane::Error(failure.output_type);
        let window = outputs.windows().find(lane, record.arrival_ms);
        let of = (failure.output_type, window);
        let index = self.errors.iter().position(|errors| errors.of == of);
        let index = index.unwrap_or_else(|| {
            self.errors.push(ErrorLines {
                of,
                lines: Vec::new(),
                tally: Tally::default(),
                arrival_ms: record.arrival_ms,
                records: 0,
            });
            self.errors.len() - 1
        });
        let errors = &mut self.errors[index];
        failure.write_line(record, attempts, self.now_ms, &mut errors.lines);
        errors.tally.add(failure, record.data);
        errors.records += 1;
    }

    /// Indexes of the records that have a partition, sorted by it, stable.
    fn order(&self) -> Vec<u32> {
        let mut next = Vec::with_capacity(self.partitions.len());
        let mut total = 0;
        for partition in &self.partitions {
            next.push(total);
            total += partition.records;
        }
        let mut order = vec![0; total];
        for (record, partition) in (0_u32..).zip(&self.assigned) {
            if let Some(slot) = next.get_mut(*partition as usize) {
                order[*slot] = record;
                *slot += 1;
            }
        }
        order
    }

    fn group_data(&mut self, outputs: &Outputs, chunk: &Chunk, order: &[u32]) {
        let windows = outputs.windows().lane(Lane::Data);
        let mut start = 0;
        for partition in std::mem::take(&mut self.partitions) {
            let end = start + partition.records;
            let records = (start..end).map(|at| (at, chunk.record(order[at] as usize)));
            cut(records, windows, |group, range| {
                self.groups.push(Group {
                    lane: Lane::Data,
                    partition_ends: partition.ends,
                    identity: partition.identity.clone(),
                    content: GroupContent::Sorted(range),
                    ..group
                });
            });
            start = end;
        }
    }

    fn group_errors(&mut self) {
        for errors in std::mem::take(&mut self.errors) {
            let (start, bytes) = (self.lines.len(), errors.lines.len() as u64);
            if start == 0 {
                self.lines = errors.lines;
            } else {
                self.lines.extend_from_slice(&errors.lines);
            }
            let (output_type, window) = errors.of;
            self.tallies.push((errors.of, errors.tally));
            self.groups.push(Group {
                lane: Lane::Error(output_type),
                arrival_ms: errors.arrival_ms,
                window,
                records: errors.records,
                bytes,
                partition_ends: NEVER,
                identity: 0..0,
                content: GroupContent::Lines(start..self.lines.len()),
            });
        }
    }

    fn group_backup(&mut self, outputs: &Outputs, source: &Chunk, range: Range<usize>) {
        let start = self.identities.len();
        self.identities.push_str(&outputs.backup_identity());
        let identity = start..self.identities.len();
        let records = range.map(|at| (at, source.record(at)));
        let windows = outputs.windows().lane(Lane::Backup);
        cut(records, windows, |group, range| {
            self.groups.push(Group {
                lane: Lane::Backup,
                identity: identity.clone(),
                content: GroupContent::AsTheyCame(range),
                ..group
            });
        });
    }
}
