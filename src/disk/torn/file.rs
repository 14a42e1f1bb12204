//! One file of the simulated disk: its bytes as read now, and what is known to be durable.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

/// Disks write whole sectors of this many bytes.
const SECTOR: usize = 512;

/// One file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileContent {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<FileChange>,
    /// What the disk cannot give any more.
    spoilt: Vec<Range<u64>>,
}

#[derive(Clone, Debug)]
enum FileChange {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

/// How a crash deals with a list of changes.
pub(super) enum CrashFate {
    None,
    All,
    /// The first so many.
    Prefix(usize),
    /// Each for itself.
    Any,
}

impl CrashFate {
    pub(super) fn draw(random: &mut fastrand::Rng, changes: usize) -> Self {
        match random.u8(..6) {
            0 => Self::None,
            1 => Self::All,
            2 => Self::Prefix(random.usize(..=changes)),
            _ => Self::Any,
        }
    }

    pub(super) fn keeps(&self, index: usize, random: &mut fastrand::Rng) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Prefix(len) => index < *len,
            Self::Any => random.bool(),
        }
    }

    /// Up to which change something is kept.
    fn reach(&self, changes: usize, random: &mut fastrand::Rng) -> usize {
        match self {
            Self::None => 0,
            Self::All => changes,
            Self::Prefix(len) => *len,
            Self::Any => random.usize(..=changes),
        }
    }
}

impl FileContent {
    pub(super) fn len(&self) -> u64 {
        self.now.len() as u64
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buffer.len() as u64;
        let lost = |spoilt: &Range<u64>| spoilt.start < end && offset < spoilt.end;
        if self.spoilt.iter().any(lost) {
            return Err(rustix::io::Errno::IO.into());
        }
        let offset = to_usize(offset);
        let bytes = self
            .now
            .get(offset..)
            .and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    pub(super) fn write(&mut self, data: &[u8], offset: u64) {
        let offset = to_usize(offset);
        if data.is_empty() {
            return;
        }
        overwrite(&mut self.now, offset, data);
        self.unsynced.push(FileChange::Write {
            offset,
            data: data.to_vec(),
        });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        let len = to_usize(len);
        self.now.resize(len, 0);
        self.unsynced.push(FileChange::SetLen(len));
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                FileChange::Write { offset, data } => overwrite(&mut self.durable, offset, &data),
                FileChange::SetLen(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// A failed sync: what is durable of the changes is settled, they are never tried again.
    pub(super) fn fail_sync(&mut self, random: &mut fastrand::Rng) {
        self.durable = self.torn(random);
        self.unsynced.clear();
    }

    /// The file as it is found after a crash.
    pub(super) fn crashed(&self, random: &mut fastrand::Rng) -> Self {
        let bytes = self.torn(random);
        Self {
            now: bytes.clone(),
            durable: bytes,
            unsynced: Vec::new(),
            spoilt: self.spoilt.clone(),
        }
    }

    pub(super) fn spoil(&mut self, bytes: Range<u64>) {
        self.spoilt.push(bytes);
    }

    pub(super) fn mend(&mut self) {
        self.spoilt.clear();
    }

    pub(super) fn rot(&mut self, offset: u64, flip: u8) {
        for bytes in [&mut self.now, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(to_usize(offset)) {
                *byte ^= flip;
            }
        }
    }

    /// The durable bytes with some of the changes: each sector holds its bytes as they were after
    /// some number of the changes, and so does the length.
    fn torn(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let changes = self.unsynced.len();
        let fate = CrashFate::draw(random, changes);
        let length_reach = fate.reach(changes, random);
        let mut length = self.durable.len();
        let mut reach: HashMap<usize, usize> = HashMap::new();
        let mut bytes = self.durable.clone();
        for (index, change) in self.unsynced.iter().enumerate() {
            match change {
                FileChange::SetLen(len) if index < length_reach => {
                    length = *len;
                    bytes.truncate(length);
                }
                FileChange::SetLen(_) => {}
                FileChange::Write { offset, data } => {
                    if index < length_reach {
                        length = length.max(offset + data.len());
                    }
                    for (at, part) in sectors(*offset, data) {
                        let reach = reach
                            .entry(at / SECTOR)
                            .or_insert_with(|| fate.reach(changes, random));
                        if index < *reach {
                            overwrite(&mut bytes, at, part);
                        }
                    }
                }
            }
        }
        bytes.resize(length, 0);
        bytes
    }
}

/// Cuts a write where sectors end.
fn sectors(offset: usize, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = offset;
    let mut rest = data;
    std::iter::from_fn(move || {
        let len = rest.len().min(SECTOR - at % SECTOR);
        let (part, after) = rest.split_at(len);
        let found = (at, part);
        (at, rest) = (at + len, after);
        (len > 0).then_some(found)
    })
}

fn overwrite(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..offset + data.len()].copy_from_slice(data);
}

fn to_usize(offset: u64) -> usize {
    usize::try_from(offset).expect("simulated files are small")
}
