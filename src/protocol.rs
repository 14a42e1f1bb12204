//! The delivery protocol of one stream: what makes each accepted record occur in exactly one object.
//!
//! A state machine without I/O, runtime or clock: nothing in it depends on time. It is told what has
//! happened, and says what a checkpoint takes in and what may be done. The pipeline does it; the model
//! (`src/protocol/model_tests.rs`) does it in every order, with crashes, losses and damage between. A rule
//! stands here and nowhere else. What types can hold, types hold: a [`Durable`] is made of one checkpoint and the
//! receipt that its store or its lease gives for this very one, it can be neither copied nor made up, and what is to be
//! released, sent, forgotten, and freed of a spool that checkpoints name, comes out of it alone. The rest are assertions
//! that stay on: one that fails stops the stream loudly before the rule is broken (`must`). C8 says what must happen, not
//! what must not, so an assertion holds only its end ([`ends`](Protocol::ends)), and the model the rest of it. The rules,
//! C1 to C9, are listed in `docs/src/design/invariants.md`.
//!
//! Objects are in `objects`, checkpoints in `checkpoints`, those of a shared stream in `shared`, uploads of batches that
//! still fill in `uploads`, how far the source is applied in `frontiers`, and which bytes of the spool are named in
//! `spooled`.
//!
//! | step | told by | allowed from then on |
//! |---|---|---|
//! | a new epoch is recorded and claimed at a store, or the lease is taken | [`recovered`](Protocol::recovered) or [`taken_over`](Protocol::taken_over), then [`claimed`](Protocol::claimed) for each store | what the durable checkpoint lists for that store is sent, and uploads that it names go on |
//! | records are applied to their batches | [`advance`](Protocol::advance) | nothing |
//! | bytes were encoded, merged or moved | [`let_go`](Protocol::let_go) | nothing |
//! | the last byte of a batch is final | [`seal`](Protocol::seal) | nothing |
//! | a checkpoint is put together | [`draft`](Protocol::draft), [`take_in`](Protocol::take_in), [`Draft::transaction`] | nothing |
//! | spool and then transaction are durable | [`Transaction::stored`] | bytes let go before the draft are freed; the source is released up to its frontier |
//! | the pipeline hears of it | [`durable`](Protocol::durable) | objects that it lists are sent; an upload of an open batch is begun, or full parts sent of what it names |
//! | an upload was begun | [`begun`](Protocol::begun), [`filled`](Protocol::filled) | nothing; parts and object when a checkpoint names it |
//! | an upload has vanished | [`upload_gone`](Protocol::upload_gone), `filled` | nothing; another is begun when a checkpoint has forgotten it |
//! | the upload is gone, and our object is there | `published`: an attempt before has completed it | as where an object is visible |
//! | an object is visible | [`published`](Protocol::published) | nothing; the next checkpoint forgets it |
//! | it is visible but for records that its store refuses | [`partly`](Protocol::partly) | nothing; the checkpoint that forgets it names the batches of their error lines |
//! | that one is durable | `durable` | its bytes are let go, and freed with the one after |
//! | an object is damaged here | [`damaged`](Protocol::damaged) | what is left is made an object |
//! | it is mended | [`mended`](Protocol::mended) | nothing; sent when a checkpoint names it so |
//! | an object waits for long | [`hold`](Protocol::hold), [`moved`](Protocol::moved) | its bytes lie elsewhere in the spool; sent when a checkpoint names them there |
//!
//! Where daemons share the stream these steps take the place of the checkpoint's:
//!
//! | step | told by | allowed from then on |
//! |---|---|---|
//! | sealed batches go to the spool, and lie there as objects | [`spill`](Protocol::spill), [`Spilling::objects`], [`gather`](Protocol::gather) | nothing |
//! | bytes that were let go are read by no job | [`free_unnamed`](Protocol::free_unnamed) | they are freed |
//! | nothing is open: a checkpoint is put together | [`hand_over`](Protocol::hand_over) | what was gathered is brought to the destination as uploads, which show nothing |
//! | all bytes of what it lists are there | [`HandOver::transaction`] | nothing |
//! | the lease has taken it | [`SharedTransaction::leased`] | the spooled bytes of its objects are freed |
//! | the pipeline hears of it | `durable` | uploads that it lists are completed |
//! | what it lists is visible | `published`, then [`unlist`](Protocol::unlist) or `hand_over` | nothing; the next checkpoint leaves it out |
//!
//! **When may an object be sent?** When a durable checkpoint lists it just as it is, with the upload by which it
//! goes, and the epoch is claimed where it goes (C1, C6): [`next`](Protocol::next).
//!
//! **When are bytes freed?** When a checkpoint is durable that was drafted after they were let go, and no row names them
//! any more (C3). Of a shared stream no checkpoint names the spool, and a crash empties it: bytes that were let go are
//! freed when no job reads them, and those of an object when a durable checkpoint lists its upload.
//!
//! **When is the source released?** Up to the frontier of a checkpoint that is durable (C2).
//!
//! **What does a new epoch do?** Every opening of a state raises it: it is one more than the largest that checkpoint store
//! or journal name, and is recorded in the journal's new segment, where there is one, and then in the store
//! (`src/pipeline/recovery.rs`). Only then is it claimed, at the store of data first and then at the others, by an object
//! under the epoch's number that nobody overwrites. Whoever loses that claim runs on a copy of the state. Its stream
//! stops loudly, and has sent nothing of this epoch, since nothing goes to a store that is not claimed. What it does not
//! find is a process that runs on with an epoch before: the state's lock keeps two from one folder, and nothing a copy from
//! being started while the original runs. Until a claim is
//! answered it is repeated, and a random number in it tells whose it is. What an epoch before has sent may arrive at any time
//! after. It is an object that the durable checkpoint lists, with its id and key, as it is or as it was before it was
//! mended, or a part of an upload that this checkpoint names, in the same bytes. So it makes what this epoch would make, and
//! whichever comes second finds that it is there (C4). Of a shared stream the lease's fencing number stands for the epoch, and
//! the write that takes the lease for its claim.
//!
//! **What is true after a crash between any two steps?** All of this state is lost, and what goes on is what the
//! durable checkpoint says ([`recovered`](Protocol::recovered)): its bytes are in the spool, what it has not passed is in
//! the source, what it lists is sent, perhaps again, and what is at the destination it lists, or a later step would
//! have been needed to forget it. An upload that was begun and not named stays behind, empty; one that was made for a
//! shared checkpoint stays behind as it is. The same holds where the outcome
//! of a checkpoint is unknown (a failed fsync or commit): nobody tells of it here, the owner drops all and recovers.
//!
//! **What if a reply is lost?** The object is sent again, as it was: what is there with its id and sum is success,
//! of both forms where it was mended (C4, C5).
//!
//! **What if a store takes an object and refuses some of its records for good?** It says so of each attempt, that of a
//! dead process too. Their error lines are in open batches when that is told, and one checkpoint takes in both: the
//! object is forgotten and its refused records are elsewhere, or it stands as it was and is sent again (C5). A shared
//! checkpoint cannot name those batches, so there such an object waits for a person.
//!
//! **What if an upload vanishes?** The store is asked for the object first: one that is there with its id and sum was
//! completed by an attempt before, and is published. If there is none, a checkpoint forgets the upload, and what it held is
//! sent anew from the spool. Of a shared stream nothing else holds those bytes: it is asked for again, since another holder
//! may be completing it, and then the stream stops loudly.
//!
//! **How does a mended object differ?** Id and key stay. It has other bytes, says what it was, since an attempt of
//! before may have published that or be about to, and has no upload, since parts of that are of other bytes:
//! [`without`].
//!
//! **Where daemons share a stream** a checkpoint says how far the source is applied only when nothing is open, and lists
//! objects whose bytes are all at the destination (C9). Who may write such a checkpoint is the lease's rule, and stands
//! with its model in `src/coordination`: that one is about two workers and one item, which nothing here knows of.
//!
//! **What if a batch is sealed twice?** Before its object is forgotten the second one is refused (C1). Afterwards nothing
//! here knows its id any more; its store finds the object there, with the same sum or as a stranger's (C4).
//!
//! Not here: what an attempt finds at the destination and what is success there (`src/destination.rs`: two
//! kinds of stores, one list of promises), which bytes are damaged (`src/pipeline/mend.rs`), when something is tried
//! again. A person's verbs change the state of a stream that does not run as that person says (`src/cli/state.rs`); what
//! `state retry` sends goes by these rules.

mod checkpoints;
mod frontiers;
#[cfg(test)]
mod model_tests;
mod objects;
mod shared;
mod spooled;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

pub use checkpoints::{Allowed, Draft, Durable, Transaction};
pub use frontiers::{Changes, Frontiers};
pub use objects::{Gone, Step, without};
pub use shared::{HandOver, SharedTransaction, Spilling};
pub use uploads::{Fill, Filled, Named};

use crate::checkpoint::{OpenBatch, SealedObject};
use crate::error::StreamError;
use crate::extent::Extent;
use crate::position::{Position, Sequence};
use crate::shard::{ShardId, ShardState};
use crate::source::SourceEvent;
use checkpoints::OpenedWith;
use objects::Object;
use spooled::Spooled;
use uploads::Upload;

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
    /// Those that it does name, and those of objects that are gathered.
    spooled: Spooled,
    /// What batches that it names were opened with.
    opened: BTreeMap<Uuid, OpenedWith>,
    /// Batches that the checkpoint which is being made turns into objects.
    making: Option<BTreeSet<Uuid>>,
    /// Sealed batches of a shared stream on their way to the spool, and the objects that lie there.
    spilling: BTreeSet<Uuid>,
    gathered: BTreeMap<Uuid, SealedObject>,
}

impl Protocol {
    /// What a durable checkpoint says, and nothing else.
    pub fn recovered(
        shards: BTreeMap<ShardId, ShardState>,
        open: &[OpenBatch],
        listed: Vec<SealedObject>,
    ) -> Self {
        let begun = open.iter().filter(|row| row.upload_id.is_some());
        let mut recovered = Self {
            frontiers: Frontiers::new(shards),
            uploads: (begun.map(|row| (row.id, Upload::named(row.upload_id.clone())))).collect(),
            ..Self::default()
        };
        for row in open {
            recovered.named(row);
        }
        for row in listed {
            recovered.spooled.set(row.id, &row.extents);
            let object = Object::listed(row, None);
            recovered.objects.insert(object.row.id, object);
        }
        recovered
    }

    /// What a shared checkpoint says to whoever takes the lease: of objects that it lists all bytes are at the
    /// destination, and nothing is here.
    pub fn taken_over(
        shards: BTreeMap<ShardId, ShardState>,
        listed: impl IntoIterator<Item = SealedObject>,
    ) -> Self {
        let objects = listed.into_iter();
        Self {
            frontiers: Frontiers::new(shards),
            objects: (objects.map(|row| (row.id, Object::listed(row, Some(0))))).collect(),
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

    /// The stream ends, and its config `names` stores. What waits for one that it does not name is for a person (C7);
    /// for no other does anything wait any more, however long that took (C8).
    pub fn ends(&self, names: impl Fn(&str) -> bool) -> Result<(), StreamError> {
        let mut left = self.unpublished();
        let left = left.find(|object| names(&object.target.store));
        let unlisted = self.sealed.len() + self.spilling.len() + self.gathered.len();
        must(
            "C8: a stream ends when nothing waits for its stores",
            left.is_none() && unlisted == 0,
            || format!("{left:?} is not published, {unlisted} batches are not listed"),
        )
    }
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
