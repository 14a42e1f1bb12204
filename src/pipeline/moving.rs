//! Objects that wait for long are moved out of spool files that hold little else: a file goes only whole, and what
//! waits for one store must not keep the room of what has gone to another.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::Pipeline;
use super::event::Event;
use super::log::Names;
use crate::checkpoint::SealedObject;
use crate::error::StreamError;
use crate::extent::Extent;
use crate::spool::Spool;

/// Dead bytes of the spool that are not worth moving what lies between them.
const DEAD_MAX: u64 = 128 << 20;
/// Bytes that are moved at a time, but for the last object.
const MOVED_MAX: u64 = 16 << 20;

/// As many bytes of the spool as are alive may be dead, and so many more, before sparse files are emptied: none when
/// there is no room.
pub(super) const fn dead_max(is_spool_full: bool) -> u64 {
    if is_spool_full { 0 } else { DEAD_MAX }
}

/// What is known of objects that are moved.
#[derive(Debug, Default)]
pub(super) struct Moving {
    is_under_way: bool,
    /// Objects of which what is left where it was is damaged: it is looked at when they are sent.
    stay: HashSet<Uuid>,
}

/// Where the bytes of an object lie: copies, in files that hold little else, of what they lay in.
#[derive(Debug)]
pub(super) struct Copied {
    id: Uuid,
    extents: Vec<Extent>,
    /// Some of it is damaged, and stays where it is.
    is_damaged: bool,
}

impl Pipeline {
    /// Once a tick: moves some of what waits, when too much of the spool is dead. Where no checkpoint names the spool
    /// nothing waits in it for long.
    pub(super) fn move_what_waits(&mut self) {
        if self.moving.is_under_way || self.log.names() != Names::OpenBatches {
            return;
        }
        let sparse = self.spool.sparse_files(dead_max(self.is_spool_full()));
        if sparse.is_empty() {
            return;
        }
        let is_there = |extent: &Extent| sparse.contains(&extent.file);
        let worth_it = |object: &&SealedObject| {
            object.extents.iter().any(is_there) && !self.moving.stay.contains(&object.id)
        };
        let objects = self.protocol.unpublished().filter(worth_it);
        let ids: Vec<Uuid> = objects.map(|object| object.id).collect();
        let (mut objects, mut bytes) = (Vec::new(), 0);
        for id in ids {
            if bytes >= MOVED_MAX {
                break;
            }
            if let Some(object) = self.protocol.hold(id) {
                bytes += object.size;
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
        let copied = copied.map_err(|error| self.disk_error("move a waiting object", &error))?;
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
        match spool.read(*extent) {
            Ok(bytes) => {
                let copies = spool.append(&[&bytes])?;
                *extent = copies.first().copied().unwrap_or(*extent);
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => is_damaged = true,
            Err(error) => return Err(error),
        }
    }
    Ok(Copied {
        id,
        extents,
        is_damaged,
    })
}
