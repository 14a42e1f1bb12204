//! Records of one partition that are applied in one go.

use std::ops::Range;

use crate::checkpoint::{Lane, Window};
use crate::pipeline::windows::Windows;
use crate::record::Record;

/// A group is cut when its records have this many bytes, so that the size trigger can act in between.
const GROUP_BYTES: u64 = 64 << 10;

/// The end of a partition that has none.
pub(super) const NEVER: i64 = i64::MAX;

/// Some records of one partition.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Group {
    /// Which output it belongs to.
    pub lane: Lane,
    /// Arrival of the first record, in ms.
    pub arrival_ms: i64,
    /// When all of them arrived, where that matters.
    pub window: Option<Window>,
    /// Records in it.
    pub records: u64,
    /// Their bytes, before staging; of records that failed those of their lines.
    pub bytes: u64,
    /// The first second that is of another partition, by the time of events; [`NEVER`] where nobody minds that.
    pub partition_ends: i64,
    pub(super) identity: Range<usize>,
    pub(super) content: GroupContent,
}

/// What a group holds.
#[derive(Clone, Debug)]
pub(super) enum GroupContent {
    /// The records that these indexes in the order name.
    Sorted(Range<usize>),
    /// Records of the source's chunk, as they came.
    AsTheyCame(Range<usize>),
    /// Finished error lines.
    Lines(Range<usize>),
}

/// Cuts numbered records into groups of about [`GROUP_BYTES`], each of one window.
pub(super) fn cut<'a>(
    records: impl Iterator<Item = (usize, Record<'a>)>,
    windows: Option<&Windows>,
    mut push: impl FnMut(Group, Range<usize>),
) {
    let mut open: Option<(Group, usize)> = None;
    let mut next = 0;
    for (at, record) in records {
        let is_outside = |(group, _): &mut (Group, usize)| !group.takes(record.arrival_ms);
        if let Some((group, start)) = open.take_if(is_outside) {
            push(group, start..next);
        }
        let (group, _) = open.get_or_insert_with(|| {
            let window = windows.map(|windows| windows.find(record.arrival_ms));
            (Group::begin(record.arrival_ms, window), at)
        });
        group.records += 1;
        group.bytes += record.data.len() as u64;
        next = at + 1;
        if group.bytes >= GROUP_BYTES
            && let Some((group, start)) = open.take()
        {
            push(group, start..next);
        }
    }
    if let Some((group, start)) = open {
        push(group, start..next);
    }
}

impl Group {
    const fn begin(arrival_ms: i64, window: Option<Window>) -> Self {
        Self {
            lane: Lane::Data,
            arrival_ms,
            window,
            records: 0,
            bytes: 0,
            partition_ends: NEVER,
            identity: 0..0,
            content: GroupContent::Lines(0..0),
        }
    }

    /// The first second that is of another partition, where somebody minds that.
    pub(in crate::pipeline) fn ends(&self) -> Option<i64> {
        (self.partition_ends != NEVER).then_some(self.partition_ends)
    }

    /// Whether a record belongs to it that arrived then.
    fn takes(&self, arrival_ms: i64) -> bool {
        self.window.is_none_or(|window| window.holds(arrival_ms))
    }
}
