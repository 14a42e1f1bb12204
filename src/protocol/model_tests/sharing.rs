//! What is other where daemons share the stream: the spool is scratch, all that is open is sealed and gathered, and a
//! checkpoint lists uploads. Who may write one is explored with the lease (`src/coordination/model_tests.rs`): whoever
//! comes next here has taken it.

use super::attempts::ELSEWHERE;
use super::committing::Writing;
use super::world::{Steps, World, extent, told};
use super::*;

/// A block that is being read to be encoded: its batch, its number there, and its bytes as they lay then.
pub(super) type Reading = (Uuid, usize, Extent);

impl World {
    /// Encodes, seals, spools and frees, and brings objects to the destination.
    pub(super) fn share(&self, broken: Broken, next: &mut Vec<Self>) -> Steps {
        for (at, open) in self.batches.iter().enumerate() {
            if !open.sealing {
                self.begin_reading(at, open, next);
                self.rewrite(at, open, next);
                self.seal(at, open, next);
            }
        }
        self.end_reading(next)?;
        self.spill(next)?;
        self.gather(next)?;
        self.free(broken, next)?;
        self.prepare(broken, next)
    }

    fn begin_reading(&self, at: usize, open: &OpenBatch, next: &mut Vec<Self>) {
        for (index, block) in self.batches[at].blocks.iter().enumerate() {
            if !block.encoded && self.reading.is_none() {
                let mut world = self.clone();
                world.reading = Some((open.id, index, block.extents[0]));
                next.push(world);
            }
        }
    }

    /// The block is final, and its raw bytes are let go as they lie now.
    fn end_reading(&self, next: &mut Vec<Self>) -> Steps {
        let Some((id, index, read)) = &self.reading else {
            return Ok(());
        };
        let raw = self.read(read)?;
        let mut world = self.clone();
        world.reading = None;
        let open = world.batches.iter_mut().find(|batch| batch.id == *id);
        let block = &mut open.unwrap().blocks[*index];
        block.encoded = true;
        let way = extent(*id, raw.offset, Some(0));
        let before = std::mem::replace(&mut block.extents, vec![way]);
        world.protocol.let_go(before);
        next.push(world);
        Ok(())
    }

    /// Raw bytes are written elsewhere in the spool, with others, while they may be read where they lay.
    fn rewrite(&self, at: usize, open: &OpenBatch, next: &mut Vec<Self>) {
        for (index, block) in open.blocks.iter().enumerate() {
            if self.odds.moves == 0 || block.encoded {
                continue;
            }
            let mut world = self.clone();
            world.odds.moves -= 1;
            let extents = &mut world.batches[at].blocks[index].extents;
            let before = extents.clone();
            extents[0].file += ELSEWHERE;
            world.protocol.let_go(before);
            next.push(world);
        }
    }

    fn spill(&self, next: &mut Vec<Self>) -> Steps {
        if !self.protocol.has_sealed() || !self.spilled.is_empty() {
            return Ok(());
        }
        let mut world = self.clone();
        let spilling = world.protocol.spill();
        let objects = spilling.objects(self.batches.iter().cloned());
        world.spilled = objects.map_err(|error| told(&error))?;
        next.push(world);
        Ok(())
    }

    fn gather(&self, next: &mut Vec<Self>) -> Steps {
        if self.spilled.is_empty() {
            return Ok(());
        }
        let mut world = self.clone();
        for object in std::mem::take(&mut world.spilled) {
            world.batches.retain(|batch| batch.id != object.id);
            let gathered = world.protocol.gather(object);
            gathered.map_err(|error| told(&error))?;
        }
        next.push(world);
        Ok(())
    }

    fn free(&self, broken: Broken, next: &mut Vec<Self>) -> Steps {
        let is_read = self.reading.is_some() && broken != Broken::FreeWhileRead;
        if is_read || !self.protocol.frees() {
            return Ok(());
        }
        let mut world = self.clone();
        let freed = world.protocol.free_unnamed(is_read);
        world.freed.extend(freed.map_err(|error| told(&error))?);
        next.push(world);
        Ok(())
    }

    /// Puts a checkpoint together: of all that is gathered when nothing is open, or of what is visible alone.
    pub(super) fn hand_over(&self, broken: Broken, next: &mut Vec<Self>) -> Steps {
        if self.handing.is_some() {
            return Ok(());
        }
        let mut world = self.clone();
        let is_open = |batch: &OpenBatch| match broken {
            Broken::HandOverOpen => batch.sealing,
            Broken::HandOverUngathered => !batch.sealing,
            _ => true,
        };
        let open = self.batches.iter().filter(|batch| is_open(batch)).count();
        let protocol = &mut world.protocol;
        let has_news = protocol.frontiers.has_changes() || !protocol.gathered.is_empty();
        let handing = if open == 0 && (has_news || protocol.unrecorded() > 0) {
            let (sealed, spilling) = (protocol.sealed.clone(), protocol.spilling.clone());
            if broken == Broken::HandOverUngathered {
                protocol.sealed.clear();
                protocol.spilling.clear();
            }
            let handing = protocol.hand_over(open);
            (protocol.sealed, protocol.spilling) = (sealed, spilling);
            handing
        } else if protocol.unrecorded() > 0 {
            protocol.unlist()
        } else {
            return Ok(());
        };
        let handing = handing.map_err(|error| told(&error))?;
        let handing = handing.ok_or("STOPPED: one is being made")?;
        if broken == Broken::FreeAtHandOver {
            let objects = handing.objects().iter();
            world
                .freed
                .extend(objects.flat_map(|object| &object.extents));
        }
        let listed = world.protocol.unpublished().cloned().collect();
        world.handing = Some((handing, listed));
        next.push(world);
        Ok(())
    }

    /// Brings the objects of a checkpoint to the destination, so that its lease may take it.
    fn prepare(&self, broken: Broken, next: &mut Vec<Self>) -> Steps {
        let mut world = self.clone();
        let Some((handing, mut list)) = world.handing.take() else {
            return Ok(());
        };
        for object in handing.objects() {
            if world.has_begun_all() {
                return Ok(());
            }
            let upload = world.begin();
            let parts = world.uploads.get_mut(&upload).unwrap();
            for (number, extent) in object.extents.iter().enumerate() {
                let part = self.read(extent)?;
                if broken != Broken::ListBeforeParts {
                    parts.insert(number, part);
                }
            }
            if broken == Broken::ShowBeforeLease {
                world.uploads.remove(&upload);
                world.visible.insert(object.id, object.extents.clone());
            }
            list.push(SealedObject {
                upload_id: Some(upload),
                extents: Vec::new(),
                ..object.clone()
            });
        }
        let transaction = handing.transaction(list).map_err(|error| told(&error))?;
        world.writing = Some(Writing::Shared(transaction));
        next.push(world);
        Ok(())
    }
}
