//! Attempts to publish: what the destination makes of them, and what the disk has left of their bytes.

use super::world::{STORES, Steps, World, batch, is_of_errors, told};
use super::*;

/// What the files have more that moved bytes lie in.
pub(super) const ELSEWHERE: u32 = 1000;

impl World {
    /// What is on its way arrives, whoever sent it, or never does.
    pub(super) fn land(&self, broken: Broken, next: &mut Vec<Self>) {
        for part in &self.on_their_way {
            let mut world = self.clone();
            world.on_their_way.remove(part);
            let (upload, number, bytes) = part;
            if let Some(parts) = world.uploads.get_mut(upload) {
                parts.insert(*number, *bytes);
                if broken == Broken::FreeAtPart {
                    world.freed.insert(*bytes);
                }
            }
            next.push(world);
        }
        for late in &self.late {
            let mut world = self.clone();
            world.late.remove(late);
            next.push(world.clone());
            let (id, bytes, upload) = late;
            let has_upload = upload
                .as_ref()
                .is_none_or(|upload| world.uploads.contains_key(upload));
            if has_upload && !world.visible.contains_key(id) {
                if let Some(upload) = upload {
                    world.uploads.remove(upload);
                }
                world.show(*id, bytes.clone(), next);
            }
        }
    }

    /// An object becomes visible: whole, or but for a record that its store refuses. Errors go where none is refused.
    fn show(mut self, id: Uuid, bytes: Vec<Extent>, next: &mut Vec<Self>) {
        if self.odds.refusals > 0 && !is_of_errors(id) {
            for extent in &bytes {
                let mut world = self.clone();
                world.odds.refusals -= 1;
                world.refused.insert(id, extent.offset);
                world.visible.insert(id, bytes.clone());
                next.push(world);
            }
        }
        self.visible.insert(id, bytes);
        next.push(self);
    }

    /// Copies the bytes of an object to another place in the spool.
    pub(super) fn relocate(&self, id: Uuid, broken: Broken, next: &mut Vec<Self>) -> Steps {
        let mut world = self.clone();
        if self.odds.moves == 0 {
            return Ok(());
        }
        let Some(row) = world.protocol.hold(id).cloned() else {
            return Ok(());
        };
        world.odds.moves -= 1;
        let mut copies = Vec::new();
        for extent in &row.extents {
            let copy = self.read(extent)?;
            copies.push(Extent {
                file: copy.file + ELSEWHERE,
                ..copy
            });
        }
        world
            .protocol
            .moved(id, copies)
            .map_err(|error| told(&error))?;
        if broken == Broken::FreeAtMove {
            world.freed.extend(&row.extents);
        }
        next.push(world);
        Ok(())
    }

    /// Takes the next step for a listed object.
    pub(super) fn publish(&self, id: Uuid, broken: Broken, next: &mut Vec<Self>) -> Steps {
        let is_early = broken == Broken::WaitForAllClaims && self.claimed.len() < STORES.len();
        if self.protocol.objects[&id].stands != Stands::Listed || is_early {
            return Ok(());
        }
        let mut world = self.clone();
        let store = self.protocol.objects[&id].row.target.store.clone();
        let step = world.protocol.next(id, |_| self.odds.large);
        if step.is_some() && !self.claimed.contains(&*store) {
            return Err(format!("UNCLAIMED: {id} is sent to {store}"));
        }
        let row = match step {
            None => return Ok(()),
            Some(Step::Send(row)) => row.clone(),
            Some(Step::Begin(_)) => {
                if !self.has_begun_all() {
                    let upload = world.begin();
                    world
                        .protocol
                        .begun(id, upload)
                        .map_err(|error| told(&error))?;
                    if broken == Broken::SendBeforeUpload {
                        world.protocol.objects.get_mut(&id).unwrap().stands = Stands::Listed;
                        world.protocol.changed.clear();
                    }
                    next.push(world);
                }
                return Ok(());
            }
        };
        let is_elsewhere = row.target.key != batch(id).target.key;
        if is_elsewhere {
            return Err(format!("ELSEWHERE: {row:?} was opened otherwise"));
        }
        let is_rotten = row
            .extents
            .iter()
            .any(|extent| self.rotten.contains(extent));
        if let Some(visible) = self.visible.get(&id) {
            let found = sum(visible);
            if found != (row.size, row.crc64) && !row.was.contains(&found) {
                return Err(format!("TORN: {visible:?} is visible for {row:?}"));
            }
            for extent in &row.extents {
                self.read(extent)?; // an attempt reads before it asks
            }
            world.found(id, broken)?;
            if broken == Broken::FreeAtPublication {
                world.freed.extend(&row.extents);
            }
            next.push(world);
            return Ok(());
        }
        if is_rotten {
            return world.mend(id, broken, next);
        }
        let arrived = row
            .upload_id
            .as_ref()
            .map(|upload| self.uploads.get(upload));
        if arrived == Some(None) {
            if broken == Broken::GoneIsPublished {
                let published = world.protocol.published(id);
                published.map_err(|error| told(&error))?;
            } else {
                let gone = world.protocol.upload_gone(id);
                world.is_stopped = gone.map_err(|error| told(&error))? == Gone::Lost;
            }
            next.push(world);
            return Ok(());
        }
        // The parts that have arrived are taken as they are; the others are sent.
        let arrived = arrived.flatten();
        let mut bytes = Vec::new();
        if row.extents.is_empty() {
            // A shared checkpoint lists it: nothing of it is here.
            bytes.extend(arrived.into_iter().flat_map(BTreeMap::values));
        }
        for (number, extent) in row.extents.iter().enumerate() {
            let part = arrived.and_then(|parts| parts.get(&number));
            bytes.push(part.map_or_else(|| self.read(extent), |part| Ok(*part))?);
        }
        world.send(&row, bytes, broken, next)
    }

    /// An attempt that nothing is wrong with: what of it arrives, and whether that is known.
    fn send(
        mut self,
        row: &SealedObject,
        bytes: Vec<Extent>,
        broken: Broken,
        next: &mut Vec<Self>,
    ) -> Steps {
        let attempt = self.clone();
        self.protocol
            .not_sent(row.id)
            .map_err(|error| told(&error))?;
        if let (Some(upload), true) = (&row.upload_id, self.odds.large) {
            // A part arrives, and nothing else does.
            let mut world = self.clone();
            let parts = world.uploads.get_mut(upload).unwrap();
            parts.entry(0).or_insert(bytes[0]);
            next.push(world);
        }
        if self.odds.delays > 0 {
            let mut world = self.clone();
            if broken == Broken::LostReplyIsSuccess {
                world = attempt;
                world
                    .protocol
                    .published(row.id)
                    .map_err(|error| told(&error))?;
            }
            world.odds.delays -= 1;
            let late = (row.id, bytes.clone(), row.upload_id.clone());
            world.late.insert(late);
            next.push(world);
        }
        // Whether the answer arrives or is lost: the next attempt finds the object.
        if let Some(upload) = &row.upload_id {
            self.uploads.remove(upload);
        }
        self.show(row.id, bytes, next);
        Ok(())
    }

    /// An attempt hears that the object is there, and of the record that its store has refused.
    fn found(&mut self, id: Uuid, broken: Broken) -> Steps {
        let told = |error| told(&error);
        match (broken, self.refused.get(&id).copied()) {
            (Broken::RefusedLater, Some(record)) => {
                self.owed.insert(id, record);
                self.protocol.published(id).map_err(told)?;
            }
            (Broken::RefusedFirst, Some(record)) if self.failed.insert(id) => {
                self.fail(record);
                self.protocol.not_sent(id).map_err(told)?;
            }
            (_, None) | (Broken::ForgetRefused | Broken::RefusedFirst, Some(_)) => {
                self.protocol.published(id).map_err(told)?;
            }
            (_, Some(record)) => {
                let batch = self.fail(record);
                self.protocol.partly(id, [batch]).map_err(told)?;
            }
        }
        Ok(())
    }

    /// Sets the damaged blocks of an object aside and goes on without them. Its upload is given up.
    fn mend(mut self, id: Uuid, broken: Broken, next: &mut Vec<Self>) -> Steps {
        let before = self.protocol.damaged(id).map_err(|error| told(&error))?;
        let before = before.ok_or("STOPPED: not here")?;
        for extent in &before.extents {
            self.read(extent)?;
        }
        let extents = before.extents.iter().copied();
        let (gone, kept): (Vec<Extent>, Vec<Extent>) =
            extents.partition(|extent| self.rotten.contains(extent));
        self.aside.extend(gone.iter().map(|extent| extent.offset));
        let mended = without(&before, kept.clone(), Vec::new(), kept.len() as u64);
        let upload = before.upload_id.filter(|_| mended.upload_id.is_none());
        self.protocol.mended(mended).map_err(|error| told(&error))?;
        if broken == Broken::FreeAtMend {
            self.freed.extend(gone);
        }
        let object = self.protocol.objects.get_mut(&id).unwrap();
        match upload {
            Some(upload) if broken == Broken::MendKeepsUpload => {
                object.row.upload_id = Some(upload);
            }
            Some(upload) => drop(self.uploads.remove(&upload)),
            None => {}
        }
        if !kept.is_empty() {
            match broken {
                Broken::MendForgets => object.row.was.clear(),
                Broken::PublishBeforeMendIsDurable => {
                    object.stands = Stands::Listed;
                    self.protocol.changed.clear();
                    self.protocol.spooled = Spooled::default();
                }
                Broken::MendUnderNewId => {
                    self.ids += 1;
                    let new = Uuid::from_u128(self.ids.into());
                    let mut object = self.protocol.objects.remove(&id).unwrap();
                    object.row.id = new;
                    self.protocol.objects.insert(new, object);
                    self.protocol.changed.retain(|changed| *changed != id);
                    self.protocol.changed.push(new);
                    self.protocol.closed.push(id);
                }
                _ => {}
            }
        }
        next.push(self);
        Ok(())
    }
}
