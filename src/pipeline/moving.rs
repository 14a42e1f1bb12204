//! Objects that wait for long are moved out of spool files that hold little else: a file goes only whole, and what
//! waits for one store must not keep the room of what has gone to another.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::Pipeline;
use super::event::{Copied, Event};
use super::log::names::Names;
use super::quarantine::{self, ReadBack};
use crate::checkpoint::SealedObject;
use crate::error::StreamError;
use crate::extent::Extent;
use crate::spool::Spool;

/// Dead bytes of the spool that are not worth moving what lies between them.
pub(super) const DEAD_MAX: u64 = 128 << 20;
/// Bytes that are moved at a time, but for the first object; on a full disk a step of what is kept back for it, and no
/// object that is larger.
const MOVED_MAX: u64 = 16 << 20;

/// As many bytes of the spool as are alive may be dead, and so many more, before sparse files are emptied: none when
/// there is no room.
pub(super) const fn dead_max(is_spool_full: bool) -> u64 {
    if is_spool_full { 0 } else { DEAD_MAX }
}

/// Ticks from one look at the files to the next.
const TICKS: u32 = 10;

/// What is known of objects that are moved.
#[derive(Debug, Default)]
pub(super) struct Moving {
    is_under_way: bool,
    ticks: u32,
    /// Objects of which what is left where it was is damaged: it is looked at when they are sent.
    stay: HashSet<Uuid>,
}

impl Pipeline {
    /// Now and then: moves some of what waits, when too much of the spool is dead, but for what is about to leave it.
    /// Where no checkpoint names the spool nothing waits in it for long.
    pub(super) fn move_what_waits(&mut self) {
        self.moving.ticks += 1;
        let is_time = self.moving.ticks >= TICKS && self.waiting.len() > 0;
        if !is_time || self.moving.is_under_way || self.log.names() != Names::OpenBatches {
            return;
        }
        self.moving.ticks = 0;
        let sparse = self.spool.sparse_files(dead_max(self.is_spool_full()));
        if sparse.is_empty() {
            return;
        }
        let bytes_there = |object: &SealedObject| -> u64 {
            let extents = object.extents.iter();
            let there = extents.filter(|extent| sparse.contains(&extent.file));
            there.map(|extent| u64::from(extent.len)).sum()
        };
        let may_go = |object: &&SealedObject| {
            self.waiting.is_stuck(object.id) && !self.moving.stay.contains(&object.id)
        };
        let objects = self.protocol.unpublished().filter(may_go);
        let sizes = objects.map(|object| (object.id, bytes_there(object)));
        let sizes: Vec<(Uuid, u64)> = sizes.filter(|(_, size)| *size > 0).collect();
        let is_short = self.context.reserve.is_short();
        let most = if is_short {
            self.step_bytes().min(MOVED_MAX)
        } else {
            MOVED_MAX
        };
        let (mut objects, mut bytes) = (Vec::new(), 0);
        for (id, size) in sizes {
            let may_go = bytes + size <= most || (objects.is_empty() && !is_short);
            if may_go && let Some(object) = self.protocol.hold(id) {
                bytes += size;
                objects.push((id, object.extents.clone()));
            }
        }
        if objects.is_empty() {
            return;
        }
        self.moving.is_under_way = true;
        self.waiting.begun();
        let (spool, events) = (Arc::clone(&self.spool), self.events.clone());
        let job = move || -> io::Result<Vec<Copied>> {
            let copied = objects.into_iter();
            copied
                .map(|(id, extents)| copy(id, extents, &sparse, &spool))
                .collect()
        };
        tokio::spawn(async move {
            let copied = tokio::task::spawn_blocking(job).await;
            let copied = copied.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            let _ = events.send(Event::Moved(copied));
        });
    }

    /// Takes over where bytes lie now, too; they are read from there when a checkpoint names them.
    pub(super) fn apply_moved(
        &mut self,
        copied: io::Result<Vec<Copied>>,
    ) -> Result<(), StreamError> {
        self.moving.is_under_way = false;
        self.waiting.landed();
        let protocol = &self.protocol;
        self.moving.stay.retain(|id| protocol.object(*id).is_some());
        let copied = copied.map_err(|error| self.disk_error("move a waiting object", error))?;
        for Copied {
            id,
            extents,
            is_damaged,
        } in copied
        {
            if is_damaged {
                self.moving.stay.insert(id);
            }
            self.protocol.moved(id, extents)?;
        }
        Ok(())
    }
}

/// Appends what an object has in sparse files anew, one extent after the other.
fn copy(
    id: Uuid,
    mut extents: Vec<Extent>,
    sparse: &BTreeSet<u32>,
    spool: &Spool,
) -> io::Result<Copied> {
    let mut is_damaged = false;
    for extent in &mut extents {
        if !sparse.contains(&extent.file) {
            continue;
        }
        match quarantine::twice(|| spool.read(*extent))? {
            ReadBack::Whole(bytes) => {
                let copies = spool.append(&[&bytes])?;
                *extent = copies.first().copied().unwrap_or(*extent);
            }
            ReadBack::Damaged(_) => is_damaged = true,
        }
    }
    Ok(Copied {
        id,
        extents,
        is_damaged,
    })
}
