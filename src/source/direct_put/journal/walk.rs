//! Finds the end of a segment that no later segment has noted: the recorded durable end, what is
//! damaged below it, what is whole above it, and what is not.
//!
//! Above the recorded end it cannot be told whether bytes that are not whole were being written when
//! the power went, so that nobody was told of them, or were damaged later. So whole frames behind
//! them count (a record that is delivered although nobody was told is no fault, one that is lost
//! although somebody was told is one), and what is not whole is told.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use super::MissingRange;
use super::frame::{ALIGN, Frame};
use super::segment::HEADER_BYTES;
use super::shared::Live;
use super::window::Window;
use crate::position::Sequence;

/// Bytes that are not whole, and which records the frames around them miss, where they tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrokenBytes {
    pub(super) bytes: Range<u64>,
    pub(super) range: Option<MissingRange>,
    /// No whole frame stands behind them that would tell.
    pub(super) is_open: bool,
    /// One past the last sequence number before them.
    next: Sequence,
}

/// What a walk over a segment whose end nobody has noted finds.
pub(super) struct Walk {
    /// The largest recorded durable end: damage below it is corruption.
    pub(super) recorded: u64,
    /// One past the last sequence number before it.
    pub(super) recorded_next: Sequence,
    /// Whole frames with records beyond it.
    pub(super) tail: VecDeque<Frame>,
    /// Damage below it.
    pub(super) damaged: Vec<BrokenBytes>,
    /// What is not whole beyond it.
    pub(super) doubtful: VecDeque<BrokenBytes>,
    /// The segment that goes on behind this one, where its last mark names one.
    pub(super) continued_in: Option<u64>,
    /// Behind the last whole frame.
    end: u64,
    next: Sequence,
}

impl Walk {
    /// Whole frames without a break reach from the recorded end to here; and one past the last
    /// sequence number before.
    pub(super) fn cut(&self) -> (u64, Sequence) {
        let first = self.doubtful.front();
        first.map_or((self.end, self.next), |broken| {
            (broken.bytes.start, broken.next)
        })
    }

    fn record(&mut self, durable: u64, next: Sequence) {
        if durable > self.recorded {
            (self.recorded, self.recorded_next) = (durable, next);
        }
    }

    /// Sorts what has been found into what lies below the recorded end, as it is known now, and what lies beyond.
    fn settle(&mut self) {
        let recorded = self.recorded;
        while self
            .doubtful
            .front()
            .is_some_and(|broken| broken.bytes.start < recorded)
        {
            self.damaged.extend(self.doubtful.pop_front());
        }
        while self
            .tail
            .front()
            .is_some_and(|frame| frame.offset < recorded)
        {
            self.tail.pop_front();
        }
    }
}

/// Walks the frames of a segment of which `durable` bytes are known to be durable. `has_end`: an end
/// stands behind the last frame.
pub(super) fn walk(
    window: &mut Window,
    live: &Live,
    durable: u64,
    has_end: bool,
) -> io::Result<Walk> {
    let mut walk = Walk {
        recorded: durable,
        recorded_next: live.next,
        tail: VecDeque::new(),
        damaged: Vec::new(),
        doubtful: VecDeque::new(),
        continued_in: None,
        end: HEADER_BYTES,
        next: live.next,
    };
    let mut expected = live.first.max(live.next);
    loop {
        let mut frame = window.frame(walk.end, live.len)?;
        if frame.is_none() {
            let is_end = window.ends_at(walk.end, live.len)?;
            frame = window.find(walk.end + ALIGN, live.len)?;
            let until = frame.map_or(live.len.max(walk.end), |frame| frame.offset);
            // What was brought over, or lay here when a mark was written, may be gone with the file's end.
            if frame.is_some() || walk.end < walk.recorded || (has_end && !is_end) {
                let range = frame.and_then(|frame| MissingRange::between(expected, frame.first));
                walk.doubtful.push_back(BrokenBytes {
                    bytes: walk.end..until,
                    range,
                    is_open: frame.is_none(),
                    next: walk.next,
                });
            }
        }
        let Some(frame) = frame else { break };
        walk.record(frame.durable, walk.next);
        walk.continued_in = frame.continued_in();
        walk.end = frame.end();
        walk.next = frame.next();
        expected = walk.next;
        if walk.end <= walk.recorded {
            walk.recorded_next = walk.next;
        }
        if !frame.is_mark() {
            walk.tail.push_back(frame);
        }
        walk.settle();
    }
    walk.settle();
    Ok(walk)
}
