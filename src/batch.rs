//! One open batch per partition: fills until size or interval. Pure: no I/O, time is an argument.
//!
//! A batch is a list of blocks. The last one grows; a full one is frozen and may later be replaced
//! by its encoded form. A block's bytes are a spooled head and a head- or tail-part in memory:
//!
//! ```text
//! 0          memory_start    spooled        len
//! |-- extents, in the spool ----|            |
//! |              |------- in memory ---------|      memory_start <= spooled
//! ```

use bytes::Bytes;
use uuid::Uuid;

use crate::buffer::Buffer;
use crate::extent::Extent;
use crate::raw_sum::RawSum;

/// A growing block is frozen when it has this many bytes.
pub const BLOCK_BYTES: usize = 256 << 10;
/// Extents smaller than this are merged when they pile up.
const SMALL_EXTENT: u32 = 16 << 10;
/// So many small extents at the end of a block are worth merging.
const SMALL_EXTENTS_MAX: usize = 16;

/// One open or sealing batch.
#[derive(Debug)]
pub struct Batch {
    /// Drawn at random at opening; the object's id.
    pub id: Uuid,
    /// When it opened, by the wall clock, in ms: for the row, nothing waits by it.
    pub opened_ms: i64,
    /// Records so far.
    pub records: u64,
    /// Bytes of records so far, before encoding, or of error lines.
    pub bytes: u64,
    /// Bytes, as they were staged, of what its final ones were made of.
    pub encoded_from: u64,
    /// Its bytes, in order.
    pub blocks: Vec<Block>,
    /// Whether the object's last bytes are among them.
    ended: bool,
    next_serial: u32,
}

/// Some bytes of a batch: staged records, or final bytes of the object.
#[derive(Debug)]
pub struct Block {
    /// Names the block inside its batch for as long as the process lives.
    pub serial: u32,
    /// Whether these are final bytes of the object.
    pub encoded: bool,
    /// Whether these are no bytes of the object at all, but what the final ones before them leave
    /// for its end.
    pub footer: bool,
    /// What the object's end needs to know of these bytes as they were before they were encoded.
    pub raw_sum: Option<RawSum>,
    /// Where the spooled head lies.
    pub extents: Vec<Extent>,
    /// Records in it; 0 where that is not known.
    pub records: u64,
    /// Whether it was handed out to be encoded.
    pub encoding: bool,
    spooled: u64,
    memory: Memory,
    memory_start: u64,
}

#[derive(Debug)]
enum Memory {
    Growing(Buffer),
    Frozen(Bytes),
}

/// What a checkpoint must write for one block.
#[derive(Debug)]
pub struct Unspooled {
    /// The block.
    pub serial: u32,
    /// Extents at the head of the block that stay as they are.
    pub keep: usize,
    /// Extents after those, to be read back and written again in front of `bytes`.
    pub merge: Vec<Extent>,
    /// The bytes that are in no extent yet.
    pub bytes: Bytes,
}

impl Batch {
    /// A batch without records.
    pub const fn open(id: Uuid, opened_ms: i64) -> Self {
        Self {
            id,
            opened_ms,
            records: 0,
            bytes: 0,
            encoded_from: 0,
            blocks: Vec::new(),
            ended: false,
            next_serial: 0,
        }
    }

    /// Appends `records` whole records of `bytes` bytes, which `stage` writes behind what it finds
    /// in the block. Returns the serial number of the block that this has filled, if it has.
    pub fn append(
        &mut self,
        records: u64,
        bytes: u64,
        stage: impl FnOnce(&mut Vec<u8>),
    ) -> Option<u32> {
        self.records += records;
        self.bytes += bytes;
        if !matches!(
            self.blocks.last(),
            Some(Block {
                memory: Memory::Growing(_),
                ..
            })
        ) {
            // A partition that has filled a block will fill the next one too.
            let buffer = if self.bytes >= BLOCK_BYTES as u64 {
                Buffer::with_room(BLOCK_BYTES + BLOCK_BYTES / 4)
            } else {
                Buffer::default()
            };
            self.push(false, Vec::new(), Memory::Growing(buffer));
        }
        let block = self.blocks.last_mut()?;
        let Memory::Growing(memory) = &mut block.memory else {
            return None;
        };
        stage(memory);
        block.records += records;
        (block.len() >= BLOCK_BYTES as u64).then(|| block.freeze())
    }

    /// Adds a block whose bytes are all in the spool, as recovery finds them.
    pub fn push_spooled(&mut self, encoded: bool, extents: Vec<Extent>) {
        // Only the last block grows: another one behind it freezes it.
        if let Some(last) = self.blocks.last_mut() {
            last.freeze();
        }
        let memory = if encoded {
            Memory::Frozen(Bytes::new())
        } else {
            Memory::Growing(Buffer::default())
        };
        self.push(encoded, extents, memory);
    }

    /// Adds a block of so many records, all in the spool.
    pub fn push_raw(&mut self, extents: Vec<Extent>, records: u64) {
        self.push_spooled(false, extents);
        self.count(records);
    }

    /// Says how many records are in the last block.
    pub fn count(&mut self, records: u64) {
        if let Some(block) = self.blocks.last_mut() {
            block.records = records;
        }
    }

    /// Adds an encoded block of which the object's end wants to know something.
    pub fn push_summed(&mut self, extents: Vec<Extent>, raw_sum: RawSum) {
        self.push_spooled(true, extents);
        if let Some(block) = self.blocks.last_mut() {
            block.raw_sum = Some(raw_sum);
        }
    }

    /// Adds a footer whose bytes are all in the spool.
    pub fn push_footer(&mut self, extents: Vec<Extent>) {
        self.push_spooled(true, extents);
        if let Some(block) = self.blocks.last_mut() {
            (block.encoded, block.footer) = (false, true);
        }
    }

    /// Freezes the growing block, so that its bytes can be shared. Returns its serial number.
    pub fn freeze(&mut self) -> Option<u32> {
        let last = self.blocks.last_mut()?;
        matches!(last.memory, Memory::Growing(_)).then(|| last.freeze())
    }

    /// Replaces a block by its encoded bytes, which lack `gone` of its records; returns the extents that
    /// are needed no more.
    pub fn replace(
        &mut self,
        serial: u32,
        encoded: Bytes,
        raw_sum: Option<RawSum>,
        gone: u64,
    ) -> Vec<Extent> {
        let next = self.next_serial;
        let Some(block) = self.blocks.iter_mut().find(|block| block.serial == serial) else {
            return Vec::new();
        };
        self.next_serial += 1;
        let fresh = Block {
            serial: next,
            encoded: true,
            footer: false,
            raw_sum,
            extents: Vec::new(),
            records: block.records.saturating_sub(gone),
            encoding: false,
            spooled: 0,
            memory: Memory::Frozen(encoded),
            memory_start: 0,
        };
        std::mem::replace(block, fresh).extents
    }

    /// Replaces raw blocks that lie one after the other by their final bytes and a footer, or by
    /// nothing where they have become nothing; `gone` of their records are not among them. Returns the
    /// extents that are needed no more.
    pub fn replace_run(
        &mut self,
        serials: &[u32],
        encoded: Vec<Extent>,
        footer: Vec<Extent>,
        gone: u64,
    ) -> Vec<Extent> {
        let is_of_run = |block: &Block| serials.contains(&block.serial);
        let records = self.blocks.iter().filter(|block| is_of_run(block));
        let records: u64 = records.map(|block| block.records).sum();
        let Some(at) = self.blocks.iter().position(is_of_run) else {
            return Vec::new();
        };
        let mut old = std::mem::take(&mut self.blocks);
        let rest = old.split_off(at);
        self.blocks = old;
        if !encoded.is_empty() {
            self.push_spooled(true, encoded);
            self.count(records.saturating_sub(gone));
            self.push_footer(footer);
        }
        let (run, rest): (Vec<Block>, Vec<Block>) = rest.into_iter().partition(is_of_run);
        self.blocks.extend(rest);
        run.into_iter().flat_map(|block| block.extents).collect()
    }

    /// Replaces all that is not final by the last of the object's final bytes; returns the extents
    /// that are needed no more.
    pub fn finish(&mut self, rest: Vec<Extent>) -> Vec<Extent> {
        let blocks = std::mem::take(&mut self.blocks);
        let (encoded, old): (Vec<Block>, Vec<Block>) =
            blocks.into_iter().partition(|block| block.encoded);
        self.blocks = encoded;
        self.push_spooled(true, rest);
        old.into_iter().flat_map(|block| block.extents).collect()
    }

    /// Adds the object's last bytes, which follow from what its blocks, all encoded, have left for
    /// them; once.
    pub fn end(&mut self, end: impl FnOnce(&[RawSum]) -> Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let sums = self.blocks.iter().filter_map(|block| block.raw_sum);
        let end = end(&sums.collect::<Vec<_>>());
        if !end.is_empty() {
            self.push(true, Vec::new(), Memory::Frozen(end.into()));
        }
    }

    /// Raw blocks that take no more records and are not being encoded yet; they count as being
    /// encoded from now on.
    pub fn take_raw(&mut self) -> Vec<u32> {
        let raw = self
            .blocks
            .iter_mut()
            .filter(|block| block.is_raw() && !block.is_empty());
        let taken = raw.map(|block| {
            block.encoding = true;
            block.serial
        });
        taken.collect()
    }

    /// Bytes of the raw blocks that [`Batch::take_raw`] would take; those in memory apart.
    pub fn raw(&self) -> (u64, usize) {
        let raw = self.blocks.iter().filter(|block| block.is_raw());
        raw.fold((0, 0), |(len, memory), block| {
            (len + block.len(), memory + block.memory())
        })
    }

    /// Bytes that are final, and those that are staged and will be encoded.
    pub fn lens(&self) -> (u64, u64) {
        let object = self.blocks.iter().filter(|block| !block.footer);
        object.fold((0, 0), |(last, staged), block| {
            let len = block.len();
            if block.encoded {
                (last + len, staged)
            } else {
                (last, staged + len)
            }
        })
    }

    /// Whether blocks are being encoded.
    pub fn is_encoding(&self) -> bool {
        self.blocks.iter().any(|block| block.encoding)
    }

    /// Whether every byte is final.
    pub fn is_encoded(&self) -> bool {
        self.blocks
            .iter()
            .all(|block| block.encoded || block.is_empty())
    }

    /// Bytes held in memory.
    pub fn memory(&self) -> usize {
        self.blocks.iter().map(Block::memory).sum()
    }

    /// Bytes that are in no extent.
    pub fn unspooled(&self) -> u64 {
        self.blocks.iter().map(Block::unspooled_len).sum()
    }

    /// Drops from memory what the spool holds: of full blocks only, or of the growing one too.
    pub fn shed(&mut self, growing: bool) {
        for block in &mut self.blocks {
            if growing || matches!(block.memory, Memory::Frozen(_)) {
                block.shed();
            }
        }
    }

    fn push(&mut self, encoded: bool, extents: Vec<Extent>, memory: Memory) {
        let spooled = extents.iter().map(|extent| u64::from(extent.len)).sum();
        let serial = self.next_serial;
        self.next_serial += 1;
        self.blocks.push(Block {
            serial,
            encoded,
            footer: false,
            raw_sum: None,
            extents,
            records: 0,
            encoding: false,
            spooled,
            memory,
            memory_start: spooled,
        });
    }
}

impl Block {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.memory_start + self.in_memory().len() as u64
    }

    /// Whether the block has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The head that is only in the spool, and the rest, of a frozen block.
    pub fn parts(&self) -> (Vec<Extent>, Bytes) {
        let Memory::Frozen(memory) = &self.memory else {
            return (self.extents.clone(), Bytes::new());
        };
        let mut covered = 0;
        let head = self.extents.iter().take_while(|extent| {
            let needed = covered < self.memory_start;
            covered += if needed { u64::from(extent.len) } else { 0 };
            needed
        });
        let head = head.copied().collect();
        // A merged extent may reach past the point where memory begins.
        let from = usize::try_from(covered - self.memory_start).unwrap_or(usize::MAX);
        (head, memory.slice(from.min(memory.len())..))
    }

    /// What a checkpoint must write; `None` when nothing. Extents in `sparse` files are moved.
    pub fn unspooled(&self, moved: &dyn Fn(&Extent) -> bool) -> Option<Unspooled> {
        let small = self
            .extents
            .iter()
            .rev()
            .take_while(|extent| extent.len < SMALL_EXTENT);
        let small = small.count();
        let mut keep = self.extents.len();
        if small >= SMALL_EXTENTS_MAX {
            keep -= small;
        }
        keep = keep.min(self.extents.iter().position(moved).unwrap_or(keep));
        let merge = self.extents[keep..].to_vec();
        let from = usize::try_from(self.spooled - self.memory_start).ok()?;
        let bytes = match &self.memory {
            Memory::Growing(memory) => Bytes::copy_from_slice(&memory[from..]),
            Memory::Frozen(memory) => memory.slice(from..),
        };
        let nothing = merge.is_empty() && bytes.is_empty();
        (!nothing).then_some(Unspooled {
            serial: self.serial,
            keep,
            merge,
            bytes,
        })
    }

    /// Records that a checkpoint has written an [`Unspooled`] as `extent`. Returns the extents that
    /// it took the place of. Final bytes are sent from the spool, so they leave the memory.
    pub fn spooled(&mut self, keep: usize, extent: Extent) -> Vec<Extent> {
        let replaced = self.extents.split_off(keep);
        self.extents.push(extent);
        self.spooled = self
            .extents
            .iter()
            .map(|extent| u64::from(extent.len))
            .sum();
        if self.encoded {
            self.shed();
        }
        replaced
    }

    /// Bytes in memory that are in no extent.
    pub fn unspooled_len(&self) -> u64 {
        self.len() - self.spooled
    }

    /// Whether it holds records, takes no more of them, and is not being encoded.
    fn is_raw(&self) -> bool {
        let frozen = matches!(self.memory, Memory::Frozen(_));
        frozen && !self.encoded && !self.footer && !self.encoding
    }

    fn in_memory(&self) -> &[u8] {
        match &self.memory {
            Memory::Growing(memory) => memory,
            Memory::Frozen(memory) => memory,
        }
    }

    fn memory(&self) -> usize {
        match &self.memory {
            Memory::Growing(memory) => memory.capacity(),
            Memory::Frozen(memory) => memory.len(),
        }
    }

    fn freeze(&mut self) -> u32 {
        if let Memory::Growing(memory) = &mut self.memory {
            self.memory = Memory::Frozen(Bytes::from_owner(std::mem::take(memory)));
        }
        self.serial
    }

    fn shed(&mut self) {
        // Whoever encodes it holds its bytes, too.
        if self.spooled < self.len() || self.encoding {
            return;
        }
        self.memory_start = self.spooled;
        match &mut self.memory {
            Memory::Growing(memory) => *memory = Buffer::default(),
            Memory::Frozen(memory) => *memory = Bytes::new(),
        }
    }
}

#[cfg(test)]
mod tests;
