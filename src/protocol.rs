//! The delivery protocol of one stream: what makes each accepted record occur in exactly one object.
//!
//! A state machine without I/O, runtime or clock: nothing in it depends on time. It is told what has
//! happened, and says what a checkpoint takes in and what may be done. The pipeline does it; the model
//! (`src/protocol/model_tests.rs`) does it in every order, with crashes, losses and damage between. A rule
//! stands here and nowhere else. What types can hold, types hold: [`Durable`] is made of a checkpoint that its
//! store has taken, and bytes, records and rows come out of it alone. The rest are assertions that stay on:
//! one that fails stops the stream loudly before the rule is broken (`must`).
//!
//! Objects are in this file, checkpoints in `checkpoints`, uploads of batches that still fill in `uploads`, how far the
//! source is applied in `frontiers`.
//!
//! | step | told by | allowed from then on |
//! |---|---|---|
//! | records are applied to their batches | [`advance`](Protocol::advance) | nothing |
//! | bytes were encoded, merged or moved | [`let_go`](Protocol::let_go) | nothing |
//! | the last byte of a batch is final | [`seal`](Protocol::seal) | nothing |
//! | a checkpoint is put together | [`draft`](Protocol::draft), [`Draft::transaction`] | nothing |
//! | spool and then transaction are durable | [`Transaction::durable`] | bytes let go before the draft are freed; the source is released up to its frontier |
//! | the pipeline hears of it | [`durable`](Protocol::durable) | objects that it lists are sent; an upload of an open batch is begun, or full parts sent of what it names |
//! | an upload was begun | [`begun`](Protocol::begun), [`filled`](Protocol::filled) | nothing; parts and object when a checkpoint names it |
//! | an upload has vanished | [`upload_gone`](Protocol::upload_gone), `filled` | nothing; another is begun when a checkpoint has forgotten it |
//! | an object is visible | [`published`](Protocol::published) | nothing; the next checkpoint forgets it |
//! | it is visible but for records that its store refuses | [`partly`](Protocol::partly) | nothing; the checkpoint that forgets it names the batches of their error lines |
//! | that one is durable | `durable` | its bytes are let go, and freed with the one after |
//! | an object is damaged here | [`damaged`](Protocol::damaged) | what is left is made an object |
//! | it is mended | [`mended`](Protocol::mended) | nothing; sent when a checkpoint names it so |
//! | an object waits for long | [`hold`](Protocol::hold), [`moved`](Protocol::moved) | its bytes lie elsewhere in the spool; sent when a checkpoint names them there |
//!
//! **When may an object be sent?** When a durable checkpoint lists it just as it is, with the upload by which it
//! goes, and the epoch is claimed where it goes (C1, C6): [`next`](Protocol::next).
//!
//! **When are bytes freed?** When a checkpoint is durable that was drafted after they were let go (C3).
//!
//! **When is the source released?** Up to the frontier of a checkpoint that is durable (C2).
//!
//! **What is true after a crash between any two steps?** All of this state is lost, and what goes on is what the
//! durable checkpoint says ([`recovered`](Protocol::recovered)): its bytes are in the spool, what it has not passed is in
//! the source, what it lists is sent, perhaps again, and what is at the destination it lists, or a later step would
//! have been needed to forget it. An upload that was begun and not named stays behind, empty. The same holds where the outcome
//! of a checkpoint is unknown (a failed fsync or commit): nobody tells of it here, the owner drops all and recovers.
//!
//! **What if a reply is lost?** The object is sent again, as it was: what is there with its id and sum is success,
//! of both forms where it was mended (C4, C5).
//!
//! **What if a store takes an object and refuses some of its records for good?** It says so of each attempt, that of a
//! dead process too. Their error lines are in open batches when that is told, and one checkpoint takes in both: the
//! object is forgotten and its refused records are elsewhere, or it stands as it was and is sent again (C5).
//!
//! **What if an upload vanishes?** A checkpoint forgets it, and what it held is sent anew from the spool.
//!
//! **How does a mended object differ?** Id and key stay. It has other bytes, says what it was, since an attempt of
//! before may have published that or be about to, and has no upload, since parts of that are of other bytes:
//! [`without`].
//!
//! **Where daemons share a stream** a checkpoint takes in a frontier only when nothing is open, and lists objects
//! whose bytes are all at the destination ([`hand_over`](Protocol::hand_over),
//! [`list_prepared`](Protocol::list_prepared)): an upload of those that vanishes is a loud stop. Who may write such a checkpoint is
//! the lease's rule, and stands with its model in `src/coordination`: that one is about two workers and one item, which
//! nothing here knows of. The spool is scratch that no checkpoint names: what is let go is freed when nothing reads it.
//!
//! Not here: what an attempt finds at the destination and what is success there (`src/destination.rs`: two
//! kinds of stores, one list of promises), which bytes are damaged (`src/pipeline/mend.rs`), when something is tried
//! again. A person's verbs change the state of a stream that does not run as that person says (`src/cli/state.rs`); what
//! `state retry` sends goes by these rules.

mod checkpoints;
mod frontiers;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use uuid::Uuid;

pub use checkpoints::{Allowed, Draft, Durable, Transaction};
pub use frontiers::{Changes, Frontiers};
pub use uploads::{Fill, Filled, Named};

use crate::checkpoint::{OpenBatch, SealedObject};
use crate::error::StreamError;
use crate::extent::{Extent, sum};
use crate::position::{Position, Sequence};
use crate::shard::{ShardId, ShardState};
use crate::source::SourceEvent;
use uploads::Upload;

/// An upload with all parts of an object that is found gone more often than that, with no object in its
/// place, is lost.
const GONE_MAX: u32 = 6;

/// Where one stream stands in the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// Stores where this epoch, or the shard's lease, is ours: only there something is sent.
    claimed: BTreeSet<String>,
    frontiers: Frontiers,
    /// Of open batches that have begun one, or are about to.
    uploads: BTreeMap<Uuid, Upload>,
    /// Batches whose bytes are all final.
    sealed: BTreeSet<Uuid>,
    /// Batches that ended without an object.
    closed: Vec<Uuid>,
    /// Objects that a durable checkpoint lists.
    objects: BTreeMap<Uuid, Object>,
    /// Those of which the row has changed since the last draft.
    changed: Vec<Uuid>,
    /// Those that are visible since the last draft.
    published: Vec<Uuid>,
    /// Batches that hold what the stores of those have refused.
    refused: BTreeSet<Uuid>,
    /// Bytes that nothing here names any more; the durable checkpoint may.
    dead: Vec<Extent>,
    /// Batches that the checkpoint which is being made turns into objects.
    making: Option<BTreeSet<Uuid>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Object {
    row: SealedObject,
    stands: Stands,
    /// How many times its upload, with all parts, was gone and no object of ours in its place; `None`: its bytes are
    /// here.
    gone: Option<u32>,
}

/// Where an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stands {
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
    /// What a durable checkpoint says, and nothing else.
    pub fn recovered(
        shards: BTreeMap<ShardId, ShardState>,
        open: &[OpenBatch],
        listed: Vec<SealedObject>,
    ) -> Self {
        let begun = open.iter().filter(|row| row.upload_id.is_some());
        let objects = listed.into_iter();
        Self {
            frontiers: Frontiers::new(shards),
            uploads: (begun.map(|row| (row.id, Upload::named(row.upload_id.clone())))).collect(),
            objects: (objects.map(|row| (row.id, Object::listed(row, None)))).collect(),
            ..Self::default()
        }
    }

    /// This epoch is claimed at a store, or a lease stands for it (C6). Nothing is sent to another one.
    pub fn claimed(&mut self, store: &str) {
        self.claimed.insert(store.to_owned());
    }

    /// How far the source is applied.
    pub const fn frontiers(&self) -> &Frontiers {
        &self.frontiers
    }

    /// Every record of the shard up to `position` is in a batch; those before it are lost to damage.
    pub fn advance(&mut self, shard: &str, position: Position) -> Result<(), StreamError> {
        self.frontiers.advance(shard, position)
    }

    /// Ranges of the journal before what is applied next are lost to damage.
    pub fn lose(&mut self, missing: impl IntoIterator<Item = (Sequence, Sequence)>) {
        self.frontiers.lose(missing);
    }

    /// Something has become known of the source.
    pub fn learn(&mut self, event: SourceEvent) {
        self.frontiers.learn(event);
    }

    /// Bytes of batches that these need no more.
    pub fn let_go(&mut self, extents: impl IntoIterator<Item = Extent>) {
        self.dead.extend(extents);
    }

    /// Whether something is let go that the next checkpoint frees.
    pub const fn frees(&self) -> bool {
        !self.dead.is_empty()
    }

    /// All bytes of a batch are final: it is an object of the next checkpoint. False while a request of its
    /// upload is under way, so that none races with the object, and no begun upload is lost track of.
    pub fn seal(&mut self, id: Uuid) -> bool {
        let may = !self.is_filling(id);
        if may {
            self.sealed.insert(id);
        }
        may
    }

    /// Whether a batch waits for a checkpoint that makes an object of it.
    pub fn has_sealed(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// A batch has ended, and nothing of it is left for an object. False while it may not be sealed.
    pub fn close(&mut self, id: Uuid) -> bool {
        let may = !self.is_filling(id);
        if may {
            self.uploads.remove(&id);
            self.closed.push(id);
        }
        may
    }

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
        self.stands(id, Stands::Busy)?.row.upload_id = Some(upload_id);
        self.change(id, Stands::Changed)
    }

    /// An attempt was in vain, or what has become of it is unknown: it may be sent again, as it is.
    pub fn not_sent(&mut self, id: Uuid) -> Result<(), StreamError> {
        self.change(id, Stands::Listed)
    }

    /// An object is visible. It stays until a checkpoint has forgotten it.
    pub fn published(&mut self, id: Uuid) -> Result<&SealedObject, StreamError> {
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
        let object = self.stands(id, Stands::Busy)?;
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
        let object = self.stands(id, Stands::Busy)?;
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

    /// A durable checkpoint has forgotten an object; its bytes go with the one after it.
    pub fn forget(&mut self, id: Uuid) -> Result<(), StreamError> {
        self.stands(id, Stands::Recording)?;
        let object = self.objects.remove(&id);
        self.let_go(object.into_iter().flat_map(|object| object.row.extents));
        Ok(())
    }

    /// A durable shared checkpoint lists an object, of which all bytes are at the destination.
    pub fn list_prepared(&mut self, row: SealedObject) {
        self.objects.insert(row.id, Object::listed(row, Some(0)));
    }

    /// The object that stands so; the caller goes wrong where there is none.
    fn stands(&mut self, id: Uuid, wanted: Stands) -> Result<&mut Object, StreamError> {
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
    const fn listed(row: SealedObject, gone: Option<u32>) -> Self {
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

/// A rule that `is_kept`, or the stream stops.
fn must(rule: &str, is_kept: bool, found: impl FnOnce() -> String) -> Result<(), StreamError> {
    if is_kept {
        Ok(())
    } else {
        Err(broken(rule, &found()))
    }
}

fn broken(rule: &str, found: &str) -> StreamError {
    StreamError::LoudStop {
        cause: format!("a rule of delivery was about to be broken ({rule}): {found}"),
        advice: "this is a fault of firehose: report it, with the log. What is durable is not touched by it, \
                 and a restart goes on from there"
            .into(),
    }
}
