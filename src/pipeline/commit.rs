//! Checkpoints: what changed is spooled with one fsync and named by one transaction.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::table::{Entry, Table};
use crate::batch::Unspooled;
use crate::checkpoint::{Commit, OpenBatch, SealedObject, SpooledBlock, Store, StoreError};
use crate::extent::{Extent, sum};
use crate::failpoint;
use crate::journal::Journal;
use crate::position::Position;
use crate::spool::Spool;

/// A checkpoint put together by the pipeline, not yet durable.
#[derive(Debug, Default)]
pub struct Draft {
    /// Every record up to it has been applied.
    pub frontier: Option<Position>,
    /// Changed batches.
    pub batches: Vec<DraftBatch>,
    /// Batches that ended without an object.
    pub closed: Vec<Uuid>,
    /// Sealed objects of which something changed.
    pub objects: Vec<SealedObject>,
    /// Objects that were published.
    pub published: Vec<Uuid>,
    /// Extents that this checkpoint names no more.
    pub freed: Vec<Extent>,
}

/// A changed batch: its row, and the bytes that go to the spool first.
#[derive(Debug)]
pub struct DraftBatch {
    row: OpenBatch,
    /// Index of the block in the row, and what to write for it.
    writes: Vec<(usize, Unspooled)>,
    /// Whether all its bytes are final: it becomes a sealed object.
    sealed: bool,
}

/// A checkpoint after its commit.
#[derive(Debug, Default)]
pub struct Committed {
    /// The frontier it holds.
    pub frontier: Option<Position>,
    /// What was written: batch, block, extents kept before it, where it lies.
    pub written: Vec<(Uuid, u32, usize, Extent)>,
    /// Objects to be published from now on.
    pub sealed: Vec<SealedObject>,
    /// Objects whose publication is recorded.
    pub published: Vec<Uuid>,
}

/// Why a checkpoint has no known outcome.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Spool or journal failed.
    #[error("write a checkpoint: {0}")]
    Io(#[from] io::Error),
    /// The checkpoint store failed.
    #[error("write a checkpoint: {0}")]
    Store(#[from] StoreError),
}

impl DraftBatch {
    /// The row of a batch as it is now. Extents of which `moved` is true are written anew.
    pub fn of(entry: &Entry, sealed: bool, moved: &dyn Fn(&Extent) -> bool) -> Self {
        let batch = &entry.batch;
        let mut writes = Vec::new();
        let blocks = batch.blocks.iter().enumerate().map(|(index, block)| {
            if let Some(unspooled) = block.unspooled(moved) {
                writes.push((index, unspooled));
            }
            SpooledBlock { encoded: block.encoded, extents: block.extents.clone() }
        });
        let row = OpenBatch {
            id: batch.id,
            lane: entry.lane,
            identity: entry.identity.clone().into(),
            target: entry.target.clone(),
            opened_ms: batch.opened_ms,
            arrival_ms: entry.arrival_ms,
            records: batch.records,
            bytes: batch.bytes,
            sealing: entry.sealing,
            blocks: blocks.collect(),
        };
        Self { row, writes, sealed }
    }
}

/// Makes a draft durable: spool, fsync, transaction; then frees and releases what it allows.
pub fn commit(
    mut draft: Draft,
    spool: &Spool,
    store: &Store,
    journal: &Journal,
) -> Result<Committed, CheckpointError> {
    failpoint::hit("spool-before-write");
    let written = write(&mut draft.batches, spool)?;
    failpoint::hit("spool-after-write");
    spool.sync()?;
    failpoint::hit("spool-after-fsync");
    let mut commit = Commit {
        frontier: draft.frontier,
        closed: draft.closed,
        published: draft.published,
        ..Commit::default()
    };
    let mut sealed = Vec::new();
    for batch in draft.batches {
        if batch.sealed {
            commit.closed.push(batch.row.id);
            sealed.push(sealed_object(batch.row));
        } else {
            commit.open.push(batch.row);
        }
    }
    commit.sealed.clone_from(&sealed);
    commit.sealed.extend(draft.objects);
    store.commit(&commit)?;
    spool.free(&draft.freed)?;
    if let Some(frontier) = draft.frontier {
        journal.release(frontier.sequence)?;
    }
    Ok(Committed { frontier: draft.frontier, written, sealed, published: commit.published })
}

/// Appends all unspooled bytes in one go and completes the rows with their extents.
fn write(
    batches: &mut [DraftBatch],
    spool: &Spool,
) -> Result<Vec<(Uuid, u32, usize, Extent)>, CheckpointError> {
    let mut merged = Vec::new();
    for batch in &*batches {
        for (_, unspooled) in batch.writes.iter().filter(|(_, write)| !write.merge.is_empty()) {
            let mut bytes = Vec::new();
            for extent in &unspooled.merge {
                bytes.extend_from_slice(&spool.read(*extent)?);
            }
            bytes.extend_from_slice(&unspooled.bytes);
            merged.push(bytes);
        }
    }
    let mut from_merged = merged.iter();
    let mut pieces: Vec<&[u8]> = Vec::new();
    for (_, unspooled) in batches.iter().flat_map(|batch| &batch.writes) {
        pieces.push(match unspooled.merge.is_empty() {
            true => &unspooled.bytes,
            false => from_merged.next().map_or(&[], Vec::as_slice),
        });
    }
    let mut extents = spool.append(&pieces)?.into_iter();
    let mut written = Vec::with_capacity(extents.len());
    for batch in batches {
        for (index, unspooled) in &batch.writes {
            let (Some(extent), Some(block)) = (extents.next(), batch.row.blocks.get_mut(*index))
            else {
                continue;
            };
            block.extents.truncate(unspooled.keep);
            block.extents.push(extent);
            written.push((batch.row.id, unspooled.serial, unspooled.keep, extent));
        }
    }
    Ok(written)
}

fn sealed_object(row: OpenBatch) -> SealedObject {
    let extents: Vec<Extent> = row.blocks.into_iter().flat_map(|block| block.extents).collect();
    let (size, crc64) = sum(&extents);
    SealedObject {
        id: row.id,
        lane: row.lane,
        target: row.target,
        arrival_ms: row.arrival_ms,
        records: row.records,
        bytes: row.bytes,
        size,
        crc64,
        extents,
        upload_id: None,
    }
}

/// Takes over what a checkpoint has written. Returns extents that no later checkpoint names.
pub fn settle(table: &mut Table, committed: &Committed) -> Vec<Extent> {
    let mut stale = Vec::new();
    for (id, serial, keep, extent) in &committed.written {
        let replaced = table.settle(*id, |entry| {
            let blocks = &mut entry.batch.blocks;
            let block = blocks.iter_mut().find(|block| block.serial == *serial)?;
            Some(block.spooled(*keep, *extent))
        });
        match replaced {
            Some(Some(replaced)) => stale.extend(replaced),
            // The block was encoded in the meantime: the next checkpoint names that instead.
            Some(None) => stale.push(*extent),
            None => {}
        }
    }
    stale
}

/// The spool's bytes of a sealed object, verified as they are read.
#[derive(Debug)]
pub struct SpoolBody {
    /// Where the bytes are.
    pub spool: Arc<Spool>,
    /// The object's bytes, in order.
    pub extents: Vec<Extent>,
}

impl crate::destination::Body for SpoolBody {
    fn read(&self, offset: u64, len: usize) -> io::Result<bytes::Bytes> {
        let mut bytes = Vec::with_capacity(len);
        let mut start = 0;
        for extent in &self.extents {
            let end = start + u64::from(extent.len);
            let from = (offset + bytes.len() as u64).max(start);
            if bytes.len() < len && from < end {
                let piece = self.spool.read(*extent)?;
                let skip = usize::try_from(from - start).unwrap_or(usize::MAX);
                let take = (len - bytes.len()).min(piece.len() - skip);
                bytes.extend_from_slice(&piece[skip..skip + take]);
            }
            start = end;
        }
        Ok(bytes.into())
    }
}
