//! Segments as damage, another program or a foe may have left them: their seals fit, whatever they say.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::frame::{ALIGN, Frame, Seed, end_at, payload_sum};
use super::reader::JournalReader;
use super::recovery::recover;
use super::segment::{FileKind, HEADER_BYTES, Header, Link};
use super::{JournalCheckpoint, JournalSettings};
use crate::disk::{Disk as _, OpenMode, TornDisk};
use crate::position::Sequence;

const INCARNATION: Uuid = Uuid::from_u128(7);
/// Bytes that are read at once.
const CHUNK: usize = 1000;
const SEGMENTS_MAX: usize = 8;

/// What is to be written, a step after the other.
struct Script<'a> {
    rest: &'a [u8],
    segments: Vec<Vec<u8>>,
    epoch: u32,
    /// One past the last sequence number.
    next: Sequence,
    /// Records that were written as the journal writes them.
    written: u64,
    /// All was, so far.
    is_honest: bool,
}

/// A journal that a script has written, opened and read: records come in order, and all of them if all was
/// written as the journal does.
pub fn journal(bytes: &[u8]) {
    let mut script = Script {
        rest: bytes,
        segments: Vec::new(),
        epoch: 1,
        next: Sequence::first_of(1),
        written: 0,
        is_honest: true,
    };
    script.run();
    let disk = TornDisk::new(0);
    let dir = PathBuf::from("journal");
    let laid = script.lay(&disk, &dir);
    laid.expect("a disk in memory takes it");
    let settings = JournalSettings {
        stream: "clicks".to_owned(),
        dir,
        limit: 1 << 30,
        segment_bytes: 8 << 10,
        idle: Duration::MAX,
    };
    let known = JournalCheckpoint {
        incarnation: INCARNATION,
        epoch: 1,
        frontier: None,
    };
    let recovered = match recover(Arc::new(disk), settings, known) {
        Ok(recovered) => recovered,
        Err(error) => {
            assert!(!script.is_honest, "a sound journal is refused: {error}");
            return;
        }
    };
    let mut reader = JournalReader::new(recovered.shared, known.frontier, recovered.missing);
    let read = runtime().block_on(read(&mut reader));
    assert!(read.is_sorted_by(|a, b| a.0 < b.0), "an order: {read:?}");
    if script.is_honest {
        assert_eq!(read.len() as u64, script.written, "all records");
    }
}

async fn read(reader: &mut JournalReader) -> Vec<Sequence> {
    let mut read = Vec::new();
    while let Ok(chunk) = reader.available(CHUNK).await {
        if chunk.is_empty() {
            break;
        }
        let of = |position: crate::position::Position| position.sequence.narrow();
        read.extend(chunk.iter().filter_map(|record| of(record.position)));
    }
    read
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.build().expect("a runtime without anything")
}

impl Script<'_> {
    fn run(&mut self) {
        self.begin(Link {
            number: 0,
            end: 0,
            next: Sequence(0),
        });
        while let Some(step) = self.byte() {
            match step % 8 {
                0..3 => self.batch(),
                3 => self.continue_in_next(),
                4 => {
                    let (seed, at) = (self.seed(), self.len());
                    self.segment().extend(end_at(seed, at));
                    self.is_honest = false;
                }
                5 => {
                    let bytes = self.bytes();
                    self.segment().extend(bytes);
                    self.is_honest = false;
                }
                6 => self.foreign_frame(),
                _ => {
                    let link = Link {
                        number: self.number(1),
                        end: self.number(8),
                        next: Sequence(self.number(8)),
                    };
                    self.next = Sequence(self.number(8));
                    self.epoch = u32::try_from(self.number(4)).unwrap_or(u32::MAX);
                    self.begin(link);
                    self.is_honest = false;
                }
            }
        }
    }

    /// As the journal appends records.
    fn batch(&mut self) {
        let lengths: Vec<usize> = self.bytes().iter().map(|len| usize::from(*len)).collect();
        let Some(after) = self.next.0.checked_add(lengths.len() as u64) else {
            return;
        };
        if lengths.is_empty() {
            return;
        }
        let (mut payload, mut end) = (Vec::new(), 0);
        for length in &lengths {
            end += u32::try_from(*length).unwrap_or(0);
            payload.extend(end.to_le_bytes());
        }
        payload.resize(payload.len() + end as usize, b'x');
        self.frame(self.next, self.len(), end, lengths.len() as u64, &payload);
        self.next = Sequence(after);
        self.written += lengths.len() as u64;
    }

    /// A frame that says anything, sealed.
    fn foreign_frame(&mut self) {
        self.is_honest = false;
        let first = Sequence(self.number(8));
        let (durable, count, data) = (self.number(8), self.number(4), self.number(4));
        let payload = self.bytes();
        let data = u32::try_from(data).unwrap_or(u32::MAX);
        self.frame(first, durable, data, count, &payload);
    }

    fn frame(&mut self, first: Sequence, durable: u64, data: u32, count: u64, payload: &[u8]) {
        let frame = Frame {
            offset: self.len(),
            payload_sum: payload_sum(&[payload]),
            first,
            arrival_ms: 0,
            durable,
            data_bytes: data,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let seed = self.seed();
        let segment = self.segment();
        frame.encode(seed, segment);
        segment.extend_from_slice(payload);
        let len = (segment.len() as u64).next_multiple_of(ALIGN);
        segment.resize(usize::try_from(len).unwrap_or(0), 0);
    }

    /// As the journal goes on in another file.
    fn continue_in_next(&mut self) {
        let link = Link {
            number: self.segments.len() as u64,
            end: self.len(),
            next: self.next,
        };
        self.begin(link);
    }

    fn begin(&mut self, link: Link) {
        if self.segments.len() == SEGMENTS_MAX {
            return;
        }
        let header = Header {
            incarnation: INCARNATION,
            number: self.segments.len() as u64 + 1,
            epoch: self.epoch,
            first: self.next,
            durable: HEADER_BYTES,
            link,
            has_end: true,
        };
        self.segments.push(header.encode());
    }

    fn lay(&self, disk: &TornDisk, dir: &std::path::Path) -> std::io::Result<()> {
        disk.create_dir_all(dir)?;
        for (number, segment) in (1..).zip(&self.segments) {
            let file = disk.open(&FileKind::Segment.path(dir, number), OpenMode::New)?;
            file.write_all_at(segment, 0)?;
            file.sync_data()?;
        }
        disk.sync_dir(dir)
    }

    fn segment(&mut self) -> &mut Vec<u8> {
        self.segments.last_mut().expect("one was begun")
    }

    fn len(&self) -> u64 {
        self.segments
            .last()
            .map_or(0, |segment| segment.len() as u64)
    }

    fn seed(&self) -> Seed {
        Seed {
            incarnation: INCARNATION,
            number: self.segments.len() as u64,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn number(&mut self, width: usize) -> u64 {
        let bytes: Vec<u8> = (0..width).filter_map(|_| self.byte()).collect();
        let digits = bytes.iter().rev();
        digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// So many bytes as the next one says.
    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte().unwrap_or(0)).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        bytes.to_vec()
    }
}
