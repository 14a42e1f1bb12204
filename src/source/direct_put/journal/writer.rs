//! The one thread that writes: everything that waits, one write, one fsync, then all answers.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::birth::{begin_file, fill_with_zeros, finish_file};
use super::frame::{END_BYTES, MARK_BYTES, frame_bytes};
use super::fresh::FreshFrame;
use super::group::GroupFrames;
use super::queue::{Reply, Request};
use super::segment::{HEADER_BYTES, Header, Link};
use super::shared::{Live, Segments, Shared};
use crate::clock::Clock;
use crate::disk::DiskFile;
use crate::failpoint;
use crate::position::Sequence;
use crate::source::{Accepted, Refused};
use crate::telemetry::Repeats;

/// A new file grows by this much zeros at a time, ahead of what is written: writing over what is
/// there already makes the fsync much faster.
const GROWTH: u64 = 4 << 20;
/// How long to wait before trying again to start a segment while answers depend on it.
const DOUBT: Duration = Duration::from_secs(1);
/// Room behind each frame: for a mark and an end.
const TAIL: u64 = MARK_BYTES + END_BYTES as u64;

/// The segment being written.
pub(super) struct Active {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) number: u64,
    /// Durable up to here; the next frame starts here.
    pub(super) end: u64,
    /// Filled with something up to here: writing does not make the file longer.
    pub(super) filled: u64,
    /// The most it may hold.
    pub(super) capacity: u64,
}

/// Where the records of one append stand.
struct AppendedFrame {
    offset: u64,
    end: u64,
    first: Sequence,
    arrival_ms: i64,
}

/// The one thread that writes.
pub(super) struct JournalWriter {
    shared: Arc<Shared>,
    clock: Clock,
    /// `None` after an error, until a new segment could be started.
    active: Option<Active>,
    /// Where the segment before the next one ends.
    link: Link,
    epoch: u32,
    next: Sequence,
    /// The number that the next segment gets.
    number: u64,
    scratch: Vec<u8>,
    /// Their fsync failed and no later segment says yet that their bytes do not count: a crash
    /// could still bring them back, so they are not refused until one does.
    doubtful: Vec<Reply>,
    /// Appends have become durable since the durable end was recorded.
    unmarked: bool,
    repeats: Repeats,
}

impl JournalWriter {
    pub(super) fn new(shared: Arc<Shared>, clock: Clock, active: Active, epoch: u32) -> Self {
        let next = shared.segments().next;
        let number = active.number + 1;
        let mut writer = Self {
            shared,
            clock,
            active: Some(active),
            link: Link {
                number: 0,
                end: 0,
                next,
            },
            epoch,
            next,
            number,
            scratch: Vec::new(),
            doubtful: Vec::new(),
            unmarked: false,
            repeats: Repeats::default(),
        };
        writer.seal();
        writer
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.shared));
        loop {
            let in_doubt = !self.doubtful.is_empty();
            let idle = self.unmarked.then_some(self.shared.settings.idle);
            let patience = if in_doubt { Some(DOUBT) } else { idle };
            let Some(mut waiting) = self.shared.queue.take(patience) else {
                break;
            };
            if !self.doubtful.is_empty()
                && let Err(refused) = self.start_segment(0, None)
            {
                self.tell("still no segment to write to", &refused.to_string());
            }
            if waiting.is_empty() {
                self.mark();
            }
            while !waiting.is_empty() {
                self.commit_some(&mut waiting);
            }
        }
        self.mark();
        if !self.doubtful.is_empty() {
            let _ = self.start_segment(0, None);
        }
        let cause = "the outcome is unknown: the fsync failed, then the journal stopped";
        for reply in self.doubtful.drain(..) {
            let _ = reply.send(Err(refused_by_disk(&self.shared, cause)));
        }
    }

    /// Accepts or refuses at least one of those that wait: as many as the segment takes.
    fn commit_some(&mut self, waiting: &mut VecDeque<Request>) {
        let Some(first) = waiting.front() else { return };
        let need = size(first);
        let ready = self.ready_segment(need, first.batch.len() as u64);
        let capacity = match ready {
            Ok(capacity) => capacity,
            Err(refused) => return refuse(waiting.drain(..), &refused),
        };
        let mut taken = 0;
        let mut bytes = 0;
        for request in waiting.iter() {
            if taken > 0 && bytes + size(request) > capacity {
                break;
            }
            bytes += size(request);
            taken += 1;
        }
        let group: Vec<Request> = waiting.drain(..taken).collect();
        if let Err(refused) = self.fill(bytes) {
            return refuse(group, &refused);
        }
        failpoint::hit("journal-before-write");
        match self.write(&group) {
            Ok(places) => self.publish(group, places),
            Err(error) => self.abandon(&error, group),
        }
    }

    /// Sees to it that the segment takes a frame of `need` bytes; gives the bytes it has left.
    fn ready_segment(&mut self, need: u64, records: u64) -> Result<u64, Refused> {
        if self.next.plus(records).epoch() != self.epoch {
            self.seal();
            self.epoch += 1;
            self.next = Sequence::first_of(self.epoch);
            let old = self.active.take();
            self.start_segment(need, old.as_ref())?;
        }
        let quarantined = self
            .shared
            .segments()
            .live
            .back()
            .is_some_and(|live| live.quarantined);
        let left = |active: &Active| active.capacity.saturating_sub(active.end + TAIL);
        match &self.active {
            Some(active) if !quarantined && left(active) >= need => Ok(left(active)),
            _ => {
                self.seal();
                let old = self.active.take();
                let started = self.start_segment(need, old.as_ref());
                if let Err(Refused::Full { .. }) = started {
                    // Nothing was begun: what is smaller may fit there, its end is still to be
                    // recorded, and the segment that will follow it is to be marked in it.
                    self.active = old;
                }
                started?;
                Ok(self.active.as_ref().map_or(need, left))
            }
        }
    }

    /// Notes where the active segment ends, for the next one's header.
    fn seal(&mut self) {
        if let (Some(active), Some(live)) = (&self.active, self.shared.segments().live.back()) {
            self.link = Link {
                number: active.number,
                end: active.end,
                next: live.next,
            };
        }
    }

    /// Starts a segment that takes a frame of `need` bytes. Once it is durable, nothing beyond
    /// the end of the one before can ever be read. `old`, the one before if it is sound, is marked as
    /// continued: it tells when the new one gets lost.
    fn start_segment(&mut self, need: u64, old: Option<&Active>) -> Result<(), Refused> {
        let least = HEADER_BYTES + need + TAIL;
        let capacity = self.shared.settings.segment_bytes.max(least);
        let (spare, bytes) = {
            let mut segments = self.shared.segments();
            (segments.spares.pop(), segments.bytes())
        };
        let full = bytes + least > self.shared.settings.limit;
        if full && spare.is_none() && self.doubtful.is_empty() {
            return Err(self.refused_as_full());
        }
        let number = self.number;
        self.number += 1;
        let header = Header {
            incarnation: self.shared.incarnation,
            number,
            epoch: self.epoch,
            first: self.next,
            durable: HEADER_BYTES,
            link: self.link,
            has_end: true,
        };
        let begun = begin_file(&self.shared, spare, number).and_then(|(file, kind, old)| {
            let least = HEADER_BYTES + END_BYTES as u64;
            let len = old.map_or(least, |spare| spare.len.max(least));
            finish_file(&self.shared, file.as_ref(), &header, kind, old).map(|()| (file, len))
        });
        let (file, len) = begun.map_err(|error| {
            self.tell("cannot start a segment", &error.to_string());
            refused_by_disk(&self.shared, &error.to_string())
        })?;
        failpoint::hit("journal-new-segment");
        if let Some(old) = old
            && let Err(error) = self.continue_in(old, number)
        {
            if let Some(live) = self.shared.segments().live.back_mut() {
                live.sound = false;
            }
            tracing::warn!(segment = old.number, %error, "cannot mark a segment as continued");
        }
        self.unmarked = false;
        self.shared.segments().live.push_back(Live {
            number,
            first: self.next,
            next: self.link.next,
            end: HEADER_BYTES,
            len,
            quarantined: false,
            sound: true,
        });
        let capacity = capacity.max(len);
        self.active = Some(Active {
            file,
            number,
            end: HEADER_BYTES,
            filled: len,
            capacity,
        });
        let refused = refused_by_disk(&self.shared, "writing or fsyncing failed");
        for reply in self.doubtful.drain(..) {
            let _ = reply.send(Err(refused.clone()));
        }
        Ok(())
    }

    /// Makes the file long enough for `bytes` more, if the limit and the disk allow it.
    fn fill(&mut self, bytes: u64) -> Result<(), Refused> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let end = active.end + bytes + TAIL;
        if end <= active.filled {
            return Ok(());
        }
        let ahead = end.next_multiple_of(GROWTH).min(active.capacity);
        let exact = end.next_multiple_of(HEADER_BYTES).min(active.capacity);
        let to = [ahead, exact]
            .into_iter()
            .find(|to| self.shared.reserve(to - active.filled));
        let Some(to) = to else {
            let stream = self.shared.settings.stream.clone();
            return Err(Refused::Full {
                stream,
                limit: self.shared.settings.limit,
            });
        };
        let filled = fill_with_zeros(active.file.as_ref(), active.filled, to);
        if let Err(error) = filled {
            self.shared.unreserve(to - active.filled);
            self.tell("cannot make the segment longer", &error.to_string());
            return Err(refused_by_disk(&self.shared, &error.to_string()));
        }
        active.filled = to;
        Ok(())
    }

    /// A full or broken disk refuses whatever comes, again and again.
    fn tell(&self, line: &'static str, cause: &str) {
        if let Some(unsaid) = self.repeats.due(line, cause) {
            let dir = self.shared.settings.dir.display();
            tracing::error!(stream = self.shared.settings.stream, %dir, cause, unsaid, "{line}");
        }
    }

    fn refused_as_full(&self) -> Refused {
        Refused::Full {
            stream: self.shared.settings.stream.clone(),
            limit: self.shared.settings.limit,
        }
    }

    /// Writes and fsyncs one frame for each request.
    fn write(&mut self, group: &[Request]) -> io::Result<Vec<AppendedFrame>> {
        let Some(active) = &mut self.active else {
            return Err(io::Error::other("there is no segment"));
        };
        let seed = self.shared.seed(active.number);
        let mut frames = GroupFrames::new(active, seed, self.next, &mut self.scratch);
        let arrival_ms = self.clock.now_ms();
        let mut places = Vec::with_capacity(group.len());
        for request in group {
            let (offset, first) = (frames.at, frames.next);
            frames.write(&request.batch.ends, &request.batch.data, arrival_ms)?;
            places.push(AppendedFrame {
                offset,
                end: frames.at,
                first,
                arrival_ms,
            });
        }
        frames.finish()?;
        let (end, next) = (frames.at, frames.next);
        failpoint::hit("journal-after-write");
        active.file.sync_data()?;
        failpoint::hit("journal-after-fsync");
        active.end = end;
        self.next = next;
        self.unmarked = true;
        Ok(places)
    }

    /// Records the durable end, where appends have moved it: the journal has fallen idle, or stops.
    fn mark(&mut self) {
        let quarantined = |segments: &Segments| {
            let last = segments.live.back();
            last.is_none_or(|live| live.quarantined)
        };
        if !std::mem::take(&mut self.unmarked) || quarantined(&self.shared.segments()) {
            return;
        }
        // Where there is no room left, the next segment's header tells.
        if self.fill(MARK_BYTES).is_err() {
            return;
        }
        if let Err(error) = self.write_mark() {
            self.abandon(&error, Vec::new());
        }
    }

    fn write_mark(&mut self) -> io::Result<()> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let seed = self.shared.seed(active.number);
        let offset = active.end;
        let mut frames = GroupFrames::new(active, seed, self.next, &mut self.scratch);
        frames.mark(0)?;
        frames.finish()?;
        let end = frames.at;
        active.file.sync_data()?;
        active.end = end;
        let number = active.number;
        let mut segments = self.shared.segments();
        if let Some(live) = segments.live.back_mut() {
            live.end = end;
        }
        segments.fresh.push(FreshFrame {
            number,
            offset,
            end,
            first: self.next,
            arrival_ms: 0,
            ends: Vec::new(),
            data: Bytes::new(),
        });
        Ok(())
    }

    /// Marks `old` as continued in segment `number`, which is durable. Nobody but this reads the mark
    /// while that one is there: it lies beyond the end that the new segment's header tells.
    fn continue_in(&mut self, old: &Active, number: u64) -> io::Result<()> {
        let seed = self.shared.seed(old.number);
        let mut frames = GroupFrames::new(old, seed, self.link.next, &mut self.scratch);
        frames.mark(number)?;
        frames.finish()?;
        old.file.sync_data()
    }

    /// Lets the reader see what has become durable, and answers.
    fn publish(&mut self, group: Vec<Request>, places: Vec<AppendedFrame>) {
        let Some(active) = &self.active else { return };
        let mut replies = Vec::with_capacity(group.len());
        let mut segments = self.shared.segments();
        segments.next = self.next;
        if let Some(live) = segments.live.back_mut() {
            live.end = active.end;
            live.next = self.next;
        }
        for (request, place) in group.into_iter().zip(places) {
            let Request { batch, reply, room } = request;
            let (first, count) = (place.first, batch.len());
            replies.push((reply, room, Accepted { first, count }));
            segments.fresh.push(FreshFrame {
                number: active.number,
                offset: place.offset,
                end: place.end,
                first,
                arrival_ms: place.arrival_ms,
                ends: batch.ends,
                data: Bytes::from_owner(batch.data),
            });
        }
        drop(segments);
        self.shared.changed.send_replace(());
        for (reply, _room, accepted) in replies {
            let _ = reply.send(Ok(accepted));
        }
    }

    /// After a failed write or fsync nothing is known about the bytes beyond the durable end:
    /// the segment is never touched again, and a new one, in a new epoch, names that end.
    fn abandon(&mut self, error: &io::Error, group: Vec<Request>) {
        self.tell(
            "writing the journal failed: leaving this segment",
            &error.to_string(),
        );
        self.seal();
        self.active = None;
        if let Some(live) = self.shared.segments().live.back_mut() {
            live.sound = false;
        }
        self.epoch += 1;
        self.next = Sequence::first_of(self.epoch);
        self.doubtful
            .extend(group.into_iter().map(|request| request.reply));
        // Failing here is noted: the requests stay in doubt, later ones are refused.
        let _ = self.start_segment(0, None);
    }
}

fn size(request: &Request) -> u64 {
    frame_bytes(request.batch.len(), request.batch.data.len())
}

fn refuse(requests: impl IntoIterator<Item = Request>, refused: &Refused) {
    for request in requests {
        let _ = request.reply.send(Err(refused.clone()));
    }
}

fn refused_by_disk(shared: &Shared, cause: &str) -> Refused {
    Refused::Disk {
        stream: shared.settings.stream.clone(),
        cause: cause.to_owned(),
    }
}

/// However the writer ends: nothing waits for it in vain.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.queue.close();
        while self.0.queue.take(None).is_some() {}
        self.0.segments().stopped = true;
        self.0.changed.send_replace(());
    }
}
