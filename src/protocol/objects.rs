//! Objects that a durable checkpoint lists, until one has forgotten them.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Protocol, broken, must};
use crate::checkpoint::SealedObject;
use crate::error::StreamError;
use crate::extent::{Extent, sum};

/// An upload with all parts of an object that is found gone more often than that, with no object in its
/// place, is lost.
pub(super) const GONE_MAX: u32 = 6;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Object {
    pub(super) row: SealedObject,
    pub(super) stands: Stands,
    /// How many times its upload, with all parts, was gone and no object of ours in its place; `None`: its bytes are
    /// here.
    gone: Option<u32>,
}

/// Where an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stands {
    /// A durable checkpoint lists it just as it is.
    Listed,
    /// An attempt, or its mending, is under way.
    Busy,
    /// It is not as the durable checkpoint has it.
    Changed,
    /// The checkpoint that is being made has it as it is.
    Naming,
    /// It is visible.
    Published,
    /// The checkpoint that is being made, or is made next, forgets it.
    Recording,
}

/// What is to be done for an object.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// An upload is begun for it.
    Begin(&'a SealedObject),
    /// It is sent.
    Send(&'a SealedObject),
}

/// What becomes of an object whose upload is gone, with no object in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It is sent anew from here, when a checkpoint has forgotten the upload.
    Forgotten,
    /// Another may be completing it at this very moment: it is tried again.
    Again,
    /// Its bytes were nowhere else.
    Lost,
}

impl Protocol {
    /// What is to be done for an object, if anything may. A large one without an upload gets one first.
    pub fn next(&mut self, id: Uuid, needs_upload: impl FnOnce(u64) -> bool) -> Option<Step<'_>> {
        let object = self.objects.get_mut(&id)?;
        if !self.claimed.contains(&object.row.target.store) || object.stands != Stands::Listed {
            return None;
        }
        object.stands = Stands::Busy;
        let row = &object.row;
        Some(if row.upload_id.is_none() && needs_upload(row.size) {
            Step::Begin(row)
        } else {
            Step::Send(row)
        })
    }

    /// An upload was begun for an object: it is sent by it when a checkpoint has named it.
    pub fn begun(&mut self, id: Uuid, upload_id: String) -> Result<(), StreamError> {
        self.attempted(id)?.row.upload_id = Some(upload_id);
        self.change(id, Stands::Changed)
    }

    /// An attempt was in vain, or what has become of it is unknown: it may be sent again, as it is.
    pub fn not_sent(&mut self, id: Uuid) -> Result<(), StreamError> {
        self.change(id, Stands::Listed)
    }

    /// An object is visible. It stays until a checkpoint has forgotten it.
    pub fn published(&mut self, id: Uuid) -> Result<&SealedObject, StreamError> {
        self.attempted(id)?;
        self.change(id, Stands::Published)?;
        Ok(&self.stands(id, Stands::Published)?.row)
    }

    /// An object is visible but for records that its store has refused for good. Their error lines are in `batches`,
    /// which changed with that: the checkpoint that forgets the object names them.
    pub fn partly(
        &mut self,
        id: Uuid,
        batches: impl IntoIterator<Item = Uuid>,
    ) -> Result<&SealedObject, StreamError> {
        self.refused.extend(batches);
        self.published(id)
    }

    /// The upload of an object is gone, and there is no object of ours.
    pub fn upload_gone(&mut self, id: Uuid) -> Result<Gone, StreamError> {
        let object = self.attempted(id)?;
        let (stands, gone) = match &mut object.gone {
            None => {
                object.row.upload_id = None;
                (Stands::Changed, Gone::Forgotten)
            }
            Some(GONE_MAX..) => (Stands::Listed, Gone::Lost),
            Some(times) => {
                *times += 1;
                (Stands::Listed, Gone::Again)
            }
        };
        self.change(id, stands)?;
        Ok(gone)
    }

    /// The bytes of an object are damaged here: it is to be mended, and nobody else is at it until it is.
    /// `None`: its bytes are elsewhere, so that it is only tried again.
    pub fn damaged(&mut self, id: Uuid) -> Result<Option<SealedObject>, StreamError> {
        let object = self.attempted(id)?;
        Ok(object.gone.is_none().then(|| object.row.clone()))
    }

    /// An object that nobody is at is kept from being sent while its bytes are copied, until [`Self::moved`] or
    /// [`Self::not_sent`]. `None`: somebody is, or its bytes are elsewhere.
    pub fn hold(&mut self, id: Uuid) -> Option<&SealedObject> {
        let object = self.objects.get_mut(&id)?;
        let may = object.stands == Stands::Listed && object.gone.is_none();
        may.then(|| {
            object.stands = Stands::Busy;
            &object.row
        })
    }

    /// The bytes of an object lie in `extents` now, too.
    pub fn moved(&mut self, id: Uuid, extents: Vec<Extent>) -> Result<(), StreamError> {
        let before = &self.stands(id, Stands::Busy)?.row;
        let row = without(before, extents, before.counts.clone(), before.records);
        must(
            "C4: a moved object is the same object",
            (row.size, row.crc64) == (before.size, before.crc64),
            || before.target.location(),
        )?;
        self.mended(row)
    }

    /// An object is made of what was not damaged. It is sent when a checkpoint names it so; where nothing was
    /// left it is forgotten, as one that is published.
    pub fn mended(&mut self, row: SealedObject) -> Result<(), StreamError> {
        let (id, object) = (row.id, self.stands(row.id, Stands::Busy)?);
        if row.extents.is_empty() {
            return self.change(id, Stands::Published);
        }
        let expected = without(
            &object.row,
            row.extents.clone(),
            row.counts.clone(),
            row.records,
        );
        must(
            "C4: a mended object is the same object, and says what it was",
            row == expected,
            || {
                format!(
                    "{} as {}",
                    expected.target.location(),
                    row.target.location()
                )
            },
        )?;
        let before = std::mem::replace(&mut object.row, row);
        let kept: HashSet<&Extent> = object.row.extents.iter().collect();
        let freed = before
            .extents
            .iter()
            .filter(|extent| !kept.contains(extent));
        let freed: Vec<Extent> = freed.copied().collect();
        self.let_go(freed);
        self.change(id, Stands::Changed)
    }

    /// An object that a durable checkpoint lists.
    pub fn object(&self, id: Uuid) -> Option<&SealedObject> {
        self.objects.get(&id).map(|object| &object.row)
    }

    /// Objects that are not known to be visible.
    pub fn unpublished(&self) -> impl Iterator<Item = &SealedObject> {
        let is_visible = |stands| matches!(stands, Stands::Published | Stands::Recording);
        let objects = self.objects.values();
        objects
            .filter(move |object| !is_visible(object.stands))
            .map(|object| &object.row)
    }

    /// Objects that are listed, whether they are visible or not.
    pub fn listed(&self) -> usize {
        self.objects.len()
    }

    /// Objects that are visible, for the next checkpoint.
    pub const fn unrecorded(&self) -> usize {
        self.published.len()
    }

    /// What the next checkpoint lists no more: what is visible.
    pub(super) fn unlisted(&mut self) -> Vec<Uuid> {
        let published = std::mem::take(&mut self.published);
        for id in &published {
            if let Some(object) = self.objects.get_mut(id) {
                object.stands = Stands::Recording;
            }
        }
        published
    }

    /// It does list it: no checkpoint is made.
    pub(super) fn list_again(&mut self, published: Vec<Uuid>) {
        for id in &published {
            if let Some(object) = self.objects.get_mut(id) {
                object.stands = Stands::Published;
            }
        }
        self.published.extend(published);
    }

    /// A durable checkpoint has forgotten an object; its bytes go with the one after it.
    pub(super) fn forget(&mut self, id: Uuid) -> Result<(), StreamError> {
        self.stands(id, Stands::Recording)?;
        let object = self.objects.remove(&id);
        self.let_go(object.into_iter().flat_map(|object| object.row.extents));
        Ok(())
    }

    /// The object of an attempt that has been answered: it was made where the epoch is claimed.
    fn attempted(&mut self, id: Uuid) -> Result<&mut Object, StreamError> {
        let store = self.objects.get(&id).map(|object| &object.row.target.store);
        let is_claimed = store.is_none_or(|store| self.claimed.contains(store));
        must(
            "C6: an object is sent where the epoch is claimed",
            is_claimed,
            || format!("object {id} was sent to {store:?}"),
        )?;
        self.stands(id, Stands::Busy)
    }

    /// The object that stands so; the caller goes wrong where there is none.
    pub(super) fn stands(&mut self, id: Uuid, wanted: Stands) -> Result<&mut Object, StreamError> {
        match self.objects.get_mut(&id) {
            Some(object) if object.stands == wanted => Ok(object),
            found => {
                let stands = found.map(|object| object.stands);
                let found = format!("object {id} is to be {wanted:?}, and is {stands:?}");
                Err(broken("C1: an object goes from step to step", &found))
            }
        }
    }

    /// What was being done for an object has come to an end.
    fn change(&mut self, id: Uuid, stands: Stands) -> Result<(), StreamError> {
        self.stands(id, Stands::Busy)?.stands = stands;
        match stands {
            Stands::Changed => self.changed.push(id),
            Stands::Published => self.published.push(id),
            _ => {}
        }
        Ok(())
    }
}

impl Object {
    pub(super) const fn listed(row: SealedObject, gone: Option<u32>) -> Self {
        Self {
            row,
            stands: Stands::Listed,
            gone,
        }
    }
}

/// What an object is without its damaged bytes.
#[must_use]
pub fn without(
    before: &SealedObject,
    extents: Vec<Extent>,
    counts: Vec<u64>,
    records: u64,
) -> SealedObject {
    let ((size, crc64), was) = (sum(&extents), (before.size, before.crc64));
    let mut mended = SealedObject {
        records,
        size,
        crc64,
        extents,
        counts,
        ..before.clone()
    };
    if (size, crc64) != was {
        // An earlier attempt may have published it whole, or be about to; parts of its upload are of other bytes.
        mended.upload_id = None;
        mended.was.push(was);
    }
    mended
}
