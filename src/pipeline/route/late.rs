//! Records whose partitions are over when they are applied: each goes to what the late prefix makes of it, in the order
//! in which they came, whichever partitions they are of.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::group::{GroupContent, cut};
use super::{Group, Routed};
use crate::checkpoint::Lane;
use crate::partition::{PartitionScratch, Partitioner};
use crate::pipeline::windows::Windows;

/// Marks a record that stays in its partition.
const STAYS: u32 = u32::MAX;

/// What the records of a stretch would be under the late prefix.
#[derive(Debug, Default)]
pub(super) struct LateIdentities {
    /// Their ranges in the stretch's identities, each once.
    ranges: Vec<Range<usize>>,
    known: HashMap<Vec<u8>, u32, foldhash::fast::RandomState>,
    identity: Vec<u8>,
    /// Which one each record has; nothing where there is no late prefix.
    assigned: Vec<u32>,
}

impl LateIdentities {
    /// Notes a record; without a scratch one that is never late.
    pub(super) fn assign(
        &mut self,
        partitioner: &Partitioner,
        scratch: Option<&mut PartitionScratch>,
        identities: &mut String,
    ) {
        if partitioner.late_literal().is_none() {
            return;
        }
        self.identity.clear();
        if let Some(scratch) = scratch {
            partitioner.write_late(scratch, &mut self.identity);
        }
        let found = match self.known.get(&self.identity) {
            _ if self.identity.is_empty() => STAYS,
            Some(found) => *found,
            None => {
                let start = identities.len();
                identities.push_str(&String::from_utf8_lossy(&self.identity));
                let index = u32::try_from(self.ranges.len()).unwrap_or(STAYS);
                self.ranges.push(start..identities.len());
                self.known.insert(self.identity.clone(), index);
                index
            }
        };
        self.assigned.push(found);
    }

    fn of(&self, record: u32) -> Option<&Range<usize>> {
        let index = *self.assigned.get(record as usize)?;
        self.ranges.get(index as usize)
    }
}

impl Routed {
    /// Puts what is late into groups of its own: before anything of the stretch is applied, once it is known which
    /// partitions are over.
    pub(in crate::pipeline) fn set_late_apart(
        &mut self,
        windows: Option<&Windows>,
        is_over: impl Fn(i64) -> bool,
    ) {
        if self.late.assigned.is_empty() {
            return;
        }
        let is_late = |group: &Group| group.lane == Lane::Data && is_over(group.partition_ends);
        let (late, in_time): (Vec<Group>, _) = std::mem::take(&mut self.groups)
            .into_iter()
            .partition(is_late);
        self.groups = in_time;
        let mut records = Vec::new();
        for group in &late {
            if let GroupContent::Sorted(range) = &group.content {
                let order = self.order[range.clone()].iter();
                records.extend(order.map(|record| (*record, group)));
            }
        }
        records.sort_unstable_by_key(|(record, _)| *record);
        // In the order of their first records.
        let mut places: Vec<(Range<usize>, i64, Vec<u32>)> = Vec::new();
        let mut known: HashMap<&str, usize, foldhash::fast::RandomState> = HashMap::default();
        for (record, group) in records {
            let identity = self.late.of(record).unwrap_or(&group.identity);
            let place = *known
                .entry(&self.identities[identity.clone()])
                .or_insert_with(|| {
                    places.push((identity.clone(), group.partition_ends, Vec::new()));
                    places.len() - 1
                });
            places[place].2.push(record);
        }
        let data = Arc::clone(&self.data);
        for (identity, partition_ends, records) in places {
            let start = self.order.len();
            self.order.extend_from_slice(&records);
            let records = (start..).zip(records.iter().map(|record| data.record(*record as usize)));
            cut(records, windows, |group, range| {
                self.groups.push(Group {
                    lane: Lane::Data,
                    partition_ends,
                    identity: identity.clone(),
                    content: GroupContent::Sorted(range),
                    ..group
                });
            });
        }
    }
}
