//! Which bytes of the spool the durable checkpoint names, so that none of them is freed behind its back (C3).
//!
//! A checkpoint asks for the bytes that it frees and no others, and only what has changed in a row is noted anew. So it
//! costs what the checkpoint frees and changes, however much is open.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::extent::Extent;

/// Where a piece of the spool begins: file and offset. Nothing is ever written there again.
type Place = (u32, u64);

/// Pieces of the spool, and the batch or object that each is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Spooled {
    owners: BTreeMap<Place, Uuid>,
    places: BTreeMap<Uuid, Vec<Place>>,
}

impl Spooled {
    /// A batch or object has these bytes, and no others.
    pub(super) fn set<'a>(&mut self, id: Uuid, extents: impl IntoIterator<Item = &'a Extent>) {
        let now: Vec<Place> = extents.into_iter().filter_map(place).collect();
        let before = self.places.remove(&id).unwrap_or_default();
        let both = before.iter().zip(&now);
        let same = both.take_while(|(before, now)| before == now).count();
        for place in before.iter().skip(same) {
            if self.owners.get(place) == Some(&id) {
                self.owners.remove(place);
            }
        }
        let new = now.iter().skip(same);
        self.owners.extend(new.map(|place| (*place, id)));
        if !now.is_empty() {
            self.places.insert(id, now);
        }
    }

    /// It has none any more.
    pub(super) fn forget(&mut self, id: Uuid) {
        self.set(id, []);
    }

    /// Whose bytes these are.
    pub(super) fn owner(&self, extent: &Extent) -> Option<Uuid> {
        self.owners.get(&place(extent)?).copied()
    }
}

/// A piece without bytes lies nowhere: the next one begins at the same place.
fn place(extent: &Extent) -> Option<Place> {
    (extent.len > 0).then_some((extent.file, extent.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    const fn extent(offset: u64, len: u32) -> Extent {
        Extent {
            file: 7,
            offset,
            len,
            crc64: 0,
        }
    }

    #[test]
    fn bytes_are_of_whoever_has_them_last() {
        let mut spooled = Spooled::default();
        let (first, second, third) = (extent(0, 5), extent(5, 5), extent(10, 5));
        spooled.set(ONE, [&first, &second]);
        spooled.set(ONE, [&first, &third]);
        let owners = |spooled: &Spooled| [first, second, third].map(|one| spooled.owner(&one));
        assert_eq!(owners(&spooled), [Some(ONE), None, Some(ONE)]);
        // Bytes that go over to another batch stay when the first one lets go of them.
        spooled.set(OTHER, [&third]);
        spooled.forget(ONE);
        assert_eq!(owners(&spooled), [None, None, Some(OTHER)]);
        spooled.forget(OTHER);
        assert_eq!(spooled, Spooled::default());
    }

    #[test]
    fn a_piece_without_bytes_is_not_taken_for_the_next_one() {
        let mut spooled = Spooled::default();
        spooled.set(ONE, [&extent(3, 9)]);
        assert_eq!(spooled.owner(&extent(3, 0)), None);
        spooled.set(OTHER, [&extent(3, 0)]);
        assert_eq!(spooled.owner(&extent(3, 9)), Some(ONE));
    }
}
