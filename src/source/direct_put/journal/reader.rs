//! Reads durable records in order, across segments and epochs, around damage.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::damage::{DamageCost, damage_found};
use super::frame::Frame;
use super::fresh::FreshFrame;
use super::segment::{HEADER_BYTES, u32_at};
use super::shared::{Live, Shared};
use super::window::Window;
use super::{JournalError, MissingRange};
use crate::position::Sequence;
use crate::record::{Chunk, ChunkBuilder};

/// A chunk holds at most one record for this many bytes asked for: empty records are bounded too.
const BYTES_PER_RECORD: usize = 16;
/// A frame in memory becomes a chunk of its own, without a copy, when it has at least this part of
/// the bytes asked for.
const ADOPT_PART: usize = 4;
/// A frame of at least so many bytes is read into memory of its own instead of the window.
const LOAD_BYTES: usize = 128 << 10;

/// Reads durable records in order; made by [`super::Journal::open`].
pub struct JournalReader {
    state: ReaderState,
    changed: watch::Receiver<()>,
}

enum ReaderState {
    Idle(Box<ReadCursor>),
    /// A read that outlives the future that started it, so that none is lost when it is dropped.
    Reading(JoinHandle<(Box<ReadCursor>, Result<Chunk, JournalError>)>),
    /// A read was lost: the runtime went away under it.
    Lost,
}

impl JournalReader {
    pub(super) fn new(
        shared: Arc<Shared>,
        frontier: Option<Sequence>,
        reported: Vec<MissingRange>,
    ) -> Self {
        let changed = shared.changed.subscribe();
        let cursor = ReadCursor {
            shared,
            number: 0,
            window: None,
            offset: 0,
            open: None,
            expected: frontier.map_or(Sequence(0), |frontier| frontier.plus(1)),
            reported,
            missing: Vec::new(),
        };
        Self {
            state: ReaderState::Idle(Box::new(cursor)),
            changed,
        }
    }

    /// The next records: at most about `max_bytes` of data (a single larger record comes alone).
    /// Waits for more where there are none; `None` once the journal is stopped and all is read. A chunk
    /// is empty where the end was found to be damaged.
    ///
    /// Dropping the future loses nothing. After an error the same place is tried again.
    pub async fn next(&mut self, max_bytes: usize) -> Result<Option<Chunk>, JournalError> {
        loop {
            self.changed.mark_unchanged();
            let chunk = self.available(max_bytes).await?;
            if !chunk.is_empty() || self.has_missing() {
                return Ok(Some(chunk));
            }
            if matches!(&self.state, ReaderState::Idle(cursor) if matches!(cursor.ahead(), Ahead::End))
            {
                return Ok(None);
            }
            // The sender lives as long as the cursor: this cannot fail.
            let _ = self.changed.changed().await;
        }
    }

    /// Like [`JournalReader::next`], but gives an empty chunk instead of waiting for appends.
    pub async fn available(&mut self, max_bytes: usize) -> Result<Chunk, JournalError> {
        loop {
            match std::mem::replace(&mut self.state, ReaderState::Lost) {
                ReaderState::Idle(mut cursor) => {
                    if !matches!(cursor.ahead(), Ahead::Records) {
                        self.state = ReaderState::Idle(cursor);
                        return Ok(Chunk::default());
                    }
                    self.state = ReaderState::Reading(tokio::task::spawn_blocking(move || {
                        let chunk = cursor.read(max_bytes);
                        (cursor, chunk)
                    }));
                }
                other => self.state = other,
            }
            let ReaderState::Reading(reading) = &mut self.state else {
                return Err(JournalError::LoudStop {
                    cause: "a read of the journal was broken off".to_owned(),
                    advice: "restart the daemon".to_owned(),
                });
            };
            let Ok((cursor, chunk)) = reading.await else {
                self.state = ReaderState::Lost;
                continue;
            };
            self.state = ReaderState::Idle(cursor);
            let chunk = chunk?;
            if !chunk.is_empty() {
                return Ok(chunk);
            }
        }
    }

    fn has_missing(&self) -> bool {
        matches!(&self.state, ReaderState::Idle(cursor) if !cursor.missing.is_empty())
    }

    /// Ranges of sequence numbers that turned out to be damaged since the last call, to be
    /// recorded with the next checkpoint. Those of [`super::OpenedJournal::missing`] are not repeated.
    pub fn take_missing(&mut self) -> Vec<MissingRange> {
        match &mut self.state {
            ReaderState::Idle(cursor) => std::mem::take(&mut cursor.missing),
            _ => Vec::new(),
        }
    }
}

enum Ahead {
    Records,
    Nothing,
    End,
}

/// A frame that is being handed out, verified.
enum OpenFrame {
    /// A small one, to be read from the window.
    OnDisk(Frame),
    /// A large one, or one that is still in memory from its append.
    InMemory(FreshFrame),
}

impl OpenFrame {
    const fn first(&self) -> Sequence {
        match self {
            Self::OnDisk(frame) => frame.first,
            Self::InMemory(fresh) => fresh.first,
        }
    }

    const fn next(&self) -> Sequence {
        match self {
            Self::OnDisk(frame) => frame.next(),
            Self::InMemory(fresh) => fresh.next(),
        }
    }

    const fn end(&self) -> u64 {
        match self {
            Self::OnDisk(frame) => frame.end(),
            Self::InMemory(fresh) => fresh.end,
        }
    }
}

/// Where the reader stands.
struct ReadCursor {
    shared: Arc<Shared>,
    /// The segment being read; 0 before the first.
    number: u64,
    window: Option<Window>,
    /// Where the next frame starts.
    offset: u64,
    /// The frame that is being handed out, and the index of its next record.
    open: Option<(OpenFrame, usize)>,
    /// Records below this have been delivered before, or are not wanted.
    expected: Sequence,
    reported: Vec<MissingRange>,
    missing: Vec<MissingRange>,
}

impl ReadCursor {
    /// What lies ahead, without reading.
    fn ahead(&self) -> Ahead {
        if self.open.is_some() {
            return Ahead::Records;
        }
        let segments = self.shared.segments();
        let mut live = segments
            .live
            .iter()
            .filter(|segment| segment.number >= self.number);
        let more = live.any(|segment| segment.number > self.number || segment.end > self.offset);
        match (more, segments.stopped) {
            (true, _) => Ahead::Records,
            (false, true) => Ahead::End,
            (false, false) => Ahead::Nothing,
        }
    }

    /// Reads until the chunk is full or nothing durable is left; may give an empty chunk.
    fn read(&mut self, max_bytes: usize) -> Result<Chunk, JournalError> {
        let mut chunk: Option<ChunkBuilder> = None;
        while let Some(segment) = self.segment()? {
            if self.open.is_none() {
                self.next_frame(&segment)?;
            }
            if self.is_adoptable(max_bytes) {
                let adopted = || self.adopt(max_bytes);
                return Ok(chunk.map_or_else(adopted, ChunkBuilder::finish));
            }
            let available = usize::try_from(segment.end - self.offset).unwrap_or(max_bytes);
            let chunk =
                chunk.get_or_insert_with(|| ChunkBuilder::with_room(0, available.min(max_bytes)));
            if !self.hand_out(&segment, chunk, max_bytes)? {
                break;
            }
        }
        Ok(chunk.map(ChunkBuilder::finish).unwrap_or_default())
    }

    /// The segment to read from, moving on to the next one at its end; `None`: all is read.
    fn segment(&mut self) -> Result<Option<Live>, JournalError> {
        let shared = Arc::clone(&self.shared);
        loop {
            // Held until the segment is open: one that lies behind the frontier may be released.
            let segments = shared.segments();
            let mut live = segments
                .live
                .iter()
                .filter(|live| live.number >= self.number);
            let Some(segment) = live.next().copied() else {
                return Ok(None);
            };
            if segment.number == self.number {
                if self.open.is_some() || self.offset < segment.end {
                    return Ok(Some(segment));
                }
                let Some(next) = live.next().copied() else {
                    return Ok(None);
                };
                self.enter(&next)?;
            } else {
                self.enter(&segment)?;
            }
        }
    }

    fn enter(&mut self, segment: &Live) -> Result<(), JournalError> {
        let file = self.shared.open(segment)?;
        self.window = Some(Window::new(file, self.shared.seed(segment.number)));
        self.number = segment.number;
        self.offset = HEADER_BYTES;
        self.open = None;
        self.expected = self.expected.max(segment.first);
        Ok(())
    }

    /// Opens the next whole frame of the segment that holds anything new, if there is one.
    fn next_frame(&mut self, segment: &Live) -> Result<(), JournalError> {
        let path = || self.shared.path(segment.kind(), segment.number);
        let Some(window) = &mut self.window else {
            return Ok(());
        };
        let failed = |error| JournalError::io("reading", path())(error);
        while self.offset < segment.end {
            let fresh = self.shared.segments().fresh.take(self.number, self.offset);
            let open = match fresh {
                Some(fresh) => Some(OpenFrame::InMemory(fresh)),
                None => match window.header(self.offset, segment.end).map_err(failed)? {
                    Some(frame) if frame.next() <= self.expected => {
                        self.offset = frame.end();
                        continue;
                    }
                    Some(frame) if frame.payload_bytes() >= LOAD_BYTES => window
                        .load(&frame)
                        .map_err(failed)?
                        .map(OpenFrame::InMemory),
                    _ => window
                        .frame(self.offset, segment.end)
                        .map_err(failed)?
                        .map(OpenFrame::OnDisk),
                },
            };
            if let Some(open) = open {
                if open.next() <= self.expected {
                    self.offset = open.end();
                    continue;
                }
                let known = self.expected.0.saturating_sub(open.first().0);
                let known = usize::try_from(known).unwrap_or(usize::MAX);
                self.open = Some((open, known));
                return Ok(());
            }
            let found = window.find(self.offset + 8, segment.end).map_err(failed)?;
            let (offset, next) = found.map_or((segment.end, segment.next), |frame| {
                (frame.offset, frame.first)
            });
            let range = MissingRange::between(self.expected, next);
            let is_new = range.is_some_and(|range| !self.reported.contains(&range));
            // Damage that costs no record and was known at the opening was told then.
            if is_new || !segment.quarantined {
                let cost = range.map_or(DamageCost::Nothing, DamageCost::Lost);
                let aside = damage_found(&self.shared, segment, self.offset..offset, cost);
                if window.has_holes() {
                    // A disk that does not even take the new name has lost more than a sector.
                    aside.map_err(failed)?;
                }
            }
            self.missing.extend(range.filter(|_| is_new));
            self.offset = offset;
        }
        Ok(())
    }

    /// Whether the open frame is in memory and worth a chunk of its own.
    fn is_adoptable(&self, max_bytes: usize) -> bool {
        matches!(&self.open, Some((OpenFrame::InMemory(fresh), _))
            if fresh.data.len() >= max_bytes / ADOPT_PART)
    }

    /// Makes a chunk of the open frame's next records, without copying them.
    fn adopt(&mut self, max_bytes: usize) -> Chunk {
        let Some((OpenFrame::InMemory(fresh), index)) = &mut self.open else {
            return Chunk::default();
        };
        let from = *index;
        let start = from.checked_sub(1).map_or(0, |last| fresh.ends[last]) as usize;
        let ends = fresh.ends[from..].iter().map(|end| *end as usize - start);
        let fitting = ends.clone().take(max_bytes / BYTES_PER_RECORD);
        let count = fitting.take_while(|end| *end <= max_bytes).count().max(1);
        let end = fresh.ends[from + count - 1] as usize;
        let chunk = Chunk::adopt(
            fresh.data.slice(start..end),
            ends.take(count),
            fresh.arrival_ms,
            fresh.first.plus(from as u64),
        );
        *index += count;
        if *index == fresh.ends.len() {
            let (next, end) = (fresh.next(), fresh.end);
            self.pass(next, end);
        }
        chunk
    }

    /// Copies records of the open frame into the chunk; `false`: the chunk is full.
    fn hand_out(
        &mut self,
        segment: &Live,
        chunk: &mut ChunkBuilder,
        max_bytes: usize,
    ) -> Result<bool, JournalError> {
        let (Some((open, index)), Some(window)) = (&mut self.open, &mut self.window) else {
            return Ok(true);
        };
        let (next, end) = match open {
            OpenFrame::OnDisk(frame) => {
                let payload = window.payload(frame, segment.end).map_err(|error| {
                    let path = self.shared.path(segment.kind(), segment.number);
                    JournalError::io("reading", path)(error)
                })?;
                let count = frame.count as usize;
                let (ends, data) = payload.split_at(count * 4);
                let records = FrameRecords {
                    data,
                    end_of: |index: usize| u32_at(ends, index * 4) as usize,
                    count,
                    arrival_ms: frame.arrival_ms,
                    first: frame.first,
                };
                if !records.copy(index, chunk, max_bytes) {
                    return Ok(false);
                }
                (frame.next(), frame.end())
            }
            OpenFrame::InMemory(fresh) => {
                let records = FrameRecords {
                    data: &fresh.data,
                    end_of: |index: usize| fresh.ends[index] as usize,
                    count: fresh.ends.len(),
                    arrival_ms: fresh.arrival_ms,
                    first: fresh.first,
                };
                if !records.copy(index, chunk, max_bytes) {
                    return Ok(false);
                }
                (fresh.next(), fresh.end)
            }
        };
        self.pass(next, end);
        Ok(true)
    }

    /// The open frame is handed out whole.
    fn pass(&mut self, next: Sequence, end: u64) {
        self.expected = self.expected.max(next);
        self.offset = end;
        self.open = None;
    }
}

/// The records of one frame, wherever they lie.
struct FrameRecords<'a, E> {
    data: &'a [u8],
    end_of: E,
    count: usize,
    arrival_ms: i64,
    first: Sequence,
}

impl<E: Fn(usize) -> usize> FrameRecords<'_, E> {
    /// Copies records from `index` on; `false`: the chunk is full.
    fn copy(&self, index: &mut usize, chunk: &mut ChunkBuilder, max_bytes: usize) -> bool {
        let mut start = index.checked_sub(1).map_or(0, &self.end_of);
        while *index < self.count {
            let end = (self.end_of)(*index);
            let full = chunk.bytes() + (end - start) > max_bytes
                || chunk.len() >= max_bytes / BYTES_PER_RECORD;
            if full && !chunk.is_empty() {
                return false;
            }
            let sequence = self.first.plus(*index as u64);
            chunk.push(&self.data[start..end], self.arrival_ms, sequence);
            start = end;
            *index += 1;
        }
        true
    }
}
