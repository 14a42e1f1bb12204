//! Checkpoints: what changed is spooled with one fsync and named by one transaction.

use std::io;

use super::event::{CheckpointError, Committed, Written};
use super::formats::Unsaved;
use super::table::{BatchTable, Entry};
use crate::batch::Unspooled;
use crate::buffer::Buffer;
use crate::checkpoint::{CheckpointStore, OpenBatch, PlaceChanges, SpooledBlock};
use crate::extent::Extent;
use crate::failpoint;
use crate::protocol::{Draft, Spilling};
use crate::source::Handle;
use crate::spool::Spool;

/// A changed batch: its row, and the bytes that go to the spool first.
#[derive(Debug)]
pub(super) struct DraftBatch {
    row: OpenBatch,
    /// Index of the block in the row, and what to write for it.
    writes: Vec<(usize, Unspooled)>,
}

impl DraftBatch {
    /// The row of a batch as it is now. Extents of which `moved` is true are written anew.
    pub(super) fn of(
        entry: &Entry,
        upload_id: Option<String>,
        moved: &dyn Fn(&Extent) -> bool,
    ) -> Self {
        let batch = &entry.batch;
        let mut writes = Vec::new();
        let blocks = batch.blocks.iter().enumerate().map(|(index, block)| {
            let stays = |_: &Extent| false;
            let moved: &dyn Fn(&Extent) -> bool =
                if entry.outlasts(block) { moved } else { &stays };
            if let Some(unspooled) = block.unspooled(moved) {
                writes.push((index, unspooled));
            }
            SpooledBlock {
                encoded: block.encoded,
                footer: block.footer,
                raw_sum: block.raw_sum,
                records: (!block.footer).then_some(block.records),
                extents: block.extents.clone(),
            }
        });
        let row = OpenBatch {
            id: batch.id,
            lane: entry.lane,
            identity: entry.identity.clone().into(),
            target: entry.target.clone(),
            opened_ms: batch.opened_ms,
            arrival_ms: entry.arrival_ms,
            window: entry.window,
            partition_ends: entry.partition_ends,
            records: batch.records,
            bytes: batch.bytes,
            encoded_from: batch.encoded_from,
            sealing: entry.sealing,
            blocks: blocks.collect(),
            upload_id,
        };
        Self { row, writes }
    }
}

/// Makes a checkpoint durable: spool, fsync, transaction; then frees and releases what it allows.
pub(super) fn commit(
    draft: Draft,
    mut batches: Vec<DraftBatch>,
    spool: &Spool,
    store: &CheckpointStore,
    source: &dyn Handle,
    unsaved: Unsaved,
    places: &PlaceChanges,
) -> Result<Committed, CheckpointError> {
    failpoint::hit("spool-before-write");
    let written = write(&mut batches, spool)?;
    failpoint::hit("spool-after-write");
    spool.sync()?;
    failpoint::hit("spool-after-fsync");
    let rows = batches.into_iter().map(|batch| batch.row).collect();
    let transaction = draft.transaction(rows)?;
    let transaction = transaction.with_formats(unsaved.formats, unsaved.versions);
    let durable = transaction.stored(|commit| store.commit_with(commit, places))?;
    spool.free(durable.freed())?;
    source.release(durable.released())?;
    Ok(Committed {
        written,
        durable: Some(durable),
        ..Committed::default()
    })
}

/// Writes batches to the spool, where nothing durable names it: it need not outlive the process. Those
/// that are sealed become objects.
pub(super) fn spill(
    mut batches: Vec<DraftBatch>,
    sealed: Spilling,
    freed: &[Extent],
    spool: &Spool,
) -> Result<Committed, CheckpointError> {
    let written = write(&mut batches, spool)?;
    spool.free(freed)?;
    let rows = batches.into_iter().map(|batch| batch.row);
    Ok(Committed {
        written,
        spilled: sealed.objects(rows)?,
        ..Committed::default()
    })
}

/// Appends all unspooled bytes and completes the rows with their extents: what is only written, in
/// one go; what is read back first, block by block, so that no more than one is held.
fn write(batches: &mut [DraftBatch], spool: &Spool) -> Result<Vec<Written>, CheckpointError> {
    let writes = batches.iter().flat_map(|batch| &batch.writes);
    let pieces: Vec<&[u8]> = writes
        .filter(|(_, unspooled)| unspooled.merge.is_empty())
        .map(|(_, unspooled)| &*unspooled.bytes)
        .collect();
    let mut extents = spool.append(&pieces)?.into_iter();
    let mut written = Vec::new();
    for batch in batches {
        for (index, unspooled) in &batch.writes {
            let Some(block) = batch.row.blocks.get_mut(*index) else {
                continue;
            };
            let mut keep = unspooled.keep;
            let extent = if unspooled.merge.is_empty() {
                extents.next()
            } else {
                match merge(unspooled, spool) {
                    // It stays where it is; whoever encodes the block sets it aside.
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        keep = block.extents.len();
                        let bytes = (!unspooled.bytes.is_empty()).then_some(&*unspooled.bytes);
                        spool.append(bytes.as_slice())?.pop()
                    }
                    merged => merged?,
                }
            };
            let Some(extent) = extent else { continue };
            block.extents.truncate(keep);
            block.extents.push(extent);
            written.push((batch.row.id, unspooled.serial, keep, extent));
        }
    }
    Ok(written)
}

/// Appends extents of a block anew, as one, with what is in none yet.
fn merge(unspooled: &Unspooled, spool: &Spool) -> io::Result<Option<Extent>> {
    let merged = unspooled.merge.iter().map(|extent| extent.len as usize);
    let merged: usize = merged.sum();
    let mut bytes = Buffer::of_len(merged + unspooled.bytes.len());
    spool.read_all(&unspooled.merge, &mut bytes[..merged])?;
    bytes[merged..].copy_from_slice(&unspooled.bytes);
    Ok(spool.append(&[&bytes])?.pop())
}

/// Takes over what a checkpoint has written. Returns extents that no later checkpoint names.
pub(super) fn settle(table: &mut BatchTable, written: &[Written]) -> Vec<Extent> {
    let mut stale = Vec::new();
    for (id, serial, keep, extent) in written {
        let replaced = table.settle(*id, |entry| {
            let blocks = &mut entry.batch.blocks;
            let block = blocks.iter_mut().find(|block| block.serial == *serial)?;
            Some(block.spooled(*keep, *extent))
        });
        match replaced {
            Some(Some(replaced)) => stale.extend(replaced),
            // Encoded or gone in the meantime: the next checkpoint does not name it.
            Some(None) | None => stale.push(*extent),
        }
    }
    stale
}
