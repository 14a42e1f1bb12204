//! Finds the end of a segment that no later segment has noted: the recorded durable end, what is
//! damaged below it, and what is whole above it.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use super::MissingRange;
use super::frame::ALIGN;
use super::segment::HEADER_BYTES;
use super::shared::Live;
use super::window::Window;
use crate::position::Sequence;

/// What a walk over a segment whose end nobody has noted finds.
pub(super) struct Walk {
    /// The largest recorded durable end: damage below it is corruption.
    pub(super) recorded: u64,
    /// One past the last sequence number before it.
    pub(super) recorded_next: Sequence,
    /// Whole frames without a break reach from `recorded` to here.
    pub(super) cut: u64,
    pub(super) cut_next: Sequence,
    pub(super) missing: Vec<(Range<u64>, Option<MissingRange>)>,
}

/// Walks the frames of a segment, to find its recorded durable end, what is damaged below, and
/// what is whole above.
pub(super) fn walk(window: &mut Window, live: &Live, durable: u64) -> io::Result<Walk> {
    let mut walk = Walk {
        recorded: durable,
        recorded_next: live.next,
        cut: 0,
        cut_next: live.next,
        missing: Vec::new(),
    };
    // Damage of which it is not yet known whether it lies below a recorded end.
    let mut pending: VecDeque<(Range<u64>, Sequence, Option<MissingRange>)> = VecDeque::new();
    let mut expected = live.first.max(live.next);
    let mut at = HEADER_BYTES;
    let mut next = live.next;
    while at < live.len {
        let Some(frame) = window.frame(at, live.len)? else {
            let found = window.find(at + ALIGN, live.len)?;
            let (end, range) = found.map_or((live.len, None), |frame| {
                (frame.offset, MissingRange::between(expected, frame.first))
            });
            pending.push_back((at..end, next, range));
            at = end;
            continue;
        };
        if frame.durable > walk.recorded {
            (walk.recorded, walk.recorded_next) = (frame.durable, next);
        }
        while pending
            .front()
            .is_some_and(|(bytes, ..)| bytes.start < walk.recorded)
        {
            walk.missing
                .extend(pending.pop_front().map(|(bytes, _, range)| (bytes, range)));
        }
        at = frame.end();
        next = frame.next();
        expected = next;
        if at <= walk.recorded {
            walk.recorded_next = next;
        }
    }
    while pending
        .front()
        .is_some_and(|(bytes, ..)| bytes.start < walk.recorded)
    {
        walk.missing
            .extend(pending.pop_front().map(|(bytes, _, range)| (bytes, range)));
    }
    (walk.cut, walk.cut_next) = pending
        .front()
        .map_or((at, next), |(bytes, next, _)| (bytes.start, *next));
    Ok(walk)
}
