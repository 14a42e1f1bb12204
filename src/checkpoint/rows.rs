//! What a checkpoint holds, and its durable form (JSON, so that an operator can read it; unknown
//! members are ignored and new ones have defaults).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::extent::{Extent, sum};
use crate::failure::ErrorOutputType;
use crate::raw_sum::RawSum;

/// Which kind of output a batch collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    /// Records for the data prefix.
    Data,
    /// Copies of source records.
    Backup,
    /// Failed records of one type.
    Error(ErrorOutputType),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Times of arrival that a batch takes where intervals are counted by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first one, in ms.
    pub start_ms: i64,
    /// The first one that is too late, in ms.
    pub end_ms: i64,
}

impl Window {
    /// Whether it takes what arrived then.
    pub const fn holds(&self, arrival_ms: i64) -> bool {
        self.start_ms <= arrival_ms && arrival_ms < self.end_ms
    }
}

/// A batch that still takes records, or whose sealing was not finished.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OpenBatch {
    /// Drawn at random when the batch opened; names the object.
    pub id: Uuid,
    /// Which kind of output it collects.
    pub lane: Lane,
    /// The partition: the evaluated prefix with holes for time and random strings.
    pub identity: String,
    /// Where the object goes: destination and key, fixed at opening.
    pub target: Target,
    /// When it opened, by our clock, in ms.
    pub opened_ms: i64,
    /// Arrival of its first record, in ms.
    pub arrival_ms: i64,
    /// When what it takes has arrived, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// When its partition is over by the time of events, where it is sealed then: the first second that is
    /// of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_ends: Option<i64>,
    /// Records so far.
    pub records: u64,
    /// Bytes of records so far, before encoding.
    pub bytes: u64,
    /// Bytes, as they were staged, of what is encoded of it; 0 where that is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub encoded_from: u64,
    /// Set when it was sealed: no record may be added any more.
    pub sealing: bool,
    /// Its bytes, in order.
    pub blocks: Vec<SpooledBlock>,
    /// Multipart upload that was begun for it.
    #[serde(default)]
    pub upload_id: Option<String>,
}

impl OpenBatch {
    /// Bytes of the object that will never change: those of the blocks in front that are encoded.
    pub fn final_len(&self) -> u64 {
        let extents = self.final_head().flat_map(|block| &block.extents);
        extents.map(|extent| u64::from(extent.len)).sum()
    }

    /// The batch without what may still change.
    #[must_use]
    pub fn into_final_head(mut self) -> Self {
        self.blocks = self.final_head().cloned().collect();
        self
    }

    /// Whether none of its bytes will ever change: it may become an object.
    pub fn is_final(&self) -> bool {
        let mut blocks = self.blocks.iter();
        blocks.all(|block| block.encoded || block.extents.is_empty())
    }

    /// The object that its blocks make.
    pub fn into_object(self) -> SealedObject {
        let counts = self.counts();
        let blocks = self.blocks.into_iter();
        let extents: Vec<Extent> = blocks.flat_map(|block| block.extents).collect();
        let (size, crc64) = sum(&extents);
        SealedObject {
            id: self.id,
            lane: self.lane,
            target: self.target,
            arrival_ms: self.arrival_ms,
            records: self.records,
            bytes: self.bytes,
            size,
            crc64,
            extents,
            counts,
            was: Vec::new(),
            upload_id: self.upload_id,
        }
    }

    /// Records in each extent of the object; none where an extent is no block, or the row of an earlier version does
    /// not say how many are in it. A block that was damaged before it was encoded has no extent.
    fn counts(&self) -> Vec<u64> {
        let blocks = self.blocks.iter();
        let blocks: Vec<_> = blocks.filter(|block| !block.extents.is_empty()).collect();
        let counts = blocks.iter().map(|block| block.records.unwrap_or_default());
        let counts: Vec<u64> = counts.collect();
        let are_blocks = blocks.iter().all(|block| block.extents.len() == 1);
        let mut all = counts.iter();
        let all = all.try_fold(0_u64, |sum, count| sum.checked_add(*count));
        if are_blocks && all == Some(self.records) {
            counts
        } else {
            Vec::new()
        }
    }

    fn final_head(&self) -> impl Iterator<Item = &SpooledBlock> {
        let head = self.blocks.iter();
        let head = head.take_while(|block| block.encoded || block.footer);
        head.filter(|block| block.encoded)
    }
}

/// Destination, key and format of an object, fixed when its batch opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The store, by its [name](crate::config::StoreSpec::name).
    pub store: String,
    /// The object's key.
    pub key: String,
    /// Hash of the format settings; the store keeps them by it.
    pub format: u64,
    /// Whether it holds records that were late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_late: bool,
}

impl Target {
    /// Where a person finds the object: a path, or a URL. A store that is named by no URL is named by a word, a colon, and
    /// where it is on this machine.
    pub fn location(&self) -> String {
        let local = self.store.split_once(':').map(|(_, path)| path);
        let local = local.filter(|path| !path.starts_with("//"));
        let store = local.unwrap_or(&self.store);
        format!("{}/{}", store.trim_end_matches('/'), self.key)
    }
}

/// Some bytes of an open batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpooledBlock {
    /// Whether these are final bytes of the object, or records as they were staged.
    pub encoded: bool,
    /// Whether these are no bytes of the object, but what the final ones before them leave for its
    /// end.
    #[serde(default)]
    pub footer: bool,
    /// What the object's end needs to know of these bytes as they were before they were encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_sum: Option<RawSum>,
    /// Records in it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Where they lie.
    pub extents: Vec<Extent>,
}

/// An object in its final bytes, to be published.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SealedObject {
    /// The batch's id.
    pub id: Uuid,
    /// Which kind of output it holds.
    pub lane: Lane,
    /// Where it goes.
    pub target: Target,
    /// Arrival of its first record, in ms.
    pub arrival_ms: i64,
    /// Records in it.
    pub records: u64,
    /// Their bytes before encoding.
    pub bytes: u64,
    /// Size of the object.
    pub size: u64,
    /// CRC-64/NVME of the object.
    pub crc64: u64,
    /// The object's bytes, in order.
    pub extents: Vec<Extent>,
    /// Records in each extent, where each is a block of its own; none are given where that is not sure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<u64>,
    /// Size and CRC-64/NVME that it had each time before damaged bytes were left out: an earlier attempt may have
    /// published it like that. It is damaged at most as often as it has extents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub was: Vec<(u64, u64)>,
    /// Multipart upload that was begun for it.
    #[serde(default)]
    pub upload_id: Option<String>,
}

/// A multipart upload that a checkpoint names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedUpload {
    /// The store, as a [`super::Target`] names it.
    pub store: String,
    /// Key of the object it was begun for.
    pub key: String,
    /// Its id.
    pub upload_id: String,
}

impl NamedUpload {
    /// The upload that an object's row names.
    pub fn of(object: &SealedObject) -> Option<Self> {
        Some(Self {
            store: object.target.store.clone(),
            key: object.target.key.clone(),
            upload_id: object.upload_id.clone()?,
        })
    }
}

/// A place in which objects were published and of which the stream's catalog is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UntoldPlace {
    /// Its URL, with a slash at its end.
    pub url: String,
    /// Since when it waits, in ms.
    pub since_ms: i64,
}

/// What a checkpoint changes of what the catalog is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceChanges {
    /// Places that are to be told.
    pub untold: Vec<UntoldPlace>,
    /// Those that were, by their URLs.
    pub told: Vec<String>,
}

impl PlaceChanges {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.untold.is_empty() && self.told.is_empty()
    }

    /// Carries them out on a list of places, by their URLs.
    pub fn carry_out(self, places: &mut Vec<UntoldPlace>) {
        if self.is_empty() {
            return;
        }
        let before = std::mem::take(places).into_iter();
        let mut after: BTreeMap<String, UntoldPlace> =
            before.map(|place| (place.url.clone(), place)).collect();
        for url in &self.told {
            after.remove(url);
        }
        let untold = self.untold.into_iter();
        after.extend(untold.map(|place| (place.url.clone(), place)));
        places.extend(after.into_values());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_and_go_by_their_urls() {
        let place = |url: &str, since_ms| UntoldPlace {
            url: url.to_owned(),
            since_ms,
        };
        let mut places = vec![place("c/", 1), place("a/", 2)];
        let changes = PlaceChanges {
            untold: vec![place("b/", 3), place("a/", 4)],
            told: vec!["a/".to_owned(), "c/".to_owned(), "none/".to_owned()],
        };
        changes.carry_out(&mut places);
        assert_eq!(places, [place("a/", 4), place("b/", 3)]);
        PlaceChanges::default().carry_out(&mut places);
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn counts_are_told_only_where_they_add_up() {
        let block = |records| SpooledBlock {
            encoded: true,
            records: Some(records),
            extents: vec![(1, 0, 10, 5).into()],
            ..SpooledBlock::default()
        };
        let batch = |records: u64, counts: &[u64]| OpenBatch {
            id: Uuid::nil(),
            lane: Lane::Data,
            identity: String::new(),
            target: Target {
                store: "folder:/lake".to_owned(),
                key: "key".to_owned(),
                format: 0,
                is_late: false,
            },
            opened_ms: 0,
            arrival_ms: 0,
            window: None,
            partition_ends: None,
            encoded_from: 0,
            records,
            bytes: 0,
            sealing: true,
            blocks: counts.iter().copied().map(block).collect(),
            upload_id: None,
        };
        assert_eq!(batch(5, &[2, 3]).into_object().counts, [2, 3]);
        assert_eq!(batch(5, &[2, 2]).into_object().counts, [0; 0]);
        // Nothing writes such a row, but a sum that overflows must not be taken for a right one.
        assert_eq!(batch(0, &[u64::MAX, 1]).into_object().counts, [0; 0]);
    }
}
