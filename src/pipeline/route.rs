//! CPU work on a chunk: each record to its partition, staged as its format wants it.

use std::collections::HashMap;
use std::ops::Range;

use super::outputs::Outputs;
use crate::checkpoint::Lane;
use crate::failure::{ErrorOutputType, Failure};
use crate::journal::MissingRange;
use crate::partition::Scratch;
use crate::position::Position;
use crate::record::{Chunk, Record};

/// A group is cut when its staged bytes reach this, so that the size trigger can act in between.
const GROUP_BYTES: usize = 64 << 10;

/// A chunk after routing. Applied wholly or not at all.
#[derive(Debug)]
pub(super) struct Routed {
    /// Position of the chunk's last record.
    pub frontier: Position,
    /// Records of the chunk.
    pub records: u64,
    /// Runs of records of one partition.
    pub groups: Vec<Group>,
    /// Ranges of the journal before this chunk that are lost to damage.
    pub missing: Vec<MissingRange>,
    identities: String,
    staged: Vec<u8>,
    chunk: Chunk,
    order: Vec<u32>,
}

/// Some records of one partition, staged.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Which output it belongs to.
    pub lane: Lane,
    /// Arrival of the first record, in ms.
    pub arrival_ms: i64,
    /// Records in it.
    pub records: u64,
    /// Their bytes, before staging.
    pub bytes: u64,
    identity: Range<usize>,
    staged: Range<usize>,
    order: Range<usize>,
}

impl Routed {
    /// The partition of a group.
    pub(super) fn identity(&self, group: &Group) -> &str {
        &self.identities[group.identity.clone()]
    }

    /// The staged bytes of a group.
    pub(super) fn staged(&self, group: &Group) -> &[u8] {
        &self.staged[group.staged.clone()]
    }

    /// The records of a data group as they came.
    pub(super) fn records_of(&self, group: &Group) -> impl Iterator<Item = Record<'_>> {
        self.order[group.order.clone()]
            .iter()
            .map(|index| self.chunk.record(*index as usize))
    }
}

/// Routes a chunk. `now_ms` is the time that error lines carry.
pub(super) fn route(outputs: &Outputs, scratch: &mut Scratch, chunk: Chunk, now_ms: i64) -> Routed {
    let mut router = Router::default();
    router.assign(outputs, scratch, &chunk, now_ms);
    let order = router.order();
    router.stage_data(outputs, &chunk, &order);
    router.stage_errors();
    if outputs.has_backup() {
        router.stage_backup(outputs, &chunk);
    }
    Routed {
        frontier: chunk.last_position().unwrap_or_default(),
        records: chunk.len() as u64,
        groups: router.groups,
        missing: Vec::new(),
        identities: router.identities,
        staged: router.staged,
        chunk,
        order,
    }
}

/// Marks a record that no partition takes.
const FAILED: u32 = u32::MAX;

#[derive(Default)]
struct Router {
    identities: String,
    /// Range of each partition in `identities`, and its number of records.
    partitions: Vec<(Range<usize>, usize)>,
    /// Partition of each record.
    assigned: Vec<u32>,
    errors: Vec<ErrorLines>,
    staged: Vec<u8>,
    groups: Vec<Group>,
}

struct ErrorLines {
    output_type: ErrorOutputType,
    lines: Vec<u8>,
    arrival_ms: i64,
    records: u64,
    bytes: u64,
}

impl Router {
    fn assign(&mut self, outputs: &Outputs, scratch: &mut Scratch, chunk: &Chunk, now_ms: i64) {
        let mut known: HashMap<Vec<u8>, u32, foldhash::fast::RandomState> = HashMap::default();
        let mut identity = Vec::new();
        self.assigned.reserve(chunk.len());
        for record in chunk.iter() {
            identity.clear();
            let partition = match outputs
                .partitioner
                .partition(scratch, &record, &mut identity)
            {
                Ok(()) => match known.get(&identity) {
                    Some(partition) => *partition,
                    None => self.add_partition(&mut known, &identity),
                },
                Err(failure) => {
                    self.fail(&failure, &record, now_ms);
                    FAILED
                }
            };
            if let Some((_, count)) = self.partitions.get_mut(partition as usize) {
                *count += 1;
            }
            self.assigned.push(partition);
        }
    }

    fn add_partition(
        &mut self,
        known: &mut HashMap<Vec<u8>, u32, foldhash::fast::RandomState>,
        identity: &[u8],
    ) -> u32 {
        let start = self.identities.len();
        // Identities are put together from text; nothing is lost here.
        self.identities.push_str(&String::from_utf8_lossy(identity));
        let partition = u32::try_from(self.partitions.len()).unwrap_or(FAILED);
        self.partitions.push((start..self.identities.len(), 0));
        known.insert(identity.to_vec(), partition);
        partition
    }

    fn fail(&mut self, failure: &Failure, record: &Record<'_>, now_ms: i64) {
        let output_type = failure.output_type;
        let index = self
            .errors
            .iter()
            .position(|errors| errors.output_type == output_type);
        let index = index.unwrap_or_else(|| {
            self.errors.push(ErrorLines {
                output_type,
                lines: Vec::new(),
                arrival_ms: record.arrival_ms,
                records: 0,
                bytes: 0,
            });
            self.errors.len() - 1
        });
        let errors = &mut self.errors[index];
        failure.write_line(record, 1, now_ms, &mut errors.lines);
        errors.records += 1;
        errors.bytes += record.data.len() as u64;
    }

    /// Indexes of the records that have a partition, sorted by it, stable.
    fn order(&self) -> Vec<u32> {
        let mut next = Vec::with_capacity(self.partitions.len());
        let mut total = 0;
        for (_, count) in &self.partitions {
            next.push(total);
            total += count;
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

    fn stage_data(&mut self, outputs: &Outputs, chunk: &Chunk, order: &[u32]) {
        let Some(format) = outputs.format(outputs.lane_format(Lane::Data)) else {
            return;
        };
        self.staged.reserve(chunk.bytes() + chunk.len() * 24);
        let mut start = 0;
        for (identity, count) in std::mem::take(&mut self.partitions) {
            let end = start + count;
            let mut group = Draft::default();
            for (at, index) in (start..end).zip(&order[start..end]) {
                let record = chunk.record(*index as usize);
                group.begin(at, self.staged.len(), record.arrival_ms);
                format.stage(&record, &mut self.staged);
                group.records += 1;
                group.bytes += record.data.len() as u64;
                if self.staged.len() - group.staged >= GROUP_BYTES || at + 1 == end {
                    self.groups.push(Group {
                        lane: Lane::Data,
                        arrival_ms: group.arrival_ms,
                        records: group.records,
                        bytes: group.bytes,
                        identity: identity.clone(),
                        staged: group.staged..self.staged.len(),
                        order: group.order..at + 1,
                    });
                    group = Draft::default();
                }
            }
            start = end;
        }
    }

    fn stage_errors(&mut self) {
        for errors in std::mem::take(&mut self.errors) {
            let start = self.staged.len();
            self.staged.extend_from_slice(&errors.lines);
            self.groups.push(Group {
                lane: Lane::Error(errors.output_type),
                arrival_ms: errors.arrival_ms,
                records: errors.records,
                bytes: errors.bytes,
                identity: 0..0,
                staged: start..self.staged.len(),
                order: 0..0,
            });
        }
    }

    fn stage_backup(&mut self, outputs: &Outputs, chunk: &Chunk) {
        let Some(format) = outputs.format(outputs.lane_format(Lane::Backup)) else {
            return;
        };
        let identity_start = self.identities.len();
        self.identities.push_str(&outputs.backup_identity());
        let identity = identity_start..self.identities.len();
        let mut group = Draft::default();
        let last = chunk.len().saturating_sub(1);
        for (at, record) in chunk.iter().enumerate() {
            group.begin(0, self.staged.len(), record.arrival_ms);
            format.stage(&record, &mut self.staged);
            group.records += 1;
            group.bytes += record.data.len() as u64;
            if self.staged.len() - group.staged >= GROUP_BYTES || at == last {
                self.groups.push(Group {
                    lane: Lane::Backup,
                    arrival_ms: group.arrival_ms,
                    records: group.records,
                    bytes: group.bytes,
                    identity: identity.clone(),
                    staged: group.staged..self.staged.len(),
                    order: 0..0,
                });
                group = Draft::default();
            }
        }
    }
}

/// A group that is being filled.
#[derive(Default)]
struct Draft {
    order: usize,
    staged: usize,
    arrival_ms: i64,
    records: u64,
    bytes: u64,
}

impl Draft {
    fn begin(&mut self, order: usize, staged: usize, arrival_ms: i64) {
        if self.records == 0 {
            (self.order, self.staged, self.arrival_ms) = (order, staged, arrival_ms);
        }
    }
}
