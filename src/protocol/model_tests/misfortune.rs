//! What may go wrong around the protocol, and what must be true all the same.

use super::Broken;
use super::world::{RECORDS, World, told};

impl World {
    /// The process dies, the disk loses a block, or the destination an upload.
    pub(super) fn misfortune(&self, broken: Broken, next: &mut Vec<Self>) {
        let sealed = self.store.sealed.values().flat_map(|row| &row.extents);
        for extent in sealed.filter(|extent| !self.rotten.contains(extent)) {
            if self.odds.rots > 0 {
                let mut world = self.clone();
                world.odds.rots -= 1;
                world.rotten.insert(*extent);
                next.push(world);
            }
        }
        self.crash(broken, next);
        for upload in self.uploads.keys() {
            if self.odds.losses > 0 {
                let mut world = self.clone();
                world.odds.losses -= 1;
                world.uploads.remove(upload);
                next.push(world);
            }
        }
    }

    pub(super) fn crash(&self, broken: Broken, next: &mut Vec<Self>) {
        if self.odds.crashes > 0 {
            let mut world = self.clone();
            world.odds.crashes -= 1;
            world.recover(broken);
            next.push(world);
        }
    }

    /// At rest, each record is in one object, waits for a store that never answers or was set aside, and no upload
    /// holds bytes that nobody knows of.
    pub(super) fn judge(&self) -> Result<bool, String> {
        let waiting = self.store.sealed.values();
        let (waiting, others): (Vec<_>, Vec<_>) =
            waiting.partition(|row| Some(&*row.target.store) == self.odds.deaf);
        let at_rest = self.writing.is_none()
            && self.written.is_none()
            && !self.protocol.has_changes()
            && self.store.frontier() == RECORDS
            && self.batches.is_empty()
            && self.owed.is_empty()
            && others.is_empty()
            && self.late.is_empty()
            && self.reading.is_none()
            && self.handing.is_none()
            && self.protocol.gathered.is_empty();
        let visible = self.visible.iter().flat_map(|(id, extents)| {
            let refused = self.refused.get(id);
            let records = extents.iter().map(|extent| extent.offset);
            records.filter(move |record| Some(record) != refused)
        });
        let extents = waiting.iter().flat_map(|row| &row.extents);
        let waits = extents.map(|extent| extent.offset);
        let mut records: Vec<u64> = visible.chain(waits).collect();
        let visible = records.len();
        records.sort_unstable();
        records.dedup();
        let doubled = visible - records.len();
        let met = |record: u64| records.contains(&record) || self.aside.contains(&record);
        if at_rest && (doubled > 0 || !(1..=RECORDS).all(met)) {
            return Err(format!("LOST OR DOUBLED: {:?}", self.visible));
        }
        if at_rest {
            let ends = (self.protocol).ends(|store| Some(store) != self.odds.deaf);
            ends.map_err(|error| told(&error))?;
        }
        // What was made for a shared checkpoint that was never written stays behind.
        let leaks = !self.odds.shared && self.uploads.values().any(|parts| !parts.is_empty());
        if at_rest && leaks {
            return Err(format!("LEAKED: {:?}", self.uploads));
        }
        Ok(at_rest)
    }
}
